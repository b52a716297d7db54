# SPDX-License-Identifier: Apache-2.0
"""The compressed protocol, ended at each leg: what comes and what goes is the same as directly at the server, frame ids
are those that clients check, the record does not know of it, and hostile frames end in an error or a close."""

import hashlib
import pathlib
import struct
import subprocess
import threading
import zlib

import pytest

from harness import compressed, wire
from harness.clients import sanitized
from harness.commands import change_user, change_user_body, execute_long, prepare, read_results
from harness.compressed import Compressed, frame, header
from harness.wire import FakeUpstream

MEGABYTE = 1 << 20
ROWS = 60  # of a megabyte each: more than any buffer of the proxy
# Bytes that do not pack, the same in every run.
NOISE = b"".join(hashlib.sha512(b"%d" % number).digest() for number in range(MEGABYTE // 4))


def loads_files(configuration):
    configuration["roles"][1]["allow"]["features"] = ["local_infile"]


def plain(configuration):
    """Statements of several megabytes are streamed, and no rule needs to read them."""
    loads_files(configuration)
    configuration["roles"][1]["allow"]["schemas"] = ["*"]
    configuration["roles"][1]["deny"] = {}
    configuration["audit"]["statement_limit"] = "64k"


@pytest.fixture(scope="module")
def stack(server, certificates):
    from harness.stack import Stack

    server.execute("CREATE OR REPLACE TABLE shop.loaded (a VARCHAR(60))" if not server.mysql9
                   else "CREATE TABLE IF NOT EXISTS shop.loaded (a VARCHAR(60))")
    running = Stack(server, certificates, plain).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


def methods(server):
    return ("zlib", "zstd") if server.mysql9 else ("zlib",)


def pairs(stack, **more):
    """(directly, through the proxy) for each method that the server has."""
    for method in methods(stack.server):
        with compressed.open_direct(stack.server, method, **more) as direct, \
                compressed.open_proxy(stack.proxy, method, **more) as through:
            yield direct, through


def frame_ids(connection):
    """What a client checks of frames: where each answer's began."""
    return [sequence for sequence, _, _ in connection.came]


# The same as directly.


def test_status_reads_as_directly(stack):
    for direct, through in pairs(stack):
        for statement in ("SHOW SESSION STATUS LIKE 'Compression%'", "SELECT 1"):
            assert wire.query(direct, statement) == wire.query(through, statement)
        assert wire.query(through, "SHOW SESSION STATUS LIKE 'Compression'") == [b"\x0bCompression\x02ON"]


@pytest.mark.parametrize("level", [1, 3, 7, 22])
def test_zstd_level_reaches_the_server(stack, level):
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    with compressed.open_proxy(stack.proxy, "zstd", level=level) as connection:
        answer = wire.query(connection, "SHOW SESSION STATUS LIKE 'Compression_level'")
        assert answer == [b"\x11Compression_level" + wire.lenenc_string(b"%d" % level)]
        assert len(wire.query(connection, "SELECT REPEAT('level', 200000)")[0]) > 1000000


def test_zstd_level_that_does_not_exist(stack):
    """The server's own error, as directly."""
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    refusals = []
    for opener, target in ((compressed.open_direct, stack.server), (compressed.open_proxy, stack.proxy)):
        with pytest.raises(wire.ServerError) as raised:
            opener(target, "zstd", level=77)
        refusals.append((raised.value.code, raised.value.sqlstate, raised.value.message))
    assert refusals[0] == refusals[1]


def test_both_methods_asked_for(stack):
    """zlib wins, on both legs."""
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    for opener, target in ((compressed.open_direct, stack.server), (compressed.open_proxy, stack.proxy)):
        with opener(target, compressed.COMPRESS | compressed.ZSTD) as connection:
            answer = wire.query(connection, "SHOW SESSION STATUS LIKE 'Compression_algorithm'")
            assert answer == [b"\x15Compression_algorithm\x04zlib"]


def test_offered_as_the_server_offers_it(stack, certificates):
    """A client without compression is served as before; a server without it is not claimed to have it."""
    with wire.dial(stack.proxy.plain_port, certificates, "report-1") as connection:
        greeting = wire.log_in(connection, "writer")
        assert bool(greeting.capabilities & compressed.ZSTD) == stack.server.mysql9
        assert greeting.capabilities & compressed.COMPRESS
        assert wire.query(connection, "SHOW SESSION STATUS LIKE 'Compression'") == [b"\x0bCompression\x03OFF"]


STATEMENTS = [
    "SELECT 1", "SELECT * FROM types", "SELECT n FROM numbers", "SELECT REPEAT('x', 200000), 1 UNION SELECT 'y', 2",
    "SELECT REPEAT('a', 65525)", "SELECT REPEAT('a', 65536)", "UPDATE items SET price = price", "nonsense",
    "SELECT * FROM no_such_table", "SELECT data FROM blobs", "DO 1", "SELECT SLEEP(0)",
]


def outcome(connection, statement):
    try:
        return wire.query(connection, statement)
    except wire.ServerError as error:
        return error.code, error.sqlstate, error.message.replace("direct", "writer")


def read_results_or_error(connection):
    try:
        return read_results(connection)
    except wire.ServerError as error:
        return str(error)


def test_answers_are_the_same(stack):
    for direct, through in pairs(stack):
        for statement in STATEMENTS:
            assert outcome(direct, statement) == outcome(through, statement), statement
        for connection in (direct, through):
            connection.command(wire.QUERY, b"CALL two_results()")
        assert read_results(direct) == read_results(through)
        for statement in ("SELECT 1; SELECT 2; SELECT 3", "SELECT 1; nonsense"):
            for connection in (direct, through):
                connection.command(wire.QUERY, statement.encode())
            assert read_results_or_error(direct) == read_results_or_error(through)


def raw_answer(connection, statement):
    """The whole answer as it came out of the frames, inner sequence ids and all."""
    connection.command(wire.QUERY, statement)
    content = b""
    while True:
        content += connection.read_frame()
        end = content[-9:]
        if end[:3] == b"\5\0\0" and end[4] == 0xFE and not struct.unpack("<H", end[7:])[0] & wire.MORE_RESULTS:
            return content


@pytest.mark.parametrize("cut", [compressed.LARGEST, 1000, 10, 1])
def test_sequence_ids_inside_are_the_same(stack, cut):
    """Packets' own ids count on from the command's last frame, and begin anew in mid-answer whenever the server flushes:
    Node's mysql2 looks at them. A command in many frames reaches the server in as many (modulo 256)."""
    statement = b"/* " + b"long " * 60 + b"*/ SELECT 1; SELECT 2 UNION SELECT 3; SELECT REPEAT('b', 100)"
    for direct, through in pairs(stack):
        answers = []
        for connection in (direct, through):
            connection.cut = cut
            answers.append(raw_answer(connection, statement))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("size", [1000, 65536, 400 * 1024, 3 * MEGABYTE])
@pytest.mark.parametrize("tails", [[1], [1, 1], [40, 3]])
def test_sequence_ids_inside_of_long_commands(stack, size, tails):
    """A streamed command leaves in more frames than it came in, or in fewer, and its last piece may be a byte: the last
    frame has the client's id all the same."""
    body = wire.packet(bytes([wire.QUERY]) + b"SELECT LENGTH('" + b"a" * size + b"'), 'b' UNION SELECT 1, 2")
    for direct, through in pairs(stack):
        answers = []
        for connection in (direct, through):
            connection.frame, at = 0, len(body) - sum(tails)
            for length, start in [(at, 0)] + [(tails[i], at + sum(tails[:i])) for i in range(len(tails))]:
                connection.send_raw(body[start:start + length])
            ids = []
            for _ in range(7):
                head = connection.read_exactly(4)
                connection.read_exactly(int.from_bytes(head[:3], "little"))
                ids.append(head[3])
            answers.append(ids + [connection.came[0][0]])
        assert answers[0] == answers[1]


def test_a_command_in_frames_of_a_byte(stack):
    """A long one, streamed: thousands of frames come, and the server gets few."""
    for direct, through in pairs(stack):
        answers = []
        for connection in (direct, through):
            connection.cut = 1
            body = wire.packet(bytes([wire.QUERY]) + b"SELECT LENGTH('" + b"t" * 100000 + b"')")
            frames, connection.frame = [], len(body) & 0xFF
            for number, byte in enumerate(body):
                frames.append(header(1, number, 0) + bytes([byte]))
            connection.send_frames(b"".join(frames))
            answers.append(wire.read_result(connection))
            answers.append([connection.came[0][0]])
        assert answers[:2] == answers[2:]


def test_pipelined_commands(stack):
    """Each answer's frames begin behind its own command's, and no frame holds parts of two answers."""
    for _, through in pairs(stack):
        through.strict = False
        for number in range(50):
            through.command(wire.QUERY, f"SELECT REPEAT('{number % 10}', 300)".encode())
        for number in range(50):
            through.came.clear()
            assert wire.read_result(through)[0][3:] == b"%d" % (number % 10) * 300
            assert frame_ids(through)[0] == 1 and not through.content


def test_long_data_and_split_statements(stack):
    noise = NOISE[:300000]
    for direct, through in pairs(stack):
        answers = []
        for connection in (direct, through):
            statement = prepare(connection, b"SELECT LENGTH(?), ? + 1")
            for at in range(0, len(noise), 100000):
                connection.command(wire.LONG_DATA, statement + b"\0\0" + noise[at:at + 100000])
            connection.command(
                wire.EXECUTE, statement + b"\0" + struct.pack("<I", 1) + b"\0\x01\xfc\x00\x03\x00" + struct.pack("<i", 7)
            )
            answers.append(wire.read_result(connection))
            text = b"SELECT LENGTH('" + b"s" * (20 * MEGABYTE) + b"')"
            connection.frame = 0
            connection.send_raw(connection.payload_bytes(bytes([wire.QUERY]) + text))
            answers.append(wire.read_result(connection))
        assert answers[0] == answers[2] and answers[1] == answers[3] == [b"\x0820971520"]


def test_change_user_and_reset(stack):
    for method in methods(stack.server):
        with compressed.open_proxy(stack.proxy, method, user="reader") as connection:
            for user in ("writer", "reader", "writer"):
                change_user(connection, user)
                assert wire.query(connection, "SELECT SUBSTRING_INDEX(USER(), '@', 1)") == [b"\x06" + user.encode()]
            connection.command(wire.RESET_CONNECTION)
            assert connection.expect()[:1] == b"\0"
            assert wire.query(connection, "SHOW SESSION STATUS LIKE 'Compression'") == [b"\x0bCompression\x02ON"]


def test_change_user_refused(stack):
    with compressed.open_proxy(stack.proxy, "zlib") as connection:
        connection.command(wire.CHANGE_USER, change_user_body("nobody"))
        with pytest.raises(wire.ServerError, match="sallyport: "):
            while True:
                connection.expect()
                connection.send(b"")
        assert connection.at_end() == b""


def load(connection, data, piece=100000):
    connection.command(wire.QUERY, b"LOAD DATA LOCAL INFILE '/x' INTO TABLE loaded")
    assert connection.expect() == b"\xfb/x"
    for at in range(0, len(data), piece):
        connection.send(data[at:at + piece])
    connection.send(b"")
    return connection.expect()


def test_local_infile(stack):
    data = b"".join(b"row %d\n" % n for n in range(50000))
    flags = wire.CLIENT_FLAGS | wire.LOCAL_FILES
    for direct, through in pairs(stack, flags=flags):
        stack.server.execute("TRUNCATE shop.loaded")
        answers = [load(connection, data) for connection in (direct, through)]
        assert answers[0] == answers[1]
        assert wire.query(through, "SELECT COUNT(*) FROM loaded") == [b"\x06100000"]
        load(through, b"")
        assert wire.query(through, "SELECT 1") == [b"\x011"]


def test_errors_of_ours_stand_in_their_place(stack):
    """A denied command alone, in a pipeline, and behind one of several frames."""
    for method in methods(stack.server):
        with compressed.open_proxy(stack.proxy, method, user="reader") as connection:
            for _ in range(3):
                connection.command(wire.BINLOG_DUMP, struct.pack("<IHI", 4, 0, 1))
                with pytest.raises(wire.ServerError, match="sallyport: "):
                    connection.expect()
            connection.strict = False
            for _ in range(3):
                connection.command(wire.QUERY, b"SELECT 1")
                connection.command(wire.BINLOG_DUMP, struct.pack("<IHI", 4, 0, 1) + b"x" * 100)
            for _ in range(3):
                assert wire.read_result(connection) == [b"\x011"]
                connection.came.clear()
                with pytest.raises(wire.ServerError, match="sallyport: "):
                    connection.expect()
                assert frame_ids(connection) == [1]
            connection.strict = True
            connection.cut = 5
            connection.command(wire.BINLOG_DUMP, struct.pack("<IHI", 4, 0, 1) + b"y" * 60)
            with pytest.raises(wire.ServerError, match="sallyport: "):
                connection.expect()


def test_kill_and_drain(stack, start_proxy):
    """The server's farewell, and ours."""
    for method in methods(stack.server):
        greeting, connection = compressed.log_in(
            wire.dial(stack.proxy.plain_port, stack.certificates, "report-1"), method, "writer"
        )
        connection.strict = False
        with connection:
            stack.server.execute(f"KILL {greeting.connection_id}")
            try:
                with pytest.raises(wire.ServerError):
                    connection.expect()
            except wire.Closed:
                pass  # an idle connection is closed without a word by some
    own = start_proxy(stack.server.port, plain)
    with compressed.open_proxy(own, "zlib") as connection:
        connection.strict = False
        own.process.terminate()
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1053 and frame_ids(connection) == [1]
        own.process.wait(20)
    own.process = None


# The record.


def test_record_does_not_know_of_it(stack):
    """bytes_in and bytes_out count the protocol's bytes, not what they shrink to on the wire."""
    def run(connection, before):
        with connection:
            wire.query(connection, "SELECT REPEAT('r', 70000)")
            statement = prepare(connection, b"SELECT ? + 2")
            execute_long(connection, statement, 40)
            wire.read_result(connection)
            outcome(connection, "nonsense")
            connection.command(wire.QUIT)
            connection.at_end()
        stack.audit.wait_for(None, after=before, event="session.end")
        kept = ("event", "command", "statement", "params", "outcome", "error", "rows", "bytes_in", "bytes_out")
        return [
            {name: record[name] for name in kept if name in record} for record in stack.audit.records(before)
        ]

    before = stack.audit.count()
    bare = wire.dial(stack.proxy.plain_port, stack.certificates, "report-1")
    wire.log_in(bare, "writer")
    expected = run(bare, before)
    assert len(expected) > 4
    for method in methods(stack.server):
        before = stack.audit.count()
        assert run(compressed.open_proxy(stack.proxy, method), before) == expected


# Size, and memory.


def resident(service):
    """Megabytes of memory, at their highest."""
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def bounded():
    return 10000 if sanitized() else 120


@pytest.fixture(scope="module")
def noise(stack):
    """A table with 16 MB that do not pack."""
    with stack.server.admin(max_allowed_packet=64 * MEGABYTE) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop.noise (data LONGBLOB)")
        cursor.execute("INSERT INTO shop.noise VALUES (_binary %s)", (NOISE,))
        yield "SELECT data FROM noise" + " UNION ALL SELECT data FROM noise" * 2
        cursor.execute("DROP TABLE shop.noise")


def skip_definitions(connection):
    for _ in range(connection.expect()[0] + 1):
        connection.expect()


def test_big_results_and_statements(stack):
    """60 MB down and 40 MB up, in memory that does not depend on either."""
    for method in methods(stack.server):
        with compressed.open_proxy(stack.proxy, method) as connection:
            connection.command(
                wire.QUERY, b"SELECT REPEAT(SHA2(n, 512), 8192) FROM numbers WHERE n <= %d ORDER BY n" % ROWS
            )
            skip_definitions(connection)
            for number in range(1, ROWS + 1):
                row = hashlib.sha512(b"%d" % number).hexdigest().encode() * 8192
                assert connection.expect() == wire.lenenc_string(row)
            assert connection.expect()[:1] == b"\xfe"
            text = b"SELECT SHA2('" + (b"0123456789abcdef" * 64) * (40 * 1024) + b"', 256)"
            connection.frame = 0
            connection.send_raw(connection.payload_bytes(bytes([wire.QUERY]) + text))
            digest = hashlib.sha256(text[13:-7]).hexdigest().encode()
            assert wire.read_result(connection) == [wire.lenenc_string(digest)]
    assert resident(stack.proxy) < bounded(), "megabytes of resident memory"


def read_payload(connection):
    """A payload of any length."""
    parts = [connection.expect()]
    while len(parts[-1]) == wire.LARGEST:
        parts.append(connection.read())
    return b"".join(parts)


def test_slow_reader_stops_the_server(stack, noise):
    """48 MB that do not pack, and the client reads nothing for a while: what the proxy holds stays bounded, and nothing
    is lost."""
    for method in methods(stack.server):
        connection = wire.dial(stack.proxy.plain_port, stack.certificates, "report-1", receive_buffer=32768)
        with compressed.log_in(connection, method, "writer")[1] as reader:
            reader.command(wire.QUERY, noise.encode())
            threading.Event().wait(1.0)
            assert resident(stack.proxy) < bounded()
            skip_definitions(reader)
            for _ in range(3):
                assert read_payload(reader) == wire.lenenc_string(NOISE)
            assert reader.expect()[:1] == b"\xfe"


def test_bomb(stack):
    """A statement of 60 MB in 60 KB of frames: streamed, recorded by its length and hash, and others go on meanwhile."""
    value = bytes(60 * MEGABYTE)
    text = b"SELECT LENGTH('" + value + b"')"
    before = stack.audit.count()
    with compressed.open_proxy(stack.proxy, "zlib") as connection, stack.connect(stack.writer, "writer") as other:
        connection.sock.settimeout(60)
        packets = connection.payload_bytes(bytes([wire.QUERY]) + text)
        frames = [
            frame("zlib", packets[at:at + compressed.LARGEST], number)
            for number, at in enumerate(range(0, len(packets), compressed.LARGEST))
        ]
        assert sum(map(len, frames)) < 80000
        connection.send_frames(b"".join(frames))
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        connection.frame = len(frames)
        assert wire.read_result(connection) == [wire.lenenc_string(b"%d" % len(value))]
    assert resident(stack.proxy) < bounded()
    record = stack.audit.wait_for(None, after=before, event="query", statement_length=len(text))
    assert record["statement_sha256"] == hashlib.sha256(text).hexdigest() and record["truncated"]


# Hostile.

WELL = wire.packet(b"\x0e")


def bad_frames():
    packed = zlib.compress(b"a" * 100)
    noise = NOISE[:60]
    yield "sequence 1", header(5, 1, 0) + WELL
    yield "sequence 255", header(5, 255, 0) + WELL
    yield "no zlib", header(60, 0, 1000) + noise
    yield "content shorter", header(len(packed), 0, 101) + packed
    yield "content longer", header(len(packed), 0, 99) + packed
    yield "content of 16 MiB", header(len(packed), 0, 0xFFFFFF) + packed
    yield "nothing packed", header(0, 0, 100)
    yield "cut short", header(len(packed) - 1, 0, 100) + packed[:-1]
    yield "bytes behind it", header(len(packed) + 1, 0, 100) + packed + b"x"
    yield "zstd for zlib", header(0, 0, 0) + b"\xff" + frame("zstd", b"a" * 100, 1)
    yield "a packet of no length", header(4, 0, 0) + wire.packet(b"")
    yield "not compressed at all", b"\x09\0\0\0\x03SELECT 1" + b"\x09\0\0\0\x03SELECT 1"


@pytest.mark.parametrize("name, data", list(bad_frames()), ids=[name for name, _ in bad_frames()])
def test_hostile_client(stack, name, data):
    before = stack.audit.count()
    with compressed.open_proxy(stack.proxy, "zlib") as connection:
        assert wire.query(connection, "SELECT 1") == [b"\x011"]
        connection.strict = False
        connection.send_frames(data)
        with pytest.raises((wire.ServerError, wire.Closed)) as raised:
            while True:
                wire.read_result(connection)
        if raised.type is wire.ServerError:
            assert raised.value.message.startswith("sallyport: bot report-1: ") and frame_ids(connection)[-1] == 1
    ended = stack.audit.wait_for(None, after=before, event="session.end")
    assert ended["reason"] == "client_protocol", ended
    assert stack.proxy.process.poll() is None


def test_hostile_zstd(stack):
    """Windows of gigabytes, frames that libraries skip, formats that nobody writes."""
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    raw = bytes.fromhex("28b52ffd0058210000") + b"abcd"
    for data in (
        raw.replace(b"\x58", b"\xf8"), b"\x50\x2a\x4d\x18\4\0\0\0abcd", b"\x27\xb5\x2f\xfd\0\x58\x21\0\0abcd", raw + raw,
        raw[:-1],
    ):
        before = stack.audit.count()
        with compressed.open_proxy(stack.proxy, "zstd") as connection:
            connection.send_frames(header(len(data), 0, 4) + data)
            connection.at_end()
        assert stack.audit.wait_for(None, after=before, event="session.end")["reason"] == "client_protocol"
    assert resident(stack.proxy) < bounded()


def test_zstd_window_is_the_clients_own(stack):
    """Servers unpack a frame in one call: they take windows that the login's level does not need, up to 128 MiB here."""
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    command = wire.packet(bytes([wire.QUERY]) + b"SELECT 'window'")
    for log in (10, 21, 23, 24, 27):
        window = bytes([(log - 10) << 3])
        packed = b"\x28\xb5\x2f\xfd\0" + window + struct.pack("<I", len(command) << 3 | 1)[:3] + command
        for opener, target in ((compressed.open_direct, stack.server), (compressed.open_proxy, stack.proxy)):
            with opener(target, "zstd", level=1) as connection:
                connection.send_frames(header(len(packed), 0, len(command)) + packed)
                connection.frame = 1
                assert wire.read_result(connection) == [b"\x06window"], log


SILENT = 40  # sessions, of 16 MiB each if nothing bounds them


def current(service):
    """Megabytes of memory, now."""
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_half_frames_do_not_add_up(stack, start_proxy):
    """Sessions that send all but the end of a frame of 16 MiB with the largest window, and fall silent: what they hold is
    bounded (COMPRESSION_READERS_MAX for each worker, and what any long statement holds), and others are served."""
    if not stack.server.mysql9:
        pytest.skip("MariaDB has no zstd on the wire")
    proxy = start_proxy(stack.server.port, plain)  # statements of more than 64k are not held
    content = wire.packet(bytes([wire.QUERY]) + b"SELECT '" + bytes(compressed.LARGEST - 13))
    packed = compressed.zstd_pack(content, 22)
    assert len(packed) < 1000
    before = current(proxy)
    silent = [compressed.open_proxy(proxy, "zstd", level=22) for _ in range(SILENT)]
    try:
        for connection in silent:
            connection.send_frames(header(len(packed) + 1000, 0, len(content)) + packed[:-2])
        threading.Event().wait(2.0)
        workers = len(list(pathlib.Path(f"/proc/{proxy.process.pid}/task").glob("*")))
        assert current(proxy) - before < (10000 if sanitized() else 350), f"{workers} threads"
        with compressed.open_proxy(proxy, "zstd", level=3) as other:
            text = b"SELECT LENGTH('" + b"o" * (4 * MEGABYTE) + b"')"
            other.command(wire.QUERY, text)
            assert wire.read_result(other) == [b"\x074194304"]
    finally:
        for connection in silent:
            connection.close()


def test_half_a_frame_at_the_end(stack):
    """A client that goes away in mid-frame leaves nothing behind: the fixture counts descriptors, ASan memory."""
    whole = frame("zlib", wire.packet(bytes([wire.QUERY]) + b"SELECT '" + b"h" * 5000 + b"'"), 0)
    for length in (1, 6, 7, 8, len(whole) // 2, len(whole) - 1):
        with compressed.open_proxy(stack.proxy, "zlib") as connection:
            connection.send_frames(whole[:length])
    with compressed.open_proxy(stack.proxy, "zlib") as connection:
        for at in range(len(whole)):
            connection.send_frames(whole[at:at + 1])
        connection.frame = 1
        assert len(wire.read_result(connection)[0]) == 5003


# A server that is hostile, or only odd.


def serve(answer):
    """A server with zlib that answers each command with bytes of a test's own."""
    def script(peer):
        peer.log_in(flags=wire.SERVER_FLAGS | compressed.COMPRESS)
        inner = Compressed(peer, "zlib", strict=False)
        while True:
            inner.frame = 0
            command = inner.read()
            peer.upstream.commands.append(command)
            if command[:1] == b"\x01":
                return
            inner.send_frames(answer)

    return script


OK = wire.packet(wire.ok_packet(), 1)


@pytest.mark.parametrize("answer", [
    header(60, 1, 1000) + bytes(60), header(0, 1, 70), header(11, 1, 0) + OK + b"\0" * 20,
    header(len(zlib.compress(OK)), 1, len(OK) - 1) + zlib.compress(OK),
], ids=["no zlib", "nothing packed", "too long", "content longer"])
def test_hostile_server(certificates, start_proxy, answer):
    with FakeUpstream(certificates, serve(answer)) as upstream:
        proxy = start_proxy(upstream.port, plain)
        with compressed.open_proxy(proxy, "zlib") as connection:
            connection.command(wire.PING)
            with pytest.raises((wire.ServerError, wire.Closed)):
                connection.expect()
                connection.command(wire.PING)
                connection.expect()
                connection.expect()
        ended = proxy.audit.wait_for(None, event="session.end")
        assert ended["reason"] in ("upstream_protocol", "upstream_closed"), ended


def test_answer_in_frames_of_one_byte(certificates, start_proxy):
    answer = b"".join(header(1, number, 0) + OK[number - 1:number] for number in range(1, len(OK) + 1))
    with FakeUpstream(certificates, serve(answer)) as upstream:
        proxy = start_proxy(upstream.port, plain)
        with compressed.open_proxy(proxy, "zlib") as connection:
            for _ in range(3):
                connection.command(wire.PING)
                assert connection.expect() == wire.ok_packet()


# Clients of others.


def command_line(server, stack, *options):
    program = "mysql" if server.mysql9 else "mariadb"
    text = "SHOW SESSION STATUS LIKE 'Compression%'; SELECT * FROM types; SELECT REPEAT('z', 3000000); CALL two_results();"
    outputs = []
    for port, user in ((server.port, "direct"), (stack.writer, "writer")):
        done = subprocess.run(
            server.place.argv(program, "--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{user}", "--protocol=tcp", *options,
                              "--max-allowed-packet=64M", "-N", "shop", "-e", text),
            capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    return outputs


def test_command_line_through_the_tunnel(stack):
    """The servers' own clients, through tunnel and proxy: the tunnel relays what it does not read."""
    server = stack.server
    options = [["--compress", "--skip-ssl"]]
    if server.mysql9:
        options = [["--compression-algorithms=zlib", "--ssl-mode=DISABLED"],
                   ["--compression-algorithms=zstd", "--zstd-compression-level=9", "--ssl-mode=DISABLED"]]
    for chosen in options:
        direct, through = command_line(server, stack, *chosen)
        assert direct == through and b"Compression\tON" in through


def test_libmariadb_with_autocommit_off(stack):
    """Debian's libmariadb from Python, by its own call: what it sends in a pipeline after the login, and 16 MiB."""
    try:
        import MySQLdb
    except ImportError:
        pytest.skip("no python3-mysqldb")
    connection = MySQLdb.connect(host="127.0.0.1", port=stack.writer, user="writer", db="shop", compress=True)
    cursor = connection.cursor()
    for size in (100, 70000, 0xFFFFFF - 40, 20 * MEGABYTE):
        cursor.execute("SELECT LENGTH(%s)", ("m" * size,))
        assert cursor.fetchone() == (size,)
        cursor.execute(f"SELECT REPEAT('k', {size})")
        assert len(cursor.fetchone()[0]) == size
    connection.close()
