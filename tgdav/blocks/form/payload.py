"""What rides in a pack beside its blocks, by the pack's kind. Pure.

A "pack" carries journal rows behind a line `epoch after last`; a "snapshot" and a
"head" carry facts as JSON. All of it is sealed with the pack's index, so that what a
caption claims can be held against what the key's owner wrote.
"""

import json
from typing import Any, NamedTuple

from tgdav.errors import PackDamaged

CLEAR_ID = bytes(32)
"""The id of an entry that is no block but clear text: a head's wrapped key."""


class Journal(NamedTuple):
    """Journal rows in a pack: those after number `after`, up to `last`."""

    epoch: int
    after: int
    last: int
    rows: bytes


class Standing(NamedTuple):
    """How far a drive had come when a pack was made. Larger is later."""

    epoch: int
    position: int


def journal(epoch: int, after: int, last: int, rows: bytes) -> bytes:
    """What `read_journal` reads."""
    return b"%d %d %d\n" % (epoch, after, last) + rows


def read_journal(carried: bytes) -> Journal | None:
    """The rows in a pack of blocks; None if it has none. Raises `PackDamaged`."""
    if not carried:
        return None
    line, _, rows = carried.partition(b"\n")
    try:
        epoch, after, last = map(int, line.split())
    except ValueError as error:
        raise PackDamaged("a journal of a form that this tgdav does not know") from error
    return Journal(epoch, after, last, rows)


def facts(told: dict[str, Any]) -> bytes:
    """What `read_facts` reads; "epoch" and "position" are among `told`."""
    return json.dumps(told, sort_keys=True).encode()


def read_facts(carried: bytes) -> dict[str, Any]:
    """What a head or a part of a snapshot says. Raises `PackDamaged`."""
    try:
        told: dict[str, Any] = json.loads(carried)
        int(told["epoch"]), int(told["position"])
    except (ValueError, TypeError, KeyError) as error:
        raise PackDamaged("facts of a form that this tgdav does not know") from error
    return told


def standing(kind: str, carried: bytes) -> Standing | None:
    """How far the drive had come by this pack; None if it does not tell."""
    if kind == "pack":
        rows = read_journal(carried)
        return rows and Standing(rows.epoch, rows.last)
    told = read_facts(carried)
    return Standing(told["epoch"], told["position"])
