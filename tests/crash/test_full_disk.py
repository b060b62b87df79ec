"""A disk that is full refuses saves, keeps what it has, and goes on when there is room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import serving

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_loses_nothing_and_recovers(small_disk: Path):
    old, new = os.urandom(MIB), os.urandom(20 * MIB)
    with serving(small_disk / "drive") as server:
        assert server.request("PUT", "/old", old)[0] == 201
        filler = small_disk / "filler"
        refused = 0
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(MIB))
                    file.flush()
            except OSError:
                pass
            for path in ("/new", "/old", "/small"):
                body = new if path != "/small" else b"small" * 10_000
                status = server.request("PUT", path, body)[0]
                assert status in (503, 507), path
                refused += status == 507
            assert refused
            assert server.request("GET", "/old")[2] == old
            assert server.request("GET", "/new")[0] == 404
        filler.unlink()
        assert server.request("PUT", "/old", new[:MIB])[0] == 204
        assert server.request("GET", "/old")[2] == new[:MIB]
        assert server.request("GET", "/new")[0] == 404
        assert server.stop() == 0
