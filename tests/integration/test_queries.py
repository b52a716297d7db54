# SPDX-License-Identifier: Apache-2.0
"""A bot's query comes back from a real server as if nothing stood between."""

import pymysql
import pytest

from harness import database, wire


def test_query_returns_rows(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM items ORDER BY id")
        assert cursor.fetchall() == ((1, "lamp"), (2, "chair"), (3, None))


def test_greeting_is_the_servers_own(stack):
    """I7: version string and connection id are the upstream's, so that drivers and KILL work."""
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        assert cursor.fetchone()[0] == connection.thread_id()
        with stack.server.admin() as direct:
            assert connection.get_server_info() == direct.get_server_info()


def test_any_password_is_accepted_and_ignored(stack):
    """The certificate is the identity; a driver may insist on a password."""
    with stack.connect(password="whatever it is") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchone()[0] == "reader@%"


def test_upstream_sees_the_proxys_certificate(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cursor.fetchone()[1] != ""


def test_account_refuses_who_lacks_the_certificate(stack):
    """The other door: the accounts cannot be used around the proxy."""
    with pytest.raises(pymysql.err.OperationalError, match="1045|Access denied"):
        pymysql.connect(
            host="127.0.0.1", port=stack.server.port, user="reader",
            ssl={"ca": str(stack.certificates["db-server-ca.crt"]), "check_hostname": False},
        )


def test_account_with_password_from_file(stack):
    """Twice with a cold cache (caching_sha2_password's full exchange), then with a warm one."""
    for cold in (True, True, False):
        if cold:
            stack.server.cool_password_cache()
        with stack.connect(user="reader_pw") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER()")
            assert cursor.fetchone()[0] == "reader_pw@%"


@pytest.mark.parametrize("plugin, user", [(plugin, user) for plugin, (_, user) in database.PLUGINS.items()])
def test_account_with_a_plugin_of_mariadb(stack, plugin, user):
    if not getattr(stack.server, plugin):
        if stack.server.name == "mariadb" and plugin == "ed25519":
            pytest.skip("auth_ed25519.so is not installed: run scripts/install-dependencies test")
        # This server has no such plugin, so no such account: its own refusal comes back.
        with pytest.raises(pymysql.err.OperationalError, match="1045") as raised:
            stack.connect(user=user)
        assert f"Access denied for user '{user}'" in raised.value.args[1]
        return
    with stack.connect(user=user) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchone()[0] == f"{user}@%"


def test_passwords_stay_out_of_log_and_audit(stack):
    """I8."""
    with stack.connect(user="reader_pw", password="typed by the client") as connection:
        connection.ping(reconnect=False)
    stack.audit.wait_for(None, event="session.end", mysql_user="reader_pw")
    everything = stack.proxy.log() + stack.tunnel.log() + "\n".join(map(str, stack.audit.records()))
    for secret in (database.READER_PASSWORD, "typed by the client"):
        assert secret not in everything


def test_sql_text_stays_out_of_the_process_log(stack):
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'text for the auditor only'")
    stack.audit.wait_for(lambda record: "for the auditor only" in record.get("statement", ""))
    assert "for the auditor only" not in stack.proxy.log() + stack.tunnel.log()


@pytest.mark.parametrize(
    "plugin", ["mysql_native_password", "caching_sha2_password", "client_ed25519", "no_such_plugin"]
)
def test_login_with_each_plugin_of_the_client(stack, plugin):
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection, plugin=plugin)
        assert wire.query(connection, "SELECT 7") == [b"\x017"]


def test_login_without_plugin_support(stack):
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection, flags=wire.CLIENT_FLAGS & ~wire.PLUGIN_AUTH)
        assert wire.query(connection, "SELECT 7") == [b"\x017"]


def test_starttls_listener(stack):
    """A client that holds a certificate itself, with MySQL's own TLS and no tunnel."""
    bot = stack.certificates.bot("ci-1")
    with pymysql.connect(
        host="127.0.0.1", port=stack.proxy.starttls_port, user="reader", database="shop",
        ssl={"ca": str(stack.certificates["service-ca.crt"]), "cert": str(bot / "cert.pem"),
             "key": str(bot / "key.pem"), "check_hostname": False},
    ) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_pipelined_commands(stack):
    """Sent in one piece, answered in order."""
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        commands = [f"SELECT {number}" for number in range(100)]
        connection.send_raw(b"".join(wire.packet(b"\x03" + text.encode()) for text in commands))
        for number in range(100):
            assert wire.read_result(connection) == [wire.lenenc_string(str(number).encode())]


