# SPDX-License-Identifier: Apache-2.0
"""What the audit log says that bots did is what the server's own general log says."""

import collections
import hashlib
import re

import pytest

from harness import process, wire

STATEMENTS = [
    "SELECT 1",
    "SELECT 1",
    "select  'white   space'\n\t, 2",
    # MariaDB keeps its log table in utf8mb3, so nothing beyond the BMP here.
    "SELECT 'unicode \u00e4 \u20ac'",
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
]


def normalized(text):
    """Servers differ in whether they log a trailing semicolon and the white space around a statement."""
    return re.sub(rb"^[\s;]+|[\s;]+$", b"", text)


def server_side(log, command="Query"):
    return collections.Counter(normalized(text) for _, logged, text in log() if logged == command)


def audit_side(records, event="query"):
    return collections.Counter(
        normalized(record["statement"].encode()) for record in records if record["event"] == event
    )


def wait_for_end(stack, before):
    """Waits for the session that was just closed and returns its records."""
    end = stack.audit.wait_for(None, after=before, event="session.end")
    return [record for record in stack.audit.records() if record.get("session") == end["session"]], end


def test_statements_equal_those_of_the_general_log(stack):
    before = stack.audit.count()
    with stack.server.general_log() as log:
        with stack.connect(stack.writer, "writer") as connection:
            for statement in STATEMENTS:
                with connection.cursor() as cursor:
                    try:
                        cursor.execute(statement)
                    except Exception as error:  # noqa: BLE001 - the server's refusals are part of the log
                        assert "sallyport" not in str(error)
        records, _ = wait_for_end(stack, before)
        seen = server_side(log)
    recorded = audit_side(records)
    unlogged = recorded - seen
    if stack.server.mysql9:
        # MySQL writes its general log after parsing: what it cannot parse came to it and is not there.
        assert unlogged.pop(b"SELEKT") == 1
    assert unlogged == collections.Counter(), "recorded, but the server did not run it"
    assert seen - recorded == collections.Counter(), "run by the server, but not recorded"
    assert sum(recorded.values()) >= len(STATEMENTS)


def test_prepared_statements_equal_those_of_the_general_log(stack, clients):
    cases = ("prepared", "parameters", "long-data", "cursor")
    before = stack.audit.count()
    with stack.server.general_log() as log:
        clients.run("c", stack.writer, "writer", *cases)

        def all_ended():
            ends = [record for record in stack.audit.records()[before:] if record["event"] == "session.end"]
            return ends if len(ends) >= len(cases) else None

        ended = process.wait_until(all_ended, "the end of the sessions")
        seen = log()
    sessions = {record["session"] for record in ended}
    records = [record for record in stack.audit.records()[before:] if record.get("session") in sessions]
    # Neither server logs a prepare that failed; MySQL logs one again when it prepares anew for other types.
    prepared = {normalized(text) for _, command, text in seen if command == "Prepare"}
    assert prepared == set(audit_side([record for record in records if record["outcome"] == "ok"], "prepare"))
    assert any(record["event"] == "prepare" and record["outcome"] == "error" for record in records)
    executed = sum(1 for _, command, _ in seen if command == "Execute")
    assert executed == len([record for record in records if record["event"] == "execute"]) > 0
    assert server_side(lambda: seen) == audit_side(records)


def test_multi_statements_are_recorded_whole(stack):
    before = stack.audit.count()
    text = b"SELECT 1; SELECT 2 ; DO 3"
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.command(wire.QUERY, text)
        wire.read_result(connection)
        wire.read_result(connection)
        assert connection.expect()[:1] == b"\0"
        connection.command(wire.QUIT)
        connection.at_end()
    records, _ = wait_for_end(stack, before)
    assert [record["statement"].encode() for record in records if record["event"] == "query"] == [text]


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


def test_bound_values_are_recorded(stack, clients):
    before = stack.audit.count()
    clients.run("node", stack.writer, "writer", "prepared")
    stack.audit.wait_for(None, after=before, event="session.end")
    executed = [r for r in stack.audit.records()[before:] if r["event"] == "execute" and "?, ?, ?, ?" in r["statement"]]
    assert len(executed) == 1
    assert executed[0]["params"][:2] == ["text", None]


def test_statement_that_is_not_utf8(stack):
    """Every line is valid JSON in UTF-8; what cannot be converted is recorded byte for byte."""
    before = stack.audit.count()
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        wire.query(connection, b"SELECT LENGTH(_binary'\xff\xfe\x80')")
    record = stack.audit.wait_for(lambda r: r["event"] == "query", after=before)
    import base64

    if "statement_base64" in record:
        assert base64.b64decode(record["statement_base64"]) == b"SELECT LENGTH(_binary'\xff\xfe\x80')"
    else:
        assert "_binary" in record["statement"]


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
