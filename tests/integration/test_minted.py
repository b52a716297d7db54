# SPDX-License-Identifier: Apache-2.0
"""Certificates that the authority mints: a server and its accounts set up by exactly what `ca sign-database` prints,
`db check` with certificates of its own, and MySQL users that only a glob of a role allows."""

import concurrent.futures
import contextlib
import json
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import MySQLdb
import pymysql
import pytest

from harness import database, process, wire
from harness.commands import change_user, change_user_body, read_results, wait_gone
from harness.guest import Unavailable
from harness.mariadb import MariaDB, MariaDB11
from harness.mysql9 import MySQL9
from harness.realm import Authority, Realm
from harness.sallyport import command

GLOBBED = ("app_one", "app_two", "app_three", "app_changed")
PRINTED = ("reader", "writer", "ci-app.2", *GLOBBED)
# What is printed for the place of the files; a test has no such folder.
FOLDER = "/etc/mysql/sallyport"


def as_printed(kind):
    """The kind of server, with nothing about TLS but the lines that were printed."""

    class Printed(kind):
        files = None
        my_cnf = ""

        def options(self):
            kept = [each for each in super().options() if not each.startswith(("--ssl-", "--no-defaults"))]
            return [f"--defaults-file={self.seen}/my.cnf", *kept]

        def copy_certificates(self, owner):
            (self.directory / "my.cnf").write_text(self.my_cnf.replace(FOLDER, str(self.seen)))
            (self.directory / "my.cnf").chmod(0o644)
            for source in self.files.iterdir():
                shutil.copy(source, self.directory / source.name)
                if owner is not None:
                    shutil.chown(self.directory / source.name, owner, owner)

    return Printed


class PrintedRealm(Realm):
    """Nothing is written by hand: the authority's own words set the server up."""

    def __init__(self, kind, **more):
        super().__init__(as_printed(kind), **more)
        self.printed = ""

    def sign_database(self):
        files = self.directory / "database"
        users = [word for user in PRINTED for word in ("--user", user)]
        self.printed = command(
            "ca", "sign-database", "--host", "localhost", "--host", "127.0.0.1", "--out", files, *users,
            "-c", self.authority.configuration_file, "-o", "table", check=0).stdout
        self.server = self.kind(None)
        self.server.files = files
        self.server.my_cnf = re.search(r"^\[mysqld\]\n(.+\n)+", self.printed, re.MULTILINE).group()
        self.server.set_up = self.set_up_database
        self.server.start()

    def statements(self):
        mariadb, mysql = self.printed.split("-- MariaDB\n")[1].split("-- MySQL 8 and later\n")
        text = mysql.split("\n\n")[0] if self.server.mysql9 else mariadb
        return [each + ";" for each in text.strip().removesuffix(";").split(";\n")]

    def set_up_database(self):
        with self.server.admin() as connection, connection.cursor() as cursor:
            for statement in (*database.schema_statements(), *self.statements()):
                cursor.execute(statement)
            for user in PRINTED:
                cursor.execute(f"GRANT SELECT ON shop.* TO '{user}'@'%'")

    def documents(self):
        return {
            "databases": [
                {"name": "shop", "address": f"127.0.0.1:{self.server.port}", "tls": {"server_name": "localhost"}}],
            "roles": [
                {"name": "shop-reader",
                 "allow": {"databases": ["shop"], "mysql_users": ["reader", "ci-app.2"], "schemas": ["shop"]}},
                {"name": "apps", "allow": {"databases": ["shop"], "mysql_users": ["app_*"], "schemas": ["shop"]},
                 "deny": {"mysql_users": ["app_two"]}},
            ],
        }

    def apply(self, what, *options):
        return super().apply(self.documents(), *options)


@pytest.fixture(scope="module", params=[MariaDB, MariaDB11, MySQL9], ids=lambda kind: kind.name)
def realm(request):
    try:
        running = PrintedRealm(request.param).start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    running.stop()


def check(realm, *arguments, code=0, file=None):
    """The objects that `db check` prints."""
    done = command("db", "check", *arguments, "-c", file or realm.authority.configuration_file, "-o", "json")
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- what was printed


