# SPDX-License-Identifier: Apache-2.0
"""COM_CHANGE_USER is a login in mid-session: what counts is the policy when it happens, not when it was asked for."""

import copy
import struct
import threading

import pytest

from harness import process, wire
from harness.commands import change_user, change_user_body, execute_long, open_session, prepare, wait_gone
from harness.wire import FakeUpstream


def one_worker(configuration):
    configuration["proxy"]["workers"] = 1


def take_writer_away(proxy):
    """A reload after which no role has the user writer, and the worker knows."""
    changed = copy.deepcopy(proxy.configuration)
    changed["roles"][1]["allow"]["mysql_users"] = ["reader"]
    proxy.reload(changed)
    wire.dial(proxy.port, proxy.certificates, alpn=wire.ALPN_MYSQL).close()


def test_policy_changes_before_the_client_answers(mariadb, start_proxy):
    """A bot that leaves the question for its password open over a reload gains nothing: the user that was taken from
    its role meanwhile is refused, and the database never sees the change."""
    proxy = start_proxy(mariadb.port, one_worker)
    with open_session(proxy, "reader") as connection:
        connection.command(wire.CHANGE_USER, change_user_body("writer"))
        assert connection.expect()[:1] == b"\xfe", "no question to leave open"
        take_writer_away(proxy)
        connection.send(b"")
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1045 and raised.value.message.startswith("sallyport: ")
        assert connection.at_end() == b""
    wait_gone(mariadb, "writer")
    assert proxy.audit.wait_for(None, command="change_user")["outcome"] == "denied"


def test_policy_changes_before_the_database_answers(certificates, start_proxy):
    """The same while the database takes its time: its OK comes too late to be believed."""
    answer_now = threading.Event()

    def answer(peer, command):
        if command[:1] == bytes([wire.CHANGE_USER]):
            answer_now.wait(10)
        peer.send(wire.ok_packet())

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, one_worker)
        with open_session(proxy, "reader") as connection:
            connection.command(wire.CHANGE_USER, change_user_body("writer"))
            if connection.expect()[:1] == b"\xfe":
                connection.send(b"")
            process.wait_until(lambda: upstream.commands, "the change upstream")
            take_writer_away(proxy)
            answer_now.set()
            with pytest.raises(wire.ServerError) as raised:
                connection.expect()
            assert raised.value.code == 1045
        end = proxy.audit.wait_for(lambda r: r["event"] == "session.end" and r["bot"] == "report-1")
        assert end["reason"] == "policy_changed"
        assert not [c for c in upstream.commands if c[:1] == bytes([wire.QUERY])]


def test_prepared_statements_end_with_the_user(mariadb, start_proxy):
    """Statements of the user before are gone, in the proxy's table too."""
    with open_session(start_proxy(mariadb.port, one_worker)) as connection:
        statement = prepare(connection, b"SELECT ?")
        change_user(connection, "reader")
        execute_long(connection, statement, 1)
        with pytest.raises(wire.ServerError, match="1243"):
            connection.expect()
        assert wire.query(connection, "SELECT CURRENT_USER()") == [b"\x08reader@%"]


def test_text_after_a_reset_is_in_the_servers_own_character_set(stack):
    """COM_RESET_CONNECTION takes SET NAMES back."""
    with wire.dial(stack.proxy.plain_port, stack.certificates, bot="report-1") as connection:
        wire.log_in(connection, "writer")
        wire.query(connection, "SET NAMES latin1")
        wire.query(connection, "SELECT 'caf\u00e9 in latin1'".encode("latin1"))
        connection.command(wire.RESET_CONNECTION)
        assert connection.expect()[:1] == b"\0"
        wire.query(connection, "SELECT 'caf\u00e9 after the reset'")
        wire.query(connection, "SELECT 'caf\u00e9 not UTF-8'".encode("latin1"))
    stack.audit.wait_for(lambda r: r.get("statement") == "SELECT 'caf\u00e9 in latin1'")
    stack.audit.wait_for(lambda r: r.get("statement") == "SELECT 'caf\u00e9 after the reset'")
    stack.audit.wait_for(lambda r: "statement_base64" in r)


