import pytest
from sqlalchemy import delete, update

from tests.blocks.room import FIRST_STORE, content
from tests.maintenance.conftest import GRACES
from tests.tree.drive import ADA
from tgdav.blocks.rows import uptime
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import blocks, condemned, holds, mislaid, packs, replicas, staged
from tgdav.errors import Busy, CollectionRefused, StoreError

BIG, SMALL = content(300_000, seed=1), content(3000, seed=2)


def delete_for_good(drive, *paths):
    for path in paths:
        drive.delete(path)
    drive.empty()


def listed(drive):
    return {listed.locator for listed in drive.room.store.scan()}


def test_what_is_named_stays(drive):
    drive.save("/a", BIG)
    drive.save("/b", SMALL)
    drive.room.vault.flush()
    kept = drive.room.rows(blocks)
    for _ in range(4):
        drive.gc()
        drive.serve()
    assert drive.room.rows(blocks) == kept
    assert drive.read("/a") == BIG


def test_a_block_goes_after_two_looks_and_a_day_of_uptime(drive):
    drive.save("/keep", content(200_000, seed=9))
    drive.save("/a", BIG)
    kept = drive.room.rows(blocks)
    delete_for_good(drive, "/a")
    first = drive.gc()
    assert first.condemned_blocks > 10
    assert first.collected_blocks == 0
    again = drive.gc(now_ns=drive.now_ns(days=4000))
    assert (again.condemned_blocks, again.collected_blocks) == (0, 0), "the clock collects nothing"
    drive.serve(0.9)
    assert drive.gc().collected_blocks == 0
    drive.serve(0.2)
    with pytest.raises(CollectionRefused, match="accident"):
        drive.gc()
    assert drive.gc(yes=True).collected_blocks == first.condemned_blocks
    assert drive.room.rows(blocks) == kept - first.condemned_blocks
    assert drive.read("/keep") == content(200_000, seed=9)


def test_what_is_young_is_not_looked_at(drive):
    drive.save("/a", SMALL)
    delete_for_good(drive, "/a")
    assert drive.gc(now_ns=drive.now_ns()).condemned_blocks == 0
    assert drive.gc().condemned_blocks > 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(drive):
    drive.save("/a", BIG)
    drive.room.vault.flush()
    delete_for_good(drive, "/a")
    said = drive.gc(dry=True)
    assert said.is_dry
    assert said.condemned_blocks == drive.room.rows(blocks) > 0
    assert said.condemned_bytes > 250_000
    assert drive.room.rows(condemned) == 0
    drive.gc()
    drive.serve()
    said = drive.gc(dry=True)
    assert (said.condemned_blocks, said.collected_blocks) == (0, drive.room.rows(blocks))


def test_what_the_staging_log_has_lost_goes_when_nothing_names_it(drive):
    drive.save("/a", content(30_000, seed=3))
    for path in (drive.room.folder / "staging").iterdir():
        path.unlink()
    drive.room.vault.flush()
    assert drive.room.rows(mislaid) > 0
    delete_for_good(drive, "/a")
    drive.gc()
    drive.serve()
    drive.gc(yes=True)
    assert (drive.room.rows(mislaid), drive.room.rows(blocks)) == (0, 0)


def test_packs_are_dropped_when_no_block_lies_in_them(drive):
    drive.save("/a", BIG)
    drive.room.vault.flush()
    before = listed(drive)
    delete_for_good(drive, "/a")
    for _ in range(4):
        drive.gc(yes=True)
        drive.serve()
        drive.room.vault.flush()
    # Packs of the journal stay: recovery needs them until there is a snapshot.
    assert drive.room.rows(blocks) == 0
    assert len(listed(drive)) < len(before)
    for _ in range(3):
        drive.gc(yes=True, floor=10**9)
        drive.serve()
    assert listed(drive) == set()
    assert drive.room.rows(packs) == drive.room.rows(replicas) == 0


def test_the_journal_of_a_dead_pack_is_copied(drive):
    drive.save("/a", SMALL)
    drive.room.vault.flush()
    (old,) = listed(drive)
    delete_for_good(drive, "/a")
    for _ in range(4):
        drive.gc(yes=True)
        drive.serve()
        drive.room.vault.flush()
    assert old not in listed(drive)
    assert journals(drive) == list(range(1, 4))


def journals(drive):
    """Numbers of the changes that the store's packs tell."""
    import json

    from tests.blocks.room import KEYS
    from tgdav.blocks.form.pack import read_pack
    from tgdav.blocks.form.payload import read_journal

    told = set()
    for each in drive.room.store.scan():
        contents = read_pack(
            lambda at, size, of=each.locator: drive.room.store.read(of, at, size), each.size, KEYS
        )
        if carried := read_journal(contents.journal):
            told |= {json.loads(line)[0] for line in carried.rows.splitlines()}
    return sorted(told)


