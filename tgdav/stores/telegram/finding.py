"""Which channels of the accounts hold packs: for a drive that is lost. On the event loop.

Looks only where an account may post, as all others are other people's.
"""

from telethon.tl.functions.messages import GetHistoryRequest
from telethon.tl.types import Channel as Chat
from telethon.tl.types import InputPeerChannel

from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.document import found_in
from tgdav.stores.telegram.members import dialogs, may_post

NEWEST = 100
"""Messages of a channel of which one has to hold a pack."""


async def channels_with_packs(accounts: Accounts) -> list[int]:
    """Ids of channels, in the order in which an account lists them.

    Raises `StoreError`, `StoreBusy`, `Unanswered`.
    """
    found: dict[int, None] = {}
    for account in await accounts.readers():
        if account.is_bot:
            continue
        async for chat in dialogs(account):
            is_ours = isinstance(chat, Chat) and chat.broadcast and may_post(chat)
            if is_ours and chat.id not in found and await _holds_packs(account, chat):
                found[chat.id] = None
    return list(found)


async def _holds_packs(account: Account, chat: Chat) -> bool:
    peer = InputPeerChannel(chat.id, chat.access_hash or 0)
    history = GetHistoryRequest(
        peer,
        offset_id=0, offset_date=None, add_offset=0, limit=NEWEST, max_id=0, min_id=0, hash=0,
    )  # fmt: skip
    answer = await account.ask(history)
    return any(found_in(message) for message in answer.messages)
