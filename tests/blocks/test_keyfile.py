import base64
import errno
import json
import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.form.keyfile import (
    load_key,
    parse_recovery_text,
    recovery_text,
    store_key,
    unfinished,
)
from tgdav.blocks.form.keys import Cost, Keys
from tgdav.errors import DiskFull, KeyRefused, PasswordRefused

GOLDEN = Path(__file__).parent / "golden"
CHEAPEST = Cost(t=1, m_kib=64 * 1024, p=1)
KEYS = Keys(bytes(range(32)))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def never():
    raise AssertionError("nobody should be asked for a passphrase")


def test_a_stored_key_is_loaded_again(folder):
    store_key(folder, KEYS, None)
    assert load_key(folder, never).master == KEYS.master


def test_a_stored_key_is_its_owners_alone(folder):
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    old = os.umask(0)
    try:
        store_key(folder, KEYS, None)
    finally:
        os.umask(old)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.listdir(folder) == ["key"]


def test_with_a_passphrase_the_file_holds_the_wrapped_form_only(folder):
    store_key(folder, KEYS, "correct horse", CHEAPEST)
    assert KEYS.master.hex() not in (folder / "key").read_text()
    assert load_key(folder, lambda: "correct horse").master == KEYS.master
    with pytest.raises(KeyRefused, match="does not open"):
        load_key(folder, lambda: "wrong")
    with pytest.raises(KeyRefused, match="no passphrase was given"):
        load_key(folder, None)


def test_a_passphrase_can_be_given_and_taken_away(folder):
    store_key(folder, KEYS, None)
    store_key(folder, KEYS, "first", CHEAPEST)
    store_key(folder, KEYS, "second", CHEAPEST)
    assert load_key(folder, lambda: "second").master == KEYS.master
    store_key(folder, KEYS, None)
    assert load_key(folder, never).master == KEYS.master


def test_a_refused_passphrase_changes_nothing(folder):
    store_key(folder, KEYS, None)
    with pytest.raises(PasswordRefused):
        store_key(folder, KEYS, "", CHEAPEST)
    assert load_key(folder, never).master == KEYS.master


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_key_file_that_others_may_touch_is_refused(folder, mode):
    store_key(folder, KEYS, None)
    (folder / "key").chmod(mode)
    with pytest.raises(KeyRefused, match=f"key file is open to other users .0{mode:o}"):
        load_key(folder, never)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711])
def test_a_folder_that_others_may_enter_is_refused(folder, mode):
    store_key(folder, KEYS, None)
    folder.chmod(mode)
    with pytest.raises(KeyRefused, match="data folder is open"):
        load_key(folder, never)


def test_a_key_of_another_user_is_refused(folder, monkeypatch):
    store_key(folder, KEYS, None)
    os.chown(folder / "key", 12345, -1) if os.geteuid() == 0 else None
    here = (folder / "key").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    folder_owner = folder.stat().st_uid
    if folder_owner == 0 and here == 0:
        pytest.skip("root's files are anybody's")
    with pytest.raises(KeyRefused, match="belongs to another user"):
        load_key(folder, never)


def test_a_folder_without_a_key_is_told(tmp_path):
    with pytest.raises(KeyRefused, match="no key"):
        load_key(tmp_path, never)


def test_a_key_that_cannot_be_read_is_told(folder):
    folder.mkdir(mode=0o700)
    (folder / "key").mkdir()
    with pytest.raises(KeyRefused, match="cannot be read: Is a directory"):
        load_key(folder, never)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[1]",
        b"{}",
        b"\xff\xfe",
        b'{"version": 2, "master": "%s"}' % KEYS.master.hex().encode(),
        b'{"version": 1, "master": 5}',
        b'{"version": 1, "master": "00"}',
        b"[" * 4096,
    ],
)
def test_a_damaged_key_file_is_refused(folder, content):
    store_key(folder, KEYS, None)
    (folder / "key").write_bytes(content)
    with pytest.raises(KeyRefused):
        load_key(folder, lambda: "x")


@pytest.mark.parametrize(
    ("number", "answer"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, KeyRefused)],
)
def test_a_disk_that_fails_leaves_the_former_key(folder, monkeypatch, number, answer):
    store_key(folder, KEYS, None)

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(answer):
            store_key(folder, Keys.generate(), None)
    assert load_key(folder, never).master == KEYS.master
    assert os.listdir(folder) == ["key"]


