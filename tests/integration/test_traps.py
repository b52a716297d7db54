# SPDX-License-Identifier: Apache-2.0
"""What relays of this protocol have got wrong before (docs/protocol/traps.md has the list), on the raw wire: the same
commands directly and through the proxy, packet by packet; and servers that behave in ways that a test can only fake."""

import hashlib
import shutil
import socket
import struct
import subprocess

import pymysql
import pytest

from harness import process, side_by_side, wire
from harness.commands import change_user_body, open_session, prepare
from harness.side_by_side import both, same
from harness.wire import FakeUpstream

EOFS = pytest.mark.parametrize("eof", [0, wire.DEPRECATE_EOF], ids=["old_eof", "new_eof"])
MARIADB = pytest.mark.parametrize("server", ["mariadb", "mariadb11"], indirect=True)

CREATE_DB, DROP_DB, REFRESH, SHUTDOWN, PROCESS_INFO, DEBUG, RESET = 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0D, 0x1A
BULK_EXECUTE = 0xFA
MULTI_FACTOR = 1 << 28
CURSOR = 1  # of an execute's flags: read-only


def execute(*values, cursor=0):
    """Of the last prepared statement, with integers."""
    body = struct.pack("<BI", cursor, 1)
    if values:
        body += b"\0\1" + b"\x08\0" * len(values) + struct.pack(f"<{len(values)}q", *values)
    return wire.EXECUTE, lambda statement: struct.pack("<I", statement) + body


def fetch(rows):
    return wire.FETCH, lambda statement: struct.pack("<II", statement, rows)


# --- the handshake ---


def greeting_directly(server):
    with wire.Connection(socket.create_connection(("127.0.0.1", server.port))) as connection:
        payload = connection.expect()
        connection.send(wire.login_response("direct"))  # leave in order, or it counts as a connect error
        connection.at_end() if connection.read()[:1] == b"\xff" else connection.command(wire.QUIT)
    return wire.Greeting(payload)


def test_greeting_says_what_the_servers_says(stack):
    """Version with its prefix, character set and status; the id is that of the session's own connection."""
    direct = greeting_directly(stack.server)
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        proxied = wire.log_in(connection)
        assert wire.query(connection, "SELECT CONNECTION_ID()") == [
            wire.lenenc_string(str(proxied.connection_id).encode())
        ]
    assert (proxied.version, proxied.charset, proxied.status) == (direct.version, direct.charset, direct.status)
    assert proxied.version.startswith("5.5.5-") == (stack.server.name == "mariadb")


def test_prefix_of_the_version_stays(certificates, start_proxy):
    def script(peer):
        peer.log_in(version="5.5.5-10.4.99-MariaDB-fake", connection_id=77)
        peer.serve()

    with FakeUpstream(certificates, script) as upstream:
        with wire.dial(start_proxy(upstream.port).plain_port, certificates) as connection:
            greeting = wire.log_in(connection)
            assert (greeting.version, greeting.connection_id) == ("5.5.5-10.4.99-MariaDB-fake", 77)


def test_bit_for_tls_without_tls(stack):
    """A login that claims to be encrypted and is not: what counts is what happened to the connection."""
    with socket.create_connection(("127.0.0.1", stack.proxy.starttls_port), 10) as sock:
        connection = wire.Connection(sock)
        connection.expect()
        connection.send(wire.login_response("reader", "shop", wire.CLIENT_FLAGS | wire.SSL))
        with pytest.raises(wire.ServerError, match="1045 28000 sallyport: .*TLS"):
            connection.expect()
        assert connection.at_end() == b""


def may_be_factors(configuration):
    configuration["roles"][0]["allow"]["mysql_users"].append("factors")


def test_account_with_several_factors(servers, certificates, start_proxy):
    """docs/decisions/0703: the capability is masked, and the database refuses such an account in its own words, as it
    does without the proxy."""
    server = servers("mysql9")
    required = f"REQUIRE SUBJECT '{certificates.one_line('db-client.crt', 'subject')}'"
    server.execute("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
    server.execute(f"CREATE USER factors IDENTIFIED BY '' AND IDENTIFIED WITH auth_socket AS 'nobody' {required}")
    try:
        proxy = start_proxy(server.port, may_be_factors)
        with wire.dial(proxy.plain_port, certificates) as connection:
            assert not wire.Greeting(connection.expect()).capabilities & MULTI_FACTOR
            connection.send(wire.login_response("factors", flags=wire.CLIENT_FLAGS | MULTI_FACTOR))
            with pytest.raises(wire.ServerError, match="1045 28000 Access denied for user 'factors'@"):
                while True:
                    if connection.expect()[:1] == b"\xfe":
                        connection.send(b"")
        proxy.audit.wait_for(lambda r: "upstream_refused" in str(r))
    finally:
        server.execute("DROP USER factors")
        server.execute("UNINSTALL PLUGIN auth_socket")


class Shown:
    """What a client makes of an ERR in the greeting's place."""

    @staticmethod
    def pymysql(port):
        with pytest.raises(pymysql.err.OperationalError) as raised:
            pymysql.connect(host="127.0.0.1", port=port, user="reader", connect_timeout=15)
        return str(raised.value)

    @staticmethod
    def mariadb(port):
        if not shutil.which("mariadb"):
            pytest.skip("no mariadb command line: run scripts/install-dependencies test")
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-ureader", "-e", "SELECT 1"],
            capture_output=True, text=True, timeout=30,
        )
        assert done.returncode == 1
        return done.stderr


