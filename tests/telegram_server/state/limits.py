"""Flood waits: how much an account may do in a while, and for how long it waits then."""

import math
from collections import defaultdict, deque

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.switches import Switches

DAY = 86_400


class Window:
    """What was done in the last `span` seconds."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._times: deque[float] = deque()

    def wait_s(self, count: int, limit: int, now: float) -> int:
        """Seconds until `count` more are within the limit; 0: they are now."""
        while self._times and self._times[0] <= now - self._span:
            self._times.popleft()
        over = len(self._times) + count - limit
        if not limit or over <= 0:
            return 0
        last = self._times[min(over, len(self._times)) - 1] if self._times else now
        return max(1, math.ceil(last + self._span - now))

    def add(self, count: int, now: float) -> None:
        self._times.extend([now] * count)


class Limits:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._windows: dict[tuple[object, ...], Window] = {}
        self._told: dict[tuple[int, str], float] = {}
        self._bytes: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._next_wait: dict[tuple[int, int], int] = {}
        self._slow_until: defaultdict[int, float] = defaultdict(float)

    def tell_to_wait(self, account: Account, seconds: float, method: str) -> None:
        """Let a method, or with "" all, be FLOOD_WAIT for so long."""
        self._told[account.user_id, method] = self._clock.now() + seconds

    def call(self, account: Account, method: str) -> None:
        """Raises `RpcError` while the account was told to wait."""
        for key in ((account.user_id, method), (account.user_id, "")) if self._told else ():
            left = self._told.get(key, 0) - self._clock.now()
            if left > 0:
                raise RpcError(420, f"FLOOD_WAIT_{math.ceil(left)}")

    def send(self, account: Account, channel_id: int, count: int) -> None:
        """Count messages, or raise `RpcError` and count none."""
        switches, user = self._switches, account.user_id
        if account.is_bot:
            self._take(
                count,
                (("bot", user, channel_id), 60, switches.messages_per_minute_bot),
                (("bot", user), 1, switches.messages_per_second_bot),
            )
        else:
            self._take(count, (("user", user), 3600, switches.messages_per_hour_user))

    def read_history(self, account: Account) -> None:
        self._take(1, (("history", account.user_id), 30, self._switches.history_per_30s))

    def look_up(self, account: Account) -> None:
        self._take(1, (("look up", account.user_id), 30, self._switches.lookups_per_30s))

    def send_code(self, phone: str) -> None:
        self._take(1, (("code", phone), DAY, self._switches.codes_per_day))

    def export(self, account: Account) -> None:
        self._take(1, (("export", account.user_id), 3600, self._switches.exports_per_hour))

    def log_bot_in(self, account: Account) -> None:
        """A bot waits for as long as is reported, however long ago the first login was."""
        try:
            limit = self._switches.bot_logins_per_hour
            self._take(1, (("bot login", account.user_id), 3600, limit))
        except RpcError as error:
            raise RpcError(420, f"FLOOD_WAIT_{self._switches.bot_login_wait_s}") from error

    def transfer(self, account: Account, size: int) -> None:
        """Count bytes, or raise `RpcError` FLOOD_PREMIUM_WAIT and count none."""
        switches = self._switches
        if account.premium or not switches.premium_wait_after_bytes:
            return
        now, user = self._clock.now(), account.user_id
        if (left := self._slow_until[user] - now) > 0:
            raise RpcError(420, f"FLOOD_PREMIUM_WAIT_{math.ceil(left)}")
        today = (user, int(now // DAY))
        due = self._next_wait.get(today, switches.premium_wait_after_bytes)
        if self._bytes[today] >= due:
            self._next_wait[today] = self._bytes[today] + switches.premium_wait_each_bytes
            self._slow_until[user] = now + switches.premium_wait_s
            raise RpcError(420, f"FLOOD_PREMIUM_WAIT_{switches.premium_wait_s}")
        self._bytes[today] += size

    def forgive(self, account: Account) -> None:
        """Forget what the account has done so far."""
        user = account.user_id
        self._windows = {key: one for key, one in self._windows.items() if key[1] != user}
        self._told = {key: until for key, until in self._told.items() if key[0] != user}
        for key in [key for key in self._bytes if key[0] == user]:
            del self._bytes[key]
            self._next_wait.pop(key, None)
        self._slow_until.pop(user, None)

    def _take(self, count: int, *rules: tuple[tuple[object, ...], float, int]) -> None:
        now = self._clock.now()
        windows = [self._windows.setdefault(key, Window(span)) for key, span, _ in rules]
        waits = [
            window.wait_s(count, limit, now)
            for window, (_, _, limit) in zip(windows, rules, strict=True)
        ]
        if wait := max(waits):
            raise RpcError(420, f"FLOOD_WAIT_{wait}")
        for window in windows:
            window.add(count, now)
