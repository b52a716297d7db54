# SPDX-License-Identifier: Apache-2.0
"""LOAD DATA LOCAL: the right to it belongs to the MySQL user and the roles of the moment, not to what was agreed at the
login; and a server that asks for a file unasked is told so in place."""

import copy
import struct

import pytest

from harness import wire
from harness.commands import change_user, open_session
from harness.wire import FakeUpstream

LOAD = b"LOAD DATA LOCAL INFILE '/x' INTO TABLE loaded"
FLAGS = wire.CLIENT_FLAGS | wire.LOCAL_FILES


def reader_loads(configuration):
    """report-1 may load files as reader, and be writer too."""
    configuration["roles"].append({
        "name": "loader",
        "allow": {"databases": ["shop"], "mysql_users": ["reader"], "schemas": ["shop"], "features": ["local_infile"]},
    })
    configuration["roles"][1]["allow"]["mysql_users"] = ["writer"]
    configuration["mappings"].append({"subject": "CN=report-1", "roles": ["loader"]})


@pytest.fixture
def proxy(mariadb, start_proxy):
    mariadb.execute("CREATE OR REPLACE TABLE shop.loaded (a INT)")
    mariadb.execute("GRANT INSERT ON shop.loaded TO reader@'%'")
    return start_proxy(mariadb.port, reader_loads)


def load(connection, row):
    connection.command(wire.QUERY, LOAD)
    assert connection.expect() == b"\xfb/x"
    connection.send(row)
    connection.send(b"")
    assert connection.expect()[:1] == b"\0"


def test_right_to_files_ends_with_the_user(mariadb, proxy):
    """The capability is agreed once, at the login: a bot that logged in as the user who may load files must not keep
    that after it became one who may not."""
    with open_session(proxy, "reader", flags=FLAGS) as connection:
        load(connection, b"1\n")
        change_user(connection, "writer")
        connection.command(wire.QUERY, LOAD)
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1227 and raised.value.message.startswith("sallyport: ")
        assert wire.query(connection, "SELECT 1") == [b"\x011"]
    assert mariadb.execute("SELECT a FROM shop.loaded") == ((1,),)


def test_right_to_files_ends_with_a_reload(mariadb, proxy):
    """Running sessions are judged by the new roles, whatever their login agreed on."""
    with open_session(proxy, "reader", flags=FLAGS) as connection:
        load(connection, b"2\n")
        changed = copy.deepcopy(proxy.configuration)
        del changed["roles"][2]["allow"]["features"]
        proxy.reload(changed)
        for text in (LOAD, LOAD.lower(), b"/* a */ LOAD/**/DATA LOCAL INFILE '/x' INTO TABLE loaded"):
            connection.command(wire.QUERY, text)
            with pytest.raises(wire.ServerError, match="1227"):
                connection.expect()
    assert mariadb.execute("SELECT a FROM shop.loaded") == ((2,),)


def test_file_that_was_not_asked_for(certificates, start_proxy):
    """A hostile server asks for a file in answer to a SELECT: the client gets our ERR in the request's place, with its
    sequence id, and never the request."""

    def script(peer):
        peer.log_in()
        peer.serve(lambda served, _: served.send(b"\xfb/etc/passwd"))

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, reader_loads)
        with open_session(proxy, "reader", flags=FLAGS) as connection:
            connection.command(wire.QUERY, b"SELECT 1")
            with pytest.raises(wire.ServerError, match="1159"):
                connection.expect()
            assert connection.sequence == 2, "the ERR stood not where the request had been"
            assert connection.at_end() == b""


@pytest.mark.parametrize("pieces", [[], [b"3\n"], [b"4\n" * 1000, b"5\n"], [b"0" * 16000000, b"6\n"]], ids=len)
def test_size_of_the_file_is_recorded(mariadb, proxy, pieces):
    """Without headers, whatever pieces it came in; that of an empty file too."""
    data = b"".join(pieces)
    with open_session(proxy, "reader", flags=FLAGS) as connection:
        connection.command(wire.QUERY, LOAD)
        assert connection.expect() == b"\xfb/x"
        for piece in pieces:
            connection.send(piece)
        connection.send(b"")
        assert connection.expect()[:1] == b"\0"
    loaded = proxy.audit.wait_for(lambda r: r.get("statement", "").encode() == LOAD, timeout=20)
    assert loaded["file_bytes"] == len(data) and loaded["affected_rows"] == data.count(b"\n")
    assert loaded["bytes_in"] == len(LOAD) + 1 + len(data) + 4 * (len(pieces) + 2)


def test_size_is_recorded_of_answers_to_loads_alone(proxy):
    with open_session(proxy, "reader", flags=FLAGS) as connection:
        wire.query(connection, "SELECT 'no file'")
    assert "file_bytes" not in proxy.audit.wait_for(lambda r: r.get("statement") == "SELECT 'no file'")


def test_prepared_statement_that_loads(mariadb, proxy):
    """MariaDB prepares LOAD DATA LOCAL: the file is asked for by its execute, for which the right is needed then."""
    with open_session(proxy, "reader", flags=FLAGS) as connection:
        connection.command(wire.PREPARE, LOAD)
        (statement,) = struct.unpack_from("<I", connection.expect(), 1)
        body = struct.pack("<IBI", statement, 0, 1)
        for data in (b"7\n8\n", b"9\n"):
            connection.command(wire.EXECUTE, body)
            assert connection.expect() == b"\xfb/x"
            connection.send(data)
            connection.send(b"")
            assert connection.expect()[:1] == b"\0"
        changed = copy.deepcopy(proxy.configuration)
        del changed["roles"][2]["allow"]["features"]
        proxy.reload(changed)
        connection.command(wire.EXECUTE, body)
        with pytest.raises(wire.ServerError, match="1227"):
            connection.expect()
    assert mariadb.execute("SELECT a FROM shop.loaded ORDER BY a") == ((7,), (8,), (9,))
    loads = [r for r in proxy.audit.records(event="execute") if r["outcome"] == "ok"]
    assert [r["file_bytes"] for r in loads] == [4, 2]
