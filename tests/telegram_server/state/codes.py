"""Login codes: one for each phone that has asked, good for a while."""

import secrets

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import CODE, Account, digits
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.switches import Switches


class Codes:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._sent: dict[str, tuple[str, float]] = {}

    def send(self, phone: str) -> str:
        """The hash by which the client names the code that it was sent."""
        code_hash = secrets.token_hex(9)
        self._sent[digits(phone)] = (code_hash, self._clock.now())
        return code_hash

    def require(self, phone: str, code_hash: str) -> None:
        """Raises `RpcError` PHONE_CODE_HASH_EMPTY, PHONE_CODE_EXPIRED."""
        if not code_hash:
            raise RpcError(400, "PHONE_CODE_HASH_EMPTY")
        known, sent = self._sent.get(digits(phone), ("", 0.0))
        is_late = self._clock.now() - sent > self._switches.code_life_s
        if known != code_hash or is_late:
            raise RpcError(400, "PHONE_CODE_EXPIRED")

    def expire(self, phone: str) -> None:
        self._sent.pop(digits(phone), None)

    @staticmethod
    def expected(account: Account | None) -> str:
        """The code that was sent; strangers' phones get one as well."""
        return account.code if account else CODE
