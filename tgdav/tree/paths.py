"""Names and paths that a drive can keep. Pure.

A path is a tuple of names from the root down; names are compared as they are spelled.
What is refused here could not be written in XML, or not be kept by a client's disk.
"""

import re

from tgdav.errors import LimitReached, NameRefused

Path = tuple[str, ...]
"""Absolute in the drive; `()` is the root."""

NAME_LIMIT = 255
"""Bytes of a name in UTF-8: what file systems take."""
PATH_LIMIT = 4096
"""Bytes of a path in UTF-8, its slashes counted."""
DEPTH_LIMIT = 100
"""Names in a path."""

# XML 1.0 has no way to write these; a lone surrogate is no UTF-8 either.
_REFUSED = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def parse(text: str) -> Path:
    """Read "/a/b" as ("a", "b") and "/" as ().

    Raises `NameRefused` for what no drive can keep, `LimitReached` for too many names.
    """
    if not text.startswith("/"):
        raise NameRefused("a path begins with a slash")
    if text == "/":
        return ()
    _require_characters(text)
    path = tuple(text[1:].split("/"))
    if len(path) > DEPTH_LIMIT:
        raise LimitReached(f"a path has at most {DEPTH_LIMIT} names, not {len(path)}")
    _require_size(text, "a path", PATH_LIMIT)
    for name in path:
        _require_name(name)
    return path


def check_name(name: str) -> str:
    """Return `name` if a node may be called so; raise `NameRefused`."""
    if "/" in name:
        raise NameRefused("a name has no slash in it")
    _require_characters(name)
    _require_name(name)
    return name


def _require_name(name: str) -> None:
    if name in ("", ".", ".."):
        raise NameRefused(f'a name cannot be "{name}"')
    _require_size(name, "a name", NAME_LIMIT)


def _require_characters(text: str) -> None:
    if found := _REFUSED.search(text):
        raise NameRefused(f"a name cannot have the character U+{ord(found[0]):04X}")


def _require_size(text: str, what: str, limit: int) -> None:
    # Four bytes are the most that a character takes: most texts need not be encoded.
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise NameRefused(f"{what} has at most {limit} bytes, not {size}")
