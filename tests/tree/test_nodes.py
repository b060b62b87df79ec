import threading
from itertools import pairwise

import pytest

from tests import invariants
from tests.tree.drive import Drive, statements
from tgdav.errors import NotADirectory, NotFound, ParentMissing
from tgdav.tree.nodes import (
    STRIDE,
    follow,
    lineage,
    plant_root,
    require_directory,
    require_node,
    walk,
)
from tgdav.tree.paths import DEPTH_LIMIT, parse
from tgdav.tree.tables import ROOT


def deep(drive: Drive, depth: int) -> str:
    path = ""
    for level in range(depth):
        path += f"/{level}"
        drive.mkdir(path)
    return path


def test_the_root_is_there_from_the_start(drive):
    root = drive.node("/")
    assert (root.no, root.parent, root.name, root.is_directory) == (ROOT, None, "", True)
    Drive(drive.room)
    assert drive.node("/") == root


def test_however_many_open_a_new_drive_it_has_one_root(db):
    threads = [threading.Thread(target=plant_root, args=(db,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    invariants.check(db)
    with db.read() as connection:
        assert [node.no for node in walk(connection, ())] == [ROOT]


@pytest.mark.parametrize("depth", [1, STRIDE - 1, STRIDE, STRIDE + 1, 2 * STRIDE, 3 * STRIDE + 1])
def test_a_walk_leads_through_every_node(drive, depth):
    path = deep(drive, depth)
    file = drive.save(f"{path}/file", b"x")
    with drive.db.read() as connection:
        chain = walk(connection, parse(f"{path}/file"))
        assert [node.name for node in chain] == ["", *map(str, range(depth)), "file"]
        assert all(above.no == below.parent for above, below in pairwise(chain))
        assert chain[-1] == file
        assert all(node.is_directory for node in chain[:-1])
        assert lineage(connection, file.no) == [node.no for node in chain]
        for missing in ("gone", "gone/gone", "file/below", "/".join(["gone"] * 30)):
            shorter = walk(connection, parse(f"{path}/{missing}"))
            assert shorter == chain[: depth + 1 + missing.startswith("file")]


def test_a_walk_is_one_statement_up_to_the_stride(drive):
    path = deep(drive, STRIDE)
    with statements(drive) as seen:
        drive.node(path)
    assert len(seen) == 1


def test_a_long_path_that_ends_early_does_not_go_on_from_there(drive):
    drive.mkdir("/0")
    drive.mkdir("/0/x")
    path = parse("/0" + "/gone" * (STRIDE - 1) + "/x")
    with drive.db.read() as connection:
        assert [node.name for node in walk(connection, path)] == ["", "0"]
    assert drive.tree.find(path) is None


def test_the_deepest_path_is_found(drive):
    path = deep(drive, DEPTH_LIMIT)
    assert drive.node(path).name == str(DEPTH_LIMIT - 1)


def test_following_from_a_number(drive):
    directory = drive.mkdir("/a")
    file = drive.save("/a/f", b"1")
    with drive.db.read() as connection:
        assert follow(connection, directory.no, ("f",)) == [directory, file]
        assert follow(connection, directory.no, ("g",)) == [directory]
        assert follow(connection, file.no, ()) == [file]
        assert follow(connection, 10**15, ("f",)) == []
        assert lineage(connection, 10**15) == []


def test_children_come_in_pages_by_the_bytes_of_their_names(drive):
    names = ["a", "B", "z", "ä", "Ω", "😀", "\uff5e", "a b", "~", "0", "10", "9", "Z%", "a%"]
    for name in names:
        drive.save(f"/{name}")
    ordered = sorted(names, key=str.encode)
    root = drive.node("/")
    assert [node.name for node in drive.tree.children(root)] == ordered
    for size in (1, 3, len(names)):
        found, after = [], None
        while page := drive.tree.children(root, after=after, limit=size):
            assert len(page) <= size
            found += [node.name for node in page]
            after = found[-1]
        assert found == ordered


def test_a_child_is_the_node_that_its_path_finds(drive):
    drive.mkdir("/a", modified_ns=5)
    drive.save("/b", b"12345", checksum="SHA1:x", modified_ns=7, created_ns=6)
    assert drive.tree.children(drive.node("/")) == [drive.node("/a"), drive.node("/b")]
    assert drive.node("/a")[5:] == ("", "", "ada", drive.node("/a").created_ns, 5)
    file = drive.node("/b")
    assert (file.size, file.checksum, file.owner, file.created_ns, file.modified_ns) == (
        5,
        "SHA1:x",
        "ada",
        6,
        7,
    )
    assert len(file.etag) == 32


def test_a_file_has_no_children(drive):
    drive.save("/f")
    assert drive.tree.children(drive.node("/f")) == []


def test_names_are_compared_as_they_are_spelled(drive):
    spellings = ["é", "e\u0301", "A", "a", "ß", "SS"]
    for name in spellings:
        drive.save(f"/{name}", name.encode())
    assert [drive.read(f"/{name}") for name in spellings] == [name.encode() for name in spellings]


def test_what_a_chain_lacks(drive):
    drive.mkdir("/a")
    drive.save("/a/f")
    with drive.db.read() as connection:
        for path, refusal in (
            ("/a/g/h", ParentMissing),
            ("/g/h/i", ParentMissing),
            ("/a/f/g", NotADirectory),
        ):
            chain = walk(connection, parse(path))
            with pytest.raises(NotFound):
                require_node(chain, parse(path))
            with pytest.raises(refusal):
                require_directory(chain, parse(path))
