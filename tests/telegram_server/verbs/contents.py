"""Channels, messages and files: to see them, and to damage them."""
# ruff: noqa: A002 - a verb's argument is called what Telegram calls it

from hashlib import sha256
from itertools import chain
from typing import Any

from telethon.tl import types

from tests.telegram_server.methods.changing import remove
from tests.telegram_server.state.channels import EVERY_RIGHT, Channel
from tests.telegram_server.state.documents import Document
from tests.telegram_server.state.history import Message
from tests.telegram_server.state.state import State
from tests.telegram_server.state.uploads import LARGEST_PART
from tests.telegram_server.verbs.verb import verb


@verb
def make_channel(
    state: State, account: int, title: str, admins: list[int] | None = None, broadcast: bool = True
) -> dict[str, int | None]:
    """A channel of that account, with others as admins.

    Its id, and the access hash that the account's newest login has for it; None: no login.
    """
    now, creator = state.clock.now(), state.accounts.of(account)
    channel = state.channels.add(creator, title, "", now, broadcast)
    _add_message(state, channel, account, action=types.MessageActionChannelCreate(title))
    for other in admins or []:
        admit(state, channel.channel_id, other, admin=True)
    logins = state.logins.of(creator)
    access_hash = logins[-1].access_hash("channel", channel.channel_id) if logins else None
    return {"id": channel.channel_id, "access_hash": access_hash}


@verb
def admit(state: State, channel: int, account: int, admin: bool = False) -> None:
    """Make the account a member, an admin, or an admin no more."""
    there = _channel(state, channel)
    member = there.join(state.accounts.of(account), state.clock.now(), there.creator)
    rights = types.ChatAdminRights(**dict.fromkeys(EVERY_RIGHT, True))
    member.rights, member.promoter = (rights, there.creator) if admin else (None, 0)


@verb
def kick(state: State, channel: int, account: int) -> None:
    """CHANNEL_PRIVATE for that account from now on."""
    there = _channel(state, channel)
    there.members.pop(account, None)
    there.kicked.add(account)


@verb
def protect(state: State, channel: int, on: bool = True) -> None:
    """CHAT_FORWARDS_RESTRICTED for its messages."""
    _channel(state, channel).noforwards = on


@verb
def channels(state: State) -> list[dict[str, Any]]:
    return [
        {
            "channel": one.channel_id,
            "title": one.title,
            "creator": one.creator,
            "members": list(one.members),
            "admins": [member.account.user_id for member in one.admins()],
            "messages": len(one.history),
            "next_id": one.history.next_id,
            "pinned": list(one.pinned),
            "is_deleted": one.is_deleted,
        }
        for one in state.channels
    ]


@verb
def delete_channel(state: State, channel: int, on: bool = True) -> None:
    """CHANNEL_PRIVATE for everybody."""
    _channel(state, channel).is_deleted = on


@verb
def messages(state: State, channel: int | None = None) -> list[dict[str, Any]]:
    """All but service messages, oldest first."""
    wanted = [_channel(state, channel)] if channel else list(state.channels)
    return [_told(one, message) for one in wanted for message in one.history if not message.action]


@verb
def delete_message(state: State, channel: int, id: int) -> int:
    """As if an admin had; how many messages there were."""
    return remove(state, _channel(state, channel), [id])


@verb
def post(state: State, channel: int, by: int, text: str = "") -> int:
    """A stranger's message; its id."""
    return _add_message(state, _channel(state, channel), by, text=text)


@verb
def add_file(
    state: State, channel: int, by: int, data_hex: str, caption: str = "", file_name: str = "file"
) -> int:
    """A message with a file, as if this account had sent it; its id."""
    there, home = _channel(state, channel), state.accounts.of(by).home
    data = bytes.fromhex(data_hex)
    parts = [data[at : at + LARGEST_PART] for at in range(0, len(data), LARGEST_PART)]
    document = state.documents.add(home, file_name, "application/octet-stream", parts)
    return _add_message(state, there, by, text=caption, document=document)


