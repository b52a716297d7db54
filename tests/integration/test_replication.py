# SPDX-License-Identifier: Apache-2.0
"""Binary logs are streamed to those whose role allows it: to the vendors' own tools, and to real replicas."""

import signal
import struct
import subprocess

import pytest

from conftest import SERVERS
from harness import process, wire
from harness.guest import Unavailable
from harness.stack import Stack

GRANTS = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{}'@'%'"


def replication_allowed(configuration):
    for role in configuration["roles"]:
        role["allow"]["schemas"] = ["*"]
        del role["deny"]
    writer = next(role for role in configuration["roles"] if role["name"] == "shop-writer")
    writer["allow"]["features"] = ["replication"]
    configuration["proxy"]["limits"] = {"drain_timeout": "2s"}


def start(kind, certificates):
    try:
        return SERVERS[kind](certificates, binary_log=True).start()
    except Unavailable as reason:
        pytest.skip(f"no {kind}: {reason}")


@pytest.fixture(scope="module", params=SERVERS)
def primary(request, certificates):
    server = start(request.param, certificates)
    for name in ("writer", "direct"):
        server.execute(GRANTS.format(name))
    server.execute("CREATE TABLE shop.logged (id INT PRIMARY KEY, data LONGBLOB)")
    server.execute("INSERT INTO shop.logged VALUES (1, REPEAT('x', 17 * 1024 * 1024)), (2, 'small'), (3, NULL)")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def replicating(primary, certificates):
    running = Stack(primary, certificates, replication_allowed).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


def status(server):
    """(file, position) of the end of the binary log."""
    words = "SHOW BINARY LOG STATUS" if server.mysql9 else "SHOW MASTER STATUS"
    return server.execute(words)[0][:2]