def test_what_a_crash_left_of_storing_a_key_goes_with_the_next(folder, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(_self, _target):
        monkeypatch.setattr(Path, "unlink", lambda *_: None)  # nobody clears up after a kill
        raise Killed

    folder.mkdir()
    (folder / "key.of-my-own").touch()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            store_key(folder, Keys.generate(), None)
    monkeypatch.undo()
    (left,) = unfinished(folder)
    assert left.read_bytes()
    keys = Keys.generate()
    store_key(folder, keys, None)
    assert load_key(folder, None).key_id == keys.key_id
    assert sorted(path.name for path in folder.iterdir()) == ["key", "key.of-my-own"]


def test_what_cannot_be_cleared_up_leaves_the_former_key(folder, monkeypatch):
    keys = Keys.generate()
    store_key(folder, keys, None)
    (folder / "key.0123456789abcdef").touch()

    def refused(_self, *, missing_ok=False):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(KeyRefused):
            store_key(folder, Keys.generate(), None)
    assert load_key(folder, None).key_id == keys.key_id


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "data").write_text("a file stands here")
    with pytest.raises(KeyRefused, match="cannot be written"):
        store_key(tmp_path / "data", KEYS, None)


def test_a_key_file_of_every_release_loads(folder):
    store_key(folder, KEYS, None)
    assert json.loads((folder / "key").read_bytes()) == json.loads(
        (GOLDEN / "key.json").read_bytes()
    )


def test_recovery_words_of_every_release_are_understood():
    golden = (GOLDEN / "recovery.txt").read_text()
    assert recovery_text(KEYS) == golden
    assert parse_recovery_text(golden).master == KEYS.master


def test_recovery_words_are_eight_of_eight_letters():
    words = recovery_text(Keys.generate()).split()
    assert [len(word) for word in words] == [8] * 8


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32))
def test_recovery_words_give_the_key_back(master):
    assert parse_recovery_text(recovery_text(Keys(master))).master == master


def test_recovery_words_may_be_typed_carelessly():
    text = recovery_text(KEYS)
    typed = "  " + text.lower().replace(" ", "-").replace("o", "0").replace("i", "1")
    assert parse_recovery_text(typed.replace("\n", "\r\n\n")).master == KEYS.master


@settings(max_examples=300)
@given(st.integers(0, 63), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567!ß"))
def test_one_wrong_letter_is_always_told(place, letter):
    letters = recovery_text(KEYS).replace(" ", "").replace("\n", "")
    if letters[place] == letter:
        return
    with pytest.raises(KeyRefused):
        parse_recovery_text(letters[:place] + letter + letters[place + 1 :])


def test_a_wrong_word_is_named():
    words = recovery_text(KEYS).split()
    words[2] = "AAAAAAAA"
    with pytest.raises(KeyRefused, match="word 3 of"):
        parse_recovery_text(" ".join(words))


def test_words_of_a_newer_tgdav_are_told():
    content = b"\x02" + KEYS.master
    letters = base64.b32encode(content + blake3(content).digest(2)).decode()
    words = [letters[i : i + 7] for i in range(0, 56, 7)]
    checks = [
        base64.b32encode(blake3(bytes([n]) + word.encode()).digest()).decode()[0]
        for n, word in enumerate(words)
    ]
    with pytest.raises(KeyRefused, match="do not belong together"):
        parse_recovery_text(" ".join(map("".join, zip(words, checks, strict=True))))


def test_words_in_another_order_are_told():
    words = recovery_text(KEYS).split()
    with pytest.raises(KeyRefused, match="word 1 of"):
        parse_recovery_text(" ".join(reversed(words)))


def test_words_of_two_keys_do_not_belong_together():
    mine, others = recovery_text(KEYS).split(), recovery_text(Keys(bytes(32))).split()
    with pytest.raises(KeyRefused, match="do not belong together"):
        parse_recovery_text(" ".join([*mine[:4], *others[4:]]))


def test_missing_words_are_told():
    with pytest.raises(KeyRefused, match="64 characters, not 56"):
        parse_recovery_text(" ".join(recovery_text(KEYS).split()[:7]))


def test_characters_that_no_word_has_are_told():
    text = recovery_text(KEYS).replace(" ", "").replace("\n", "")
    refused = set()
    for sign in "!?.,;:+*#/()=%&$§" + "9":
        with pytest.raises(KeyRefused) as caught:
            parse_recovery_text(sign + text[1:])
        refused.add(str(caught.value))
    for rest in range(33):
        with pytest.raises(KeyRefused) as caught:
            parse_recovery_text(chr(0x3A0 + rest) + text[1:])
        refused.add(str(caught.value))
    assert "word 1 of the recovery words is mistyped" in refused
