"""What was replaced or deleted, from the command line and beside a running server."""

import json
from pathlib import Path

from tests.cli.test_commands import refused
from tests.serving import USER, command, serving


def test_trash_and_versions(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        for content in (b"one", b"two"):
            server.request("PUT", "/a", content)
        versions = json.loads(command("versions", "/a", "--json", data=data))
        assert [each["size"] for each in versions] == [3, 3]
        old = str(versions[1]["version"])
        assert "now" in command("versions", "/a", data=data)
        command("versions", "/a", "--restore", old, data=data)
        assert server.request("GET", "/a")[2] == b"one"
        server.request("DELETE", "/a")
        (entry,) = json.loads(command("trash", "list", "--json", data=data))
        assert (entry["path"], entry["user"], entry["bytes"]) == ("/a", USER, 3)
        assert "/a" in command("trash", "list", data=data)
        assert json.loads(command("trash", "list", "--json", "--below", "/x", data=data)) == []
        no = str(entry["no"])
        server.request("MKCOL", "/d/")
        restored = command("trash", "restore", no, "--to", "/d/b", data=data)
        assert restored.strip() == "/d/b"
        assert server.request("GET", "/d/b")[2] == b"one"
        assert refused("trash", "restore", no, data=data)[0] == 65
        server.request("DELETE", "/d/")
        assert command("trash", "empty", "--all", "--yes", data=data).startswith("1 ")
        assert json.loads(command("trash", "list", "--json", data=data)) == []
        assert refused("versions", "/d/b", data=data)[0] == 65
        assert refused("versions", "a", data=data)[0] == 65
        assert server.stop() == 0


def test_the_guard_stops_and_is_told_to_let_go(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data, TGDAV_HISTORY_GUARD_SHARE="0.1") as server:
        server.request("MKCOL", "/d/")
        for number in range(101):
            assert server.request("MKCOL", f"/d/{number}/")[0] == 201
        status, _, said = server.request("DELETE", "/d/")
        assert (status, b"confirm" in said) == (403, True)
        assert f"trash confirm {USER}" in command("trash", "list", data=data)
        assert refused("trash", "confirm", "nobody", data=data)[0] == 65
        command("trash", "confirm", USER, data=data)
        assert server.request("DELETE", "/d/")[0] == 204


def test_gc_says_what_it_would_do_and_does_it(tmp_path: Path):
    data = tmp_path / "drive"
    impatient = {
        "TGDAV_HISTORY_KEEP_DAYS": "0",
        "TGDAV_GC_AGE_S": "0",
        "TGDAV_GC_GRACE_S": "0",
    }
    data.mkdir(mode=0o700)
    (data / "tgdav.toml").write_text(
        "[history]\nkeep_days = 0\n[gc]\nage_s = 0\ngrace_s = 0\n", encoding="utf-8"
    )
    with serving(data, **impatient) as server:
        server.request("PUT", "/keep", bytes(range(256)) * 100)
        server.request("PUT", "/a", b"content" * 10_000)
        command("flush", data=data)
        server.request("DELETE", "/a")
        command("gc", "--run", data=data)
        said = json.loads(command("gc", "--json", data=data))
        assert said["is_dry"]
        assert (said["condemned_blocks"], said["collected_blocks"]) == (0, 1)
        assert "--run" in command("gc", data=data)
        facts = json.loads(command("gc", "--run", "--yes", "--json", data=data))
        assert (facts["is_dry"], facts["collected_blocks"]) == (False, 1)
        assert json.loads(command("status", "--json", data=data))["blocks"] == 1
        assert server.request("GET", "/keep")[2] == bytes(range(256)) * 100
        assert server.stop() == 0
