"""One pack as one message, exactly once. On the event loop.

The random id follows from pack, channel, account and generation, and Telegram never
sends the same one twice; what may have been sent is written down before, and settled
before the pack is sent any other way. core.telegram.org/api/updates, "updateMessageID".
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from telethon.tl.functions.messages import SendMediaRequest
from telethon.tl.types import (
    DocumentAttributeFilename,
    InputDocument,
    InputFile,
    InputFileBig,
    InputMediaDocument,
    InputMediaUploadedDocument,
    InputPeerChannel,
    UpdateMessageID,
    UpdateNewChannelMessage,
)

from tgdav.errors import StoreBusy, StoreError, TgdavError
from tgdav.stores.base import Buffer
from tgdav.stores.ledger import Channel, Intent, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import Found, Place, file_name, is_big, part_count
from tgdav.stores.telegram.errors import Action, Elsewhere, Ruled, Unanswered
from tgdav.stores.telegram.locations import PAGE, Locations
from tgdav.stores.telegram.references import References
from tgdav.stores.telegram.transfer import save_part, upload
from tgdav.stores.telegram.writers import Writers

LOG = logging.getLogger(__name__)

FIRST_S = 2.0
"""Pause before a send is repeated whose first is under way."""
ROUNDS = 10
"""Repeats of one send, whatever is amended between them."""
PATCHES = 3
"""Parts that are saved again one by one; if more are lost, all are."""
TAIL = 3 * PAGE
"""Messages at a channel's end in which a send of a lost account is sought."""

SEND_S = 60.0
"""No answer to a send for so long: the connection is of no use."""
LOOK_S = 8.0
"""After so long without one the channel is looked at, as the answer may be lost for good."""
AGAIN = 3
"""Sends of one message, each without waiting for the answer to those before; Telegram carries
one of them out."""


