# SPDX-License-Identifier: Apache-2.0
"""What the audit log says that bots did is what the server's own general log says: harness/completeness.py compares the
two one for one, under whatever ran (test_clients.py does it under every client). The end of this file shows what it
finds."""

import base64
import collections
import hashlib
import json
import re
import struct

import pytest

from harness import completeness, process, wire
from harness.clients import ClientStack
from harness.commands import change_user, change_user_body, execute_long, open_session, prepare, read_results
from harness.completeness import Difference, Entry

STATEMENTS = [
    "SELECT 1",
    "SELECT 1",
    "select  'white   space'\n\t, 2",
    "SELECT 'unicode \u00e4 \u20ac \U0001f6aa'",
    "SELECT /* a comment */ 1 -- and another",
    "SELECT 'a ''quoted'' \\'string\\''",
    "SELECT nothing_of_that_name",
    "SELEKT",
    "INSERT INTO scratch VALUES (1, 'one', NULL)",
    "UPDATE scratch SET name = 'two' WHERE id = 1",
    "DELETE FROM scratch",
    "CALL add_one(1, @result)",
    "SET @a = 1, NAMES utf8mb4",
    "BEGIN", "ROLLBACK",
    "SHOW TABLES",
    "SELECT n FROM numbers WHERE n < 500",
    "SELECT '" + "x" * 200000 + "'",
    "SELECT '" + "y" * 2000000 + "'",
]

# As they are on the wire: what is around a statement, in it, and what looks like the log's own lines.
RAW = [
    b"", b";", b"  SELECT 1 ; ", b"SELECT 1;;", b"\tSELECT\n2\n", b"\0SELECT 1", b"SELECT 1\0", b"-- only a comment",
    b"/* c */ SELECT 3 -- end\n", b"SELECT 1; SELECT 2 ; DO 3", b"SELECT 1; SELEKT; SELECT 2", b"SELECT 'a\r\nb'",
    b"SELECT 'a\n\t\t    13 Query\tx'", b"SELECT 'b\n2026-11-22T17:24:19.078517Z\t   31 Quit\t'",
    b"SELECT HEX(_binary'\xff\xfe\x80')", b"SET NAMES latin1", b"SELECT '\xe4\x80\x81'", b"SET NAMES gbk",
    b"SELECT '\xb0\xa1'", b"SET NAMES utf8mb4", "SELECT '\u00e9'".encode(),
]


def wait_for_end(stack, before):
    """Waits for the session that was just closed and returns its records."""
    end = stack.audit.wait_for(None, after=before, event="session.end")
    return [record for record in stack.audit.records() if record.get("session") == end["session"]], end


def ask(connection, command, body=b""):
    """One command and the first packet of its answer, which may be an ERR of the server's."""
    connection.command(command, body)
    try:
        return connection.expect()
    except wire.ServerError as error:
        assert "sallyport" not in error.message
        return None


def run_raw(connection, text):
    connection.command(wire.QUERY, text)
    try:
        return read_results(connection)
    except wire.ServerError as error:
        assert "sallyport" not in error.message
        return None


def leave(connection):
    connection.command(wire.QUIT)
    connection.at_end()


@pytest.fixture(scope="module")
def open_stack(server, certificates):
    """Its roles allow all that clients do."""
    running = ClientStack(server, certificates).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


@pytest.fixture
def mariadb_stack(open_stack):
    if open_stack.server.mysql9:
        pytest.skip("MySQL has no bulk execution")
    return open_stack


def test_statements(stack):
    with completeness.checked(stack) as summaries:
        with stack.connect(stack.writer, "writer") as connection, connection.cursor() as cursor:
            for statement in STATEMENTS:
                try:
                    cursor.execute(statement)
                except Exception as error:  # noqa: BLE001 - the server's refusals are part of the log
                    assert "sallyport" not in str(error)
    assert summaries[0].sessions == 1 and summaries[0].commands >= len(STATEMENTS)


def test_texts_as_they_are_on_the_wire(open_stack):
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        for text in RAW:
            run_raw(connection, text)
        leave(connection)
    assert summaries[0].commands == len(RAW) + 1


def test_commands(open_stack):
    """Each command that is not a statement."""
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        for command, body in (
            (wire.PING, b""), (wire.STATISTICS, b""), (wire.SET_OPTION, b"\1\0"), (wire.SET_OPTION, b"\0\0"),
            (0x0D, b""), (0x07, b"\1"), (wire.PROCESS_KILL, struct.pack("<I", 1 << 30)), (0x05, b"made"),
            (0x06, b"made"), (wire.INIT_DB, b"shop"), (wire.INIT_DB, b"no_such_schema"), (wire.INIT_DB, b"secret"),
            (wire.FIELD_LIST, b"no_such_table\0"), (wire.RESET_CONNECTION, b""), (wire.PING, b""),
        ):
            ask(connection, command, body)
        connection.command(wire.FIELD_LIST, b"salaries\0%")
        while connection.expect()[:1] != b"\xfe":
            pass
        run_raw(connection, b"SELECT DATABASE()")
        leave(connection)
    assert summaries[0].commands == 18


