"""What the trial of accounts and channels tells, as `tgdav verify accounts` prints it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.maintenance.telegram_ward import TelegramWard, telegram_ward
from tests.telegram_server.process import TelegramServer


@pytest.fixture(scope="module")
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def ward(server: TelegramServer, tmp_path: Path) -> Iterator[TelegramWard]:
    with telegram_ward(server, tmp_path / "drive") as ward:
        yield ward


def test_all_is_well_and_nothing_stays_behind(ward: TelegramWard):
    ward.fill()
    before = ward.messages(0), ward.messages(1)
    found = ward.drive.verify()
    assert found["troubles"] == []
    assert [account["asked_now"] for account in found["accounts"]] == [True] * 3
    for channel in found["channels"]:
        assert channel["members"] == channel["admins"] == channel["canary"] == [1, 2, 3]
        assert channel["messages"] + channel["room"] == 500_000
    assert len(found["channels"]) == 2
    assert (ward.messages(0), ward.messages(1)) == before
    assert ward.found() == set()


def test_each_trouble_is_a_sentence(ward: TelegramWard):
    ward.server.control("ban", account=ward.users[1])
    ward.server.control("log_out", account=ward.users[2])
    ward.server.control("admit", channel=ward.channel(0), account=ward.users[3], admin=False)
    ward.server.control("delete_channel", channel=ward.channel(1))
    found = ward.drive.verify()
    said = "\n".join(found["troubles"])
    assert "account 1 (" in said
    assert ") is banned: USER_DEACTIVATED_BAN" in said
    assert ") is logged out: SESSION_REVOKED; tgdav account add logs it in again" in said
    assert "channel 2 (packs of 1) is out of reach for every account" in said
    assert "account 3 may not post in channel 1 (packs of 0)" in said
    assert "channel 1 (packs of 0) has 0 accounts that may post, of 2" in said
    states = [account["state"] for account in found["accounts"]]
    assert states == ["banned", "logged out", "active"]


def test_an_account_that_cannot_read_is_told_of(ward: TelegramWard):
    ward.server.control(
        "fail", method="upload.getFile", code=420, message="FLOOD_WAIT_300", times=50,
        account=ward.users[2],
    )  # fmt: skip
    found = ward.drive.verify()
    ward.server.control("forget_faults")
    assert {told.partition(" did not read from ")[0] for told in found["troubles"]} <= {
        "account 2",
        *(told for told in found["troubles"] if "has to wait" in told),
    }
    assert [channel["canary"] for channel in found["channels"]] == [[1, 3], [1, 3]]


def test_where_nobody_may_post_that_is_told(ward: TelegramWard):
    for user in ward.users.values():
        ward.server.control("peer_flood", account=user)
    found = ward.drive.verify()
    assert [channel["canary"] for channel in found["channels"]] == [[], []]
    assert sum("took no pack" in told for told in found["troubles"]) == 2


def test_an_account_alone_is_too_few(server: TelegramServer, tmp_path: Path):
    with telegram_ward(server, tmp_path / "drive", users=1) as ward:
        found = ward.drive.verify()
        assert len(found["troubles"]) == 2
        assert all("has 1 accounts that may post, of 2" in told for told in found["troubles"])
        assert [channel.no for channel in ward.drive.left_short(1)] == [1, 2]


def test_channels_that_an_account_leaves_short_are_known(ward: TelegramWard):
    assert ward.drive.left_short(1) == []
    ward.drive.ledger.remove_account(1)
    assert [channel.no for channel in ward.drive.left_short(2)] == [1, 2]
