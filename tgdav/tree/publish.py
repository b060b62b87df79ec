"""The one transaction that makes a version visible: a file's, new or replaced.

All that can refuse it is asked in the transaction, again where it was asked before. The
directory is held on to by its number: a save ends up where that is by then, or nowhere.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, insert

from tgdav.blocks.form.draft import Draft
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.db.prepared import Prepared
from tgdav.errors import Busy, NotAFile, NotFound, ParentMissing, RangeRefused
from tgdav.tree import content, history, journal, locks, nodes
from tgdav.tree.locks import PlaceFile
from tgdav.tree.nodes import Node, end, follow, lineage, require_directory, walk
from tgdav.tree.paths import Path
from tgdav.tree.permit import Check, Permit
from tgdav.tree.quota import Quotas
from tgdav.tree.tables import versions

GAP_LIMIT = 64 << 20
"""Bytes of zeros that may lie between a file's end and what is written past it."""

_TOLD = [column for column in Node._fields if column != "no"]
_ADD_VERSION = Prepared(insert(versions))


@dataclass(frozen=True, slots=True)
class Wiring:
    """What saves need of the drive."""

    db: Database
    vault: Vault
    quotas: Quotas
    node_numbers: Numbers
    version_numbers: Numbers


class Place(NamedTuple):
    """Where a save goes: a name in a directory, and the file that had it at first."""

    directory: int
    name: str
    node: Node | None


class Stretch(NamedTuple):
    """Where a draft goes in a file: from `offset` on, after `gap` bytes of zeros.

    Without an offset it goes to the end, wherever that is by then.
    """

    offset: int | None
    gap: int

    @classmethod
    def of(cls, node: Node | None, offset: int | None) -> "Stretch":
        """Raises `NotFound`, and `RangeRefused` for too long a gap."""
        if node is None:
            raise NotFound("no file to change a part of")
        gap = max(0, (offset or 0) - node.size)
        if gap > GAP_LIMIT:
            raise RangeRefused(f"{gap} bytes after the end, where {GAP_LIMIT} may be")
        return cls(offset, gap)

    def start(self, size: int) -> int:
        """Where the zeros begin in a file of `size` bytes; `Busy` if they no longer fit."""
        start = size if self.offset is None else self.offset - self.gap
        if start > size or (self.gap and start < size):
            raise Busy(f"the file has {size} bytes by now", 1.0)
        return start