@pytest.mark.parametrize("client", ["pymysql", "mariadb"])
@pytest.mark.parametrize("code,message", [
    (1040, b"Too many connections"), (1129, b"Host '10.9.8.7' is blocked because of many connection errors"),
])
def test_err_instead_of_the_greeting_reaches_clients(certificates, start_proxy, start_tunnel, client, code, message):
    """Servers send it without a SQLSTATE. A real client shows the same through tunnel and proxy as directly."""

    def script(peer):
        peer.send(b"\xff" + struct.pack("<H", code) + message, sequence=0)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        port = process.free_port()
        start_tunnel([{
            "name": "reader", "listen": f"127.0.0.1:{port}", "proxy": f"127.0.0.1:{proxy.port}", "database": "shop",
            "identity": str(certificates.bot("ci-1")),
        }])
        directly = getattr(Shown, client)(upstream.port)
        assert str(code) in directly and "sallyport" not in directly
        assert getattr(Shown, client)(port) == directly


class ConnectErrors:
    """What a server counts towards max_connect_errors: connections that ended before their login."""

    def __init__(self, server):
        self.server = server

    def count(self):
        if self.server.mysql9:
            log = self.server.error_log.read_text(errors="replace")
            return log.count("communication packets") + log.count("Got timeout") + log.count("handshake")
        ((_, value),) = self.server.execute("SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'")
        return int(value)


@pytest.fixture
def connect_errors(stack):
    """MySQL has no counter of its own for them, but it logs each where it is told to."""
    if not stack.server.mysql9:
        yield ConnectErrors(stack.server)
        return
    (before,) = stack.server.execute("SELECT @@GLOBAL.log_error_verbosity")[0]
    stack.server.execute("SET GLOBAL log_error_verbosity = 3")
    yield ConnectErrors(stack.server)
    stack.server.execute(f"SET GLOBAL log_error_verbosity = {before}")


def test_probes_are_no_connect_errors_of_the_server(stack, connect_errors):
    """Load balancers and port scans connect and go. A server counts such connections and, past max_connect_errors,
    locks out the host that they come from: the proxy, and with it every bot."""
    before = connect_errors.count()
    for _ in range(5):
        for port in (stack.proxy.port, stack.proxy.plain_port, stack.proxy.starttls_port):
            socket.create_connection(("127.0.0.1", port), 10).close()
        with socket.create_connection(("127.0.0.1", stack.proxy.starttls_port), 10) as sock:
            wire.Connection(sock).expect()  # greeted, and gone
        with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
            connection.expect()
        with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
            connection.expect()
            connection.send(b"no login")
            connection.at_end()
        with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
            connection.expect()
            connection.send(wire.login_response("reader", "shop"))  # and gone while the proxy logs in
    process.wait_until(lambda: not stack.server.connections("unauthenticated user"), "the probes to be gone")
    stack.audit.count()
    assert connect_errors.count() == before
    with socket.create_connection(("127.0.0.1", stack.server.port), 10) as sock:
        wire.Connection(sock).expect()  # the same at the server itself: this is what must not happen
    process.wait_until(lambda: connect_errors.count() > before, "a connect error to be counted")


def test_no_connection_serves_two_sessions(stack):
    """Each session has a database connection of its own, so nothing of one is left for the next, whoever it is."""
    ids = set()
    for user, bot in (("reader", "ci-1"), ("reader", "report-1"), ("writer", "report-1"), ("reader", "ci-1")):
        with wire.dial(stack.proxy.plain_port, stack.certificates, bot=bot) as connection:
            ids.add(wire.log_in(connection, user).connection_id)
            assert wire.query(connection, "SELECT CURRENT_USER(), @left") == [
                wire.lenenc_string(f"{user}@%".encode()) + b"\xfb"
            ]
            wire.query(connection, "SET @left = 'something'")
    assert len(ids) == 4


# --- the ends of answers ---


