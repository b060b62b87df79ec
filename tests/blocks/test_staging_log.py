"""Blocks staged in files: durable when a row says so, gone when a pack has them."""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.blocks.room import KIB, Room, content, until
from tgdav.blocks.form.draft import Logged
from tgdav.blocks.local.staging_log import StagingLog
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import blocks, mislaid, packs, staged
from tgdav.db import Database
from tgdav.errors import ContentLost, DatabaseBusy, DiskFull, ReplicaMissing, StoreError
from tgdav.maintenance.fsck import fsck

FULL = 10 * KIB


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Numbers]:
    with contextlib.closing(
        Database.open(f"sqlite:///{tmp_path_factory.mktemp('log') / 'drive.db'}")
    ) as database:
        yield Numbers(database, "log")


@pytest.fixture
def log(tmp_path: Path, numbers: Numbers) -> Iterator[StagingLog]:
    with contextlib.closing(StagingLog(tmp_path / "staging", numbers, FULL)) as made:
        yield made


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "staging").iterdir())


def read(log: StagingLog, logged: Logged) -> bytes:
    target = bytearray(logged.size)
    log.read_into(logged, memoryview(target))
    return bytes(target)


def nobody() -> set[int]:
    return set()


def missing(room: Room) -> list[int]:
    """The blocks that fsck misses in the log."""
    found = fsck(room.vault.workshop)
    return sorted(each.number for each in found if each.kind == "staged_missing")


def require_tidy(room: Room) -> None:
    """No file is left when a pack was made of it."""
    room.save(content(100, seed=99))
    room.vault.flush()
    assert files(room.folder) == []


@settings(deadline=None)  # a disk syncs
@given(sizes=st.lists(st.integers(1, 7 * KIB), min_size=1, max_size=12))
def test_what_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, numbers: Numbers, sizes: list[int]
):
    folder = tmp_path_factory.mktemp("log")
    with contextlib.closing(StagingLog(folder / "staging", numbers, FULL)) as log:
        kept = [(log.append(content(size, n)), content(size, n)) for n, size in enumerate(sizes)]
        log.sync([logged for logged, _ in kept])
        assert all(read(log, logged) == data for logged, data in kept)
        assert all(path.stat().st_size < FULL + 7 * KIB for path in (folder / "staging").iterdir())


def test_a_file_goes_when_no_save_relies_on_it_and_no_row_names_it(log: StagingLog, tmp_path: Path):
    first, second = log.append(b"one"), log.append(b"two")
    log.let_go([first])
    log.tidy(nobody)
    assert read(log, second) == b"two"
    log.let_go([second])
    log.tidy(lambda: {second.log})
    assert read(log, first) == b"one"
    log.tidy(nobody)
    assert files(tmp_path) == []
    with pytest.raises(ReplicaMissing, match="not there"):
        read(log, first)
    assert log.append(b"three").log != first.log


def test_what_is_appended_while_rows_are_looked_at_stays(log: StagingLog):
    log.let_go([log.append(b"before")])
    late: list[Logged] = []

    def looking() -> set[int]:
        late.append(log.append(b"published meanwhile"))
        log.let_go(late)
        return set()  # as it was before

    log.tidy(looking)
    assert read(log, late[0]) == b"published meanwhile"


def test_another_process_s_files_are_left_alone_until_it_is_dead(
    log: StagingLog, tmp_path: Path, numbers: Numbers
):
    other = StagingLog(tmp_path / "staging", numbers, FULL)
    (tmp_path / "staging" / "readme.log").touch()
    theirs = log.append(b"theirs")
    log.let_go([theirs])
    other.tidy(nobody)
    assert read(other, theirs) == b"theirs"
    log.close()
    other.tidy(lambda: {theirs.log})
    assert read(other, theirs) == b"theirs"
    other.tidy(nobody)
    assert files(tmp_path) == ["readme.log"]
    other.close()


def test_when_nobody_can_say_what_rows_name_a_dead_process_s_files_are_let_go_of(
    log: StagingLog, tmp_path: Path, numbers: Numbers
):
    def away() -> set[int]:
        raise DatabaseBusy("away")

    log.let_go([log.append(b"of a process that dies")])
    log.close()
    with (
        contextlib.closing(StagingLog(tmp_path / "staging", numbers, FULL)) as first,
        contextlib.closing(StagingLog(tmp_path / "staging", numbers, FULL)) as second,
    ):
        with pytest.raises(DatabaseBusy):
            first.tidy(away)
        second.tidy(nobody)
        assert files(tmp_path) == []


