# SPDX-License-Identifier: Apache-2.0
"""I2: a role's schemas hold whatever the session's state makes of a text. Each test is a way in which a bot once made
the proxy read a statement otherwise than the server."""

import time

import pytest

from harness import wire
from harness.commands import only_shop, open_session, read_results, smuggled, wait_gone, was_run

ONE_STATEMENT = wire.CLIENT_FLAGS & ~wire.MULTI_STATEMENTS
# The server takes all of it for one SELECT of a string, or for three statements.
TWO_READINGS = rb"SELECT '\''; %s; -- '"


@pytest.fixture
def proxy(mariadb, start_proxy):
    return start_proxy(mariadb.port, only_shop)


def denied(connection, text, codes=(1044, 1227)):
    connection.command(wire.QUERY, text)
    with pytest.raises(wire.ServerError) as raised:
        read_results(connection)
    assert raised.value.code in codes and raised.value.message.startswith("sallyport: "), raised.value


@pytest.mark.parametrize("body", [b"\x00", b"", b"\x00\x00\x00", b"\x02\x00", b"\x00\x01"])
def test_malformed_set_option(mariadb, proxy, body):
    """COM_SET_OPTION takes exactly two bytes. One that the server reads otherwise than the proxy would turn
    multi-statements on behind its back, and a USE as the second statement would not be looked for."""
    with open_session(proxy, flags=ONE_STATEMENT) as connection:
        connection.command(wire.SET_OPTION, body)
        with pytest.raises(wire.ServerError):
            connection.expect()
        assert connection.at_end() == b""
    wait_gone(mariadb, "writer")


def test_pipelined_set_option(mariadb, proxy):
    """Off and, behind a slow query, on again: the answer to the first does not undo the second in the proxy's view,
    or the USE in the next text would pass as the one statement that it is not."""
    with open_session(proxy) as connection:
        connection.send_raw(
            wire.packet(b"\x1b\x01\x00") + wire.packet(b"\x03SELECT SLEEP(0.6)") + wire.packet(b"\x1b\x00\x00")
        )
        assert connection.expect()[:1] in (b"\xfe", b"\0")
        time.sleep(0.2)
        connection.command(wire.QUERY, b"SELECT 1; " + smuggled("option"))
        wire.read_result(connection)
        assert connection.expect()[:1] in (b"\xfe", b"\0")
        with pytest.raises(wire.ServerError, match="1044"):
            read_results(connection)
    assert not was_run(mariadb, "option")


def test_set_option_still_works(proxy):
    with open_session(proxy, flags=ONE_STATEMENT) as connection:
        connection.command(wire.SET_OPTION, b"\x00\x00")
        assert connection.expect()[:1] in (b"\xfe", b"\0")
        connection.command(wire.QUERY, b"SELECT 1; SELECT 2")
        assert read_results(connection) == [[b"\x011"], [b"\x012"]]
        connection.command(wire.SET_OPTION, b"\x01\x00")
        assert connection.expect()[:1] in (b"\xfe", b"\0")
        with pytest.raises(wire.ServerError, match="1064"):
            wire.query(connection, "SELECT 1; SELECT 2")


BEHIND_THE_BACK = {
    "SET STATEMENT": b"SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR SELECT 1",
    "procedure": b"CALL shop.quotes_otherwise()",
    "SET": b"SET sql_mode='NO_BACKSLASH_ESCAPES'",
    "nothing": b"DO 1",
}


@pytest.mark.parametrize("way", BEHIND_THE_BACK)
def test_meaning_of_a_backslash(mariadb, proxy, way):
    """Where a string ends depends on sql_mode, which changes without a sign that can be trusted: a USE that is code
    in either reading is judged."""
    mariadb.execute("CREATE OR REPLACE PROCEDURE shop.quotes_otherwise() SET sql_mode='NO_BACKSLASH_ESCAPES'")
    mark = f"backslash {way}"
    with open_session(proxy) as connection:
        connection.command(wire.QUERY, BEHIND_THE_BACK[way])
        read_results(connection)
        denied(connection, TWO_READINGS % smuggled(mark))
        assert wire.query(connection, "SELECT DATABASE()") == [b"\x04shop"]
        connection.command(wire.QUIT)
        connection.at_end()
    assert not was_run(mariadb, mark)


DYNAMIC = [
    b"EXECUTE IMMEDIATE CONCAT('US', 'E secret')", b"execute/**/immediate 'USE secret'",
    b"PREPARE s FROM 'USE secret'", b"/*!50000 PREPARE s FROM 'USE secret' */", b"SET @t = 1; EXECUTE IMMEDIATE @t",
]


@pytest.mark.parametrize("text", DYNAMIC)
def test_text_that_the_server_makes(proxy, text):
    """What EXECUTE IMMEDIATE and PREPARE run is data to the proxy: a role with schema rules gets neither, or any
    string would be a way into any schema."""
    with open_session(proxy) as connection:
        denied(connection, text, codes=(1227,))
        connection.command(wire.PREPARE, text)
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code in (1227, 1064), raised.value
        assert wire.query(connection, "SELECT DATABASE()") == [b"\x04shop"]


def test_text_that_the_server_makes_for_who_may_use_all(mariadb, start_proxy):
    """I7: without schema rules there is nothing to get around."""

    def change(configuration):
        configuration["roles"][1]["allow"]["schemas"] = ["*"]
        configuration["roles"][1]["deny"] = {}

    with open_session(start_proxy(mariadb.port, change)) as connection:
        assert wire.query(connection, "EXECUTE IMMEDIATE CONCAT('SELE', 'CT 7')") == [b"\x017"]
        assert wire.query(connection, "PREPARE s FROM 'SELECT 8'")[:1] == b"\0"
        assert wire.query(connection, "EXECUTE s") == [b"\x018"]


@pytest.mark.parametrize("command", [wire.INIT_DB, 0x05, 0x06], ids=["INIT_DB", "CREATE_DB", "DROP_DB"])
def test_schema_name_that_is_not_ascii(mariadb, start_proxy, command):
    """The server converts the name from a character set that the proxy does not know for certain, so that the name
    judged need not be the one used: a glob of a role could be made to fit another schema."""

    def change(configuration):
        only_shop(configuration)
        configuration["roles"][1]["allow"]["schemas"] = ["shop", "caf*"]

    with open_session(start_proxy(mariadb.port, change)) as connection:
        for name in (b"caf\xe9", "café".encode()):
            connection.command(command, name)
            with pytest.raises(wire.ServerError, match="1044") as raised:
                connection.expect()
            assert raised.value.message.startswith("sallyport: ")
        connection.command(wire.INIT_DB, b"shop")
        assert connection.expect()[:1] == b"\0"