@pytest.mark.parametrize("change", [b"\x63\x05abc", b"\x01\xfe", b"\x63"], ids=repr)
def test_session_changes_whose_lengths_lie_end_the_session(certificates, start_proxy, change):
    lying = wire.ok_packet(status=0x4002, info=b"\0" + wire.lenenc_string(change))

    def script(peer):
        peer.log_in(flags=wire.SERVER_FLAGS | side_by_side.SESSION_TRACK)
        peer.serve(lambda served, _: served.send(lying))

    with FakeUpstream(certificates, script) as upstream:
        with wire.dial(start_proxy(upstream.port).plain_port, certificates) as connection:
            wire.log_in(connection, flags=side_by_side.FLAGS)
            connection.command(wire.QUERY, b"SET x = 1")
            with pytest.raises(wire.ServerError, match="1159 08S01 sallyport: "):
                connection.expect()


def old_result(peer, command):
    """A text result with EOFs in their old form, whatever was agreed; as MySQL 5.7's query cache sent them."""
    peer.send(b"\x01")
    peer.send(wire.column_definition("a"))
    peer.send(wire.eof_packet())
    for row in () if b"empty" in command else (b"\x01x", b"\x01y"):
        peer.send(row)
    peer.send(wire.eof_packet())


def test_old_eofs_under_deprecate_eof(certificates, start_proxy):
    """They pass, end what they end, and the answers after them are not taken for others."""

    def script(peer):
        peer.log_in()
        assert peer.capabilities & wire.DEPRECATE_EOF
        peer.serve(old_result)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection, flags=wire.CLIENT_FLAGS | wire.DEPRECATE_EOF)
            for text, rows in ((b"SELECT a", 2), (b"SELECT empty", 0), (b"SELECT b", 2)):
                connection.command(wire.QUERY, text)
                assert len(wire.read_result(connection)) == rows
        records = [proxy.audit.wait_for(lambda r, text=text: r.get("statement") == text)
                   for text in ("SELECT a", "SELECT empty", "SELECT b")]
    assert [record["rows"] for record in records] == [2, 0, 2]


@EOFS
def test_err_in_the_midst_of_an_answer(stack, eof):
    """Behind rows, behind results, within a procedure: it ends the answer, and the next command has its own."""
    late = (b"SELECT n, (SELECT m.n FROM numbers m WHERE m.n IN (1, numbers.n - 498)) FROM numbers ORDER BY n")
    before = stack.audit.count()
    with both(stack, flags=side_by_side.FLAGS | eof) as sides:
        rows = same(sides, wire.QUERY, late)
        assert len(rows) > 400 and rows[-1][1][:3] == b"\xff" + struct.pack("<H", 1242)
        for text in (
            b"SELECT 1; UPDATE items SET price = price WHERE id = 1; SELECT nothing; SELECT 4",
            b"CALL fails_midway()", b"SELECT 1; CALL two_results(); SELECT 'last'", b"SELEKT",
        ):
            same(sides, wire.QUERY, text)
        same(sides, wire.PREPARE, b"CALL fails_midway()")
        assert same(sides, *execute())[-1][1][:1] == b"\xff"
        assert len(same(sides, wire.PING)) == 1
    records = [r for r in side_by_side.records(stack.audit, before) if r["event"] in ("query", "execute")]
    outcomes = [(r["outcome"], r.get("rows")) for r in records]
    failed = (len(rows) - 2 - 2 - (0 if eof else 1))
    assert outcomes == [("error", failed), ("error", 1), ("error", 1), ("ok", 6), ("error", None), ("error", 1)]


@EOFS
def test_cursors(stack, eof):
    """Opened, fetched in parts and to the end, fetched past it, executed anew; for what has no rows; for a CALL."""
    with both(stack, flags=side_by_side.FLAGS | eof) as sides:
        same(sides, wire.PREPARE, b"SELECT n, REPEAT('r', n) FROM numbers WHERE n <= ? ORDER BY n")
        same(sides, *execute(7, cursor=CURSOR))
        assert len(same(sides, *fetch(3))) == 4
        same(sides, *fetch(2))
        same(sides, *fetch(100))
        same(sides, *fetch(1))
        same(sides, *execute(0, cursor=CURSOR))
        same(sides, *fetch(1))
        same(sides, *execute(5, cursor=CURSOR))
        same(sides, RESET, lambda statement: struct.pack("<I", statement))
        same(sides, *fetch(1))
        same(sides, wire.PREPARE, b"SELECT n FROM numbers WHERE n <= ?")
        same(sides, *execute(2))
        same(sides, *execute(7, cursor=CURSOR))
        assert len(same(sides, *execute(3))) == (6 if not eof else 5) + 1
        same(sides, wire.PREPARE, b"UPDATE items SET price = price WHERE id = ?")
        same(sides, *execute(1, cursor=CURSOR))
        same(sides, wire.PREPARE, b"CALL two_results()")
        same(sides, *execute(cursor=CURSOR))
        same(sides, *fetch(10))
        same(sides, wire.PREPARE, b"SHOW TABLES")
        same(sides, *execute(cursor=CURSOR))
        same(sides, *fetch(100))
        same(sides, wire.QUERY, b"SELECT 'in step'")


