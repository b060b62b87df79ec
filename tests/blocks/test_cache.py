import errno
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.local import cache as cache_module
from tgdav.blocks.local.cache import BlockCache


def block_id(n):
    return bytes([n]) * 32


def file_of(folder, n):
    return folder / f"{n:02x}" / (f"{n:02x}" * 32)


def files(folder):
    return sorted(path.name[:2] for path in folder.glob("*/*"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(folder):
    return BlockCache(1000, folder, 1000)


def test_what_is_kept_is_found(cache):
    cache.keep_opened(block_id(1), b"opened")
    cache.keep_sealed(block_id(1), b"sealed")
    assert cache.opened(block_id(1)) == b"opened"
    assert cache.sealed(block_id(1)) == b"sealed"


def test_what_was_never_kept_is_not_found(cache):
    assert cache.opened(block_id(1)) is None
    assert cache.sealed(block_id(1)) is None


def test_opened_blocks_never_reach_the_disk(cache, folder):
    cache.keep_opened(block_id(1), b"a secret")
    assert files(folder) == []


def test_sealed_blocks_do_not_take_memory(cache):
    cache.keep_sealed(block_id(1), b"sealed")
    assert cache.opened(block_id(1)) is None
    assert cache.memory_bytes == 0


def test_memory_is_bounded_and_forgets_what_was_read_longest_ago(cache):
    for n in (1, 2, 3):
        cache.keep_opened(block_id(n), bytes(300))
    cache.opened(block_id(1))
    cache.keep_opened(block_id(4), bytes(300))
    assert [n for n in (1, 2, 3, 4) if cache.opened(block_id(n))] == [1, 3, 4]
    assert cache.memory_bytes == 900


def test_a_chunk_larger_than_memory_displaces_nothing(cache):
    cache.keep_opened(block_id(1), bytes(300))
    cache.keep_opened(block_id(2), bytes(1001))
    assert cache.opened(block_id(1)) == bytes(300)
    assert cache.opened(block_id(2)) is None


def test_keeping_again_counts_once(cache):
    for _ in range(5):
        cache.keep_opened(block_id(1), bytes(300))
        cache.keep_sealed(block_id(1), bytes(300))
    cache.keep_sealed(block_id(2), bytes(300))
    assert cache.memory_bytes == 300
    assert cache.sealed(block_id(1))
    assert cache.sealed(block_id(2))


def test_two_threads_that_keep_the_same_block_count_it_once(cache, folder, monkeypatch):
    replace = Path.replace

    def overtaken(self, target):
        monkeypatch.setattr(Path, "replace", replace)
        cache.keep_sealed(block_id(1), bytes(300))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", overtaken)
    cache.keep_sealed(block_id(1), bytes(300))
    cache.keep_sealed(block_id(2), bytes(300))
    cache.keep_sealed(block_id(3), bytes(300))
    assert files(folder) == ["01", "02", "03"]


def test_the_disk_is_bounded_and_forgets_what_was_read_longest_ago(cache, folder):
    for n in (1, 2, 3):
        cache.keep_sealed(block_id(n), bytes(280))
    cache.sealed(block_id(1))
    cache.keep_sealed(block_id(4), bytes(280))
    assert files(folder) == ["01", "03", "04"]


def test_a_sealed_block_larger_than_the_disks_part_displaces_nothing(cache, folder):
    cache.keep_sealed(block_id(1), bytes(280))
    cache.keep_sealed(block_id(2), bytes(1000))
    assert files(folder) == ["01"]


def test_the_number_of_files_is_bounded(cache, folder, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST_FILES", 3)
    for n in range(6):
        cache.keep_sealed(block_id(n), b"x")
    assert files(folder) == ["03", "04", "05"]


def test_the_disk_outlives_the_process_with_its_order(cache, folder):
    for n in (1, 2, 3):
        cache.keep_sealed(block_id(n), bytes(280))
        os.utime(file_of(folder, n), (n, n))
    cache.sealed(block_id(1))
    again = BlockCache(1000, folder, 1000)
    assert again.sealed(block_id(3)) == bytes(280)
    again.keep_sealed(block_id(4), bytes(280))
    assert files(folder) == ["01", "03", "04"]


def test_a_smaller_bound_is_kept_after_a_restart(cache, folder):
    for n in (1, 2, 3):
        cache.keep_sealed(block_id(n), bytes(280))
        os.utime(file_of(folder, n), (n, n))
    BlockCache(1000, folder, 400).keep_sealed(block_id(4), bytes(50))
    assert files(folder) == ["03", "04"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: bytes(len(content)),
        lambda content: content[:40] + b"\xff" + content[41:],
    ],
)
def test_a_damaged_file_is_dropped(cache, folder, damage):
    cache.keep_sealed(block_id(1), b"sealed" * 10)
    path = file_of(folder, 1)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.sealed(block_id(1)) is None
    assert not path.exists()
    cache.keep_sealed(block_id(1), b"sealed" * 10)
    assert cache.sealed(block_id(1)) == b"sealed" * 10


def test_what_another_process_evicted_can_be_kept_again(cache, folder):
    cache.keep_sealed(block_id(1), b"sealed")
    file_of(folder, 1).unlink()
    assert cache.sealed(block_id(1)) is None
    cache.keep_sealed(block_id(1), b"sealed")
    assert cache.sealed(block_id(1)) == b"sealed"


def test_a_dropped_block_is_gone(cache, folder):
    for n in (1, 2):
        cache.keep_opened(block_id(n), b"opened")
        cache.keep_sealed(block_id(n), b"sealed")
    cache.drop(block_id(1))
    cache.drop(block_id(9))
    assert cache.opened(block_id(1)) is cache.sealed(block_id(1)) is None
    assert cache.memory_bytes == 6
    assert files(folder) == ["02"]


def test_nothing_is_kept_of_what_was_dropped_before_the_survey(cache, folder):
    cache.keep_sealed(block_id(1), b"sealed")
    again = BlockCache(0, folder, 1000)
    again.drop(block_id(1))
    assert again.sealed(block_id(1)) is None


def test_without_a_disk_memory_still_serves(tmp_path):
    for cache in (BlockCache(1000, None, 1000), BlockCache(1000, tmp_path / "cache", 0)):
        cache.keep_opened(block_id(1), b"opened")
        cache.keep_sealed(block_id(1), b"sealed")
        assert cache.opened(block_id(1)) == b"opened"
        assert cache.sealed(block_id(1)) is None
        cache.drop(block_id(1))
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_go_once_they_are_nobodys(folder):
    (folder / "01").mkdir(parents=True)
    old, new, foreign = (folder / "01" / name for name in ("a.part", "b.part", "readme"))
    for path in (old, new, foreign):
        path.write_bytes(bytes(5000))
    os.utime(old, (time.time() - 4000,) * 2)
    BlockCache(0, folder, 100).keep_sealed(block_id(2), b"x")
    assert not old.exists()
    assert new.exists()
    assert foreign.exists()
    assert files(folder) == ["02", "b.", "re"]


def test_the_folder_is_its_owners_alone(cache, folder):
    cache.keep_sealed(block_id(1), b"sealed")
    assert folder.stat().st_mode & 0o077 == 0
    assert file_of(folder, 1).parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_vanished_is_made_again(cache, folder):
    cache.keep_sealed(block_id(1), b"sealed")
    file_of(folder, 1).unlink()
    file_of(folder, 1).parent.rmdir()
    folder.rmdir()
    assert cache.sealed(block_id(1)) is None
    cache.keep_sealed(block_id(2), b"sealed")
    assert cache.sealed(block_id(2)) == b"sealed"


def test_a_full_disk_is_logged_once_and_leaves_nothing(cache, folder, monkeypatch, caplog):
    cache.keep_sealed(block_id(1), b"sealed")

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Path, "replace", full)
        for n in (2, 3):
            cache.keep_sealed(block_id(n), b"sealed")
            assert cache.sealed(block_id(n)) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the block cache does without its disk: No space left on device"
    ]
    assert files(folder) == ["01"]
    cache.keep_sealed(block_id(2), b"sealed")
    assert cache.sealed(block_id(2)) == b"sealed"


