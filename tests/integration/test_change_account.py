# SPDX-License-Identifier: Apache-2.0
"""COM_CHANGE_USER to another account of a database whose certificates are minted takes another connection: what a
database can do wrong meanwhile. (That it works is shown with the real ones, in test_minted.py.)"""

import socket
import struct
import threading
import time

import pymysql
import pytest

from harness import process, wire
from harness.commands import change_user_body
from harness.realm import Realm, RealmCertificates, documents

RESET, CHANGE, QUIT, QUERY = (bytes([code]) for code in (wire.RESET_CONNECTION, wire.CHANGE_USER, wire.QUIT, wire.QUERY))
MARIADB = "11.8.0-MariaDB"


class FakeRealm(Realm):
    """An authority, a proxy, and a database that has the certificate signed for it."""

    def __init__(self):
        super().__init__(None, change=self.hurry)

    @staticmethod
    def hurry(configuration):
        configuration["proxy"]["limits"] = {"upstream_timeout": "2s", "login_timeout": "3s"}

    def sign_database(self):
        files = self.directory / "database"
        self.authority.admin("ca", "sign-database", "--host", "localhost", "--out", files, output=None)
        self.server = Database(RealmCertificates(files))


class Database(wire.FakeUpstream):
    """Each connection is served by the script of the moment."""

    def __init__(self, certificates):
        super().__init__(certificates, good)
        self.users = []  # who has logged in: the name, and that in the certificate

    def play(self, script):
        self.script, self.users, self.commands = script, [], []

    stop = wire.FakeUpstream.close


def log_in(peer, **greeting):
    """Up to the OK."""
    peer.greet(**greeting)
    peer.start_tls()
    peer.read_login()
    peer.upstream.users.append((peer.user, dict(pair for (pair,) in peer.subject)["commonName"]))
    peer.send(wire.ok_packet())


def good(peer, **greeting):
    log_in(peer, **greeting)
    peer.serve()


def then(second, first=good, **greeting):
    """A script: up to the first login `first`, for later connections `second`."""

    def script(peer):
        if peer.upstream.users:
            second(peer)
        else:
            first(peer, **greeting)

    return script


def answering(reset):
    """A first connection that answers COM_RESET_CONNECTION with these payloads."""

    def script(peer, **greeting):
        log_in(peer, **greeting)

        def answer(peer, command):
            if command[:1] == RESET:
                peer.send_raw(b"".join(wire.packet(each, 1 + at) for at, each in enumerate(reset)))
            else:
                peer.send(wire.ok_packet())

        peer.serve(answer)

    return script


@pytest.fixture(scope="module")
def realm():
    running = FakeRealm().start()
    running.bot = running.tunnel("ci-1", "shop-writer")
    yield running
    running.stop()


@pytest.fixture
def session(realm):
    """A function that makes the script the database, and gives a session of the user reader."""
    opened = []

    def open_with(script):
        realm.server.play(script)
        port = int(realm.bot.listens[0].rsplit(":", 1)[1])
        connection = wire.Connection(socket.create_connection(("127.0.0.1", port)))
        opened.append(connection)
        wire.log_in(connection, "reader", "shop")
        return realm.server, connection

    yield open_with
    for connection in opened:
        connection.close()


def change(connection, user="writer"):
    connection.command(wire.CHANGE_USER, change_user_body(user))
    while (answer := connection.expect())[:1] == b"\xfe":
        connection.send(b"")
    assert answer[:1] == b"\0", answer


def refused(connection, code, text=""):
    with pytest.raises(wire.ServerError) as refusal:
        change(connection)
    assert refusal.value.code == code and text in refusal.value.message, refusal.value.message
    assert connection.at_end() == b""


def test_each_connection_shows_its_users_certificate(session):
    server, connection = session(good)
    for user in ("writer", "reader"):
        change(connection, user)
    assert wire.query(connection, "SELECT 1")[:1] == b"\0"
    assert server.users == [(user, user) for user in ("reader", "writer", "reader")]
    process.wait_until(lambda: len(server.commands) == 7, "the commands")
    kinds = [command[:1] for command in server.commands]
    # Two connections may hear the QUIT of the one and the CHANGE_USER of the next in either order.
    assert sorted(kinds) == sorted([RESET, QUIT, CHANGE] * 2 + [QUERY]) and kinds[0] == RESET and kinds[-1] == QUERY


def test_reset_that_is_refused(session):
    """Nothing is dialled, and the server's own words reach the client."""
    server, connection = session(then(good, answering([wire.err_packet(1053, "Server shutdown in progress", "08S01")])))
    refused(connection, 1053, "shutdown in progress")
    assert len(server.users) == 1


@pytest.mark.parametrize("answer", [
    [b"\xfe" + b"mysql_native_password\0" + b"x" * 20 + b"\0"], [b"\x01\x04"], [b"\xfb/etc/passwd"], [b""],
], ids=["auth switch", "more data", "local infile", "empty"])
def test_reset_that_is_answered_with_nonsense(session, answer):
    """No password, no file, no second connection."""
    server, connection = session(then(good, answering(answer)))
    refused(connection, 1159)
    assert len(server.users) == 1
    assert [command[:1] for command in server.commands if command[:1] != QUIT] == [RESET]


def test_more_behind_the_resets_answer(session):
    """It is nobody's answer: neither the change's, nor the next command's."""
    _, connection = session(then(good, answering([wire.ok_packet(), wire.ok_packet(affected=7)])))
    refused(connection, 1159)


