"""Accounts and logins: to have them, and what befalls them. Accounts are named by user id."""

from typing import Any

from telethon.crypto import AuthKey
from telethon.sessions import StringSession

from tests.telegram_server.state.accounts import CODE, digits
from tests.telegram_server.state.password import Password
from tests.telegram_server.state.state import State
from tests.telegram_server.verbs.verb import verb

MONTH = 30 * 86_400


@verb
def add_user(
    state: State,
    phone: str,
    password: str | None = None,
    premium: bool = False,
    home: int = 2,
    code: str = CODE,
) -> dict[str, Any]:
    _require_centre(state, home)
    account = state.accounts.add_user(phone, home)
    account.premium, account.code = premium, code
    account.password = Password(password) if password else None
    return {"user_id": account.user_id, "phone": account.phone, "code": code}


@verb
def add_bot(state: State, name: str, home: int = 2) -> dict[str, Any]:
    _require_centre(state, home)
    account = state.accounts.add_bot(name, home)
    return {"user_id": account.user_id, "token": account.token}


@verb
def session(state: State, account: int, data_centre: int | None = None) -> str:
    """A new login, as a Telethon string session. In a foreign data centre: exported there."""
    if state.mint_key is None:
        raise ValueError("there is no wire to make keys")
    who = state.accounts.of(account)
    caller, key = state.mint_key(who.home)
    login = state.logins.begin(caller, who)
    if data_centre not in {None, who.home}:
        caller, key = state.mint_key(data_centre)
        state.logins.join(caller, login)
    kept = StringSession()
    kept.set_dc(caller.data_centre, state.host, state.data_centres[caller.data_centre])
    kept.auth_key = AuthKey(key)
    return kept.save()


@verb
def accounts(state: State) -> list[dict[str, Any]]:
    return [
        {
            "user_id": one.user_id,
            "name": one.name,
            "phone": one.phone,
            "is_bot": one.is_bot,
            "home": one.home,
            "logins": len(state.logins.of(one)),
            "is_banned": one.is_banned,
            "frozen_until": one.frozen_until,
        }
        for one in state.accounts
    ]


@verb
def ban(state: State, account: int) -> None:
    """USER_DEACTIVATED_BAN for its logins, PHONE_NUMBER_BANNED for its phone."""
    state.accounts.of(account).is_banned = True


@verb
def freeze(state: State, account: int, until: float | None = None) -> None:
    """FROZEN_METHOD_INVALID for what it writes; USER_DEACTIVATED from `until` (seconds) on."""
    who, now = state.accounts.of(account), int(state.clock.now())
    who.frozen_since, who.frozen_until = now, int(until or now + MONTH)


@verb
def peer_flood(state: State, account: int, on: bool = True) -> None:
    """PEER_FLOOD for its messages, USER_RESTRICTED for the channels that it would make."""
    state.accounts.of(account).is_spammer = on


@verb
def restrict(state: State, account: int, channel: int, on: bool = True) -> None:
    """CHAT_WRITE_FORBIDDEN in that channel."""
    forbidden = state.accounts.of(account).forbidden
    if on:
        forbidden.add(channel)
    else:
        forbidden.discard(channel)


@verb
def pardon(state: State, account: int) -> None:
    """Undo bans, freezes, restrictions, and all that counts toward a flood wait."""
    who = state.accounts.of(account)
    who.is_banned = who.is_spammer = False
    who.frozen_since = who.frozen_until = 0
    who.forbidden.clear()
    state.limits.forgive(who)


@verb
def fresh(state: State, account: int, on: bool = True) -> None:
    """R: FRESH_CHANGE_ADMINS_FORBIDDEN for the admins that it would make; for how long is U."""
    state.accounts.of(account).is_fresh = on


@verb
def private(state: State, account: int, on: bool = True) -> None:
    """Nobody may add it to a channel; links let it in."""
    state.accounts.of(account).is_private = on


@verb
def premium(state: State, account: int, on: bool = True) -> None:
    state.accounts.of(account).premium = on


@verb
def log_out(state: State, account: int, message: str = "SESSION_REVOKED") -> int:
    """End all of its logins, as from another device; how many there were."""
    logins = state.logins.of(state.accounts.of(account))
    for login in logins:
        state.logins.end(login, 401, message)
    return len(logins)


@verb
def forget_exported(state: State, account: int) -> None:
    """AUTH_KEY_UNREGISTERED in the data centres that are not its home, and only there."""
    for login in state.logins.of(state.accounts.of(account)):
        state.logins.forget_exports(login)


@verb
def expire_code(state: State, phone: str) -> None:
    """PHONE_CODE_EXPIRED for the code that the phone was sent last."""
    state.codes.expire(phone)


@verb
def phone_state(state: State, phone: str, trouble: str | None) -> None:
    """What is wrong with it: "banned", "flood", "invalid", or nothing."""
    _set(state.accounts.phone_states, digits(phone), trouble, {"banned", "flood", "invalid"})


@verb
def api_state(state: State, api_id: int, trouble: str | None) -> None:
    """What is wrong with an api_id: "invalid", "published", or nothing. Told at a new login."""
    _set(state.accounts.api_states, api_id, trouble, {"invalid", "published"})


def _set(states: dict[Any, str], key: object, trouble: str | None, known: set[str]) -> None:
    if trouble is None:
        states.pop(key, None)
    elif trouble in known:
        states[key] = trouble
    else:
        raise ValueError(f"{trouble!r} is none of {', '.join(sorted(known))}")


def _require_centre(state: State, home: int) -> None:
    if home not in state.data_centres:
        raise ValueError(f"no data centre {home}")