ATTRIBUTES = wire.lenenc_string(b"_client_name") + wire.lenenc_string(b"own")


@pytest.mark.parametrize("flags, behind", [
    (wire.CONNECT_ATTRS, wire.lenenc_string(ATTRIBUTES)),
    (wire.PLUGIN_AUTH, b"mysql_native_password\0"),
    (wire.CONNECT_ATTRS | wire.PLUGIN_AUTH, b"mysql_native_password\0" + wire.lenenc_string(ATTRIBUTES)),
    (0, b""),
], ids=["attributes", "plugin", "plugin and attributes", "neither"])
def test_read_by_what_the_client_has_set(stack, flags, behind):
    """Not by what it could have set: attributes without a plugin's name before them are no plugin's name."""
    login = wire.CLIENT_FLAGS & ~(wire.PLUGIN_AUTH | wire.CONNECT_ATTRS) | flags
    with open_session(stack.proxy, "writer", flags=login) as connection:
        connection.command(wire.CHANGE_USER, b"reader\0\0shop\0" + struct.pack("<H", 45) + behind)
        answer = connection.expect()
        if flags & wire.PLUGIN_AUTH:
            assert answer[:1] == b"\xfe"
            connection.send(b"")
            answer = connection.expect()
        assert answer[:1] == b"\0"
        assert wire.query(connection, "SELECT CURRENT_USER()") == [b"\x08reader@%"]


def test_record_says_who_was_asked_for(stack):
    """Whether the role allows it or not, and whether the database does; `mysql_user` is who asked."""
    for user, schema, outcome in (("reader", "shop", "ok"), ("reader", None, "ok"), ("root", "mysql", "denied")):
        before = stack.audit.count()
        with wire.dial(stack.proxy.plain_port, stack.certificates, bot="report-1") as connection:
            wire.log_in(connection, "writer")
            body = user.encode() + b"\0\0" + (schema or "").encode() + b"\0" + b"\x2d\0mysql_native_password\0"
            connection.command(wire.CHANGE_USER, body)
            while (packet := connection.read())[:1] not in (b"\0", b"\xff"):
                connection.send(b"")
            assert (packet[:1] == b"\0") == (outcome == "ok")
        record = stack.audit.wait_for(lambda r: r.get("command") == "change_user", after=before)
        assert record["outcome"] == outcome and record["params"] == [user, schema]
        assert record["mysql_user"] == "writer"


def test_refused_change_of_user(stack):
    """MariaDB goes on as the user it had, without what belonged to the session; MySQL closes. As directly."""
    with wire.dial(stack.proxy.plain_port, stack.certificates, bot="report-1") as connection:
        wire.log_in(connection, "writer")
        wire.query(connection, "SET @kept = 1")
        statement = prepare(connection, b"SELECT 1")
        body = b"writer\0\0no_such_schema\0\x2d\0mysql_native_password\0"
        connection.command(wire.CHANGE_USER, body)
        with pytest.raises(wire.ServerError, match="1049|1044"):
            while connection.expect():
                connection.send(b"")
        if stack.server.mysql9:
            assert connection.at_end() == b""
            return
        assert wire.query(connection, "SELECT CURRENT_USER(), DATABASE(), @kept") == [b"\x08writer@%\x04shop\xfb"]
        connection.command(wire.EXECUTE, statement + b"\0\1\0\0\0")
        with pytest.raises(wire.ServerError, match="1243"):
            connection.expect()
        wire.query(connection, "SELECT 'as the old one'")
    record = stack.audit.wait_for(lambda r: r.get("statement") == "SELECT 'as the old one'")
    assert record["mysql_user"] == "writer" and record["schema"] == "shop"