@pytest.mark.parametrize("server", ["mysql9"], indirect=True)
def test_execution_without_a_cursor_of_a_statement_that_began_with_one(stack):
    """docs/decisions/0705: MySQL 9.7 then answers by definitions and an OK, which no client can read. This pins what
    the server does, so that a version that does better is noticed, and that the session ends by an ERR."""
    with both(stack) as (direct, proxied):
        for side in (direct, proxied):
            side.ask(wire.PREPARE, b"SELECT n FROM numbers WHERE n <= ?")
            side.ask(*execute(7, cursor=CURSOR))
        assert [payload[:1] for _, payload in direct.ask(*execute(2))] == [b"\x01", b"\x03", b"\0"]
        count, definition, error, closed = proxied.ask(*execute(2))
        assert closed == "closed" and error[1].startswith(b"\xff\x87\x04#08S01sallyport: bot report-1: malformed EOF")


# --- 16 MiB ---

SIZES = pytest.mark.parametrize(
    "length", [wire.LARGEST - 1, wire.LARGEST, wire.LARGEST + 1, 2 * wire.LARGEST],
    ids=["one_less", "exact", "one_more", "exact_twice"],
)


def filled(begin, end, length):
    """A text of this length, whose payload in a command has a byte more."""
    return begin + b"s" * (length - 1 - len(begin) - len(end)) + end


@SIZES
def test_commands_around_16_mib(stack, length):
    """Text and prepared statement. The last byte of such a text matters, and is there; sequence ids go on behind the
    last packet; the record has the length and the hash of the whole."""
    texts = filled(b"SELECT LENGTH('", b"'), 7", length), filled(b"SELECT LENGTH('", b"'), ?", length)
    before = stack.audit.count()
    with both(stack) as sides:
        packets = same(sides, wire.QUERY, texts[0])
        assert packets[0][0] == length // wire.LARGEST + 1
        row = [payload for _, payload in packets][4]
        assert row == wire.lenenc_string(str(texts[0].count(b"s")).encode()) + b"\x017"
        same(sides, wire.PREPARE, texts[1])
        same(sides, *execute(3))
        same(sides, wire.QUERY, b"SELECT 'in step'")
    records = [r for r in side_by_side.records(stack.audit, before) if r["event"] in ("query", "prepare", "execute")]
    assert [r["event"] for r in records] == ["query", "prepare", "execute", "query"]
    for record, text in zip(records, texts):
        assert record["statement_length"] == len(text) == length - 1
        assert record["statement_sha256"] == hashlib.sha256(text).hexdigest()
    assert records[2]["params"] == [3]


@SIZES
def test_values_around_16_mib(stack, length):
    """An execute whose last parameter fills it to that length, and the same as long data."""
    head = b"\0" + struct.pack("<I", 1) + b"\0\1\xfc\0\x08\0"
    value = b"v" * (length - 1 - 4 - len(head) - 9 - 8)
    tail = b"\xfe" + struct.pack("<Q", len(value)) + value + struct.pack("<q", -5)
    with both(stack) as sides:
        same(sides, wire.PREPARE, b"SELECT SHA2(?, 256), ?")
        answer = same(sides, wire.EXECUTE, lambda statement: struct.pack("<I", statement) + head + tail)
        assert hashlib.sha256(value).hexdigest().encode() in b"".join(payload for _, payload in answer)
        for side in sides:
            side.send(bytes([wire.LONG_DATA]) + struct.pack("<IH", side.statement, 0) + value)
        again = same(sides, wire.EXECUTE, lambda statement: struct.pack("<I", statement) + head + struct.pack("<q", -5))
        assert again == [(sequence - answer[0][0] + 1, payload) for sequence, payload in answer]
        same(sides, wire.PING)


@EOFS
@pytest.mark.parametrize("length", [wire.LARGEST - 4, wire.LARGEST + 1, 2 * wire.LARGEST - 9],
                         ids=["exact", "begins_with_fe", "exact_twice_begins_with_fe"])
def test_rows_around_16_mib(stack, eof, length):
    """A first string of 2^24 bytes or more begins with 0xFE, as an EOF does: only the packet's length tells which."""
    before = stack.audit.count()
    with both(stack, flags=side_by_side.FLAGS | eof) as sides:
        text = b"SELECT REPEAT('r', %d) UNION ALL SELECT 'short'" % length
        packets = same(sides, wire.QUERY, text)
        first = packets[2 if eof else 3][1]
        assert first[1] == wire.LARGEST and first[0][:1] == (b"\xfd" if length < 1 << 24 else b"\xfe")
        assert packets[-2][1] == b"\x05short"
        same(sides, wire.QUERY, b"SELECT 'in step'")
    counted = [r["rows"] for r in side_by_side.records(stack.audit, before) if r["event"] == "query"]
    assert counted == [2, 1]


def may_load(configuration):
    configuration["roles"][1]["allow"]["features"] = ["local_infile"]


