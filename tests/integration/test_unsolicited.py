# SPDX-License-Identifier: Apache-2.0
"""Packets that nobody asked for, and ends that nobody announced: an idle connection that the server gives up, kills,
deadlines, a server that shuts down or dies. The client gets the bytes that it would get directly, the record says what
happened, the session ends for the right reason, and nothing is left behind. (test_upstream_faults.py has the faults
that only a fake makes.)"""

import signal
import socket
import threading
import time

import MySQLdb
import pymysql
import pytest

from harness import process, wire
from harness.clients import ClientStack
from harness.commands import prepare, wait_gone
from harness.process import wait_until

BUSY = b"SELECT SLEEP(20) /* %s */"


@pytest.fixture(scope="module")
def ends(server, certificates):
    running = ClientStack(server, certificates).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def mortal(server, certificates):
    """A server of the same kind that tests may end, and its stack."""
    private = type(server)(certificates).start()
    try:
        running = ClientStack(private, certificates).start()
        try:
            yield running
            running.settle()
        finally:
            running.stop()
    finally:
        private.stop()


class Ways:
    """The same session twice: directly at the server, and through the proxy."""

    names = ("direct", "proxied")

    def __init__(self, stack, flags=wire.CLIENT_FLAGS, before=None):
        self.stack = stack
        self.before = stack.audit.count() if before is None else before
        self.direct = wire.Connection(socket.create_connection(("127.0.0.1", stack.server.port)), 30)
        self.proxied = wire.dial(stack.proxy.plain_port, stack.certificates, "report-1", timeout=30)
        self.threads = {}
        for name, user in zip(self.names, ("direct", "writer")):
            self.threads[name] = wire.log_in(getattr(self, name), user, "shop", flags).connection_id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.names:
            getattr(self, name).close()

    def each(self, action):
        """action(connection, thread) one after the other; its results by name."""
        return {name: action(getattr(self, name), self.threads[name]) for name in self.names}

    def same(self, results):
        """What both got, without what names account or connection."""
        seen = [self.anonymous(results[name]) for name in self.names]
        assert seen[0] == seen[1]
        return seen[0]

    def anonymous(self, data):
        if isinstance(data, (list, tuple)):
            return [self.anonymous(item) for item in data]
        for thread in self.threads.values():
            data = data.replace(b" %d " % thread, b" 1 ")
        return data.replace(b"'writer'", b"'direct'")

    def query(self, text):
        return self.each(lambda connection, _: wire.query(connection, text))

    def send(self, text):
        self.each(lambda connection, _: connection.command(wire.QUERY, text))

    def busy(self, mark):
        """Sends a query that takes long, and waits until the server runs it for both."""
        text = BUSY % mark
        self.send(text)
        wait_until(lambda: len(self.stack.server.execute(
            "SELECT id FROM information_schema.processlist WHERE info = %s", text.decode())) == 2, "two busy sessions")

    def kill(self, what):
        for thread in self.threads.values():
            self.stack.server.execute(f"KILL {what} {thread}")

    def alike(self, seen):
        """What came up to the end of each. Where the server closes without a word, the proxy may say that it did
        (DESIGN.md: "losses of the upstream as 1159/08S01"); where the server says why, the client gets no more."""
        direct, proxied = (self.anonymous(seen[name]) for name in self.names)
        assert proxied[:len(direct)] == direct
        rest = proxied[len(direct):]
        if rest:
            assert not (direct and error_of(direct, whole=False)), "the proxy adds to what the server said"
            code, message = error_of(rest)
            assert code == 1159 and message.startswith("sallyport: bot report-1: database shop: "), message
        return direct

    def ends(self):
        """The bytes up to the end of each."""
        return self.alike(self.each(lambda connection, _: connection.at_end()))

    def record(self, mark):
        return self.stack.audit.wait_for(lambda r: mark in r.get("statement", ""), after=self.before)

    def end(self, reason):
        record = self.stack.audit.wait_for(None, after=self.before, event="session.end")
        assert record["reason"] == reason, record
        assert record["upstream_connection_id"] == self.threads["proxied"]
        return record


