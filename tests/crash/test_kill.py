"""A save that the machine does not survive leaves the old content or the new, whole."""

import contextlib
import http.client
import json
import random
import threading
from pathlib import Path

import pytest

from tests.serving import ask, authorization, command, serving

KILLS = 200


def content(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills_in_a_row_lose_nothing_answered(tmp_path: Path):
    """Saves run while the server is killed; after each start every file is whole.

    The moment of the kill is spread over the save: while the body comes, while blocks
    are packed, between commit and answer, while a flush runs.
    """
    data = tmp_path / "drive"
    chance = random.Random(7)
    kept: dict[str, int] = {}
    with serving(data, TGDAV_STORE_FLUSH_AGE_S="0.05", TGDAV_STORE_PACK_SIZE="1 MiB") as server:
        for kill in range(KILLS):
            name = f"/file-{kill % 7}"
            number = 1000 + kill
            size = chance.choice([100, 4096, 300_000, 3_000_000])
            answered = threading.Event()

            def save(name=name, number=number, size=size, answered=answered):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, _, _ = server.request("PUT", name, content(number, size))
                    if status in (201, 204):
                        answered.set()

            saver = threading.Thread(target=save)
            saver.start()
            saver.join(chance.choice([0, 0.002, 0.005, 0.01, 0.03, 0.1]))
            server.kill()
            saver.join()
            server.start()
            status, _, body = server.request("GET", name)
            if answered.is_set():
                assert status == 200
                assert body == content(number, size), f"kill {kill}: {len(body)} of {size} bytes"
                kept[name] = number
            elif status == 200:
                candidates = [kept[name]] if name in kept else []
                assert body in [content(n, len(body)) for n in [*candidates, number]]
                assert len(body) == size or body != content(number, len(body))
                kept[name] = number if body == content(number, size) else kept[name]
            else:
                assert (status, name in kept) == (404, False)
        assert server.stop() == 0
    command("status", data=data)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_small_files_make_few_packs_and_survive_a_kill(tmp_path: Path):
    data = tmp_path / "drive"
    count, size, threads = 10_000, 4096, 8
    with serving(data) as server:

        def save(first: int) -> None:
            with server.connect() as connection:
                for number in range(first, count, threads):
                    status, _, _ = ask(connection, "PUT", f"/{number}", content(number, size))
                    assert status == 201

        savers = [threading.Thread(target=save, args=(n,)) for n in range(threads)]
        for saver in savers:
            saver.start()
        for saver in savers:
            saver.join()
        server.kill()
        server.start()
        with server.connect() as connection:
            for number in range(count):
                status, _, body = ask(connection, "GET", f"/{number}")
                assert (status, body) == (200, content(number, size))
        command("flush", data=data)
        facts = json.loads(command("status", "--json", data=data))
        assert facts["files"] == count
        assert 1 <= facts["packs"] <= 4
        assert facts["staged_bytes"] == facts["spool_bytes"] == 0


CUTS = [0, 1, 4095, 65_535, 65_536, 262_144, 1_048_575, 2_999_999]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_cut_at_any_byte_changes_nothing(tmp_path: Path, chunked: bool):
    body = content(1, 3_000_000)
    head = (
        f"PUT /f HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization()}\r\n"
        + ("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        + "\r\n\r\n"
    ).encode()
    with serving(tmp_path / "drive") as server:
        for old in (None, b"old content"):
            if old is not None:
                assert server.request("PUT", "/f", old)[0] == 201
            before = server.request("GET", "/f")
            for cut in CUTS:
                part = body[:cut]
                if chunked:
                    part = b"%x\r\n%s" % (len(body), part)
                with server.raw() as connection, contextlib.suppress(OSError):
                    connection.sendall(head + part)
                    connection.shutdown(1)
                    answer = connection.recv(65536)
                    assert not answer.startswith(b"HTTP/1.1 2"), (cut, answer)
                after = server.request("GET", "/f")
                assert (after[0], after[2]) == (before[0], before[2]), cut
                assert after[1].get("etag") == before[1].get("etag")


def test_fifty_threads_saving_one_path_leave_one_whole_winner(tmp_path: Path):
    contents = [bytes([number]) * (200_000 + number) for number in range(50)]
    statuses: list[int] = []
    with serving(tmp_path / "drive") as server:
        start = threading.Barrier(50)

        def save(body: bytes) -> None:
            start.wait()
            statuses.append(server.request("PUT", "/same", body)[0])

        savers = [threading.Thread(target=save, args=(body,)) for body in contents]
        for saver in savers:
            saver.start()
        for saver in savers:
            saver.join()
        assert sorted(statuses) == [201] + [204] * 49
        assert server.request("GET", "/same")[2] in contents