def test_pipelined_behind_an_error(stack):
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.send_raw(b"".join(wire.packet(b"\x03" + text) for text in (b"SELECT nothing", b"SELECT 2")))
        with pytest.raises(wire.ServerError, match="1054"):
            wire.read_result(connection)
        assert wire.read_result(connection) == [b"\x012"]


def test_denial_keeps_its_place_among_pipelined_commands(stack):
    """An injected ERR comes when its turn is, not in the middle of the response before it."""
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        statements = (b"SELECT REPEAT('x', 3000000)", b"USE mysql", b"SELECT DATABASE()")
        connection.send_raw(b"".join(wire.packet(b"\x03" + text) for text in statements))
        assert len(wire.read_result(connection)[0]) > 3000000
        with pytest.raises(wire.ServerError, match="1044"):
            wire.read_result(connection)
        assert wire.read_result(connection) == [b"\x04shop"]


def test_commands_byte_by_byte(stack):
    """However the bytes are cut, the commands are the same."""
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        for byte in wire.packet(b"\x03SELECT 'slowly'"):
            connection.send_raw(bytes([byte]))
        assert wire.read_result(connection) == [b"\x06slowly"]


@pytest.mark.parametrize("modern", [False, True], ids=["old EOF", "DEPRECATE_EOF"])
def test_both_forms_of_the_end(stack, modern):
    flags = wire.CLIENT_FLAGS | (wire.DEPRECATE_EOF if modern else 0)
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection, flags=flags)
        for _ in range(3):
            connection.command(wire.QUERY, b"SELECT n FROM numbers WHERE n <= 3")
            assert connection.expect() == b"\x01"
            connection.expect()
            if not modern:
                assert connection.expect()[:1] == b"\xfe"
            assert [connection.expect() for _ in range(3)] == [b"\x011", b"\x012", b"\x013"]
            end = connection.expect()
            assert end[:1] == b"\xfe" and (len(end) > 5) == modern


def test_every_small_command(stack):
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.command(wire.PING)
        assert connection.expect()[:1] == b"\0"
        connection.command(wire.STATISTICS)
        assert b"Uptime" in connection.expect()
        connection.command(wire.INIT_DB, b"shop")
        assert connection.expect()[:1] == b"\0"
        connection.command(wire.SET_OPTION, b"\x01\x00")
        assert connection.expect()[:1] in (b"\xfe", b"\0")
        connection.command(wire.RESET_CONNECTION)
        assert connection.expect()[:1] == b"\0"
        assert wire.query(connection, "SELECT 1") == [b"\x011"]
        connection.command(wire.QUIT)
        assert connection.at_end() == b""


def test_mariadb_last_statement_id(stack):
    """Statement id -1 means the last prepare (MariaDB); the EXECUTE may be sent with the PREPARE. MySQL knows no such
    id."""
    with wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.send_raw(
            wire.packet(b"\x16SELECT 5") + wire.packet(b"\x17\xff\xff\xff\xff\x00\x01\x00\x00\x00")
        )
        assert connection.expect()[:1] == b"\0"
        connection.expect()
        connection.expect()
        if stack.server.mysql9:
            with pytest.raises(wire.ServerError, match="1243"):
                connection.expect()
        else:
            assert connection.expect() == b"\x01"


def test_statement_id_that_was_never_prepared_is_not_relayed(stack):
    with stack.server.general_log() as log, wire.dial(stack.proxy.plain_port, stack.certificates) as connection:
        wire.log_in(connection)
        connection.command(wire.EXECUTE, b"\x77\x00\x00\x00\x00\x01\x00\x00\x00")
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1243
        assert not [entry for entry in log() if entry[1] == "Execute"]


def test_many_sessions_at_once(stack):
    """A hundred sessions, opened together and used in turn."""
    sessions = [stack.connect() for _ in range(100)]
    try:
        assert len({session.thread_id() for session in sessions}) == 100
        for number, session in enumerate(sessions):
            with session.cursor() as cursor:
                cursor.execute("SELECT %s", (number,))
                assert cursor.fetchone() == (number,)
    finally:
        for session in sessions:
            session.close()


def test_local_infile_is_denied(stack, workspace):
    """LOCAL INFILE needs a role that allows it; the file is never asked for."""
    victim = workspace / "file"
    victim.write_text("1\tstolen\n")
    with stack.connect(stack.writer, "writer", local_infile=True) as connection, connection.cursor() as cursor:
        with pytest.raises(pymysql.err.Error) as raised:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{victim}' INTO TABLE scratch (id, name)")
        assert raised.value.args[0] in (1227, 1148, 3948, 4166)
    assert stack.server.execute("SELECT COUNT(*) FROM shop.scratch")[0][0] == 0