def test_changes_of_user(open_stack):
    with completeness.checked(open_stack):
        with open_session(open_stack.proxy) as connection:
            change_user(connection, "reader")
            run_raw(connection, b"SELECT CURRENT_USER()")
            connection.command(wire.CHANGE_USER, change_user_body("writer", "secret"))
            if connection.expect()[:1] == b"\xfe":
                connection.send(b"")
                connection.expect()
            run_raw(connection, b"SELECT CURRENT_USER(), DATABASE()")
            leave(connection)
        with open_session(open_stack.proxy) as connection:
            connection.command(wire.CHANGE_USER, change_user_body("writer", "no_such_schema"))
            with pytest.raises(wire.ServerError):
                if connection.expect()[:1] == b"\xfe":
                    connection.send(b"")
                    connection.expect()


def test_prepared_statements(open_stack):
    """Failed ones, executions that fail, cursors, resets, and SQL's own PREPARE."""
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        assert ask(connection, wire.PREPARE, b"SELECT nothing FROM nowhere") is None
        insert = prepare(connection, b"INSERT INTO items (id) VALUES (?) ;")
        execute_long(connection, insert, 1)
        with pytest.raises(wire.ServerError, match="1062"):
            connection.expect()
        select = prepare(connection, b" SELECT n, '?', \"?\", `n` /* ? */ FROM numbers WHERE n < ? -- ?")
        connection.command(wire.EXECUTE, select + b"\1\1\0\0\0" + b"\0\1\3\0" + struct.pack("<i", 50))
        while not (packet := connection.expect())[:1] == b"\xfe" or not packet[3] & 0x40:
            pass
        connection.command(wire.FETCH, select + struct.pack("<I", 5))
        while connection.expect()[:1] != b"\xfe":
            pass
        ask(connection, 0x1A, select)
        assert ask(connection, wire.FETCH, select + struct.pack("<I", 5)) is None
        connection.command(wire.CLOSE, select)
        connection.command(wire.CLOSE, insert)
        for text in (b"PREPARE s FROM 'SELECT ?'", b"SET @a = 1", b"EXECUTE s USING @a", b"DEALLOCATE PREPARE s",
                     b"EXECUTE IMMEDIATE 'SELECT 5'", b"PREPARE s FROM 'SELEKT'"):
            run_raw(connection, text)
        leave(connection)
    assert summaries[0].values == 2 and summaries[0].unlogged["stmt_fetch"] == 2


def test_pipelined(open_stack):
    """Commands that were all sent before the first answer, with those among them that have none."""
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        statements = [prepare(connection, b"SELECT ?, %d" % number) for number in range(3)]
        value = b"\0\1\0\0\0\0\1\3\0"
        connection.send_raw(b"".join((
            wire.packet(b"\x03DO 1"),
            wire.packet(b"\x17" + statements[0] + value + struct.pack("<i", 10)),
            wire.packet(b"\x19" + statements[0]),
            wire.packet(b"\x03DO 2"),
            wire.packet(b"\x18" + statements[1] + b"\0\0long"),
            wire.packet(b"\x18" + statements[1] + b"\0\0 data"),
            wire.packet(b"\x17" + statements[1] + b"\0\1\0\0\0\0\1\xfc\0"),
            wire.packet(b"\x19" + statements[1]),
            wire.packet(b"\x0e"),
            wire.packet(b"\x03SELEKT"),
            wire.packet(b"\x17" + statements[2] + value + struct.pack("<i", -1)),
            wire.packet(b"\x19" + statements[2]),
        )))
        for _ in range(7):
            try:
                wire.read_result(connection)
            except wire.ServerError as error:
                assert error.code == 1064
        leave(connection)
    assert summaries[0].values == 3 and summaries[0].commands == 16


# --- bound values ---

# MariaDB's extended capability flags, in the last four bytes of the login's filler, and bulk operations in them.
# (MariaDB manual, "Connection", Client capabilities)
MARIADB_BULK = struct.pack("<I", 1 << 2)
BULK_SEND_TYPES = 128


def log_in_with_bulk(connection):
    wire.Greeting(connection.expect())
    login = wire.login_response("writer", "shop", wire.CLIENT_FLAGS & ~wire.LONG_PASSWORD)
    connection.send(login[:28] + MARIADB_BULK + login[32:])
    while connection.expect()[:1] != b"\0":
        connection.send(b"")


def date(year, month, day):
    return b"\x04" + struct.pack("<HBB", year, month, day)


