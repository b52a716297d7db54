# SPDX-License-Identifier: Apache-2.0
"""Query attributes (MySQL 8.0.23 and later): they reach the server, the text behind them is judged and recorded, and
they are in the record. Layouts: MySQL manual, COM_QUERY and COM_STMT_EXECUTE, and tried with MySQL 9.7."""

import struct

import pytest

from harness import wire

# MariaDB has none: test_metadata.py shows that it does not offer them.
pytestmark = pytest.mark.parametrize("server", ["mysql9"], indirect=True)

FLAGS = wire.CLIENT_FLAGS | wire.QUERY_ATTRIBUTES
STRING, LONGLONG, DOUBLE, NULL, DATETIME, BLOB = 0xFE, 0x08, 0x05, 0x06, 0x0C, 0xFC

# name, type, value on the wire (None: NULL), what the record says
ATTRIBUTES = [
    (b"traceparent", STRING, wire.lenenc_string(b"00-4bf92f3577b34da6"), "00-4bf92f3577b34da6"),
    (b"n", LONGLONG, struct.pack("<q", -7), -7),
    (b"d", DOUBLE, struct.pack("<d", 1.5), 1.5),
    (b"at", DATETIME, bytes([4]) + struct.pack("<HBB", 2026, 11, 22), "2026-11-22 00:00:00"),
    (b"none", STRING, None, None),
    (b"", BLOB, wire.lenenc_string(b"\xff\x00"), {"base64": "/wA="}),
    ("\u00e4".encode(), STRING, wire.lenenc_string("\u20ac".encode()), "\u20ac"),
]


