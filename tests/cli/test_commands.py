"""The commands as a person types them: what they print, and how they refuse."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import (
    ENVIRONMENT,
    PASSWORD,
    USER,
    Serving,
    authorization,
    command,
    free_port,
    serving,
)

NUMBERS = {
    "files",
    "bytes",
    "blocks",
    "packs",
    "staged_bytes",
    "spool_bytes",
    "dedup_ratio",
    "compression_ratio",
    "memory_bytes",
    "oldest_unflushed_s",
}


def refused(*arguments: str, data: Path, stdin: str = "", **variables: str) -> tuple[int, str]:
    """Exit code and the sentence of a command that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | variables,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()
    assert len(said) == 1, done.stderr
    assert said[0].startswith("tgdav: ")
    return done.returncode, said[0]


def test_a_drive_is_made_served_and_told_of(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data, TGDAV_STORE_FLUSH_AGE_S="3600") as server:
        assert server.request("PUT", "/a.txt", b"hello" * 1000)[0] == 201
        assert server.request("PUT", "/b.txt", b"hello" * 1000)[0] == 201
        facts = json.loads(command("status", "--json", data=data))
        assert set(facts) >= NUMBERS
        assert all(isinstance(facts[name], int | float) for name in NUMBERS)
        assert (facts["files"], facts["bytes"], facts["blocks"]) == (2, 10_000, 1)
        assert facts["dedup_ratio"] == 2
        assert facts["staged_bytes"] > 0
        assert facts["memory_bytes"] > 1 << 20
        command("flush", data=data)
        facts = json.loads(command("status", "--json", data=data))
        assert facts["staged_bytes"] == facts["spool_bytes"] == facts["oldest_unflushed_s"] == 0
        assert facts["packs"] == 1
        assert "files" in command("status", data=data)
        assert server.request("GET", "/a.txt")[2] == b"hello" * 1000
        assert server.stop() == 0
    said = server.log.read_text()
    assert "password" in said
    assert all(system in said for system in ("Windows", "macOS", "davfs", "rclone"))
    assert (data.stat().st_mode & 0o777, (data / "key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_the_generated_password_logs_in_and_is_printed_once(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        said = server.log.read_text().split()
        password = said[said.index("password") + 1]
        with server.connect() as connection:
            headers = {"Authorization": authorization("tgdav", password)}
            connection.request("GET", "/", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        server.stop()
        server.start()
        assert server.log.read_text().count(password) == 1


def test_a_drive_on_postgresql_is_found_by_the_other_commands(tmp_path: Path, postgres_url: str):
    data = tmp_path / "drive"
    with serving(data, "--database", postgres_url) as server:
        assert server.request("PUT", "/a.txt", b"hello" * 1000)[0] == 201
        command("flush", data=data)
        facts = json.loads(command("status", "--json", data=data))
        assert (facts["files"], facts["packs"], facts["staged_bytes"]) == (1, 1, 0)
        server.stop()
        server.arguments = ()
        server.start()
        assert server.request("GET", "/a.txt")[2] == b"hello" * 1000
    assert (data / "tgdav.toml").stat().st_mode & 0o777 == 0o600
    assert not (data / "drive.db").exists()


def test_a_database_is_remembered_in_a_settings_file_that_has_none(
    tmp_path: Path, database_url: str
):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "tgdav.toml").write_text('[database]\nurl = "" # the default\n[store]\ncopies = 2\n')
    with serving(data, "--database", database_url) as server:
        server.stop()
    file = data / "tgdav.toml"
    assert file.read_text() == (
        f'[database]\nurl = "{database_url}" # the default\n[store]\ncopies = 2\n'
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(command("status", "--json", data=data))["files"] == 0


def test_a_database_that_cannot_be_remembered_makes_no_drive(tmp_path: Path, database_url: str):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "tgdav.toml").write_text('database = {url = ""}\n')
    code, said = refused("serve", "--database", database_url, data=data)
    assert (code, "by hand" in said) == (78, True)
    assert database_url not in said
    assert not (data / "key").exists()
    (data / "tgdav.toml").write_text(f'database = {{url = "{database_url}"}}\n')
    with serving(data) as server:
        assert server.request("GET", "/")[0] == 200


def test_users_come_and_go_beside_a_running_server(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        assert server.request("GET", "/")[0] == 200
        command("user", "passwd", USER, "--password-stdin", data=data, stdin="other")
        assert server.request("GET", "/")[0] == 401
        command("user", "passwd", USER, "--password-stdin", data=data, stdin=PASSWORD)
        assert server.request("GET", "/")[0] == 200
        assert server.request("MKCOL", "/home/")[0] == 201
        command(
            *("user", "add", "guest", "--password-stdin", "--read-only"),
            *("--root", "/home", "--quota", "5"),
            data=data,
            stdin="guest",
        )
        users = {
            user["name"]: user for user in json.loads(command("user", "list", "--json", data=data))
        }
        assert users["guest"]["read_only"] is True
        assert (users["guest"]["root"], users["guest"]["quota"]) == ("/home", 5)
        assert "guest\tread-only\t/home\tquota 5 bytes" in command("user", "list", data=data)
        command("user", "remove", USER, data=data)
        assert server.request("GET", "/")[0] == 401


def test_a_second_store_takes_packs_beside_a_running_server(tmp_path: Path):
    data, other = tmp_path / "drive", tmp_path / "other"
    with serving(data, TGDAV_STORE_COPIES="2") as server:
        assert "added" in command("store", "add", "directory", str(other), data=data)
        assert server.request("PUT", "/a", os.urandom(100_000))[0] == 201
        stores = json.loads(command("store", "list", "--json", data=data))
        assert {store["kind"] for store in stores} >= {"directory"}
        assert str(other) in command("store", "list", "--json", data=data)


def test_the_key_is_shown_wrapped_and_unwrapped(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.request("PUT", "/a", b"content")
        server.stop()
    plain = command("key", "show", "--yes", data=data)
    command("key", "passphrase", "--passphrase-stdin", data=data, stdin="correct horse\n")
    master = json.loads((data / "key").read_text())
    assert "master" not in master
    code, said = refused("flush", data=data)
    assert (code, "passphrase" in said) == (77, True)
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("battery staple\n")
    right.write_text("correct horse\n")
    assert refused("flush", data=data, TGDAV_KEY_PASSPHRASE_FILE=str(wrong))[0] == 77
    server = Serving(data, TGDAV_KEY_PASSPHRASE_FILE=str(right)).start()
    try:
        assert server.request("GET", "/a")[2] == b"content"
    finally:
        server.stop()
    assert len(plain.split()) > 8


def test_what_cannot_be_served_is_a_sentence_and_an_exit_code(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        assert refused("serve", data=data)[0] == 75
        code, said = refused("serve", "--port", str(server.port), data=tmp_path / "second")
        assert (code, str(server.port) in said) == (69, True)
        server.stop()
    (data / "tgdav.toml").write_text("[server]\nprot = 1\n")
    code, said = refused("serve", data=data)
    assert (code, "nearest is port" in said) == (78, True)
    (data / "tgdav.toml").unlink()
    os.chmod(data / "key", 0o644)
    assert refused("flush", data=data)[0] == 77
    os.chmod(data / "key", 0o600)
    other = tmp_path / "other"
    with serving(other) as server:
        server.stop()
    (data / "key").write_bytes((other / "key").read_bytes())
    code, said = refused("serve", data=data)
    assert (code, "not this drive's" in said) == (77, True)


def test_a_folder_of_other_things_is_not_closed_to_those_who_use_it(tmp_path: Path):
    """`serve --data /` would keep everybody else out of the whole machine."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "photo.jpg").write_bytes(b"")
    code, said = refused("serve", data=folder)
    assert (code, "'photo.jpg'" in said) == (73, True)
    assert [path.name for path in folder.iterdir()] == ["photo.jpg"]
    assert folder.stat().st_mode & 0o777 == 0o755
    folder.chmod(0o700)
    with serving(folder):
        assert (folder / "photo.jpg").exists()


def test_a_data_folder_that_lost_its_database_is_not_made_anew(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.request("PUT", "/a", b"content")
        command("flush", data=data)
        server.stop()
    for name in ("drive.db", "drive.db-wal", "drive.db-shm"):
        (data / name).unlink(missing_ok=True)
    code, said = refused("serve", data=data)
    assert (code, "packs" in said) == (66, True)


def test_a_database_of_a_newer_tgdav_is_left_alone(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.stop()
    database = sqlite3.connect(data / "drive.db")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    assert refused("serve", data=data)[0] == 76


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("user", "add", "a:b", "--password-stdin"), 65),
        (("user", "remove", "nobody"), 65),
        (("user", "passwd", "nobody", "--password-stdin"), 65),
        (("user", "add", "x", "--password-stdin", "--root", "/a/../b"), 65),
    ],
)
def test_mistakes_are_refused_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], code: int):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.stop()
    assert refused(*arguments, data=data, stdin="password")[0] == code


def test_without_a_drive_commands_say_so(tmp_path: Path):
    code, said = refused("status", data=tmp_path / "nothing")
    assert (code, "serve" in said) == (66, True)
    assert not (tmp_path / "nothing").exists()


def test_a_tls_key_without_its_certificate_serves_nothing(tmp_path: Path):
    code, said = refused(
        "serve", "--tls-key", "key.pem", "--port", str(free_port()), data=tmp_path / "drive"
    )
    assert (code, "tls_cert" in said) == (78, True)


def test_passwords_without_tls_are_kept_on_this_machine(tmp_path: Path):
    code, said = refused(
        "serve", "--host", "0.0.0.0", "--port", str(free_port()), data=tmp_path / "drive"
    )
    assert (code, "TLS" in said) == (78, True)