@pytest.mark.parametrize("rest", [b"\1", b"\1\0\0\1"], ids=["a byte", "a header"])
def test_part_of_a_packet_behind_the_resets_answer(session, rest):
    """It must not become the beginning of what the next server says."""

    def more(peer):
        log_in(peer)
        peer.next_command()
        peer.send_raw(wire.packet(wire.ok_packet(), 1) + rest)
        peer.serve()

    _, connection = session(then(good, more))
    refused(connection, 1159, "more behind its answer to a reset")


def test_next_server_can_less(session):
    """The client was told what its server can; behind a balancer stands one of another age."""
    less = wire.SERVER_FLAGS & ~wire.PS_MULTI_RESULTS
    server, connection = session(then(lambda peer: good(peer, flags=less)))
    refused(connection, 1159, "another server than before")
    assert len(server.users) == 1


def test_next_server_is_of_another_vendor(session):
    server, connection = session(then(lambda peer: good(peer, version=MARIADB)))
    refused(connection, 1159, "another server than before")
    assert len(server.users) == 1


def test_next_server_refuses_the_connection(session):
    """In its greeting's place, where servers leave the SQLSTATE out; a client that has logged in expects one."""

    def full(peer):
        peer.send(b"\xff" + struct.pack("<H", 1040) + b"Too many connections", sequence=0)

    _, connection = session(then(full))
    connection.command(wire.CHANGE_USER, change_user_body("writer"))
    while (answer := connection.read())[:1] == b"\xfe":
        connection.send(b"")
    assert answer == b"\xff" + struct.pack("<H", 1040) + b"#HY000Too many connections"
    assert connection.at_end() == b""


def test_next_server_refuses_the_login(session):
    def locked(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(wire.err_packet(3118, "Access denied: the account is locked", "HY000"))

    _, connection = session(then(locked))
    refused(connection, 3118, "the account is locked")


def test_next_server_says_more_than_its_greeting(session):
    """Before TLS: whoever stands between could have put it there."""

    def eager(peer):
        peer.send_raw(wire.packet(wire.greeting_packet()) + wire.packet(wire.ok_packet(), 2))

    server, connection = session(then(eager))
    refused(connection, 1159)
    assert len(server.users) == 1


def test_next_server_says_more_than_its_login_ok(session):
    """It would be taken for the answer to the change, which was not sent yet."""

    def eager(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send_raw(wire.packet(wire.ok_packet(), 3) + wire.packet(wire.ok_packet(), 1))
        peer.serve()

    _, connection = session(then(eager))
    refused(connection, 1159)


@pytest.mark.parametrize("when", ["dial", "greeting", "login", "change"])
def test_next_server_goes_away(session, when):
    def gone(peer):
        if when != "dial":
            peer.greet()
        if when in ("login", "change"):
            peer.start_tls()
            peer.read_login()
        if when == "change":
            peer.send(wire.ok_packet())
            peer.next_command()
        raise wire.Closed("gone")

    _, connection = session(then(gone))
    refused(connection, 1159)


def test_next_server_is_silent(session):
    over = threading.Event()
    _, connection = session(then(lambda peer: over.wait(20)))
    began = time.monotonic()
    refused(connection, 1159, "in time")
    assert 1 < time.monotonic() - began < 4
    over.set()


def test_refused_change_is_not_survived(session):
    """MariaDB goes on as the user that it had. On the new connection that would be the one that was just refused."""

    def refuse(peer):
        log_in(peer, version=MARIADB)
        peer.next_command()
        peer.send(wire.err_packet(1049, "Unknown database", "42000"))
        peer.serve()

    server, connection = session(then(refuse, version=MARIADB))
    refused(connection, 1049)
    assert QUERY not in [command[:1] for command in server.commands]


def test_user_who_is_taken_from_the_role_meanwhile(realm, session):
    """He is not logged in any more: what decides is the policy when the database could be told."""
    go, waits = threading.Event(), threading.Event()

    def late(peer):
        if not waits.is_set():
            waits.set()
            go.wait(10)
        good(peer)

    server, connection = session(then(late))
    connection.command(wire.CHANGE_USER, change_user_body("writer"))
    if connection.expect()[:1] == b"\xfe":
        connection.send(b"")
    assert waits.wait(5)
    reduced = documents(server.port)
    reduced["roles"][1]["allow"]["mysql_users"] = ["reader"]
    realm.apply(reduced)
    try:
        realm.refused(realm.bot, "no role allows MySQL user writer", 1.5, user="writer")
        go.set()
        with pytest.raises(wire.ServerError, match="no role allows MySQL user writer"):
            connection.expect()
        assert server.users == [("reader", "reader")]
    finally:
        go.set()
        realm.apply(documents(server.port))
        process.wait_until(lambda: may_log_in(realm, "writer"), "the writer to be allowed again")


def may_log_in(realm, user):
    try:
        realm.connect(realm.bot, user=user).close()
    except pymysql.MySQLError:
        return False
    return True


def test_lock_meanwhile(realm, session):
    """A lock finds the session wherever its change stands."""
    over = threading.Event()
    _, connection = session(then(lambda peer: over.wait(20)))
    connection.command(wire.CHANGE_USER, change_user_body("writer"))
    if connection.expect()[:1] == b"\xfe":
        connection.send(b"")
    lock = realm.authority.admin("lock", "add", "--bot", "ci-1", "--reason", "just now")[0]["id"]
    began = time.monotonic()
    with pytest.raises(wire.ServerError, match="just now"):
        connection.expect()
    assert time.monotonic() - began < 1
    realm.authority.admin("lock", "rm", lock)
    over.set()