class Details(NamedTuple):
    """What a client tells of a content beside its bytes; times None: as they come."""

    checksum: str = ""
    modified_ns: int | None = None
    created_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A complete draft, and all that its transaction needs; it may run several times."""

    vault: Vault
    place: Place
    permit: Permit
    check: Check | None
    draft: Draft
    stretch: Stretch | None  # None: the draft is the whole content
    details: Details
    node_no: int  # of the node, if the name turns out to be new
    version_no: int

    def __call__(self, connection: Connection) -> tuple[Node, bool]:
        """Return the node as it is then, and whether its name is new.

        Raises `ParentMissing`, `NotAFile`, `NotFound`, `Locked`, `Busy`, or what the
        check does.
        """
        old = _look_again(connection, self.place, self.permit, self.check)
        start, size = self._fit(old)
        new, now_ns = self._next(old, size), time.time_ns()
        adopted = self.vault.adopt(connection, self.draft)
        put(connection, new, old, adopted, None if self.stretch is None else start, now_ns)
        journal.append(connection, self._change(new, start))
        return new, old is None

    def _fit(self, old: Node | None) -> tuple[int, int]:
        """Where the draft begins in the new version, and the size of that."""
        if self.stretch is None:
            return 0, self.draft.size
        if old is None:
            raise NotFound("the file is gone of which a part was to be changed")
        start = self.stretch.start(old.size)
        return start, max(old.size, start + self.draft.size)

    def _next(self, old: Node | None, size: int) -> Node:
        new = _new_file(self.place, self.node_no, self.version_no, self.permit.user)
        new = new._replace(size=size, checksum=self.details.checksum)
        if old is not None:
            new = new._replace(no=old.no, created_ns=old.created_ns)
        return _dated(new, self.details)

    def _change(self, new: Node, start: int) -> journal.Change:
        told = journal.told(new, *_TOLD)
        told["pieces"] = [(piece.block_id.hex(), piece.size) for piece in self.draft.pieces]
        if self.stretch is None:
            return {"did": "save", **told}
        return {"did": "splice", "start": start, **told}


def put(
    connection: Connection,
    new: Node,
    old: Node | None,
    adopted: Sequence[tuple[int, int, int, int]],
    start: int | None,
    at_ns: int,
) -> None:
    """Let the file have the version that `new` names, in place of the `old` one's.

    Its content is what was `adopted`, (offset, size, block, offset in it) each; a splice has
    the old content around that, and begins at `start`.
    """
    _add_version(connection, new, at_ns)
    if start is not None and old is not None and old.version is not None:
        stop = start + sum(size for _, size, _, _ in adopted)
        content.splice(connection, old.version, _version(new), start, stop)
    content.write(connection, _version(new), adopted, start or 0)
    _name(connection, new, old, at_ns)


def look(connection: Connection, path: Path, permit: Permit, check: Check | None) -> Place:
    """Where a save to the path would go, if it were published now.

    Raises `ParentMissing`, `NotADirectory`, `NotAFile`, `Locked`, or what `check` does.
    """
    chain = walk(connection, path)
    node = _require_file(end(chain, path))
    directory = require_directory(chain, path)
    _admit(connection, node, lambda: [each.no for each in chain], permit, check)
    return Place(directory.no, path[-1], node)


def prepare_file(wiring: Wiring) -> PlaceFile:
    """Take the numbers of an empty file that a transaction may then make."""
    node_no = wiring.node_numbers.take()[0]
    version_no = wiring.version_numbers.take()[0]

    def place_file(connection: Connection, directory: Node, name: str, permit: Permit) -> Node:
        made = _new_file(Place(directory.no, name, None), node_no, version_no, permit.user)
        _add_version(connection, made, time.time_ns())
        nodes.add(connection, made)
        journal.append(connection, {"did": "save", **journal.told(made, *_TOLD), "pieces": []})
        return made

    return place_file


def _look_again(
    connection: Connection, place: Place, permit: Permit, check: Check | None
) -> Node | None:
    """The file that has the place now. Raises what `look` does."""
    chain = follow(connection, place.directory, (place.name,))
    if not chain:
        raise ParentMissing("the directory was deleted while the save was under way")
    node = _require_file(chain[1] if len(chain) > 1 else None)
    _admit(connection, node, lambda: lineage(connection, chain[-1].no), permit, check)
    return node


def _require_file(node: Node | None) -> Node | None:
    if node is not None and node.is_directory:
        raise NotAFile("a directory has this path")
    return node


def _admit(
    connection: Connection,
    node: Node | None,
    numbers: Callable[[], list[int]],
    permit: Permit,
    check: Check | None,
) -> None:
    if check:
        check(node)
    if locks.are_kept(connection):
        locks.require_change(connection, numbers(), permit)


def _new_file(place: Place, node_no: int, version_no: int, owner: str) -> Node:
    """An empty file, made now."""
    now_ns = time.time_ns()
    etag = secrets.token_hex(16)
    return Node(
        node_no, place.directory, place.name, version_no, 0, etag, "", owner, now_ns, now_ns
    )


def _dated(node: Node, details: Details) -> Node:
    if details.modified_ns is not None:
        node = node._replace(modified_ns=details.modified_ns)
    if details.created_ns is not None:
        node = node._replace(created_ns=details.created_ns)
    return node


def _version(node: Node) -> int:
    assert node.version is not None  # noqa: S101 - what is saved is a file
    return node.version


def _add_version(connection: Connection, node: Node, at_ns: int) -> None:
    values = {"no": node.version, "etag": node.etag, "size": node.size, "checksum": node.checksum}
    _ADD_VERSION.run(connection, {**values, "created_ns": at_ns})


def _name(connection: Connection, new: Node, old: Node | None, at_ns: int) -> None:
    """Let the name have its new version, and keep the one that it had for a time."""
    if old is None:
        nodes.add(connection, new)
        return
    nodes.set_version(connection, new)
    history.supersede(connection, old, at_ns)
