# SPDX-License-Identifier: Apache-2.0
"""A command of which the database has a part is never completed by bytes of the proxy's own, and what is dropped or
refused in the middle leaves answers where they belong."""

import struct
import time

import pytest

from harness import process, wire
from harness.commands import change_user_body, only_shop, open_session, prepare, smuggled, wait_gone, was_run

# Seconds after which two writes are not read as one.
APART = 0.2


@pytest.fixture
def proxy(mariadb, start_proxy):
    return start_proxy(mariadb.port, only_shop)


def streamed(mark, length=12000):
    """A denied packet that is too long to be held: its first part is upstream before its end is judged."""
    text = b"\x03SELECT 1; " + smuggled(mark) + b"; # "
    return wire.packet(text + b"x" * (length - len(text)))


@pytest.mark.parametrize("missing", [5, 1])
def test_end_of_a_denied_statement_that_comes_apart(mariadb, proxy, missing):
    """A denied statement whose end never went upstream is not completed by the proxy's COM_QUIT: its five bytes would
    fill just the gap that a hostile bot left, and the server would run what was denied."""
    mark = f"completed by {missing}"
    with open_session(proxy) as connection:
        data = streamed(mark)
        connection.send_raw(data[:-missing])
        time.sleep(APART)
        connection.send_raw(data[-missing:])
        with pytest.raises(wire.ServerError, match="1044"):
            connection.expect()
        assert connection.at_end() == b""
    assert not was_run(mariadb, mark)
    record = proxy.audit.wait_for(None, event="query", outcome="denied")
    assert mark in record["statement"] and record["statement_length"] == len(data) - 5


def test_client_that_goes_before_the_end(mariadb, proxy):
    """The client closes with five bytes missing: nothing of the statement is run, and its record does not say ok."""
    with open_session(proxy) as connection:
        connection.send_raw(streamed("left behind")[:-5])
        time.sleep(APART)
    assert not was_run(mariadb, "left behind")
    assert proxy.audit.wait_for(lambda r: "left behind" in r.get("statement", ""))["outcome"] == "unknown"


def test_allowed_statement_that_is_half_sent(mariadb, proxy):
    """Nor is one completed that would have been allowed: the bot never said all of it."""
    text = b"\x03INSERT INTO scratch (id, name) VALUES (4711, 'half'); # "
    data = wire.packet(text + b"x" * (12000 - len(text)))
    with open_session(proxy) as connection:
        connection.send_raw(data[:-5])
        time.sleep(APART)
    wait_gone(mariadb, "writer")
    assert mariadb.execute("SELECT COUNT(*) FROM shop.scratch WHERE id = 4711") == ((0,),)


def test_denied_command_that_is_half_sent_is_recorded_as_denied(mariadb, start_proxy):
    """It was refused before its end came: "unknown" would say that the database may have run it."""

    def change(configuration):
        only_shop(configuration)
        configuration["proxy"]["limits"] = {"statements": 1}

    proxy = start_proxy(mariadb.port, change)
    with open_session(proxy) as connection:
        prepare(connection, b"DO 1")
        connection.send_raw(wire.packet(b"\x16DO 'over the limit', '" + b"y" * 20000 + b"'")[:15000])
        time.sleep(APART)
    record = proxy.audit.wait_for(lambda r: "over the limit" in r.get("statement", ""))
    assert record["outcome"] == "denied" and record["error"]["code"] == 1461


def test_goodbye_in_the_same_write(proxy):
    """COM_QUIT behind a query in one write does not take the query's answer away."""
    with open_session(proxy) as connection:
        connection.send_raw(wire.packet(b"\x03SELECT 42") + wire.packet(b"\x01"))
        assert wire.read_result(connection) == [b"\x0242"]
        assert connection.at_end() == b""
    assert proxy.audit.wait_for(None, event="query")["outcome"] == "ok"
    assert proxy.audit.wait_for(None, event="session.end")["reason"] == "client_quit"


def test_long_data_for_an_unknown_statement(proxy):
    """COM_STMT_SEND_LONG_DATA has no answer, so an ERR for it would be taken for the answer of the next command."""
    with open_session(proxy) as connection:
        connection.send_raw(wire.packet(b"\x18" + struct.pack("<IH", 77, 0) + b"y" * 40000))
        connection.command(wire.PING)
        assert connection.expect()[:1] == b"\0"
        assert wire.query(connection, "SELECT 1") == [b"\x011"]
    record = proxy.audit.wait_for(None, command="stmt_send_long_data")
    assert record["outcome"] == "denied"


def test_unknown_command_that_is_streamed(proxy):
    """I6: what cannot be parsed ends the session, however long it is: an ERR, and nothing after it."""
    with open_session(proxy) as connection:
        connection.send_raw(wire.packet(b"\x77" + b"y" * 40000))
        with pytest.raises(wire.ServerError, match="1047"):
            connection.expect()
        assert connection.at_end() == b""
    assert proxy.audit.wait_for(None, event="session.end")["reason"] == "client_protocol"


def test_change_of_user_that_is_streamed(mariadb, proxy):
    """Too long to be judged as a whole, so it ends the session and does not reach the database."""
    with open_session(proxy) as connection:
        connection.send_raw(wire.packet(b"\x11" + change_user_body("reader") + b"z" * 40000))
        with pytest.raises(wire.ServerError):
            connection.expect()
        assert connection.at_end() == b""
    wait_gone(mariadb, "reader")


def test_half_sent_command_is_no_activity(mariadb, start_proxy):
    """A bot does not keep its session past the role's idle timeout by never ending a command: the database would keep
    a connection for it, too."""

    def change(configuration):
        only_shop(configuration)
        configuration["roles"][1]["limits"] = {"idle_timeout": "1s"}

    proxy = start_proxy(mariadb.port, change)
    with open_session(proxy) as short, open_session(proxy) as streaming:
        short.send_raw(wire.packet(b"\x03SELECT 1")[:-1])
        streaming.send_raw(streamed("never ends")[:-1])
        short.sock.settimeout(4)
        streaming.sock.settimeout(4)
        short.at_end()
        streaming.at_end()
    wait_gone(mariadb, "writer")
    ends = process.wait_until(lambda: len(ends := proxy.audit.records(event="session.end")) == 2 and ends, "both ends")
    assert [end["reason"] for end in ends] == ["idle_timeout"] * 2
