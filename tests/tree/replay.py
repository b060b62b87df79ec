"""The journal, replayed by other means than the tree's own, to be held against it."""

import json
from typing import Any

from sqlalchemy import Connection, select

from tgdav.blocks.tables import blocks
from tgdav.db import Database
from tgdav.tree import journal
from tgdav.tree.tables import ROOT, extents, nodes, properties, users, versions

Extents = list[tuple[int, int, str, int]]
"""(offset, size, block id, offset in the block) of a version, in order."""


class Replayed:
    """Nodes, versions and properties by number, as the changes so far left them."""

    def __init__(self) -> None:
        self.nodes: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, tuple[int, str, str]] = {}
        self.extents: dict[int, Extents] = {}
        self.properties: dict[int, dict[str, str]] = {}
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

    def _copy(self, node: int, source: int, deep: bool, over: int | None, **row: Any) -> None:
        self._drop(over)
        below = sorted(self._below(source) if deep else [])
        numbers = {old: node + place for place, old in enumerate([source, *below])}
        for old, new in numbers.items():
            above = {"parent": numbers.get(self.nodes[old]["parent"])}
            copied = self.nodes[old] | {key: row[key] for key in ("owner", "created_ns")}
            assert new not in self.nodes
            self.nodes[new] = copied | (row if old == source else above)
            if old in self.properties:
                self.properties[new] = dict(self.properties[old])

    def _move(self, node: int, parent: int, name: str, over: int | None) -> None:
        self._drop(over)
        self.nodes[node] |= {"parent": parent, "name": name}

    def _delete(self, node: int) -> None:
        self._drop(node)

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
            place = {key: self.nodes[node][key] for key in ("parent", "name")}
            assert place == {key: row[key] for key in place}
        self.nodes[node] = row | {"version": version}
        self.versions[version] = said

    def _below(self, top: int) -> list[int]:
        direct = [no for no, row in self.nodes.items() if row["parent"] == top]
        return direct + [each for no in direct for each in self._below(no)]

    def _drop(self, top: int | None) -> None:
        if top is not None:
            for no in [top, *self._below(top)]:
                del self.nodes[no]
                self.properties.pop(no, None)


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
        rows = connection.execute(select(nodes).where(nodes.c.no != ROOT)).mappings()
        found = {row["no"]: {k: v for k, v in row.items() if k != "no"} for row in rows}
        assert replayed.nodes == found
        kept: dict[int, dict[str, str]] = {}
        for row in connection.execute(select(properties)):
            kept.setdefault(row.node, {})[row.name] = row.value
        assert replayed.properties == kept
        assert replayed.users == _kept_users(connection)
        for version in {row["version"] for row in found.values()} - {None}:
            assert replayed.extents[version] == _kept_extents(connection, version)
            assert replayed.versions[version] == _kept_version(connection, version)


def lines(db: Database) -> list[bytes]:
    """The journal, a line a change."""
    with db.read() as connection:
        return journal.unpacked(connection, 0)[1].splitlines()


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
