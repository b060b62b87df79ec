"""A client's session: which of its messages were seen, and the numbers of ours.

The library's own is for clients: as a server it sends bad_server_salt and its like without
their constructors, and keeps every answer until it is acknowledged.
"""

from collections import OrderedDict

from mtproto import ConnectionRole
from mtproto.session.msg_id import MsgId
from mtproto.session.seq_no import SeqNo

REMEMBERED = 4096
"""So many message ids are known for repeats; clients have far fewer under way."""


class Session:
    """Lives with its authorization key, over any number of connections."""

    def __init__(self, session_id: int) -> None:
        self.id = session_id
        self.is_announced = False
        """Whether the client was told that it is new."""
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._message_id = MsgId(ConnectionRole.SERVER)
        self._sequence = SeqNo()

    def is_repeat(self, message_id: int) -> bool:
        """Whether this message came before; from now on it did."""
        if message_id in self._seen:
            return True
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def has_seen(self, message_id: int) -> bool:
        return message_id in self._seen

    def number(self, *, is_content: bool, is_answer: bool) -> tuple[int, int]:
        """The id and sequence number of our next message."""
        return self._message_id.make(is_answer), self._sequence.make(is_content)
