"""`tgdav account`, `store add telegram` and what `status` tells of them, on a test server."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import refused
from tests.serving import Serving, command, serving
from tests.telegram_drive import NUMBERS, add_account, settings, telegram_drive
from tests.telegram_server.process import TelegramServer


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def drive(telegram: TelegramServer, tmp_path: Path) -> Iterator[Serving]:
    """A served drive that knows the server, and has no account yet."""
    data = tmp_path / "drive"
    data.mkdir()
    (data / "tgdav.toml").write_text(settings(telegram, cached=True))
    with serving(data) as server:
        yield server


def new_phone(telegram: TelegramServer, **more: Any) -> str:
    phone = f"+99968{next(NUMBERS):06d}"
    telegram.control("add_user", phone=phone, **more)
    return phone


def accounts(data: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(command("account", "list", "--json", data=data))
    return listed


# ---- accounts come and go


def test_a_user_a_bot_and_a_session_log_in(telegram: TelegramServer, drive: Serving):
    data = drive.data
    phone = new_phone(telegram, password="their password")
    said = command("account", "add", "--phone", phone, data=data, stdin="12345\ntheir password\n")
    assert said == "account 1 added\n"
    token = telegram.control("add_bot", name="packs_bot")["token"]
    command("account", "add", "--bot-token-stdin", data=data, stdin=token)
    add_account(telegram, data)
    user, bot, session = accounts(data)
    assert [account["kind"] for account in (user, bot, session)] == ["user", "bot", "user"]
    assert (user["label"], bot["label"]) == (f"{phone[:3]}…{phone[-2:]}", "@packs_bot")
    assert phone not in command("account", "list", data=data)
    assert b"their password" not in (data / "drive.db").read_bytes()


def test_a_new_login_of_the_same_user_keeps_its_number(telegram: TelegramServer, drive: Serving):
    phone = new_phone(telegram)
    for _ in range(2):
        said = command("account", "add", "--phone", phone, data=drive.data, stdin="12345\n")
        assert said == "account 1 added\n"
    assert len(accounts(drive.data)) == 1


def test_a_session_is_added_once(telegram: TelegramServer, drive: Serving):
    user = telegram.control("add_user", phone=f"+99968{next(NUMBERS):06d}")["user_id"]
    session = telegram.control("session", account=user)
    command("account", "add", "--session-stdin", data=drive.data, stdin=session)
    code, said = refused("account", "add", "--session-stdin", data=drive.data, stdin=session)
    assert (code, said) == (65, "tgdav: account 1 has this session already")


@pytest.mark.parametrize("is_served", [True, False])
def test_an_account_is_checked_and_removed(
    telegram: TelegramServer, drive: Serving, is_served: bool
):
    user = add_account(telegram, drive.data)
    if not is_served:
        drive.stop()
    telegram.control("log_out", account=user)
    (shown,) = json.loads(command("account", "check", "1", "--json", data=drive.data))
    if not is_served:
        assert (shown["asked_now"], shown["state"]) == (True, "logged out")
        assert shown["trouble"]
    assert refused("account", "check", "7", data=drive.data)[0] == 65
    assert refused("account", "remove", "7", "--yes", data=drive.data)[0] == 65
    command("account", "remove", "1", "--yes", data=drive.data)
    assert accounts(drive.data) == []


# ---- bad input


def test_what_telegram_does_not_accept_is_a_sentence(telegram: TelegramServer, drive: Serving):
    phone, banned = new_phone(telegram), new_phone(telegram)
    telegram.control("phone_state", phone=banned, trouble="banned")
    attempts = [
        (("--phone", phone), "1\n2\n3\n", 77, "the code is wrong"),
        (("--phone", banned), "", 77, "banned"),
        (("--session-stdin",), "garbage", 77, "no string session"),
        (("--bot-token-stdin",), "garbage", 77, "a bot's token looks like"),
        (("--bot-token-stdin",), "1:garbage", 77, "not accepted"),
    ]
    for arguments, stdin, code, part in attempts:
        found, said = refused("account", "add", *arguments, data=drive.data, stdin=stdin)
        assert (found, part in said) == (code, True), said
    assert accounts(drive.data) == []


def test_without_a_program_number_nothing_is_asked(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        for arguments in (("account", "add"), ("store", "add", "telegram", "--create", "packs")):
            code, said = refused(*arguments, data=data, stdin="+999\n")
            assert (code, "my.telegram.org" in said) == (78, True)
        assert len(json.loads(command("store", "list", "--json", data=data))) == 2
        server.stop()


def test_without_the_network_it_says_so(telegram: TelegramServer, drive: Serving):
    drive.stop()
    file = drive.data / "tgdav.toml"
    host, port = telegram.server
    file.write_text(file.read_text().replace(f"{host}:{port}", "127.0.0.1:1"))
    code, said = refused("account", "add", "--phone", "+9996812", data=drive.data)
    assert (code, said) == (75, "tgdav: Telegram cannot be reached")


# ---- stores


@pytest.mark.parametrize("is_served", [True, False])
def test_a_store_that_cannot_be_is_not_there(
    telegram: TelegramServer, drive: Serving, is_served: bool
):
    if not is_served:
        drive.stop()
    before = json.loads(command("store", "list", "--json", data=drive.data))
    code, said = refused("store", "add", "telegram", "--create", "packs", data=drive.data)
    assert (code, "tgdav account add" in said) == (1, True)
    add_account(telegram, drive.data)
    code, said = refused("store", "add", "telegram", "--channel", "424242", data=drive.data)
    assert (code, "no account is in channel 424242" in said) == (1, True)
    after = json.loads(command("store", "list", "--json", data=drive.data))
    assert [store for store in after if store["state"] != "gone"] == before


@pytest.mark.parametrize("is_served", [True, False])
def test_a_channel_is_made_and_the_folder_drained_into_it(
    telegram: TelegramServer, drive: Serving, is_served: bool
):
    data = drive.data
    content = os.urandom(3 << 20)
    assert drive.request("PUT", "/large", content)[0] == 201
    command("flush", data=data)
    add_account(telegram, data)
    if not is_served:
        drive.stop()
    command("store", "add", "telegram", "--create", "packs", data=data)
    told = json.loads(command("store", "drain", "1", "--json", data=data))
    assert told["packs"] == 1
    assert list((data / "store").glob("??/*.pack")) == []
    if not is_served:
        drive.start()
    assert drive.request("PUT", "/more", os.urandom(100_000))[0] == 201
    command("flush", data=data)
    assert drive.request("GET", "/large")[2] == content
    time.sleep(3)  # the accounts tell what they did every two seconds
    facts = json.loads(command("status", "--json", data=data))
    (account,), (channel,) = facts["accounts"], facts["channels"]
    assert facts["messages_sent"] == account["messages"] == 2
    assert account["sent_bytes_today"] > len(content)
    assert (channel["title"], channel["state"]) == ("packs", "active")
    assert channel["room"] + channel["messages"] == 500_000
    assert facts["oldest_unflushed_s"] == facts["spool_bytes"] == 0
    said = command("status", data=data)
    assert "account 1" in said
    assert "channel 1" in said


def test_a_telegram_store_is_drained_into_a_folder(telegram: TelegramServer, tmp_path: Path):
    other = tmp_path / "other"
    with telegram_drive(telegram, tmp_path / "drive") as made:
        data = made.serving.data
        content = os.urandom(3 << 20)
        assert made.serving.request("PUT", "/large", content)[0] == 201
        command("flush", data=data)
        command("store", "add", "directory", str(other), data=data)
        stores = json.loads(command("store", "list", "--json", data=data))
        no = next(store["no"] for store in stores if store["kind"] == "telegram")
        command("store", "drain", str(no), data=data)
        assert len(list(other.glob("??/*.pack"))) >= 1
        assert made.serving.request("GET", "/large")[2] == content