@verb
def fill(state: State, channel: int, count: int) -> int:
    """Let so many numbers be taken and free again, as by messages that are gone; the next one."""
    history = _channel(state, channel).history
    history.next_id += count
    return history.next_id


@verb
def copy_message(state: State, channel: int, id: int, to: int | None = None) -> int:
    """The same message again, there or in another channel; its id."""
    original = _message(state, channel, id)
    target = _channel(state, to or channel)
    told = {"text": original.text, "document": original.document}
    return _add_message(state, target, original.by, **told)


@verb
def set_caption(state: State, channel: int, id: int, caption: str) -> None:
    _message(state, channel, id).text = caption


@verb
def flip_bit(state: State, channel: int, id: int, byte: int, bit: int = 0) -> None:
    """In the file that the message shows, and all copies of the message."""
    _document(state, channel, id).flip(byte, bit)


@verb
def truncate(state: State, channel: int, id: int, size: int, announced: bool = True) -> None:
    """Keep the file's first bytes; unless `announced`, messages go on telling the old size."""
    document = _document(state, channel, id)
    document.truncate(size)
    if announced:
        document.size = document.held


@verb
def lose_file(state: State, channel: int, id: int) -> None:
    """U: LOCATION_INVALID for the file, as if Telegram had removed it; the message stays."""
    _document(state, channel, id).is_lost = True


@verb
def digest(state: State, channel: int, id: int) -> str:
    """SHA-256 of the file, in hexadecimal digits."""
    return sha256(b"".join(_document(state, channel, id).parts)).hexdigest()


@verb
def bytes_seen(state: State, needle_hex: str) -> int:
    """How often these bytes occur in files, saved parts, captions, names and titles.

    Files whose last message is gone are counted until their references have expired.
    """
    needle = bytes.fromhex(needle_hex)
    files = state.documents.contents()
    sent = {id(part) for part in chain.from_iterable(files)}
    unsent = [one for one in state.uploads.contents() if one and id(one[0]) not in sent]
    words = sum(word.encode().count(needle) for word in state.words)
    return words + sum(_count(parts, needle) for parts in files + unsent)


def _count(parts: list[bytes], needle: bytes) -> int:
    """Also across the borders of parts."""
    found, tail = 0, b""
    for part in parts:
        found += part.count(needle) + (tail + part[: len(needle) - 1]).count(needle)
        tail = (tail + part)[-(len(needle) - 1) :] if len(needle) > 1 else b""
    return found


def _channel(state: State, channel_id: int) -> Channel:
    channel = state.channels.get(channel_id)
    if channel is None:
        raise ValueError(f"no channel {channel_id}")
    return channel


def _message(state: State, channel: int, message_id: int) -> Message:
    message = _channel(state, channel).history.get(message_id)
    if message is None:
        raise ValueError(f"no message {message_id} in channel {channel}")
    return message


def _document(state: State, channel: int, message_id: int) -> Document:
    document = _message(state, channel, message_id).document
    if document is None:
        raise ValueError(f"message {message_id} in channel {channel} shows no file")
    return document


def _add_message(state: State, channel: Channel, by: int, **told: Any) -> int:
    message = Message(channel.history.next_id, by, state.clock.now(), **told)
    channel.history.add(message)
    channel.step()
    if message.document:
        state.documents.show(message.document, channel.channel_id, message.message_id)
    return message.message_id


def _told(channel: Channel, message: Message) -> dict[str, Any]:
    document = message.document
    return {
        "channel": channel.channel_id,
        "id": message.message_id,
        "caption": message.text,
        "file_name": document.name if document else None,
        "size": document.size if document else None,
        "document_id": document.document_id if document else None,
        "data_centre": document.data_centre if document else None,
        "by": message.by,
        "pinned": message.message_id in channel.pinned,
    }