def binlog_tool(server, port, user, *options):
    name = "mysqlbinlog" if server.mysql9 else "mariadb-binlog"
    plain = ["--ssl-mode=DISABLED"] if server.mysql9 else ["--skip-ssl"]
    argv = server.place.argv(
        name, "--no-defaults", "--host=127.0.0.1", f"--port={port}", f"--user={user}", *plain, *options
    )
    done = subprocess.run(argv, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def test_tool_reads_the_same_binary_log(replicating, primary):
    """A stream that ends, with an event of more than 16 MiB in it; by position, and by GTIDs where there is that."""
    file = status(primary)[0]
    gtids = ["--read-from-remote-source=BINLOG-DUMP-GTIDS"] if primary.mysql9 else []
    for option in ["--read-from-remote-server", *gtids]:
        code, direct, problem = binlog_tool(primary, primary.port, "direct", option, file)
        assert code == 0 and len(direct) > 17 << 20, problem
        before = replicating.audit.count()
        code, proxied, problem = binlog_tool(primary, replicating.writer, "writer", option, file)
        assert code == 0, problem
        assert proxied == direct
        end = replicating.audit.wait_for(None, after=before, event="session.end")
        dump = [r for r in replicating.audit.records()[before:] if r.get("command", "").startswith("binlog_dump")]
        assert len(dump) == 1 and dump[0]["outcome"] == "ok" and dump[0]["bytes_out"] > 17 << 20
        assert dump[0]["params"][:2] == [file, 4] and dump[0]["session"] == end["session"]


def test_reader_may_not(replicating, primary):
    """The other bot's role does not allow it."""
    code, _, problem = binlog_tool(
        primary, replicating.reader, "reader", "--read-from-remote-server", status(primary)[0]
    )
    assert code != 0 and b"sallyport: bot ci-1: no role allows replication" in problem
    refused = replicating.audit.wait_for(lambda r: r.get("command") == "binlog_dump" and r["bot"] == "ci-1")
    assert refused["outcome"] == "denied" and refused["error"]["code"] == 1227


def start_replica(replica, port, position):
    file, offset = position
    if replica.mysql9:
        replica.execute(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='writer',"
            f" SOURCE_PASSWORD='', SOURCE_LOG_FILE='{file}', SOURCE_LOG_POS={offset}, SOURCE_SSL=0,"
            " SOURCE_CONNECT_RETRY=1, SOURCE_HEARTBEAT_PERIOD=1"
        )
        replica.execute("START REPLICA")
        return
    no_tls = ", MASTER_SSL=0, MASTER_SSL_VERIFY_SERVER_CERT=0" if replica.name == "mariadb11" else ""
    replica.execute(
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='writer', MASTER_PASSWORD='',"
        f" MASTER_LOG_FILE='{file}', MASTER_LOG_POS={offset}, MASTER_USE_GTID=no, MASTER_CONNECT_RETRY=1,"
        f" MASTER_HEARTBEAT_PERIOD=1{no_tls}"
    )
    replica.execute("START SLAVE")


def replica_says(replica):
    from pymysql.cursors import DictCursor

    with replica.admin(cursorclass=DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW REPLICA STATUS")
        row = cursor.fetchone()
        return {key: row[key] for key in row if "Error" in key or "Running" in key}


def has_row(replica, number):
    return replica.execute("SELECT COUNT(*) FROM shop.items WHERE id = %s", number)[0][0] == 1


def test_replica_follows_through_the_tunnel(replicating, primary, certificates):
    """And goes on by itself when its session was killed."""
    replica = start(primary.name, certificates)
    try:
        before = replicating.audit.count()
        start_replica(replica, replicating.writer, status(primary))
        for number in (1001, 1002):
            primary.execute("INSERT INTO shop.items (id, name) VALUES (%s, 'replicated')", number)
            try:
                process.wait_until(lambda number=number: has_row(replica, number), f"row {number}", 30)
            except AssertionError as late:
                raise AssertionError(f"{late}: {replica_says(replica)}") from late
            for connection in primary.connections("writer"):
                primary.execute("KILL %s", connection)
        registered = replicating.audit.wait_for(lambda r: r.get("command") == "register_slave", after=before)
        assert registered["outcome"] == "ok" and registered["params"][2] == replica.port
        dump = replicating.audit.wait_for(
            lambda r: r.get("command", "").startswith("binlog_dump"), after=before
        )
        assert dump["params"][2] == replica.port and dump["outcome"] in ("error", "unknown")
    finally:
        replica.stop()


def test_drain_does_not_wait_for_ever_for_a_replica(primary, certificates):
    """A stream has no end of its own: it is cut when the time to drain is over, and the stop is an orderly one."""
    running = Stack(primary, certificates, replication_allowed).start()
    try:
        with wire.dial(running.proxy.plain_port, certificates, bot="report-1") as connection:
            wire.log_in(connection, "writer")
            wire.query(connection, "SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'")
            file, position = status(primary)
            connection.command(wire.BINLOG_DUMP, struct.pack("<IHI", position, 0, 4711) + file.encode())
            assert connection.expect()[:1] == b"\0"
            running.proxy.signal(signal.SIGTERM)
            assert running.proxy.process.wait(20) == 0
        running.proxy.process = None
        dump = [r for r in running.audit.records() if r.get("command") == "binlog_dump"]
        assert len(dump) == 1 and dump[0]["outcome"] == "unknown"
    finally:
        running.stop()


@pytest.mark.parametrize("code,body", [
    (wire.BINLOG_DUMP, b""), (wire.BINLOG_DUMP, b"\4\0\0\0\0\0\1\0\0"), (0x1E, b"\0\0\1\0\0\0\xff\xff\xff\xff"),
    (0x1E, bytes(18)), (0x15, b"\1\0\0\0\xff"), (0x15, b""),
], ids=repr)
def test_malformed_commands_of_a_replica_end_the_session(replicating, code, body):
    """I6: what the record cannot say is not relayed."""
    with wire.dial(replicating.proxy.plain_port, replicating.certificates, bot="report-1") as connection:
        wire.log_in(connection, "writer")
        connection.command(code, body)
        with pytest.raises(wire.ServerError, match="1835 HY000 sallyport: .*malformed command of a replica"):
            connection.expect()
        connection.at_end()
