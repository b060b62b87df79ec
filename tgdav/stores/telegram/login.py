"""Logging in: by phone and code, by a bot's token, by a session that exists.

Ends with a session that is logged in and not connected, or leaves nothing. Says in one
sentence what Telegram does not accept. Runs on the event loop; what is asked of a person
is asked in another thread.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from telethon import TelegramClient, errors
from telethon.sessions import StringSession
from telethon.tl.functions.users import GetUsersRequest
from telethon.tl.types import InputUserSelf

from tgdav.errors import LoginRefused, StoreBusy
from tgdav.stores.telegram.errors import NO_ANSWER
from tgdav.stores.telegram.network import Network

TRIES = 3
"""Codes and passwords that may be typed before the login ends."""

Ask = Callable[[], str]

_WHY: dict[type[Exception], str] = {
    errors.ApiIdInvalidError: "telegram.api_id and api_hash are not accepted",
    errors.ApiIdPublishedFloodError: "telegram.api_id is a published one: get your own",
    errors.PhoneNumberInvalidError: "that is no phone number that Telegram knows",
    errors.PhoneNumberUnoccupiedError: "no account has this phone number",
    errors.PhoneNumberBannedError: "this phone number is banned by Telegram",
    errors.PhoneNumberFloodError: "too many codes were asked for this number: try tomorrow",
    errors.PhonePasswordFloodError: "too many logins with this number: try tomorrow",
    errors.PhoneCodeExpiredError: "the code has expired: begin again for a new one",
    errors.PhoneCodeInvalidError: f"the code is wrong, {TRIES} times: begin again for a new one",
    errors.PasswordHashInvalidError: f"the password is wrong, {TRIES} times",
    errors.AccessTokenInvalidError: "the bot's token is not accepted",
    errors.AccessTokenExpiredError: "the bot's token has expired",
    errors.AuthKeyUnregisteredError: "this session is not logged in any more",
    errors.AuthKeyDuplicatedError: "this session is in use elsewhere, and dead by that",
    errors.SessionRevokedError: "this session was ended by its owner",
    errors.SessionExpiredError: "this session has expired",
    errors.UserDeactivatedError: "this account was deleted",
    errors.UserDeactivatedBanError: "this account is banned by Telegram",
    errors.AuthKeyNotFound: "Telegram does not know this session",
}


@dataclass(frozen=True, slots=True)
class Login:
    """Who has logged in."""

    session: str = field(repr=False)
    kind: Literal["user", "bot"]
    user_id: int
    label: str
    premium: bool


async def by_phone(network: Network, phone: str, ask_code: Ask, ask_password: Ask) -> Login:
    """Log a user in. Raises `LoginRefused`, `StoreBusy`."""
    async with _client(network) as client:
        sent = await client.send_code_request(phone)

        async def sign_in() -> None:
            code = (await asyncio.to_thread(ask_code)).strip()
            if not code:
                raise errors.PhoneCodeInvalidError(None)
            await client.sign_in(phone, code, phone_code_hash=sent.phone_code_hash)

        async def give_password() -> None:
            await client.sign_in(password=await asyncio.to_thread(ask_password))

        try:
            await _tried(sign_in, errors.PhoneCodeInvalidError)
        except errors.SessionPasswordNeededError:
            await _tried(give_password, errors.PasswordHashInvalidError)
        return await _login(client)


async def by_token(network: Network, token: str) -> Login:
    """Log a bot in. Raises `LoginRefused`, `StoreBusy`."""
    if ":" not in token:
        raise LoginRefused("a bot's token looks like 123456:ABC…")
    async with _client(network) as client:
        await client.sign_in(bot_token=token)
        return await _login(client)


async def by_session(network: Network, session: str) -> Login:
    """See who a session belongs to. Raises `LoginRefused`, `StoreBusy`."""
    key_in(session)
    async with _client(network, session) as client:
        return await _login(client)


def key_in(session: str) -> bytes:
    """The key that is the login. Raises `LoginRefused` if it is no string session."""
    try:
        key = StringSession(session).auth_key
    except Exception as error:  # whatever its parts make struct, base64 and ipaddress raise
        raise LoginRefused("that is no string session of Telethon's") from error
    if key is None:
        raise LoginRefused("that string session is not logged in")
    return bytes(key.key)


@contextlib.asynccontextmanager
async def _client(network: Network, session: str = "") -> AsyncIterator[TelegramClient]:
    client = network.client(session)
    try:
        with _said():
            await client.connect()
            yield client
    finally:
        await client.disconnect()


async def _tried(work: Callable[[], Any], wrong: type[Exception]) -> None:
    """Do `work` again while what was typed is wrong."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(wrong):
            await work()
            return
    await work()


async def _login(client: TelegramClient) -> Login:
    # Not `get_me`, which takes a banned account for one that has not logged in.
    (me,) = await client(GetUsersRequest([InputUserSelf()]))
    return Login(
        session=client.session.save(),
        kind="bot" if me.bot else "user",
        user_id=me.id,
        label=f"@{me.username}" if me.bot else _masked(me.phone or ""),
        premium=bool(me.premium),
    )


def _masked(phone: str) -> str:
    """Enough of a number for its owner to know it by."""
    digits = phone.removeprefix("+")
    return f"+{digits[:2]}…{digits[-2:]}" if len(digits) > 6 else "a user"


@contextlib.contextmanager
def _said() -> Any:
    """Telegram's refusals as sentences."""
    try:
        yield
    except tuple(_WHY) as error:
        raise LoginRefused(_WHY[type(error)]) from error
    except errors.FloodError as error:
        wait_s = float(getattr(error, "seconds", 0) or 3600)
        raise StoreBusy(f"Telegram wants {wait_s:.0f} s to pass before that", wait_s) from error
    except errors.RPCError as error:
        raise LoginRefused(f"Telegram says {error.message or type(error).__name__}") from error
    except NO_ANSWER as error:
        raise StoreBusy("Telegram cannot be reached", 60) from error