def test_what_is_printed_makes_accounts_that_demand_the_minted_certificate(realm):
    for user in PRINTED:
        (row,) = realm.server.execute("SHOW CREATE USER %s@'%%'", user)
        clause = row[0].decode() if isinstance(row[0], bytes) else row[0]
        assert f"SUBJECT '/CN={user}'" in clause, clause
        assert f"ISSUER '{realm.client_issuer()}'" in clause, clause


def test_printed_account_accepts_its_own_certificate_alone(realm):
    """Neither nobody's certificate nor another account's."""
    arguments = {"host": "127.0.0.1", "port": realm.server.port, "user": "reader"}
    with pytest.raises(pymysql.err.OperationalError):
        pymysql.connect(**arguments, ssl_disabled=True)
    with pytest.raises(pymysql.err.OperationalError):
        pymysql.connect(**arguments, ssl={"ca": None, "check_hostname": False, "verify_mode": False})


def test_bot_through_the_proxy(realm):
    tunnel = realm.tunnel("ci-printed")
    assert realm.query(tunnel, "SELECT CURRENT_USER(), COUNT(*) FROM items") == (("reader@%", 3),)
    assert realm.query(tunnel, "SELECT CURRENT_USER()", user="ci-app.2") == (("ci-app.2@%",),)


# --- COM_CHANGE_USER to accounts that demand certificates of their own


def text_connection(tunnel, user="reader", **more):
    """With a client that knows mysql_change_user()."""
    port = int(tunnel.listens[0].rsplit(":", 1)[1])
    return contextlib.closing(MySQLdb.connect(host="127.0.0.1", port=port, user=user, database="shop", **more))


def row(connection, statement):
    connection.query(statement)
    return connection.store_result().fetch_row()[0]


@pytest.mark.parametrize("how", [{}, {"compress": True}], ids=["plain", "compressed"])
def test_change_of_user(realm, how):
    """The other account's certificate is shown; nothing of the session before is left when the client goes on."""
    bot = f"ci-change-{len(how)}"
    tunnel = realm.tunnel(bot)
    before = realm.authority.audit.count()
    with text_connection(tunnel, **how) as connection:
        assert row(connection, "SELECT GET_LOCK('held', 0), @kept := 1") == (1, 1)
        connection.change_user("reader", "", "shop")
        assert row(connection, "SELECT CURRENT_USER()") == ("reader@%",)
        assert row(connection, "SELECT GET_LOCK('held', 0), @kept := 1") == (1, 1)
        for user in ("ci-app.2", "reader", "ci-app.2"):
            connection.change_user(user, "", "shop")
            seen = row(connection, f"SELECT CURRENT_USER(), DATABASE(), @kept, IS_FREE_LOCK('held'), '{user}'")
            assert seen == (f"{user}@%", "shop", None, 1, user)
            assert row(connection, "SELECT GET_LOCK('held', 0), @kept := 1") == (1, 1)
        number = row(connection, "SELECT CONNECTION_ID()")[0]
    audit = realm.authority.audit
    end = audit.wait_for(lambda r: r["event"] == "session.end" and r["bot"] == bot, after=before)
    mine = [each for each in audit.records()[before:] if each.get("session") == end["session"]]
    changes = [each for each in mine if each.get("command") == "change_user"]
    assert [each["params"][0] for each in changes] == ["reader", "ci-app.2", "reader", "ci-app.2"]
    assert {each["outcome"] for each in changes} == {"ok"}
    for each in mine:
        if each.get("statement", "").startswith("SELECT CURRENT_USER(), DATABASE()"):
            assert each["mysql_user"] in each["statement"]
    assert mine[-1]["mysql_user"] == "ci-app.2" and mine[-1]["upstream_connection_id"] == number


def test_change_to_a_globbed_user(realm):
    """Whose certificate is minted while the client waits."""
    tunnel = realm.tunnel("ci-change-glob", "shop-reader", "apps")
    assert not issued_to(realm, "app_changed")
    with text_connection(tunnel) as connection:
        connection.change_user("app_changed", "", "shop")
        assert row(connection, "SELECT CURRENT_USER()") == ("app_changed@%",)
    assert issued_to(realm, "app_changed")


