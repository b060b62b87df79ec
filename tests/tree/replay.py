"""The journal, replayed by other means than the tree's own, to be held against it."""

import json
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from tgdav.blocks.rows.tables import blocks
from tgdav.db import Database
from tgdav.tree import journal
from tgdav.tree.tables import (
    ROOT,
    extents,
    history,
    nodes,
    properties,
    trash,
    trashed,
    trashed_properties,
    users,
    versions,
)

Extents = list[tuple[int, int, str, int]]
"""(offset, size, block id, offset in the block) of a version, in order."""


class Thrown(NamedTuple):
    """An entry of the trash: its top's number, its nodes, their properties."""

    top: int
    nodes: dict[int, dict[str, Any]]
    properties: dict[int, dict[str, str]]


class Replayed:
    """Nodes, versions and properties by number, as the changes so far left them."""

    def __init__(self) -> None:
        self.nodes: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, tuple[int, str, str]] = {}
        self.extents: dict[int, Extents] = {}
        self.properties: dict[int, dict[str, str]] = {}
        self.history: set[tuple[int, int]] = set()
        self.trash: dict[int, Thrown] = {}
        self.users: dict[str, dict[str, Any]] = {}

    def apply(self, did: str, **change: Any) -> None:
        getattr(self, f"_{did.replace(' ', '_')}")(**change)

    def _make(self, node: int, **row: Any) -> None:
        assert node not in self.nodes
        self.nodes[node] = row | {"version": None}

    def _save(
        self, node: int, version: int, size: int, etag: str, checksum: str, pieces: Any, **row: Any
    ) -> None:
        self._name(node, version, (size, etag, checksum), row)
        self.extents[version] = _extents(pieces, 0)

    def _splice(
        self,
        node: int,
        version: int,
        size: int,
        etag: str,
        checksum: str,
        start: int,
        pieces: Any,
        **row: Any,
    ) -> None:
        old = self.extents[self.nodes[node]["version"]]
        new = _extents(pieces, start)
        stop = start + sum(each_size for _, each_size in pieces)
        before = [(o, min(s, start - o), i, b) for o, s, i, b in old if o < start]
        after = [
            (max(o, stop), o + s - max(o, stop), i, b + max(o, stop) - o)
            for o, s, i, b in old
            if o + s > stop
        ]
        self._name(node, version, (size, etag, checksum), row)
        self.extents[version] = before + new + after

    def _revert(
        self, node: int, version: int, size: int, etag: str, checksum: str, pieces: Any, **row: Any
    ) -> None:
        self._name(node, version, (size, etag, checksum), row)
        self.extents[version] = []
        offset = 0
        for block, length, at in pieces:
            self.extents[version].append((offset, length, block, at))
            offset += length

    def _copy(
        self,
        node: int,
        source: int,
        deep: bool,
        over: int | None,
        trash: int | None,
        user: str,
        **row: Any,
    ) -> None:
        copied = self._copies(node, source, deep, row)
        self._replace(over, trash, node, self.nodes[source]["version"])
        self.nodes |= copied

    def _copies(self, node: int, source: int, deep: bool, row: dict[str, Any]) -> Any:
        made = {}
        below = sorted(self._below(source) if deep else [])
        numbers = {old: node + place for place, old in enumerate([source, *below])}
        for old, new in numbers.items():
            above = {"parent": numbers.get(self.nodes[old]["parent"])}
            copied = self.nodes[old] | {key: row[key] for key in ("owner", "created_ns")}
            assert new not in self.nodes
            made[new] = copied | (row if old == source else above)
            if old in self.properties:
                self.properties[new] = dict(self.properties[old])
        return made

    def _move(
        self, node: int, parent: int, name: str, over: int | None, trash: int | None, user: str
    ) -> None:
        self._replace(over, trash, node, self.nodes[node]["version"])
        self.nodes[node] |= {"parent": parent, "name": name}

    def _delete(self, node: int, trash: int, user: str) -> None:
        self._throw(node, trash)

    def _restore(self, node: int, trash: int, parent: int, name: str) -> None:
        thrown = self.trash.pop(trash)
        assert thrown.top == node
        self.nodes |= thrown.nodes
        self.properties |= thrown.properties
        self.nodes[node] |= {"parent": parent, "name": name}

    def _forget(self, trash: list[int], versions: list[list[int]]) -> None:
        for entry in trash:
            gone = self.trash.pop(entry).nodes
            self.history -= {(of, each) for of, each in self.history if of in gone}
        self.history -= {(node, version) for node, version in versions}

    def _replace(self, over: int | None, trash: int | None, node: int, version: int | None) -> None:
        """Put away what had the place of `node`."""
        if over is None:
            return
        if trash is not None:
            self._throw(over, trash)
            return
        row = self.nodes.pop(over)
        self.properties.pop(over, None)
        handed = {each for of, each in self.history if of == over}
        self.history -= {(over, each) for each in handed}
        self.history |= {(node, each) for each in handed if each != version}
        if row["version"] != version:
            self._keep(node, row["version"])

    def _keep(self, node: int, version: int) -> None:
        if self.versions[version][0]:
            self.history.add((node, version))

    def _throw(self, top: int, trash: int) -> None:
        numbers = [top, *self._below(top)]
        rows = {no: self.nodes.pop(no) for no in numbers}
        rows[top] = rows[top] | {"parent": None}
        properties = {no: self.properties.pop(no) for no in numbers if no in self.properties}
        self.trash[trash] = Thrown(top, rows, properties)

    def _touch(self, node: int, **times: int) -> None:
        self.nodes[node] |= times

    def _properties(self, node: int, remove: list[str], **rest: Any) -> None:
        told = rest.pop("set")
        self.nodes[node] |= rest
        kept = {k: v for k, v in self.properties.pop(node, {}).items() if k not in remove}
        if kept | told:
            self.properties[node] = kept | told

    def _user(self, name: str, **row: Any) -> None:
        self.users[name] = row

    def _user_gone(self, name: str) -> None:
        del self.users[name]

    def _name(self, node: int, version: int, said: Any, row: dict[str, Any]) -> None:
        if node in self.nodes:
            self._keep(node, self.nodes[node]["version"])
            place = {key: self.nodes[node][key] for key in ("parent", "name")}
            assert place == {key: row[key] for key in place}
        self.nodes[node] = row | {"version": version}
        self.versions[version] = said

    def _below(self, top: int) -> list[int]:
        direct = [no for no, row in self.nodes.items() if row["parent"] == top]
        return direct + [each for no in direct for each in self._below(no)]


