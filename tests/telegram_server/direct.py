"""A client without a wire, for tests of the world: each answer must still be one TL can carry."""

import itertools
import secrets
from typing import Any

from telethon.extensions import BinaryReader
from telethon.tl import TLObject, TLRequest, types
from telethon.tl.functions import auth, channels, messages, upload

from tests.telegram_server.caller import Caller
from tests.telegram_server.world import World

PART = 512 << 10
_numbers = itertools.count(1)


def new_world(centres: int = 2) -> World:
    world = World({number: 4000 + number for number in range(1, centres + 1)})
    world.mint_key = lambda centre: (Caller(next(_numbers), centre), secrets.token_bytes(256))
    return world


class Direct:
    """One key with one connection."""

    def __init__(self, world: World, data_centre: int = 2, caller: Caller | None = None) -> None:
        self.world = world
        self.caller = caller or Caller(next(_numbers), data_centre)
        self.connection = next(_numbers)
        world.connected(self.caller, self.connection)

    @classmethod
    def user(cls, world: World, phone: str = "+49 151 0000001", **told: Any) -> "Direct":
        """A new account, logged in by code."""
        made = world.control("add_user", {"phone": phone, **told})
        client = cls(world, told.get("home", 2))
        client.account = made["user_id"]
        sent = client(auth.SendCodeRequest(phone, 1, "hash", types.CodeSettings()))
        client(auth.SignInRequest(phone, sent.phone_code_hash, made["code"]))
        return client

    @classmethod
    def bot(cls, world: World, name: str = "packs_bot", **told: Any) -> "Direct":
        """A new bot, logged in by its token."""
        made = world.control("add_bot", {"name": name, **told})
        client = cls(world, told.get("home", 2))
        client.account = made["user_id"]
        client(auth.ImportBotAuthorizationRequest(0, 1, "hash", made["token"]))
        return client

    def __call__(self, request: TLRequest) -> Any:
        answer = self.world.call(self.caller, self.connection, _carried(request))
        return _carried(answer)

    def exported(self, data_centre: int) -> "Direct":
        """The same login with a key in another data centre."""
        token = self(auth.ExportAuthorizationRequest(data_centre))
        other = Direct(self.world, data_centre)
        other(auth.ImportAuthorizationRequest(token.id, token.bytes))
        return other

    def channel(self, title: str = "packs") -> types.InputPeerChannel:
        """A new broadcast channel."""
        made = self(channels.CreateChannelRequest(title, "", broadcast=True)).chats[0]
        return types.InputPeerChannel(made.id, made.access_hash)

    def find(self, channel_id: int) -> types.InputPeerChannel:
        """A channel that it is in, from its dialogs."""
        told = self(messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 100, 0))
        found = next(one for one in told.chats if one.id == channel_id)
        return types.InputPeerChannel(found.id, found.access_hash)

    def save(self, data: bytes, file_id: int = 0, part_size: int = PART) -> types.InputFileBig:
        """Save parts as a big file."""
        file_id = file_id or secrets.randbits(62)
        parts = [data[at : at + part_size] for at in range(0, len(data), part_size)]
        for number, part in enumerate(parts):
            assert self(upload.SaveBigFilePartRequest(file_id, number, len(parts), part))
        return types.InputFileBig(file_id, len(parts), "pack.bin")

    def send(
        self,
        peer: types.InputPeerChannel,
        data: bytes = b"bytes of a pack",
        caption: str = "",
        random_id: int = 0,
        file: Any = None,
    ) -> types.Message:
        """Save and send; the message that the answer tells of."""
        told = self(self.sending(peer, file or self.save(data), caption, random_id))
        ids = [one.id for one in told.updates if isinstance(one, types.UpdateMessageID)]
        new = [one.message for one in told.updates if hasattr(one, "message")]
        assert not new or [one.id for one in new] == ids
        return new[0] if new else None

    @staticmethod
    def sending(
        peer: types.InputPeerChannel, file: Any, caption: str = "", random_id: int = 0
    ) -> messages.SendMediaRequest:
        name = types.DocumentAttributeFilename("pack.bin")
        media = types.InputMediaUploadedDocument(
            file, "application/octet-stream", [name], force_file=True
        )
        random_id = random_id or secrets.randbits(62)
        return messages.SendMediaRequest(peer, media, caption, random_id=random_id)

    def get(self, peer: types.InputPeerChannel, *ids: int) -> list[Any]:
        wanted = [types.InputMessageID(one) for one in ids]
        return self(channels.GetMessagesRequest(peer, wanted)).messages

    def read(
        self, message: types.Message, offset: int = 0, limit: int = 1 << 20, **told: Any
    ) -> bytes:
        request = upload.GetFileRequest(location(message), offset, limit, **told)
        return self(request).bytes


def location(message: types.Message) -> types.InputDocumentFileLocation:
    document = message.media.document
    return types.InputDocumentFileLocation(
        document.id, document.access_hash, document.file_reference, ""
    )


def _carried(thing: Any) -> Any:
    """What arrives of it at the other end of a wire."""
    if isinstance(thing, list):
        return [_carried(one) for one in thing]
    return BinaryReader(bytes(thing)).tgread_object() if isinstance(thing, TLObject) else thing
