"""A client's session: which of its messages were seen, and the numbers of ours.

The library's own is for clients: as a server it sends bad_server_salt and its like without
their constructors, and keeps every answer until it is acknowledged.
"""

import time
from collections import OrderedDict

from mtproto.session.seq_no import SeqNo

REMEMBERED = 4096
"""So many message ids are known for repeats; clients have far fewer under way."""


class MessageId:
    """Ids of a server's messages: the time in 2^-32 s.

    The library's count from 0 in each second, for each session: a client that moves to another
    data centre then sees an id again, and takes the answer for one that it had already.
    """

    def __init__(self) -> None:
        self._last = 0

    def make(self, is_answer: bool) -> int:
        seconds, rest_ns = divmod(time.time_ns(), 10**9)
        now = (seconds << 32 | (rest_ns << 32) // 10**9) & ~3
        self._last = max(self._last + 4, now)
        return self._last + (1 if is_answer else 3)


class Session:
    """Lives with its authorization key, over any number of connections."""

    def __init__(self, session_id: int) -> None:
        self.id = session_id
        self.is_announced = False
        """Whether the client was told that it is new."""
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._message_id = MessageId()
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
