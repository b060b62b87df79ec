"""What is known is not kept again: shown by the figures of `tgdav status`."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.measures import noise
from tests.serving import command, serving

SIZE = 256 << 20


def facts(data: Path) -> dict[str, float]:
    return json.loads(command("status", "--json", data=data))


@pytest.mark.slow
def test_a_file_saved_twice_is_kept_once_and_an_inserted_byte_costs_few_blocks(tmp_path: Path):
    data = tmp_path / "drive"
    content = b"".join(noise(SIZE, seed=1))
    with serving(data) as server:
        assert server.request("PUT", "/one", content)[0] == 201
        command("flush", data=data)
        first = facts(data)
        assert first["block_bytes"] == SIZE
        assert server.request("PUT", "/two", content)[0] == 201
        command("flush", data=data)
        again = facts(data)
        assert (again["blocks"], again["block_bytes"]) == (first["blocks"], SIZE)
        assert (again["files"], again["bytes"], again["dedup_ratio"]) == (2, 2 * SIZE, 2)
        assert again["staged_bytes"] == again["spool_bytes"] == 0
        assert server.request("PUT", "/three", b"!" + content)[0] == 201
        assert facts(data)["blocks"] - first["blocks"] <= 4
        assert server.request("GET", "/three", Range="bytes=0-9")[2] == b"!" + content[:9]
