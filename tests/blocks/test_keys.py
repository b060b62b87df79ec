import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.form.keys import Cost, Keys, unwrap, wrap
from tgdav.errors import KeyRefused, PasswordRefused

GOLDEN = Path(__file__).parent / "golden"
MASTER = bytes(range(32))
CHEAPEST = Cost(t=1, m_kib=64 * 1024, p=1)


def hkdf(key, salt, info, size=32):
    """RFC 5869 with SHA-256, one block of output, written out."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)[:size]


def test_the_derived_keys_are_those_of_every_release():
    keys = Keys(MASTER)
    golden = json.loads((GOLDEN / "keys.json").read_text())
    assert golden == {
        "key_id": keys.key_id.hex(),
        "block_id": keys.block_id(b"a chunk").hex(),
        "sealing_key": keys.sealing_key(bytes(32)).hex(),
        "frame_mask": keys.frame_mask(bytes(32), bytes(12), 12).hex(),
        "pack_key": keys.pack_key(bytes(16)).hex(),
        "session": keys.derive("session").hex(),
        "chunk_seed": keys.chunk_seed,
    }


def test_keys_are_hkdf_with_the_block_id_as_salt():
    keys = Keys(MASTER)
    root = hkdf(MASTER, b"", b"tgdav/1 block")
    block_id = keys.block_id(b"a chunk")
    assert keys.sealing_key(block_id) == hkdf(root, block_id, b"tgdav/1 block")


def test_no_two_purposes_share_a_key():
    keys = Keys(MASTER)
    same = bytes(32)
    derived = [keys.derive(label) for label in ("key id", "block id", "block", "session", "")]
    derived += [keys.sealing_key(same), keys.pack_key(same), keys.frame_mask(same, b"", 32)]
    derived += [keys.block_id(b""), MASTER]
    assert len(set(derived)) == len(derived)


def test_another_master_key_names_chunks_otherwise():
    assert Keys(MASTER).block_id(b"a chunk") != Keys(bytes(32)).block_id(b"a chunk")


def test_generated_keys_differ():
    assert Keys.generate().master != Keys.generate().master


def test_a_repr_tells_no_secret():
    keys = Keys(MASTER)
    assert repr(keys) == f"<Keys {keys.key_id.hex()}>"
    assert not hasattr(keys, "__dict__")


def test_a_master_key_of_another_size_is_refused():
    with pytest.raises(KeyRefused, match="32 bytes, not 31"):
        Keys(bytes(31))


@settings(max_examples=50)
@given(st.binary(max_size=4096), st.integers(0, 4096))
def test_a_block_id_does_not_depend_on_the_buffer(content, start):
    keys = Keys(MASTER)
    part = content[start:]
    assert keys.block_id(part) == keys.block_id(memoryview(bytearray(content))[start:])
    assert len(keys.block_id(part)) == 32


@pytest.fixture(scope="module")
def wrapped():
    return wrap(MASTER, "correct horse", CHEAPEST)


def test_the_passphrase_opens_the_wrapped_key(wrapped):
    assert unwrap(wrapped, "correct horse") == MASTER


def test_a_wrapped_key_of_every_release_opens():
    assert unwrap((GOLDEN / "wrapped-key.json").read_bytes(), "Größe") == MASTER


def test_a_passphrase_is_the_same_from_any_keyboard():
    wrapped = (GOLDEN / "wrapped-key.json").read_bytes()
    assert unwrap(wrapped, "Gro\u0308ße") == MASTER


def test_another_passphrase_is_refused(wrapped):
    with pytest.raises(KeyRefused, match="passphrase does not open"):
        unwrap(wrapped, "correct hors")


def test_wrapping_twice_gives_nothing_in_common():
    first, second = (json.loads(wrap(MASTER, "x", CHEAPEST)) for _ in range(2))
    assert not {first[f] for f in ("salt", "nonce", "ciphertext")} & set(second.values())


def test_a_wrapped_key_holds_no_master_key(wrapped):
    assert MASTER.hex() not in wrapped.decode()
    assert json.loads(wrapped)["kdf"] == "argon2id"


def test_the_default_cost_is_the_documented_one():
    assert Cost() == Cost(t=3, m_kib=256 * 1024, p=4)
    Cost().check()


def test_an_empty_passphrase_is_refused():
    with pytest.raises(PasswordRefused):
        wrap(MASTER, "", CHEAPEST)


@pytest.mark.parametrize(
    "changed",
    [
        {"t": 0},
        {"t": 11},
        {"m_kib": 64 * 1024 - 1},
        {"m_kib": 1024 * 1024 + 1},
        {"p": 0},
        {"p": 17},
        {"t": 10**30},
    ],
)
def test_a_cost_out_of_bounds_is_refused_before_it_is_paid(wrapped, changed, monkeypatch):
    monkeypatch.delattr("tgdav.blocks.form.keys.Argon2id")
    with pytest.raises(KeyRefused, match="out of bounds"):
        unwrap(json.dumps(json.loads(wrapped) | changed).encode(), "correct horse")


def test_nothing_is_wrapped_too_cheaply():
    with pytest.raises(KeyRefused, match="out of bounds"):
        wrap(MASTER, "correct horse", Cost(t=1, m_kib=1024, p=1))


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"kdf": "scrypt"},
        {"t": True},
        {"t": 1.0},
        {"p": "1"},
        {"salt": 5},
        {"salt": ""},
        {"nonce": "zz" * 12},
        {"nonce": "00" * 13},
        {"ciphertext": None},
        {"ciphertext": "00" * 47},
    ],
)
def test_a_damaged_wrapped_key_is_refused(wrapped, changed, monkeypatch):
    monkeypatch.delattr("tgdav.blocks.form.keys.Argon2id")
    with pytest.raises(KeyRefused):
        unwrap(json.dumps(json.loads(wrapped) | changed).encode(), "correct horse")


@pytest.mark.parametrize("field", ["version", "kdf", "salt", "t", "m_kib", "p", "nonce"])
def test_a_wrapped_key_without_a_field_is_refused(wrapped, field):
    fields = json.loads(wrapped)
    del fields[field]
    with pytest.raises(KeyRefused, match="damaged"):
        unwrap(json.dumps(fields).encode(), "correct horse")


@pytest.mark.parametrize("field", ["salt", "nonce", "ciphertext"])
def test_an_exchanged_field_does_not_open(wrapped, field):
    other = json.loads(wrap(MASTER, "correct horse", CHEAPEST))
    mixed = json.loads(wrapped) | {field: other[field]}
    with pytest.raises(KeyRefused, match="does not open"):
        unwrap(json.dumps(mixed).encode(), "correct horse")


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 4000, b"\xff", b'"x"', b"{}"])
def test_what_is_no_wrapped_key_is_refused(content):
    with pytest.raises(KeyRefused, match="damaged"):
        unwrap(content, "correct horse")


def test_a_wrapped_key_of_any_length_is_not_read(wrapped):
    with pytest.raises(KeyRefused, match="damaged"):
        unwrap(wrapped + b" " * 4096, "correct horse")


def test_a_machine_without_the_memory_says_so(wrapped, monkeypatch):
    def too_large(**_):
        raise MemoryError

    monkeypatch.setattr("tgdav.blocks.form.keys.Argon2id", too_large)
    with pytest.raises(KeyRefused, match="64 MiB of memory"):
        unwrap(wrapped, "correct horse")
