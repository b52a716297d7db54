# SPDX-License-Identifier: Apache-2.0
"""I2: what no role allows is denied, with an error that says so, a record, and nothing sent to the database."""

import struct

import pymysql
import pytest

from harness import process, wire


def login_error(stack, **arguments):
    with pytest.raises(pymysql.err.OperationalError) as raised:
        stack.connect(**arguments)
    code, message = raised.value.args
    assert message.startswith("sallyport: "), message
    assert "ci-1" in message
    return code, message


def test_user_that_no_role_allows(stack):
    before = stack.audit.count()
    code, _ = login_error(stack, user="writer")
    assert code == 1045
    record = stack.audit.wait_for(None, after=before, event="session.denied")
    assert record["bot"] == "ci-1" and record["mysql_user"] == "writer" and record["outcome"] == "denied"
    assert record["error"]["code"] == 1045 and record["reason"]


def test_user_compares_exactly(stack):
    assert login_error(stack, user="READER")[0] == 1045
    assert login_error(stack, user="reader ")[0] == 1045
    assert login_error(stack, user="")[0] == 1045


def test_schema_that_no_role_allows_at_login(stack):
    code, message = login_error(stack, database="secret")
    assert code == 1044 and "secret" in message


def test_deny_beats_allow(stack, start_proxy):
    def change(configuration):
        configuration["roles"][0]["allow"]["schemas"] = ["*"]

    proxy = start_proxy(stack.server.port, change)
    with wire.dial(proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        assert wire.query(connection, "USE secret")[:1] == b"\0"
        for text in ("USE mysql", "USE MySQL", "use `mysql`", "USE/**/mysql", "/*!40000 USE mysql */"):
            with pytest.raises(wire.ServerError) as raised:
                wire.query(connection, text)
            assert raised.value.code == 1044, text
        assert wire.query(connection, "SELECT DATABASE()") == [b"\x06secret"]


def test_database_that_no_role_allows(stack, start_tunnel):
    port = process.free_port()
    start_tunnel([{**stack.entry(port, "ci-1"), "database": "warehouse"}])
    code, message = login_error(stack, port=port)
    assert code == 1045 and "warehouse" in message


def test_schema_by_init_db(stack):
    with stack.server.general_log() as log, stack.connect() as connection:
        with pytest.raises(pymysql.err.OperationalError) as raised:
            connection.select_db("secret")
        assert raised.value.args[0] == 1044 and raised.value.args[1].startswith("sallyport: ")
        connection.select_db("shop")
        with connection.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            assert cursor.fetchone() == ("shop",)
        assert not [text for _, command, text in log() if b"secret" in text]


@pytest.mark.parametrize("text", [
    "USE secret", "use `secret`", "  \t\nUSE\nsecret;", "-- comment\nUSE secret", "/* c */ USE secret",
    "# c\nUSE secret",
    "SELECT 1; USE secret", "USE shop; USE secret; SELECT 1", "/*! USE secret */", "/*!32302 USE secret*/",
])
def test_schema_by_use_statement(stack, text):
    """Judged wherever it hides: behind comments, in executable comments, as the second statement of a packet."""
    before = stack.audit.count()
    with stack.server.general_log() as log, stack.connect(client_flag=wire.MULTI_STATEMENTS) as connection:
        with connection.cursor() as cursor:
            with pytest.raises(pymysql.err.OperationalError) as raised:
                cursor.execute(text)
                while cursor.nextset():
                    pass
            assert raised.value.args[0] == 1044, raised.value
            cursor.execute("SELECT DATABASE()")
            assert cursor.fetchone() == ("shop",)
        assert not [logged for _, command, logged in log() if b"secret" in logged]
    record = stack.audit.wait_for(lambda r: "secret" in r.get("statement", ""), after=before)
    assert record["outcome"] == "denied" and record["error"]["code"] == 1044
    assert "schema" in record["reason"]


def test_schema_by_change_user(stack):
    """COM_CHANGE_USER is judged as a login is."""
    for user, schema, code in (("writer", "shop", 1045), ("reader", "secret", 1044)):
        with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
            wire.log_in(connection)
            body = user.encode() + b"\0" + b"\0" + schema.encode() + b"\0" + struct.pack("<H", 45)
            connection.command(wire.CHANGE_USER, body + b"mysql_native_password\0")
            with pytest.raises(wire.ServerError) as raised:
                connection.expect()
            assert raised.value.code == code, raised.value


def test_change_user_that_is_allowed(stack):
    with wire.dial(stack.proxy.plain_port, stack.certificates, "report-1") as connection:
        wire.log_in(connection, user="writer")
        body = b"reader\0" + b"\0" + b"shop\0" + struct.pack("<H", 45) + b"mysql_native_password\0"
        connection.command(wire.CHANGE_USER, body)
        answer = connection.expect()
        if answer[:1] == b"\xfe":
            connection.send(b"")
            answer = connection.expect()
        assert answer[:1] == b"\0"
        assert wire.query(connection, "SELECT CURRENT_USER()") == [b"\x08reader@%"]
        connection.command(wire.QUERY, b"SELECT 'after the change of user'")
        wire.read_result(connection)
    record = stack.audit.wait_for(lambda r: "after the change of user" in r.get("statement", ""))
    assert record["mysql_user"] == "reader"


@pytest.mark.parametrize("code,body", [
    (wire.BINLOG_DUMP, struct.pack("<IHI", 4, 0, 99)), (0x1E, bytes(24)), (0x15, bytes(18)),
    (0x13, b"\x04shop\x05items"),
], ids=["BINLOG_DUMP", "BINLOG_DUMP_GTID", "REGISTER_SLAVE", "TABLE_DUMP"])
def test_replication_is_denied(stack, code, body):
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.command(code, body)
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1227 and raised.value.message.startswith("sallyport: ")


def test_sessions_limit(stack, start_proxy):
    def change(configuration):
        configuration["roles"][0]["limits"] = {"sessions": 2}

    proxy = start_proxy(stack.server.port, change)
    open_sessions = []
    try:
        for _ in range(2):
            connection = wire.dial(proxy.plain_port, stack.certificates)
            open_sessions.append(connection)
            wire.log_in(connection)
        with wire.dial(proxy.plain_port, stack.certificates) as third:
            with pytest.raises(wire.ServerError) as raised:
                wire.log_in(third)
        assert raised.value.code == 1040 and raised.value.sqlstate == "08004"
        # Another bot has a count of its own.
        with wire.dial(proxy.plain_port, stack.certificates, "report-1") as other:
            wire.log_in(other, user="writer")
        open_sessions.pop().close()
        proxy.audit.wait_for(lambda r: r["event"] == "session.end" and r["bot"] == "ci-1")
        with wire.dial(proxy.plain_port, stack.certificates) as again:
            wire.log_in(again)
    finally:
        for connection in open_sessions:
            connection.close()


def test_idle_timeout_and_lifetime(stack, start_proxy):
    def change(configuration):
        configuration["roles"][0]["limits"] = {"idle_timeout": "1s"}
        configuration["roles"][1]["limits"] = {"session_lifetime": "2s"}

    proxy = start_proxy(stack.server.port, change)
    with wire.dial(proxy.plain_port, stack.certificates) as idle:
        wire.log_in(idle)
        end = idle.at_end()
        assert end == b"" or b"sallyport" in end
    assert proxy.audit.wait_for(None, event="session.end", bot="ci-1")["reason"].startswith("idle_timeout")
    with wire.dial(proxy.plain_port, stack.certificates, "report-1") as busy:
        wire.log_in(busy, user="writer")
        with pytest.raises((wire.ServerError, wire.Closed)):
            for _ in range(100):
                wire.query(busy, "SELECT SLEEP(0.1)")
    assert proxy.audit.wait_for(None, event="session.end", bot="report-1")["reason"].startswith("session_lifetime")


def test_label_rules(stack, start_proxy):
    def change(configuration):
        configuration["roles"][0]["allow"]["labels"] = {"env": ["prod"]}
        configuration["roles"][1]["allow"]["labels"] = {"env": ["test", "dev"]}

    proxy = start_proxy(stack.server.port, change)
    with wire.dial(proxy.plain_port, stack.certificates) as connection:
        with pytest.raises(wire.ServerError, match="1045"):
            wire.log_in(connection)
    with wire.dial(proxy.plain_port, stack.certificates, "report-1") as connection:
        wire.log_in(connection, user="writer")


def test_denied_command_leaves_the_session_usable(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        for _ in range(5):
            with pytest.raises(pymysql.err.OperationalError, match="1044"):
                cursor.execute("USE secret")
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
