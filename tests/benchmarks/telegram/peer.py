"""Telethon's own ways, in a process of their own: what others build on.

`stock` is `upload_file` with `send_file`, and `iter_download`. `recipe` is what is passed
around as FastTelethon: extra senders on the same key, each with one request in flight.
"""

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.network import MTProtoSender
from telethon.sessions import StringSession
from telethon.tl.functions.channels import CreateChannelRequest
from telethon.tl.functions.upload import GetFileRequest, SaveBigFilePartRequest
from telethon.tl.types import InputDocumentFileLocation, InputFileBig, InputPeerChannel

PART = 512 << 10
CONNECTIONS = 8


class Zeros:
    """A file of random bytes that is never on a disk: the same block again and again."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = os.urandom(PART)
        self.name = "file.bin"

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return (self._block * (size // PART + 1))[:size]


async def stock_up(client: TelegramClient, peer: InputPeerChannel, size: int) -> int:
    file = await client.upload_file(Zeros(size), file_size=size, file_name="file.bin")
    return int((await client.send_file(peer, file, force_document=True)).id)


async def stock_down(client: TelegramClient, document: Any, size: int) -> None:
    got = 0
    async for piece in client.iter_download(document, request_size=PART, file_size=size):
        got += len(piece)
    assert got == size


async def recipe_up(client: TelegramClient, peer: InputPeerChannel, size: int) -> int:
    file_id, parts = int.from_bytes(os.urandom(7), "big"), math.ceil(size / PART)
    source, numbers = Zeros(size), iter(range(parts))

    async def work(sender: MTProtoSender) -> None:
        for part in numbers:
            await sender.send(SaveBigFilePartRequest(file_id, part, parts, source.read(PART)))

    await over_senders(client, work)
    file = InputFileBig(file_id, parts, "file.bin")
    return int((await client.send_file(peer, file, force_document=True)).id)


async def recipe_down(client: TelegramClient, document: Any, size: int) -> None:
    location = InputDocumentFileLocation(
        document.id, document.access_hash, document.file_reference, ""
    )
    offsets = iter(range(0, size, PART))
    got = [0]

    async def work(sender: MTProtoSender) -> None:
        for offset in offsets:
            answer = await sender.send(GetFileRequest(location, offset, PART))
            got[0] += len(answer.bytes)

    await over_senders(client, work)
    assert got[0] == size


async def over_senders(
    client: TelegramClient, work: Callable[[MTProtoSender], Awaitable[None]]
) -> None:
    session = client.session
    senders = [MTProtoSender(session.auth_key, loggers=client._log) for _ in range(CONNECTIONS)]
    for sender in senders:
        connection = client._connection(
            session.server_address, session.port, session.dc_id, loggers=client._log
        )
        await sender.connect(connection)
    await asyncio.gather(*map(work, senders))
    for sender in senders:
        await sender.disconnect()


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    client = TelegramClient(StringSession(arguments.session), 1, "x", receive_updates=False)
    await client.connect()
    made = await client(CreateChannelRequest("peer", "", broadcast=True))
    peer = InputPeerChannel(made.chats[0].id, made.chats[0].access_hash)
    up, down = (stock_up, stock_down) if arguments.way == "stock" else (recipe_up, recipe_down)
    figures = {}
    began, cpu = time.perf_counter(), time.process_time()
    message = await up(client, peer, arguments.size)
    figures |= {"up_s": time.perf_counter() - began, "up_cpu_s": time.process_time() - cpu}
    document = (await client.get_messages(peer, ids=message)).document
    began, cpu = time.perf_counter(), time.process_time()
    await down(client, document, arguments.size)
    figures |= {"down_s": time.perf_counter() - began, "down_cpu_s": time.process_time() - cpu}
    await client.disconnect()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["stock", "recipe"])
    parser.add_argument("session")
    parser.add_argument("key", type=Path)
    parser.add_argument("size", type=int)
    arguments = parser.parse_args()
    rsa.add_key(arguments.key.read_text(), old=False)
    print(json.dumps(asyncio.run(run(arguments))))


if __name__ == "__main__":
    main()
