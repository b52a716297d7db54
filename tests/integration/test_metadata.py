# SPDX-License-Identifier: Apache-2.0
"""Results that leave their column definitions out, and MariaDB's other extended flags: packet by packet the same through
the proxy as directly. (MySQL manual, COM_QUERY Response, `resultset_metadata`; MariaDB manual, "Connection" and
"Result Set Packets".)"""

import socket
import struct

import pytest

from harness import wire

EOFS = pytest.mark.parametrize("eof", [0, wire.DEPRECATE_EOF], ids=["old_eof", "new_eof"])
MYSQL = pytest.mark.parametrize("server", ["mysql9"], indirect=True)
MARIADB = pytest.mark.parametrize("server", ["mariadb", "mariadb11"], indirect=True)


def answer(connection, count):
    """So many packets; or, for None, all that come until the server has said nothing for a while."""
    packets = []
    connection.sock.settimeout(15)
    try:
        while len(packets) != count:
            packets.append(connection.read())
            connection.sock.settimeout(15 if count else 0.25)
    except TimeoutError:
        assert count is None, f"{len(packets)} packets came, {count} were due"
    return packets


def converse(connection, commands, expected=None):
    """The answers to some commands, one after the other. A body may be a function of the last prepared statement's id,
    which depends on the server's mood; so the answers to prepares have 0 there."""
    answers, statement = [], None
    for place, (code, body) in enumerate(commands):
        connection.command(code, body(statement) if callable(body) else body)
        answers.append(answer(connection, len(expected[place]) if expected else None))
        if code == wire.PREPARE and answers[-1][0][:1] == b"\0":
            (statement,) = struct.unpack_from("<I", answers[-1][0], 1)
            answers[-1][0] = b"\0" + bytes(4) + answers[-1][0][5:]
    return answers


def both(stack, flags, extended, commands, user="reader", bot="ci-1"):
    """The same commands directly and through the proxy; returns the answers, which were equal."""
    with wire.Connection(socket.create_connection(("127.0.0.1", stack.server.port))) as direct:
        wire.log_in(direct, "direct", flags=flags, extended=extended)
        expected = converse(direct, commands)
    before = stack.audit.count()
    with wire.dial(stack.proxy.plain_port, stack.certificates, bot=bot) as proxied:
        wire.log_in(proxied, user, flags=flags, extended=extended)
        assert converse(proxied, commands, expected) == expected
        proxied.command(wire.PING)
        assert proxied.expect()[:1] == b"\0"  # nothing else came before it
    stack.audit.wait_for(None, after=before, event="session.end")
    return expected, [r for r in stack.audit.records(before) if r["event"] in ("query", "prepare", "execute")]


def execute(value=None, cursor=0):
    bound = b"" if value is None else b"\0\1\x08\0" + struct.pack("<q", value)
    return wire.EXECUTE, lambda statement: struct.pack("<IBI", statement, cursor, 1) + bound


FETCH = (wire.FETCH, lambda statement: struct.pack("<II", statement, 10))


@MYSQL
@EOFS
def test_optional_metadata(stack, eof):
    commands = [
        (wire.QUERY, b"SELECT id, name FROM items ORDER BY id"),
        (wire.PREPARE, b"SELECT ? AS a, 2 AS b"),
        (wire.QUERY, b"SET resultset_metadata = NONE"),
        (wire.QUERY, b"SELECT id, name FROM items ORDER BY id"),
        (wire.QUERY, b"SELECT id FROM items WHERE FALSE"),
        (wire.QUERY, b"CALL two_results()"),
        (wire.QUERY, b"SELECT 1; SELECT 2; SELECT nothing_like_it"),
        (wire.PREPARE, b"SELECT 1"),
        (wire.PREPARE, b"DO 1"),
        (wire.PREPARE, b"SELECT ? AS a, 2 AS b"),
        execute(5),
        execute(6, cursor=1),
        FETCH,
        (wire.FIELD_LIST, b"items\0"),
        (wire.QUERY, b"SET resultset_metadata = FULL"),
        (wire.QUERY, b"SELECT 1"),
    ]
    answers, records = both(stack, wire.CLIENT_FLAGS | wire.OPTIONAL_METADATA | eof, 0, commands)
    assert answers[0][0] == b"\x02\x01" and answers[3][0] == b"\x02\x00"
    assert len(answers[0]) == len(answers[3]) + 2  # two columns, whose definitions are left out
    texts = ("SELECT id, name FROM items ORDER BY id", "CALL two_results()", "SELECT ? AS a, 2 AS b")
    counted = [r["rows"] for r in records if r["event"] != "prepare" and r["statement"] in texts]
    assert counted == [3, 3, 4, 1, 0]  # the last one opened a cursor