def test_a_missing_disk_is_logged_once(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file stands here")
    cache = BlockCache(1000, tmp_path / "cache", 1000)
    with caplog.at_level(logging.WARNING):
        for n in (1, 2):
            cache.keep_sealed(block_id(n), b"sealed")
            assert cache.sealed(block_id(n)) is None
            cache.drop(block_id(n))
    assert len(caplog.records) == 1
    assert str(tmp_path) not in caplog.text


def test_many_threads_share_it(folder):
    cache = BlockCache(3000, folder, 3000)
    failures = []

    def run(seed):
        for n in [(seed * 7 + i * 13) % 30 for i in range(60)]:
            content = bytes([n]) * (n * 10 + 50)
            found = cache.opened(block_id(n)), cache.sealed(block_id(n))
            if any(kept not in (None, content) for kept in found):
                failures.append(n)
            cache.keep_opened(block_id(n), content)
            cache.keep_sealed(block_id(n), content)
            if n % 11 == 0:
                cache.drop(block_id(n))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert cache.memory_bytes <= 3000
    # A file may be unlinked just as another thread keeps it again, never the other way.
    assert sum(path.stat().st_size for path in folder.glob("*/*")) <= 3000


steps = st.lists(
    st.tuples(st.sampled_from(["keep", "find", "drop", "restart"]), st.integers(0, 12)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_it_finds_what_was_kept_or_nothing(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("cache")
    cache = BlockCache(500, folder, 800)
    for step, n in steps:
        content = bytes([n]) * (n * 25 + 1)
        if step == "keep":
            cache.keep_opened(block_id(n), content)
            cache.keep_sealed(block_id(n), content)
            assert cache.opened(block_id(n)) == cache.sealed(block_id(n)) == content
        elif step == "find":
            assert cache.opened(block_id(n)) in (None, content)
            assert cache.sealed(block_id(n)) in (None, content)
        elif step == "drop":
            cache.drop(block_id(n))
            assert cache.opened(block_id(n)) is cache.sealed(block_id(n)) is None
        else:
            cache = BlockCache(500, folder, 800)
        assert cache.memory_bytes <= 500
        assert sum(path.stat().st_size for path in folder.glob("*/*")) <= 800