EVERY_BYTE = bytes(range(256))
TRICKY = "it's \"quoted\" \\ \0 \n\r\x1a \u20ac \U0001f6aa ?"
# (type, unsigned flag, bytes, what the record says)
VALUES = [
    (1, 0, struct.pack("<b", -128), -128),
    (1, 0x80, b"\xff", 255),
    (2, 0, struct.pack("<h", -32768), -32768),
    (2, 0x80, struct.pack("<H", 65535), 65535),
    (3, 0, struct.pack("<i", -2147483648), -2147483648),
    (3, 0x80, struct.pack("<I", 4294967295), 4294967295),
    (8, 0, struct.pack("<q", -(1 << 63)), -(1 << 63)),
    (8, 0x80, struct.pack("<Q", (1 << 64) - 1), (1 << 64) - 1),
    (4, 0, struct.pack("<f", 1.5), 1.5),
    (4, 0, struct.pack("<f", -0.1), -0.1),
    (5, 0, struct.pack("<d", 1 / 3), 1 / 3),
    (5, 0, struct.pack("<d", -1.7976931348623157e308), -1.7976931348623157e308),
    (5, 0, struct.pack("<d", 5e-324), 5e-324),
    (246, 0, wire.lenenc_string(b"-12345678901234567890.0123456789"), "-12345678901234567890.0123456789"),
    (246, 0, wire.lenenc_string(b"1.50"), "1.50"),
    (15, 0, wire.lenenc_string(TRICKY.encode()), TRICKY),
    (253, 0, wire.lenenc_string(TRICKY.encode()), TRICKY),
    (254, 0, wire.lenenc_string(b""), ""),
    (253, 0, wire.lenenc_string(b"NULL"), "NULL"),
    (249, 0, wire.lenenc_string(b"\0"), {"base64": "AA=="}),
    (250, 0, wire.lenenc_string(EVERY_BYTE), {"base64": base64.b64encode(EVERY_BYTE).decode()}),
    (251, 0, wire.lenenc_string(b""), {"base64": ""}),
    (252, 0, wire.lenenc_string(EVERY_BYTE * 3), {"base64": base64.b64encode(EVERY_BYTE * 3).decode()}),
    (253, 0, wire.lenenc_string(b"v" * 5000), {"length": 5000, "truncated": True, "text": "v" * 4096}),
    (252, 0, wire.lenenc_string(b"b" * 5000),
     {"length": 5000, "truncated": True, "base64": base64.b64encode(b"b" * 4096).decode()}),
    (10, 0, date(2024, 2, 29), "2024-02-29"),
    (12, 0, b"\x07" + date(9999, 12, 31)[1:] + b"\x17\x3b\x3b", "9999-12-31 23:59:59"),
    (12, 0, b"\x0b" + date(1000, 1, 1)[1:] + b"\x00\x00\x01" + struct.pack("<I", 1), "1000-01-01 00:00:01.000001"),
    (12, 0, date(2024, 2, 29), "2024-02-29 00:00:00"),
    (7, 0, b"\x0b" + date(2038, 1, 19)[1:] + b"\x03\x0e\x07" + struct.pack("<I", 999000), "2038-01-19 03:14:07.999000"),
    (11, 0, b"\x08\x00" + struct.pack("<IBBB", 0, 12, 34, 56), "12:34:56"),
    (11, 0, b"\x0c\x01" + struct.pack("<IBBBI", 33, 23, 59, 58, 999999), "-815:59:58.999999"),
    (11, 0, b"\x00", "00:00:00"),
    (6, 0, None, None),
    (8, 0, None, None),
    (253, 0, None, None),
]
# Of these each kind of server takes some, and refuses the execution for the others.
JSON, ENUM, SET = 245, 247, 248
PARTICULAR = [
    (JSON, 0, wire.lenenc_string(b'{"a": [1, null]}'), '{"a": [1, null]}'),
    (ENUM, 0, wire.lenenc_string(b"one"), "one"),
    (SET, 0, wire.lenenc_string(b"a,c"), "a,c"),
]


