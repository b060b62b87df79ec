import json
import threading

import pytest
from sqlalchemy import delete, insert, text

from tests.tree import replay
from tests.tree.drive import ADA, BOB
from tgdav.errors import AlreadyExists, Locked
from tgdav.tree import journal
from tgdav.tree.tables import nodes


def changes(drive):
    return [json.loads(line) for line in replay.lines(drive.db)]


def test_every_change_is_told(drive):
    """That it is told right is what the fixture checks: the journal is replayed."""
    drive.mkdir("/a", modified_ns=1)
    drive.save("/a/f", b"one" * 9000, checksum="SHA1:ü", created_ns=5)
    drive.save("/a/f", b"two", BOB, modified_ns=6)
    drive.splice("/a/f", 1, b"three" * 3000)
    drive.splice("/a/f", 50_000, b"far")
    drive.set_property("/a/f", "{x}p", "<p>é</p>")
    drive.set_property("/a/f", "{x}q", "<q/>")
    drive.tree.properties.change(("a", "f"), ADA, {}, ["{x}p"], modified_ns=8)
    drive.copy("/a", "/b", BOB)
    drive.copy("/a", "/a/shallow", deep=False)
    drive.copy("/a/f", "/b", BOB)
    drive.move("/a", "/c")
    drive.copy("/c", "/d")
    drive.move("/c/f", "/d/f")
    drive.tree.touch(("c",), ADA, modified_ns=3, created_ns=-4)
    drive.lock("/new")
    drive.delete("/d")
    told = [change["did"] for _, _, change in changes(drive)]
    expected = "make save save splice splice properties properties properties"
    expected += " copy copy copy move copy move touch save delete"
    assert told == expected.split()


def test_lines_are_numbered_dated_and_json(drive):
    drive.mkdir("/ü")
    with drive.db.read() as connection:
        last, rows = journal.unpacked(connection, 0)
    ((no, at_ns, change),) = [json.loads(line) for line in rows.splitlines()]
    assert no == last
    assert abs(at_ns - drive.node("/ü").created_ns) < 10**9
    assert change["name"] == "ü"


def test_what_was_packed_is_not_given_again(drive):
    drive.mkdir("/a")
    with drive.db.read() as connection:
        last, _ = journal.unpacked(connection, 0)
        assert journal.unpacked(connection, last) == (last, b"")
    drive.mkdir("/b")
    with drive.db.read() as connection:
        later, rows = journal.unpacked(connection, last)
    assert later > last
    assert b'"b"' in rows
    assert b'"a"' not in rows


def test_a_long_journal_comes_in_pages(drive, monkeypatch):
    for number in range(7):
        drive.mkdir(f"/{number}")
    whole = replay.lines(drive.db)
    monkeypatch.setattr(journal, "PAGE_BYTES", len(whole[0]) + 2)
    after, pages = 0, []
    with drive.db.read() as connection:
        while page := journal.unpacked(connection, after):
            after, rows = page
            if not rows:
                break
            pages.append(rows.splitlines())
    assert sum(pages, []) == whole  # noqa: RUF017 - a few short pages
    assert len(pages) == 4


def test_what_was_refused_is_not_told(drive):
    drive.mkdir("/a")
    drive.lock("/a")
    for refused in (drive.delete, drive.mkdir):
        with pytest.raises((Locked, AlreadyExists)):
            refused("/a", BOB)
    assert len(changes(drive)) == 1


def test_a_reader_never_sees_a_number_before_a_smaller_one(drive):
    seen = [0]
    done = threading.Event()
    found: list[int] = []

    def read():
        while not done.is_set():
            with drive.db.read() as connection:
                last, rows = journal.unpacked(connection, seen[-1])
            found.extend(json.loads(line)[0] for line in rows.splitlines())
            seen.append(last)

    reader = threading.Thread(target=read)
    reader.start()
    makers = [
        threading.Thread(target=lambda t=t: [drive.mkdir(f"/{t}-{n}") for n in range(10)])
        for t in range(4)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    done.set()
    reader.join()
    read_through = [no for no, _, _ in changes(drive)]
    assert found == read_through[: len(found)]


def test_no_change_overtakes_one_that_was_told_before(drive):
    node = drive.mkdir("/a")
    times = {"created_ns": node.created_ns, "modified_ns": node.modified_ns}
    told, made = threading.Event(), threading.Event()
    overtaken = []

    def slow(connection):
        journal.append(connection, {"did": "touch", "node": node.no, **times})
        told.set()
        overtaken.append(made.wait(0.5))

    def quick():
        told.wait()
        drive.mkdir("/b")
        made.set()

    thread = threading.Thread(target=quick)
    thread.start()
    drive.db.write(slow)
    thread.join()
    assert overtaken == [False]


@pytest.fixture
def crowd(drive):
    """So many nodes that PostgreSQL looks nodes up by index, as in any drive that is used."""
    number = 10**9
    drive.mkdir("/crowd")
    rows = [
        {"no": number + n, "parent": drive.node("/crowd").no, "name": f"{n}", "owner": "ada"}
        | {"version": None, "created_ns": 1, "modified_ns": 1}
        for n in range(30_000)
    ]
    drive.db.write(lambda c: c.execute(insert(nodes), rows))
    drive.db.write(lambda c: c.execute(text("ANALYZE nodes")))
    yield
    drive.db.write(lambda c: c.execute(delete(nodes).where(nodes.c.no >= number)))


def test_a_copy_is_told_before_what_changed_its_source_meanwhile(drive, crowd, monkeypatch):
    """The fixture replays: a copy is told as "all below", so what it was has to be so then."""
    drive.mkdir("/from")
    for name in "abc":
        drive.save(f"/from/{name}", b"old")
    append, reached, go_on = journal.append, threading.Event(), threading.Event()

    def slow(connection, change, **options):
        if change["did"] == "copy":
            reached.set()
            go_on.wait(20)
        append(connection, change, **options)

    monkeypatch.setattr(journal, "append", slow)
    copying = threading.Thread(target=drive.copy, args=("/from", "/to"))
    saving = threading.Thread(target=drive.save, args=("/from/a", b"new"))
    copying.start()
    assert reached.wait(20)
    saving.start()
    saving.join(0.5)
    go_on.set()
    copying.join()
    saving.join()
    assert (drive.read("/to/a"), drive.read("/from/a")) == (b"old", b"new")
