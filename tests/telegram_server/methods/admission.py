"""Who is let in: what is checked of every request before its method sees it."""

from tests.telegram_server.caller import Caller
from tests.telegram_server.methods.method import Call, Method
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.logins import Login, Standing
from tests.telegram_server.state.state import State


def admit(state: State, caller: Caller, connection: int, method: Method) -> Call:
    """The call, if it may be made. Raises `RpcError`: wrong key, account or place."""
    standing = state.logins.standing(caller)
    if standing.refusal:
        raise RpcError(*standing.refusal.args)
    if standing.login and not method.name.startswith("upload."):
        state.logins.speak(caller, connection)
    if not method.anybody:
        login = _living(standing, state.clock.now())
        _require_place(caller, login, method)
        _require_standing(state, login, method)
        login.used = state.clock.now()
    return Call(state, caller, standing)


def _living(standing: Standing, now: float) -> Login:
    login = standing.login
    if login is None:
        waits = standing.awaiting is not None
        raise RpcError(401, "SESSION_PASSWORD_NEEDED" if waits else "AUTH_KEY_UNREGISTERED")
    if login.account.is_banned:
        raise RpcError(401, "USER_DEACTIVATED_BAN")
    if 0 < login.account.frozen_until <= now:
        raise RpcError(401, "USER_DEACTIVATED")  # D: a frozen account is deleted then
    if login.ended:
        raise RpcError(*login.ended.args)
    return login


def _require_place(caller: Caller, login: Login, method: Method) -> None:
    home = login.account.home
    if caller.data_centre != home and not method.is_anywhere:
        raise RpcError(303, f"USER_MIGRATE_{home}")


def _require_standing(state: State, login: Login, method: Method) -> None:
    account = login.account
    if account.is_bot and method.users_only:
        raise RpcError(400, "BOT_METHOD_INVALID")
    if account.frozen_until and method.writes:
        raise RpcError(420, "FROZEN_METHOD_INVALID")
    state.limits.call(account, method.name)
