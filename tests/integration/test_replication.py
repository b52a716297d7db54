# SPDX-License-Identifier: Apache-2.0
"""Binary logs are streamed to those whose role allows it: to the vendors' own tools, and to real replicas."""

import signal
import struct
import subprocess
import time

import pytest

from conftest import SERVERS
from harness import process, wire
from harness.commands import open_session
from harness.guest import Unavailable
from harness.stack import Stack
from harness.wire import FakeUpstream

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
        dump = [r for r in replicating.audit.records(before) if r.get("command", "").startswith("binlog_dump")]
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


# --- semi-synchronous replication

# How variables and counters begin; of MySQL they are the names of plugins too, MariaDB has it built in. By server.mysql9.
SEMI_SYNC = {
    True: {"primary": "rpl_semi_sync_source", "replica": "rpl_semi_sync_replica"},
    False: {"primary": "rpl_semi_sync_master", "replica": "rpl_semi_sync_slave"},
}


def switch_semi_sync(server, side):
    name = SEMI_SYNC[server.mysql9][side]
    if server.mysql9 and not server.execute(f"SELECT 1 FROM information_schema.plugins WHERE plugin_name = '{name}'"):
        library = name.removeprefix("rpl_semi_sync_")
        server.execute(f"INSTALL PLUGIN {name} SONAME 'semisync_{library}.so'")
    if side == "primary":
        # Longer than the test waits: a transaction that nobody acknowledges is seen as one that hangs.
        server.execute(f"SET GLOBAL {name}_timeout = 60000")
    server.execute(f"SET GLOBAL {name}_enabled = 1")


def semi_sync_counts(primary):
    """How many replicas there are, and transactions that one of them acknowledged, and that none did."""
    name = SEMI_SYNC[primary.mysql9]["primary"]
    found = {key.lower(): value for key, value in primary.execute(f"SHOW GLOBAL STATUS LIKE '{name}%%'")}
    return [int(found[f"{name}_{count}"]) for count in ("clients", "yes_tx", "no_tx")]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_semi_synchronous_replica(primary, certificates, compressed, request):
    """Each transaction waits for the replica's acknowledgement, which is no command and has no answer."""
    if compressed and primary.mysql9:
        request.applymarker(pytest.mark.xfail(strict=True, reason="MySQL counts frames from 0 behind each event that is"
                            " to be acknowledged, the client's leg does not: the replica reconnects each time"))
    running = Stack(primary, certificates, replication_allowed).start()
    replica = start(primary.name, certificates)
    name = SEMI_SYNC[primary.mysql9]["primary"]
    first = 2100 if compressed else 2000
    try:
        if compressed:
            replica.execute("SET GLOBAL {}_compressed_protocol = 1".format("replica" if replica.mysql9 else "slave"))
        switch_semi_sync(replica, "replica")
        switch_semi_sync(primary, "primary")
        start_replica(replica, running.writer, status(primary))
        process.wait_until(lambda: semi_sync_counts(primary)[0] == 1, "the semi-synchronous replica", 30)
        before = semi_sync_counts(primary)
        for number in range(first, first + 20):
            primary.execute("INSERT INTO shop.items (id, name) VALUES (%s, 'acknowledged')", number)
        clients, acknowledged, alone = semi_sync_counts(primary)
        assert (clients, alone) == (1, before[2]) and acknowledged >= before[1] + 20, replica_says(replica)
        process.wait_until(lambda: has_row(replica, first + 19), "the last row", 30)
        replica.execute("STOP REPLICA")
        dump = running.audit.wait_for(
            lambda r: r.get("command", "").startswith("binlog_dump") and r["bytes_in"] > 20 * 20
        )
        session = [r for r in running.audit.records() if r["session"] == dump["session"]]
        # Counted, and not recorded one by one.
        assert not [r for r in session if r.get("command") == "unknown"] and dump["bytes_in"] < 4096
    finally:
        primary.execute(f"SET GLOBAL {name}_enabled = 0")
        replica.stop()
        running.stop()


ACKNOWLEDGEMENT = b"\xef" + struct.pack("<Q", 1234) + b"binlog.000001"


