"""Packs that a directory store is given as they grow, and those that died on the way."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.contracts.store import THREADS, content, in_threads, pack_id
from tests.stores.test_directory import files, folder, store
from tgdav.stores.base import Locator
from tgdav.stores.directory import DirectoryStore

LONG_AGO = (1_000_000_000, 1_000_000_000)
__all__ = ["folder", "store"]


def test_a_pack_is_seen_when_it_is_kept_and_not_before(store: DirectoryStore, folder: Path):
    with store.create(pack_id(1), "a caption") as sink:
        for start in range(0, 1000, 300):
            sink.write(content(1)[start : start + 300])
            assert list(store.scan()) == []
        locator = sink.keep()
    assert store.read(locator, 0, 1000) == content(1)
    assert [listed.caption for listed in store.scan()] == ["a caption"]
    assert files(folder) == [locator]


def test_a_pack_that_is_not_kept_leaves_nothing(store: DirectoryStore, folder: Path):
    with store.create(pack_id(1), "") as sink:
        sink.write(b"some")
    assert files(folder) == []

    def write_and_fail() -> None:
        with store.create(pack_id(2), "") as sink:
            sink.write(b"some")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert files(folder) == []


def test_no_file_stays_open(store: DirectoryStore):
    before = os.listdir("/proc/self/fd")
    locator = store.put(pack_id(1), content(1), "")
    mapped = store.mapped(locator)
    store.read(locator, 0, 1000)
    store.probe(locator)
    next(store.scan())
    store.sweep()
    with store.create(pack_id(2), "") as sink:
        sink.write(b"some")
    del mapped
    assert os.listdir("/proc/self/fd") == before


def test_many_packs_grow_at_once(store: DirectoryStore):
    start = threading.Barrier(THREADS)

    def work(thread: int) -> Locator:
        with store.create(pack_id(thread), str(thread)) as sink:
            start.wait()
            for _ in range(50):
                sink.write(content(thread))
            return sink.keep()

    for thread, locator in enumerate(in_threads(work)):
        assert store.read(locator, 0, 50_000) == content(thread) * 50
    assert {listed.caption for listed in store.scan()} == {str(n) for n in range(THREADS)}


HALF_WRITTEN = """
import sys
from pathlib import Path
from tgdav.stores.directory import DirectoryStore
with DirectoryStore(Path(sys.argv[1])).create(b"abc", "") as sink:
    sink.write(b"half")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_sweep_removes_what_the_dead_left_and_nothing_of_the_living(
    store: DirectoryStore, folder: Path
):
    kept = store.put(pack_id(1), content(1), "")
    writing = subprocess.Popen(
        [sys.executable, "-c", HALF_WRITTEN, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == b"written\n"
        (theirs,) = folder.glob("??/.*.part")
        os.utime(theirs, LONG_AGO)
        with store.create(pack_id(2), "") as sink:
            (ours,) = set(folder.glob("??/.*.part")) - {theirs}
            os.utime(ours, LONG_AGO)
            store.sweep()
            assert theirs.exists()
            locator = sink.keep()
        writing.kill()
    store.sweep()
    assert files(folder) == sorted([kept, locator])


def test_sweep_removes_what_somebody_left_a_moment_ago(store: DirectoryStore, folder: Path):
    """Whoever starts right after a crash finds it, and not only the next start."""
    locator = store.put(pack_id(1), content(1), "")
    (folder / locator).with_name(".ab.12345678.part").touch()
    store.sweep()
    assert files(folder) == [locator]


def test_a_part_that_is_swept_before_it_is_locked_is_begun_anew(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    locked = fcntl.flock
    swept: list[Path] = []

    def sweep_first(descriptor: int, how: int) -> None:
        if not swept:
            swept.extend(folder.glob("??/.*.part"))
            swept[0].unlink()
        locked(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    locator = store.put(pack_id(1), content(1), "")
    assert len(swept) == 1
    assert store.read(locator, 0, len(content(1))) == content(1)
    assert files(folder) == [locator]


def test_what_a_put_left_when_it_was_killed_goes_with_the_next_put(folder: Path):
    locator = DirectoryStore.make(folder).put(pack_id(1), content(1), "")
    half = (folder / locator).with_name(f".{pack_id(1).hex()}.12345678.part")
    half.write_bytes(b"half")
    (folder / locator).unlink()
    again = DirectoryStore(folder)
    assert again.put(pack_id(1), content(1), "") == locator
    assert files(folder) == [locator]


def test_where_files_cannot_be_locked_sweep_goes_by_age(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.create(pack_id(1), "") as sink:
        store.sweep()
        locator = sink.keep()
    part = (folder / locator).with_name(".ab.12345678.part")
    part.touch()
    os.utime(part, LONG_AGO)
    store.sweep()
    assert files(folder) == [locator]
