import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.dav.client import Client
from tgdav.dav import underway
from tgdav.dav.underway import Underway

PATH = ("a", "b")


@contextlib.contextmanager
def nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if anybody waited, which would be for longer than the block may take."""
    monkeypatch.setattr(underway, "PATIENCE_S", 20)
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 15


def test_who_asks_for_a_name_that_is_being_saved_waits_for_the_save():
    names = Underway()
    began, waited = threading.Event(), []

    def save() -> None:
        with names.saving(PATH):
            began.set()
            time.sleep(0.05)

    saver = threading.Thread(target=save)
    saver.start()
    assert began.wait(5)
    started = time.monotonic()
    waited.append(names.await_end(PATH))
    assert waited == [True]
    assert time.monotonic() - started < 1
    saver.join()


def test_nobody_waits_for_a_name_that_nobody_saves():
    names = Underway()
    with names.saving(PATH):
        assert not names.await_end(("a",))
    assert not names.await_end(PATH)


def test_a_long_save_is_not_awaited(monkeypatch):
    monkeypatch.setattr(underway, "PATIENCE_S", 0.02)
    names = Underway()
    with names.saving(PATH):
        assert not names.await_end(PATH)


def test_two_saves_of_one_name_are_both_awaited():
    names = Underway()
    with names.saving(PATH):
        with names.saving(PATH):
            pass
        assert PATH in names._saves
    assert PATH not in names._saves


def test_a_save_that_is_expected_is_awaited_from_the_second_question_on(monkeypatch):
    monkeypatch.setattr(underway, "PATIENCE_S", 20)
    names = Underway()
    names.expect(PATH)
    # The first is of the client that has opened the file, and goes on when it is answered.
    assert not names.await_end(PATH)

    def save() -> None:
        time.sleep(0.05)
        with names.saving(PATH):
            saved.append(PATH)

    saved: list[tuple[str, ...]] = []
    saver = threading.Thread(target=save)
    saver.start()
    assert names.await_end(PATH)
    assert saved == [PATH]
    saver.join()
    assert not names.await_end(PATH)


def test_a_save_that_does_not_come_is_awaited_once(monkeypatch):
    monkeypatch.setattr(underway, "PATIENCE_S", 0.02)
    names = Underway()
    names.expect(PATH)
    names.await_end(PATH)
    started = time.monotonic()
    assert not names.await_end(PATH)
    assert time.monotonic() - started >= 0.02
    with nobody_waiting(monkeypatch):
        assert not names.await_end(PATH)


def test_what_was_expected_long_ago_is_expected_no_more(monkeypatch):
    monkeypatch.setattr(underway, "EXPECTED_S", -1)
    names = Underway()
    names.expect(PATH)
    with nobody_waiting(monkeypatch):
        assert not names.await_end(PATH)
        assert not names.await_end(PATH)


def test_no_more_names_are_expected_than_fit():
    names = Underway()
    for number in range(underway.EXPECTED_MOST + 10):
        names.expect((str(number),))
    assert len(names._expected) == underway.EXPECTED_MOST


def test_a_file_that_gvfs_has_opened_is_awaited(client: Client):
    agent = {"user_agent": "gvfs/1.50.3"}
    client.head("/f", 404, **agent)
    client.propfind("/f", check=404, **agent)
    saver = threading.Timer(0.1, client.put, ("/f", b"content"))
    saver.start()
    client.propfind("/f", check=207, **agent)
    saver.join()
    assert client.get("/f").body == b"content"


def test_other_clients_are_told_at_once(client: Client, monkeypatch):
    with nobody_waiting(monkeypatch):
        client.head("/f", 404)
        for _ in range(3):
            client.propfind("/f", check=404)
