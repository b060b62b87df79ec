"""What every ledger must do. A subclass supplies the fixture `ledger` and two helpers."""

import time
from abc import ABC, abstractmethod
from dataclasses import replace

from tgdav.stores.ledger import Activity, Channel, Intent, Ledger

HOUR_NS = 3600 * 10**9
STORE, OTHER_STORE = 1, 2


def pack_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


class LedgerContract(ABC):
    """Collected only as a subclass whose name begins with `Test`."""

    @abstractmethod
    def add(self, ledger: Ledger, user_id: int) -> int:
        """Add a user's account whose session is `session USER_ID`; its number."""

    @abstractmethod
    def lease_elsewhere(self, ledger: Ledger, account: int) -> bool:
        """Have another process ask for the account's lease: True if it got it."""

    # Accounts.

    def test_an_account_is_told_of_as_it_was_added(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        assert first < second
        found = ledger.accounts()
        assert [(a.no, a.user_id, a.session) for a in found] == [
            (first, 1001, "session 1001"),
            (second, 1002, "session 1002"),
        ]
        assert {(a.kind, a.state, a.trouble, a.until_ns) for a in found} == {
            ("user", "active", "", 0)
        }
        assert "session" not in repr(found)

    def test_how_an_account_is_lasts(self, ledger: Ledger):
        no = self.add(ledger, 1001)
        until_ns = time.time_ns() + HOUR_NS
        ledger.note_account(no, "limited", "PEER_FLOOD", until_ns)
        (found,) = ledger.accounts()
        assert (found.state, found.trouble, found.until_ns) == ("limited", "PEER_FLOOD", until_ns)
        ledger.note_account(no, "active")
        (found,) = ledger.accounts()
        assert (found.state, found.trouble, found.until_ns) == ("active", "", 0)

    def test_a_session_that_moved_replaces_the_one_before(self, ledger: Ledger):
        no = self.add(ledger, 1001)
        ledger.note_session(no, "elsewhere")
        assert [account.session for account in ledger.accounts()] == ["elsewhere"]

    def test_an_account_is_used_by_one_process(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        assert ledger.lease(first)
        assert ledger.lease(first)
        assert not self.lease_elsewhere(ledger, first)
        assert self.lease_elsewhere(ledger, second)
        assert not ledger.lease(second)
        ledger.release(first)
        assert self.lease_elsewhere(ledger, first)

    def test_releasing_what_one_does_not_have_is_nothing(self, ledger: Ledger):
        no = self.add(ledger, 1001)
        assert self.lease_elsewhere(ledger, no)
        ledger.release(no)
        assert not ledger.lease(no)

    def test_waits_are_told_until_they_are_over(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        now = time.time_ns()
        ledger.wait(first, "SendMediaRequest", now + HOUR_NS)
        ledger.wait(first, "SendMediaRequest", now + 2 * HOUR_NS)
        ledger.wait(second, "SendMediaRequest", now + HOUR_NS)
        ledger.wait(second, "GetMessagesRequest", now - 1)
        assert ledger.waits() == {
            (first, "SendMediaRequest"): now + 2 * HOUR_NS,
            (second, "SendMediaRequest"): now + HOUR_NS,
        }

    def test_what_an_account_did_is_taken(self, ledger: Ledger):
        ledger.act(self.add(ledger, 1001), Activity(1 << 40, 2, 3, 4))

    def test_a_key_of_a_data_centre_is_kept_and_forgotten(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        assert ledger.data_centre_key(first, 4) is None
        for key in (bytes(256), bytes(range(256))):
            ledger.keep_data_centre_key(first, 4, key)
            assert ledger.data_centre_key(first, 4) == key
        ledger.keep_data_centre_key(second, 4, b"its own")
        assert ledger.data_centre_key(first, 5) is None
        ledger.keep_data_centre_key(first, 4, None)
        assert ledger.data_centre_key(first, 4) is None
        assert ledger.data_centre_key(second, 4) == b"its own"

    # Channels.

    def test_a_stores_channels_are_told_in_their_order(self, ledger: Ledger):
        owner = self.add(ledger, 1001)
        first = ledger.add_channel(STORE, 1 << 40, "Ünder", owner, "hash")
        stranger = ledger.add_channel(STORE, 7, "a stranger's", None, "")
        other = ledger.add_channel(OTHER_STORE, 7, "the same for another store", owner, "")
        assert first == Channel(
            first.no, STORE, 1 << 40, "Ünder", owner, "hash", "active", last_message=0
        )
        assert ledger.channels(STORE) == [first, stranger]
        assert ledger.channels(OTHER_STORE) == [other]
        assert ledger.channels(99) == []
        assert ledger.channel_ids() == {1 << 40, 7}
        assert "hash" not in repr(first)

    def test_each_store_has_a_mark_of_its_own(self, ledger: Ledger):
        assert ledger.mark(STORE) == ledger.mark(STORE) != ledger.mark(OTHER_STORE)
        assert ledger.mark(STORE).isascii()

    def test_a_channel_that_is_there_stays_as_it_is(self, ledger: Ledger):
        owner = self.add(ledger, 1001)
        made = ledger.add_channel(STORE, 7, "title", owner, "hash")
        ledger.note_channel(made.no, "full", 50)
        again = ledger.add_channel(STORE, 7, "another title", None, "")
        assert again == replace(made, state="full", last_message=50)
        assert ledger.channels(STORE) == [again]

    def test_the_last_message_never_goes_down(self, ledger: Ledger):
        channel = ledger.add_channel(STORE, 7, "title", None, "")
        ledger.note_channel(channel.no, "active", 50)
        ledger.note_channel(channel.no, "lost", 40)
        assert ledger.channels(STORE) == [replace(channel, state="lost", last_message=50)]

    def test_owners_of_other_stores_are_told_until_their_channels_are_lost(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        ledger.add_channel(STORE, 7, "title", first, "")
        lost = ledger.add_channel(OTHER_STORE, 8, "title", first, "")
        ledger.add_channel(OTHER_STORE, 9, "title", second, "")
        ledger.add_channel(OTHER_STORE, 10, "a stranger's", None, "")
        assert sorted(ledger.owners(STORE)) == [first, second]
        assert ledger.owners(OTHER_STORE) == [first]
        ledger.lose_channel(lost.no)
        assert ledger.owners(STORE) == [second]
        assert [c.state for c in ledger.channels(OTHER_STORE)] == ["lost", "active", "active"]

    def test_each_account_has_an_access_hash_of_its_own(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        channel = ledger.add_channel(STORE, 7, "title", first, "").no
        assert ledger.access_hash(first, channel) is None
        for access_hash in (-(1 << 63), (1 << 63) - 1, 0):
            ledger.keep_access_hash(first, channel, access_hash)
            assert ledger.access_hash(first, channel) == access_hash
        assert ledger.access_hash(second, channel) is None

    # Intents.

    def test_intents_are_told_oldest_first(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        channel = ledger.add_channel(STORE, 7, "title", first, "").no
        later = ledger.add_channel(STORE, 8, "title 2", first, "").no
        elsewhere = ledger.add_channel(OTHER_STORE, 7, "title", first, "").no
        oldest = Intent(pack_id(1), later, second, 0, 1 << 62, None)
        newer = Intent(pack_id(1), channel, first, 3, 0, 12)
        for intent in (oldest, newer):
            ledger.intend(intent)
        ledger.intend(Intent(pack_id(2), channel, first, 0, 1, None))
        ledger.intend(Intent(pack_id(1), elsewhere, first, 0, 1, None))
        assert ledger.intents(STORE, pack_id(1)) == [oldest, newer]
        assert ledger.intents(STORE, pack_id(3)) == []

    def test_an_intent_is_replaced_by_the_next_of_its_kind(self, ledger: Ledger):
        first, second = self.add(ledger, 1001), self.add(ledger, 1002)
        channel = ledger.add_channel(STORE, 7, "title", first, "").no
        intent = Intent(pack_id(1), channel, first, 0, 5, None)
        other = replace(intent, account=second)
        for told in (intent, other):
            ledger.intend(told)
        changed = Intent(pack_id(1), channel, first, 2, 6, 40)
        ledger.intend(changed)
        assert ledger.intents(STORE, pack_id(1)) == [changed, other]

    def test_the_next_send_after_a_lost_message_is_another(self, ledger: Ledger):
        account = self.add(ledger, 1001)
        channel, other = (ledger.add_channel(STORE, i, "title", account, "").no for i in (7, 8))
        gone = Intent(pack_id(1), channel, account, 0, 5, 40)
        stays = Intent(pack_id(1), other, account, 0, 5, 40)
        unsent = Intent(pack_id(2), channel, account, 0, 5, None)
        for intent in (gone, stays, unsent):
            ledger.intend(intent)
        ledger.forget_messages(channel, [])
        ledger.forget_messages(channel, [39, 40, 41])
        assert ledger.intents(STORE, pack_id(1)) == [
            replace(gone, generation=1, file_id=0, message=None),
            stays,
        ]
        assert ledger.intents(STORE, pack_id(2)) == [unsent]
