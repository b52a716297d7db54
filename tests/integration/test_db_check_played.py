# SPDX-License-Identifier: Apache-2.0
"""`sallyport db check` against servers that a test plays: what no real one does, or does on demand. What it finds at
real servers is in test_db_check.py."""

import datetime
import re
import struct
import threading
import time

import pytest

from harness import process, wire
from harness.preflight import LONE_USER, check_reader, fails, issue, warnings
from harness.sallyport import command
from harness.wire import FakeUpstream


def issue_server(own, begin, end):
    """A certificate for the database server's key, valid between two times from now."""
    issue(own, "db-server", "subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\n", "/CN=db-1", begin, end)
    return ("short.crt", "db-server.key")


def answer_as(answers):
    """Answers the check's statements by words in them; others with one empty row."""

    def answer(peer, statement):
        for words, (columns, rows) in answers.items():
            if words in statement:
                peer.result_set(rows, columns)
                return
        peer.result_set([], ("a", "b"))

    return answer


def utc(seconds=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f").encode()


ACCOUNT = {b"CURRENT_USER(), USER()": (("a", "b"), [(b"reader@%", b"reader@here")])}


def serve(answers):
    def script(peer):
        peer.log_in()
        peer.serve(answer_as(answers))

    return script


def test_skewed_clock(certificates, configured):
    for seconds, word in ((3600, "ahead"), (-60, "behind")):
        with FakeUpstream(certificates, serve({
            **ACCOUNT, b"UTC_TIMESTAMP": (("a",), [(utc(seconds),)]),
        })) as upstream:
            found = check_reader(configured(upstream.port))
        assert abs(found["server"]["clock_skew_us"] / 1e6 - seconds) < 2
        assert "clock_skew" in warnings(found)
        assert any(word in warning["message"] for warning in found["warnings"])


def test_asks_and_leaves(certificates, configured):
    with FakeUpstream(certificates, serve(ACCOUNT)) as upstream:
        found = check_reader(configured(upstream.port))
        process.wait_until(lambda: bytes([wire.QUIT]) in upstream.commands, "COM_QUIT")
        assert upstream.connections == 1
    # What the server does not tell is left out, not made up.
    assert found["server"].keys() == {"vendor", "version"}
    assert "require" not in found["accounts"][0]


def test_old_server_tells_the_clause_in_its_grants(certificates, configured):
    def answer(peer, statement):
        if b"SHOW CREATE USER" in statement:
            peer.send(wire.err_packet(1064, "You have an error in your SQL syntax", "42000"))
        elif b"SHOW GRANTS" in statement:
            peer.result_set([(b"GRANT USAGE ON *.* TO 'reader'@'%' IDENTIFIED BY PASSWORD '*0' REQUIRE X509",)])
        else:
            answer_as(ACCOUNT)(peer, statement)

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        found = check_reader(configured(upstream.port))
    assert found["accounts"][0]["require"] == "X509"


@pytest.mark.parametrize("days, kind", [(3, "warning"), (-1, "failure")])
def test_server_certificate_near_or_past_its_end(own, configured, days, kind):
    certificate = issue_server(own, datetime.timedelta(days=-30), datetime.timedelta(days=days, hours=1))
    with FakeUpstream(own, serve(ACCOUNT), certificate) as upstream:
        if kind == "failure":
            message = fails(configured(upstream.port), "server_time")["message"]
            assert "expired" in message and "by our clock 22 hours ago" in message or "23 hours ago" in message, message
        else:
            found = check_reader(configured(upstream.port))
            assert warnings(found) == {"server_certificate_expires"}
            assert found["tls"]["server_certificate"]["days_left"] == days


def test_server_certificate_of_tomorrow(own, configured):
    certificate = issue_server(own, datetime.timedelta(days=1), datetime.timedelta(days=30))
    with FakeUpstream(own, serve(ACCOUNT), certificate) as upstream:
        message = fails(configured(upstream.port), "server_time")["message"]
    assert "by our clock in 23 hours" in message and "our clock is behind" in message


def test_accepts_and_says_nothing(certificates, configured):
    with FakeUpstream(certificates, lambda peer: threading.Event().wait(8)) as upstream:
        began = time.monotonic()
        fails(configured(upstream.port, timeout="1s"), "silent")
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("stage", ["greeting", "TLS", "login", "statement"])
def test_stops_answering(certificates, configured, stage):
    def script(peer):
        peer.greet()
        if stage != "greeting":
            peer.start_tls()
        if stage in ("login", "statement"):
            peer.read_login()
        if stage == "statement":
            peer.send(wire.ok_packet())
        threading.Event().wait(8)

    with FakeUpstream(certificates, script) as upstream:
        began = time.monotonic()
        fails(configured(upstream.port, timeout="1s"), "timeout")
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\0",
    b"\xff\xff\xff\x00" + bytes(1000), b"",
], ids=["HTTP", "SSH", "empty packet", "16 MiB", "nothing"])
def test_not_mysql(certificates, configured, greeting):
    with FakeUpstream(certificates, lambda peer: peer.send_raw(greeting)) as upstream:
        fails(configured(upstream.port), "not_mysql")


def test_too_old(certificates, configured):
    with FakeUpstream(certificates, lambda peer: peer.send(b"\x09" + b"3.20.1\0", sequence=0)) as upstream:
        fails(configured(upstream.port), "old_server")


