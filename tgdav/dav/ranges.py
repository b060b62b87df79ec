"""Byte ranges as headers write them: of what is asked for, and of what is sent. Pure.

`Range` and its answers by RFC 9110, 14; `Content-Range` on a PUT as Apache takes it;
`X-Update-Range` as SabreDAV defines it. All are half-open inside: start, stop.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MOST_PARTS = 16
"""Ranges of one answer, once those that touch are one; beyond it the whole is sent."""
MOST_SPECS = 256
"""Ranges of one header: no player asks for more, and who does gets the whole."""

_UNIT = re.compile(r"[ \t]*bytes[ \t]*=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(r"([0-9]{0,20})-([0-9]{0,20})\Z")
_UPDATE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})?\Z|-([0-9]{1,18})\Z")
_CONTENT = re.compile(
    r"\s*bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\s*\Z", re.IGNORECASE
)


class Unsatisfiable(ValueError):
    """No range of the set lies within the content."""


class Malformed(ValueError):
    """Not a range that can be understood."""


class Range(NamedTuple):
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def content_range(self, total: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{total}"


def requested(header: str, total: int) -> Sequence[Range] | None:
    """The ranges that `Range: header` selects from `total` bytes, in the order asked for.

    Ranges that overlap or touch are one. None: the header is to be ignored, because it
    is malformed, in another unit, or wants too many. Raises `Unsatisfiable`.
    """
    unit = _UNIT.match(header)
    if unit is None or unit[1].count(",") >= MOST_SPECS:
        return None
    try:
        specs = [
            _spec(text.strip(" \t"), total) for text in unit[1].split(",") if text.strip(" \t")
        ]
    except Malformed:
        return None
    found = [each for each in specs if each is not None]
    if not found:
        if specs:
            raise Unsatisfiable(header)
        return None
    # Content-Range cannot name the last bytes of nothing.
    merged = _merged(found) if total else []
    return merged if 0 < len(merged) <= MOST_PARTS else None


def _spec(text: str, total: int) -> Range | None:
    """One range, cut to the content; None when it lies outside."""
    match = _SPEC.match(text)
    if match is None or match[1] == match[2] == "":
        raise Malformed(text)
    if not match[1]:
        suffix = int(match[2])
        return Range(max(0, total - suffix), total) if suffix else None
    start = int(match[1])
    stop = int(match[2]) + 1 if match[2] else max(start + 1, total)
    if stop <= start:
        raise Malformed(text)
    return Range(start, min(stop, total)) if start < total else None


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """Those that touch made one, each where the first of its parts was asked for."""
    merged: list[tuple[int, Range]] = []
    for place, each in sorted(enumerate(ranges), key=lambda item: item[1]):
        if merged and each.start <= merged[-1][1].stop:
            first, last = merged[-1]
            merged[-1] = min(first, place), Range(last.start, max(last.stop, each.stop))
        else:
            merged.append((place, each))
    return [each for _, each in sorted(merged)]


@dataclass(frozen=True, slots=True)
class Multipart:
    """The frame of a multipart/byteranges answer around the bytes of its ranges."""

    ranges: Sequence[Range]
    total: int
    content_type: str
    boundary: str

    @property
    def media_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"

    def heading(self, each: Range) -> bytes:
        """What stands before the bytes of `each`."""
        return (
            f"\r\n--{self.boundary}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Range: {each.content_range(self.total)}\r\n\r\n"
        ).encode("latin-1")

    @property
    def ending(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("latin-1")

    @property
    def length(self) -> int:
        framed = sum(len(self.heading(each)) + each.size for each in self.ranges)
        return framed + len(self.ending)


class Stretch(NamedTuple):
    """Where a `Content-Range` puts a body, in a content of `total` bytes if it says so."""

    start: int
    stop: int
    total: int | None


def content_range(header: str) -> Stretch:
    """Read `bytes a-b/total` or `bytes a-b/*`. Raises `Malformed`."""
    match = _CONTENT.match(header)
    if match is None:
        raise Malformed(header)
    start, stop = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    if stop <= start or (total is not None and total < stop):
        raise Malformed(header)
    return Stretch(start, stop, total)


class Update(NamedTuple):
    """Where an `X-Update-Range` puts a body."""

    start: int | None
    """From the front; from the end if negative; None: append."""
    stop: int | None
    """Where it must end, if the client said."""


def update_range(header: str) -> Update:
    """Read `append`, `bytes=a-b`, `bytes=a-` or `bytes=-n`. Raises `Malformed`."""
    if header.strip().lower() == "append":
        return Update(None, None)
    unit = _UNIT.match(header)
    match = _UPDATE.match(unit[1].strip(" \t")) if unit else None
    if match is None or (match[3] and int(match[3]) == 0):
        raise Malformed(header)
    if match[3]:
        return Update(-int(match[3]), None)
    return Update(int(match[1]), int(match[2]) + 1 if match[2] else None)