def _extents(pieces: list[tuple[str, int]], offset: int) -> Extents:
    found = []
    for block_id, size in pieces:
        found.append((offset, size, block_id, 0))
        offset += size
    return found


def check(db: Database) -> None:
    """Assert that the whole journal, replayed, gives the nodes and contents there are."""
    replayed = Replayed()
    for line in lines(db):
        replayed.apply(**json.loads(line)[2])
    with db.read() as connection:
        found = _rows(connection, select(nodes).where(nodes.c.no != ROOT))
        assert replayed.nodes == found
        assert replayed.properties == _properties(connection, properties)
        going = select(trashed.c.no).join(trash, trash.c.no == trashed.c.trash)
        kept = {
            tuple(row)
            for row in connection.execute(
                select(history.c.node, history.c.version).where(
                    history.c.node.not_in(going.where(trash.c.forgotten))
                )
            )
        }
        assert replayed.history == kept
        _check_trash(connection, replayed)
        assert replayed.users == _kept_users(connection)
        thrown = [entry.nodes.values() for entry in replayed.trash.values()]
        rows = [*found.values(), *chain(*thrown)]
        of_nodes = {row["version"] for row in rows} - {None}
        for version in of_nodes | {version for _, version in kept}:
            assert replayed.extents[version] == _kept_extents(connection, version)
            assert replayed.versions[version] == _kept_version(connection, version)


def _check_trash(connection: Connection, replayed: Replayed) -> None:
    entries = connection.execute(select(trash.c.no, trash.c.node).where(~trash.c.forgotten))
    assert {no: entry.top for no, entry in replayed.trash.items()} == dict(map(tuple, entries))
    told = _properties(connection, trashed_properties)
    for no, entry in replayed.trash.items():
        found = _rows(connection, select(trashed).where(trashed.c.trash == no))
        assert entry.nodes == {
            node: {k: v for k, v in row.items() if k != "trash"} for node, row in found.items()
        }
        assert entry.properties == {node: told[node] for node in found if node in told}


def _rows(connection: Connection, query: Any) -> dict[int, dict[str, Any]]:
    rows = connection.execute(query).mappings()
    return {row["no"]: {k: v for k, v in row.items() if k != "no"} for row in rows}


def _properties(connection: Connection, table: Any) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(table)):
        found.setdefault(row.node, {})[row.name] = row.value
    return found


def lines(db: Database) -> list[bytes]:
    """The whole journal, a line a change."""
    found: list[bytes] = []
    after, rows = 0, b"first"
    with db.read() as connection:
        while rows:
            after, rows = journal.unpacked(connection, after)
            found += rows.splitlines()
    return found


def _kept_extents(connection: Connection, version: int) -> Extents:
    rows = connection.execute(
        select(extents.c.offset, extents.c.size, blocks.c.block_id, extents.c.block_offset)
        .join_from(extents, blocks, blocks.c.no == extents.c.block)
        .where(extents.c.version == version)
        .order_by(extents.c.offset)
    )
    return [(offset, size, block_id.hex(), at) for offset, size, block_id, at in rows]


def _kept_users(connection: Connection) -> dict[str, dict[str, Any]]:
    rows = [dict(row) for row in connection.execute(select(users)).mappings()]
    return {row.pop("name"): row for row in rows}


def _kept_version(connection: Connection, version: int) -> tuple[int, str, str]:
    row = connection.execute(select(versions).where(versions.c.no == version)).one()
    return row.size, row.etag, row.checksum
