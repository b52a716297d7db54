# SPDX-License-Identifier: Apache-2.0
"""I6: malformed, oversized and truncated packets, in each state of both legs. What the proxy cannot follow is not
relayed: an error, a record, the end of the session; and the next session is as good as any."""

import socket
import struct
import time

import pytest

from harness import wire
from harness.wire import FakeUpstream

LENGTH_ONLY = struct.pack("<I", 0xFFFFFF)[:3]


@pytest.fixture(scope="module")
def target(mariadb, certificates):
    """A proxy in front of a real server, with descriptors counted over the whole file."""
    from harness.stack import Stack

    running = Stack(mariadb, certificates).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


def still_serves(target):
    assert target.proxy.process.poll() is None, target.proxy.log()[-3000:]
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def ends_with_error(connection):
    """The proxy says why, where it can, and closes."""
    data = connection.at_end()
    return data


# The client's leg, before the login.

HELLO = struct.pack(">I", 2)


@pytest.mark.parametrize("frame", [
    b"\xff\xff\xff\xff", struct.pack(">I", 4097) + b"{" * 4097, struct.pack(">I", 0), struct.pack(">I", 1) + b"{",
    struct.pack(">I", 5) + b"hello", struct.pack(">I", 2) + b"{}", struct.pack(">I", 2) + b"[]",
    wire.hello_frame("shop").replace(b'"version": 1', b'"version": 9'),
    struct.pack(">I", 28) + b'{"version":1,"database":1}  ', wire.hello_frame("sh\u0000op"),
    wire.hello_frame("x" * 300),
    wire.hello_frame("shop") + b"too early", b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">I", 4096) + b"[" * 4096,
], ids=["length 2^32-1", "length 4097", "empty", "one byte", "no JSON", "no keys", "array", "version 9",
        "number as name", "NUL in the name", "long name", "bytes behind it", "HTTP", "deep nesting"])
def test_hello(target, frame):
    before = target.audit.count()
    with wire.dial(target.proxy.port, target.certificates, alpn=wire.ALPN_MYSQL) as connection:
        connection.send_raw(frame)
        data = ends_with_error(connection)
        assert b"mariadb" not in data.lower(), "a greeting was sent"
    record = target.audit.wait_for(lambda r: r["event"] in ("session.denied", "session.end"), after=before)
    assert record["reason"]
    still_serves(target)


def test_hello_for_a_database_that_is_unknown(target):
    with wire.dial(target.proxy.port, target.certificates, alpn=wire.ALPN_MYSQL) as connection:
        connection.send_raw(wire.hello_frame("warehouse"))
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
    assert raised.value.code == 1045 and "warehouse" in raised.value.message


def test_hello_cut_off(target):
    with wire.dial(target.proxy.port, target.certificates, alpn=wire.ALPN_MYSQL) as connection:
        connection.send_raw(wire.hello_frame("shop")[:9])
    still_serves(target)


def test_unknown_alpn(target):
    """A peer that speaks another protocol is not taken for a MySQL client."""
    import ssl

    try:
        with wire.dial(target.proxy.port, target.certificates, alpn="http/1.1") as connection:
            assert b"mariadb" not in connection.at_end().lower()
    except (ssl.SSLError, ConnectionError):
        pass
    still_serves(target)


def login(**changes):
    return wire.login_response("reader", "shop", **changes)


BAD_LOGINS = {
    "empty": b"",
    "one byte": b"\x05",
    "flags only": login()[:4],
    "cut in the filler": login()[:20],
    "no user": login()[:32],
    "user without end": login()[:35],
    "answer longer than the packet": login()[:39] + b"\xc8short",
    "schema without end": login()[:41] + b"shop",
    "protocol 3.20": b"\x00\x00\x00\x00\x00reader\0",
    "attributes of 2^64-1 bytes": login(flags=wire.CLIENT_FLAGS | 1 << 20) + b"\xfe" + b"\xff" * 8,
    "answer of 2^64-1 bytes": struct.pack("<IIB23x", wire.CLIENT_FLAGS | 1 << 21, 1 << 24, 45) + b"reader\0\xfe"
    + b"\xff" * 8,
    "user of 60 kB": wire.login_response("r" * 60000),
    "NUL bytes": bytes(200),
    "all ones": b"\xff" * 200,
}


