"""Damage, what fsck says of it, repair, and that fsck has nothing to say then."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests import invariants
from tests.blocks.room import FIRST_STORE, SECOND_STORE, content
from tests.maintenance.ward import KIB, Ward
from tgdav.blocks.form.pack import caption
from tgdav.blocks.rows.tables import blocks, packs
from tgdav.maintenance.rules import MUST, SHOULD
from tgdav.stores.base import Locator


class Damage(NamedTuple):
    do: Callable[[Ward], None]
    said: set[str]


def delete_message(ward: Ward) -> None:
    ward.kept[0].delete(ward.locators()[:1])


def lose_channel(ward: Ward) -> None:
    ward.kept[0].delete(ward.locators())


def truncate(ward: Ward) -> None:
    locator = ward.locators()[0]
    ward.change(locator, ward.kept[0]._packs[locator][0][:-100])


def flip_a_bit(ward: Ward) -> None:
    ward.flip(ward.locators()[0], 8 * 500)
    assert ward.found() == set()  # fsck reads no blocks
    assert ward.scrub().bad_count == 1


def lose_replica_row(ward: Ward) -> None:
    no = ward.pack_numbers()[0]
    ward.harm(f"DELETE FROM replicas WHERE pack = {no} AND store = {FIRST_STORE}")


def add_replica_row(ward: Ward) -> None:
    store = ward.add_store(9)
    no = ward.pack_numbers()[0]
    ward.harm(f"INSERT INTO replicas VALUES ({no}, 9, 'nowhere', 'sound', 0)")
    assert store.probe(Locator("nowhere")) is None


def lose_store(ward: Ward) -> None:
    ward.add_store(9)
    ward.room.pool.drop(FIRST_STORE)
    ward.harm(f"UPDATE stores SET state = 'gone' WHERE no = {FIRST_STORE}")


def lose_rows_of_packs(ward: Ward) -> None:
    """As in a database that is older than the stores, for content that no file has yet."""
    before = ward.room.column(packs.c.no)
    ward.room.save(content(200 * KIB, 77))
    ward.room.vault.flush()
    new = ", ".join(str(no) for no in ward.room.column(packs.c.no) if no not in before)
    ward.harm(
        f"DELETE FROM blocks WHERE pack IN ({new})",
        f"DELETE FROM replicas WHERE pack IN ({new})",
        f"DELETE FROM packs WHERE no IN ({new})",
    )


def have_it_twice(ward: Ward) -> None:
    locator = ward.locators()[0]
    ward.kept[0]._packs[Locator("again")] = ward.kept[0]._packs[locator]


def have_it_twice_and_one_bad(ward: Ward) -> None:
    have_it_twice(ward)
    ward.flip(ward.locators()[0], 8 * 500)


def add_rows_of_nothing(ward: Ward) -> None:
    ward.harm(
        "INSERT INTO versions VALUES (9001, 'e', 0, '', 0)",
        "INSERT INTO extents VALUES (9002, 0, 10, 1, 0)",
        "INSERT INTO properties VALUES (9003, 'p', 'v')",
        "INSERT INTO intents SELECT digest, 1, 1, 0, 7, NULL, 5 FROM packs LIMIT 1",
        "INSERT INTO staged (block, sealed, sealed_size, staged_ns) SELECT 9004, sealed, 1, 0"
        " FROM (SELECT digest AS sealed FROM packs LIMIT 1) AS found",
    )


def hold_for_nobody(ward: Ward) -> None:
    ward.harm("INSERT INTO holds SELECT pack_id, 1, 5 FROM packs LIMIT 1")


def stage_what_is_packed(ward: Ward) -> None:
    ward.harm(
        "INSERT INTO staged (block, sealed, sealed_size, staged_ns)"
        " SELECT no, block_id, 32, 0 FROM blocks LIMIT 1",
    )


DAMAGES = {
    "deleted message": Damage(delete_message, {"replica_missing"}),
    "lost channel": Damage(lose_channel, {"replica_missing"}),
    "truncated replica": Damage(truncate, {"replica_truncated"}),
    "flipped bit": Damage(flip_a_bit, {"replica_suspect", "pack_short"}),
    "missing row": Damage(lose_replica_row, {"replica_stray", "pack_short"}),
    "extra row": Damage(add_replica_row, {"replica_missing"}),
    "store that is gone": Damage(lose_store, {"replica_of_gone_store", "pack_short"}),
    "stray replicas": Damage(lose_rows_of_packs, {"pack_unknown"}),
    "double replica": Damage(have_it_twice, {"replica_double"}),
    "double and bad": Damage(have_it_twice_and_one_bad, {"replica_double"}),
    "rows of nothing": Damage(
        add_rows_of_nothing,
        {
            "version_without_name",
            "extent_without_version",
            "belonging_without_node",
            "staged_without_block",
            "intent_without_pack",
        },
    ),
    "forgotten hold": Damage(hold_for_nobody, {"hold_expired"}),
    "staged twice": Damage(stage_what_is_packed, {"staged_without_block", "staged_size"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_said_repaired_and_gone(ward: Ward, name: str) -> None:
    damage = DAMAGES[name]
    ward.fill()
    damage.do(ward)
    assert ward.found() == damage.said
    dry = ward.repair(dry_run=True)
    assert ward.found() == damage.said
    done = ward.repair()
    assert (done.tidied, done.adopted, done.doubles) == (dry.tidied, dry.adopted, dry.doubles)
    assert done.trouble == ""
    assert ward.found() == set()
    assert ward.scrub().bad_count == 0
    assert ward.contents_are_there()
    invariants.check(ward.db)
    again = ward.repair()
    assert (again.tidied, again.adopted, again.mended) == (0, 0, 0)


ON_TELEGRAM = {"channel_lost", "account_dead"}
"""What `test_matrix_telegram` damages."""
ROWS = {
    "extent_without_block": "DELETE FROM blocks WHERE no = (SELECT min(block) FROM extents)",
    "block_nowhere": "UPDATE blocks SET pack = NULL, pack_offset = NULL"
    " WHERE no = (SELECT min(block) FROM extents)",
    "block_without_replica": "DELETE FROM replicas",
    "block_out_of_pack": "UPDATE blocks SET pack_offset = 1000000 WHERE no ="
    " (SELECT min(block) FROM extents)",
    "extents_apart": 'UPDATE extents SET "offset" = 1 WHERE "offset" = 0',
    "version_size": "UPDATE versions SET size = size + 1",
    "extent_out_of_block": "UPDATE extents SET block_offset = -1",
    "node_without_version": "DELETE FROM versions WHERE no IN (SELECT version FROM nodes)",
    "node_unreachable": "UPDATE nodes SET parent = 9999 WHERE parent <> 0",
    "root_missing": "UPDATE nodes SET name = 'root' WHERE no = 0",
    "node_below_file": "UPDATE nodes SET parent ="
    " (SELECT min(no) FROM nodes WHERE version IS NOT NULL) WHERE name = 'large'",
    "trashed_unreachable": "UPDATE trashed SET parent = 9999",
    "node_twice": "UPDATE trashed SET no = (SELECT min(no) FROM nodes WHERE no > 0)",
    "history_without_node": "UPDATE history SET node = 9999",
    "kept_without_version": "DELETE FROM versions WHERE no IN (SELECT version FROM history)",
    "packed_ahead": "UPDATE packed SET journal = journal + 1000",
}


@pytest.mark.parametrize("kind", ROWS)
def test_what_only_a_person_can_put_right_is_named_and_left_alone(ward: Ward, kind: str) -> None:
    ward.fill()
    ward.drive.save("/small", content(4 * KIB, 9))  # it has a past from now on
    ward.drive.save("/thrown", content(4 * KIB, 8))
    ward.drive.delete("/thrown")
    ward.room.vault.flush()
    assert ward.found() == set()
    ward.harm(ROWS[kind])
    assert kind in ward.found(scan=False)
    ward.repair(scan=False)
    assert kind in ward.found(scan=False)


def test_every_rule_has_its_damage() -> None:
    tried = set(ROWS).union(*(damage.said for damage in DAMAGES.values()))
    assert {rule.kind for rule in MUST + SHOULD} <= tried | ON_TELEGRAM


def test_foreign_objects_are_ignored(ward: Ward) -> None:
    ward.fill()
    ward.kept[0].put(bytes(16), b"a holiday picture", "hello")
    other = caption(bytes(16), bytes(16), position=1 << 40)
    ward.kept[1].put(bytes(16), b"another drive's", other)
    assert ward.found() == set()
    assert ward.repair().adopted == 0
    assert ward.kept[0].probe(Locator(bytes(16).hex())) == 17


def test_a_stray_that_is_not_whole_is_left_alone(ward: Ward) -> None:
    ward.fill()
    lose_rows_of_packs(ward)
    for store in ward.kept:
        known = set(ward.room.column(packs.c.pack_id))
        for locator in ward.locators(store):
            if bytes.fromhex(locator) not in known:
                ward.flip(locator, 8 * 300, store)
    before = ward.room.rows(blocks)
    done = ward.repair()
    assert (done.adopted, "left alone" in done.trouble) == (0, True)
    assert ward.room.rows(blocks) == before
    assert ward.found() == {"pack_unknown"}


def test_an_adopted_pack_saves_the_upload(ward: Ward) -> None:
    ward.fill()
    lose_rows_of_packs(ward)
    ward.repair()
    before = ward.room.rows(packs)
    extents = ward.room.save(content(200 * KIB, 77))
    ward.room.vault.flush()
    assert ward.room.rows(packs) == before
    assert ward.room.read(extents) == content(200 * KIB, 77)


def test_stores_that_are_ahead_of_the_database_are_told_of(ward: Ward) -> None:
    """A database that was put back says less than the stores have."""
    ward.open(journal=lambda connection, after: (500, b"rows") if after < 500 else (after, b""))
    ward.drive.save("/a", content(5 * KIB, 5))
    ward.room.vault.flush()
    assert ward.found() == {"packed_ahead"}
    ward.harm("DELETE FROM packed", "DELETE FROM blocks", "DELETE FROM extents")
    ward.harm("DELETE FROM nodes WHERE no <> 0", "DELETE FROM versions")
    ward.harm("DELETE FROM replicas", "DELETE FROM packs")
    assert ward.found() == {"pack_unknown", "store_ahead"}
    ward.repair()
    assert ward.found() == {"store_ahead"}


def test_a_store_out_of_reach_is_not_an_empty_one(ward: Ward) -> None:
    ward.fill()
    ward.room.store.is_away = True
    assert ward.found() == {"store_unreachable"}
    assert ward.repair().suspected == 0
    ward.room.store.heal()
    assert ward.found() == set()


def test_what_is_on_its_way_is_no_damage(ward: Ward) -> None:
    ward.drive.save("/a", content(300 * KIB, 5))
    assert ward.found() == set()
    assert ward.repair().mended == 0
    late = lambda: 1 << 62  # noqa: E731
    assert ward.found(clock=late) == {"pack_short"}
    assert ward.repair(clock=late).made == 2 * ward.room.rows(packs)
    assert ward.found() == set()


def test_a_page_is_not_the_end(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    from tgdav.blocks.rows import holdings
    from tgdav.maintenance import inventory, losses, tidying

    for module in (holdings, losses, tidying):
        monkeypatch.setattr(module, "PAGE", 1)
    for name in ("_OWED", "_LOST", "_OF_STORE", "_UNVERIFIED"):
        monkeypatch.setattr(holdings, name, getattr(holdings, name).limit(1))
    monkeypatch.setattr(inventory, "LISTED", 1)
    monkeypatch.setattr(inventory, "DOUBTS", 1)
    ward.fill()
    lose_channel(ward)
    ward.repair()
    lose_rows_of_packs(ward)
    ward.kept[0].delete(ward.locators())
    ward.repair()
    assert ward.found() == set()
    assert ward.scrub().replicas == 2 * ward.room.rows(packs)


def test_one_store_is_too_few_for_two_copies(ward: Ward) -> None:
    ward.fill()
    ward.room.pool.drop(SECOND_STORE)
    ward.harm(f"UPDATE stores SET state = 'gone' WHERE no = {SECOND_STORE}")
    done = ward.repair()
    assert done.short == ward.room.rows(packs)
    assert "2 replicas are promised" in done.trouble
    assert ward.found() == {"pack_short"}
    assert len(ward.room.store.reads) < 3 * ward.room.rows(packs)
