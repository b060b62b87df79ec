"""The table by itself; what each row does to a store is shown on the test server."""

import asyncio

import pytest
from telethon.errors import AuthKeyNotFound, InvalidBufferError

from tgdav.stores.telegram.errors import TABLE, Action, RpcFailure, judge

WORDS = {
    "FLOOD_WAIT_33": (Action.REST, 33),
    "SLOWMODE_WAIT_10": (Action.REST, 10),
    "FLOOD_PREMIUM_WAIT_7": (Action.SLOW_DOWN, 7),
    "FROZEN_METHOD_INVALID": (Action.FREEZE, 0),
    "FROZEN_PARTICIPANT_MISSING": (Action.FREEZE, 0),
    "PEER_FLOOD": (Action.LIMIT, 0),
    "USER_RESTRICTED": (Action.LIMIT, 0),
    "CHAT_WRITE_FORBIDDEN": (Action.LIMIT, 0),
    "RANDOM_ID_DUPLICATE": (Action.AWAIT_FIRST, 0),
    "FILE_PART_0_MISSING": (Action.SAVE_PART, 0),
    "FILE_PART_33_MISSING": (Action.SAVE_PART, 33),
    "FILE_PARTS_INVALID": (Action.UPLOAD_AGAIN, 0),
    "FILE_PART_SIZE_CHANGED": (Action.UPLOAD_AGAIN, 0),
    "MD5_CHECKSUM_INVALID": (Action.UPLOAD_AGAIN, 0),
    "FILE_REFERENCE_EXPIRED": (Action.LOOK_UP, 0),
    "FILE_REFERENCE_0_EXPIRED": (Action.LOOK_UP, 0),
    "FILEREF_UPGRADE_NEEDED": (Action.LOOK_UP, 0),
    "LOCATION_INVALID": (Action.LOOK_UP, 0),
    "FILE_MIGRATE_4": (Action.MIGRATE, 4),
    "USER_DEACTIVATED_BAN": (Action.BAN, 0),
    "PHONE_NUMBER_BANNED": (Action.BAN, 0),
    "AUTH_KEY_UNREGISTERED": (Action.LOG_OUT, 0),
    "AUTH_KEY_DUPLICATED": (Action.LOG_OUT, 0),
    "SESSION_REVOKED": (Action.LOG_OUT, 0),
    "CHANNEL_PRIVATE": (Action.LEAVE, 0),
    "CHAT_ADMIN_REQUIRED": (Action.LEAVE, 0),
    "USER_BANNED_IN_CHANNEL": (Action.LEAVE, 0),
    "Timeout": (Action.REPEAT, 0),
    "RPC_CALL_FAIL": (Action.REPEAT, 0),
    "WORKER_BUSY_TOO_LONG_RETRY": (Action.REPEAT, 0),
    "INTERDC_2_CALL_ERROR": (Action.REPEAT, 0),
    "No workers running": (Action.REPEAT, 0),
}


@pytest.mark.parametrize("words", WORDS)
def test_words_have_one_ruling(words: str):
    ruling = judge(RpcFailure(400, words))
    assert (ruling.action, ruling.number) == WORDS[words]
    assert ruling.text == words


def test_each_row_is_met():
    met = {words: judge(RpcFailure(400, words)).action for words in WORDS}
    assert {action for _, action in TABLE} <= set(met.values())


def test_words_that_are_news_go_by_their_code():
    assert judge(RpcFailure(-503, "NEWS")).action is Action.REPEAT
    assert judge(RpcFailure(500, "NEWS")).action is Action.REPEAT
    assert judge(RpcFailure(401, "NEWS")).action is Action.LOG_OUT
    assert judge(RpcFailure(420, "NEWS"))[:2] == (Action.REST, 60)
    assert judge(RpcFailure(400, "NEWS")).action is Action.REFUSE


def test_a_connection_that_failed_is_made_anew():
    for error in (ConnectionResetError(), asyncio.IncompleteReadError(b"", 4), TimeoutError()):
        assert judge(error).action is Action.RECONNECT
    assert judge(InvalidBufferError(b"\x53\xfe\xff\xff")).action is Action.RECONNECT
    assert judge(AuthKeyNotFound()).action is Action.LOG_OUT


def test_our_own_mistakes_are_not_telegrams():
    with pytest.raises(ZeroDivisionError):
        judge(ZeroDivisionError())
