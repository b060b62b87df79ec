"""The drive's key in its data folder, and on paper.

The file is the key's owner's alone, or it is not used: 0600 in 0700. With a
passphrase it holds the wrapped form and nothing else.
"""

import base64
import contextlib
import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blake3 import blake3

from tgdav.blocks.form.keys import WRAPPED_LIMIT, Cost, Keys, unwrap, wrap
from tgdav.errors import DiskFull, KeyRefused

KEY_FILE = "key"
_UNFINISHED = re.compile(rf"{KEY_FILE}\.[0-9a-f]{{16}}")
WORD = 7
"""Characters of a recovery word before the one that checks it."""
WORDS = 8


def load_key(folder: Path, passphrase: Callable[[], str] | None) -> Keys:
    """The keys of the drive in `folder`; `passphrase` is asked for only if needed.

    Raises `KeyRefused` if there is no key, others could read it, it is damaged, or
    the passphrase is missing or wrong.
    """
    content = _read(folder)
    try:
        fields: dict[str, Any] = json.loads(content)
        if fields["version"] != 1:
            raise KeyRefused("a key file of a version that this tgdav does not know")
        if "master" in fields:
            return Keys(bytes.fromhex(fields["master"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeyRefused("the key file is damaged") from error
    if passphrase is None:
        raise KeyRefused("the key is wrapped, and no passphrase was given")
    return Keys(unwrap(content, passphrase()))


def store_key(folder: Path, keys: Keys, passphrase: str | None, cost: Cost | None = None) -> None:
    """Put `keys` into `folder`, made private if it is not, in place of what was there.

    On return they survive a power cut; if it raises, or the process dies, the former file is
    unchanged, but that what died may leave `unfinished` ones.
    Raises `KeyRefused`, `PasswordRefused`, `DiskFull`.
    """
    if passphrase is None:
        content = json.dumps({"version": 1, "master": keys.master.hex()}).encode() + b"\n"
    else:
        content = wrap(keys.master, passphrase, cost)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for left in unfinished(folder):
            left.unlink(missing_ok=True)
        _replace(folder / KEY_FILE, content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no room for the key file") from error
        raise KeyRefused(f"the key file cannot be written: {error.strerror}") from error


def unfinished(folder: Path) -> list[Path]:
    """What a crash left of storing a key; the next key that is stored takes it away."""
    return [path for path in folder.glob(f"{KEY_FILE}.*") if _UNFINISHED.fullmatch(path.name)]


def wrapped_key(folder: Path) -> bytes | None:
    """The key in `folder` as its passphrase keeps it; None if it has no passphrase.

    Raises `KeyRefused` as `load_key` does.
    """
    content = _read(folder)
    return None if b'"master"' in content else content


def recovery_text(keys: Keys) -> str:
    """`keys` as eight words to write down: who has them opens the drive.

    `version 1 | master 32 | checksum 2` in base32, seven characters a word; the
    eighth checks its word and the word's place.
    """
    content = b"\x01" + keys.master
    letters = base64.b32encode(content + blake3(content).digest(2)).decode()
    words = [letters[i : i + WORD] for i in range(0, len(letters), WORD)]
    checked = [word + _check(place, word) for place, word in enumerate(words)]
    return " ".join(checked[: WORDS // 2]) + "\n" + " ".join(checked[WORDS // 2 :]) + "\n"


def parse_recovery_text(text: str) -> Keys:
    """The keys in `text`, however it is spaced and in whatever case.

    Raises `KeyRefused`, naming the word that is mistyped where it can.
    """
    # Base32 has no 0, 1 and 8: what looks like one is the letter.
    letters = "".join(text.replace("-", " ").split()).upper()
    letters = letters.translate(str.maketrans("018", "OIB"))
    size = WORD + 1
    if len(letters) != WORDS * size:
        raise KeyRefused(f"recovery words have {WORDS * size} characters, not {len(letters)}")
    words = [letters[i : i + size] for i in range(0, len(letters), size)]
    for place, word in enumerate(words):
        if word[WORD:] != _check(place, word[:WORD]):
            raise KeyRefused(f"word {place + 1} of the recovery words is mistyped")
    try:
        content = base64.b32decode("".join(word[:WORD] for word in words))
    except ValueError as error:
        raise KeyRefused("the recovery words hold characters that none has") from error
    if content[-2:] != blake3(content[:-2]).digest(2) or content[0] != 1:
        raise KeyRefused("the recovery words do not belong together")
    return Keys(content[1:-2])


def _check(place: int, word: str) -> str:
    value = blake3(bytes([place]) + word.encode()).digest()
    return base64.b32encode(value).decode()[0]


def _read(folder: Path) -> bytes:
    try:
        with (folder / KEY_FILE).open("rb") as file:
            _refuse_shared(folder.stat(), "the data folder")
            _refuse_shared(os.fstat(file.fileno()), "the key file")
            return file.read(WRAPPED_LIMIT)
    except FileNotFoundError as error:
        raise KeyRefused("there is no key in the data folder") from error
    except OSError as error:
        raise KeyRefused(f"the key file cannot be read: {error.strerror}") from error


def _refuse_shared(found: os.stat_result, what: str) -> None:
    if os.name == "nt":
        return  # permission bits say nothing there; the profile folder is private
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        raise KeyRefused(f"{what} is open to other users ({mode:04o}); take their rights away")
    if os.geteuid() not in (0, found.st_uid) and found.st_uid != 0:
        raise KeyRefused(f"{what} belongs to another user ({found.st_uid})")


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # a folder cannot be opened there; the rename is the system's to keep
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