def streaming(peer, command):
    """A primary that streams, and answers nothing but commands."""
    if command[:1] == bytes([wire.BINLOG_DUMP]):
        peer.send(b"\0" + bytes(30))
    elif command[:1] != b"\xef":
        peer.send(wire.ok_packet())


@pytest.fixture
def fake_primary(certificates, start_proxy):
    def script(peer):
        peer.log_in()
        peer.serve(streaming)

    with FakeUpstream(certificates, script) as upstream:
        upstream.proxy = start_proxy(upstream.port, replication_allowed)
        yield upstream


def begin_dump(connection):
    connection.command(wire.BINLOG_DUMP, struct.pack("<IHI", 4, 0, 4711) + b"binlog.000001")
    assert connection.expect()[:1] == b"\0"


def test_acknowledgements_pass_and_count_in_the_dump(fake_primary):
    with open_session(fake_primary.proxy) as connection:
        begin_dump(connection)
        whole = wire.packet(ACKNOWLEDGEMENT)
        for cut in (0, 3, 5, 20):
            connection.send_raw(whole[:cut])
            time.sleep(0.05)
            connection.send_raw(whole[cut:] + whole)
        process.wait_until(lambda: fake_primary.commands.count(ACKNOWLEDGEMENT) == 8, "eight acknowledgements")
    end = fake_primary.proxy.audit.wait_for(None, event="session.end")
    records = [r for r in fake_primary.proxy.audit.records() if r.get("session") == end["session"]]
    (dump,) = [r for r in records if r["event"] == "command"]
    assert dump["command"] == "binlog_dump" and dump["outcome"] == "unknown"
    assert dump["bytes_in"] == 4 + 11 + 13 + 8 * len(whole)


@pytest.mark.parametrize("packet", [
    b"\xef", ACKNOWLEDGEMENT[:9], ACKNOWLEDGEMENT + b"\0", ACKNOWLEDGEMENT[:9] + b"b" * 512,
    ACKNOWLEDGEMENT[:9] + b"b" * 5000, ACKNOWLEDGEMENT[:9] + b"b" * (1 << 20),
], ids=["magic", "no file", "NUL", "512", "5000", "1 MiB"])
def test_malformed_acknowledgements_end_the_session(fake_primary, packet):
    with open_session(fake_primary.proxy) as connection:
        begin_dump(connection)
        connection.send(packet, sequence=0)
        assert b"sallyport: " in connection.at_end()
    assert fake_primary.proxy.audit.wait_for(None, event="session.end")["reason"] == "client_protocol"
    assert not [c for c in fake_primary.commands if c[:1] == b"\xef"]


def test_acknowledgement_without_a_stream_ends_the_session(fake_primary):
    """Before a dump, and behind a command that a client has only just sent."""
    for first in (None, (wire.PING, b"")):
        before = fake_primary.proxy.audit.count()
        with open_session(fake_primary.proxy) as connection:
            if first:
                connection.command(*first)
            connection.send(ACKNOWLEDGEMENT, sequence=0)
            assert b"command 0xef is unknown" in connection.at_end()
        end = fake_primary.proxy.audit.wait_for(None, after=before, event="session.end")
        assert end["reason"] == "client_protocol"
    assert not [c for c in fake_primary.commands if c[:1] == b"\xef"]


def test_acknowledgement_in_the_wrong_place_of_a_count_ends_the_session(fake_primary):
    with open_session(fake_primary.proxy) as connection:
        begin_dump(connection)
        connection.send(ACKNOWLEDGEMENT, sequence=1)
        assert b"sequence id 1 where 0 was due" in connection.at_end()
    assert not [c for c in fake_primary.commands if c[:1] == b"\xef"]


def test_no_command_follows_an_acknowledgement(fake_primary):
    """A server that takes it for a command would answer it, and what follows would get that answer."""
    with open_session(fake_primary.proxy) as connection:
        begin_dump(connection)
        connection.send(ACKNOWLEDGEMENT, sequence=0)
        connection.command(wire.PREPARE, b"SELECT 1")
        assert b"a command behind a replica's acknowledgement" in connection.at_end()
    refused = fake_primary.proxy.audit.wait_for(None, command="stmt_prepare")
    assert refused["outcome"] == "denied"
    assert not [c for c in fake_primary.commands if c[:1] == bytes([wire.PREPARE])]


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
