"""Logging in, and what is said of each way in which that can go wrong."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stores.telegram.rig import API_HASH, API_ID, NUMBERS
from tests.telegram_server.process import TelegramServer
from tgdav.errors import LoginRefused, StoreBusy
from tgdav.stores.telegram.login import Login, by_phone, by_session, by_token, key_in
from tgdav.stores.telegram.loop import EventLoop
from tgdav.stores.telegram.network import Network

CODE, PASSWORD = "12345", "their password"


class Desk:
    """Logs in on the test server, and types what it was told to."""

    def __init__(self, server: TelegramServer, loop: EventLoop) -> None:
        self.server = server
        self.loop = loop
        self.network = Network(API_ID, API_HASH, server.server, server.key_pem)
        self.network.trust()
        self.typed: list[str] = []

    def user(self, **more: Any) -> str:
        phone = f"+99965{next(NUMBERS):06d}"
        self.server.control("add_user", phone=phone, **more)
        return phone

    def types(self, *lines: str) -> Callable[[], str]:
        left = iter(lines)

        def ask() -> str:
            self.typed.append(next(left))
            return self.typed[-1]

        return ask

    def run(self, work: Any) -> Login:
        return self.loop.run(work, 60)

    def phone(self, phone: str, *codes: str, passwords: tuple[str, ...] = ()) -> Login:
        return self.run(by_phone(self.network, phone, self.types(*codes), self.types(*passwords)))


@pytest.fixture
def desk(server: TelegramServer) -> Iterator[Desk]:
    loop = EventLoop()
    yield Desk(server, loop)
    server.control("forget_faults")
    loop.close()


def test_a_phone_and_its_code(desk: Desk):
    phone = desk.user()
    login = desk.phone(phone, CODE)
    assert (login.kind, login.premium) == ("user", False)
    assert login.label == f"+99…{phone[-2:]}"
    assert phone[3:] not in repr(login)
    assert login.session not in repr(login)
    # The session is a login by itself, from now on.
    assert desk.run(by_session(desk.network, login.session)).user_id == login.user_id


def test_a_password_that_is_wrong_first(desk: Desk):
    phone = desk.user(password=PASSWORD)
    login = desk.phone(phone, "99999", CODE, passwords=("wrong", PASSWORD))
    assert login.kind == "user"
    assert desk.typed == ["99999", CODE, "wrong", PASSWORD]


def test_a_phone_that_lives_in_another_data_centre(desk: Desk):
    login = desk.phone(desk.user(home=1), CODE)
    assert desk.run(by_session(desk.network, login.session)).user_id == login.user_id


def test_a_bot(desk: Desk):
    made = desk.server.control("add_bot", name=f"login{next(NUMBERS)}_bot")
    login = desk.run(by_token(desk.network, made["token"]))
    assert (login.kind, login.user_id) == ("bot", made["user_id"])
    assert login.label.startswith("@login")


@pytest.mark.parametrize(
    ("codes", "passwords", "said"),
    [
        (("1", "2", "3"), (), "the code is wrong, 3 times"),
        (("", "", ""), (), "code"),
        ((CODE,), ("a", "b", "c"), "the password is wrong, 3 times"),
    ],
)
def test_what_is_typed_wrong_too_often(
    desk: Desk, codes: tuple[str, ...], passwords: tuple[str, ...], said: str
):
    phone = desk.user(password=PASSWORD)
    with pytest.raises(LoginRefused, match=said):
        desk.phone(phone, *codes, passwords=passwords)


def test_a_code_that_has_expired(desk: Desk):
    phone = desk.user()

    def too_late() -> str:
        desk.server.control("expire_code", phone=phone)
        return CODE

    with pytest.raises(LoginRefused, match="expired"):
        desk.run(by_phone(desk.network, phone, too_late, desk.types()))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("PHONE_NUMBER_BANNED", 400, "banned"),
        ("PHONE_NUMBER_INVALID", 400, "no phone number"),
        ("PHONE_NUMBER_FLOOD", 400, "too many codes"),
        ("API_ID_INVALID", 400, "api_id and api_hash are not accepted"),
        ("API_ID_PUBLISHED_FLOOD", 400, "published"),
        ("NEWS_TO_US", 400, "NEWS_TO_US"),
    ],
)
def test_what_telegram_refuses(desk: Desk, words: str, code: int, said: str):
    phone = desk.user()
    desk.server.control("fail", method="auth.sendCode", code=code, message=words)
    with pytest.raises(LoginRefused, match=said):
        desk.phone(phone, CODE)
    assert desk.typed == []


def test_a_phone_that_nobody_has(desk: Desk):
    with pytest.raises(LoginRefused):
        desk.phone("+4912", CODE)


def test_a_flood_wait_says_how_long(desk: Desk):
    phone = desk.user()
    desk.server.control("fail", method="auth.sendCode", code=420, message="FLOOD_WAIT_4000")
    with pytest.raises(StoreBusy, match="4000 s") as told:
        desk.phone(phone, CODE)
    assert told.value.retry_after_s == 4000


@pytest.mark.parametrize("token", ["", "nonsense", "123:nonsense"])
def test_a_token_that_is_none(desk: Desk, token: str):
    with pytest.raises(LoginRefused, match="token"):
        desk.run(by_token(desk.network, token))


@pytest.mark.parametrize("session", ["", "x", "1", "1abc", "1" + "A" * 352, "2" + "B" * 352])
def test_a_session_that_is_none(desk: Desk, session: str):
    with pytest.raises(LoginRefused):
        key_in(session)
    with pytest.raises(LoginRefused):
        desk.run(by_session(desk.network, session))


def test_a_session_that_was_logged_out(desk: Desk):
    login = desk.phone(desk.user(), CODE)
    desk.server.control("log_out", account=login.user_id)
    with pytest.raises(LoginRefused, match="session"):
        desk.run(by_session(desk.network, login.session))


def test_a_banned_account(desk: Desk):
    login = desk.phone(desk.user(), CODE)
    desk.server.control("ban", account=login.user_id)
    with pytest.raises(LoginRefused, match="banned"):
        desk.run(by_session(desk.network, login.session))


def test_without_a_network(desk: Desk):
    phone = desk.user()
    desk.server.control("refuse_connections", on=True)
    try:
        with pytest.raises(StoreBusy, match="cannot be reached"):
            desk.phone(phone, CODE)
    finally:
        desk.server.control("refuse_connections", on=False)
