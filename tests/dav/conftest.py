"""A drive behind its WebDAV face, without a socket: trees, users, clients."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from tests.blocks.room import Room
from tests.dav.client import Client
from tgdav.dav.messages import USER, DavOptions, Environ
from tgdav.dav.requests import Requests
from tgdav.db import Database
from tgdav.tree import tables
from tgdav.tree.nodes import Node
from tgdav.tree.tree import Tree
from tgdav.tree.users import Users


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """The blocks below; on SQLite only, as nothing in this room asks which."""
    db = Database.open(f"sqlite:///{tmp_path / 'drive.db'}")
    room = Room(db, tmp_path)
    room.open()
    yield room
    room.vault.close(grace_s=5)
    assert room.budget.used == 0, "a save or a read was not closed"
    db.close()


@pytest.fixture
def tree(room: Room) -> Tree:
    tree = Tree(room.db, room.vault)
    # Nobody logs in here, and hashing a password would take longer than most tests do.
    ann = {"name": "ann", "password": "", "read_only": False, "root": "/", "created_ns": 0}
    room.db.write(lambda connection: connection.execute(insert(tables.users), ann))
    return tree


@pytest.fixture
def users(tree: Tree) -> Users:
    return tree.users


@pytest.fixture
def make_client(tree: Tree) -> Callable[..., Client]:
    """Clients of a face with other options."""

    def make(**options: Any) -> Client:
        requests = Requests(tree, DavOptions(page, **options))

        def logged_in(environ: Environ, start_response: Any) -> Iterable[bytes]:
            environ[USER] = tree.users.get(environ["REMOTE_USER"])
            return requests(environ, start_response)

        return Client(logged_in)

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


def page(href: str, title: str, is_root: bool, nodes: Iterable[Node]) -> Iterator[bytes]:
    """A directory for a browser, in a form that tests read at a glance."""
    yield f"{href} {title} {is_root} {','.join(node.name for node in nodes)}".encode()