def test_a_mostly_dead_pack_is_rewritten(drive):
    for number in range(20):
        drive.save(f"/{number}", content(3000, seed=number))
    drive.room.vault.flush()
    old = listed(drive)
    delete_for_good(drive, *(f"/{number}" for number in range(15)))
    drive.gc()
    drive.serve()
    assert drive.gc(yes=True).rewritten_packs == 1
    drive.serve()
    drive.gc()
    assert old <= listed(drive), "what it was copied to is not in the store yet"
    drive.room.vault.flush()
    drive.serve()
    assert drive.gc().dropped_packs == 1
    assert not old & listed(drive)
    for number in range(15, 20):
        assert drive.read(f"/{number}") == content(3000, seed=number)
    assert drive.gc().rewritten_packs == 0


@pytest.mark.parametrize("size", [900, 3000, 300_000])
def test_a_save_takes_condemned_blocks_back(drive, size):
    drive.save("/a", content(size))
    drive.save("/keep", content(600_000, seed=5))
    drive.room.vault.flush()
    count = drive.room.rows(blocks)
    delete_for_good(drive, "/a")
    assert drive.gc().condemned_blocks > 0
    drive.serve()
    drive.save("/b", content(size))
    assert drive.room.rows(condemned) == drive.room.rows(holds) == 0
    assert drive.gc(yes=True).collected_blocks == 0
    assert drive.room.rows(blocks) == count
    assert drive.read("/b") == content(size)


@pytest.mark.parametrize("size", [900, 3000, 300_000])
def test_a_save_that_began_before_the_second_look_is_whole(drive, size):
    drive.save("/a", content(size))
    drive.room.vault.flush()
    delete_for_good(drive, "/a")
    drive.gc()
    drive.serve()
    with drive.tree.writing(("b",), ADA, announced=size) as save:
        save.write(content(size))
        drive.gc(yes=True)
        save.publish()
    assert drive.read("/b") == content(size)


def test_a_collected_block_is_kept_anew(drive):
    drive.save("/a", SMALL)
    drive.room.vault.flush()
    delete_for_good(drive, "/a")
    drive.gc()
    drive.serve()
    drive.gc(yes=True)
    assert drive.room.rows(blocks) == drive.room.rows(staged) == 0
    drive.save("/b", SMALL)
    assert drive.read("/b") == SMALL


class TestRefusals:
    @pytest.fixture
    def due(self, drive):
        drive.save("/keep", BIG)
        drive.save("/a", SMALL)
        drive.room.vault.flush()
        delete_for_good(drive, "/a")
        drive.gc()
        drive.serve()
        yield drive
        assert drive.room.rows(condemned) > 0
        assert drive.read("/keep") == BIG

    def test_a_store_that_does_not_answer(self, due, monkeypatch):
        def probe(_locator):
            raise StoreError("out of reach")

        monkeypatch.setattr(due.room.store, "probe", probe)
        with pytest.raises(CollectionRefused, match="out of reach"):
            due.gc()

    def test_a_store_that_is_not_at_hand(self, due):
        due.room.record_store(77, "memory")
        with pytest.raises(CollectionRefused, match="77"):
            due.gc()
        due.db.write(lambda c: c.execute(delete_store(77)))

    def test_a_store_that_lost_its_newest_pack(self, due):
        newest = next(iter(due.room.store.scan()))
        data = due.room.store.read(newest.locator, 0, newest.size)
        due.room.store.delete([newest.locator])
        with pytest.raises(CollectionRefused, match="fsck"):
            due.gc()
        pack_id = bytes.fromhex(newest.caption.split()[3])
        due.room.store.put(pack_id, data, newest.caption)

    def test_content_that_is_lost(self, due):
        lose = update(replicas).where(replicas.c.store == FIRST_STORE)
        due.db.write(lambda c: c.execute(lose.values(state="suspect")))
        with pytest.raises(CollectionRefused, match="files need"):
            due.gc()
        due.db.write(lambda c: c.execute(lose.values(state="sound")))

    def test_another_process_at_work(self, due):
        other = Leases(due.db)
        assert other.acquire("maintenance", 60)
        with pytest.raises(Busy):
            due.gc()
        other.release("maintenance")

    def test_stores_that_are_ahead(self, due):
        def ahead():
            raise CollectionRefused("ahead")

        with pytest.raises(CollectionRefused, match="ahead"):
            due.gc(require_current=ahead)


def delete_store(no):
    from tgdav.blocks.rows.tables import stores

    return delete(stores).where(stores.c.no == no)


def test_uptime_counts_what_one_process_served(db):
    now = [0.0]
    ours = uptime.Uptime(db, lambda: now[0])
    theirs = uptime.Uptime(db, lambda: now[0])
    for _ in range(5):
        ours.beat()
        theirs.beat()
        now[0] += 60
    now[0] += 10**6
    ours.beat()
    with db.read() as connection:
        assert uptime.read(connection) == (4 * 60 + uptime.LONGEST_S) * 10**9


def test_graces_are_a_day():
    assert (GRACES.age_s, GRACES.uptime_s) == (86400, 86400)