@pytest.mark.parametrize("name", BAD_LOGINS)
def test_login(target, name):
    before = target.audit.count()
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        connection.expect()
        connection.send(BAD_LOGINS[name])
        data = ends_with_error(connection)
        assert data[4:5] in (b"", b"\xff"), f"answered by {data[:40]!r}"
    record = target.audit.wait_for(lambda r: r["event"] in ("session.denied", "session.end"), after=before)
    assert record["reason"]
    still_serves(target)


def test_login_larger_than_64_kib(target):
    """Refused by its length, before its bytes have come."""
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        connection.expect()
        connection.send_raw(LENGTH_ONLY + b"\x01" + login())
        data = ends_with_error(connection)
        assert data[4:5] in (b"", b"\xff")
    still_serves(target)


@pytest.mark.parametrize("sequence", [0, 2, 255])
def test_login_with_wrong_sequence(target, sequence):
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        connection.expect()
        connection.send(login(), sequence=sequence)
        assert ends_with_error(connection)[4:5] in (b"", b"\xff")


def test_login_that_does_not_come(certificates, start_proxy, mariadb):
    """The deadline holds before TLS, before the hello, and before the login."""
    def change(configuration):
        configuration["proxy"]["limits"] = {"login_timeout": "1s", "ready_timeout": "2s"}

    proxy = start_proxy(mariadb.port, change)
    before = proxy.descriptors()
    with socket.create_connection(("127.0.0.1", proxy.plain_port), 10) as silent:
        assert wire.Connection(silent, 8).at_end() == b""
    with wire.dial(proxy.port, certificates, alpn=wire.ALPN_MYSQL, timeout=8) as no_hello:
        no_hello.at_end()
    with wire.dial(proxy.plain_port, certificates, timeout=8) as no_login:
        no_login.expect()
        no_login.at_end()
    with socket.create_connection(("127.0.0.1", proxy.starttls_port), 10) as no_request:
        wire.Connection(no_request, 8).at_end()
    proxy.settle(before)


def test_bytes_behind_the_login(target):
    """Commands before the login was answered are not run as if it had been."""
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        connection.expect()
        connection.send_raw(
            wire.packet(wire.login_response("writer", "shop"), 1) + wire.packet(b"\x03SELECT 'never run'")
        )
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code in (1045, 1043)
        assert connection.at_end() == b""


# The client's leg, in the command phase.

BAD_COMMANDS = {
    "empty packet": b"",
    "unknown command 0xfe": b"\xfe",
    "unknown command 0x7f": b"\x7fabc",
    "COM_SLEEP": b"\x00",
    "COM_CONNECT": b"\x0b",
    "execute without an id": b"\x17\x01",
    "execute of an unknown id": b"\x17\x63\0\0\0\0\x01\0\0\0",
    "fetch cut off": b"\x1c\x01\0",
    "long data cut off": b"\x18\x01\0\0",
    "reset cut off": b"\x1a",
    "option cut off": b"\x1b",
    "kill cut off": b"\x0c\x01",
    "change user without end": b"\x11reader",
    "change user with a long answer": b"\x11reader\0\xc8abc",
    "field list without end": b"\x04items",
    "bulk execute cut off": b"\xfa\x01\0\0\0",
}