@pytest.mark.parametrize("name", ["mariadb", "mysql9"])
@pytest.mark.parametrize("rest", [b"", b"g\n"], ids=["exact", "more"])
def test_file_around_16_mib(servers, start_proxy, name, rest):
    """The empty packet behind a full one continues it; the one after that ends the file."""
    server = servers(name)
    data = b"f" * wire.LARGEST
    proxy = start_proxy(server.port, may_load)
    server.execute("CREATE TABLE shop.lines_of_file (a LONGTEXT)")
    try:
        with open_session(proxy, flags=side_by_side.FLAGS) as connection:
            statement = "LOAD DATA LOCAL INFILE 'x' INTO TABLE lines_of_file"
            connection.command(wire.QUERY, statement.encode())
            assert connection.expect() == b"\xfbx"
            for payload in (data, rest, b""):
                connection.send(payload)
            assert connection.expect()[:1] == b"\0"
            assert wire.query(connection, "SELECT SHA2(a, 256) FROM lines_of_file") == [
                wire.lenenc_string(hashlib.sha256((data + rest).rstrip()).hexdigest().encode())
            ]
        loaded = proxy.audit.wait_for(lambda r: r.get("statement") == statement, timeout=30)
        assert loaded["file_bytes"] == len(data) + len(rest) and loaded["outcome"] == "ok"
    finally:
        server.execute("DROP TABLE shop.lines_of_file")


# --- commands ---


@pytest.fixture
def more_rights(stack):
    """For commands that are refused without. SHUTDOWN stays refused."""
    accounts = "'writer'@'%', 'direct'@'%'"
    rights = "RELOAD, PROCESS, SUPER"
    stack.server.execute(f"GRANT {rights} ON *.* TO {accounts}")
    stack.server.execute(f"GRANT CREATE, DROP ON no_such_schema.* TO {accounts}")
    yield
    stack.server.execute(f"REVOKE CREATE, DROP ON no_such_schema.* FROM {accounts}")
    stack.server.execute(f"REVOKE {rights} ON *.* FROM {accounts}")


SMALL = [
    (wire.PING, b"", "ping"), (wire.STATISTICS, b"", "statistics"), (wire.INIT_DB, b"secret", "init_db"),
    (wire.INIT_DB, b"shop", "init_db"), (wire.INIT_DB, b"no_such_schema", "init_db"),
    (wire.FIELD_LIST, b"items\0", "field_list"), (wire.FIELD_LIST, b"types\0c_%", "field_list"),
    (wire.FIELD_LIST, b"nothing\0", "field_list"), (wire.SET_OPTION, b"\1\0", "set_option"),
    (wire.QUERY, b"SELECT 1; SELECT 2", "query"), (wire.SET_OPTION, b"\0\0", "set_option"),
    (wire.QUERY, b"SELECT 1; SELECT 2", "query"), (DEBUG, b"", "debug"), (REFRESH, b"\x02", "refresh"),
    (CREATE_DB, b"no_such_schema", "create_db"), (CREATE_DB, b"no_such_schema", "create_db"),
    (DROP_DB, b"no_such_schema", "drop_db"), (DROP_DB, b"no_such_schema", "drop_db"),
    (wire.PROCESS_KILL, struct.pack("<I", 4000000000), "process_kill"), (SHUTDOWN, b"\0", "shutdown"),
    (wire.RESET_CONNECTION, b"", "reset_connection"), (wire.QUERY, b"SELECT DATABASE()", "query"),
]

# What servers refuse as unknown.
GONE = {
    "mariadb": {"create_db", "drop_db"}, "mariadb11": {"create_db", "drop_db"},
    "mysql9": {"refresh", "shutdown", "create_db", "drop_db", "process_kill"},
}


@EOFS
def test_small_commands(stack, more_rights, eof):
    """Each has an answer of its own form, and a record. What a server no longer has it refuses, in its own words."""
    before = stack.audit.count()
    with both(stack, flags=side_by_side.FLAGS | eof) as sides:
        for code, body, _ in SMALL:
            alike = side_by_side.without_numbers if code == wire.STATISTICS else side_by_side.without_names
            assert same(sides, code, body, alike)
    records = [r for r in side_by_side.records(stack.audit, before) if "command" in r or r["event"] in ("query",)]
    assert [r.get("command", r["event"]) for r in records] == [name for _, _, name in SMALL]
    refused = {r["command"] for r in records if r.get("error", {}).get("code") == 1047}
    assert refused == GONE[stack.server.name]


@EOFS
def test_list_of_processes(stack, eof):
    """Its rows differ from call to call; its form must not. MySQL 9 has it no more."""
    before = stack.audit.count()
    with both(stack, flags=side_by_side.FLAGS | eof) as sides:
        direct, proxied = (side.ask(PROCESS_INFO) for side in sides)
        if stack.server.mysql9:
            assert direct == proxied and direct[0][1][:3] == b"\xff" + struct.pack("<H", 1047)
        else:
            definitions = 1 + direct[0][1][0] + (0 if eof else 1)
            assert proxied[:definitions] == direct[:definitions]
            assert proxied[-1][1] == direct[-1][1] and len(proxied) > definitions + 1
        assert same(sides, wire.PING)
    assert [r["event"] for r in side_by_side.records(stack.audit, before) if r.get("command") == "process_info"]