def test_greets_without_tls(certificates, configured):
    done = threading.Event()
    users = []

    def script(peer):
        peer.greet(flags=wire.SERVER_FLAGS & ~wire.SSL)
        peer.read_login()
        users.append(peer.user)
        peer.send(wire.err_packet(1045, "Access denied", "28000"))
        done.set()

    with FakeUpstream(certificates, script) as upstream:
        fails(configured(upstream.port), "no_tls")
        assert done.wait(5) and users == ["sallyport_retired"]


@pytest.mark.parametrize("code, kind", [
    (1129, "host_blocked"), (1130, "host_not_allowed"), (1040, "too_many_connections"), (3032, "server_error"),
])
@pytest.mark.parametrize("marked", [True, False], ids=["with SQLSTATE", "without"])
def test_refuses_instead_of_greeting(certificates, configured, code, kind, marked):
    packet = wire.err_packet(code, "says no") if marked else b"\xff" + struct.pack("<H", code) + b"says no"
    with FakeUpstream(certificates, lambda peer: peer.send(packet, sequence=0)) as upstream:
        found = fails(configured(upstream.port), kind)
    assert found["code"] == code and found["message"] == "says no"


@pytest.mark.parametrize("code, kind", [
    (1045, "access"), (1698, "access"), (1049, "schema_unknown"), (3118, "account_locked"), (4151, "account_locked"),
    (1862, "password_expired"), (1226, "too_many_connections"), (1251, "plugin"), (9999, "server_error"),
])
def test_refuses_the_login(certificates, configured, code, kind):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(wire.err_packet(code, "says no"))

    with FakeUpstream(certificates, script) as upstream:
        assert fails(configured(upstream.port), kind)["code"] == code


def test_plugin_that_is_not_supported(certificates, configured):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(b"\xfeauthentication_kerberos_client\0" + b"x" * 20 + b"\0")
        peer.read()

    with FakeUpstream(certificates, script) as upstream:
        assert "authentication_kerberos_client" in fails(configured(upstream.port), "plugin")["message"]


def hostile(answer):
    """A server that gives that raw answer to the first statement."""

    def script(peer):
        peer.log_in()
        peer.next_command()
        answer(peer)
        peer.at_end()

    return script


def endless_rows(peer):
    peer.send(b"\x01")
    peer.send(wire.column_definition("a"))
    while True:
        peer.send(wire.lenenc_string(b"x" * 1000))


def lying_row(peer):
    peer.send(b"\x02")
    peer.send(wire.column_definition("a"))
    peer.send(wire.column_definition("b"))
    peer.send(b"\x05abc")


@pytest.mark.parametrize("answer", [
    endless_rows,
    lying_row,
    lambda peer: peer.send(b"\xfb/etc/passwd"),
    lambda peer: peer.send_raw(b"\xff\xff\xff\x01" + bytes(5000)),
    lambda peer: peer.send(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
    lambda peer: peer.send(b"\xfc\xff\xff"),
    lambda peer: peer.send(b""),
    lambda peer: peer.send(b"\x01", sequence=7),
    lambda peer: peer.result_set([(b"a",)], more=True),
    lambda peer: peer.send_raw(b"GET / HTTP/1.1\r\n\r\n"),
], ids=["endless", "lying row", "asks for a file", "16 MiB", "2^64 columns", "65535 columns", "empty", "sequence",
        "more results", "HTTP"])
def test_hostile_answers(certificates, configured, answer):
    with FakeUpstream(certificates, hostile(answer)) as upstream:
        began = time.monotonic()
        found = fails(configured(upstream.port), "protocol")
        assert time.monotonic() - began < 4
    assert found["message"]


def test_dies_in_mid_answer(certificates, configured):
    def answer(peer):
        peer.send(b"\x01")
        peer.sock.unwrap()
        raise wire.Closed("as planned")

    with FakeUpstream(certificates, hostile(answer)) as upstream:
        fails(configured(upstream.port), "lost")


def test_hostile_texts_stay_text(certificates, configured):
    """A server's words neither break the JSON nor move the cursor of who reads the table."""
    evil = b"\x1b[2J\x07 evil \xff\xfe \xe2\x80\xae"

    def script(peer):
        peer.greet(version="9.9\x1b[31m")
        peer.start_tls()
        peer.read_login()
        peer.send(b"\xff\x15\x04#28000" + evil)

    with FakeUpstream(certificates, script) as upstream:
        file = configured(upstream.port)
        assert "evil" in fails(file, "access")["message"]
        table = command("db", "check", "-c", file, *LONE_USER, "-o", "table", check=1).stdout
    assert "evil" in table and not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", table)


def test_long_names_are_cut_between_characters(certificates, configured):
    """check() would not decode a line that holds half a character."""
    for shift in range(4):
        name = b"x" * shift + "\U0001f6aa".encode() * 2000
        with FakeUpstream(certificates, serve({
            b"CURRENT_USER(), USER()": (("a", "b"), [(name, name)]),
            b"SHOW CREATE USER": (("a",), [(b"CREATE USER a",)]),
        })) as upstream:
            found = check_reader(configured(upstream.port))
        assert "no_require_subject" in warnings(found)
        assert found["accounts"][0]["current_user"].startswith("x" * shift + "\U0001f6aa")
