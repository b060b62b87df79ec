import pytest

from tests.dav.multistatus import D, responses


@pytest.mark.parametrize("path", ["/d", "/d/"])
def test_a_directory_is_made(client, path):
    client.mkcol(path)
    (one,) = responses(client.propfind("/d"))
    assert one.is_collection


def test_what_exists_stays(client):
    client.put("/f", b"x")
    client.mkcol("/d")
    for path in ("/f", "/d", "/d/", "/"):
        client.mkcol(path, check=405)
    assert client.get("/f").body == b"x"


def test_without_a_parent(client):
    client.put("/f", b"x")
    client.mkcol("/no/d", check=409)
    client.mkcol("/f/d", check=409)


@pytest.mark.parametrize("body", [b"<x/>", iter([b"<x/>"])])
def test_a_body_is_refused(client, body):
    client.mkcol("/d", body, check=415)
    client.propfind("/d", check=404)


def test_an_empty_body_in_chunks_is_none(client):
    client.mkcol("/d", iter([]))


def test_rclones_time(client):
    answer = client.mkcol("/d", x_oc_mtime="1557126489")
    assert answer.header("X-OC-MTime") == "accepted"
    (one,) = responses(client.propfind("/d"))
    assert one.values(200)[D + "getlastmodified"] == "Mon, 06 May 2019 07:08:09 GMT"


@pytest.mark.parametrize("time", ["NaN", "1" + "0" * 30, ""])
def test_a_time_that_is_none_is_passed_over(client, time):
    assert client.mkcol("/d", x_oc_mtime=time).header("X-OC-MTime") is None


def test_a_condition_that_nothing_can_fulfil(client):
    client.mkcol("/d", if_match="*", check=412)
    client.propfind("/d", check=404)


def test_the_depth_of_the_tree_is_bounded(client):
    path = ""
    for _ in range(100):
        path += "/d"
        client.mkcol(path)
    client.mkcol(path + "/d", check=(400, 403))