def test_shutdown_is_answered_and_recorded(certificates, start_proxy):
    """By a server that obeys: an EOF, and then it goes (MariaDB, sql_parse.cc, COM_SHUTDOWN)."""

    def script(peer):
        peer.log_in()
        assert peer.next_command()[:1] == bytes([SHUTDOWN])
        peer.send(wire.eof_packet())

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            connection.command(SHUTDOWN, b"\0")
            assert connection.expect() == wire.eof_packet()
            connection.at_end()
        assert proxy.audit.wait_for(None, command="shutdown")["outcome"] == "ok"
        proxy.audit.wait_for(None, event="session.end", reason="upstream_closed")


def waits(server, thread):
    return [1 for row in server.execute("SHOW PROCESSLIST") if row[0] == thread and "SLEEP" in (row[7] or "")]


@pytest.mark.parametrize("how", ["KILL QUERY", "KILL", "COM_PROCESS_KILL"])
def test_kill_by_the_id_that_the_client_sees(stack, how):
    """What a client does on Ctrl-C: a second connection, and the id out of the first one's greeting."""
    if how == "COM_PROCESS_KILL" and stack.server.mysql9:
        pytest.skip("MySQL 9 has no COM_PROCESS_KILL")
    victim = wire.dial(stack.proxy.plain_port, stack.certificates, "report-1")
    with open_session(stack.proxy) as killer, victim:
        thread = wire.log_in(victim, "writer").connection_id
        victim.command(wire.QUERY, b"SELECT 'before' UNION ALL SELECT SLEEP(60)")
        process.wait_until(lambda: waits(stack.server, thread), "the victim to sleep")
        if how == "COM_PROCESS_KILL":
            killer.command(wire.PROCESS_KILL, struct.pack("<I", thread))
            assert killer.expect()[:1] in (b"\0", b"\xfe")
        else:
            assert wire.query(killer, f"{how} {thread}")[:1] == b"\0"
        victim.sock.settimeout(20)
        if how == "KILL QUERY":
            try:  # MySQL may end SLEEP() with a row
                wire.read_result(victim)
            except wire.ServerError as error:
                assert error.code in (1317, 1028)
            assert wire.query(victim, "SELECT 'goes on'") == [b"\x07goes on"]
        else:
            with pytest.raises((wire.ServerError, wire.Closed)):
                wire.read_result(victim)
                wire.query(victim, "SELECT 'goes on'")
            assert wire.query(killer, "SELECT 'goes on'") == [b"\x07goes on"]


def test_everything_in_one_write(stack):
    """A pipeline of all kinds: results, errors, prepared statements, commands that have no answer, and denials, whose
    ERR stands in its turn with the sequence id that its command asks for."""
    with open_session(stack.proxy, flags=side_by_side.FLAGS) as connection:
        one, two = prepare(connection, b"SELECT ?"), prepare(connection, b"SELECT 'two', ?")
        bound = b"\0\1\0\0\0\0\1"
        pipeline = [
            (b"\x03SELECT REPEAT('x', 300000)", [b"\x01", None, None, None, None]),
            (b"\x18" + one + b"\0\0long ", []), (b"\x18" + one + b"\0\0", []), (b"\x18" + one + b"\0\0data", []),
            (b"\x03USE mysql", ["1044"]),
            (b"\x17" + one + bound + b"\xfc\0", [b"\x01", None, None, b"\0\0\x09long data", None]),
            (b"\x19" + one, []),
            (b"\x19\x99\0\0\0", []),
            (b"\x17" + one + bound + b"\x03\0\1\0\0\0", ["1243"]),
            (b"\x02mysql", ["1044"]),
            (b"\x0e", [b"\0"]),
            (b"\x03SELEKT", ["1064"]),
            (b"\x12" + bytes(10), ["1227"]),
            (b"\x17" + two + bound + b"\x08\0" + struct.pack("<q", 2), [b"\x02", None, None, None, None, None]),
            (b"\x19" + two, []),
            (b"\x03SELECT 1; SELECT 2", [b"\x01", None, None, b"\x011", None, b"\x01", None, None, b"\x012", None]),
            (b"\x09", [b"Uptime"]),
            (b"\x03SELECT 'last'", [b"\x01", None, None, b"\x04last", None]),
            (b"\x01", []),
        ]
        connection.send_raw(b"".join(wire.packet(payload) for payload, _ in pipeline))
        for payload, answer in pipeline:
            for sequence, wanted in enumerate(answer, 1):
                assert (have := side_by_side.read_packet(connection))[0] == sequence, (payload, have)
                if isinstance(wanted, str):
                    assert have[1][:9] == b"\xff" + struct.pack("<H", int(wanted)) + b"#" + have[1][4:9], payload
                    assert (b"sallyport: " in have[1]) == (wanted != "1064")
                elif wanted is not None:
                    assert have[1].startswith(wanted), (payload, have)
        assert connection.at_end() == b""


