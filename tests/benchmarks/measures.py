"""What is measured, one function a row: each returns the figures of one run."""

import contextlib
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.benchmarks.load import PIECE, Connection, connected, expect, in_parallel
from tests.benchmarks.peers import Running, drop_disk_cache

MIB, GIB = 1 << 20, 1 << 30
Figures = dict[str, float]
CONNECTIONS = 8

_NAMED = b"""<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/>
<getcontentlength/><getlastmodified/><getetag/></prop></propfind>"""
_BODIES = (("named", _NAMED), ("allprop", b""))


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
    put_in_folder(server, folder, count)
    figures = {}
    before = server.memory()
    with peak_of(server) as peak, connected(server.target) as connection:
        for kind, body in _BODIES:
            taken = [_propfind(connection, folder, body) for _ in range(runs)]
            figures[f"PROPFIND {count} {kind} ms"] = statistics.median(taken) * 1000
    figures[f"PROPFIND {count} memory MiB"] = (peak[0] - before) / MIB
    return figures


def long_listing(server: Running, count: int, short: int, runs: int) -> Figures:
    """As `listing`, and what an entry costs of what it costs in a directory of `short`.

    The two take turns: what the machine gives changes more within minutes than this ratio.
    """
    folder = f"/short-{short}"
    put_in_folder(server, folder, short)
    figures = listing(server, count, runs)
    with connected(server.target) as connection:
        for kind, body in _BODIES:
            ratios = []
            for _ in range(runs):
                few = _mean_s(lambda body=body: _propfind(connection, folder, body), count // short)
                ratios.append(_propfind(connection, f"/list-{count}", body) / few * short / count)
            figures[f"entry of {count}: of {short} {kind}"] = statistics.median(ratios)
    return figures


def _mean_s(work: Callable[[], float], times: int) -> float:
    return statistics.fmean(work() for _ in range(times))


def _propfind(connection: Connection, folder: str, body: bytes) -> float:
    started = time.perf_counter()
    answer = connection.ask("PROPFIND", folder + "/", "Depth: 1\r\n", body)
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
    jobs = [put_noise(f"/written-{n}.bin", size, 1000 + n) for n in range(writers)]
    jobs += [get("/shared.bin", size)] * readers
    with peak_of(server) as peak:
        taken = in_parallel(server.target, len(jobs), jobs)
    name = f"{readers} readers, {writers} writers"
    return {
        f"{name}: peak MiB": peak[0] / MIB,
        f"{name}: MiB/s": (readers + writers) * size / MIB / taken,
    }


@contextlib.contextmanager
def peak_of(server: Running) -> Iterator[list[int]]:
    """The most resident bytes while the block runs, in a list of one."""
    peak = [server.memory()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def start(server: Running) -> Figures:
    """From the start of the process on an existing drive to its first answer."""
    put_in_folder(server, "/kept", 1000)
    return {"start s": server.restart_s()}


def many_nodes(server: Running, few: int, many: int) -> Figures:
    """What a lookup, a listing and a save cost with few and with many nodes: ms, and ratios.

    The nodes are made by copying folders, which only a drive that copies in SQL does in time.
    """
    if server.name != "tgdav":
        return {}
    tenth = few // 10
    put_in_folder(server, "/few/0", tenth)
    _copies(server, "/few/0", (f"/few/{n}" for n in range(1, 10)))
    with connected(server.target) as connection:
        for folder in ("/saved/", "/many/"):
            expect(connection.request("MKCOL", folder), 201)
    small = _node_costs(server, tenth)
    _copies(server, "/few", (f"/many/{n}" for n in range(many // few - 1)))
    large = _node_costs(server, tenth)
    figures = {f"{what} at {few} nodes ms": cost for what, cost in small.items()}
    figures |= {f"{what} at {many} nodes ms": cost for what, cost in large.items()}
    return figures | {f"{what}: ratio": large[what] / small[what] for what in small}


def put_in_folder(server: Running, folder: str, count: int) -> None:
    """Make the folder, those above it, and so many small files in it; a peer's on its disk.

    Saved through it, 100,000 take rclone half an hour: each costs it as much as there are.
    """
    if server.files:
        on_disk = server.files / folder.strip("/")
        on_disk.mkdir(parents=True)
        for n in range(count):
            (on_disk / f"entry-number-{n}.txt").write_bytes(bytes(16))
        return
    parts = folder.strip("/").split("/")
    with connected(server.target) as connection:
        for depth in range(1, len(parts) + 1):
            expect(connection.request("MKCOL", "/" + "/".join(parts[:depth]) + "/"), 201)
    jobs = [put_noise(f"{folder}/entry-number-{n}.txt", 16, n) for n in range(count)]
    in_parallel(server.target, CONNECTIONS, jobs)


def _copies(server: Running, source: str, targets: Iterable[str]) -> None:
    with connected(server.target) as connection:
        for target in targets:
            destination = f"Destination: http://127.0.0.1:{server.port}{target}\r\n"
            expect(connection.request("COPY", source, destination), 201)


def _node_costs(server: Running, listed: int, runs: int = 300) -> Figures:
    """Medians in ms, over one connection."""
    lookups, saves, lists = [], [], []
    with connected(server.target) as connection:
        for n in range(runs):
            path = f"/few/{n % 10}/entry-number-{n * 7 % listed}.txt"
            lookups.append(
                _taken_s(lambda path=path: connection.ask("PROPFIND", path, "Depth: 0\r\n"))
            )
            put = put_noise(f"/saved/{time.time_ns()}.txt", 16, n)
            saves.append(_taken_s(lambda put=put: put(connection)))
        for n in range(runs // 10):
            path = f"/few/{n % 10}/"
            lists.append(
                _taken_s(lambda path=path: connection.ask("PROPFIND", path, "Depth: 1\r\n"))
            )
    named = (("lookup", lookups), ("list", lists), ("save", saves))
    return {what: statistics.median(taken) * 1000 for what, taken in named}


def _taken_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