def error_of(data, whole=True):
    """(code, message) of the ERR packet that came, or None for nothing. `whole`: nothing else may have come."""
    if not data or (not whole and data[4] != 0xFF):
        return None
    assert len(data) == 4 + (data[0] | data[1] << 8 | data[2] << 16) and data[4] == 0xFF, data
    error = wire.ServerError(data[4:])
    return error.code, error.message


def agrees(record, error):
    """The session's end says what the server said last."""
    if error is not None:
        assert record["error"]["code"] == error[0] and error[1] in record["error"]["message"], record


@pytest.mark.parametrize("flags", [wire.CLIENT_FLAGS, wire.CLIENT_FLAGS | wire.DEPRECATE_EOF], ids=["EOF", "no EOF"])
def test_wait_timeout(ends, flags):
    """MySQL 8.0.24 and later say 4031 before they close; MariaDB 10.11 says nothing."""
    with Ways(ends, flags) as ways:
        ways.send(b"SET SESSION wait_timeout = 1")
        ways.each(lambda connection, _: connection.expect())
        error = error_of(ways.ends())
        assert (error is not None and error[0] == 4031) == ends.server.mysql9
        agrees(ways.end("upstream_closed"), error)


def test_wait_timeout_with_a_command_after_it(ends):
    """A client that has not read the farewell sends its next command into it."""
    with Ways(ends) as ways:
        ways.query("SET SESSION wait_timeout = 1")
        for name in Ways.names:
            wait_until(lambda: ways.threads[name] not in [row[0] for row in ends.server.execute(
                "SELECT id FROM information_schema.processlist")], "the server's patience to end")
        time.sleep(0.2)

        def late(connection, _):
            try:
                connection.command(wire.QUERY, b"SELECT 'too late'")
            except wire.Closed:
                pass
            return connection.at_end()

        ways.each(late)
        ways.end("upstream_closed")
    late = [r for r in ends.audit.records(ways.before) if r.get("statement") == "SELECT 'too late'"]
    assert not [record for record in late if record["outcome"] == "ok"]


def test_kill_of_an_idle_session(ends):
    with Ways(ends) as ways:
        ways.query("SELECT 'idle'")
        ways.kill("CONNECTION")
        error = error_of(ways.ends())
        agrees(ways.end("upstream_closed"), error)


def test_kill_of_a_busy_session(ends):
    with Ways(ends) as ways:
        ways.busy(b"killed")
        ways.kill("CONNECTION")
        ways.ends()
        assert ways.record("killed")["outcome"] in ("error", "unknown", "ok")
        ways.end("upstream_closed")
    wait_gone(ends.server, "writer")


def test_kill_of_a_session_in_a_transaction(ends):
    """What it had done is undone, and the next session is none the wiser."""
    with Ways(ends) as ways:
        for name in Ways.names:
            connection = getattr(ways, name)
            wire.query(connection, "START TRANSACTION")
            number = 90 if name == "direct" else 91
            wire.query(connection, f"INSERT INTO scratch (id, name) VALUES ({number}, 'undone')")
        ways.kill("CONNECTION")
        ways.ends()
        ways.end("upstream_closed")
    wait_until(lambda: not ends.server.execute("SELECT 1 FROM shop.scratch WHERE name = 'undone'"), "the roll-back")


def test_kill_query(ends):
    """The query ends; the session goes on."""
    with Ways(ends) as ways:
        ways.busy(b"interrupted")
        ways.kill("QUERY")

        def result(connection, _):
            try:
                return wire.read_result(connection)
            except wire.ServerError as error:
                return [str(error).encode()]

        ways.same(ways.each(result))
        assert ways.same(ways.query("SELECT 'still here'")) == [b"\x0astill here"]
        ways.each(lambda connection, _: connection.command(wire.QUIT) or connection.at_end())
        assert ways.record("interrupted")["outcome"] in ("ok", "error")
        ways.end("client_quit")