def test_last_statement_after_a_failed_prepare(stack):
    """Statement id -1, sent along with a PREPARE that fails: neither the statement before it nor any other is meant."""
    with stack.server.general_log() as log, open_session(stack.proxy) as connection:
        prepare(connection, b"SELECT 'the one before'")
        last = b"\x17\xff\xff\xff\xff\0\1\0\0\0"
        connection.send_raw(wire.packet(b"\x16SELEKT ?") + wire.packet(last) + wire.packet(b"\x0e"))
        with pytest.raises(wire.ServerError, match="1064"):
            connection.expect()
        with pytest.raises(wire.ServerError, match="1243 HY000 sallyport: "):
            connection.expect()
        assert connection.expect()[:1] == b"\0"
        assert not [entry for entry in log() if entry[1] == "Execute"]


def test_prepare_that_prepares_nothing(stack):
    """SET GLOBAL by an account that may not: MySQL 9.7 answers with an OK that has no statement in it."""
    with both(stack) as sides:
        for text in (b"SET GLOBAL max_connections = 5", b"SET GLOBAL max_connections = ?", b"SET GLOBAL nonsense = 1"):
            for side in sides:
                side.connection.command(wire.PREPARE, text)
            one, other = (side_by_side.read_packet(side.connection) for side in sides)
            assert one == other
        same(sides, wire.PREPARE, b"SELECT ?")
        first = struct.pack("<q", 12)
        same(sides, wire.EXECUTE, lambda s: struct.pack("<IBI", s, 0, 1) + b"\0\1\x08\0" + first)


def test_long_data_and_types_that_stay(stack):
    """Long data of several parameters, an empty one, one that a reset takes back; types that are sent once; then a
    statement that is closed. Equal at the server, and recorded as the server had it."""
    def long_data(side, parameter, data):
        side.connection.command(wire.LONG_DATA, struct.pack("<IH", side.statement, parameter) + data)

    types = b"\1\xfc\0\x08\0\xfd\0"
    before = stack.audit.count()
    with both(stack) as sides:
        same(sides, wire.PREPARE, b"SELECT CONCAT('[', ?, ']'), ?, ?")
        for side in sides:
            for parameter, data in ((0, b"one, "), (2, b""), (0, b"two, "), (0, b"three")):
                long_data(side, parameter, data)
        first = struct.pack("<q", 12)
        same(sides, wire.EXECUTE, lambda s: struct.pack("<IBI", s, 0, 1) + b"\0" + types + first)
        for side in sides:
            long_data(side, 0, b"taken back")
        same(sides, RESET, lambda s: struct.pack("<I", s))
        untyped = b"\x05abcde" + struct.pack("<q", -1) + b"\x03xyz"
        same(sides, wire.EXECUTE, lambda s: struct.pack("<IBI", s, 0, 1) + b"\0\0" + untyped)
        same(sides, wire.EXECUTE, lambda s: struct.pack("<IBI", s, 0, 1) + b"\5\0" + struct.pack("<q", -2))
    executed = [r["params"] for r in side_by_side.records(stack.audit, before) if r["event"] == "execute"]
    assert executed[0][1] == 12 and executed[1][1:] == [-1, "xyz"] and executed[2] == [None, -2, None]
    assert executed[0][0] == {"base64": "b25lLCB0d28sIHRocmVl"}


@MARIADB
@EOFS
def test_bulk_with_every_indicator(stack, eof):
    """A value, NULL, the column's default, and "leave the column as it is"."""
    def bulk(types, *rows):
        return BULK_EXECUTE, lambda statement: struct.pack("<IH", statement, 128) + types + b"".join(rows)

    before = stack.audit.count()
    with both(stack, flags=side_by_side.FLAGS | eof, extended=wire.BULK) as sides:
        for side in sides:  # one after the other: they share the table
            answers = [side.ask(wire.QUERY, b"DELETE FROM scratch")[-1][1][:1]]
            side.ask(wire.PREPARE, b"INSERT INTO scratch (id, name) VALUES (?, ?)")
            number = [b"\0" + struct.pack("<i", n) for n in range(4)]
            answers.append(side.ask(*bulk(b"\3\0\xfd\0", number[1] + b"\0\3one", number[2] + b"\1", number[3] + b"\2")))
            side.ask(wire.PREPARE, b"UPDATE scratch SET name = ? WHERE id = ?")
            answers.append(side.ask(*bulk(b"\xfd\0\3\0", b"\3" + number[1], b"\0\3two" + number[2])))
            answers.append(side.ask(*bulk(b"\xfd\0\3\0", b"\7" + number[1])))
            answers.append(side.ask(wire.QUERY, b"SELECT id, name FROM scratch ORDER BY id"))
            side.answers = answers
            if answers[-1] != ["closed"]:
                side.ask(wire.QUERY, b"DELETE FROM scratch")
        assert sides[0].answers[:3] == sides[1].answers[:3]
        assert b"\x011\x03one" in [packet[1] for packet in sides[0].answers[4]]
        # An indicator that does not exist: what the server makes of it is its own affair, it is not sent.
        assert sides[1].answers[3][0][1][:1] == b"\xff" and b"sallyport: " in sides[1].answers[3][0][1]
    executed = [r for r in side_by_side.records(stack.audit, before) if r.get("command") == "stmt_bulk_execute"]
    assert executed[0]["params"] == [1, "one", 2, None, 3, {"default": True}]
    assert executed[1]["params"] == [{"ignore": True}, 1, "two", 2]


