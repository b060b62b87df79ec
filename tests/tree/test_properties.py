import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, literal, select, union_all

from tests import invariants
from tgdav.db import Database
from tgdav.errors import LimitReached, Locked, NotFound
from tgdav.tree import properties as module
from tgdav.tree.locks import Locks
from tgdav.tree.nodes import Node, add, plant_root, walk
from tgdav.tree.permit import Permit
from tgdav.tree.properties import Properties, copy, drop
from tgdav.tree.tables import ROOT, journal
from tgdav.tree.tables import properties as table

ADA, BOB = Permit("ada"), Permit("bob")
A, B = ("a",), ("a", "b")
TWO = {"{urn:x}one": "<one xmlns='urn:x'>1</one>", "{urn:x}two": "<two xmlns='urn:x'/>"}


def plant(db):
    """/a/b and their numbers, 11 and 12."""

    def work(connection):
        for no, parent, name in [(11, ROOT, "a"), (12, 11, "b"), (13, 11, "c")]:
            add(connection, Node(no, parent, name, None, 0, "", "", "ada", 5, 5))

    plant_root(db)
    db.write(work)


@pytest.fixture
def properties(db):
    plant(db)
    yield Properties(db)
    invariants.check(db)


def changes(db):
    with db.read() as connection:
        return [json.loads(text) for text in connection.scalars(select(journal.c.change))]


def test_what_is_set_is_told_of_its_node(properties):
    properties.change(A, ADA, TWO, ())
    properties.change(B, ADA, {"{}plain": "<plain>\u00e9 & \U0001f511</plain>"}, ())
    assert properties.of([11, 12, 13]) == {11: TWO, 12: {"{}plain": "<plain>é & 🔑</plain>"}}
    assert properties.of([13]) == properties.of([]) == {}


def test_the_root_has_properties_too(properties):
    properties.change((), ADA, TWO, ())
    assert properties.of([ROOT]) == {ROOT: TWO}


def test_a_change_sets_replaces_and_removes(properties):
    properties.change(A, ADA, {**TWO, "{urn:x}three": "<three/>"}, ())
    one = "<one xmlns='urn:x'>2</one>"
    properties.change(A, ADA, {"{urn:x}one": one}, ["{urn:x}three", "{urn:x}absent"])
    assert properties.of([11]) == {11: {**TWO, "{urn:x}one": one}}
    properties.change(A, ADA, {}, TWO)
    assert properties.of([11]) == {}


def test_times_are_the_nodes_own(db, properties):
    node = properties.change(A, ADA, {}, (), modified_ns=7)
    assert (node.no, node.created_ns, node.modified_ns) == (11, 5, 7)
    assert properties.change(A, ADA, TWO, (), created_ns=3).created_ns == 3
    with db.read() as connection:
        assert walk(connection, A)[-1][-2:] == (3, 7)


def test_every_change_is_journalled(db, properties):
    before = len(changes(db))
    properties.change(A, ADA, TWO, ["{urn:x}gone"], modified_ns=7)
    assert changes(db)[before:] == [
        {
            "did": "properties",
            "node": 11,
            "set": TWO,
            "remove": ["{urn:x}gone"],
            "created_ns": 5,
            "modified_ns": 7,
        }
    ]


def test_a_locked_node_needs_the_token(db, properties):
    locks = Locks(db, lambda: None)
    lock, _ = locks.lock(A, ADA, exclusive=True, infinite=True, owner="", for_s=60)
    before = len(changes(db))
    for path in [A, B]:
        for permit in [ADA, BOB, Permit("bob", frozenset([lock.token]))]:
            with pytest.raises(Locked):
                properties.change(path, permit, TWO, (), modified_ns=7)
    assert properties.of([11, 12]) == {}
    assert len(changes(db)) == before
    assert properties.change(B, Permit("ada", frozenset([lock.token])), TWO, ()).modified_ns == 5


def test_a_missing_node_has_none(properties):
    for path in [("z",), ("a", "b", "z"), ("a", "z", "z")]:
        with pytest.raises(NotFound):
            properties.change(path, ADA, TWO, ())


