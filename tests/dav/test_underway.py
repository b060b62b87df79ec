import threading
import time

from tgdav.dav import underway
from tgdav.dav.underway import Underway

PATH = ("a", "b")


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