def test_change_of_user_with_a_stored_password(stack):
    """The client has no password to give; the proxy answers the database with the one that it was configured with."""
    for cold in (True, False):
        if cold:
            stack.server.cool_password_cache()
        with open_session(stack.proxy, "reader", "ci-1") as connection:
            wire.query(connection, "SET @mine = 1")
            connection.command(wire.CHANGE_USER, change_user_body("reader_pw"))
            answer = connection.expect()
            while answer[:1] != b"\0":
                if answer[:1] == b"\xfe":
                    connection.send(b"")
                answer = connection.expect()
            assert wire.query(connection, "SELECT CURRENT_USER(), @mine") == [b"\x0breader_pw@%\xfb"]


@pytest.mark.parametrize("user,schema,code", [("writer", "shop", 1045), ("reader", "secret", 1044), ("root", "", 1045)])
def test_change_of_user_that_is_denied_ends_the_session(stack, user, schema, code):
    """And the database never hears of it."""
    before = stack.audit.count()
    with stack.server.general_log() as log, open_session(stack.proxy, "reader", "ci-1") as connection:
        connection.command(wire.CHANGE_USER, change_user_body(user, schema))
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == code and raised.value.message.startswith("sallyport: ")
        assert connection.at_end() == b""
        assert not [entry for entry in log() if entry[1] in ("Change user", "Change_user")]
    record = next(r for r in side_by_side.records(stack.audit, before) if r.get("command") == "change_user")
    assert record["outcome"] == "denied"


def test_reset_connection_drops_statements(stack):
    """At the server and in the proxy's own table: a statement from before is unknown, and not relayed."""
    with stack.server.general_log() as log, open_session(stack.proxy) as connection:
        statement = prepare(connection, b"SELECT 'dropped'")
        wire.query(connection, "SET @mine = 1")
        connection.command(wire.RESET_CONNECTION)
        assert connection.expect()[:1] == b"\0"
        connection.command(wire.EXECUTE, statement + b"\0\1\0\0\0")
        with pytest.raises(wire.ServerError, match="1243 HY000 sallyport: "):
            connection.expect()
        assert wire.query(connection, "SELECT @mine") == [b"\xfb"]
        assert not [entry for entry in log() if entry[1] == "Execute"]


@pytest.mark.parametrize("kind", [9, 13, 16, 255], ids=["INT24", "YEAR", "BIT", "GEOMETRY"])
def test_parameter_types_that_servers_read_differently(stack, kind):
    """docs/decisions/0704: refused, with the words of the decision record; nothing of it reaches the database."""
    with stack.server.general_log() as log, open_session(stack.proxy) as connection:
        statement = prepare(connection, b"SELECT ?")
        body = statement + b"\0" + struct.pack("<I", 1) + b"\0\1" + bytes([kind, 0]) + b"\x041234"
        connection.command(wire.EXECUTE, body)
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert (raised.value.code, raised.value.sqlstate) == (1835, "HY000")
        said = f"parameters of type {kind} are not supported: bind it as a string or blob"
        assert raised.value.message == f"sallyport: bot report-1: parameter 1: {said}"
        assert connection.at_end() == b""
        assert not [entry for entry in log() if entry[1] == "Execute"]


@pytest.mark.parametrize("code", [0x00, 0x0B, 0x0F, 0x10, 0x14, 0x1D, 0x20, 0x21, 0xFB, 0xFE], ids=hex)
def test_commands_that_servers_keep_for_themselves(certificates, start_proxy, code):
    def script(peer):
        peer.log_in()
        peer.serve()

    with FakeUpstream(certificates, script) as upstream:
        with wire.dial(start_proxy(upstream.port).plain_port, certificates) as connection:
            wire.log_in(connection)
            connection.command(code, b"something")
            with pytest.raises(wire.ServerError, match="1047 08S01 sallyport: "):
                connection.expect()
            connection.command(wire.PING)
            assert connection.expect()[:1] == b"\0"
        assert bytes([code]) not in {command[:1] for command in upstream.commands}
