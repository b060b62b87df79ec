"""Random operations over HTTP, held against a dict that does the same."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.serving import Serving, ask, serving

EXAMPLES = 500
NAMES = st.sampled_from(["a", "b", "c d", "ü", "q?;#%", "x.txt"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
CONTENTS = st.one_of(st.binary(max_size=50), st.integers(1, 9).map(lambda n: bytes([n]) * 70_000))
Path_ = tuple[str, ...]
DIRECTORY = None


class Model:
    """What the drive should be: path to content, or to `DIRECTORY`."""

    def __init__(self) -> None:
        self.nodes: dict[Path_, bytes | None] = {(): DIRECTORY}

    def is_directory(self, path: Path_) -> bool:
        return path in self.nodes and self.nodes[path] is DIRECTORY

    def below(self, path: Path_) -> list[Path_]:
        return [node for node in self.nodes if node[: len(path)] == path]

    def drop(self, path: Path_) -> None:
        for node in self.below(path):
            del self.nodes[node]

    def copy(self, source: Path_, target: Path_) -> None:
        copied = {target + node[len(source) :]: self.nodes[node] for node in self.below(source)}
        self.drop(target)
        self.nodes |= copied


class DriveMachine(RuleBasedStateMachine):
    """Each example works in a directory of its own on one served drive."""

    server: Serving
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.base = f"/example-{next(self.numbers)}"
        self.model = Model()
        self._connected = self.server.connect()
        self.connection = self._connected.__enter__()
        assert self.ask("MKCOL", ()) == 201

    def teardown(self) -> None:
        self._connected.__exit__(None, None, None)

    def url(self, path: Path_) -> str:
        return self.base + "".join("/" + quote(name, safe="") for name in path)

    def ask(self, method: str, path: Path_, body: bytes = b"", **headers: str) -> int:
        return ask(self.connection, method, self.url(path), body, **headers)[0]

    @rule(path=PATHS, body=CONTENTS)
    def save(self, path: Path_, body: bytes) -> None:
        status = self.ask("PUT", path, body)
        if not self.model.is_directory(path[:-1]):
            assert status == 409
        elif self.model.is_directory(path):
            assert status == 405
        else:
            assert status == (204 if path in self.model.nodes else 201)
            self.model.nodes[path] = body

    @rule(path=PATHS, data=st.binary(min_size=1, max_size=9), offset=st.integers(0, 80))
    def splice(self, path: Path_, data: bytes, offset: int) -> None:
        old = self.model.nodes.get(path)
        if old is None or offset > len(old):
            return
        status = self.ask(
            "PATCH",
            path,
            data,
            Content_Type="application/x-sabredav-partialupdate",
            X_Update_Range=f"bytes={offset}-",
        )
        assert status in (200, 204)
        self.model.nodes[path] = old[:offset] + data + old[offset + len(data) :]

    @rule(path=PATHS)
    def make_directory(self, path: Path_) -> None:
        status = self.ask("MKCOL", path)
        if path in self.model.nodes:
            assert status == 405
        elif not self.model.is_directory(path[:-1]):
            assert status == 409
        else:
            assert status == 201
            self.model.nodes[path] = DIRECTORY

    @rule(path=PATHS)
    def delete(self, path: Path_) -> None:
        status = self.ask("DELETE", path)
        assert status == (204 if path in self.model.nodes else 404)
        self.model.drop(path)

    @rule(
        source=PATHS,
        destination=PATHS,
        method=st.sampled_from(["COPY", "MOVE"]),
        overwrite=st.sampled_from("TF"),
    )
    def transfer(self, source: Path_, destination: Path_, method: str, overwrite: str) -> None:
        target = destination
        status = self.ask(
            method, source, Destination=self.url(target), Overwrite=overwrite, Depth="infinity"
        )
        nodes = self.model.nodes
        inside = source[: len(target)] == target or target[: len(source)] == source
        if source not in nodes:
            assert status == 404
        elif inside:
            assert status in (403, 409)
        elif not self.model.is_directory(target[:-1]):
            assert status == 409
        elif target in nodes and overwrite == "F":
            assert status == 412
        else:
            assert status == (204 if target in nodes else 201)
            self.model.copy(source, target)
            if method == "MOVE":
                self.model.drop(source)

    @rule(path=PATHS, start=st.integers(0, 60), length=st.integers(1, 30))
    def read_range(self, path: Path_, start: int, length: int) -> None:
        content = self.model.nodes.get(path)
        if content is None:
            return
        status, _, body = ask(
            self.connection, "GET", self.url(path), Range=f"bytes={start}-{start + length - 1}"
        )
        if start >= len(content):
            assert status == 416
        else:
            assert (status, body) == (206, content[start : start + length])

    @invariant()
    def the_drive_is_the_model(self) -> None:
        for path, content in self.model.nodes.items():
            if content is DIRECTORY:
                names = {node[-1] for node in self.model.nodes if node[:-1] == path and node}
                assert self.listed(path) == names
            else:
                status, _, body = ask(self.connection, "GET", self.url(path))
                assert (status, body) == (200, content)

    def listed(self, path: Path_) -> set[str]:
        status, _, body = ask(self.connection, "PROPFIND", self.url(path) + "/", Depth="1")
        assert status == 207
        hrefs = [e.text or "" for e in ET.fromstring(body).iter("{DAV:}href")]
        names = {unquote(href.rstrip("/").rsplit("/", 1)[1]) for href in hrefs[1:]}
        assert len(names) == len(hrefs) - 1
        return names


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "drive", TGDAV_STORE_FLUSH_AGE_S="1") as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_drive_does_what_a_dict_would(served: Serving) -> None:
    machine = type("Machine", (DriveMachine,), {"server": served})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