def block(attributes, before=()):
    """NULL bitmap, bind flag, types with names, values; `before` are the parameters of a statement."""
    every = [(b"", kind, value, None) for kind, value in before] + list(attributes)
    if not every:
        return b""
    bits = sum(1 << place for place, one in enumerate(every) if one[2] is None)
    head = bits.to_bytes((len(every) + 7) // 8, "little") + b"\x01"
    head += b"".join(bytes([kind, 0]) + wire.lenenc_string(name) for name, kind, _, _ in every)
    return head + b"".join(value for _, _, value, _ in every if value is not None)


def query(attributes, text):
    return wire.lenenc(len(attributes)) + b"\x01" + block(attributes) + text


def execute(statement, attributes, before=(), flags=8):
    count = wire.lenenc(len(attributes) + len(before))
    return struct.pack("<IBI", statement, flags, 1) + count + block(attributes, before)


def dial(stack):
    opened = wire.dial(stack.proxy.plain_port, stack.certificates, bot="report-1")
    wire.log_in(opened, "writer", flags=FLAGS)
    return opened


@pytest.fixture
def connection(stack):
    with dial(stack) as opened:
        yield opened


@pytest.fixture(scope="module")
def component(stack):
    """The server's function that reads them."""
    stack.server.execute("INSTALL COMPONENT 'file://component_query_attributes'")
    yield
    stack.server.execute("UNINSTALL COMPONENT 'file://component_query_attributes'")


def run(connection, payload):
    connection.command(wire.QUERY, payload)
    return wire.read_result(connection)


def recorded(stack, text):
    return stack.audit.wait_for(lambda r: r.get("statement") == text)


def said(attributes):
    return [{"name": name.decode(), "value": value} for name, _, _, value in attributes]


def test_query_with_attributes_of_all_kinds(stack, connection):
    assert run(connection, query(ATTRIBUTES, b"SELECT 'attributes of all kinds'")) == [b"\x17attributes of all kinds"]
    record = recorded(stack, "SELECT 'attributes of all kinds'")
    assert record["attributes"] == said(ATTRIBUTES)
    assert record["statement_length"] == len("SELECT 'attributes of all kinds'")


def test_query_without_attributes(stack, connection):
    assert run(connection, query([], b"SELECT 'no attributes'")) == [b"\x0dno attributes"]
    assert "attributes" not in recorded(stack, "SELECT 'no attributes'")


def test_server_sees_them(stack, connection, component):
    attributes = [(b"who", STRING, wire.lenenc_string(b"a batch job"), "a batch job")]
    assert run(connection, query(attributes, b"SELECT mysql_query_attribute_string('who')")) == [b"\x0ba batch job"]


def test_prepared_statement_with_attributes(stack, connection):
    connection.command(wire.PREPARE, b"SELECT ? + 1, 'executed with attributes'")
    answer = connection.expect()
    (statement,) = struct.unpack_from("<I", answer, 1)
    for _ in range(5):  # two groups of definitions, each with its EOF
        connection.expect()
    five = [(LONGLONG, struct.pack("<q", 5))]
    for _ in range(2):
        connection.command(wire.EXECUTE, execute(statement, ATTRIBUTES, five))
        assert wire.read_result(connection)[0][2:10] == struct.pack("<q", 6)
    # Without types: those of before, for which there must be as many values as parameters.
    connection.command(wire.EXECUTE, struct.pack("<IBI", statement, 8, 1) + b"\x01\x00\x00" + struct.pack("<q", 8))
    assert wire.read_result(connection)[0][2:10] == struct.pack("<q", 9)
    stack.audit.wait_for(lambda r: r["event"] == "execute" and r["params"] == [8])
    records = [r for r in stack.audit.records(event="execute") if "executed with attributes" in r["statement"]]
    assert [(r["params"], r.get("attributes")) for r in records] == [
        ([5], said(ATTRIBUTES)), ([5], said(ATTRIBUTES)), ([8], None)
    ]


def test_statement_without_parameters_may_have_attributes(stack, connection):
    connection.command(wire.PREPARE, b"SELECT 'no parameters'")
    (statement,) = struct.unpack_from("<I", connection.expect(), 1)
    for _ in range(2):
        connection.expect()
    for body in (execute(statement, ATTRIBUTES[:1]), execute(statement, []), struct.pack("<IBI", statement, 0, 1)):
        connection.command(wire.EXECUTE, body)
        assert wire.read_result(connection) == [b"\0\0\x0dno parameters"]
    record = recorded(stack, "SELECT 'no parameters'")
    assert "attributes" not in record  # that is the prepare
    stack.audit.wait_for(lambda r: r["event"] == "execute" and r.get("attributes") == said(ATTRIBUTES[:1]))


def test_text_behind_attributes_is_judged(stack, connection):
    """A USE cannot hide behind them, nor in them."""
    hidden = [(b"a", STRING, wire.lenenc_string(b"SELECT 1"), None)]
    connection.command(wire.QUERY, query(hidden, b"USE mysql"))
    with pytest.raises(wire.ServerError, match="1044 42000 sallyport: .*denies schema mysql"):
        connection.expect()
    harmless = [(b"USE mysql", STRING, wire.lenenc_string(b"; USE mysql;"), None)]
    assert run(connection, query(harmless, b"SELECT DATABASE()")) == [b"\x04shop"]


def test_many_and_long_attributes(stack, connection):
    attributes = [(b"n%d" % n, STRING, wire.lenenc_string(b"v" * 300), "v" * 300) for n in range(300)]
    assert run(connection, query(attributes, b"SELECT 'many'")) == [b"\x04many"]
    assert recorded(stack, "SELECT 'many'")["attributes"] == said(attributes)


def test_long_statement_behind_attributes(stack, connection):
    """Held and streamed: the length and the hash are those of the text alone."""
    import hashlib

    text = b"SELECT LENGTH('" + b"x" * (17 << 20) + b"') AS behind"
    payload = bytes([wire.QUERY]) + query(ATTRIBUTES, text)
    parts = [payload[at:at + wire.LARGEST] for at in range(0, len(payload), wire.LARGEST)]
    for sequence, part in enumerate(parts):
        connection.send(part, sequence=sequence)
    assert wire.read_result(connection) == [b"\x0817825792"]
    record = stack.audit.wait_for(lambda r: r.get("statement_length") == len(text), timeout=20)
    assert record["statement_sha256"] == hashlib.sha256(text).hexdigest()
    assert record["statement"].startswith("SELECT LENGTH('xxx") and record["attributes"] == said(ATTRIBUTES)


@pytest.mark.parametrize("payload", [
    b"",
    b"\x01",
    b"\x00\x02SELECT 1",
    b"\x01\x02" + block(ATTRIBUTES[:1]) + b"SELECT 1",
    b"\x01\x01\x00\x00SELECT 1",  # no types
    b"\x01\x01\x00\x02\xfe\x00\x01a\x01bSELECT 1",  # no such bind flag
    b"\x01\x01\x00\x01\xfe\x00\xfcSELECT 1",  # a name that is longer than the packet
    b"\x01\x01\x00\x01\xfe\x00\x01a\xfd\xff\xff\xffSELECT 1",  # a value that is
    b"\x01\x01\x00\x01\x06\x00\x01a\x01bSELECT 1",  # of type NULL, and not marked as NULL
    b"\x01\x01\x00\x01\x09\x00\x01a\x01bSELECT 1",  # a type that servers read differently
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01SELECT 1",
    b"\xfc\xff\xff\x01SELECT 1",
], ids=repr)
def test_what_cannot_be_read_ends_the_session(stack, payload):
    """I6. The server would refuse most of it; none of it may be guessed at."""
    before = stack.audit.count()
    with dial(stack) as connection:
        connection.command(wire.QUERY, payload)
        with pytest.raises(wire.ServerError, match="1835 HY000 sallyport: bot report-1: "):
            connection.expect()
        connection.at_end()
    denied = stack.audit.wait_for(lambda r: r["event"] == "query", after=before)
    assert denied["outcome"] == "denied"
    assert stack.audit.wait_for(None, after=before, event="session.end")["reason"] == "client_protocol"


def test_values_of_one_command_are_not_those_of_the_next(stack):
    """The record of a command that cannot be read has none, whatever was recorded before it."""
    before = stack.audit.count()
    for payload in (query(ATTRIBUTES, b"SELECT 1"), b"\x00\x02SELECT 'malformed'"):
        with dial(stack) as connection:
            connection.command(wire.PREPARE, b"SELECT ?")
            (statement,) = struct.unpack_from("<I", connection.expect(), 1)
            for _ in range(4):
                connection.expect()
            run(connection, query(ATTRIBUTES, b"SELECT 1"))
            connection.command(wire.EXECUTE, execute(statement, [], [(LONGLONG, struct.pack("<q", 5))]))
            wire.read_result(connection)
            connection.command(wire.QUERY, payload)
            connection.read()
    stack.audit.wait_for(lambda r: "malformed" in r.get("statement", ""), after=before)
    record = next(r for r in stack.audit.records(before) if "malformed" in r.get("statement", ""))
    assert record["outcome"] == "denied" and "attributes" not in record and "params" not in record


def test_null_may_be_of_any_type(stack, connection):
    """It has no bytes that servers could read differently."""
    attributes = [(b"n%d" % kind, kind, None, None) for kind in (244, 13, 16, 9, 255)]
    assert run(connection, query(attributes, b"SELECT 'null'")) == [b"\x04null"]
    assert recorded(stack, "SELECT 'null'")["attributes"] == said(attributes)


def test_attributes_do_not_depend_on_the_audits_limit(server, certificates, start_proxy):
    """They are held up to a limit of their own, and past it the error says so."""
    def little(configuration):
        configuration["audit"]["statement_limit"] = "1k"

    proxy = start_proxy(server.port, little)
    attributes = [(b"long", STRING, wire.lenenc_string(b"v" * 100000), None)]
    with wire.dial(proxy.plain_port, certificates, bot="report-1") as connection:
        wire.log_in(connection, "writer", flags=FLAGS)
        assert run(connection, query(attributes, b"SELECT 'held'")) == [b"\x04held"]
        attributes = [(b"long", STRING, wire.lenenc_string(b"v" * 1500000), None)]
        connection.command(wire.QUERY, query(attributes, b"SELECT 'too long'"))
        with pytest.raises(wire.ServerError, match="attributes are malformed, or longer than 1048576 bytes"):
            connection.expect()
    record = proxy.audit.wait_for(lambda r: r.get("statement") == "SELECT 'held'")
    assert record["attributes"][0]["value"]["length"] == 100000


@pytest.mark.parametrize("body", [
    b"",
    b"\x00",  # fewer values than parameters
    b"\x02\x00\x00" + struct.pack("<q", 1) + b"\x01a",  # an attribute without its type
    b"\x01\x00\x01\x08\x00" + struct.pack("<q", 1),  # no name
    b"\x01\x00\x01\x08\x00\x00" + struct.pack("<q", 1) + b"x",  # more behind
    b"\xfd\x00\x00\x01" + bytes(9000),
], ids=repr)
def test_execute_that_cannot_be_read_ends_the_session(stack, connection, body):
    connection.command(wire.PREPARE, b"SELECT ?")
    (statement,) = struct.unpack_from("<I", connection.expect(), 1)
    for _ in range(4):
        connection.expect()
    connection.command(wire.EXECUTE, struct.pack("<IBI", statement, 8, 1) + body)
    with pytest.raises(wire.ServerError, match="1835"):
        connection.expect()
    connection.at_end()