# MariaDB takes what is missing for zero, or for nothing, and answers EOF.
LENIENT = {"option cut off", "field list without end"}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_command(target, name):
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        connection.sock.settimeout(5)
        try:
            connection.send(BAD_COMMANDS[name], sequence=0)
            answer = connection.read()
            while name == "field list without end" and answer[:1] not in (b"\xff", b"\xfe"):
                answer = connection.read()
            # An error, or what the server itself makes of it; in either case both sides are still in step.
            assert answer[:1] == b"\xff" or (answer[:1] == b"\xfe" and name in LENIENT), f"answered by {answer[:40]!r}"
            assert wire.query(connection, "SELECT 'in step'") == [b"\x07in step"]
        except wire.Closed:
            pass
    still_serves(target)


def test_execute_with_parameters_cut_off(target):
    """The values are decoded for the record; what cannot be decoded is not sent on."""
    with target.server.general_log() as log, wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        connection.command(wire.PREPARE, b"SELECT ?, ?")
        prepared = connection.expect()
        for _ in range(2 + 2 + 2):
            connection.expect()
        values = b"\xfe" + b"\xff" * 8
        body = prepared[1:5] + b"\0" + struct.pack("<I", 1) + b"\0" + b"\x01" + b"\xfd\x00\xfd\x00" + values
        connection.command(wire.EXECUTE, body)
        try:
            assert connection.read()[:1] == b"\xff"
        except wire.Closed:
            pass
        assert not [entry for entry in log() if entry[1] == "Execute"]
    still_serves(target)


@pytest.mark.parametrize("sequence", [1, 7, 255])
def test_command_with_wrong_sequence(target, sequence):
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        connection.send(b"\x03SELECT 1", sequence=sequence)
        connection.sock.settimeout(5)
        try:
            connection.read()
        except wire.Closed:
            pass
    still_serves(target)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 1000])
def test_command_cut_off(target, cut):
    """The client goes away in the middle of a packet: nothing of it is run, the session is over."""
    before = target.audit.count()
    with target.server.general_log() as log:
        with wire.dial(target.proxy.plain_port, target.certificates) as connection:
            wire.log_in(connection)
            connection.send_raw(wire.packet(b"\x03SELECT 'cut off', '" + b"z" * 2000 + b"'")[:cut])
        end = target.audit.wait_for(None, after=before, event="session.end")
        assert end["reason"].startswith(("client_closed", "client_lost", "client_protocol"))
        assert not [entry for entry in log() if b"cut off" in entry[2]]


def test_large_command_cut_off(target):
    """In the second of three packets of one statement."""
    before = target.audit.count()
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        connection.send_raw(wire.packet(b"\x03SELECT '" + b"y" * (wire.LARGEST - 9)))
        connection.send_raw(wire.packet(b"y" * 100000, 1)[:50000])
    end = target.audit.wait_for(None, after=before, event="session.end", timeout=20)
    assert end["reason"].startswith("client_")
    still_serves(target)


def test_continuation_with_wrong_sequence(target):
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        connection.send_raw(wire.packet(b"\x03SELECT '" + b"y" * (wire.LARGEST - 9)))
        try:
            connection.send_raw(wire.packet(b"'", 9))
            assert connection.read()[:1] == b"\xff"
        except wire.Closed:
            pass
    still_serves(target)


def test_tls_record_that_is_garbage(target):
    with wire.dial(target.proxy.plain_port, target.certificates) as connection:
        wire.log_in(connection)
        raw = socket.socket(fileno=connection.sock.fileno())
        try:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"\x5a" * 32)
            try:
                connection.sock.recv(100)
            except OSError:
                pass
        finally:
            raw.detach()
    still_serves(target)


# The upstream's leg: a server that cannot be trusted with the protocol either.


def truncated(payload, keep):
    return payload[:keep]


GREETINGS = {
    "empty": b"",
    "protocol 9": b"\x09" + wire.greeting_packet()[1:],
    "protocol 255 cut": b"\xff",
    "version without end": b"\x0a8.0.0",
    "version of 60 kB": b"\x0a" + b"8" * 60000 + b"\0",
    "cut in the nonce": wire.greeting_packet()[:20],
    "cut in the flags": wire.greeting_packet()[:28],
    "no PROTOCOL_41": wire.greeting_packet(flags=wire.SERVER_FLAGS & ~wire.PROTOCOL_41),
    "control characters": b"\x0a\x1b[2J\0" + wire.greeting_packet()[wire.greeting_packet().index(b"\0") + 1:],
    "all ones": b"\xfe" * 100,
}


