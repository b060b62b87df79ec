import asyncio

import pytest
from telethon.tl.functions import PingRequest

from tgdav.stores.telegram.errors import Elsewhere
from tgdav.stores.telegram.senders import Senders


class Line:
    """A sender whose opening takes a while."""

    def __init__(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False


def test_what_is_being_opened_when_all_are_closed_is_closed_too():
    opened: list[Line] = []
    may_open = asyncio.Event()

    async def open_line() -> Line:
        await may_open.wait()
        opened.append(Line())
        return opened[-1]

    async def work() -> None:
        senders = Senders(open_line, 1)  # type: ignore[arg-type]
        asking = asyncio.ensure_future(senders.call(PingRequest(1), 1))
        await asyncio.sleep(0)
        await senders.close()
        may_open.set()
        with pytest.raises(Elsewhere, match="let go of"):
            await asking

    asyncio.run(asyncio.wait_for(work(), 20))
    assert [line.is_open for line in opened] == [False]
