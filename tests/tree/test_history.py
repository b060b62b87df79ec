import pytest
from sqlalchemy import update

from tests.blocks.room import content
from tests.tree.drive import ADA, BOB
from tgdav.errors import Locked, NotAFile, NotFound
from tgdav.tree.paths import parse
from tgdav.tree.tables import history


def past(drive, path):
    """Contents of the file, the newest first."""
    return [drive.content(kept.node) for kept in drive.tree.history.of(parse(path))]


def test_what_a_save_replaces_is_kept(drive):
    drive.save("/a", b"one", modified_ns=5)
    drive.save("/a", b"two", BOB)
    drive.splice("/a", 1, b"XY")
    assert past(drive, "/a") == [b"tXY", b"two", b"one"]
    newest, *_, oldest = drive.tree.history.of(("a",))
    assert newest.retired_ns is None
    assert oldest.retired_ns is not None
    assert (oldest.node.owner, oldest.node.modified_ns) == ("ada", 5)


def test_an_empty_version_is_not_kept(drive):
    drive.save("/a")
    drive.save("/a", b"one")
    assert past(drive, "/a") == [b"one"]


def test_a_file_moved_over_another_has_that_ones_past(drive):
    drive.save("/doc", b"one")
    drive.save("/doc", b"two")
    drive.save("/doc.tmp", b"three")
    assert drive.move("/doc.tmp", "/doc") is False
    assert past(drive, "/doc") == [b"three", b"two", b"one"]
    assert drive.tree.trash.entries() == []


def test_a_file_copied_over_another_has_that_ones_past(drive):
    drive.save("/a", b"one")
    drive.copy("/a", "/b")
    drive.save("/a", b"two")
    drive.save("/b", b"three")
    drive.copy("/a", "/b")
    assert past(drive, "/b") == [b"two", b"three", b"one"]
    drive.move("/a", "/b")
    assert past(drive, "/b") == [b"two", b"three", b"one"]


def test_what_comes_back_is_past_from_when_it_is_replaced_again(drive):
    """A backup is put back, and a month later something else takes its place."""
    drive.save("/doc", b"one")
    drive.copy("/doc", "/backup")
    drive.save("/doc", b"two")
    drive.copy("/backup", "/doc")
    assert past(drive, "/doc") == [b"one", b"two"]
    drive.db.write(lambda c: c.execute(update(history).values(retired_ns=1)))
    drive.save("/doc", b"three")
    assert past(drive, "/doc") == [b"three", b"one", b"two"]
    _, one, two = drive.tree.history.of(("doc",))
    assert one.retired_ns > two.retired_ns == 1


def test_a_past_follows_its_file(drive):
    drive.save("/a", b"one")
    drive.save("/a", b"two")
    drive.move("/a", "/b")
    assert past(drive, "/b") == [b"two", b"one"]
    drive.copy("/b", "/c")
    assert past(drive, "/c") == [b"two"]


def test_an_old_version_is_brought_back_as_a_new_one(drive):
    drive.save("/a", content(40_000), checksum="SHA1:x", modified_ns=7)
    drive.splice("/a", 20_000, b"spliced")
    spliced = drive.read("/a")
    drive.save("/a", b"two")
    kept = drive.tree.history.of(("a",))
    rows = drive.room.rows(history)
    node = drive.tree.history.revert(("a",), kept[1].node.version, ADA)
    assert drive.read("/a") == spliced
    assert drive.node("/a") == node
    assert node.etag not in {each.node.etag for each in kept}
    assert past(drive, "/a") == [spliced, b"two", spliced, content(40_000)]
    assert drive.room.rows(history) == rows + 1
    node = drive.tree.history.revert(("a",), kept[-1].node.version, ADA)
    assert (node.checksum, node.modified_ns) == ("SHA1:x", 7)


def test_what_cannot_be_brought_back_changes_nothing(drive):
    drive.save("/a", b"one")
    drive.save("/a", b"two")
    drive.mkdir("/d")
    old = drive.tree.history.of(("a",))[1].node.version
    for path, version, error in [
        ("/a", 999, NotFound),
        ("/a", drive.node("/a").version, NotFound),
        ("/b", old, NotFound),
        ("/d", old, NotAFile),
    ]:
        with pytest.raises(error):
            drive.tree.history.revert(parse(path), old if error is NotAFile else version, ADA)
    permit = drive.lock("/a")
    with pytest.raises(Locked):
        drive.tree.history.revert(("a",), old, ADA)
    drive.tree.history.revert(("a",), old, permit)
    assert drive.read("/a") == b"one"


def test_kept_versions_count_on_no_quota(drive):
    drive.tree.users.add("ada", "password", quota=1000)
    for number in range(5):
        drive.save("/a", content(900, seed=number))
    drive.delete("/a")
    drive.save("/b", content(900))
    assert len(past(drive, "/b")) == 1
