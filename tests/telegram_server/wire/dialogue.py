"""What a client and a data centre say to each other over one link.

Packets become messages and messages calls; the world answers calls, unless a test has a
fault in store for them. Bytes and time are the link's business.
"""

import asyncio
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mtproto import ConnectionRole
from mtproto.session.msg_id import MsgId
from mtproto.transport.packets import (
    BasePacket,
    EncryptedMessagePacket,
    ErrorPacket,
    MessagePacket,
    UnencryptedMessagePacket,
)
from telethon.tl.types import MsgsAck

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.wire import calls, service
from tests.telegram_server.wire.calls import Call, Piece
from tests.telegram_server.wire.exchange import Exchange, Refused
from tests.telegram_server.wire.faults import Faults
from tests.telegram_server.wire.framing import Malformed, size_of
from tests.telegram_server.wire.keys import AuthKey, KeyRing, ServerKey
from tests.telegram_server.wire.link import Link
from tests.telegram_server.wire.outgoing import Outgoing
from tests.telegram_server.wire.sealing import HEADER, unseal
from tests.telegram_server.wire.session import Session
from tests.telegram_server.wire.tally import Tally

if TYPE_CHECKING:
    from tests.telegram_server.world import World

UNKNOWN_KEY = 404
"""What the transport says, negated, to a key that is unknown here."""
_CONTAINER = 0x73F1F8DC
_ACK = struct.pack("<I", MsgsAck.CONSTRUCTOR_ID)
_MESSAGE = struct.Struct("<qii")


@dataclass(frozen=True)
class DataCentre:
    """What all dialogues with it share."""

    no: int
    world: "World"
    ring: KeyRing
    server_key: ServerKey
    faults: Faults
    tally: Tally


class Message(NamedTuple):
    """One message of a client's packet."""

    id: int
    sequence: int
    body: memoryview