def test_kill_query_in_mid_result(ends):
    """An ERR among the rows: it ends the answer with the right number, and the record tells the rows that came."""
    text = b"SELECT /* mid-result */ REPEAT('x', 30000), SLEEP(0.02) FROM numbers"
    with Ways(ends) as ways:
        ways.send(text)

        def rows(connection, thread):
            """Reads some rows, kills the query, reads the others and the error behind them."""
            head = [connection.read() for _ in range(4)]
            count = 0
            while True:
                sequence = connection.sequence
                packet = connection.read()
                assert connection.sequence == (sequence + 1) & 0xFF
                if packet[:1] == b"\xff":
                    return head, packet, count
                count += 1
                if count == 3:
                    ends.server.execute(f"KILL QUERY {thread}")

        seen = ways.each(rows)
        assert ways.same({name: [*head, error] for name, (head, error, _) in seen.items()})
        assert wire.ServerError(seen["proxied"][1]).code == 1317
        assert ways.same(ways.query("SELECT 'still here'")) == [b"\x0astill here"]
        record = ways.record("mid-result")
        assert record["outcome"] == "error" and record["error"]["code"] == 1317
        assert record["rows"] == seen["proxied"][2]


def test_deadline_of_a_statement(ends):
    """max_statement_time, max_execution_time."""
    variable = "max_execution_time = 200" if ends.server.mysql9 else "max_statement_time = 0.2"
    text = b"SELECT /* deadline */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d"
    with Ways(ends) as ways:
        ways.query(f"SET SESSION {variable}")

        def failure(connection, _):
            connection.command(wire.QUERY, text)
            packet = connection.read()
            while packet[:1] != b"\xff":
                packet = connection.read()
            return packet

        packet = ways.same(ways.each(failure))
        assert wire.ServerError(packet).code == (3024 if ends.server.mysql9 else 1969)
        assert ways.record("deadline")["error"]["code"] == wire.ServerError(packet).code
        assert ways.same(ways.query("SELECT 'still here'")) == [b"\x0astill here"]


@pytest.mark.parametrize("statement", ["text", "prepared"])
def test_deadline_in_mid_result(ends, statement):
    """The deadline's ERR comes among rows, in the binary protocol too, with the number that is due."""
    variable = "max_execution_time = 600" if ends.server.mysql9 else "max_statement_time = 0.6"
    text = (b"SELECT /* late rows %s */ a.n, REPEAT('x', 30000) FROM numbers a WHERE"
            b" (SELECT SUM(b.n * c.n) FROM numbers b, numbers c WHERE b.n <> a.n AND b.n < 200) > 0"
            % statement.encode())
    with Ways(ends) as ways:
        ways.query(f"SET SESSION {variable}")

        def until_error(connection, _):
            if statement == "text":
                connection.command(wire.QUERY, text)
            else:
                connection.command(wire.EXECUTE, prepare(connection, text) + b"\0\1\0\0\0")
            rows = -4  # what comes before them: the count, two columns, and the EOF behind them
            while True:
                sequence = connection.sequence
                packet = connection.read()
                assert connection.sequence == (sequence + 1) & 0xFF
                if packet[:1] == b"\xff":
                    return packet, rows
                rows += 1

        seen = ways.each(until_error)
        packet = ways.same({name: error for name, (error, _) in seen.items()})
        assert wire.ServerError(packet).code == (3024 if ends.server.mysql9 else 1969)
        assert ways.same(ways.query("SELECT 'still here'")) == [b"\x0astill here"]
        record = ends.audit.wait_for(
            lambda r: "late rows" in r.get("statement", "") and r["event"] != "prepare", after=ways.before)
        assert record["error"]["code"] == wire.ServerError(packet).code
        assert record.get("rows", 0) == max(seen["proxied"][1], 0)


# --- real clients ---


