"""Packets in a stream of bytes: the client's first bytes say how they are told apart.

The library frames all transports but one. Intermediate, which carries the load, is framed
here: the library costs 1.3 ms/MiB to read it (here 0.1), and fails when a packet's last
four bytes come late.
"""

import struct

from mtproto import ConnectionRole
from mtproto.enums import TransportEvent
from mtproto.transport import Connection as LibraryTransport
from mtproto.transport.packets import (
    BasePacket,
    EncryptedMessagePacket,
    ErrorPacket,
    MessagePacket,
    UnencryptedMessagePacket,
)

INTERMEDIATE = b"\xee\xee\xee\xee"
PACKET_MAX = 1 << 20
"""Telegram closes the connection on more."""
ROOM = 2 * PACKET_MAX
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<Iq")


class Malformed(Exception):
    """What came is no packet of any transport that we know."""


class Framing:
    """One connection's two directions. It reads into a buffer that it owns."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(ROOM))
        self._start = self._end = 0
        self._is_intermediate = False
        self._library: LibraryTransport | None = None

    def room(self) -> memoryview:
        """Where the next bytes go. Empty when packets must be taken first."""
        if self._start and ROOM - self._end < PACKET_MAX // 4:
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._buffer[self._end :]

    def received(self, size: int) -> None:
        """So many bytes came into the room."""
        self._end += size

    def next_packet(self) -> MessagePacket | None:
        """The next whole packet. Raises `Malformed`."""
        if self._library is None and not self._is_intermediate and not self._decide():
            return None
        return self._next_intermediate() if self._is_intermediate else self._next_of_library()

    def frame(self, packet: BasePacket) -> list[bytes]:
        """The bytes of a packet, in pieces."""
        if not self._is_intermediate:
            return [bytes(self._library.send(packet))]
        if isinstance(packet, EncryptedMessagePacket):
            sealed = packet.encrypted_data
            head = _HEAD.pack(24 + len(sealed), packet.auth_key_id) + packet.message_key
            return [head, sealed]
        body = packet.write()
        return [_LENGTH.pack(len(body)), body]

    def _decide(self) -> bool:
        """Learn the transport; False if that takes more bytes."""
        head = bytes(self._buffer[:4][: self._end])
        if len(head) < 4 and not head.startswith(b"\xef"):
            return False
        if head == INTERMEDIATE:
            self._is_intermediate, self._start = True, 4
        else:
            self._library = LibraryTransport(ConnectionRole.SERVER)
        return True

    def _next_intermediate(self) -> MessagePacket | None:
        start, held = self._start + 4, self._end - self._start - 4
        if held < 0:
            return None
        # The highest bit asks for a quick ack, which nobody has to give.
        length = _LENGTH.unpack_from(self._buffer, self._start)[0] & 0x7FFFFFFF
        if not 24 <= length <= PACKET_MAX:
            raise Malformed(f"a packet of {length} bytes")
        if held < length:
            return None
        packet = _parse(self._buffer[start : start + length])
        self._start = start + length
        if self._start == self._end:
            self._start = self._end = 0
        return packet

    def _next_of_library(self) -> MessagePacket | None:
        self._library.data_received(bytes(self._buffer[self._start : self._end]))
        self._start = self._end = 0
        try:
            packet = self._library.next_event() if self._library.has_packet() else None
        except ValueError as error:
            raise Malformed("no transport that we know") from error
        if isinstance(packet, TransportEvent | ErrorPacket):
            raise Malformed("a packet too long, or too short")
        return packet


def size_of(packet: MessagePacket) -> int:
    """Its bytes on the wire, without the few that frame it."""
    if isinstance(packet, UnencryptedMessagePacket):
        return 20 + len(packet.message_data)
    return 24 + len(packet.encrypted_data)


def _parse(packet: memoryview) -> MessagePacket:
    key_id = int.from_bytes(packet[:8], "little", signed=True)
    if key_id == 0:
        return MessagePacket.parse(bytes(packet))
    sealed = packet[24 : len(packet) - (len(packet) - 24) % 16]
    return EncryptedMessagePacket(key_id, bytes(packet[8:24]), bytes(sealed))
