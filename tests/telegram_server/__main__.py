"""`python -m tests.telegram_server`: serve until SIGTERM, or until standard input ends.

One line of JSON on standard output says where: the ports by data centre, the control
port, and the file with the public key.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.telegram_server.control import Control
from tests.telegram_server.server import Server
from tests.telegram_server.wire.keys import ServerKey
from tests.telegram_server.world import World


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asyncio.run(_serve(_key(folder), folder, arguments.dcs))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.telegram_server", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the keys are kept; else a temporary one")
    parser.add_argument("--dcs", type=int, default=2, help="how many data centres (2)")
    return parser.parse_args()


def _key(folder: Path) -> ServerKey:
    """The folder's key, made at the first start."""
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "private.pem", folder / "public.pem"
    key = ServerKey(private.read_bytes() if private.exists() else None)
    private.write_bytes(key.private_pem)
    public.write_bytes(key.public_pem)
    return key


async def _serve(key: ServerKey, folder: Path, data_centres: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGINT, ended.set)
    with contextlib.suppress(OSError):  # a file, or nothing: it has no end to wait for
        loop.add_reader(sys.stdin.fileno(), _end_with, sys.stdin.fileno(), ended)
    server = Server(World, data_centres, key)
    control = Control(server)
    await server.start()
    where = {
        "data_centres": server.ports,
        "control": await control.start(),
        "key": str(folder / "public.pem"),
    }
    print(json.dumps(where), flush=True)
    await ended.wait()
    await control.close()
    await server.close()


def _end_with(stdin: int, ended: asyncio.Event) -> None:
    if not os.read(stdin, 4096):
        ended.set()


if __name__ == "__main__":
    main()