class Sending:
    """Of one store's packs."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        channels: Channels,
        locations: Locations,
        writers: Writers,
        references: References,
        store: int,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._channels = channels
        self._locations = locations
        self._writers = writers
        self._references = references
        self._store = store

    async def send(self, pack_id: bytes, data: Buffer, caption: str) -> Place:
        """Where the pack's one message is, which is sent unless it was.

        Raises `StoreBusy` if no account can send now, `StoreError`; then it may have been
        sent all the same, and the next call finds out.
        """
        failures: dict[int, Elsewhere] = {}
        await self._channels.open()
        channel: Channel | None = None
        while True:
            for intent in await self._intents(pack_id):
                if place := await self._settle(intent, data, caption):
                    return place
            before, channel = channel, await self._channels.current()
            if before and before.no != channel.no:
                failures.clear()  # they were about that one
            account = await self._writers.best(channel, failures)
            try:
                # At work at once: who chooses next must see it, or many packs choose alike.
                with self._writers.at_work(account, channel):
                    intent = _next(await self._intents(pack_id), pack_id, channel, account)
                    return await self._upload(account, channel, intent, data, caption)
            except Elsewhere as error:
                failures[account.no] = error

    async def _intents(self, pack_id: bytes) -> list[Intent]:
        return await asyncio.to_thread(self._ledger.intents, self._store, pack_id)

    async def _settle(self, intent: Intent, data: Buffer, caption: str) -> Place | None:
        """Where the pack is by this intent; None if it was surely not sent, or is gone."""
        channel = self._channel(intent.channel)
        if channel is None or channel.state == "lost":
            return None
        if intent.message is not None:
            return await self._if_there(channel, intent, intent.message)
        if intent.file_id:
            return await self._send_again(channel, intent, data, caption)
        return None

    async def _send_again(
        self, channel: Channel, intent: Intent, data: Buffer, caption: str
    ) -> Place | None:
        """The send that may have been: by the same account, or sought if that cannot be asked."""
        account = self._accounts.get(intent.account)
        if account is None or not account.may_write:
            return await self._seek(channel, intent)
        try:
            with self._writers.at_work(account, channel):
                return await self._post(account, channel, intent, data, caption, is_repeat=True)
        except Elsewhere:
            return await self._seek(channel, intent)

    async def _if_there(self, channel: Channel, intent: Intent, message: int) -> Place | None:
        found = await self._look(channel, [message])
        if found and found[0] == intent.pack_id:
            return Place(channel.channel_id, message)
        await asyncio.to_thread(self._ledger.forget_messages, channel.no, [message])
        return None

    async def _seek(self, channel: Channel, intent: Intent) -> Place | None:
        """The message of an account that cannot be asked, at the end of its channel.

        Raises `StoreBusy` if nobody can look there: then it may have been sent.
        """
        last = self._channels.last_message(channel) + PAGE
        for top in range(last, max(0, last - TAIL), -PAGE):
            messages = range(max(1, top - PAGE + 1), top + 1)
            for reader in await self._accounts.readers():
                try:
                    found = await self._locations.page(reader, channel, messages)
                except Unanswered:
                    continue
                for message, document in found.items():
                    if document.pack_id == intent.pack_id:
                        return await self._sent(channel, intent, message)
                break
            else:
                raise StoreBusy("Telegram: nobody can look now whether a pack was sent")
        await asyncio.to_thread(self._ledger.intend, replace(intent, file_id=0))
        return None

    async def _look(self, channel: Channel, messages: Sequence[int]) -> list[bytes]:
        """The ids of the packs in these messages, as the first account sees it that can."""
        failure: Unanswered | None = None
        for reader in await self._accounts.readers():
            try:
                found = await self._locations.page(reader, channel, messages)
            except Unanswered as error:
                failure = error
                continue
            return [document.pack_id for document in found.values()]
        raise StoreError(f"Telegram: {failure}")

    async def _upload(
        self, account: Account, channel: Channel, intent: Intent, data: Buffer, caption: str
    ) -> Place:
        found = await self._references.find(account, self._store, intent.pack_id)
        if found is None:
            await upload(account, intent.file_id, data)
        # From here on it may be sent, whatever becomes of this process.
        await asyncio.to_thread(self._ledger.intend, intent)
        if found and (place := await self._refer(account, channel, intent, found, caption)):
            return place
        return await self._post(account, channel, intent, data, caption, is_repeat=bool(found))

    async def _refer(
        self, account: Account, channel: Channel, intent: Intent, found: Found, caption: str
    ) -> Place | None:
        """Send the document that another store has; None if it has to be sent as any other."""
        peer = await self._channels.peer(account, channel)
        document = InputDocument(found.document_id, found.access_hash, found.file_reference)
        request = _request(peer, intent, InputMediaDocument(document), caption)
        try:
            return await self._ask(account, channel, intent, request)
        except Unanswered as error:
            LOG.info("store %d: a pack is uploaded, not referred to: %s", self._store, error)
            return None

    async def _post(
        self,
        account: Account,
        channel: Channel,
        intent: Intent,
        data: Buffer,
        caption: str,
        *,
        is_repeat: bool = False,
    ) -> Place:
        """Send the message, its parts being saved; amend what is missing, and send it again.

        A repeat may have been sent before, whatever is answered now; its parts are old.
        """
        is_unsure, patches = is_repeat, 0 if is_repeat else PATCHES
        for _ in range(ROUNDS):
            try:
                peer = await self._channels.peer(account, channel)
                request = _request(peer, intent, _media(intent, data), caption)
                return await self._ask(account, channel, intent, request)
            except Elsewhere as error:
                error.is_unsure |= is_unsure
                await self._withdraw(intent, error)
                raise
            except Ruled as error:
                is_unsure |= error.is_unsure
                if error.action is Action.SAVE_PART and patches:
                    patches -= 1
                    await save_part(account, intent.file_id, data, error.number)
                else:
                    error.is_unsure = is_unsure
                    intent = await self._amend(account, channel, intent, data, error)
        failure = Elsewhere(f"{ROUNDS} sends came to nothing", FIRST_S)
        failure.is_unsure = True
        raise failure

    async def _ask(
        self, account: Account, channel: Channel, intent: Intent, request: SendMediaRequest
    ) -> Place:
        """Send: where the message is, by Telegram's answer or as it is seen in the channel.

        While neither comes the same is sent again: what is lost may be the send or its answer.
        A refusal of one tells nothing of the others, so it counts when no other waits any more.
        """
        asking = {asyncio.ensure_future(account.ask(request, SEND_S))}
        asked, is_unsure = 1, False
        try:
            while True:
                done, _ = await asyncio.wait(
                    asking, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                for answered in done:
                    asking.remove(answered)
                    try:
                        message = _message_in(answered.result(), request.random_id)
                    except Unanswered as error:
                        is_unsure |= error.is_unsure
                        if not asking:
                            error.is_unsure = is_unsure
                            raise
                    else:
                        return await self._counted(account, channel, intent, message)
                if done:
                    continue
                if glimpsed := await self._glimpse(account, channel, intent):
                    return await self._counted(account, channel, intent, glimpsed)
                if asked < AGAIN:
                    asked += 1
                    asking.add(asyncio.ensure_future(account.ask(request, SEND_S)))
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _counted(
        self, account: Account, channel: Channel, intent: Intent, message: int
    ) -> Place:
        account.done.messages += 1
        return await self._sent(channel, intent, message)

    async def _glimpse(self, account: Account, channel: Channel, intent: Intent) -> int | None:
        """The pack's message among the newest, if it can be seen there at once."""
        last = self._channels.last_message(channel)
        newest = range(max(1, last - PAGE // 2), last + PAGE // 2)
        readers = [a for a in await self._accounts.all() if a.may_read and a is not account]
        for reader in [*readers[:1], account]:
            with contextlib.suppress(Unanswered, TgdavError, asyncio.TimeoutError):
                looking = self._locations.page(reader, channel, newest)
                found = await asyncio.wait_for(looking, LOOK_S)
                ours = (no for no, each in found.items() if each.pack_id == intent.pack_id)
                return next(ours, None)
        return None

    async def _amend(
        self, account: Account, channel: Channel, intent: Intent, data: Buffer, error: Ruled
    ) -> Intent:
        """Do what the answer asks for before the send is repeated."""
        match error.action:
            case Action.AWAIT_FIRST:
                await asyncio.sleep(FIRST_S)
            case Action.SAVE_PART | Action.UPLOAD_AGAIN:
                intent = replace(intent, file_id=new_file_id())
                await upload(account, intent.file_id, data)
                await asyncio.to_thread(self._ledger.intend, intent)
            case Action.LEAVE:
                await self._withdraw(intent, error)
                await self._channels.cannot(account, channel)
                raise Elsewhere(f"channel {channel.no}: {error}") from error
            case _:
                await self._withdraw(intent, error)
                raise StoreError(f"Telegram: {error}") from error
        return intent

    async def _withdraw(self, intent: Intent, error: Unanswered) -> None:
        """If it is known not to have been sent, another account may send it."""
        if not error.is_unsure:
            await asyncio.to_thread(self._ledger.intend, replace(intent, file_id=0))

    async def _sent(self, channel: Channel, intent: Intent, message: int) -> Place:
        await asyncio.to_thread(self._ledger.intend, replace(intent, message=message))
        await self._channels.note(channel, message)
        return Place(channel.channel_id, message)

    def _channel(self, no: int) -> Channel | None:
        return next((channel for channel in self._channels.all() if channel.no == no), None)


def new_file_id() -> int:
    """An id for an upload that no other has; not 0, which means none."""
    return secrets.randbits(62) | 1


def random_id(intent: Intent) -> int:
    """The same for the same intent, in every process and for ever."""
    told = f"{intent.channel} {intent.account} {intent.generation} ".encode() + intent.pack_id
    digest = hashlib.blake2b(told, digest_size=8, person=b"tgdav send").digest()
    return int.from_bytes(digest, "big", signed=True)


def _next(intents: Sequence[Intent], pack_id: bytes, channel: Channel, account: Account) -> Intent:
    """An intent for this channel and account, of a generation that no message has."""
    mine = (i.generation for i in intents if (i.channel, i.account) == (channel.no, account.no))
    # Intents are forgotten at last, and Telegram forgets nothing: so it begins anywhere.
    generation = next(mine, secrets.randbits(30))
    return Intent(pack_id, channel.no, account.no, generation, new_file_id(), None)


def _media(intent: Intent, data: Buffer) -> InputMediaUploadedDocument:
    size, name = memoryview(data).nbytes, file_name(intent.pack_id)
    parts = part_count(size)
    file = (
        InputFileBig(intent.file_id, parts, name)
        if is_big(size)
        else InputFile(intent.file_id, parts, name, md5_checksum="")
    )
    return InputMediaUploadedDocument(
        file,
        mime_type="application/octet-stream",
        attributes=[DocumentAttributeFilename(name)],
        force_file=True,
    )


def _request(peer: Any, intent: Intent, media: Any, caption: str) -> SendMediaRequest:
    return SendMediaRequest(
        InputPeerChannel(peer.channel_id, peer.access_hash),
        media,
        message=caption,
        random_id=random_id(intent),
        silent=True,
    )


def _message_in(answer: Any, sent_as: int) -> int:
    """The id of the message that was sent, by the first send or by this."""
    for update in answer.updates:
        if isinstance(update, UpdateMessageID) and update.random_id == sent_as:
            return int(update.id)
    for update in answer.updates:
        if isinstance(update, UpdateNewChannelMessage):
            return int(update.message.id)
    raise StoreError("Telegram: an answer to a send that names no message")
