"""`python -m tests.benchmarks`: every figure of the README, against peers in one run.

Runs are interleaved, server by server, and the median is told: machines drift, so
only ratios of one run mean something.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import measures
from tests.benchmarks.measures import GIB, Figures
from tests.benchmarks.peers import Peer, Running, peers, running

Measure = Callable[[Running], Figures]


def plan(scale: float) -> dict[str, Measure]:
    """The measures by name; `scale` shrinks their sizes and counts."""

    def n(count: int) -> int:
        return max(10, int(count * scale))

    return {
        "big": lambda s: measures.big_file(s, int(GIB * scale)),
        "medium": lambda s: measures.many_files(s, n(1000), 1 << 20, "1-MiB"),
        "small": lambda s: measures.many_files(s, n(10_000), 4096, "4-KiB"),
        "list-100": lambda s: measures.listing(s, n(100), 9),
        "list-1000": lambda s: measures.listing(s, n(1000), 9),
        "list-10000": lambda s: measures.listing(s, n(10_000), 5),
        "list-100000": lambda s: measures.long_listing(s, n(100_000), n(10_000), 5),
        "requests": lambda s: measures.requests(s, n(4000)),
        "memory": lambda s: measures.peak_memory(s, 64, 16, int(GIB * scale)),
        "nodes": lambda s: measures.many_nodes(s, n(10_000), n(1_000_000)),
        "start": measures.start,
    }


def main() -> None:
    """Measure what was asked for, and print a table, each row as soon as it is known."""
    measured = plan(1)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("measure", nargs="*", help=f"some of: {', '.join(measured)}; all without")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (median told): 3")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 takes a tenth of the sizes")
    parser.add_argument("--only", default="", help="one server: tgdav, WsgiDAV or rclone")
    parser.add_argument("--folder", type=Path, help="where the servers keep their data")
    arguments = parser.parse_args()
    measured = plan(arguments.scale)
    chosen = arguments.measure or list(measured)
    if unknown := set(chosen) - set(measured):
        parser.error(f"not a measure: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        against = [peer for peer in peers(Path(folder)) if peer.name.startswith(arguments.only)]
        _print_head([peer.name for peer in against])
        for name in chosen:
            for figure, row in _measure(measured[name], against, arguments.runs, folder).items():
                _print_row(figure, [row.get(peer.name) for peer in against])


def _measure(
    measure: Measure, against: list[Peer], runs: int, folder: str
) -> dict[str, dict[str, list[float]]]:
    """What every run found, by figure and server."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(runs):
        for peer in against:
            with running(peer, Path(folder)) as server:
                for figure, value in measure(server).items():
                    found.setdefault(figure, {}).setdefault(peer.name, []).append(value)
    return found


def _print_head(names: list[str]) -> None:
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, medians\n")
    print(f"| {'figure':34} |" + "".join(f" {name:>12} |" for name in names))
    print(f"|{'-' * 36}|" + f"{'-' * 13}:|" * len(names), flush=True)


def _print_row(figure: str, found: list[list[float] | None]) -> None:
    cells = (f"{statistics.median(values):,.1f}" if values else "" for values in found)
    print(f"| {figure:34} |" + "".join(f" {cell:>12} |" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