@pytest.mark.parametrize("user, code, outcome", [
    ("root", 1045, "denied"),  # by no role
    ("app_nobody", 1045, "error"),  # by the server: there is no such account
], ids=["role", "server"])
def test_change_that_is_refused(realm, user, code, outcome):
    """It ends the session, and the record says how."""
    bot = f"ci-change-{outcome}-{code}"
    tunnel = realm.tunnel(bot, "shop-reader", "apps")
    with text_connection(tunnel) as connection:
        with pytest.raises(MySQLdb.Error) as refusal:
            connection.change_user(user, "", "shop")
        assert refusal.value.args[0] == code
        with pytest.raises(MySQLdb.Error):
            connection.query("SELECT 1")
    record = realm.authority.audit.wait_for(lambda r: r.get("command") == "change_user" and r["bot"] == bot)
    assert (record["outcome"], record["error"]["code"], record["mysql_user"]) == (outcome, code, "reader")


def test_change_to_a_user_that_the_authority_never_mints_for(remote):
    tunnel = remote.tunnel("ci-change-never", "shop-reader", "apps")
    with text_connection(tunnel) as connection:
        with pytest.raises(MySQLdb.Error, match="has not minted a certificate") as refusal:
            connection.change_user("app_/" + "z" * 20, "", "shop")
        assert refusal.value.args[0] == 1159
    record = remote.proxy.audit.wait_for(lambda r: r.get("command") == "change_user")
    assert record["outcome"] == "error" and record["error"]["code"] == 1159


def raw_connection(tunnel, **more):
    port = int(tunnel.listens[0].rsplit(":", 1)[1])
    connection = wire.Connection(socket.create_connection(("127.0.0.1", port)))
    wire.log_in(connection, "reader", "shop", **more)
    return connection


def test_set_option_outlives_a_change(realm):
    """The proxy judges texts by it: what it takes for one statement, the server must not take for two."""
    tunnel = realm.tunnel("ci-change-option")
    two = b"SELECT 1; SELECT 2"
    for flags, option, works in ((wire.CLIENT_FLAGS, 1, False), (wire.CLIENT_FLAGS & ~wire.MULTI_STATEMENTS, 0, True)):
        with raw_connection(tunnel, flags=flags) as connection:
            for user in ("reader", "ci-app.2", "reader"):
                connection.command(wire.SET_OPTION, struct.pack("<H", option))
                assert connection.expect()[:1] in (b"\xfe", b"\0")
                change_user(connection, user)
                connection.command(wire.QUERY, two)
                if works:
                    assert len(read_results(connection)) == 2
                else:
                    with pytest.raises(wire.ServerError, match="1064"):
                        connection.expect()


def test_change_with_a_collation_of_two_bytes(realm):
    """Its low byte alone would be another character set's: 310 is 54, utf16_general_ci."""
    tunnel = realm.tunnel("ci-change-collation")
    collations = {309: "utf8mb4_0900_bin", 310: "utf8mb4_nb_0900_ai_ci"}
    if not realm.server.mysql9:
        collations = {2304: "uca1400_ai_ci"}
    for number, name in collations.items():
        with raw_connection(tunnel) as connection:
            for user in ("reader", "ci-app.2"):
                body = user.encode() + b"\0\0shop\0" + struct.pack("<H", number) + b"mysql_native_password\0"
                connection.command(wire.CHANGE_USER, body)
                while (answer := connection.expect())[:1] == b"\xfe":
                    connection.send(b"")
                assert answer[:1] == b"\0"
                (seen,) = wire.query(connection, "SELECT @@collation_connection")
                assert name in seen.decode()


def test_many_changes_at_once(realm):
    tunnel = realm.tunnel("ci-change-many")

    def to_and_fro(_):
        with text_connection(tunnel) as connection:
            for user in ("ci-app.2", "reader") * 5:
                connection.change_user(user, "", "shop")
                assert row(connection, "SELECT CURRENT_USER()") == (f"{user}@%",)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(to_and_fro, range(8)))
    for user in ("reader", "ci-app.2"):
        wait_gone(realm.server, user)


