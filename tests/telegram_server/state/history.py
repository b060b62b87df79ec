"""A channel's messages: numbered from 1, by the channel, and never twice by one number."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from telethon.tl import types

from tests.telegram_server.state.documents import Document


@dataclass(eq=False)
class Message:
    message_id: int
    by: int
    date: float
    text: str = ""
    entities: list[types.TypeMessageEntity] | None = None
    document: Document | None = None
    action: types.TypeMessageAction | None = None
    """What a service message tells; None: it is an ordinary one."""
    pinned: int | None = None
    """The message that a service message tells was pinned."""
    forward: types.MessageFwdHeader | None = None
    silent: bool = False
    edited: float | None = None

    def contains(self, words: str) -> bool:
        """Whether text or file name have these words."""
        name = self.document.name if self.document else ""
        return words.casefold() in f"{self.text}\n{name}".casefold()


@dataclass(frozen=True)
class Page:
    """Which messages are asked for, newest first. Telegram's own words.

    A date counts for nothing beside an id: clients give both, and many messages share a second.
    """

    limit: int
    offset_id: int = 0
    add_offset: int = 0
    offset_date: float = 0
    max_id: int = 0
    min_id: int = 0


class History:
    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._ids: list[int] = []
        self.next_id = 1

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages.values())

    def add(self, message: Message) -> None:
        """Keep a message that has the next number."""
        assert message.message_id == self.next_id
        self._messages[message.message_id] = message
        self._ids.append(message.message_id)
        self.next_id += 1

    def get(self, message_id: int, served: int = 0) -> Message | None:
        """None if there is none, or `served` newer ones have pushed it out of reach."""
        is_out = served and message_id < self.next_id - served
        return None if is_out else self._messages.get(message_id)

    def newest(self) -> Message | None:
        return self._messages[self._ids[-1]] if self._ids else None

    def remove(self, message_id: int) -> Message | None:
        message = self._messages.pop(message_id, None)
        if message:
            del self._ids[bisect_left(self._ids, message_id)]
        return message

    def page(
        self, page: Page, served: int, matches: Callable[[Message], bool] | None = None
    ) -> tuple[list[Message], int]:
        """That page, and how many there are in all of those that match."""
        ids = self._served(served)
        if matches:
            ids = [one for one in ids if matches(self._messages[one])]
        stop = len(ids)
        if page.offset_id:
            stop = bisect_left(ids, page.offset_id)
        elif page.offset_date:
            stop = bisect_left(ids, page.offset_date, key=lambda one: self._messages[one].date)
        newest = len(ids) - stop + page.add_offset
        wanted = range(max(newest, 0), max(newest + page.limit, 0))
        found = [ids[-1 - place] for place in wanted if place < len(ids)]
        within = [
            one for one in found if one > page.min_id and (not page.max_id or one < page.max_id)
        ]
        return [self._messages[one] for one in within], len(ids)

    def _served(self, served: int) -> list[int]:
        oldest = self.next_id - served if served else 0
        is_all = not self._ids or self._ids[0] >= oldest
        return self._ids if is_all else self._ids[bisect_left(self._ids, oldest) :]