def test_a_number_whose_file_is_there_is_passed_over(
    log: StagingLog, tmp_path: Path, numbers: Numbers
):
    """The database was put back from an old copy, and gives it out once more."""
    taken = numbers.take()[0] + 1
    (tmp_path / "staging" / f"{taken}.log").write_bytes(b"of the future")
    assert log.append(b"x").log == taken + 1
    assert (tmp_path / "staging" / f"{taken}.log").read_bytes() == b"of the future"


def test_a_file_that_another_process_takes_for_a_dead_one_s_is_not_used(
    log: StagingLog, tmp_path: Path, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
):
    lock, other = fcntl.flock, StagingLog(tmp_path / "staging", numbers, FULL)

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        other.tidy(nobody)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    logged = log.append(b"x")
    log.sync([logged])
    assert read(log, logged) == b"x"
    other.close()


def test_one_sync_serves_all_who_wait_and_none_that_began_too_early(
    log: StagingLog, monkeypatch: pytest.MonkeyPatch
):
    began: list[set[bytes]] = []
    written: set[bytes] = set()
    sync, gate = os.fdatasync, threading.Event()

    def slow(descriptor: int) -> None:
        began.append(set(written))
        gate.wait(5)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    covered: list[bool] = []

    def save(name: bytes) -> None:
        logged = log.append(name)
        written.add(name)
        asked = len(began)
        log.sync([logged])
        # One that had begun before it was written does not count.
        covered.append(any(name in each for each in began[max(0, asked - 1) :]))

    threads = [threading.Thread(target=save, args=(b"%d" % n,)) for n in range(8)]
    threads[0].start()
    until(lambda: len(began) == 1)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(written) == 8)
    gate.set()
    for thread in threads:
        thread.join()
    assert covered == [True] * 8
    assert len(began) == 2


def test_a_file_that_could_not_be_synced_is_never_believed_again(
    log: StagingLog, monkeypatch: pytest.MonkeyPatch
):
    logged = log.append(b"x")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(StoreError):
            log.sync([logged])
    with pytest.raises(StoreError):
        log.sync([logged])
    fresh = log.append(b"y")
    assert fresh.log != logged.log
    log.sync([fresh])