@MARIADB
@EOFS
def test_cached_metadata(stack, eof):
    commands = [
        (wire.QUERY, b"SELECT id, name FROM items ORDER BY id"),
        (wire.PREPARE, b"SELECT ? AS a, 2 AS b"),
        execute(5), execute(6), execute(7, cursor=1), FETCH, execute(8, cursor=1), execute(9),
        (wire.PREPARE, b"CALL two_results()"),
        execute(), execute(),
    ]
    answers, records = both(stack, wire.CLIENT_FLAGS | eof, wire.CACHE_METADATA, commands)
    assert answers[2][0] == b"\x02\x01" and answers[3][0] == b"\x02\x00"
    assert [r.get("rows") for r in records if r["event"] == "execute"] == [1, 1, 0, 0, 1, 4, 4]


@EOFS
def test_cursor_inside_of_a_procedure(stack, eof):
    """MariaDB says of each result that it has a cursor, and sends its rows all the same."""
    stack.server.execute("DROP PROCEDURE IF EXISTS shop.walks")
    stack.server.execute(
        "CREATE PROCEDURE shop.walks() BEGIN DECLARE x INT; DECLARE c CURSOR FOR SELECT n FROM shop.numbers;"
        " OPEN c; FETCH c INTO x; SELECT x; FETCH c INTO x; SELECT x; CLOSE c; END"
    )
    commands = [(wire.PREPARE, b"CALL walks()"), execute(cursor=1), execute(), execute(cursor=1)]
    answers, records = both(stack, wire.CLIENT_FLAGS | eof, 0, commands, user="writer", bot="report-1")
    assert [r["rows"] for r in records if r["event"] == "execute"] == [2, 2, 2]


@EOFS
def test_out_parameters(stack, eof):
    """A result of its own behind the others, in the binary protocol, and an OK behind that."""
    stack.server.execute("DROP PROCEDURE IF EXISTS shop.gives")
    stack.server.execute("CREATE PROCEDURE shop.gives(OUT a INT) BEGIN SELECT 1; SET a = 7; END")
    commands = [(wire.PREPARE, b"CALL gives(?)"), execute(1), execute(2), (wire.PING, b"")]
    answers, records = both(stack, wire.CLIENT_FLAGS | eof, 0, commands, user="writer", bot="report-1")
    assert [r["rows"] for r in records if r["event"] == "execute"] == [2, 2]


@MARIADB
def test_progress_reports(stack):
    """They come in the midst of an answer, and end nothing. What they say depends on time: their number is not compared."""
    with wire.dial(stack.proxy.plain_port, stack.certificates, bot="report-1") as connection:
        wire.log_in(connection, "writer", extended=wire.PROGRESS)
        wire.query(connection, "CREATE TABLE progress ENGINE=Aria SELECT a.n FROM numbers a, numbers b LIMIT 900000")
        try:
            wire.query(connection, "SET progress_report_time = 1")
            connection.command(wire.QUERY, b"ALTER TABLE progress ADD COLUMN z INT, ENGINE=InnoDB")
            reports = 0
            while (packet := connection.read())[:3] == b"\xff\xff\xff":
                reports += 1
            assert packet[:1] == b"\0" and reports > 0
            assert wire.query(connection, "SELECT 'still here'") == [b"\x0astill here"]
        finally:
            wire.query(connection, "DROP TABLE progress")
    altered = stack.audit.wait_for(lambda r: r.get("statement", "").startswith("ALTER TABLE progress"))
    assert altered["outcome"] == "ok" and altered["affected_rows"] == 900000


