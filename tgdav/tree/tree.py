"""The drive as names: found, listed, saved, read, moved, copied, deleted.

The one face of this room. Paths are absolute in the drive; what a user may see of it is
for the caller to know. Every change is one transaction, and has happened on return.
"""

from typing import NamedTuple

from sqlalchemy import func, select

from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.errors import NotAFile
from tgdav.tree import changes, content, nodes, subtrees
from tgdav.tree.content import Reading
from tgdav.tree.guard import Guard
from tgdav.tree.history import History
from tgdav.tree.locks import Locks
from tgdav.tree.memo import Memo
from tgdav.tree.nodes import Node, require_node, walk
from tgdav.tree.paths import Path
from tgdav.tree.permit import Check, Permit
from tgdav.tree.properties import Properties
from tgdav.tree.publish import Stretch, Wiring, look, prepare_file
from tgdav.tree.quota import Quota, Quotas
from tgdav.tree.save import Save
from tgdav.tree.tables import nodes as rows
from tgdav.tree.tables import versions
from tgdav.tree.trash import Trash
from tgdav.tree.trash_folder import TrashFolder
from tgdav.tree.users import User, Users

_TOTALS = select(
    func.count(rows.c.version),
    func.count() - func.count(rows.c.version) - 1,
    func.coalesce(func.sum(versions.c.size), 0),
).select_from(rows.outerjoin(versions, versions.c.no == rows.c.version))
FOUND = 4096
"""Paths whose nodes are remembered while nothing changes."""


class Totals(NamedTuple):
    """What the whole drive holds; the root is not counted."""

    files: int
    directories: int
    bytes: int


class Tree:
    """All nodes of one drive. Any thread may use it.

    Every method may raise `DatabaseBusy` and `DatabaseError`, and those that change
    something `DiskFull`; whatever a method raises, nothing was changed.
    """

    def __init__(self, db: Database, vault: Vault, *, guard_share: float = 0.0) -> None:
        self._db = db
        self._vault = vault
        self._quotas = Quotas(db)
        self._found: Memo[Path, Node | None] = Memo(db, FOUND)
        self._numbers = Numbers(db, "node")
        version_numbers = Numbers(db, "version")
        self._wiring = Wiring(db, vault, self._quotas, self._numbers, version_numbers)
        self.guard = Guard(db, guard_share)
        self.history = History(db, version_numbers)
        self.trash = Trash(db, self.guard, self._numbers)
        self.trash_folder = TrashFolder(db)
        self.properties = Properties(db)
        self.locks = Locks(db, lambda: prepare_file(self._wiring))
        self.users = Users(db)
        nodes.plant_root(db)

    def find(self, path: Path) -> Node | None:
        """The node with this path; below a file there is none."""

        def read() -> Node | None:
            with self._db.read() as connection:
                return nodes.end(walk(connection, path), path)

        return self._found.get(path, read)

    def children(self, node: Node, after: str | None = None, limit: int = 1000) -> list[Node]:
        """The next `limit` nodes of the directory, by the bytes of their names."""
        with self._db.read() as connection:
            return nodes.children(connection, node.no, after or "", limit)

    def make_directory(
        self,
        path: Path,
        permit: Permit,
        *,
        modified_ns: int | None = None,
        check: Check | None = None,
    ) -> Node:
        """`changes.make_directory`, dated now unless given."""
        no = self._numbers.take()[0]
        return self._db.write(
            lambda connection: changes.make_directory(
                connection, path, permit, no, modified_ns=modified_ns, check=check
            )
        )

    def writing(
        self,
        path: Path,
        permit: Permit,
        *,
        announced: int | None = None,
        check: Check | None = None,
    ) -> Save:
        """Begin to save a file of `announced` bytes, or of nobody knows how many.

        What would refuse it now, refuses it here: raises `ParentMissing`,
        `NotADirectory`, `NotAFile`, `Locked`, `QuotaExceeded`, `StagingFull`, or what
        `check` does with the node to be replaced.
        """
        with self._db.read() as connection:
            place = look(connection, path, permit, check)
        return Save(self._wiring, place, permit, stretch=None, announced=announced, check=check)

    def splicing(
        self,
        path: Path,
        permit: Permit,
        offset: int | None,
        *,
        announced: int | None = None,
        check: Check | None = None,
    ) -> Save:
        """Begin to replace what a file has from `offset` on, or (None) to append to it.

        Past the end there will be zeros up to `offset`, at most `publish.GAP_LIMIT`.
        Raises what `writing` does, and `NotFound`, `RangeRefused`.
        """
        with self._db.read() as connection:
            place = look(connection, path, permit, check)
        stretch = Stretch.of(place.node, offset)
        return Save(self._wiring, place, permit, stretch=stretch, announced=announced, check=check)

    def reading(self, node: Node, start: int, stop: int) -> Reading:
        """The bytes from `start` to `stop` of the version that `node` had when found.

        Raises `NotAFile`, `ContentLost`, `StoreBusy`, `StoreError`.
        """
        if node.version is None:
            raise NotAFile("a directory has no content")
        return content.read(self._db, self._vault, node.version, start, min(stop, node.size))

    def is_remote(self, node: Node) -> bool:
        """True if a store has all of the file's content, and not only this machine."""
        return node.version is None or content.is_remote(self._db, node.version)

    def copy(
        self,
        source: Path,
        target: Path,
        permit: Permit,
        *,
        overwrite: bool = True,
        deep: bool = True,
        check: Check | None = None,
    ) -> bool:
        """`changes.copy`; also raises `QuotaExceeded`."""
        with self._db.read() as connection:
            node = require_node(walk(connection, source), source)
            amount = subtrees.measure(connection, node.no, deep=deep)
        # Some more numbers than nodes: others may be making some meanwhile.
        numbers = self._numbers.take(amount.nodes + amount.nodes // 8 + 16)
        basket = self.trash.basket()
        growing = self._quotas.growing(permit.user, amount.bytes)
        with growing, self.guard.watching(permit.user):
            return self._db.write(
                lambda connection: changes.copy(
                    connection,
                    source,
                    target,
                    permit,
                    numbers,
                    basket,
                    deep=deep,
                    overwrite=overwrite,
                    check=check,
                )
            )

    def move(
        self,
        source: Path,
        target: Path,
        permit: Permit,
        *,
        overwrite: bool = True,
        check: Check | None = None,
    ) -> bool:
        """`changes.move`, in the same time for a file and for a large directory."""
        basket = self.trash.basket()
        with self.guard.watching(permit.user):
            return self._db.write(
                lambda connection: changes.move(
                    connection, source, target, permit, basket, overwrite=overwrite, check=check
                )
            )

    def delete(self, path: Path, permit: Permit, check: Check | None = None) -> None:
        """`changes.delete`."""
        basket = self.trash.basket()
        with self.guard.watching(permit.user):
            self._db.write(
                lambda connection: changes.delete(connection, path, permit, check, basket)
            )

    def touch(
        self,
        path: Path,
        permit: Permit,
        *,
        modified_ns: int | None = None,
        created_ns: int | None = None,
    ) -> Node:
        """`changes.touch`."""
        return self._db.write(
            lambda connection: changes.touch(connection, path, permit, modified_ns, created_ns)
        )

    def quota(self, user: User) -> Quota:
        """What the user keeps, as of some seconds ago, and what may still come."""
        return self._quotas.of(user.name, user.quota)

    def totals(self) -> Totals:
        """What the drive holds; this looks at every node."""
        with self._db.read() as connection:
            return Totals(*map(int, connection.execute(_TOTALS).one()))
