# SPDX-License-Identifier: Apache-2.0
"""A database that is down, hangs, refuses, or dies: the client is told, a record says so, nothing is left behind."""

import socket
import struct
import threading
import time

import pymysql
import pytest

from harness import process, wire
from harness.wire import FakeUpstream


@pytest.fixture
def impatient(start_proxy):
    """A proxy with short deadlines in front of a port."""

    def start(port):
        def change(configuration):
            configuration["proxy"]["limits"] = {"upstream_timeout": "1s", "login_timeout": "5s"}

        return start_proxy(port, change)

    return start


def test_every_address_of_a_name_is_tried(start_proxy, server, certificates):
    """A name is resolved; it may be ::1 first, where the server listens on 127.0.0.1 alone."""

    def change(configuration):
        configuration["databases"][0]["address"] = f"localhost:{server.port}"

    proxy = start_proxy(server.port, change)
    with wire.dial(proxy.plain_port, certificates) as connection:
        wire.log_in(connection)
    proxy.audit.wait_for(lambda record: record["event"] == "session.start")


def fails(proxy, certificates, action=wire.log_in):
    with wire.dial(proxy.plain_port, certificates) as connection:
        with pytest.raises(wire.ServerError) as raised:
            action(connection)
    return raised.value


def ended(proxy, reason):
    record = proxy.audit.wait_for(lambda r: r["event"] in ("session.end", "session.denied"))
    assert record["reason"].startswith(reason), record
    return record


def test_down(certificates, impatient):
    proxy = impatient(process.free_port())
    before = proxy.descriptors()
    error = fails(proxy, certificates)
    assert error.code == 1159 and error.sqlstate == "08S01" and error.message.startswith("sallyport: ")
    ended(proxy, "upstream_unreachable")
    proxy.settle(before)


def test_down_through_the_tunnel(certificates, impatient, start_tunnel):
    proxy = impatient(process.free_port())
    port = process.free_port()
    start_tunnel([{
        "name": "down", "listen": f"127.0.0.1:{port}", "proxy": f"127.0.0.1:{proxy.port}", "database": "shop",
        "identity": str(certificates.bot("ci-1")),
    }])
    with pytest.raises(pymysql.err.OperationalError) as raised:
        pymysql.connect(host="127.0.0.1", port=port, user="reader")
    assert raised.value.args[0] == 1159 and "sallyport: " in raised.value.args[1]


def test_hangs_before_the_greeting(certificates, impatient):
    with FakeUpstream(certificates, None, accept=False) as upstream:
        proxy = impatient(upstream.port)
        before = proxy.descriptors()
        began = time.monotonic()
        error = fails(proxy, certificates)
        assert time.monotonic() - began < 4
        assert error.code == 1159
        ended(proxy, "upstream_")
        proxy.settle(before)


@pytest.mark.parametrize("stage", ["after the greeting", "after TLS", "after the login"])
def test_hangs_in_the_login(certificates, impatient, stage):
    def script(peer):
        peer.greet()
        if stage != "after the greeting":
            peer.start_tls()
        if stage == "after the login":
            peer.read_login()
        threading.Event().wait(8)

    with FakeUpstream(certificates, script) as upstream:
        proxy = impatient(upstream.port)
        error = fails(proxy, certificates)
        assert error.code == 1159
        ended(proxy, "upstream_")


@pytest.mark.parametrize("packet", [
    b"\xff\x10\x04Too many connections", wire.err_packet(1129, "Host is blocked"),
], ids=["without SQLSTATE", "with SQLSTATE"])
def test_refuses_instead_of_greeting(certificates, impatient, packet):
    """An ERR as the very first packet has no SQLSTATE marker (TRAPS.md); the client gets the server's own words."""
    with FakeUpstream(certificates, lambda peer: peer.send(packet, sequence=0)) as upstream:
        proxy = impatient(upstream.port)
        error = fails(proxy, certificates)
        assert error.code in (1040, 1129)
        assert "Too many connections" in error.message or "Host is blocked" in error.message
        ended(proxy, "upstream_refused")


def test_refuses_the_login(certificates, impatient):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(wire.err_packet(1045, "Access denied for user 'reader'@'proxy'", "28000"))

    with FakeUpstream(certificates, script) as upstream:
        proxy = impatient(upstream.port)
        error = fails(proxy, certificates)
        assert error.code == 1045 and "Access denied" in error.message
        ended(proxy, "upstream_refused")


def test_real_account_without_the_right_subject(stack, start_proxy, certificates):
    """A real server refuses the proxy's login: relayed and recorded."""
    stack.server.execute("CREATE USER other_subject REQUIRE SUBJECT '/CN=somebody else'")

    def change(configuration):
        configuration["roles"][0]["allow"]["mysql_users"].append("other_subject")

    proxy = start_proxy(stack.server.port, change)
    try:
        with wire.dial(proxy.plain_port, certificates) as connection:
            with pytest.raises(wire.ServerError) as raised:
                wire.log_in(connection, user="other_subject", database=None)
        assert raised.value.code == 1045
        ended(proxy, "upstream_refused")
    finally:
        stack.server.execute("DROP USER other_subject")