def test_client_that_leaves_during_a_change(realm):
    tunnel = realm.tunnel("ci-change-leave")
    for wait in range(20):
        with raw_connection(tunnel) as connection:
            connection.command(wire.CHANGE_USER, change_user_body("ci-app.2"))
            if connection.expect()[:1] == b"\xfe":
                connection.send(b"")
            time.sleep(wait * 0.0007)
    for user in ("reader", "ci-app.2"):
        wait_gone(realm.server, user)
    assert realm.query(tunnel, "SELECT CURRENT_USER()") == (("reader@%",),)


# --- db check at the authority's machine


def test_database_that_only_the_authority_knows(realm):
    """Its accounts, from the authority's roles; each with a certificate of its own."""
    (found,) = check(realm, "shop")
    assert found["result"] == "good" and not found["warnings"], found
    assert [account["current_user"] for account in found["accounts"]] == ["reader@%", "ci-app.2@%"]
    own = found["tls"]["own_certificate"]
    assert own["minted"] and own["accepted"] and own["subject"] == "/CN=reader"
    assert own["issuer"] == realm.client_issuer()


def test_all_databases(realm):
    (found,) = check(realm)
    assert found["database"] == "shop" and found["result"] == "good"


def test_user_that_a_glob_allows(realm):
    (found,) = check(realm, "shop", "--user", "app_one")
    assert found["tls"]["own_certificate"]["subject"] == "/CN=app_one" and found["result"] == "good"


def test_unknown_account_is_told_its_own_clause(realm):
    (found,) = check(realm, "shop", "--user", "reader", "--user", "nobody_here", code=1)
    good, refused = found["accounts"]
    assert good["result"] == "good" and refused["failure"]["kind"] == "access"
    assert f"REQUIRE SUBJECT '/CN=nobody_here' AND ISSUER '{realm.client_issuer()}'" in refused["failure"]["next"]


def test_user_whom_the_authority_refuses(realm):
    (found,) = check(realm, "shop", "--user", "x" * 80, "--user", "reader", code=1)
    refused, good = found["accounts"]
    assert refused["failure"]["kind"] == "not_minted" and refused["failure"]["message"]
    assert refused["failure"]["next"].endswith(".") and good["result"] == "good"


def test_table(realm):
    done = command("db", "check", "shop", "-c", realm.authority.configuration_file, "-o", "table", check=0)
    assert "minted by the authority" in done.stdout and "days left" in done.stdout
    assert "0 days left" not in done.stdout


def test_minting_for_a_check_is_audited_with_who_asked(realm):
    before = len(realm.authority.audit.records())
    check(realm, "shop", "--user", "app_three")
    record = realm.authority.audit.wait_for(None, after=before, event="cert.issue", mysql_user="app_three")
    details = record["details"]
    assert record["mysql_user"] == "app_three" and details["uid"] == 0 and details["kind"] == "database-client"
    assert "proxy" not in record


def test_unknown_database_is_usage(realm):
    done = command("db", "check", "shopp", "-c", realm.authority.configuration_file, check=2)
    assert 'did you mean "shop"' in done.stderr


def test_authority_that_does_not_run(realm, workspace):
    """It says so, and what to do; a database with files of its own is checked all the same."""
    configuration = json.loads(realm.authority.configuration_file.read_text())
    configuration["authority"]["directory"] = "nowhere"
    configuration["databases"] = [{"name": "minted", "address": f"127.0.0.1:{realm.server.port}"}]
    file = workspace / "serve.json"
    file.write_text(json.dumps(configuration))
    done = command("db", "check", "minted", "-c", file, "--user", "reader", check=1)
    assert "no authority is at" in done.stderr and "does not run" in done.stderr and not done.stdout
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", "own.key", "-out", "own.crt", "-subj", "/CN=own", "-days", "1"],
                   cwd=workspace, check=True, capture_output=True)
    configuration["databases"].append({
        "name": "files", "address": f"127.0.0.1:{process.free_port()}",
        "tls": {"ca": "own.crt", "cert": "own.crt", "key": "own.key"},
    })
    file.write_text(json.dumps(configuration))
    (found,) = check(realm, "files", "--user", "reader", code=1, file=file)
    assert found["accounts"][0]["failure"]["kind"] == "refused"


