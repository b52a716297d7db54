# SPDX-License-Identifier: Apache-2.0
"""Commands that are too long to be held: their records, their errors, and the sequence ids of both."""

import contextlib
import struct

import pytest

from harness import wire
from harness.commands import only_shop, open_session, prepare, read_results, smuggled, was_run


@pytest.fixture
def proxy(mariadb, start_proxy):
    return start_proxy(mariadb.port, only_shop)


@contextlib.contextmanager
def greatest_packet(server, size):
    before = server.execute("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    server.execute(f"SET GLOBAL max_allowed_packet = {size}")
    try:
        yield
    finally:
        server.execute(f"SET GLOBAL max_allowed_packet = {before}")


def test_packet_that_is_too_large_for_the_server(mariadb, proxy):
    """I7, I12: the server refuses half-way; the client sees the server's own ERR, and the record and the reason say
    so, not that the database was lost."""
    with greatest_packet(mariadb, 1 << 20), open_session(proxy) as connection:
        try:
            connection.send_raw(wire.packet(b"\x03SELECT 'too large', '" + b"x" * (2 << 20) + b"'"))
        except wire.Closed:
            pass
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1153 and not raised.value.message.startswith("sallyport: ")
    record = proxy.audit.wait_for(lambda r: "too large" in r.get("statement", ""))
    assert record["outcome"] == "error" and record["error"]["code"] == 1153
    end = proxy.audit.wait_for(None, event="session.end")
    assert end["reason"] == "upstream_closed" and end["error"]["code"] == 1153


def test_long_data_past_the_limit(proxy):
    """A value that came as one long piece is recorded with its full length, not with that of what was kept."""
    with open_session(proxy) as connection:
        statement = prepare(connection, b"SELECT LENGTH(?)")
        connection.command(wire.LONG_DATA, statement + b"\0\0" + b"v" * 20000)
        connection.command(wire.LONG_DATA, statement + b"\0\0" + b"w" * 30000)
        connection.command(wire.EXECUTE, statement + b"\0" + struct.pack("<I", 1) + b"\0\x01\xfc\x00")
        rows = wire.read_result(connection)
        assert struct.unpack_from("<I", rows[0], 2)[0] == 50000
    record = proxy.audit.wait_for(None, event="execute")
    assert record["params"][0]["length"] == 50000 and record["params"][0]["truncated"] is True


BEYOND = wire.LARGEST + 1000


def two_packets(text):
    payload = text + b"z" * (BEYOND - len(text))
    return wire.packet(payload[:wire.LARGEST], 0) + wire.packet(payload[wire.LARGEST:], 1)


def test_denied_statement_of_more_than_16_mib(mariadb, proxy):
    """Its ERR follows the last packet: id 2 after 0 and 1. Clients drop a connection whose ids are wrong, and never
    show the reason."""
    with open_session(proxy) as connection:
        connection.send_raw(two_packets(b"\x03SELECT 1; " + smuggled("16 MiB") + b"; # "))
        with pytest.raises(wire.ServerError, match="1044"):
            connection.expect()
        assert connection.sequence == 3
        assert connection.at_end() == b""
    assert not was_run(mariadb, "16 MiB")
    record = proxy.audit.wait_for(None, event="query", outcome="denied")
    assert record["statement_length"] == BEYOND - 1 and record["truncated"] is True


def test_denied_command_of_more_than_16_mib_that_is_dropped(mariadb, start_proxy):
    """One that is denied at its beginning is dropped to its end; the session lives on, in step."""

    def change(configuration):
        only_shop(configuration)
        configuration["proxy"]["limits"] = {"statements": 1}

    proxy = start_proxy(mariadb.port, change)
    with open_session(proxy) as connection:
        prepare(connection, b"DO 1")
        connection.send_raw(two_packets(b"\x16DO 2 # "))
        with pytest.raises(wire.ServerError, match="1461"):
            connection.expect()
        assert connection.sequence == 3
        assert wire.query(connection, "SELECT 1") == [b"\x011"]


def test_pipelined_prepares(mariadb, start_proxy):
    """limits.statements counts prepares that are on their way: else one write full of them passes the limit."""

    def change(configuration):
        configuration["proxy"]["limits"] = {"statements": 3}

    proxy = start_proxy(mariadb.port, change)
    with open_session(proxy) as connection:
        connection.send_raw(b"".join(wire.packet(b"\x16DO 1") for _ in range(8)))
        answers = [connection.read() for _ in range(8)]
        assert [answer[0] for answer in answers] == [0] * 3 + [0xFF] * 5
        assert {wire.ServerError(answer).code for answer in answers[3:]} == {1461}
        # One that failed and one that was closed leave room.
        connection.command(wire.CLOSE, answers[0][1:5])
        connection.command(wire.PREPARE, b"no SQL")
        with pytest.raises(wire.ServerError, match="1064"):
            connection.expect()
        prepare(connection, b"DO 2")
        with pytest.raises(wire.ServerError, match="1461"):
            prepare(connection, b"DO 3")
        assert read_results_of(connection) == [[b"\x011"]]


def read_results_of(connection):
    connection.command(wire.QUERY, b"SELECT 1")
    return read_results(connection)
