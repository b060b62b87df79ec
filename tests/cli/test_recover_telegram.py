"""A drive that Telegram alone keeps comes back by one login and the key."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import refused
from tests.serving import Serving, command
from tests.telegram_drive import TelegramDrive, add_account, settings, telegram_drive
from tests.telegram_server.process import TelegramServer

pytestmark = pytest.mark.timeout(300)

FILES = 12
ALL = ("recover", "--store", "telegram", "all", "--session-stdin", "--json")


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def content(number: int) -> bytes:
    return random.Random(number).randbytes(3000 * number)


def save_some(drive: TelegramDrive, numbers: range) -> None:
    for number in numbers:
        assert drive.serving.request("PUT", f"/{number}", content(number))[0] in (201, 204)


def empty_folder(telegram: TelegramServer, folder: Path) -> Path:
    folder.mkdir()
    (folder / "tgdav.toml").write_text(settings(telegram, cached=False))
    return folder


def recover(
    telegram: TelegramServer, user: int, data: Path, words: Path, *store: str
) -> dict[str, Any]:
    session = telegram.control("session", account=user)
    arguments = ("recover", *store, "--session-stdin", "--json") if store else ALL
    told = command(*arguments, "--key-file", str(words), data=data, stdin=session)
    facts: dict[str, Any] = json.loads(told)
    return facts


def channels_by_store(facts: dict[str, Any]) -> list[list[str]]:
    """The titles of each store's channels."""
    stores: dict[int, list[str]] = {}
    for channel in facts["channels"]:
        stores.setdefault(channel["store"], []).append(channel["title"])
    return sorted(stores.values())


@pytest.fixture
def lost(telegram: TelegramServer, tmp_path: Path) -> Iterator[tuple[Path, int, list[list[str]]]]:
    """The key's words, a user id, and the titles of the channels of a machine that is gone."""
    data, words = tmp_path / "drive", tmp_path / "words"
    eager = {"TGDAV_STORE_FLUSH_AGE_S": "0.05", "TGDAV_STORE_COPIES": "2"}
    with telegram_drive(
        telegram, data, users=2, variables=eager, channel_messages=10, cached=True
    ) as drive:
        command("store", "add", "telegram", "--create", "copies", data=data)
        drive.serving.request("MKCOL", "/d%C3%BC/")
        for number in range(FILES):
            save_some(drive, range(number, number + 1))
            drive.serving.request("MOVE", f"/{number}", Destination=f"/d%C3%BC/{number}")
            if number == FILES // 2:
                command("snapshot", data=data)
            drive.await_flush()
        drive.serving.stop()
        command("snapshot", data=data)
        words.write_text(json.loads(command("key", "show", "--yes", "--json", data=data))["key"])
        titles = channels_by_store(drive.facts())
        shutil.move(data, tmp_path / "old")
        yield words, drive.accounts[1], titles


def test_a_lost_machine_comes_back_from_its_channels_and_goes_on_there(
    telegram: TelegramServer, lost: tuple[Path, int, list[list[str]]], tmp_path: Path
):
    words, user, titles = lost
    assert [each[:2] for each in titles] == [["copies", "copies 2"], ["packs", "packs 2"]]
    again = empty_folder(telegram, tmp_path / "again")
    require_refusals(telegram, user, words, again, tmp_path)
    facts = recover(telegram, user, again, words)
    assert (facts["epoch"], facts["unsaved"], facts["lost_blocks"]) == (2, 0, 0)
    assert (facts["notes"], facts["absent_channels"], facts["findings"]) == ([], [], {})
    status = json.loads(command("status", "--json", data=again))
    assert channels_by_store(status) == titles
    server = Serving(again).start()
    for number in range(FILES):
        assert server.request("GET", f"/d%C3%BC/{number}")[2] == content(number)
    assert server.request("PUT", "/new", b"new")[0] == 201
    command("flush", data=again)
    assert json.loads(command("status", "--json", data=again))["spool_bytes"] == 0
    add_account(telegram, again)
    assert server.stop() == 0
    old = Serving(tmp_path / "old").start()
    assert old.request("PUT", "/new", b"of another history")[0] == 503
    assert old.request("GET", "/d%C3%BC/3")[2] == content(3)
    old.stop()


def require_refusals(
    telegram: TelegramServer, user: int, words: Path, again: Path, tmp_path: Path
) -> None:
    """What opens nothing is refused, and nothing is written by that."""
    session = telegram.control("session", account=user)
    stranger = telegram.control("add_user", phone="+99969000001")["user_id"]
    theirs = telegram.control("session", account=stranger)
    attempts = [
        (theirs, "all", words, 1, "none of the accounts' channels has packs"),
        (theirs, "1234567", words, 1, "no account is in channel 1234567"),
        (session, "packs", words, 1, "is no channel's id"),
        ("garbage", "all", words, 77, "no string session"),
        (session, "all", tmp_path / "strange", 77, "opens none of"),
    ]
    (tmp_path / "strange").write_text(key_of_another_drive(tmp_path / "other"))
    for stdin, where, key, code, part in attempts:
        arguments = ("recover", "--store", "telegram", where, "--session-stdin")
        found, said = refused(*arguments, "--key-file", str(key), data=again, stdin=stdin)
        assert (found, part in said) == (code, True), said
    assert sorted(each.name for each in again.iterdir()) == ["serving.lock", "tgdav.toml"]


def key_of_another_drive(data: Path) -> str:
    server = Serving(data).start()
    server.stop()
    key: str = json.loads(command("key", "show", "--yes", "--json", data=data))["key"]
    return key


def test_a_channel_that_is_named_is_enough_without_a_head(telegram: TelegramServer, tmp_path: Path):
    data, words = tmp_path / "drive", tmp_path / "words"
    with telegram_drive(telegram, data) as drive:
        save_some(drive, range(4))
        command("flush", data=data)
        drive.serving.kill()
        words.write_text(json.loads(command("key", "show", "--yes", "--json", data=data))["key"])
    (user,) = drive.accounts
    sent = telegram.control("messages")
    channel = next(each["channel"] for each in reversed(sent) if each["file_name"])
    again = empty_folder(telegram, tmp_path / "again")
    facts = recover(telegram, user, again, words, "--store", "telegram", str(channel))
    assert (facts["lost_blocks"], facts["findings"]) == (0, {})
    server = Serving(again).start()
    assert server.request("GET", "/3")[2] == content(3)
    assert server.request("PUT", "/new", b"new")[0] == 201
    command("flush", data=again)
    server.stop()