BOUNDS = {
    "too many": {f"{{urn:x}}p{n}": "<p/>" for n in range(module.COUNT_LIMIT)},
    "a long value": {"{urn:x}p": "x" * (module.VALUE_LIMIT + 1)},
    "a long value in bytes": {"{urn:x}p": "é" * (module.VALUE_LIMIT // 2 + 1)},
    "a long name": {"{urn:x}" + "p" * module.NAME_LIMIT: "<p/>"},
    "too much": {f"{{urn:x}}p{n}": "x" * module.VALUE_LIMIT for n in range(16)},
}


@pytest.mark.parametrize("values", BOUNDS.values(), ids=BOUNDS)
def test_beyond_a_bound_nothing_is_changed(db, properties, values):
    properties.change(A, ADA, TWO, ())
    before = len(changes(db))
    with pytest.raises(LimitReached):
        properties.change(A, ADA, values, ["{urn:x}two"], modified_ns=7)
    assert properties.of([11]) == {11: TWO}
    assert len(changes(db)) == before
    with db.read() as connection:
        assert walk(connection, A)[-1].modified_ns == 5


def test_what_is_removed_and_replaced_makes_room(properties):
    full = {f"{{urn:x}}p{n}": "<p/>" for n in range(module.COUNT_LIMIT)}
    properties.change(A, ADA, full, ())
    properties.change(A, ADA, {"{urn:x}p0": "<p>new</p>"}, ())
    properties.change(A, ADA, {"{urn:x}new": "<new/>"}, ["{urn:x}p1"])
    with pytest.raises(LimitReached):
        properties.change(A, ADA, {"{urn:x}newer": "<newer/>"}, ())
    assert len(properties.of([11])[11]) == module.COUNT_LIMIT


def test_the_bounds_can_be_reached(properties):
    values = {f"{{urn:x}}p{n:02}": "x" * (module.VALUE_LIMIT - 10) for n in range(16)}
    properties.change(A, ADA, values, ())
    values = {"{urn:x}" + "p" * (module.NAME_LIMIT - 7): "é" * (module.VALUE_LIMIT // 2)}
    properties.change(B, ADA, values, ())
    assert properties.of([12]) == {12: values}


def test_any_below_is_false_in_a_drive_without_properties(db, properties):
    with db.read() as connection:
        directory = walk(connection, A)[-1]
    assert not properties.any_below(directory)
    properties.change(B, ADA, TWO, ())
    assert properties.any_below(directory)


def test_copies_get_equal_properties_of_their_own(db, properties):
    properties.change(A, ADA, TWO, ())
    properties.change(B, ADA, {"{urn:x}three": "<three/>"}, ())

    def work(connection):
        add(connection, Node(21, ROOT, "copy", None, 0, "", "", "bob", 0, 0))
        add(connection, Node(22, 21, "b", None, 0, "", "", "bob", 0, 0))
        copy(connection, pairs([(11, 21), (12, 22), (13, 11)]), {})

    db.write(work)
    properties.change(A, ADA, {}, TWO)
    assert properties.of([11, 21, 22]) == {21: TWO, 22: {"{urn:x}three": "<three/>"}}


def pairs(numbers):
    return union_all(
        *(select(literal(old).label("old"), literal(new).label("new")) for old, new in numbers)
    ).subquery()


def test_a_dropped_node_has_none(db, properties):
    for path in [A, B]:
        properties.change(path, ADA, TWO, ())
    db.write(lambda connection: drop(connection, select(literal(11)), {}))
    assert properties.of([11, 12]) == {12: TWO}


def test_more_nodes_can_be_asked_about_than_a_statement_takes(properties):
    properties.change(A, ADA, TWO, ())
    assert properties.of([*range(100, 40_000), 11]) == {11: TWO}


def test_each_node_is_told_of_in_its_turn(properties, monkeypatch):
    for n, path in enumerate([A, B, ("a", "c")]):
        properties.change(path, ADA, {f"{{}}{n}{i}": "x" * 10 for i in range(4)}, ())
    asked, of = [], properties.of
    monkeypatch.setattr(properties, "of", lambda nodes: asked.append(nodes) or of(nodes))
    nodes = [13, 99, 11, ROOT, 12]
    each = [of([no]).get(no, {}) for no in nodes]
    assert list(properties.of_each(nodes)) == each
    assert asked == [nodes], "what is little is asked for at once"
    asked.clear()
    monkeypatch.setattr(module, "NODE_LIMIT", 60)
    told = properties.of_each(nodes)
    assert next(told) == each[0]
    assert asked == [[13]]
    assert list(told) == each[1:]
    assert asked == [[no] for no in nodes]
    asked.clear()
    assert list(properties.of_each([99, ROOT])) == [{}, {}]
    assert asked == [], "there is nothing to ask for"
    assert list(properties.of_each([])) == []


def test_two_who_set_different_properties_lose_none(db, properties):
    def put(n):
        properties.change(A, ADA, {f"{{urn:x}}p{n}": f"<p>{n}</p>"}, ())

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(table)) == 8


NAMES = st.sampled_from([f"{{urn:x}}{letter}" for letter in "abcde"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.dictionaries(NAMES, st.text("<>&é", max_size=5)), st.sets(NAMES))))
def test_changes_are_those_of_a_dict(tmp_path_factory, steps):
    db = Database.open(f"sqlite:///{tmp_path_factory.mktemp('model') / 'drive.db'}")
    plant(db)
    properties, model = Properties(db), {}
    for values, remove in steps:
        properties.change(A, ADA, values, remove - set(values))
        model = {name: xml for name, xml in model.items() if name not in remove} | values
        assert properties.of([11]).get(11, {}) == model
    db.close()
