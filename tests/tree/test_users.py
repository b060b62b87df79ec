import threading
import time
import unicodedata
from statistics import median

import pytest
from sqlalchemy import insert, select

from tgdav.errors import NameRefused, PasswordRefused, UserExists, UserUnknown
from tgdav.tree import users as module
from tgdav.tree.nodes import plant_root
from tgdav.tree.tables import ROOT, locks
from tgdav.tree.users import Users


@pytest.fixture
def users(db):
    return Users(db)


def test_a_user_is_kept_with_what_was_said(users):
    added = users.add("ada", "secret", read_only=True, root="/home/ada", quota=1 << 40)
    assert users.get("ada") == added
    assert (added.read_only, added.root, added.quota) == (True, ("home", "ada"), 1 << 40)
    assert abs(added.created_ns - time.time_ns()) < 60e9
    assert users.add("bob", "secret").root == ()
    assert users.add("eve", "secret", root="/home/").root == ("home",)


def test_only_the_right_password_is_verified(users):
    ada = users.add("ada", "secret")
    assert users.verify("ada", "secret") == ada
    for name, password in [("ada", "Secret"), ("ada", ""), ("bob", "secret"), ("", "")]:
        assert users.verify(name, password) is None


def test_a_hash_is_argon2id_and_told_to_nobody(users):
    ada = users.add("ada", "secret")
    assert ada.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "argon2" not in repr(ada)
    assert users.add("bob", "secret").password_hash != ada.password_hash


def test_a_new_password_changes_the_hash_and_ends_the_old_one(users):
    before = users.add("ada", "secret")
    users.change_password("ada", "secret")
    after = users.verify("ada", "secret")
    assert after.password_hash != before.password_hash
    users.change_password("ada", "other")
    assert users.verify("ada", "secret") is None
    assert users.verify("ada", "other") is not None


def test_another_process_sees_it_at_once(db, users):
    elsewhere = Users(db)
    users.add("ada", "secret")
    assert elsewhere.verify("ada", "secret")
    users.remove("ada")
    assert elsewhere.verify("ada", "secret") is None


def test_users_are_listed_by_name(users):
    for name in ["zoe", "ada", "Émile", "Zoe"]:
        users.add(name, "secret")
    assert [user.name for user in users.list()] == ["Zoe", "ada", "zoe", "Émile"]


def test_a_name_is_taken_once(users):
    ada = users.add("ada", "secret")
    with pytest.raises(UserExists):
        users.add("ada", "other")
    assert users.get("ada") == ada


def test_a_name_raced_for_is_taken_once(users):
    outcomes = []

    def add():
        try:
            outcomes.append(users.add("ada", "secret").password_hash)
        except UserExists:
            outcomes.append(None)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert [one for one in outcomes if one] == [users.get("ada").password_hash]


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "a:b", "a\nb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "a\udc80b"]
)
def test_a_name_that_cannot_be_is_refused_and_unknown(users, name):
    with pytest.raises(NameRefused):
        users.add(name, "secret")
    assert users.get(name) is None
    assert users.verify(name, "secret") is None
    with pytest.raises(UserUnknown):
        users.remove(name)


@pytest.mark.parametrize(
    "name", ["a" * 64, "Ada Lovelace", "é", "名前", "a@example.org", "a/b", "."]
)
def test_a_name_may_be_anything_else(users, name):
    assert users.add(name, "secret") == users.verify(name, "secret")


def test_one_text_in_two_spellings_is_one_name_and_one_password(users):
    composed, decomposed = "né", unicodedata.normalize("NFD", "né")
    ada = users.add(decomposed, decomposed)
    assert ada.name == composed
    assert users.verify(composed, composed) == users.verify(decomposed, decomposed) == ada


@pytest.mark.parametrize("password", ["", "x" * 1025, "é" * 513])
def test_a_password_that_cannot_be_is_refused(users, password):
    with pytest.raises(PasswordRefused):
        users.add("ada", password)
    assert users.get("ada") is None
    ada = users.add("ada", "secret")
    with pytest.raises(PasswordRefused):
        users.change_password("ada", password)
    assert users.verify("ada", "secret") == ada


def test_a_password_of_any_signs_can_be_tried(users):
    users.add("ada", "x" * 1024)
    for password in ["x" * 1025, "x" * 10**6, "\udc80", "\0", "\U0001f511"]:
        assert users.verify("ada", password) is None
    assert users.verify("ada", "x" * 1024) is not None


@pytest.mark.parametrize("root", ["", "a", "//", "/a/../b", "//a", "/a\0"])
def test_a_root_that_can_be_no_path_is_refused(users, root):
    with pytest.raises(NameRefused):
        users.add("ada", "secret", root=root)
    assert users.get("ada") is None


def test_who_is_not_there_cannot_be_changed(users):
    with pytest.raises(UserUnknown):
        users.change_password("ada", "secret")
    with pytest.raises(UserUnknown):
        users.remove("ada")


def test_a_removed_user_leaves_no_lock(db, users):
    plant_root(db)
    users.add("ada", "secret")
    db.write(lambda c: _lock_root(c, "ada"))
    db.write(lambda c: _lock_root(c, "bob"))
    users.remove("ada")
    with db.read() as connection:
        assert connection.scalars(select(locks.c.user)).all() == ["bob"]


def test_an_unknown_name_costs_the_same_work(users):
    users.add("ada", "secret")
    users.verify("ada", "warm")

    def took(name):
        start = time.thread_time()
        users.verify(name, "wrong")
        return time.thread_time() - start

    known = median(took("ada") for _ in range(7))
    for name in ["bob", "", "a:b"]:
        assert median(took(name) for _ in range(7)) > known / 2


def test_hashes_are_computed_few_at_once(users, monkeypatch):
    users.add("ada", "secret")
    most, now, lock = 0, 0, threading.Lock()

    class Hasher:
        def verify(self, *_):
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with lock:
                now -= 1
            return True

    monkeypatch.setattr(module, "_HASHER", Hasher())
    threads = [threading.Thread(target=users.verify, args=("ada", "x")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == module.HASHINGS


def _lock_root(connection, user):
    connection.execute(
        insert(locks).values(
            token=f"urn:uuid:{user}",
            node=ROOT,
            user=user,
            exclusive=False,
            infinite=False,
            owner="",
            until_ns=time.time_ns() + 10**12,
        )
    )