def _failure(action):
    try:
        action()
        return None
    except (pymysql.err.Error, MySQLdb.Error) as error:
        return type(error).__name__, error.args


def with_pymysql(port, user):
    connection = pymysql.connect(host="127.0.0.1", port=port, user=user, database="shop", read_timeout=30)

    def run(text):
        with connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall()

    return run, connection.thread_id(), connection


def with_libmariadb(port, user):
    connection = MySQLdb.connect(host="127.0.0.1", port=port, user=user, db="shop")

    def run(text):
        cursor = connection.cursor()
        cursor.execute(text)
        return cursor.fetchall()

    return run, connection.thread_id(), connection


@pytest.mark.parametrize("client", [with_pymysql, with_libmariadb], ids=["PyMySQL", "libmariadb"])
@pytest.mark.parametrize("what", ["wait_timeout", "killed", "killed while busy", "query killed"])
def test_real_clients_are_told_the_same(ends, client, what):
    def outcome(port, user):
        run, thread, connection = client(port, user)
        try:
            if what == "wait_timeout":
                run("SET SESSION wait_timeout = 1")
                wait_until(lambda: thread not in [row[0] for row in ends.server.execute(
                    "SELECT id FROM information_schema.processlist")], "the server's patience to end")
                time.sleep(0.2)
            elif what == "killed":
                ends.server.execute(f"KILL CONNECTION {thread}")
                time.sleep(0.2)
            if "busy" in what or "query" in what:
                kind = "QUERY" if "query" in what else "CONNECTION"
                timer = threading.Timer(0.4, lambda: ends.server.execute(f"KILL {kind} {thread}"))
                timer.start()
                first = _failure(lambda: run(
                    "SELECT SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d"))
                timer.join()
            else:
                first = _failure(lambda: run("SELECT 'afterwards'"))
            return first, _failure(lambda: run("SELECT 'afterwards'"))
        finally:
            connection.close()

    direct, proxied = outcome(ends.server.port, "direct"), outcome(ends.writer, "writer")
    gone = (2006, 2013)
    if what in ("wait_timeout", "killed") and direct[0][1][0] in gone:
        # Nothing was asked: the connection is found closed, which is what pools look for.
        assert proxied[0][1][0] in gone, proxied
    elif proxied[0] is not None and proxied[0][1][0] == 1159:
        # DESIGN.md has it so: the proxy says what the server did not.
        assert direct[0] is not None and direct[0][1][0] in gone, direct
        assert proxied[0][1][1].startswith("sallyport: bot report-1: database shop: ")
    else:
        assert proxied[0] == direct[0]
    assert (proxied[1] is None) == (direct[1] is None), (proxied, direct)


# --- a server that ends ---


@pytest.mark.parametrize("how", ["shutdown", "SIGKILL"])
def test_server_ends(mortal, how):
    """While one session is idle and another is busy: each gets what it would get directly."""
    server = mortal.server
    if server.process.poll() is not None:
        server.run()
    with Ways(mortal) as idle:
        idle.query("SELECT 'idle'")
        with Ways(mortal, before=idle.before) as busy:
            busy.busy(b"cut off")
            if how == "shutdown":
                server.execute("SHUTDOWN")
            else:
                server.process.send_signal(signal.SIGKILL)
            idle.ends()
            busy.ends()
            server.process.wait(30)
    # MySQL ends the SLEEP in good order before it goes down.
    assert busy.record("cut off")["outcome"] in ("error", "unknown", *(["ok"] if how == "shutdown" else []))
    process.wait_until(
        lambda: len([r for r in mortal.audit.records(idle.before) if r["event"] == "session.end"]) == 2, "two ends")
    for end in [r for r in mortal.audit.records(idle.before) if r["event"] == "session.end"]:
        assert end["reason"] == "upstream_closed", end
    mortal.settle()
    server.run()
    with mortal.connect(mortal.writer, "writer") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'it is back'")
        assert cursor.fetchall() == (("it is back",),)