def execution(statement, values):
    """The body of a COM_STMT_EXECUTE."""
    bitmap = bytearray((len(values) + 7) // 8)
    for number, (_, _, data, _) in enumerate(values):
        if data is None:
            bitmap[number // 8] |= 1 << number % 8
    types = b"".join(bytes((kind, flag)) for kind, flag, _, _ in values)
    return (statement + b"\0\1\0\0\0" + bytes(bitmap) + b"\1" + types
            + b"".join(data for _, _, data, _ in values if data is not None))


def test_bound_values_are_those_that_were_sent(open_stack):
    """Every type that a parameter may have, against what was sent and against what the server made of it."""
    before = open_stack.audit.count()
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        for round_of in (VALUES, list(reversed(VALUES))):
            statement = prepare(connection, b"SELECT " + b",".join([b"?"] * len(round_of)))
            connection.command(wire.EXECUTE, execution(statement, round_of))
            read_results(connection)
        leave(connection)
    executed = [record for record in open_stack.audit.records(before) if record["event"] == "execute"]
    wanted = [value for _, _, _, value in VALUES]
    assert [record["params"] for record in executed] == [wanted, wanted[::-1]]
    assert summaries[0].values == 2 * len(VALUES)


@pytest.mark.parametrize("value", PARTICULAR, ids=["JSON", "ENUM", "SET"])
def test_bound_value_of_a_type_of_one_server(open_stack, value):
    """Taken or refused by the server, it is recorded as it was sent."""
    before = open_stack.audit.count()
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        statement = prepare(connection, b"SELECT ?")
        connection.command(wire.EXECUTE, execution(statement, [value]))
        taken = (value[0] == JSON) == open_stack.server.mysql9
        if taken:
            read_results(connection)
        else:
            with pytest.raises(wire.ServerError, match="1210"):
                connection.expect()
        leave(connection)
    (record,) = [record for record in open_stack.audit.records(before) if record["event"] == "execute"]
    assert record["params"] == [value[3]] and record["outcome"] == ("ok" if taken else "error")
    assert summaries[0].values == taken


def test_long_data_and_values_that_stay(open_stack):
    """Pieces are one value; types that are not sent again hold; a reset forgets the pieces."""
    before = open_stack.audit.count()
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        statement = prepare(connection, b"SELECT ?, ?, LENGTH(?)")
        first = [(3, 0, struct.pack("<i", 7), 7), (252, 0, b"", b""), (252, 0, wire.lenenc_string(b"third"), b"third")]
        for piece in (b"one ", b"", EVERY_BYTE):
            connection.command(wire.LONG_DATA, statement + b"\1\0" + piece)
        connection.command(wire.EXECUTE, execution(statement, first))
        read_results(connection)
        connection.command(wire.LONG_DATA, statement + b"\1\0gone")
        ask(connection, 0x1A, statement)
        connection.command(
            wire.EXECUTE, statement + b"\0\1\0\0\0\0\0" + struct.pack("<i", -8) + wire.lenenc_string(b"two")
            + wire.lenenc_string(b"")
        )
        read_results(connection)
        leave(connection)

    def encoded(data):
        return {"base64": base64.b64encode(data).decode()}

    executed = [record for record in open_stack.audit.records(before) if record["event"] == "execute"]
    assert [record["params"] for record in executed] == [
        [7, encoded(b"one " + EVERY_BYTE), encoded(b"third")], [-8, encoded(b"two"), encoded(b"")],
    ]
    assert summaries[0].values == 6


def test_long_data_of_two_parameters(open_stack):
    """A megabyte for one parameter, and ten bytes for another."""
    before = open_stack.audit.count()
    with completeness.checked(open_stack), open_session(open_stack.proxy) as connection:
        statement = prepare(connection, b"SELECT LENGTH(?), ?")
        connection.command(wire.LONG_DATA, statement + b"\0\0" + b"x" * (1 << 20))
        connection.command(wire.LONG_DATA, statement + b"\1\0" + b"ten bytes.")
        values = [(252, 0, b"", None), (252, 0, b"", None)]
        connection.command(wire.EXECUTE, execution(statement, values))
        read_results(connection)
        leave(connection)
    (record,) = [record for record in open_stack.audit.records(before) if record["event"] == "execute"]
    assert record["params"][1] == {"base64": base64.b64encode(b"ten bytes.").decode()}


def test_more_values_than_a_record_holds(open_stack):
    """The list ends and says how many had no room; those that it has are right."""
    values = [(253, 0, wire.lenenc_string(b"%04d" % number + b"x" * 4000), "") for number in range(100)]
    before = open_stack.audit.count()
    with completeness.checked(open_stack) as summaries, open_session(open_stack.proxy) as connection:
        statement = prepare(connection, b"SELECT LENGTH(CONCAT(" + b",".join([b"?"] * 100) + b"))")
        connection.command(wire.EXECUTE, execution(statement, values))
        assert read_results(connection)
        leave(connection)
    (record,) = [record for record in open_stack.audit.records(before) if record["event"] == "execute"]
    *kept, last = record["params"]
    assert [value[:4] for value in kept] == ["%04d" % number for number in range(len(kept))]
    assert last == {"omitted": 100 - len(kept)} and 40 < len(kept) < 100
    assert summaries[0].values == 100 - last["omitted"]


def test_bulk_values_are_those_that_were_sent(mariadb_stack):
    """COM_STMT_BULK_EXECUTE: each row's values, NULL, and the column's default."""
    open_stack = mariadb_stack
    before = open_stack.audit.count()
    rows = [
        (b"\0" + struct.pack("<i", 901), b"\0" + wire.lenenc_string(TRICKY.encode())),
        (b"\0" + struct.pack("<i", -902), b"\1"),
        (b"\0" + struct.pack("<i", 903), b"\2"),
    ]
    with completeness.checked(open_stack), wire.dial(
            open_stack.proxy.plain_port, open_stack.certificates, "report-1") as client:
        log_in_with_bulk(client)
        statement = prepare(client, b"INSERT INTO scratch (id, name) VALUES (?, ?)")
        body = b"".join(b"".join(row) for row in rows)
        client.command(0xFA, statement + struct.pack("<H", BULK_SEND_TYPES) + bytes((3, 0, 253, 0)) + body)
        assert client.expect()[:1] == b"\0"
        assert wire.query(client, "DELETE FROM scratch")[:1] == b"\0"
        leave(client)
    (record,) = [r for r in open_stack.audit.records(before) if r.get("command") == "stmt_bulk_execute"]
    assert record["params"] == [901, TRICKY, -902, None, 903, {"default": True}]
    assert record["affected_rows"] == 3


def test_bulk_beyond_the_limit(mariadb_stack):
    """Of rows that came behind the part that is kept the record says that they are left out."""
    before = mariadb_stack.audit.count()
    with completeness.checked(mariadb_stack), wire.dial(
            mariadb_stack.proxy.plain_port, mariadb_stack.certificates, "report-1") as client:
        log_in_with_bulk(client)
        statement = prepare(client, b"INSERT INTO scratch (id, data) VALUES (?, ?)")
        body = b"".join(
            b"\0" + struct.pack("<i", number) + b"\0" + wire.lenenc_string(b"x" * 700000) for number in range(3)
        )
        client.command(0xFA, statement + struct.pack("<H", BULK_SEND_TYPES) + bytes((3, 0, 252, 0)) + body)
        assert client.expect()[:1] == b"\0"
        assert wire.query(client, "DELETE FROM scratch")[:1] == b"\0"
        leave(client)
    (record,) = [r for r in mariadb_stack.audit.records(before) if r.get("command") == "stmt_bulk_execute"]
    assert len(record["params"]) == 6 or "omitted" in record["params"][-1]


def test_record_has_outcome_and_who(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n, 'find me 17' FROM numbers WHERE n <= 17")
        cursor.fetchall()
        thread = connection.thread_id()
    record = stack.audit.wait_for(lambda r: "find me 17" in r.get("statement", ""))
    assert record["event"] == "query" and record["outcome"] == "ok" and record["rows"] == 17
    assert record["bot"] == "ci-1" and record["roles"] == ["shop-reader"]
    assert record["database"] == "shop" and record["mysql_user"] == "reader" and record["schema"] == "shop"
    assert record["upstream_connection_id"] == thread
    assert record["proxy"] == "proxy-test" and record["v"] == 1
    assert "OU=bots" in record["subject"] and re.fullmatch(r"[0-9A-Fa-f:]+", record["cert_serial"])
    assert record["bytes_in"] > 0 and record["bytes_out"] > 17 and record["duration_us"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert "127.0.0.1" in record["local_client"]


def test_record_of_an_error(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        with pytest.raises(Exception, match="1146"):
            cursor.execute("SELECT * FROM gone_since_record_test")
    record = stack.audit.wait_for(lambda r: "gone_since_record_test" in r.get("statement", ""))
    assert record["outcome"] == "error"
    assert record["error"]["code"] == 1146 and record["error"]["sqlstate"] == "42S02"
    assert "gone_since_record_test" in record["error"]["message"]


def test_record_of_a_change(stack):
    with stack.connect(stack.writer, "writer") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO items (name) VALUES ('recorded change'), ('recorded change')")
        cursor.execute("DELETE FROM items WHERE name = 'recorded change'")
    inserted = stack.audit.wait_for(lambda r: "INSERT INTO items (name) VALUES ('recorded" in r.get("statement", ""))
    assert inserted["affected_rows"] == 2 and inserted["last_insert_id"] > 0


def test_long_statement_is_recorded_with_its_hash(stack):
    """I5: past the limit the captured part, the full length, and the SHA-256 of the whole."""
    text = "SELECT LENGTH('" + "long " * 500000 + "')"
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(text)
        assert cursor.fetchone() == (2500000,)
    record = stack.audit.wait_for(lambda r: r.get("statement_length") == len(text), timeout=20)
    assert record["truncated"] is True
    assert record["statement_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert text.startswith(record["statement"]) and 0 < len(record["statement"]) <= 1 << 20


def test_passwords_in_sql_are_redacted(stack):
    """I8. The server refuses the statement for want of privileges; the record must not keep its secret."""
    with stack.connect(stack.writer, "writer") as connection, connection.cursor() as cursor:
        with pytest.raises(Exception, match="1227|1045|1142"):
            cursor.execute("CREATE USER redaction_test IDENTIFIED BY 'open sesame'")
    record = stack.audit.wait_for(lambda r: "redaction_test" in r.get("statement", ""))
    assert "open sesame" not in str(record)
    assert not any(b"open sesame" in line for line in stack.audit.lines())


def test_sequence_numbers_have_no_gap(stack):
    with stack.connect() as connection:
        connection.ping(reconnect=False)
    numbers = [record["seq"] for record in stack.audit.records()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_each_session_ends_with_one_reason(stack):
    """I12."""
    for _ in range(3):
        stack.connect().close()

    def sessions(event):
        return collections.Counter(record["session"] for record in stack.audit.records(event=event))

    process.wait_until(lambda: sessions("session.start") == sessions("session.end"), "one end for each start")
    assert set(sessions("session.start").values()) == {1}
    assert all(record["reason"] for record in stack.audit.records(event="session.end"))


# --- what the comparison finds ---


class Pair:
    """An audit log and the general log of the same two sessions, to make differences in."""

    def __init__(self):
        self.records, self.entries = [], []
        self._session("one", 7, "writer", "shop", [
            ("query", "SELECT 1", {}), ("query", "SELECT 'two'", {}), ("stmt_prepare", "SELECT ?, ?", {}),
            ("stmt_execute", "SELECT ?, ?", {"params": [-5, "it's"], "logged": b"SELECT -5, 'it\\'s'"}),
            ("stmt_close", "SELECT ?, ?", {"logged": b""}), ("init_db", "secret", {}), ("query", "SELECT 3", {}),
            ("ping", None, {}),
        ])
        self._session("two", 8, "reader", None, [("query", "DO 1", {}), ("query", "SELEKT", {"outcome": "error"})])

    def _session(self, name, thread, user, schema, commands):
        who = {"session": name, "mysql_user": user, "upstream_connection_id": thread, "outcome": "ok"}
        self._add(who, "session.start", None, schema)
        self.entries.append(Entry(thread, b"Connect", f"{user}@127.0.0.1 on {schema or ''} using SSL/TLS".encode()))
        for command, text, more in [*commands, ("quit", None, {})]:
            fields = {key: value for key, value in more.items() if key != "logged"}
            if text is not None:
                fields |= {"statement": text, "statement_length": len(text)}
            event = {"query": "query", "stmt_prepare": "prepare", "stmt_execute": "execute"}.get(command, "command")
            self._add(who, event, command, schema, **fields)
            if command != "ping":
                logged = more.get("logged", (text or "").encode())
                self.entries.append(Entry(thread, completeness.NAMES[command], logged))
            schema = text if command == "init_db" else schema
        self._add(who, "session.end", None, schema, reason="client_quit")

    def _add(self, who, event, command, schema, **fields):
        seq = len(self.records) + 1
        time = f"2026-01-01T00:00:00.{seq:06}Z"
        record = {**who, "seq": seq, "time": time, "event": event, "schema": schema, **fields}
        if command:
            record["command"] = command
        self.records.append({key: value for key, value in record.items() if value is not None})

    def find(self, text, command="query"):
        return next(r for r in self.records if r.get("command") == command and r.get("statement") == text)

    def entry(self, text):
        return next(number for number, entry in enumerate(self.entries) if entry.text == text)

    def compare(self):
        counters = {"Com_admin_commands": 1, "Com_stmt_fetch": 0}
        return completeness.compare(json.loads(json.dumps(self.records)), self.entries, counters)


def remove(pair, text, command="query"):
    pair.records.remove(pair.find(text, command))


def insert(pair, after, **fields):
    at = pair.records.index(after)
    pair.records.insert(at + 1, {**after, **fields})
    for number, record in enumerate(pair.records, 1):
        record["seq"], record["time"] = number, f"2026-01-01T00:00:00.{number:06}Z"


def swap(pair, one, other):
    for key in ("statement", "statement_length"):
        one[key], other[key] = other[key], one[key]


def swap_order(pair, one, other):
    one["seq"], other["seq"] = other["seq"], one["seq"]


def change(record, **fields):
    record.update(fields)


def log_swap(pair, one, other):
    one, other = pair.entry(one), pair.entry(other)
    pair.entries[one], pair.entries[other] = pair.entries[other], pair.entries[one]


def log_insert(pair, after, entry):
    pair.entries.insert(pair.entry(after) + 1, entry)


DIFFERENCES = {
    "lost": lambda p: remove(p, "SELECT 'two'"),
    "lost execute": lambda p: remove(p, "SELECT ?, ?", "stmt_execute"),
    "lost close": lambda p: remove(p, "SELECT ?, ?", "stmt_close"),
    "lost prepare": lambda p: remove(p, "SELECT ?, ?", "stmt_prepare"),
    "lost init_db": lambda p: remove(p, "secret", "init_db"),
    "lost quit": lambda p: p.records.remove(next(r for r in p.records if r.get("command") == "quit")),
    "lost ping": lambda p: p.records.remove(next(r for r in p.records if r.get("command") == "ping")),
    "lost session": lambda p: setattr(p, "records", [r for r in p.records if r["session"] == "one"]),
    "lost at the end": lambda p: remove(p, "SELEKT"),
    "invented": lambda p: insert(p, p.find("SELECT 1"), statement="SELECT 2", statement_length=8),
    "invented twin": lambda p: insert(p, p.find("SELECT 1")),
    "invented failure": lambda p: insert(p, p.find("SELECT 1"), outcome="error"),
    "invented close": lambda p: insert(p, p.find("SELECT ?, ?", "stmt_close")),
    "swapped": lambda p: swap(p, p.find("SELECT 1"), p.find("SELECT 'two'")),
    "swapped order": lambda p: swap_order(p, p.find("SELECT 1"), p.find("SELECT 'two'")),
    "swapped in the log": lambda p: log_swap(p, b"SELECT 1", b"SELECT 'two'"),
    "said to be denied": lambda p: change(p.find("SELECT 1"), outcome="denied"),
    "altered": lambda p: change(p.find("SELECT 1"), statement="SELECT 2"),
    "altered white space": lambda p: change(p.find("SELECT 1"), statement="SELECT  1", statement_length=9),
    "altered case": lambda p: change(p.find("SELECT 1"), statement="select 1"),
    "cut": lambda p: change(p.find("SELECT 'two'"), statement="SELECT 'tw", statement_length=10),
    "longer": lambda p: change(p.find("SELECT 1"), statement="SELECT 1, 1", statement_length=11),
    "wrong length": lambda p: change(p.find("SELECT 1"), statement_length=9),
    "wrong hash": lambda p: change(p.find("SELECT 'two'"), statement="SEL", truncated=True, statement_sha256="0" * 64),
    "wrong beginning": lambda p: change(
        p.find("SELECT 'two'"), statement="SEK", truncated=True,
        statement_sha256=hashlib.sha256(b"SELECT 'two'").hexdigest()),
    "redacted too much": lambda p: change(p.find("SELECT 'two'"), statement="SELECT 3<redacted>", redacted=True),
    "wrong bytes": lambda p: change(p.find("SELECT 1"), statement_base64=base64.b64encode(b"SELECT 2").decode()),
    "wrong user": lambda p: change(p.find("SELECT 1"), mysql_user="reader"),
    "wrong user at login": lambda p: change(p.records[0], mysql_user="root"),
    "wrong schema": lambda p: change(p.find("SELECT 1"), schema="secret"),
    "schema too late": lambda p: change(p.find("SELECT 3"), schema="shop"),
    "schema too early": lambda p: change(p.find("secret", "init_db"), schema="secret"),
    "no schema": lambda p: p.find("SELECT 3").pop("schema"),
    "a schema where there is none": lambda p: change(p.find("DO 1"), schema="shop"),
    "wrong schema named": lambda p: change(p.find("secret", "init_db"), statement="secre"),
    "wrong value": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=[5, "it's"]),
    "wrong text value": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=[-5, "its"]),
    "text for a number": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=[-5, None]),
    "values swapped": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=["it's", -5]),
    "value lost": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=[-5]),
    "value invented": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), params=[-5, "it's", 1]),
    "no values": lambda p: p.find("SELECT ?, ?", "stmt_execute").pop("params"),
    "wrong prepared text": lambda p: change(p.find("SELECT ?, ?", "stmt_execute"), statement="SELECT ? , ?"),
    "wrong connection": lambda p: change(p.find("SELECT 1"), upstream_connection_id=8),
    "sessions on one connection": lambda p: [change(r, upstream_connection_id=7) for r in p.records],
    "unrecorded statement": lambda p: log_insert(p, b"SELECT 1", Entry(7, b"Query", b"DROP TABLE items")),
    "unrecorded prepare": lambda p: log_insert(p, b"SELECT 1", Entry(7, b"Prepare", b"SELECT 1")),
    "unrecorded execute": lambda p: log_insert(p, b"SELECT 1", Entry(7, b"Execute", b"SELECT 1")),
    "unrecorded init_db": lambda p: log_insert(p, b"SELECT 1", Entry(7, b"Init DB", b"secret")),
    "unrecorded at the end": lambda p: p.entries.append(Entry(7, b"Query", b"SELECT 4")),
    "unrecorded connection": lambda p: p.entries.append(
        Entry(9, b"Connect", b"writer@127.0.0.1 on shop using SSL/TLS")),
    "unrecorded refused connection": lambda p: p.entries.append(
        Entry(9, b"Connect", b"Access denied for user 'writer'@'127.0.0.1' (using password: NO)")),
    "two starts": lambda p: insert(p, p.records[0]),
    "no end": lambda p: p.records.pop(),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_comparison_finds(name):
    pair = Pair()
    DIFFERENCES[name](pair)
    with pytest.raises(Difference):
        pair.compare()


def test_comparison_finds_a_fetch_that_no_log_has():
    pair = Pair()
    insert(pair, pair.find("SELECT ?, ?", "stmt_execute"), command="stmt_fetch", event="command")
    with pytest.raises(Difference, match="stmt_fetch"):
        pair.compare()


EQUALS = {
    "as it is": lambda p: None,
    "a semicolon that is not logged": lambda p: change(
        p.find("SELECT 1"), statement=" SELECT 1 ; ", statement_length=12),
    "a denied statement": lambda p: insert(
        p, p.find("SELECT 1"), statement="USE mysql", statement_length=9, outcome="denied"),
    "a failed prepare": lambda p: insert(p, p.find("SELECT ?, ?", "stmt_prepare"), outcome="error"),
    "an unknown end": lambda p: insert(p, p.find("SELEKT"), outcome="unknown", statement="LOST", statement_length=4),
    "SQL's PREPARE": lambda p: (
        insert(p, p.find("SELECT 1"), statement="PREPARE s FROM 'DO 1'", statement_length=21),
        log_insert(p, b"SELECT 1", Entry(7, b"Prepare", b"DO 1")),
        log_insert(p, b"SELECT 1", Entry(7, b"Query", b"PREPARE s FROM 'DO 1'")),
    ),
    "a login that was retired": lambda p: p.entries.append(
        Entry(9, b"Connect", b"Access denied for user 'sallyport_retired'@'127.0.0.1' (using password: NO)")),
    "a close that nobody read": lambda p: (
        insert(p, p.find("DO 1"), command="stmt_close", event="command"), remove(p, "SELEKT"),
        p.records.remove([r for r in p.records if r.get("command") == "quit"][1]),
        change(p.records[-1], reason="upstream_closed"),
        p.entries.__delitem__(slice(-2, None)),
    ),
    "another account": lambda p: p.entries.extend((
        Entry(9, b"Connect", b"direct@127.0.0.1 on shop using TCP/IP"), Entry(9, b"Query", b"SELECT 1"))),
}


@pytest.mark.parametrize("name", EQUALS)
def test_comparison_passes(name):
    pair = Pair()
    EQUALS[name](pair)
    summary = pair.compare()
    assert summary.sessions == 2 and summary.values == 2


def test_servers_prepare_anew():
    """The second Prepare of a text that was prepared, and is executed next, is the server's own; any other is not."""
    pair = Pair()
    log_insert(pair, b"SELECT ?, ?", Entry(7, b"Prepare", b"SELECT ?, ?"))
    assert pair.compare().values == 2
    other = Pair()
    log_insert(other, b"SELECT ?, ?", Entry(7, b"Prepare", b"SELECT ?, 1"))
    with pytest.raises(Difference):
        other.compare()


@pytest.mark.parametrize("anew", ["before", "after"])
def test_servers_prepare_anew_for_an_execution(anew):
    """Before each of two, or behind the first, which is then executed once more."""
    pair = Pair()
    text, logged = b"SELECT ?, ?", b"SELECT -5, 'it\\'s'"
    insert(pair, pair.find("SELECT ?, ?", "stmt_execute"))
    if anew == "before":
        log_insert(pair, text, Entry(7, b"Prepare", text))
    else:
        log_insert(pair, logged, Entry(7, b"Execute", logged))
    log_insert(pair, logged, Entry(7, b"Execute", logged))
    log_insert(pair, logged, Entry(7, b"Prepare", text))
    assert pair.compare().values == 4


@pytest.mark.parametrize("entries", [1, 2, 4, 5])
def test_bulk_executions(entries):
    """Two of two rows each: MariaDB logs each once, or each of its rows."""
    pair = Pair()
    text = "DELETE FROM t WHERE id = ?"
    who = {"statement": text, "statement_length": len(text), "command": "stmt_bulk_execute", "event": "execute",
           "params": [1, 2], "bytes_in": 30}
    insert(pair, pair.find("SELECT 1"), **who)
    insert(pair, pair.find("SELECT 1"), **who)
    for _ in range(entries):
        log_insert(pair, b"SELECT 1", Entry(7, b"Execute", text.encode()))
    if entries in (2, 4):
        pair.compare()
    else:
        with pytest.raises(Difference):
            pair.compare()


LOGS = {
    "mariadb": (
        b"mariadbd, Version: 10.11\nTcp port: 1\nTime\t\t    Id Command\tArgument\n"
        b"261122 17:23:55\t    12 Connect\ta@b on c using SSL/TLS\n\t\t    12 Query\tSELECT 'x\n\ty'\n"
        b"\t\t     7 Quit\t\n"
        b"261122  7:03:55\t    12 Close stmt\t\n"
    ),
    "mysql9": (
        b"mysqld, Version: 9.7\nTcp port: 1\nTime                 Id Command    Argument\n"
        b"2026-11-22T17:24:19.078517Z\t   12 Connect\ta@b on c using SSL/TLS\n"
        b"2026-11-22T17:24:19.078517Z\t   12 Query\tSELECT 'x\n\ty'\n2026-11-22T17:24:19.078518Z\t    7 Quit\t\n"
        b"2026-11-22T17:24:19.078517+02:00\t   12 Close stmt\t\n"
    ),
}


@pytest.mark.parametrize("kind", LOGS)
def test_general_log_is_read(kind):
    assert completeness.parse(LOGS[kind]) == [
        Entry(12, b"Connect", b"a@b on c using SSL/TLS"), Entry(12, b"Query", b"SELECT 'x\n\ty'"),
        Entry(7, b"Quit", b""), Entry(12, b"Close stmt", b""),
    ]
