"""A network to PostgreSQL that swallows what it is given: waited for as long as `BUSY_S`."""

import os
import socket
import time
from contextlib import closing

import pytest
from sqlalchemy import Connection, make_url, text

from tests.postgres import SilentProxy
from tgdav.db import Database, engines
from tgdav.errors import DatabaseError

BUSY_S = 2.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_S", BUSY_S)


def options(connection: Connection) -> dict[str, int]:
    """What the system was told of the connection's socket."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    with socket.socket(fileno=os.dup(driver.fileno())) as ours:
        told = {
            name: ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        return told | {"SO_KEEPALIVE": ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


def test_a_server_that_takes_connections_and_says_nothing_is_given_up(proxy: SilentProxy):
    proxy.be_silent()
    begun = time.monotonic()
    with pytest.raises(DatabaseError, match="timeout"):
        Database.open(proxy.url)
    assert time.monotonic() - begun < 3 * BUSY_S


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has none")
def test_the_system_is_told_how_long_to_wait_for_the_network(proxy: SilentProxy):
    with closing(Database.open(proxy.url)) as database:
        with database.read() as connection:
            told = options(connection)
        assert told == database.write(options)
        assert told.pop("TCP_USER_TIMEOUT") == BUSY_S * 1000
        assert told.pop("SO_KEEPALIVE") == 1
        silent_s = told["TCP_KEEPIDLE"] + told["TCP_KEEPINTVL"] * told["TCP_KEEPCNT"]
        assert silent_s <= max(BUSY_S, 10)


def test_a_statement_takes_as_long_as_it_does(proxy: SilentProxy):
    with closing(Database.open(proxy.url)) as database, database.read() as connection:
        assert connection.scalar(text(f"SELECT 1 FROM pg_sleep({2 * BUSY_S})")) == 1


def test_what_the_address_says_itself_is_kept(proxy: SilentProxy):
    url = make_url(proxy.url).update_query_dict({"tcp_user_timeout": "7000"})
    with closing(Database.open(url.render_as_string(hide_password=False))) as database:
        assert database.write(options)["TCP_USER_TIMEOUT"] == 7000
