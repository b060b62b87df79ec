"""A tree on real blocks, spoken to in paths as people write them."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event

from tests.blocks.room import Room
from tgdav.db.prepared import Prepared
from tgdav.tree.nodes import Node
from tgdav.tree.paths import parse
from tgdav.tree.permit import Permit
from tgdav.tree.tree import Tree

ADA, BOB = Permit("ada"), Permit("bob")


class Drive:
    """One tree; `found` is all that is in it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.db = room.db
        self.tree = Tree(room.db, room.vault)

    def save(
        self,
        path: str,
        data: bytes = b"",
        permit: Permit = ADA,
        *,
        check: Any = None,
        announced: int | None = None,
        **said: Any,
    ) -> Node:
        with self.tree.writing(parse(path), permit, announced=announced, check=check) as save:
            for at in range(0, len(data), 4000):
                save.write(data[at : at + 4000])
            return save.publish(**said)[0]

    def splice(
        self, path: str, offset: int | None, data: bytes, permit: Permit = ADA, **options: Any
    ) -> Node:
        with self.tree.splicing(
            parse(path), permit, offset, announced=len(data), **options
        ) as save:
            save.write(data)
            return save.publish(size_expected=len(data))[0]

    def read(self, path: str, start: int = 0, stop: int | None = None) -> bytes:
        return self.content(self.node(path), start, stop)

    def content(self, node: Node, start: int = 0, stop: int | None = None) -> bytes:
        with contextlib.closing(
            self.tree.reading(node, start, node.size if stop is None else stop)
        ) as reading:
            return b"".join(map(bytes, reading))

    def node(self, path: str) -> Node:
        node = self.tree.find(parse(path))
        assert node is not None, path
        return node

    def mkdir(self, path: str, permit: Permit = ADA, **options: Any) -> Node:
        return self.tree.make_directory(parse(path), permit, **options)

    def delete(self, path: str, permit: Permit = ADA, **options: Any) -> None:
        self.tree.delete(parse(path), permit, **options)

    def move(self, source: str, target: str, permit: Permit = ADA, **options: Any) -> bool:
        return self.tree.move(parse(source), parse(target), permit, **options)

    def copy(self, source: str, target: str, permit: Permit = ADA, **options: Any) -> bool:
        return self.tree.copy(parse(source), parse(target), permit, **options)

    def lock(self, path: str, permit: Permit = ADA, **options: Any) -> Permit:
        """Lock the node; return a permit that has the token with the others."""
        wanted = {"exclusive": True, "infinite": False, "owner": "", "for_s": 60} | options
        lock, _ = self.tree.locks.lock(parse(path), permit, **wanted)
        return Permit(permit.user, permit.tokens | {lock.token})

    def is_locked(self, path: str) -> bool:
        return bool(self.tree.locks.covering(parse(path)))

    def set_property(self, path: str, name: str, xml: str) -> None:
        self.tree.properties.change(parse(path), ADA, {name: xml}, [])

    def properties(self, path: str) -> dict[str, str]:
        return self.tree.properties.of([self.node(path).no]).get(self.node(path).no, {})

    def found(self, path: str = "/") -> dict[str, bytes | None]:
        """Every path below, with its content; None for a directory."""
        return dict(self._found(self.node(path), path.rstrip("/")))

    def _found(self, directory: Node, path: str) -> Iterator[tuple[str, bytes | None]]:
        for node in self.tree.children(directory):
            here = f"{path}/{node.name}"
            if node.is_directory:
                yield here, None
                yield from self._found(node, here)
            else:
                yield here, self.content(node)


@contextlib.contextmanager
def statements(drive: Drive) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            seen.append(statement)

    text = Prepared._text

    def note_prepared(prepared: Prepared, *said: Any) -> Any:
        made = text(prepared, *said)
        seen.append(made[0])
        return made

    event.listen(Engine, "before_cursor_execute", note)
    Prepared._text = note_prepared  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        Prepared._text = text  # type: ignore[method-assign]
        event.remove(Engine, "before_cursor_execute", note)
