import threading

import pytest
from sqlalchemy import text

from tgdav.tree.memo import Memo

NEXT = text("UPDATE numbers SET next = next + 1 WHERE kind = 'memo' RETURNING next")


@pytest.fixture(autouse=True)
def number(db):
    db.write(lambda c: c.execute(text("INSERT INTO numbers VALUES ('memo', 0)")))


def commit(db) -> int:
    return db.write(lambda connection: connection.scalar(NEXT))


def test_what_was_read_is_kept_until_anybody_commits(db):
    memo: Memo[str, int] = Memo(db, 10)
    reads = []

    def read() -> int:
        reads.append(1)
        return len(reads)

    first = memo.get("a", read)
    again = memo.get("a", read)
    assert again == (first if db.stamp() is not None else 2)
    commit(db)
    assert memo.get("a", read) == len(reads)
    assert len(reads) > 1


def test_other_questions_have_other_answers_and_few_are_kept(db):
    memo: Memo[int, int] = Memo(db, 10)
    for key in range(100):
        assert memo.get(key, lambda key=key: key) == key
        assert memo.get(key, lambda key=key: key) == key
    assert len(memo._answers) <= 10


def test_nobody_sees_what_was_before_their_own_commit(db):
    memo: Memo[str, int] = Memo(db, 10)
    stale = []

    def read() -> int:
        with db.read() as connection:
            return connection.scalar(text("SELECT next FROM numbers WHERE kind = 'memo'"))

    def bump() -> None:
        for _ in range(50):
            mine = commit(db)
            if memo.get("next", read) < mine:
                stale.append(mine)

    threads = [threading.Thread(target=bump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stale == []
