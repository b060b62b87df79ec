"""account.*: the password to be asked for, the logins there are, and when all of it ends."""

import secrets

from telethon.tl import types
from telethon.tl.functions import account

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.logins import Login
from tests.telegram_server.state.password import Password


@answers(account.GetPasswordRequest, anybody=True)
def get_password(call: Call, _: account.GetPasswordRequest) -> types.account.Password:
    asked = call.standing.awaiting or call.account
    told = types.account.Password(
        new_algo=Password("").algorithm,
        new_secure_algo=types.SecurePasswordKdfAlgoSHA512(secrets.token_bytes(8)),
        secure_random=secrets.token_bytes(256),
    )
    if asked.password:
        challenge = call.standing.challenge = asked.password.ask()
        told.has_password = True
        told.current_algo = asked.password.algorithm
        told.srp_id, told.srp_B = challenge.srp_id, challenge.public
    return told


@answers(account.GetAuthorizationsRequest, users_only=True)
def get_authorizations(
    call: Call, _: account.GetAuthorizationsRequest
) -> types.account.Authorizations:
    rows = [_row(call, login) for login in call.state.logins.of(call.account)]
    return types.account.Authorizations(call.account.session_ttl_days, rows)


@answers(account.ResetAuthorizationRequest, users_only=True)
def reset_authorization(call: Call, request: account.ResetAuthorizationRequest) -> bool:
    for login in call.state.logins.of(call.account):
        if login.hash == request.hash and login is not call.login:
            call.state.logins.end(login, 401, "SESSION_REVOKED")
            return True
    raise RpcError(400, "HASH_INVALID")


@answers(account.GetAccountTTLRequest, users_only=True)
def get_account_ttl(call: Call, _: account.GetAccountTTLRequest) -> types.AccountDaysTTL:
    return types.AccountDaysTTL(call.account.ttl_days)


@answers(account.SetAccountTTLRequest, users_only=True)
def set_account_ttl(call: Call, request: account.SetAccountTTLRequest) -> bool:
    call.account.ttl_days = _days(request.ttl.days, 30, 730)
    return True


@answers(account.SetAuthorizationTTLRequest, users_only=True)
def set_authorization_ttl(call: Call, request: account.SetAuthorizationTTLRequest) -> bool:
    call.account.session_ttl_days = _days(request.authorization_ttl_days, 1, 366)
    return True


@answers(account.UpdateStatusRequest, users_only=True)
def update_status(_: Call, __: account.UpdateStatusRequest) -> bool:
    return True


def _days(days: int, least: int, most: int) -> int:
    if not least <= days <= most:
        raise RpcError(400, "TTL_DAYS_INVALID")
    return days


def _row(call: Call, login: Login) -> types.Authorization:
    is_current = login is call.login
    return types.Authorization(
        hash=0 if is_current else login.hash,
        device_model="unknown",
        platform="",
        system_version="",
        api_id=1,
        app_name="",
        app_version="",
        date_created=telling.date(login.began),
        date_active=telling.date(login.used),
        ip="127.0.0.1",
        country="",
        region="",
        current=is_current or None,
    )
