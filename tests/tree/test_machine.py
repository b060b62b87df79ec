"""Random operations on a tree, held against a dict that does the same."""

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests import invariants
from tests.tree import replay
from tests.tree.drive import ADA, Drive
from tgdav.errors import (
    AlreadyExists,
    Misplaced,
    NotADirectory,
    NotAFile,
    NotFound,
    ParentMissing,
    Refused,
)
from tgdav.tree.paths import Path, parse

PATHS = st.lists(st.sampled_from(["a", "b", "ü ?"]), min_size=1, max_size=3).map(tuple)
CONTENTS = st.one_of(st.binary(max_size=20), st.integers(1, 9).map(lambda n: bytes([n]) * 7000))
PROPERTIES = st.dictionaries(st.sampled_from(["{x}p", "{x}q"]), st.sampled_from("12"), max_size=2)


class Model:
    """Content by path, None for a directory; and dead properties by path."""

    def __init__(self) -> None:
        self.nodes: dict[Path, bytes | None] = {(): None}
        self.properties: dict[Path, dict[str, str]] = {}

    def save(self, path: Path, data: bytes) -> None:
        self._require_file(path)
        self._require_directory(path)
        self.nodes[path] = data

    def splice(self, path: Path, offset: int | None, data: bytes) -> None:
        self._require_file(path)
        self._require_directory(path)
        old = self._require(path) or b""
        start = len(old) if offset is None else offset
        self.nodes[path] = old[:start].ljust(start, b"\0") + data + old[start + len(data) :]

    def make(self, path: Path) -> None:
        if path in self.nodes:
            raise AlreadyExists
        self._require_directory(path)
        self.nodes[path] = None

    def delete(self, path: Path) -> None:
        self._require(path)
        self._drop(path)

    def put(self, source: Path, target: Path, *, keep: bool, deep: bool, over: bool) -> bool:
        """Copy if `keep`, else move."""
        self._require(source)
        is_new = target not in self.nodes
        if not is_new and source[: len(target)] == target:
            raise Misplaced
        if deep and target[: len(source)] == source:
            raise Misplaced
        self._require_directory(target)
        if not (is_new or over):
            raise AlreadyExists
        tops = self._below(source) if deep else [source]
        places = {path: target + path[len(source) :] for path in tops}
        nodes = {places[path]: self.nodes[path] for path in tops}
        told = {places[path]: self.properties[path] for path in tops if path in self.properties}
        self._drop(target)
        if not keep:
            self._drop(source)
        self.nodes |= nodes
        self.properties |= told
        return is_new

    def tell(self, path: Path, properties: dict[str, str]) -> None:
        self._require(path)
        if properties:
            self.properties[path] = self.properties.get(path, {}) | properties

    def _require(self, path: Path) -> bytes | None:
        if path not in self.nodes:
            raise NotFound
        return self.nodes[path]

    def _require_file(self, path: Path) -> None:
        if self.nodes.get(path, b"") is None:
            raise NotAFile

    def _require_directory(self, path: Path) -> None:
        if path[:-1] not in self.nodes:
            raise ParentMissing
        if self.nodes[path[:-1]] is not None:
            raise NotADirectory

    def _below(self, top: Path) -> list[Path]:
        return [path for path in self.nodes if path[: len(top)] == top]

    def _drop(self, top: Path) -> None:
        for path in self._below(top):
            del self.nodes[path]
            self.properties.pop(path, None)


class TreeMachine(RuleBasedStateMachine):
    """Each example works in a directory of its own."""

    drive: Drive
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.base = f"/example-{next(self.numbers)}"
        self.drive.mkdir(self.base)
        self.model = Model()

    def teardown(self) -> None:
        base = parse(self.base)
        for path in self.model.nodes:
            node = self.drive.node(self.at(path))
            told = self.drive.tree.properties.of([node.no]).get(node.no, {})
            assert told == self.model.properties.get(path, {})
        assert self.drive.tree.find((*base, "gone")) is None
        self.drive.delete(self.base)
        invariants.check(self.drive.db)

    def at(self, path: Path) -> str:
        return "/".join((self.base, *path))

    @contextlib.contextmanager
    def refused_alike(self, work: Any) -> Any:
        """Do the block's work on the tree as the model does its own, or is refused to."""
        try:
            self.told = work()
        except Refused as refusal:
            with pytest.raises(type(refusal)):
                yield
        else:
            yield

    @rule(path=PATHS, data=CONTENTS)
    def save(self, path: Path, data: bytes) -> None:
        with self.refused_alike(lambda: self.model.save(path, data)):
            self.drive.save(self.at(path), data)

    @rule(path=PATHS, offset=st.one_of(st.none(), st.integers(0, 9000)), data=CONTENTS)
    def splice(self, path: Path, offset: int | None, data: bytes) -> None:
        with self.refused_alike(lambda: self.model.splice(path, offset, data)):
            self.drive.splice(self.at(path), offset, data)

    @rule(path=PATHS)
    def make(self, path: Path) -> None:
        with self.refused_alike(lambda: self.model.make(path)):
            self.drive.mkdir(self.at(path))

    @rule(path=PATHS)
    def delete(self, path: Path) -> None:
        with self.refused_alike(lambda: self.model.delete(path)):
            self.drive.delete(self.at(path))

    @rule(source=PATHS, to=PATHS, over=st.booleans())
    def move(self, source: Path, to: Path, over: bool) -> None:
        with self.refused_alike(
            lambda: self.model.put(source, to, keep=False, deep=True, over=over)
        ):
            is_new = self.drive.move(self.at(source), self.at(to), overwrite=over)
            assert is_new is self.told

    @rule(source=PATHS, to=PATHS, over=st.booleans(), deep=st.booleans())
    def copy(self, source: Path, to: Path, over: bool, deep: bool) -> None:
        with self.refused_alike(
            lambda: self.model.put(source, to, keep=True, deep=deep, over=over)
        ):
            is_new = self.drive.copy(self.at(source), self.at(to), overwrite=over, deep=deep)
            assert is_new is self.told

    @rule(path=PATHS, properties=PROPERTIES)
    def tell(self, path: Path, properties: dict[str, str]) -> None:
        with self.refused_alike(lambda: self.model.tell(path, properties)):
            self.drive.tree.properties.change(parse(self.at(path)), ADA, properties, [])

    @invariant()
    def the_tree_is_the_model(self) -> None:
        expected = {self.at(path): data for path, data in self.model.nodes.items() if path}
        assert self.drive.found(self.base) == expected


@pytest.mark.timeout(600)
def test_the_tree_does_as_a_dict_does(drive):
    machine = type("Machine", (TreeMachine,), {"drive": drive})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    replay.check(drive.db)
