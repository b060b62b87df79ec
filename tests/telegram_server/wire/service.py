"""Service messages: what is said about messages, salts and sessions, not to Telegram.

Source: core.telegram.org/mtproto/service_messages. These answers come bare, not in an
rpc_result.
"""

import time
from typing import Protocol

from telethon.tl import TLObject
from telethon.tl.functions import (
    DestroyAuthKeyRequest,
    DestroySessionRequest,
    GetFutureSaltsRequest,
    PingDelayDisconnectRequest,
    PingRequest,
)
from telethon.tl.types import (
    BadMsgNotification,
    BadServerSalt,
    DestroyAuthKeyOk,
    DestroySessionNone,
    DestroySessionOk,
    FutureSalt,
    FutureSalts,
    MsgResendReq,
    MsgsStateInfo,
    MsgsStateReq,
    NewSessionCreated,
    Pong,
)

from tests.telegram_server.wire.keys import AuthKey, KeyRing
from tests.telegram_server.wire.session import Session

REQUESTS = (
    PingRequest,
    PingDelayDisconnectRequest,
    GetFutureSaltsRequest,
    DestroySessionRequest,
    DestroyAuthKeyRequest,
)
"""Methods that are not the world's to answer."""
EARLY_S, LATE_S = 300, 30
"""How far a client's clock may be behind and ahead."""
NOT_RECEIVED, RECEIVED = 2, 4


class Closing(Protocol):
    """What can be closed after a while."""

    def close_after(self, seconds: float) -> None: ...


def complaint(
    key: AuthKey, message_id: int, sequence: int, salt: int
) -> BadMsgNotification | BadServerSalt | None:
    """What is wrong with a message, so that nothing in it is looked at."""
    now = time.time()
    wrong = 0
    if message_id % 4:
        wrong = 18
    elif message_id >> 32 < now - EARLY_S:
        wrong = 16
    elif message_id >> 32 > now + LATE_S:
        wrong = 17
    if wrong:
        return BadMsgNotification(message_id, sequence, wrong)
    if not key.is_salt(salt):
        return BadServerSalt(message_id, sequence, 48, key.salt)
    return None


def announcement(key: AuthKey, session: Session, message_id: int) -> NewSessionCreated:
    """What a client is told at the first message of a session."""
    unique = int.from_bytes(key.id_bytes, "little", signed=True) ^ session.id
    return NewSessionCreated(message_id, unique, key.salt)


def answer(
    message: TLObject, message_id: int, key: AuthKey, session: Session, ring: KeyRing, link: Closing
) -> TLObject | None:
    """The answer to a service message; None if it wants none."""
    match message:
        case PingRequest():
            return Pong(message_id, message.ping_id)
        case PingDelayDisconnectRequest():
            link.close_after(message.disconnect_delay)
            return Pong(message_id, message.ping_id)
        case GetFutureSaltsRequest():
            salts = [FutureSalt(*salt) for salt in key.salts(max(1, min(64, message.num)))]
            return FutureSalts(message_id, int(time.time()), salts)
        case DestroySessionRequest(session_id=session_id):
            was_known = session_id != session.id and key.destroy_session(session_id)
            return (DestroySessionOk if was_known else DestroySessionNone)(session_id)
        case DestroyAuthKeyRequest():
            ring.forget(key)
            return DestroyAuthKeyOk()
        case MsgsStateReq() | MsgResendReq():
            seen = (session.has_seen(sent) for sent in message.msg_ids)
            return MsgsStateInfo(
                message_id, bytes(RECEIVED if known else NOT_RECEIVED for known in seen)
            )
    return None
