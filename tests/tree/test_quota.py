import threading
import time

import pytest

from tests.tree.drive import ADA, BOB, Drive
from tgdav.errors import QuotaExceeded
from tgdav.tree import quota
from tgdav.tree.quota import UNBOUNDED

LIMIT = 10_000


@pytest.fixture
def ada(drive):
    return drive.tree.users.add("ada", "password", quota=LIMIT)


def test_what_a_user_keeps_is_what_their_files_have(drive, ada):
    bob = drive.tree.users.add("bob", "password")
    assert drive.tree.quota(ada) == (0, LIMIT, LIMIT)
    drive.save("/f", bytes(1000))
    drive.save("/g", bytes(500), BOB)
    drive.copy("/f", "/h", BOB)
    assert drive.tree.quota(ada) == (1000, LIMIT, LIMIT - 1000)
    assert drive.tree.quota(bob) == (1500, None, UNBOUNDED)


def test_more_than_is_announced_to_fit_is_refused_before_a_byte(drive, ada):
    with pytest.raises(QuotaExceeded, match=f"{LIMIT + 1} bytes more, where 0 of {LIMIT}"):
        drive.tree.writing(("f",), ADA, announced=LIMIT + 1)
    drive.save("/f", bytes(LIMIT), announced=LIMIT)
    with pytest.raises(QuotaExceeded):
        drive.tree.writing(("g",), ADA, announced=1)


def test_what_nobody_announced_is_refused_when_it_is_too_much(drive, ada):
    with drive.tree.writing(("f",), ADA) as save:
        save.write(bytes(LIMIT))
        with pytest.raises(QuotaExceeded):
            save.write(b"x")
    assert drive.found() == {}


def test_a_file_may_be_replaced_by_one_as_large(drive, ada):
    drive.save("/f", bytes(LIMIT), announced=LIMIT)
    drive.save("/f", b"x" * LIMIT, announced=LIMIT)
    with pytest.raises(QuotaExceeded):
        drive.save("/f", bytes(LIMIT + 1))


def test_who_saves_last_has_it_on_their_quota(drive, ada):
    drive.save("/f", bytes(LIMIT), BOB)
    drive.save("/f", bytes(6000))
    with pytest.raises(QuotaExceeded):
        drive.save("/g", bytes(6000))
    drive.save("/f", bytes(6000), BOB)
    drive.save("/g", bytes(6000))


def test_a_splice_counts_what_it_adds(drive, ada):
    drive.save("/f", bytes(LIMIT - 10))
    drive.splice("/f", 5, bytes(100))
    drive.splice("/f", None, bytes(10))
    for offset, size in ((None, 1), (LIMIT, 1), (LIMIT + 5, 0)):
        with pytest.raises(QuotaExceeded):
            drive.splice("/f", offset, bytes(size))
    assert drive.node("/f").size == LIMIT


def test_a_copy_counts(drive, ada):
    drive.mkdir("/a")
    drive.save("/a/f", bytes(4000))
    drive.copy("/a", "/b")
    with pytest.raises(QuotaExceeded):
        drive.copy("/a", "/c")
    drive.copy("/a", "/c", BOB)
    drive.copy("/a", "/d", deep=False)


def test_what_was_deleted_makes_room_at_once(drive, ada):
    for _ in range(3):
        drive.save("/f", bytes(LIMIT))
        drive.delete("/f")


def test_a_save_that_was_refused_counts_nothing(drive, ada):
    with drive.tree.writing(("a",), ADA) as save:
        save.write(bytes(LIMIT))
        drive.mkdir("/a")
        with pytest.raises(Exception, match="directory"):
            save.publish()
    assert drive.tree.quota(ada).used == 0
    drive.save("/f", bytes(LIMIT))


def test_saves_at_once_do_not_pass_together(drive, ada):
    refusals = []

    def save(number):
        try:
            drive.save(f"/{number}", bytes(3000))
        except QuotaExceeded as refusal:
            refusals.append(refusal)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drive.found()) == 3
    assert len(refusals) == 5


def test_what_other_processes_save_is_seen_in_a_while(drive, ada, monkeypatch):
    monkeypatch.setattr(quota, "FRESH_S", 0.3)
    other = Drive(drive.room)
    assert drive.tree.quota(ada).used == 0
    other.save("/f", bytes(700))
    deadline = time.monotonic() + 10
    while drive.tree.quota(ada).used == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert drive.tree.quota(ada).used == 700
