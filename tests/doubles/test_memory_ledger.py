import pytest

from tests.contracts.ledger import LedgerContract
from tests.doubles.memory_ledger import MemoryLedger
from tgdav.stores.ledger import Account


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()

    def add(self, ledger: MemoryLedger, user_id: int) -> int:
        ledger.add(
            Account(user_id, "user", user_id, "", f"session {user_id}", False, "active", 0, "")
        )
        return user_id

    def lease_elsewhere(self, ledger: MemoryLedger, account: int) -> bool:
        if account in ledger.leased:
            return False
        ledger.others.add(account)
        return True
