"""Locks are exclusive in the database: two processes that share nothing else race for them."""

import multiprocessing
import uuid

from sqlalchemy import func, insert, select

from tgdav.blocks.rows.numbers import Numbers
from tgdav.db import Database
from tgdav.errors import Locked
from tgdav.tree.locks import Locks
from tgdav.tree.nodes import Node, add, plant_root, walk
from tgdav.tree.permit import Permit
from tgdav.tree.tables import locks, nodes, versions

ROUNDS = 300
SPAWN = multiprocessing.get_context("spawn")


def race(url, user, barrier, answers):
    """Lock each name as soon as the other process is about to; tell what was granted."""
    db = Database.open(url)
    numbers = Numbers(db, "test")
    held = Locks(db, lambda: empty_file(numbers.take(2)))
    granted, refused = {}, []
    for name in map(str, range(ROUNDS)):
        barrier.wait(60)
        try:
            lock, created = held.lock(
                (name,), Permit(user), exclusive=True, infinite=True, owner="", for_s=3600
            )
            granted[name] = (lock.token, created)
        except Locked as error:
            refused.append(error.path)
    db.close()
    answers.put((granted, refused))


def empty_file(numbers):
    def place(connection, directory, name, permit):
        no, version = numbers
        connection.execute(
            insert(versions).values(
                no=version, etag=uuid.uuid4().hex, size=0, checksum="", created_ns=0
            )
        )
        node = Node(no, directory.no, name, version, 0, "", "", permit.user, 0, 0)
        add(connection, node)
        return node

    return place


def plant(db):
    """A file under every second name: half of the locks must make theirs."""
    numbers = Numbers(db, "test").take(ROUNDS)
    plant_root(db)

    def work(connection):
        root = walk(connection, ())[0]
        for n in range(0, ROUNDS, 2):
            empty_file(numbers[n : n + 2])(connection, root, str(n), Permit("a"))

    db.write(work)


def test_one_of_two_processes_gets_each_lock(db, database_url):
    plant(db)
    barrier, answers = SPAWN.Barrier(2), SPAWN.Queue()
    racers = [
        SPAWN.Process(target=race, args=(database_url, user, barrier, answers)) for user in "ab"
    ]
    for racer in racers:
        racer.start()
    (granted, refused), (others, more) = (answers.get(timeout=120) for _ in racers)
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
    names = {str(n): n % 2 == 1 for n in range(ROUNDS)}
    assert sorted([*granted, *others]) == sorted(names)
    assert sorted([*refused, *more]) == sorted((name,) for name in names)
    assert {name: made for name, (_, made) in (granted | others).items()} == names
    tokens = [token for token, _ in (granted | others).values()]
    with db.read() as connection:
        assert sorted(connection.scalars(select(locks.c.token))) == sorted(tokens)
        assert connection.scalar(select(func.count()).select_from(nodes)) == ROUNDS + 1
    answers.close()
    answers.join_thread()