def bulk(rows, flags=128):
    body = b"\x03\x00\xfe\x00" if flags & 128 else b""
    for number, text in rows:
        body += b"\0" + struct.pack("<i", number) + (b"\1" if text is None else b"\0" + wire.lenenc_string(text))
    return 0xFA, lambda statement: struct.pack("<IH", statement, flags) + body


@pytest.mark.parametrize("server", ["mariadb11"], indirect=True)
@EOFS
def test_result_for_each_row_of_a_bulk(stack, eof):
    """MariaDB 11.5 and later."""
    commands = [
        (wire.QUERY, b"DELETE FROM scratch"),
        (wire.PREPARE, b"INSERT INTO scratch (id, name) VALUES (?, ?)"),
        bulk([(1, b"one"), (2, None), (3, b"three")], flags=128 | 64),
        bulk([(4, b"four")]),
        bulk([(5, b"five"), (1, b"again")], flags=128 | 64),
        (wire.QUERY, b"SELECT id, name FROM scratch ORDER BY id"),
        (wire.QUERY, b"DELETE FROM scratch"),
    ]
    extended = wire.BULK | wire.BULK_RESULTS
    answers, records = both(stack, wire.CLIENT_FLAGS | eof, extended, commands, user="writer", bot="report-1")
    assert answers[2][0][:1] == b"\x02"  # a result set of two columns: ids and affected rows
    executed = [r for r in records if r["event"] == "execute"]
    assert executed[0]["params"] == [1, "one", 2, None, 3, "three"] and executed[0]["rows"] == 3
    assert executed[2]["outcome"] == "error" and executed[2]["error"]["code"] == 1062


@pytest.mark.parametrize("server,offered,extended", [
    ("mysql9", wire.QUERY_ATTRIBUTES | wire.OPTIONAL_METADATA, 0),
    ("mariadb", 0, 0x1D),
    ("mariadb11", 0, 0x3D),
], indirect=["server"])
def test_what_is_offered_is_what_the_server_has(stack, offered, extended):
    """Those flags that only one kind of server has."""
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        payload = connection.expect()
    greeting = wire.Greeting(payload)
    either = wire.QUERY_ATTRIBUTES | wire.OPTIONAL_METADATA
    assert greeting.capabilities & either == offered
    filler = payload.index(b"\0", 1) + 1 + 4 + 9 + 2 + 1 + 2 + 2 + 1
    assert struct.unpack_from("<I", payload, filler + 6)[0] == extended


@pytest.mark.parametrize("first", [b"\x01\x02", b"\x01", b"\x01\x01\x01", b"\x00\x01"], ids=repr)
def test_flag_of_metadata_that_lies_ends_the_session(start_proxy, certificates, first):
    """A server that announces neither all definitions nor none."""

    def serve(peer):
        peer.log_in(flags=wire.SERVER_FLAGS | wire.OPTIONAL_METADATA)
        peer.serve(lambda peer, command: peer.send(first))

    with wire.FakeUpstream(certificates, serve) as fake:
        proxy = start_proxy(fake.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection, flags=wire.CLIENT_FLAGS | wire.OPTIONAL_METADATA)
            connection.command(wire.QUERY, b"SELECT 1")
            with pytest.raises(wire.ServerError, match="1159 08S01 sallyport: .*(malformed|OK packet)"):
                connection.expect()