class Dialogue:
    """On the event loop. `number` names the connection to the world."""

    def __init__(self, number: int, centre: DataCentre, link: Link) -> None:
        self.number = number
        self._centre, self._link = centre, link
        self._exchange = Exchange(centre.server_key)
        self._exchange_id = MsgId(ConnectionRole.SERVER)
        self._keys: set[AuthKey] = set()
        self._speaking: AuthKey | None = None
        self._outgoing: dict[tuple[int, int], Outgoing] = {}
        self._is_closed = False

    @property
    def account(self) -> str | None:
        """Whose login spoke last."""
        return self._centre.world.account_of(self._speaking.caller) if self._speaking else None

    # What the link asks and tells.

    def account_of(self, packet: MessagePacket) -> str | None:
        key = self._key_of(packet)
        return self._centre.world.account_of(key.caller) if key else None

    def receive(self, packet: MessagePacket) -> Iterator[None]:
        """Deal with a packet, a message a step. Raises `Malformed`."""
        if isinstance(packet, UnencryptedMessagePacket):
            self._exchange_keys(packet)
            return
        key = self._key_of(packet)
        if key is None:
            self._send(ErrorPacket(UNKNOWN_KEY))
            return
        self._speak(key)
        self._centre.tally.count_received(size_of(packet), self.account)
        yield from self._read(key, packet)

    def flush(self) -> None:
        for outgoing in self._outgoing.values():
            outgoing.flush()

    def closed(self) -> None:
        self._is_closed = True
        for outgoing in self._outgoing.values():
            outgoing.close()
        if self._keys:
            self._centre.world.closed(self.number)

    # Keys.

    def _key_of(self, packet: MessagePacket) -> AuthKey | None:
        if not isinstance(packet, EncryptedMessagePacket):
            return None
        return self._centre.ring.find(self._centre.no, packet.auth_key_id % (1 << 64))

    def _exchange_keys(self, packet: UnencryptedMessagePacket) -> None:
        try:
            answer = self._exchange.answer(packet.message_data)
        except Refused:
            self._send(ErrorPacket(UNKNOWN_KEY))
            return
        except Exception as error:
            raise Malformed("an unencrypted message that cannot be read") from error
        if self._exchange.key:
            self._centre.ring.add(self._centre.no, self._exchange.key)
            self._exchange = Exchange(self._centre.server_key)
        self._send(UnencryptedMessagePacket(self._exchange_id.make(True), answer))

    def _speak(self, key: AuthKey) -> None:
        self._speaking = key
        if key not in self._keys:
            self._keys.add(key)
            self._centre.world.connected(key.caller, self.number)

    # Messages.

    def _read(self, key: AuthKey, packet: EncryptedMessagePacket) -> Iterator[None]:
        try:
            plain = unseal(key.bytes, packet.message_key, packet.encrypted_data)
            salt, session_id, message_id, sequence, size = HEADER.unpack_from(plain)
            body = memoryview(plain)[HEADER.size : HEADER.size + size]
            messages = list(_messages(Message(message_id, sequence, body)))
        except (ValueError, struct.error) as error:
            raise Malformed("an encrypted message that cannot be read") from error
        session = key.session(session_id)
        outgoing = self._outgoing_to(key, session)
        if complaint := service.complaint(key, message_id, sequence, salt):
            outgoing.put(complaint)
            return
        if not session.is_announced:
            session.is_announced = True
            first = messages[0].id if messages else message_id
            told = service.announcement(key, session, first)
            outgoing.put(told, is_content=True, is_answer=False)
        for message in messages:
            self._hear(key, session, outgoing, message)
            yield

    def _outgoing_to(self, key: AuthKey, session: Session) -> Outgoing:
        name = key.caller.key_id, session.id
        if name not in self._outgoing:
            self._outgoing[name] = Outgoing(key, session, self._send)
        return self._outgoing[name]

    def _hear(self, key: AuthKey, session: Session, outgoing: Outgoing, message: Message) -> None:
        if message.body[:4] == _ACK:
            return
        if message.sequence % 2:
            outgoing.received(message.id)
        if session.is_repeat(message.id):
            return
        try:
            said = calls.read(message.body)
        except RpcError as error:
            outgoing.answer(message.id, calls.refusal(error))
            return
        if isinstance(said, Call):
            self._carry_out(said, key, outgoing, message.id)
            return
        answer = service.answer(said, message.id, key, session, self._centre.ring, self._link)
        if answer is not None:
            outgoing.answered(message.id)
            outgoing.put(answer)

    # Calls.

    def _carry_out(self, call: Call, key: AuthKey, outgoing: Outgoing, message_id: int) -> None:
        centre, account = self._centre, self.account
        centre.tally.count_call(call.method, account)
        plan = centre.faults.meet(call.method, account)
        if plan.is_cut:
            self._link.reset()
            return
        result: list[Piece] = []
        if plan.is_carried_out:
            result = call.answer(centre.world, key.caller, self.number)
        if plan.error:
            result = calls.refusal(plan.error)
        if plan.is_lost:
            return
        if plan.delay_s:
            asyncio.get_running_loop().call_later(
                plan.delay_s, self._answer_late, outgoing, message_id, result, plan.reply_cut_at
            )
        else:
            outgoing.answer(message_id, result, plan.reply_cut_at)

    def _answer_late(
        self, outgoing: Outgoing, message_id: int, result: list[Piece], cut_at: int | None
    ) -> None:
        if not self._is_closed:
            outgoing.answer(message_id, result, cut_at)
            outgoing.flush()

    def _send(self, packet: BasePacket, cut_at: int | None = None) -> None:
        account = self.account
        size = self._link.send(packet, account, cut_at)
        if self._speaking:
            self._centre.tally.count_sent(size, account)


def _messages(message: Message) -> Iterator[Message]:
    """The messages in a container, or the only one. Raises `ValueError`, `struct.error`."""
    body = message.body
    code, number = struct.unpack_from("<Ii", body) if len(body) >= 8 else (0, 0)
    if code != _CONTAINER:
        yield message
        return
    at = 8
    for _ in range(number):
        message_id, sequence, size = _MESSAGE.unpack_from(body, at)
        at += _MESSAGE.size + size
        if size < 0 or at > len(body):
            raise ValueError("a message that is longer than its container")
        yield Message(message_id, sequence, body[at - size : at])