def test_dies_between_commands(certificates, impatient):
    with FakeUpstream(certificates, lambda peer: peer.log_in()) as upstream:
        proxy = impatient(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            end = connection.at_end()
        assert end == b"" or b"sallyport" in end
        ended(proxy, "upstream_closed")


@pytest.mark.parametrize("cut", ["column count", "columns", "rows", "packet"])
def test_dies_in_mid_result(certificates, impatient, cut):
    """The client never takes half a result for a whole one."""

    def answer(peer, _):
        if cut == "column count":
            peer.send(b"\x01")
        elif cut == "columns":
            peer.send(b"\x02")
            peer.send(wire.column_definition("a"))
        else:
            peer.result_set([(b"value",)] * 1000, end=False)
            if cut == "packet":
                peer.send_raw(struct.pack("<I", 5000)[:3] + bytes([peer.sequence]) + b"half")
        peer.sock.unwrap() if cut == "rows" else None
        raise wire.Closed("as planned")

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        proxy = impatient(upstream.port)
        before = proxy.descriptors()
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            with pytest.raises((wire.ServerError, wire.Closed)):
                wire.query(connection, "SELECT a FROM b")
        record = proxy.audit.wait_for(None, event="query")
        assert record["statement"] == "SELECT a FROM b" and record["outcome"] in ("error", "unknown")
        end = proxy.audit.wait_for(None, event="session.end")
        assert end["reason"].startswith("upstream_")
        proxy.settle(before)


def test_real_server_kills_the_connection(stack):
    """KILL CONNECTION from outside, in the middle of a query."""
    with stack.connect() as connection:
        victim = connection.thread_id()
        thread = threading.Timer(0.5, lambda: stack.server.execute(f"KILL CONNECTION {victim}"))
        thread.start()
        with pytest.raises(pymysql.err.Error):
            with connection.cursor() as cursor:
                cursor.execute("SELECT SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d")
        thread.join()
    end = stack.audit.wait_for(None, event="session.end", upstream_connection_id=victim)
    assert end["reason"]


def test_real_server_kills_an_idle_connection(stack):
    """What the server says unasked (an ERR, or nothing) reaches the client, and both legs are closed."""
    with stack.connect() as connection:
        victim = connection.thread_id()
        stack.server.execute(f"KILL CONNECTION {victim}")
        end = stack.audit.wait_for(None, event="session.end", upstream_connection_id=victim)
        assert end["reason"].startswith("upstream_closed")
        with pytest.raises(pymysql.err.Error):
            connection.ping(reconnect=False)


def test_client_that_stops_reading(stack):
    """The proxy does not take the whole result into its memory for somebody who does not read it."""
    before = process.resident_bytes(stack.proxy.process.pid)
    with wire.dial(stack.proxy.plain_port, stack.certificates, receive_buffer=65536) as connection:
        wire.log_in(connection)
        connection.command(wire.QUERY, b"SELECT REPEAT('x', 1000000) FROM numbers WHERE n <= 120")
        time.sleep(2)
        grown = process.resident_bytes(stack.proxy.process.pid) - before
        assert grown < 40 << 20, f"{grown} bytes for a client that does not read"
        # Others are served meanwhile.
        with stack.connect() as other, other.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        rows = wire.read_result(connection)
        assert len(rows) == 120 and all(len(row) > 1000000 for row in rows)


def test_upstream_that_stops_reading(certificates, start_proxy):
    """A database that does not take a large statement does not make the proxy swallow it whole."""
    reached = threading.Event()

    def script(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.log_in()
        reached.wait(20)
        peer.serve()

    with FakeUpstream(certificates, script) as upstream:
        def change(configuration):
            for role in configuration["roles"]:
                role["allow"]["schemas"] = ["*"]
                role["deny"] = {}

        proxy = start_proxy(upstream.port, change)
        before = process.resident_bytes(proxy.process.pid)
        with wire.dial(proxy.plain_port, certificates, timeout=30) as connection:
            wire.log_in(connection)
            half = threading.Thread(
                target=lambda: connection.send_raw(
                    wire.packet(b"\x03SELECT '" + b"y" * (wire.LARGEST - 9))
                    + b"".join(wire.packet(b"y" * wire.LARGEST, n) for n in range(1, 4)) + wire.packet(b"'", 4)
                )
            )
            half.start()
            time.sleep(2)
            grown = process.resident_bytes(proxy.process.pid) - before
            reached.set()
            half.join()
            connection.sequence = 5
            assert connection.expect()[:1] == b"\0"
        assert grown < 40 << 20, f"{grown} bytes held for an upstream that does not read"
