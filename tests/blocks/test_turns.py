"""Whose turn it is, when the work takes longer than a lease lasts."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete

from tests.blocks.room import FIRST_STORE, KEYS, KIB, SPOOL, Room, content, until
from tests.blocks.test_draining import extents, first, second, shut_during
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.flushing.draining import AT_ONCE
from tgdav.blocks.form.pack import read_pack
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import leases, packs
from tgdav.blocks.turns import Turn
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.errors import DatabaseBusy
from tgdav.stores.base import Locator
from tgdav.stores.packfile import PackSink

__all__ = ["extents", "first", "second"]

LEASE_S = 0.5


@pytest.fixture
def turn(db: Database) -> Turn:
    return Turn(db, "job", LEASE_S)


def taken(db: Database, name: str) -> Leases:
    """Another process's leases, among them this one, whoever had it."""
    other = Leases(db)
    db.write(lambda connection: connection.execute(delete(leases).where(leases.c.name == name)))
    assert other.acquire(name, 60)
    return other


def sent(store: FaultyStore) -> list[bytes]:
    """The ids of the blocks in all packs of the store."""
    ids: list[bytes] = []
    for listed in store.scan():

        def read(offset: int, size: int, pack: Any = listed.locator) -> bytes:
            return store.read(pack, offset, size)

        ids += [entry.block_id for entry in read_pack(read, listed.size, KEYS).entries]
    return ids


def in_thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def test_it_is_kept_for_as_long_as_the_work_takes(db: Database, turn: Turn) -> None:
    other = Turn(db, "job", LEASE_S)
    done: list[str] = []

    def work() -> None:
        time.sleep(3 * LEASE_S)
        other.offer(lambda: done.append("there"))
        done.append("here")

    turn.offer(work)
    assert done == ["here"]
    turn.wait(lambda: True, work)
    assert done == ["here", "here"]
    other.offer(lambda: done.append("there"))
    assert done == ["here", "here", "there"]


def test_who_has_lost_it_is_told(db: Database, turn: Turn) -> None:
    def work() -> None:
        assert not turn.is_lost
        other = taken(db, "job")
        until(lambda: turn.is_lost)
        other.release("job")

    turn.offer(work)
    turn.offer(work)


def test_a_lease_that_could_not_be_renewed_in_time_is_lost(
    db: Database, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have had it, and given it back, before it was renewed again."""
    acquire, over = Leases.acquire, time.monotonic() + 3 * LEASE_S

    def slow(leases: Leases, name: str, for_s: float) -> bool:
        if threading.current_thread().name == "job" and time.monotonic() < over:
            raise DatabaseBusy("away")
        return acquire(leases, name, for_s)

    def work() -> None:
        monkeypatch.setattr(Leases, "acquire", slow)
        until(lambda: turn.is_lost)
        other = Leases(db)
        until(lambda: acquire(other, "job", 60))  # who has it errs on the safe side
        other.release("job")
        time.sleep(3 * LEASE_S)
        assert turn.is_lost

    turn.offer(work)


def test_who_waits_for_it_has_it_to_the_end(db: Database, turn: Turn) -> None:
    others: list[Leases] = []

    def work() -> None:
        others.append(Leases(db) if others else taken(db, "job"))
        time.sleep(LEASE_S)

    waiting = in_thread(turn.wait, lambda: True, work)
    until(lambda: len(others) == 1)
    time.sleep(1)
    assert len(others) == 1
    assert waiting.is_alive()
    others[0].release("job")
    waiting.join(20)
    assert len(others) == 2


# ---- what is flushed in it


def test_gateways_send_each_block_once_however_long_it_takes(room: Room) -> None:
    room.log_folder = None
    vaults = [room.open(in_stores=True, sizes={"lease_s": LEASE_S}) for _ in range(3)]
    for vault in vaults:
        vault.require_current()
    room.store.delay_s = 5 * LEASE_S

    def save(vault: Vault, seed: int) -> None:
        with vault.writer(30 * KIB) as writer:
            writer.write(content(30 * KIB, seed))
            draft = writer.finish()
            room.db.write(lambda connection: vault.adopt(connection, draft))

    for saving in [in_thread(save, vault, seed) for seed, vault in enumerate(vaults)]:
        saving.join(60)
    room.store.heal()
    ids = sent(room.store)
    assert len(ids) == len(set(ids)) > 3


class Thief:
    """Takes a lease when it is called first, and stays until whoever had it must know."""

    def __init__(self, db: Database, name: str) -> None:
        self._db = db
        self._name = name
        self._lock = threading.Lock()
        self._leases: Leases | None = None

    def __call__(self) -> None:
        with self._lock:
            if not self._leases:
                self._leases = taken(self._db, self._name)
                time.sleep(0.5)

    @property
    def has_it(self) -> bool:
        return self._leases is not None

    def give_back(self) -> None:
        assert self._leases
        self._leases.release(self._name)


def test_who_has_lost_it_packs_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    extents = [room.save(content(30 * KIB, seed)) for seed in range(8)]
    thief, plain = Thief(room.db, "pack"), PackSink.keep

    def keep(sink: PackSink) -> Locator:
        thief()
        return plain(sink)

    monkeypatch.setattr(PackSink, "keep", keep)
    flushing = in_thread(room.vault.flush)
    until(lambda: room.rows(packs) == 1)
    time.sleep(1)
    assert room.rows(packs) == 1
    thief.give_back()
    flushing.join(20)
    assert room.rows(packs) == room.store.puts == 2
    for seed, kept in enumerate(extents):
        assert room.read(kept) == content(30 * KIB, seed)


def test_who_has_lost_it_delivers_no_more(room: Room) -> None:
    room.open(sizes={"deliveries": 1, "deliveries_most": 1})
    room.save(content(300 * KIB))
    thief = Thief(room.db, f"spool {SPOOL}")
    shut_during(room.store, "put", thief)
    flushing = in_thread(room.vault.flush)
    until(lambda: room.store.puts == 1)
    time.sleep(1)
    assert room.store.puts == 1
    thief.give_back()
    flushing.join(20)
    assert room.store.puts == room.rows(packs) == 3


def test_who_has_lost_it_drains_no_more(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    thief = Thief(room.db, "drain")
    shut_during(first, "read", thief)
    room.vault.begin_drain(FIRST_STORE)
    draining = in_thread(room.vault.drain, FIRST_STORE)
    until(lambda: thief.has_it)
    time.sleep(2)
    assert len(first.reads) <= AT_ONCE
    thief.give_back()
    draining.join(20)
    assert room.state(FIRST_STORE) == "gone"
