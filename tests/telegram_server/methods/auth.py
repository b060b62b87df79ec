"""auth.*: logging in by phone, password, token or another data centre's word; and out."""

import secrets

from telethon.tl import types
from telethon.tl.functions import auth

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account, digits

SignedIn = types.auth.Authorization | types.auth.AuthorizationSignUpRequired


@answers(auth.SendCodeRequest, anybody=True)
def send_code(call: Call, request: auth.SendCodeRequest) -> types.auth.SentCode:
    require_api_id(call, request.api_id)
    return _send_code(call, request.phone_number)


@answers(auth.ResendCodeRequest, anybody=True)
def resend_code(call: Call, request: auth.ResendCodeRequest) -> types.auth.SentCode:
    call.state.codes.require(request.phone_number, request.phone_code_hash)
    return _send_code(call, request.phone_number)


@answers(auth.CancelCodeRequest, anybody=True)
def cancel_code(call: Call, request: auth.CancelCodeRequest) -> bool:
    call.state.codes.require(request.phone_number, request.phone_code_hash)
    call.state.codes.expire(request.phone_number)
    return True


@answers(auth.SignInRequest, anybody=True)
def sign_in(call: Call, request: auth.SignInRequest) -> SignedIn:
    phone = digits(request.phone_number)
    call.state.codes.require(phone, request.phone_code_hash)
    if not request.phone_code:
        raise RpcError(400, "PHONE_CODE_EMPTY")
    _require_phone(call, phone)
    account = call.state.accounts.by_phone(phone)
    if request.phone_code != call.state.codes.expected(account):
        raise RpcError(400, "PHONE_CODE_INVALID")
    if account is None:
        return types.auth.AuthorizationSignUpRequired()
    call.state.codes.expire(phone)
    if account.password:
        call.standing.awaiting = account
        raise RpcError(401, "SESSION_PASSWORD_NEEDED")
    return _log_in(call, account)


@answers(auth.CheckPasswordRequest, anybody=True)
def check_password(call: Call, request: auth.CheckPasswordRequest) -> types.auth.Authorization:
    account, challenge = call.standing.awaiting, call.standing.challenge
    if account is None or account.password is None:
        raise RpcError(401, "AUTH_KEY_UNREGISTERED")
    answer = request.password
    if challenge is None or getattr(answer, "srp_id", None) != challenge.srp_id:
        raise RpcError(400, "SRP_ID_INVALID")
    call.standing.challenge = None
    if not account.password.accepts(challenge, answer):
        raise RpcError(400, "PASSWORD_HASH_INVALID")
    return _log_in(call, account)


@answers(auth.ImportBotAuthorizationRequest, anybody=True)
def import_bot_authorization(
    call: Call, request: auth.ImportBotAuthorizationRequest
) -> types.auth.Authorization:
    require_api_id(call, request.api_id)
    account = call.state.accounts.by_token(request.bot_auth_token)
    if account is None:
        raise RpcError(400, "ACCESS_TOKEN_INVALID")
    if account.home != call.caller.data_centre:
        raise RpcError(303, f"USER_MIGRATE_{account.home}")
    if account.is_banned:
        raise RpcError(401, "USER_DEACTIVATED_BAN")
    call.state.limits.log_bot_in(account)
    return _log_in(call, account)


@answers(auth.LogOutRequest)
def log_out(call: Call, _: auth.LogOutRequest) -> types.auth.LoggedOut:
    login = call.login
    if login.home is call.caller:
        call.state.logins.end(login)
    call.standing.login = None
    return types.auth.LoggedOut()


@answers(auth.ExportAuthorizationRequest)
def export_authorization(
    call: Call, request: auth.ExportAuthorizationRequest
) -> types.auth.ExportedAuthorization:
    is_own = request.dc_id == call.caller.data_centre
    if is_own or request.dc_id not in call.state.data_centres:
        raise RpcError(400, "DC_ID_INVALID")
    call.state.limits.export(call.account)
    token = call.state.logins.export(call.login, request.dc_id)
    return types.auth.ExportedAuthorization(call.account.user_id, token)


@answers(auth.ImportAuthorizationRequest, anybody=True)
def import_authorization(
    call: Call, request: auth.ImportAuthorizationRequest
) -> types.auth.Authorization:
    login = call.state.logins.take_in(call.caller, request.bytes)
    if login is None or login.account.user_id != request.id:
        raise RpcError(400, "AUTH_BYTES_INVALID")
    return types.auth.Authorization(telling.user(call, login.account))


@answers(auth.ResetAuthorizationsRequest, users_only=True)
def reset_authorizations(call: Call, _: auth.ResetAuthorizationsRequest) -> bool:
    for login in call.state.logins.of(call.account):
        if login is not call.login:
            call.state.logins.end(login, 401, "SESSION_REVOKED")
    return True


def require_api_id(call: Call, api_id: int) -> None:
    """Raises `RpcError` API_ID_INVALID, API_ID_PUBLISHED_FLOOD."""
    trouble = call.state.accounts.api_states.get(api_id)
    if trouble == "published":
        raise RpcError(400, "API_ID_PUBLISHED_FLOOD")
    if trouble == "invalid" or api_id <= 0:
        raise RpcError(400, "API_ID_INVALID")


def _require_phone(call: Call, phone: str) -> None:
    trouble = call.state.accounts.phone_states.get(phone)
    account = call.state.accounts.by_phone(phone)
    if trouble == "banned" or (account and account.is_banned):
        raise RpcError(400, "PHONE_NUMBER_BANNED")
    if trouble == "flood":
        raise RpcError(400, "PHONE_NUMBER_FLOOD")
    if trouble == "invalid" or not 7 <= len(phone) <= 15:
        raise RpcError(400, "PHONE_NUMBER_INVALID")


def _send_code(call: Call, phone: str) -> types.auth.SentCode:
    phone = digits(phone)
    _require_phone(call, phone)
    account = call.state.accounts.by_phone(phone)
    if account and account.home != call.caller.data_centre:
        raise RpcError(303, f"PHONE_MIGRATE_{account.home}")
    call.state.limits.send_code(phone)
    code_hash = call.state.codes.send(phone)
    return types.auth.SentCode(types.auth.SentCodeTypeApp(length=5), code_hash, timeout=60)


def _log_in(call: Call, account: Account) -> types.auth.Authorization:
    call.state.logins.begin(call.caller, account)
    token = secrets.token_bytes(16)
    return types.auth.Authorization(telling.user(call, account), future_auth_token=token)
