import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from tests.contracts.store import StoreContract, captions, content, in_threads, pack_id
from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.base import Locator
from tgdav.stores.directory import MARKER, DirectoryStore
from tgdav.stores.packfile import TRAILER, caption_in, trailer_of

LONG_AGO = (1_000_000_000, 1_000_000_000)


class TestDirectoryStore(StoreContract):
    @contextmanager
    def make_store(self) -> Iterator[DirectoryStore]:
        with TemporaryDirectory() as folder:
            yield DirectoryStore.make(Path(folder) / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> DirectoryStore:
    return DirectoryStore.make(folder)


def files(folder: Path) -> list[str]:
    """What lies in the shelves, part or whole."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("??/*"))


# Files and formats.


def test_golden_bytes_of_a_pack_file(store: DirectoryStore, folder: Path):
    locator = store.put(bytes(range(0xA0, 0xB0)), b"sealed", "tgdav1 pack")
    assert locator == "a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeaf.pack"
    assert (folder / locator).read_bytes() == b"sealedtgdav1 pack" + bytes(237) + b"tgdavcp1"
    assert files(folder) == [locator]


@settings(max_examples=50, deadline=None)
@given(caption=captions)
def test_a_trailer_gives_its_caption_back(caption: str):
    trailer = trailer_of(caption)
    assert len(trailer) == TRAILER
    assert caption_in(trailer) == caption


@pytest.mark.parametrize("caption", ["x" * 201, "ü"])
def test_a_caption_that_does_not_fit_is_refused_and_leaves_nothing(
    store: DirectoryStore, folder: Path, caption: str
):
    with pytest.raises(ValueError, match=r"caption|ascii"):
        store.put(pack_id(1), b"1", caption)
    assert files(folder) == []


def test_a_damaged_caption_harms_no_block(store: DirectoryStore, folder: Path):
    locator = store.put(pack_id(1), content(1), "a caption")
    with (folder / locator).open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"???")
    assert store.read(locator, 0, 1000) == content(1)
    assert [(listed.caption, listed.size) for listed in store.scan()] == [("", 1000)]


def test_a_file_cut_off_has_fewer_bytes_and_a_put_makes_it_whole(
    store: DirectoryStore, folder: Path
):
    locator = store.put(pack_id(1), content(1), "a caption")
    for length, left in ((700, 700 - TRAILER), (100, None), (0, None)):
        os.truncate(folder / locator, length)
        assert store.probe(locator) == left
        with pytest.raises(ReplicaMissing):
            store.read(locator, 0, 1000)
        assert store.put(pack_id(1), content(1), "a caption") == locator
        assert store.read(locator, 0, 1000) == content(1)


def test_a_bad_sector_is_that_pack_s_and_no_other_s(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """The store is there, and so is the folder; only these bytes are not."""
    locator = store.put(pack_id(1), b"12345", "")

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in ("pread", "preadv"):
        monkeypatch.setattr(os, name, fail)
    for read in (
        lambda: store.read(locator, 0, 5),
        lambda: store.read_into(locator, 0, memoryview(bytearray(5))),
    ):
        with pytest.raises(ReplicaMissing, match="cannot be read: Input/output error"):
            read()
    (folder / MARKER).unlink()
    with pytest.raises(StoreError, match="is its disk mounted") as told:
        store.read(locator, 0, 5)
    assert not isinstance(told.value, ReplicaMissing)


def test_what_others_put_in_the_folder_is_left_alone(store: DirectoryStore, folder: Path):
    locator = store.put(bytes.fromhex("ab01"), content(1), "")
    for name in ("lost+found/x", "ab/notes.txt", "ab/cd01.pack", "ab/._ab01.pack", "AB/AB02.pack"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
    (folder / "lost+found").chmod(0)
    # What is deleted between its name and its size is met like this link.
    (folder / "ab/abff.pack").symlink_to("not there")
    assert [listed.locator for listed in store.scan()] == [locator]
    assert store.used() == 1000 + TRAILER


@pytest.mark.parametrize(
    "locator",
    [
        "",
        "ab",
        "ab/",
        "../secret.pack",
        "ab/../secret.pack",
        "ab/../../ab/ab.pack",
        "/etc/passwd",
        "ab/cdef.pack",
        "ab/ABCD.pack",
        "ab/abcd",
        "ab/abcd.pack\n",
        "ab/abcd.pack/..",
        "ab/ab\0.pack",
    ],
)
def test_a_locator_leads_nowhere_but_to_a_pack(
    store: DirectoryStore, folder: Path, locator: Locator
):
    (folder / "ab").mkdir()
    for path in ("secret.pack", "ab/abcd", "../secret.pack"):
        (folder / path).write_bytes(bytes(1000))
    before = sorted(folder.parent.rglob("*"))
    assert store.probe(locator) is None
    for read in (lambda: store.read(locator, 0, 1), lambda: store.mapped(locator)):
        with pytest.raises(ReplicaMissing):
            read()
    store.delete([locator])
    assert sorted(folder.parent.rglob("*")) == before


def test_a_mapped_pack_outlives_its_deletion(store: DirectoryStore):
    locator = store.put(pack_id(1), content(1, 100_000), "")
    empty = store.put(pack_id(2), b"", "")
    mapped = store.mapped(locator)
    store.delete([locator, empty])
    assert mapped == content(1, 100_000)
    with pytest.raises(ReplicaMissing):
        store.mapped(locator)


def test_files_are_for_the_owner_only(store: DirectoryStore, folder: Path):
    locator = store.put(pack_id(1), b"1", "")
    modes = {path: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes[folder] == modes[(folder / locator).parent] == 0o700
    assert modes[folder / locator] == modes[folder / MARKER] == 0o600


def test_two_stores_on_one_folder_see_each_other_at_once(store: DirectoryStore, folder: Path):
    other = DirectoryStore(folder)
    locator = store.put(pack_id(1), content(1), "")
    assert other.read(locator, 0, 1000) == content(1)
    store.delete([locator])
    assert other.probe(locator) is None
    with pytest.raises(ReplicaMissing):
        other.read(locator, 0, 1)
    assert other.put(pack_id(1), content(1), "") == locator
    assert store.read(locator, 0, 1000) == content(1)


# A folder that is not there.


CALLS: dict[str, Callable[[DirectoryStore, Locator], object]] = {
    "put": lambda store, _: store.put(pack_id(2), content(2), ""),
    "put again": lambda store, _: store.put(pack_id(1), content(1), ""),
    "create": lambda store, _: store.create(pack_id(2), ""),
    "read": lambda store, locator: store.read(locator, 0, 1),
    "mapped": lambda store, locator: store.mapped(locator),
    "probe": lambda store, locator: store.probe(locator),
    "delete": lambda store, locator: store.delete([locator]),
    "scan": lambda store, _: next(store.scan()),
    "used": lambda store, _: store.used(),
    "sweep": lambda store, _: store.sweep(),
}


def refuses(call: Callable[[], object]) -> str:
    """What the `StoreError` says that `call` raises."""
    with pytest.raises(StoreError) as told:
        call()
    assert not isinstance(told.value, ReplicaMissing)
    return str(told.value)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("unmounted", ["gone", "empty"])
def test_a_folder_that_vanished_is_no_empty_store(
    store: DirectoryStore, folder: Path, name: str, unmounted: str
):
    locator = store.put(pack_id(1), content(1), "")
    folder.rename(folder.with_name("away"))
    if unmounted == "empty":
        folder.mkdir()
    assert str(folder) in refuses(lambda: CALLS[name](store, locator))
    if unmounted == "empty":
        assert list(folder.iterdir()) == []
        folder.rmdir()
    folder.with_name("away").rename(folder)
    CALLS[name](store, locator)


def test_a_folder_that_was_not_there_at_start_works_when_it_comes(folder: Path):
    store = DirectoryStore(folder)
    refuses(lambda: store.put(pack_id(1), content(1), ""))
    assert not folder.exists()
    DirectoryStore.make(folder)
    locator = store.put(pack_id(1), content(1), "")
    assert store.read(locator, 0, 1000) == content(1)


def test_a_folder_that_vanishes_during_a_scan_ends_it_with_an_error(
    store: DirectoryStore, folder: Path
):
    for n in range(3):
        store.put(pack_id(n), content(n), "")
    scan = store.scan()
    next(scan)
    folder.rename(folder.with_name("away"))
    refuses(lambda: next(scan))


def test_a_pack_in_the_making_when_the_folder_vanishes_is_not_kept(
    store: DirectoryStore, folder: Path
):
    with store.create(pack_id(1), "") as sink:
        sink.write(b"some")
        folder.rename(folder.with_name("away"))
        folder.mkdir()
        refuses(sink.keep)
    assert list(folder.iterdir()) == []


def test_a_store_is_made_where_nothing_was_and_where_one_is(tmp_path: Path):
    folder = tmp_path / "not" / "there" / "yet"
    locator = DirectoryStore.make(folder).put(pack_id(1), content(1), "")
    assert DirectoryStore.make(folder).read(locator, 0, 1000) == content(1)


def test_where_no_store_can_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    assert "file" in refuses(lambda: DirectoryStore.make(tmp_path / "file" / "store"))


# How much there is.


def test_used_counts_what_is_kept(store: DirectoryStore, folder: Path):
    assert store.used() == 0
    first = store.put(pack_id(1), bytes(1000), "")
    second = store.put(pack_id(2), bytes(500), "")
    store.put(pack_id(2), bytes(500), "")
    assert store.used() == DirectoryStore(folder).used() == 1500 + 2 * TRAILER
    os.truncate(folder / second, 600)
    again = DirectoryStore(folder)
    assert again.used() == 1000 + TRAILER + 600
    again.put(pack_id(2), bytes(500), "")
    again.delete([first, first])
    assert again.used() == DirectoryStore(folder).used() == 500 + TRAILER


def test_used_holds_when_many_put_and_delete(store: DirectoryStore, folder: Path):
    def work(thread: int) -> None:
        for n in range(20):
            locator = store.put(pack_id(thread % 4), bytes(100 * (thread % 4)), "")
            assert store.used() >= 0
            if n % 3 == 0:
                store.delete([locator])

    in_threads(work)
    assert store.used() == DirectoryStore(folder).used()


def test_close_waits_for_a_put(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch):
    fsync, begun, go_on = os.fsync, threading.Event(), threading.Event()

    def slow_fsync(descriptor: int) -> None:
        begun.set()
        assert go_on.wait(20)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    with ThreadPoolExecutor() as threads:
        putting = threads.submit(store.put, pack_id(1), content(1), "")
        assert begun.wait(20)
        closing = threads.submit(store.close)
        with pytest.raises(TimeoutError):
            closing.result(0.1)
        go_on.set()
        closing.result(20)
        assert putting.done()
        assert putting.result()


# Packs that another directory store has already.


def test_a_mapped_pack_is_taken_as_the_file_that_it_is(store: DirectoryStore, tmp_path: Path):
    spool = DirectoryStore.make(tmp_path / "spool")
    there = spool.put(pack_id(1), content(1), "tgdav1")
    locator = store.put(pack_id(1), spool.mapped(there), "tgdav1")
    assert os.path.samefile(tmp_path / "spool" / there, tmp_path / "store" / locator)
    spool.delete([there])
    assert store.read(locator, 0, len(content(1))) == content(1)
    assert [listed.caption for listed in store.scan()] == ["tgdav1"]
    assert store.used() == DirectoryStore(tmp_path / "store").used()


@pytest.mark.parametrize("obstacle", ["caption", "part", "disk"])
def test_what_cannot_be_taken_is_copied(
    store: DirectoryStore, tmp_path: Path, obstacle: str, monkeypatch: pytest.MonkeyPatch
):
    spool = DirectoryStore.make(tmp_path / "spool")
    there = spool.put(pack_id(1), content(1), "tgdav1")
    data = spool.mapped(there)
    if obstacle == "disk":

        def link(_source: Path, _target: Path) -> None:
            raise OSError(errno.EXDEV, "another disk")

        monkeypatch.setattr(os, "link", link)
    if obstacle == "part":
        data = data[:100]
    caption = "another" if obstacle == "caption" else "tgdav1"
    locator = store.put(pack_id(1), data, caption)
    assert not os.path.samefile(tmp_path / "spool" / there, tmp_path / "store" / locator)
    assert store.read(locator, 0, len(data)) == data
    assert store.probe(locator) == len(data)
    assert [listed.caption for listed in store.scan()] == [caption]


def test_two_stores_on_one_disk_share_no_file(store: DirectoryStore, tmp_path: Path):
    spool = DirectoryStore.make(tmp_path / "spool")
    there = spool.put(pack_id(1), content(1), "tgdav1")
    for name in ("store", "second"):
        locator = DirectoryStore.make(tmp_path / name).put(
            pack_id(1), spool.mapped(there), "tgdav1"
        )
    assert not os.path.samefile(tmp_path / "store" / locator, tmp_path / "second" / locator)
    assert store.read(locator, 0, 1000) == content(1)


def test_a_cut_off_pack_is_replaced_by_a_mapped_one(store: DirectoryStore, tmp_path: Path):
    spool = DirectoryStore.make(tmp_path / "spool")
    there = spool.put(pack_id(1), content(1), "tgdav1")
    locator = store.put(pack_id(1), b"short", "tgdav1")
    store.put(pack_id(1), spool.mapped(there), "tgdav1")
    assert store.read(locator, 0, len(content(1))) == content(1)
