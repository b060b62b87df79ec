"""The server as tests use it: a process of its own, with a control port."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl.functions.help import GetConfigRequest

from tests.telegram_server.process import ROOT, ControlError, TelegramServer


def test_a_client_connects_to_the_process(tmp_path: Path):
    with TelegramServer(tmp_path / "server", data_centres=3) as server:
        assert sorted(server.ports) == [1, 2, 3]
        rsa.add_key(server.key_pem, old=False)

        async def ask() -> int:
            session = StringSession()
            session.set_dc(2, *server.server)
            client = TelegramClient(session, 1, "hash")
            await client.connect()
            config = await client(GetConfigRequest())
            await client.disconnect()
            return len(config.dc_options)

        assert asyncio.run(ask()) == 3
        assert server.control("calls")["help.getConfig"] >= 1
        assert server.control("calls", account=1) == {}
        traffic = server.control("traffic")[""]
        assert traffic["sent"] > 0
        assert traffic["received"] > 0
        key = server.key_pem
    with TelegramServer(tmp_path / "server") as server:
        assert server.key_pem == key


def test_verbs_answer_or_say_why_not():
    with TelegramServer() as server:
        user = server.control("add_user", phone="9996600001")
        assert user["user_id"]
        assert server.control("drop_connections") == 0
        for verb, arguments in (
            ("shape", {"latency_s": 0.1}),
            ("refuse_connections", {"on": True}),
        ):
            assert server.control(verb, **arguments) is None
        with pytest.raises(ControlError, match="no_such_verb"):
            server.control("no_such_verb")
        with pytest.raises(ControlError, match="latency_ms"):
            server.control("shape", latency_ms=1)
        assert server.control("calls") == {}


def test_it_ends_when_its_input_does():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.telegram_server", "--dcs=1"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process, contextlib.ExitStack() as held:
        where = json.loads(process.stdout.readline())
        # Whoever still holds a connection does not keep it.
        for port in (where["control"], where["data_centres"]["1"]):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        process.stdin.close()
        assert process.wait(10) == 0


def test_what_it_complains_of_is_not_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONWARNINGS", "no::such::warning")
    with pytest.raises(RuntimeError, match="invalid action"), TelegramServer():
        pass
