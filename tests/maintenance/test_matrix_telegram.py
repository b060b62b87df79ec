"""Damage in Telegram, what fsck and scrub say of it, repair, and that they say nothing then."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import invariants
from tests.blocks.room import content
from tests.maintenance.telegram_ward import TelegramWard, telegram_ward
from tests.maintenance.ward import KIB
from tests.telegram_server.process import TelegramServer


@pytest.fixture(scope="module")
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def ward(server: TelegramServer, tmp_path: Path) -> Iterator[TelegramWard]:
    with telegram_ward(server, tmp_path / "drive") as ward:
        yield ward
        invariants.check(ward.db)


Said = set[tuple[str, str]]


class Damage(NamedTuple):
    do: Callable[[TelegramWard], Said]
    """Does it; what fsck is to say: kinds, and which."""
    is_read: bool = False
    """True if it shows only when the bytes are read: scrub finds it, not fsck."""


def first(ward: TelegramWard) -> tuple[int, str]:
    """A message of the first store, and how its replica is called."""
    message = ward.message()
    return message, f"pack {ward.pack_of(message)}, store {ward.stores[0]}"


def short(ward: TelegramWard) -> tuple[str, str]:
    return "pack_short", f"pack {ward.pack_of(ward.message())}: 1 of 2"


def delete_message(ward: TelegramWard) -> Said:
    message, name = first(ward)
    ward.server.control("delete_message", channel=ward.channel(), id=message)
    return {("replica_missing", f"{name}: {ward.channel()}/{message}, 0 bytes")}


def truncate(ward: TelegramWard) -> Said:
    message, name = first(ward)
    ward.server.control("truncate", channel=ward.channel(), id=message, size=108)
    return {("replica_truncated", f"{name}: {ward.channel()}/{message}, 100 bytes")}


def truncate_unsaid(ward: TelegramWard) -> Said:
    message, name = first(ward)
    ward.server.control("truncate", channel=ward.channel(), id=message, size=2000, announced=False)
    return {("replica_suspect", name), short(ward)}


def flip_a_bit(ward: TelegramWard) -> Said:
    message, name = first(ward)
    ward.server.control("flip_bit", channel=ward.channel(), id=message, byte=500)
    return {("replica_suspect", name), short(ward)}


def lose_file(ward: TelegramWard) -> Said:
    message, name = first(ward)
    ward.server.control("lose_file", channel=ward.channel(), id=message)
    return {("replica_suspect", name), short(ward)}


def lose_channel(ward: TelegramWard) -> Said:
    _, name = first(ward)
    said = {("replica_suspect", name), short(ward)}
    ward.server.control("delete_channel", channel=ward.channel())
    (no,) = (channel.no for channel in ward.drive.ledger.channels(ward.stores[0]))
    return said | {("channel_lost", f"channel {no}, store {ward.stores[0]}: 1 packs")}


def ban(ward: TelegramWard) -> Said:
    ward.server.control("ban", account=ward.users[1])
    ward.drive.reach.telegram.check()
    return {("account_dead", "account 1: banned, 2 channels")}


def log_out(ward: TelegramWard) -> Said:
    ward.server.control("log_out", account=ward.users[2])
    ward.drive.reach.telegram.check()
    return {("account_dead", "account 2: logged out, 2 channels")}


def copy_message(ward: TelegramWard) -> Said:
    message, name = first(ward)
    size = ward.column("SELECT size FROM packs")[0]
    copy = ward.server.control("copy_message", channel=ward.channel(), id=message)
    return {("replica_double", f"{name}: {ward.channel()}/{copy}, {size} bytes")}


def copy_message_and_flip(ward: TelegramWard) -> Said:
    """The recorded one is cut off; the copy shares its file, so both are."""
    message, name = first(ward)
    copy = ward.server.control("copy_message", channel=ward.channel(), id=message)
    ward.server.control("truncate", channel=ward.channel(), id=message, size=108)
    told = f"{name}: {ward.channel()}"
    return {
        ("replica_truncated", f"{told}/{message}, 100 bytes"),
        ("replica_double", f"{told}/{copy}, 100 bytes"),
    }


def lose_rows(ward: TelegramWard) -> Said:
    """As in a database that is older than the stores, for content that no file has yet."""
    before = {message["id"] for message in ward.messages()}
    draft = ward.drive.vault.writer(200 * KIB)
    with draft as writer:
        writer.write(content(200 * KIB, 77))
        made = writer.finish()
    ward.db.write(lambda connection: ward.drive.vault.adopt(connection, made))
    ward.drive.vault.flush()
    (new,) = (m["id"] for m in ward.messages() if m["id"] not in before)
    no = ward.pack_of(new)
    (size,) = ward.column(f"SELECT size FROM packs WHERE no = {no}")
    said = {
        ("pack_unknown", f"store {store}: {ward.channel(at)}/{ward.messages(at)[-1]['id']}, "
         f"{size} bytes")
        for at, store in enumerate(ward.stores)
    }  # fmt: skip
    ward.harm(
        f"DELETE FROM blocks WHERE pack = {no}",
        f"DELETE FROM replicas WHERE pack = {no}",
        f"DELETE FROM packs WHERE no = {no}",
    )
    return said


def lose_replica_row(ward: TelegramWard) -> Said:
    message, name = first(ward)
    said = short(ward)
    size = ward.column("SELECT size FROM packs")[0]
    ward.harm(f"DELETE FROM replicas WHERE store = {ward.stores[0]}")
    return {said, ("replica_stray", f"{name}: {ward.channel()}/{message}, {size} bytes")}


def add_replica_row(ward: TelegramWard) -> Said:
    no, store = ward.pack_of(ward.message()), ward.add_store()
    locator = f"{ward.channel(2)}/4711"
    ward.harm(f"INSERT INTO replicas VALUES ({no}, {store}, '{locator}', 'sound', 0)")
    return {("replica_missing", f"pack {no}, store {store}: {locator}, 0 bytes")}


def mistake_the_message(ward: TelegramWard) -> Said:
    """The row names another message than the one that has the pack."""
    message, name = first(ward)
    size = ward.column("SELECT size FROM packs")[0]
    wrong = f"{ward.channel()}/4711"
    ward.harm(f"UPDATE replicas SET locator = '{wrong}' WHERE store = {ward.stores[0]}")
    return {
        ("replica_missing", f"{name}: {wrong}, 0 bytes"),
        ("replica_double", f"{name}: {ward.channel()}/{message}, {size} bytes"),
    }


DAMAGES = {
    "deleted message": Damage(delete_message),
    "truncated document": Damage(truncate),
    "truncated document that tells its old size": Damage(truncate_unsaid, is_read=True),
    "flipped bit": Damage(flip_a_bit, is_read=True),
    "file that Telegram has lost": Damage(lose_file, is_read=True),
    "lost channel": Damage(lose_channel),
    "banned account": Damage(ban),
    "account logged out": Damage(log_out),
    "stray replica": Damage(copy_message),
    "two replicas, both cut off": Damage(copy_message_and_flip),
    "pack that no row mentions": Damage(lose_rows),
    "missing row": Damage(lose_replica_row),
    "extra row": Damage(add_replica_row),
    "row of another message": Damage(mistake_the_message),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_said_repaired_and_gone(ward: TelegramWard, name: str):
    damage = DAMAGES[name]
    ward.fill()
    said = damage.do(ward)
    if damage.is_read:
        assert ward.found() == set()
        assert ward.scrub().bad_count == 1
    assert {(found.kind, found.what) for found in ward.findings()} == said
    assert {(found.kind, found.what) for found in ward.findings()} == said
    assert ward.contents_are_there()
    done = ward.repair()
    assert (done.trouble, done.short, done.lost) == ("", 0, [])
    assert ward.findings() == []
    scrubbed = ward.scrub()
    assert (scrubbed.bad_count, scrubbed.out_of_reach) == (0, 0)
    assert ward.contents_are_there()
    again = ward.repair()
    assert (again.tidied, again.adopted, again.mended, again.doubles) == (0, 0, 0, 0)


def test_each_copy_has_a_channel_and_an_owner_of_its_own(ward: TelegramWard):
    ward.fill()
    told = {one["channel"]: one for one in ward.server.control("channels")}
    mine = [told[ward.channel(at)] for at in range(2)]
    assert len({one["creator"] for one in mine}) == 2
    for one in mine:
        assert set(one["admins"]) == set(ward.users.values())
