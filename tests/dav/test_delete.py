import pytest


@pytest.fixture
def drive(client):
    client.mkcol("/d")
    client.mkcol("/d/sub")
    client.put("/d/sub/f", b"x")
    return client


def test_a_file_goes(drive):
    drive.delete("/d/sub/f")
    drive.get("/d/sub/f", check=404)
    drive.delete("/d/sub/f", check=404)


@pytest.mark.parametrize("path", ["/d", "/d/"])
def test_a_directory_goes_with_all_it_holds(drive, path):
    drive.delete(path)
    for gone in ("/d", "/d/sub", "/d/sub/f"):
        drive.propfind(gone, check=404)


def test_a_directory_goes_whole_or_not(drive):
    drive.delete("/d", depth="0", check=400)
    drive.delete("/d", depth="1", check=400)
    drive.get("/d/sub/f")
    drive.delete("/d", depth="infinity")


def test_a_file_has_any_depth(drive):
    drive.delete("/d/sub/f", depth="0")


def test_a_file_is_no_directory(drive):
    drive.delete("/d/sub/f/", check=404)
    drive.get("/d/sub/f")


def test_the_top_stays(drive, users):
    drive.delete("/", check=403)
    users.add("bob", "secret", root="/d")
    drive.as_user("bob").delete("/", check=403)
    drive.get("/d/sub/f")


def test_a_stale_condition(drive):
    drive.delete("/d/sub/f", if_match='"stale"', check=412)
    drive.get("/d/sub/f")


def test_a_reader_deletes_nothing(drive, users):
    users.add("eve", "secret", read_only=True)
    drive.as_user("eve").delete("/d", check=403)
    drive.get("/d/sub/f")
