"""What came by: calls and bytes, by account."""

from collections import Counter

from tests.telegram_server.wire.faults import account_id


class Tally:
    """Counts since the start. Accounts are told by number; nobody's is under ""."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str]] = Counter()
        self._received: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()

    def count_call(self, method: str, account: str | None) -> None:
        self._calls[account_id(account), method] += 1

    def count_received(self, size: int, account: str | None) -> None:
        self._received[account_id(account)] += size

    def count_sent(self, size: int, account: str | None) -> None:
        self._sent[account_id(account)] += size

    def calls(self, account: int | None = None) -> dict[str, int]:
        """How often each method was called, whatever came of it."""
        found: Counter[str] = Counter()
        for (caller, method), number in self._calls.items():
            if account is None or caller == str(account):
                found[method] += number
        return dict(found)

    def traffic(self) -> dict[str, dict[str, int]]:
        """Bytes of packets each way, as the clients see it: `sent` is what they sent."""
        accounts = self._received.keys() | self._sent.keys()
        return {
            account: {"sent": self._received[account], "received": self._sent[account]}
            for account in sorted(accounts)
        }