def through(upstream, start_proxy, action=wire.log_in):
    """Runs a session that must end in an error; returns the proxy."""
    proxy = start_proxy(upstream.port, quick)
    before = proxy.descriptors()
    with wire.dial(proxy.plain_port, proxy.certificates) as connection:
        with pytest.raises((wire.ServerError, wire.Closed)) as raised:
            action(connection)
        if isinstance(raised.value, wire.ServerError):
            assert "sallyport" in raised.value.message or raised.value.code != 1159
    record = proxy.audit.wait_for(lambda r: r["event"] in ("session.end", "session.denied"))
    assert record["reason"].startswith("upstream_"), record
    proxy.settle(before)
    return proxy


def quick(configuration):
    configuration["proxy"]["limits"] = {"upstream_timeout": "2s"}
    configuration["proxy"]["workers"] = 1


@pytest.mark.parametrize("name", GREETINGS)
def test_upstream_greeting(certificates, start_proxy, name):
    with FakeUpstream(certificates, lambda peer: (peer.send(GREETINGS[name], sequence=0), peer.at_end())) as upstream:
        through(upstream, start_proxy)


def test_upstream_greeting_larger_than_64_kib(certificates, start_proxy):
    def script(peer):
        peer.send_raw(LENGTH_ONLY + b"\0" + b"\x0a" * 1000)
        peer.at_end()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy)


def test_upstream_plaintext_instead_of_tls(certificates, start_proxy):
    def script(peer):
        peer.greet()
        peer.read()
        peer.send(wire.ok_packet())
        peer.at_end()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy)


LOGIN_ANSWERS = {
    "empty": b"",
    "unknown header": b"\x42abc",
    "OK cut off": b"\0",
    "ERR cut off": b"\xff\x15",
    "switch to an unknown plugin": b"\xfeno_such_plugin\0" + b"n" * 20 + b"\0",
    "switch to a plugin without name": b"\xfe",
    "switch to dialog": b"\xfedialog\0",
    "more data unasked": b"\x01\x04",
    "more data of no plugin": b"\x01" + b"x" * 1000,
    "result set": b"\x01",
}


@pytest.mark.parametrize("name", LOGIN_ANSWERS)
def test_upstream_login_answer(certificates, start_proxy, name):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(LOGIN_ANSWERS[name])
        peer.at_end()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy)


def test_upstream_that_never_ends_the_login(certificates, start_proxy):
    """Switches of the plugin for ever."""

    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        for _ in range(1000):
            peer.send(b"\xfemysql_native_password\0" + b"n" * 20 + b"\0")
            peer.read()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy)


def huge_row(peer):
    peer.result_set([], end=False)
    peer.send(b"\xfe" + b"\xff" * 8 + b"short")


ANSWERS = {
    "empty packet": lambda peer: peer.send(b""),
    "OK cut off": lambda peer: peer.send(b"\0\xfc"),
    "ERR cut off": lambda peer: peer.send(b"\xff\x01"),
    "column count of 2^64-1": lambda peer: peer.send(b"\xfe" + b"\xff" * 8),
    "column count cut off": lambda peer: peer.send(b"\xfc\x01"),
    "column count with bytes behind": lambda peer: peer.send(b"\x01\x02\x03\x04\x05"),
    "wrong sequence": lambda peer: peer.send(wire.ok_packet(), sequence=9),
    "rows where columns are due": lambda peer: (peer.send(b"\x02"), peer.send(b"\xfb"), peer.send(wire.eof_packet())),
    "wrong sequence in the rows": lambda peer: (
        peer.result_set([(b"a",)], end=False), peer.send(b"\x01b", sequence=77)
    ),
    "end cut off": lambda peer: (peer.result_set([(b"a",)], end=False), peer.send(b"\xfe\x00")),
    "file asked for without LOCAL INFILE": lambda peer: peer.send(b"\xfb/etc/passwd"),
    "half a header": lambda peer: (peer.send_raw(b"\x01\x00"), peer.close()),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_upstream_answer(certificates, start_proxy, name):
    """The client gets an error or an end, never the broken answer as a good one."""

    def script(peer):
        peer.log_in()
        peer.serve(lambda served, _: ANSWERS[name](served))

    def two_queries(connection):
        wire.log_in(connection)
        for _ in range(2):
            wire.query(connection, "SELECT 1")

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy, two_queries)


