"""Times as HTTP and WebDAV write them, and back to nanoseconds since 1970.

A listing asks for the same seconds again and again, so what was written is kept.
Dates that no calendar has are no date: reading them gives None, never an error.
"""

import time
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_tz
from functools import lru_cache

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SECOND = 1_000_000_000
DAY_S = 86_400
YEARS = range(1678, 2262)
"""What 63 bits of nanoseconds can hold on both sides of 1970."""
FURTHEST_S = 9_200_000_000
"""About as far from 1970 as those years."""


def http_date(at_ns: int) -> str:
    """`Sat, 03 Feb 2018 04:05:06 GMT`: whole seconds, rounded down."""
    return _http_date(at_ns // SECOND)


def iso_date(at_ns: int) -> str:
    """`2018-02-03T04:05:06Z`: whole seconds, rounded down."""
    return _iso_date(at_ns // SECOND)


def read_http_date(text: str) -> int | None:
    """The nanoseconds since 1970 that `text` means; None when it is no date."""
    try:
        fields = parsedate_tz(text)
        if fields is None or fields[0] not in YEARS:
            return None
        zone_s = fields[9] or 0
        moment = datetime(*fields[:6], tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (int(moment.timestamp()) - zone_s) * SECOND if abs(zone_s) < DAY_S else None


def read_unix_time(text: str) -> int | None:
    """The nanoseconds since 1970 that `1557126489` or `-86400.25` seconds are; or None."""
    try:
        seconds = Decimal(text.strip())
        # Looked at before it is an int: "1e999999999" would be a long one.
        return int(seconds * SECOND) if abs(seconds) < FURTHEST_S else None
    except ArithmeticError:
        return None


@lru_cache(4096)
def _http_date(second: int) -> str:
    day, second = divmod(second, DAY_S)
    return f"{_http_day(day)} {_clock(second)} GMT"


@lru_cache(4096)
def _iso_date(second: int) -> str:
    day, second = divmod(second, DAY_S)
    return f"{_iso_day(day)}T{_clock(second)}Z"


@lru_cache(4096)
def _http_day(day: int) -> str:
    date = time.gmtime(day * DAY_S)
    month = MONTHS[date.tm_mon - 1]
    return f"{DAYS[date.tm_wday]}, {date.tm_mday:02} {month} {date.tm_year:04}"


@lru_cache(4096)
def _iso_day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
