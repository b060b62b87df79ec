"""What the disk is told, and what is said when it is full."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.contracts.store import content, pack_id
from tests.stores.test_directory import files, folder, refuses, store
from tgdav.errors import DiskFull
from tgdav.stores import packfile
from tgdav.stores.directory import DirectoryStore

__all__ = ["folder", "store"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the disk is told that decides what a power cut leaves, in order."""
    told: list[tuple[str, str]] = []
    fsync, replace, mkdir = os.fsync, Path.replace, Path.mkdir

    def spy_fsync(descriptor: int) -> None:
        fsync(descriptor)
        told.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def spy_replace(self: Path, target: Path) -> Path:
        told.append(
            ("fsynced and renamed" if told[-1] == ("fsync", str(self)) else "renamed", str(target))
        )
        return replace(self, target)

    def spy_mkdir(self: Path, *args: object, **options: object) -> None:
        mkdir(self, *args, **options)  # type: ignore[arg-type]
        told.append(("mkdir", str(self)))

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    monkeypatch.setattr(Path, "mkdir", spy_mkdir)
    return told


def test_a_kept_pack_outlives_the_power(
    store: DirectoryStore, folder: Path, steps: list[tuple[str, str]]
):
    path = folder / store.put(pack_id(1), content(1), "")
    assert [steps[0], steps[1], *steps[-2:]] == [
        ("mkdir", str(path.parent)),
        ("fsync", str(folder)),
        ("fsynced and renamed", str(path)),
        ("fsync", str(path.parent)),
    ]


def test_a_pack_found_there_outlives_the_power_too(
    store: DirectoryStore, folder: Path, steps: list[tuple[str, str]]
):
    """The one who kept it may have been killed between the rename and the fsync."""
    path = folder / store.put(pack_id(1), content(1), "")
    steps.clear()
    DirectoryStore(folder).put(pack_id(1), content(1), "")
    assert ("fsync", str(folder)) in steps
    assert ("fsync", str(path.parent)) in steps


def test_a_store_made_outlives_the_power(tmp_path: Path, steps: list[tuple[str, str]]):
    DirectoryStore.make(tmp_path / "a" / "b")
    assert steps == [
        ("mkdir", str(tmp_path / "a")),
        ("fsync", str(tmp_path)),
        ("mkdir", str(tmp_path / "a" / "b")),
        ("fsync", str(tmp_path / "a")),
        ("fsync", str(tmp_path / "a" / "b")),
    ]


def test_a_disk_that_does_not_sync_has_not_kept(
    store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    assert "Input/output" in refuses(lambda: store.put(pack_id(1), b"1", ""))
    assert files(folder) == []


def test_a_file_system_that_syncs_no_folders_is_no_error(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
):
    fsync = os.fsync

    def fsync_files_only(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_files_only)
    assert store.probe(store.put(pack_id(1), b"1", "")) == 1


# Disks that are full.


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 500, 1000, 1100])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    store: DirectoryStore,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    room: int,
):
    write, left = os.write, [room]

    def bounded(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(number, os.strerror(number))
        done = write(descriptor, data[: left[0]])
        left[0] -= done
        return done

    kept = store.put(pack_id(1), content(1), "")
    monkeypatch.setattr(packfile.os, "write", bounded)
    with pytest.raises(DiskFull):
        store.put(pack_id(2), content(2), "")
    assert files(folder) == [kept]
    left[0] = 10_000
    assert store.read(store.put(pack_id(2), content(2), ""), 0, 1000) == content(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_really_is_full(tmp_path: Path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount")
    try:
        store = DirectoryStore.make(tmp_path / "store")
        locator = store.put(pack_id(1), content(1, 600_000), "")
        with pytest.raises(DiskFull):
            store.put(pack_id(2), content(2, 600_000), "")
        with store.create(pack_id(3), "") as sink:
            sink.write(bytes(300_000))
            with pytest.raises(DiskFull):
                sink.write(bytes(300_000))
        assert files(tmp_path / "store") == [locator]
        store.delete([locator])
        store.put(pack_id(2), content(2, 600_000), "")
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