def test_upstream_speaks_unasked(certificates, start_proxy):
    """4031 on the server's idle timeout: relayed, recorded, closed."""

    def script(peer):
        peer.log_in()
        peer.next_command()
        peer.send(wire.ok_packet())
        time.sleep(0.3)
        peer.send(wire.err_packet(4031, "The client was disconnected by the server because of inactivity."), sequence=0)
        peer.at_end()

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, quick)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            wire.query(connection, "DO 1")
            with pytest.raises(wire.ServerError) as raised:
                connection.expect()
            assert raised.value.code == 4031
            assert connection.at_end() == b""
        proxy.audit.wait_for(None, event="session.end")


def test_upstream_answers_twice(certificates, start_proxy):
    """An answer that nobody asked for must not become the answer to the next command."""

    def answer(peer, _):
        peer.send(wire.ok_packet(affected=1))
        time.sleep(0.2)
        peer.send(wire.ok_packet(affected=2), sequence=1)

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    def one_query(connection):
        wire.log_in(connection)
        assert wire.query(connection, "DO 1")[1] == 1
        while True:
            connection.expect()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy, one_query)


def test_prepare_answer_with_wild_counts(certificates, start_proxy):
    """65,535 parameters and columns that do not follow."""

    def answer(peer, _):
        peer.send(b"\0" + struct.pack("<IHHBH", 1, 65535, 65535, 0, 0))
        peer.send(wire.eof_packet())
        raise wire.Closed("as planned")

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    def prepare(connection):
        wire.log_in(connection)
        connection.command(wire.PREPARE, b"SELECT ?")
        for _ in range(10):
            connection.expect()

    with FakeUpstream(certificates, script) as upstream:
        through(upstream, start_proxy, prepare)


def test_upstream_of_endless_rows_is_cut_by_the_clients_end(certificates, start_proxy):
    """The client goes away in the middle; the proxy does not go on reading for ever."""

    def answer(peer, _):
        peer.result_set([], end=False)
        row = wire.packet(wire.lenenc_string(b"r" * 1000), 0)
        while True:
            rows = b""
            for _ in range(100):
                rows += row[:3] + bytes([peer.sequence]) + row[4:]
                peer.sequence = (peer.sequence + 1) & 0xFF
            peer.send_raw(rows)

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, quick)
        before = proxy.descriptors()
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            connection.command(wire.QUERY, b"SELECT endless")
            for _ in range(1000):
                connection.expect()
        record = proxy.audit.wait_for(None, event="query", timeout=20)
        assert record["outcome"] in ("unknown", "error")
        proxy.settle(before)


def test_wrong_results_do_not_mix_sessions(certificates, start_proxy):
    """Two sessions at once, one of them broken by its server: the other goes on."""

    def answer(peer, command):
        if b"break" in command:
            peer.send(b"\xfe" + b"\xff" * 8)
        else:
            peer.result_set([(b"good",)])

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, quick)
        with wire.dial(proxy.plain_port, certificates) as good, wire.dial(proxy.plain_port, certificates) as bad:
            wire.log_in(good)
            wire.log_in(bad)
            with pytest.raises((wire.ServerError, wire.Closed)):
                wire.query(bad, "break it")
                wire.query(bad, "and again")
            assert wire.query(good, "SELECT 1") == [b"\x04good"]