# --- servers that the authority has not set up


@pytest.fixture(scope="module")
def lone():
    """An authority, and no server: those of the run have certificates of another PKI."""
    directory = process.temporary_directory()
    authority = Authority(directory).start()
    yield authority
    authority.stop()
    shutil.rmtree(directory)


def check_foreign(lone, server, **tls):
    configuration = json.loads(lone.configuration_file.read_text())
    configuration["databases"] = [{
        "name": "foreign", "address": f"127.0.0.1:{server.port}", **({"tls": tls} if tls else {}),
    }]
    file = lone.directory / "foreign.json"
    file.write_text(json.dumps(configuration))
    done = command("db", "check", "foreign", "--user", "reader", "-c", file, "-o", "json", check=1)
    (account,) = json.loads(done.stdout)["accounts"]
    return account["failure"]


def test_server_of_another_ca(lone, server):
    refused = check_foreign(lone, server)
    assert refused["kind"] == "server_untrusted"
    assert "sallyport ca sign-database --host 127.0.0.1" in refused["next"]


def test_server_that_trusts_another_client_ca(lone, server, certificates):
    refused = check_foreign(lone, server, ca=str(certificates["db-server-ca.crt"]))
    assert refused["kind"] == "own_certificate" and "unknown CA" in refused["message"]
    assert "sallyport ca export database-client" in refused["next"]


# --- db check at a proxy's machine


@pytest.fixture(scope="module")
def remote():
    """A proxy in a process of its own, which has joined."""
    running = PrintedRealm(MariaDB, remote=("proxy-a",)).start()
    yield running
    running.stop()


def test_as_the_proxy(remote):
    """With the running proxy's identity, beside it, and with no right to administer anything."""
    (found,) = check(remote, "shop", file=remote.proxy.configuration_file)
    assert found["result"] == "good" and found["tls"]["own_certificate"]["subject"] == "/CN=reader"
    records = [each for each in remote.authority.audit.records() if each["event"] == "cert.issue"]
    assert records[-1]["proxy"] == "proxy-a" and records[-1]["mysql_user"] == "ci-app.2"
    # The proxy goes on as before.
    assert remote.query(remote.tunnel("ci-beside")) == ((1,),)


def test_beside_a_proxy_that_renews():
    """A check that went on with the certificate before would look like a thief's, and get the proxy locked."""

    def short_lives(configuration):
        configuration["authority"]["service_ttl"] = "6s"

    hasty = PrintedRealm(MariaDB, remote=("proxy-a",), change=short_lives).start()
    try:
        serials = set()
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            serials.add(hasty.proxy.serial())
            check(hasty, "shop", "--user", "reader", file=hasty.proxy.configuration_file)
        assert len(serials) >= 4
        events = {record["event"] for record in hasty.authority.audit.records()}
        assert not events & {"cert.conflict", "lock.create"}, events
    finally:
        hasty.stop()


def test_configuration_of_an_authority_alone(remote):
    """It has no proxy, and its databases are the applied ones."""
    (found,) = check(remote, "shop")
    assert found["result"] == "good" and found["tls"]["own_certificate"]["minted"]


def test_proxy_that_has_not_joined(remote, workspace):
    configuration = json.loads(remote.proxy.configuration_file.read_text())
    file = workspace / "serve.json"
    file.write_text(json.dumps(configuration))
    done = command("db", "check", "shop", "-c", file, check=1)
    assert "has no identity in" in done.stderr and "joins at its first start" in done.stderr


def test_authority_that_cannot_be_reached(remote, workspace):
    configuration = json.loads(remote.proxy.configuration_file.read_text())
    configuration["proxy"]["authority"]["address"] = f"127.0.0.1:{process.free_port()}"
    configuration["proxy"]["authority"]["identity"] = str(remote.proxy.identity)
    file = workspace / "serve.json"
    file.write_text(json.dumps(configuration))
    done = command("db", "check", "shop", "-c", file, check=1)
    assert "cannot be reached" in done.stderr and "refused" in done.stderr



# --- users whom only a glob allows