def test_a_full_disk_is_told_and_relies_on_nothing(
    log: StagingLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(DiskFull):
            log.append(b"x")
    log.tidy(nobody)
    assert files(tmp_path) == []


def test_what_was_cut_off_is_told(log: StagingLog, tmp_path: Path):
    logged = log.append(content(100))
    os.truncate(tmp_path / "staging" / f"{logged.log}.log", 99)
    with pytest.raises(ReplicaMissing, match="ends before 99"):
        read(log, logged)


# ---- in a vault


def test_a_save_of_some_size_is_staged_in_a_file_and_packed_with_others(room: Room):
    data = [content(30 * KIB, n) for n in range(3)]
    saved = [room.save(each) for each in data]
    assert room.rows(packs) == 0
    with room.db.read() as connection:
        in_rows = sum(map(len, connection.scalars(select(staged.c.sealed))))
    assert in_rows < 4 * KIB < 90 * KIB < room.vault.status().staged_bytes
    assert [room.read(extents) for extents in saved] == data
    room.vault.flush()
    assert (room.rows(staged), room.rows(packs)) == (0, 1)
    assert [room.read(extents) for extents in saved] == data
    require_tidy(room)


def test_the_next_process_has_what_was_staged(room: Room):
    saved = room.save(content(30 * KIB))
    room.open()
    assert room.read(saved) == content(30 * KIB)
    room.vault.flush()
    assert room.rows(staged) == 0
    assert room.read(saved) == content(30 * KIB)
    room.vaults[0].close()
    require_tidy(room)


def test_a_save_keeps_its_file_until_it_is_left(room: Room):
    with room.saving(content(30 * KIB)) as draft:
        room.save(b"x")
        room.vault.flush()
        saved = room.publish(draft)
        assert room.read(saved) == content(30 * KIB)
    with room.saving(content(30 * KIB, seed=2)):
        pass
    require_tidy(room)


def test_a_save_given_up_relies_on_no_file(room: Room):
    with room.vault.writer(40 * KIB) as writer:
        writer.write(content(40 * KIB - 1))
    require_tidy(room)


def test_without_a_log_the_database_has_it_all(db: Database, tmp_path: Path):
    room = Room(db, tmp_path)
    room.log_folder = None
    room.open()
    saved = room.save(content(50 * KIB))
    assert room.read(saved) == content(50 * KIB)
    assert sum(room.column(staged.c.sealed_size)) == room.vault.status().staged_bytes > 50 * KIB
    room.vault.flush()
    assert room.read(saved) == content(50 * KIB)
    assert not (tmp_path / "staging").exists()
    room.close()
    room.spool.close()


def test_what_a_log_has_lost_holds_nothing_up_and_is_healed_by_a_save(room: Room):
    """Nobody but a person deletes such a file."""
    lost = room.save(content(30 * KIB))
    for path in (room.folder / "staging").iterdir():
        path.unlink()
    with pytest.raises(ContentLost):
        room.read(lost)
    found = missing(room)
    assert found == room.column(staged.c.block)[: len(found)] != []
    kept = room.save(content(3 * KIB, seed=2))
    room.vault.flush()
    assert room.rows(staged) == 0
    assert missing(room) == found
    assert room.read(kept) == content(3 * KIB, seed=2)
    with pytest.raises(ContentLost):
        room.read(lost)
    again = room.save(content(30 * KIB))
    assert room.read(again) == room.read(lost) == content(30 * KIB)
    room.vault.flush()
    assert room.read(lost) == content(30 * KIB)
    assert None not in room.column(blocks.c.pack)
    assert missing(room) == []
    require_tidy(room)
    assert room.rows(mislaid) == 0


@pytest.mark.parametrize("is_cut", [False, True], ids=["away", "cut"])
def test_a_file_of_the_log_that_is_put_back_is_read_again(room: Room, is_cut: bool):
    """A data folder may come back from a backup in two steps."""
    away = room.save(content(30 * KIB))
    (path,) = (room.folder / "staging").iterdir()
    whole = path.read_bytes()
    path.unlink()
    if is_cut:
        path.write_bytes(whole[:KIB])
    kept = room.save(content(3 * KIB, seed=2))
    room.vault.flush()
    with pytest.raises(ContentLost):
        room.read(away)
    room.open()
    path.write_bytes(whole)
    room.vault.flush()
    assert room.read(away) == content(30 * KIB)
    assert room.read(kept) == content(3 * KIB, seed=2)
    assert missing(room) == []
    assert (room.rows(mislaid), room.rows(staged)) == (0, 0)
    assert None not in room.column(blocks.c.pack)


def test_of_two_that_are_mislaid_the_one_is_saved_anew_and_the_other_put_back(room: Room):
    saved = [room.save(content(30 * KIB, seed)) for seed in (1, 2)]
    (path,) = (room.folder / "staging").iterdir()
    whole = path.read_bytes()
    path.unlink()
    room.vault.flush()
    assert room.save(content(30 * KIB, 1))
    path.write_bytes(whole)
    room.vault.flush()
    assert [room.read(each) for each in saved] == [content(30 * KIB, seed) for seed in (1, 2)]
    assert room.rows(mislaid) == 0
    assert room.vault.status().staged_bytes == 0


def test_saves_of_all_sizes_at_once_are_whole_while_packs_are_made(room: Room):
    room.open(sizes={"pack_size": 64 * KIB, "flush_age_s": 0.02})
    room.vault.start()
    saved: dict[int, object] = {}

    def save(first: int) -> None:
        for n in range(first, 80, 4):
            saved[n] = room.save(content(n * 997 + 1, n))

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, extents in saved.items():
        assert room.read(extents) == content(n * 997 + 1, n)  # type: ignore[arg-type]
    room.vault.flush()
    for n, extents in saved.items():
        assert room.read(extents) == content(n * 997 + 1, n)  # type: ignore[arg-type]
    require_tidy(room)
