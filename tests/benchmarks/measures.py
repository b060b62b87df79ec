"""What is measured, one function a row: each returns the figures of one run."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.benchmarks.load import PIECE, Connection, connected, expect, in_parallel
from tests.benchmarks.peers import Running, drop_disk_cache

MIB, GIB = 1 << 20, 1 << 30
Figures = dict[str, float]
CONNECTIONS = 8

_NAMED = b"""<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/>
<getcontentlength/><getlastmodified/><getetag/></prop></propfind>"""


def noise(size: int, seed: int, piece: int = PIECE) -> Iterator[bytes]:
    """Random bytes that cost little to make: a key stream, other for each seed."""
    cipher = Cipher(algorithms.AES(seed.to_bytes(16, "big")), modes.CTR(bytes(16)))
    stream, zeros = cipher.encryptor(), bytes(piece)
    for start in range(0, size, piece):
        yield stream.update(zeros[: min(piece, size - start)])


def put_noise(path: str, size: int, seed: int) -> Callable[[Connection], None]:
    def put(connection: Connection) -> None:
        expect(connection.request("PUT", path, body=noise(size, seed), length=size), 201, 204)

    return put


def get(path: str, size: int) -> Callable[[Connection], None]:
    def fetch(connection: Connection) -> None:
        assert expect(connection.ask("GET", path), 200) == size

    return fetch


def big_file(server: Running, size: int) -> Figures:
    """One file saved, saved again under another name, read warm and cold."""
    one = lambda job: in_parallel(server.target, 1, [job])  # noqa: E731 - three uses, one line
    rate = size / MIB
    cpu = server.cpu_s()
    first = one(put_noise("/big.bin", size, 1))
    put_cpu = server.cpu_s() - cpu
    again = one(put_noise("/again.bin", size, 1))
    one(get("/big.bin", size))
    cpu = server.cpu_s()
    warm = one(get("/big.bin", size))
    get_cpu = server.cpu_s() - cpu
    time.sleep(2)
    drop_disk_cache()
    cold = one(get("/big.bin", size))
    return {
        "PUT big MiB/s": rate / first,
        "PUT big again MiB/s": rate / again,
        "GET big warm MiB/s": rate / warm,
        "GET big cold MiB/s": rate / cold,
        "PUT CPU s/GiB": put_cpu * 1024 / rate,
        "GET CPU s/GiB": get_cpu * 1024 / rate,
    }


def many_files(server: Running, count: int, size: int, name: str) -> Figures:
    """So many files of one size, over eight connections."""
    with connected(server.target) as connection:
        expect(connection.request("MKCOL", f"/{name}/"), 201)
    paths = [f"/{name}/file-{number:06d}.bin" for number in range(count)]
    seeds = itertools.count(size)
    puts = [put_noise(path, size, next(seeds)) for path in paths]
    put_s = in_parallel(server.target, CONNECTIONS, puts)
    get_s = in_parallel(server.target, CONNECTIONS, [get(path, size) for path in paths])
    return {f"PUT {name} /s": count / put_s, f"GET {name} /s": count / get_s}


def listing(server: Running, count: int, runs: int) -> Figures:
    """PROPFIND of a directory with so many entries, named and allprop: milliseconds."""
    folder = f"/list-{count}"
    with connected(server.target) as connection:
        expect(connection.request("MKCOL", folder + "/"), 201)
    jobs = [put_noise(f"{folder}/entry-number-{number}.txt", 16, number) for number in range(count)]
    in_parallel(server.target, CONNECTIONS, jobs)
    memory = server.memory()
    figures = {}
    with connected(server.target) as connection:
        for kind, body in (("named", _NAMED), ("allprop", b"")):
            taken = sorted(_propfind(connection, folder + "/", body) for _ in range(runs))
            figures[f"PROPFIND {count} {kind} ms"] = taken[runs // 2] * 1000
    figures[f"PROPFIND {count} memory MiB"] = (server.memory() - memory) / MIB
    return figures


def _propfind(connection: Connection, path: str, body: bytes) -> float:
    started = time.perf_counter()
    answer = connection.ask("PROPFIND", path, "Depth: 1\r\n", body)
    expect(answer, 207)
    return time.perf_counter() - started


def requests(server: Running, count: int) -> Figures:
    """4 KiB GETs and PROPFINDs of depth 0 per second, by number of connections."""
    with connected(server.target) as connection:
        put_noise("/small.bin", 4096, 4)(connection)

    def propfind(connection: Connection) -> None:
        expect(connection.ask("PROPFIND", "/small.bin", "Depth: 0\r\n"), 207)

    figures = {}
    for connections in (1, 8, 32):
        taken = in_parallel(server.target, connections, [get("/small.bin", 4096)] * count)
        figures[f"GET 4 KiB c={connections} /s"] = count / taken
        taken = in_parallel(server.target, connections, [propfind] * count)
        figures[f"PROPFIND 0 c={connections} /s"] = count / taken
    return figures


def peak_memory(server: Running, readers: int, writers: int, size: int) -> Figures:
    """The most resident memory while so many clients read and write at once."""
    with connected(server.target) as connection:
        put_noise("/shared.bin", size, 77)(connection)
    peak = [server.memory()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    jobs = [put_noise(f"/written-{n}.bin", size, 1000 + n) for n in range(writers)]
    jobs += [get("/shared.bin", size)] * readers
    taken = in_parallel(server.target, len(jobs), jobs)
    done.set()
    watcher.join()
    name = f"{readers} readers, {writers} writers"
    return {
        f"{name}: peak MiB": peak[0] / MIB,
        f"{name}: MiB/s": (readers + writers) * size / MIB / taken,
    }