def issued_to(realm, user):
    return [each for each in realm.authority.audit.records()
            if each["event"] == "cert.issue" and each.get("mysql_user") == user and each.get("proxy")]


def test_globbed_user_at_the_first_connect(realm):
    """Nothing was minted ahead; the first session waits for it, the next find it."""
    tunnel = realm.tunnel("ci-glob", "apps")
    assert not issued_to(realm, "app_one")
    began = time.monotonic()
    assert realm.query(tunnel, "SELECT CURRENT_USER()", user="app_one") == (("app_one@%",),)
    assert time.monotonic() - began < 3
    for _ in range(5):
        assert realm.query(tunnel, user="app_one") == ((1,),)
    assert len(issued_to(realm, "app_one")) == 1


def test_many_at_once_wait_for_one(realm):
    tunnel = realm.tunnel("ci-glob-many", "apps")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        rows = list(pool.map(lambda _: realm.query(tunnel, "SELECT CURRENT_USER()", user="app_three"), range(20)))
    assert rows == [(("app_three@%",),)] * 20
    assert len(issued_to(realm, "app_three")) == 1


def test_denied_user_causes_no_certificate(realm):
    tunnel = realm.tunnel("ci-glob-deny", "apps")
    for user in ("app_two", "other"):
        with pytest.raises(pymysql.MySQLError) as refusal:
            realm.query(tunnel, user=user)
        assert "sallyport: bot ci-glob-deny" in str(refusal.value)
        assert not issued_to(realm, user)


def test_globbed_user_without_an_account(realm):
    """The certificate is minted: the server's own refusal reaches the client."""
    tunnel = realm.tunnel("ci-glob-none", "apps")
    with pytest.raises(pymysql.MySQLError) as refusal:
        realm.query(tunnel, user="app_none")
    assert refusal.value.args[0] == 1045 and "app_none" in str(refusal.value)


def test_user_that_the_authority_never_mints_for(realm):
    """Neither a hang nor a crash: a clear error within the bounded wait, and the reason in the log."""
    tunnel = realm.tunnel("ci-glob-refused", "apps")
    name = "app_/" + "x" * 20
    began = time.monotonic()
    with pytest.raises(pymysql.MySQLError) as refusal:
        realm.query(tunnel, user=name)
    assert 0.5 < time.monotonic() - began < 9
    assert refusal.value.args[0] == 1159 and "has not minted a certificate" in str(refusal.value)
    assert "gave no certificate for a MySQL user" in realm.authority.log()
    assert realm.query(tunnel, user="app_one") == ((1,),)


def test_authority_gone(remote):
    """What is there goes on working; who would need a new one is told so, after a bounded time."""
    tunnel = remote.tunnel("ci-gone", "apps", "shop-reader")
    assert remote.query(tunnel) == ((1,),)
    remote.authority.signal(signal.SIGSTOP)
    state = pathlib.Path(f"/proc/{remote.authority.process.pid}/stat")
    process.wait_until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "the authority to be stopped")
    try:
        began = time.monotonic()
        with pytest.raises(pymysql.MySQLError) as refusal:
            remote.query(tunnel, user="app_one")
        assert time.monotonic() - began < 9 and "connect again" in str(refusal.value)
        assert remote.query(tunnel) == ((1,),)
    finally:
        remote.authority.signal(signal.SIGCONT)
    process.wait_until(lambda: works(remote, tunnel, "app_one"), "the certificate once the authority is back", 20)


def works(realm, tunnel, user):
    try:
        return realm.query(tunnel, user=user) == ((1,),)
    except pymysql.MySQLError:
        return False


def test_lock_ends_a_wait(remote):
    """A session that waits for its certificate is judged like any other."""
    tunnel = remote.tunnel("ci-waits", "apps")
    name = "app_/" + "y" * 20
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(works_or_why, remote, tunnel, name)
        time.sleep(1)
        began = time.monotonic()
        remote.authority.admin("lock", "add", "--bot", "ci-waits", "--reason", "while it waits")
        assert "while it waits" in waiting.result(10)
        assert time.monotonic() - began < 2


def works_or_why(realm, tunnel, user):
    try:
        return str(realm.query(tunnel, user=user))
    except pymysql.MySQLError as error:
        return str(error)
