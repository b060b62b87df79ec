"""What Telegram's errors mean: one table, from its own words to what is done next.

Matched on the words, as Telethon's classes hide some of them. Knows no connection; who
asks carries out the ruling. Source: core.telegram.org/api/errors, and what users report.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from telethon.errors import AuthKeyNotFound, InvalidBufferError


class Action(StrEnum):
    """What is done about an error."""

    REST = "this method of this account rests so many seconds; another account takes the work"
    SLOW_DOWN = "fewer parts are in flight, and the same part goes again after so many seconds"
    REPEAT = "the trouble is Telegram's own: the same again after a pause that doubles"
    AWAIT_FIRST = "the first send is still under way: the same again after two seconds"
    SAVE_PART = "this part was lost: it is saved again, and the send repeated"
    UPLOAD_AGAIN = "the parts were lost: all are saved again under another id"
    LOOK_UP = "the file reference is old: the message is looked up again"
    MIGRATE = "the file lies in this data centre: it is asked there"
    LIMIT = "the account writes nothing for a day; it goes on reading"
    FREEZE = "the account writes nothing any more; it goes on reading"
    BAN = "the account is gone"
    LOG_OUT = "the login is gone: a person has to log in again"
    LEAVE = "the channel is out of this account's reach"
    RECONNECT = "the connection is of no use: another is made, and the same asked again"
    REFUSE = "what was asked is wrong, or this error is news to us"


NO_ANSWER = (OSError, EOFError, BufferError, TimeoutError)
"""What a sender raises when its connection is of no use any more."""

TABLE: tuple[tuple[str, Action], ...] = (
    (r"FLOOD_PREMIUM_WAIT_(\d+)", Action.SLOW_DOWN),
    (r"(?:FLOOD|SLOWMODE)_WAIT_(\d+)", Action.REST),
    (r"FROZEN_(?:METHOD_INVALID|PARTICIPANT_MISSING)", Action.FREEZE),
    (r"PEER_FLOOD|USER_RESTRICTED|CHAT_(?:WRITE|RESTRICTED|SEND_DOCS)_FORBIDDEN", Action.LIMIT),
    (r"RANDOM_ID_DUPLICATE", Action.AWAIT_FIRST),
    (r"FILE_PART_(\d+)_MISSING", Action.SAVE_PART),
    (r"FILE_PARTS_INVALID|FILE_PART_\w+|MD5_CHECKSUM_INVALID", Action.UPLOAD_AGAIN),
    (r"FILE_REFERENCE_\w+|FILEREF_UPGRADE_NEEDED", Action.LOOK_UP),
    (r"(?:LOCATION|FILE_ID)_INVALID", Action.LOOK_UP),
    (r"FILE_MIGRATE_(\d+)", Action.MIGRATE),
    (r"USER_DEACTIVATED(?:_BAN)?|PHONE_NUMBER_BANNED", Action.BAN),
    (r"AUTH_KEY_\w+|SESSION_(?:REVOKED|EXPIRED)", Action.LOG_OUT),
    (r"CHANNEL_(?:PRIVATE|INVALID|BANNED)|CHAT_(?:ADMIN_REQUIRED|ID_INVALID)", Action.LEAVE),
    (r"USER_BANNED_IN_CHANNEL|CHAT_FORBIDDEN", Action.LEAVE),
    (r"TIMEOUT|\w*RPC_(?:CALL|MCGET|SEND)_FAIL|WORKER_BUSY\w*|INTERDC_\w+", Action.REPEAT),
    (r"NO WORKERS RUNNING|.*MEMORY LIMIT EXIT|MSG_WAIT_FAILED", Action.REPEAT),
)
"""First match wins. The group is the number that the action needs: seconds, part, centre."""

_TABLE = tuple((re.compile(pattern), action) for pattern, action in TABLE)

TOO_MANY_CONNECTIONS = 429
"""What the transport says when there are."""
UNNAMED_REST_S = 60
"""How long an account rests that is told to wait, and not how long."""


class RpcFailure(Exception):
    """Telegram's answer is an error, in its own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Ruling(NamedTuple):
    """What an error means."""

    action: Action
    number: int
    """The number in Telegram's words; 0 if there is none."""
    text: str


class KeyRefused(Exception):
    """A data centre does not believe a sender's key, or not any more."""

    def __init__(self, ruling: Ruling, key: bytes) -> None:
        super().__init__(ruling.text)
        self.ruling = ruling
        self.key = key


AWAY_S = 5.0
"""After so long an account that had no connection is asked again."""


class Unanswered(Exception):
    """An account gave no answer to what it was asked."""

    is_unsure = False
    """True if it may have been carried out all the same."""


class Elsewhere(Unanswered):
    """This account cannot do it: another should. `retry_after_s` says when it could.

    None: not before a person has done something.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Ruled(Unanswered):
    """The answer is an error that who asked has to act on."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.text)
        self.action = ruling.action
        self.number = ruling.number

    @property
    def is_about_the_file(self) -> bool:
        """True if the file was not found, though its reference may be good."""
        return str(self).upper() in ("LOCATION_INVALID", "FILE_ID_INVALID")


def judge(error: Exception) -> Ruling:
    """The ruling on whatever a sender raised."""
    if isinstance(error, RpcFailure):
        return _judge_words(error)
    if isinstance(error, KeyRefused):
        return error.ruling
    if isinstance(error, AuthKeyNotFound):
        return Ruling(Action.LOG_OUT, 0, "AUTH_KEY_UNKNOWN")
    if isinstance(error, InvalidBufferError) and error.code == TOO_MANY_CONNECTIONS:
        return Ruling(Action.RECONNECT, TOO_MANY_CONNECTIONS, "too many connections")
    if isinstance(error, NO_ANSWER):
        return Ruling(Action.RECONNECT, 0, str(error) or type(error).__name__)
    raise error


def _judge_words(error: RpcFailure) -> Ruling:
    for pattern, action in _TABLE:
        if found := pattern.fullmatch(error.text.upper()):
            number = int(found[1]) if found.groups() else 0
            return Ruling(action, number, error.text)
    return Ruling(_by_code(error.code), UNNAMED_REST_S, error.text)


def _by_code(code: int) -> Action:
    match abs(code):
        case 401:
            return Action.LOG_OUT
        case 420:
            return Action.REST
        case code if code >= 500:
            return Action.REPEAT
    return Action.REFUSE
