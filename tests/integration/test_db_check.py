# SPDX-License-Identifier: Apache-2.0
"""`sallyport db check`: what it finds at real servers, and that each failure is told apart and says what to do.
Servers that a test plays are in test_db_check_played.py."""

import datetime
import fcntl
import json
import os
import pathlib
import pty
import re
import socket
import struct
import subprocess
import termios

import pymysql
import pytest

from harness import process, wire
from harness.guest import Unavailable
from harness.mariadb import MariaDB, MariaDB11
from harness.mysql9 import MySQL9
from harness.preflight import LONE_USER, check, check_reader, failure, fails, issue, tls_of, warnings
from harness.sallyport import BINARY, ENVIRONMENT, command

# --- real servers, as they should be


def test_good(server, configured, certificates):
    found = check_reader(configured(server.port))
    assert found["database"] == "shop" and found["result"] == "good"
    assert found["connected_to"] == found["address"] == f"127.0.0.1:{server.port}"
    ((version, packet),) = server.execute("SELECT @@version, @@max_allowed_packet")
    assert found["server"]["vendor"] == ("MySQL" if server.mysql9 else "MariaDB")
    assert found["server"]["version"].removeprefix("5.5.5-") == version
    assert found["server"]["max_allowed_packet"] == packet
    assert found["server"]["require_secure_transport"] is False
    # The same machine: what is left is the way there and back.
    assert abs(found["server"]["clock_skew_us"]) < 1_000_000
    assert found["tls"]["version"] == "TLSv1.3" and "GCM" in found["tls"]["cipher"]
    assert found["tls"]["server_certificate"]["names"] == "DNS:localhost, IP:127.0.0.1"
    assert found["tls"]["server_certificate"]["subject"] == "CN=db-1,O=acme"
    assert found["tls"]["server_certificate"]["days_left"] > 100
    own = found["tls"]["own_certificate"]
    assert own["accepted"] and own["asked_for"] and own["days_left"] > 100
    # Letter by letter what REQUIRE SUBJECT and ISSUER compare with.
    assert own["subject"] == certificates.one_line("db-client.crt", "subject")
    assert own["issuer"] == certificates.one_line("db-client.crt", "issuer")


def test_account(server, configured, certificates):
    (account,) = check_reader(configured(server.port))["accounts"]
    assert account["mysql_user"] == "reader" and account["current_user"] == "reader@%"
    assert account["user"] == "reader@127.0.0.1"
    assert account["plugin"] == ("caching_sha2_password" if server.mysql9 else "mysql_native_password")
    subject = certificates.one_line("db-client.crt", "subject")
    issuer = certificates.one_line("db-client.crt", "issuer")
    assert set(account["require"].split(" AND ")) == {f"SUBJECT '{subject}'", f"ISSUER '{issuer}'"}


def test_stored_password(server, configured):
    found = check(configured(server.port), "shop", "--user", "reader_pw", code=0)
    assert found[0]["accounts"][0]["current_user"] == "reader_pw@%"


def test_no_password_hash_is_told(server, configured):
    """SHOW CREATE USER holds it."""
    done = command("db", "check", "-c", configured(server.port), "--user", "reader_pw", "-o", "json", check=0)
    column = "authentication_string"
    ((stored,),) = server.execute(f"SELECT {column} FROM mysql.user WHERE user = 'reader_pw'")
    stored = stored.decode("latin-1") if isinstance(stored, bytes) else stored
    assert stored and stored[-20:] not in done.stdout + done.stderr


def test_default_accounts_are_those_of_the_roles(server, configured):
    """Globs name nobody, a deny rule takes an account out, and each is tried once."""

    def change(configuration):
        configuration["roles"][0]["allow"]["mysql_users"] = ["reader", "read*", "writer"]
        configuration["roles"][0]["deny"] = {"mysql_users": ["writer"]}
        configuration["roles"][1]["allow"]["mysql_users"] = ["reader"]

    (found,) = check(configured(server.port, change), code=0)
    assert [account["mysql_user"] for account in found["accounts"]] == ["reader"]


def test_nobody_to_log_in_as(configured):
    def change(configuration):
        for role in configuration["roles"]:
            role["allow"]["mysql_users"] = ["read*"]

    done = command("db", "check", "shop", "-c", configured(1, change), check=2)
    assert "--user" in done.stderr and not done.stdout


def test_all_databases_in_their_order(server, configured, workspace):
    def change(configuration):
        for name in ("first", "second", "third"):
            more = json.loads(json.dumps(configuration["databases"][0]))
            more["name"] = name
            configuration["databases"].append(more)
        configuration["databases"][2]["address"] = f"127.0.0.1:{process.free_port()}"

    found = check(configured(server.port, change), *LONE_USER, code=1)
    assert [(each["database"], each["result"]) for each in found] == [
        ("shop", "good"), ("first", "good"), ("second", "failed"), ("third", "good"),
    ]


def test_json_is_stable(server, configured):
    """Two looks differ in the clock and nothing else, the order of the keys included."""

    def look():
        found = check_reader(configured(server.port))
        del found["server"]["clock_skew_us"], found["server"]["clock_skew_within_us"]
        return json.dumps(found)

    assert look() == look()


def test_leaves_in_order(server, configured):
    """Neither an aborted login nor an aborted client for the server, and nobody stays."""

    def aborted():
        return dict(server.execute("SHOW GLOBAL STATUS LIKE 'Aborted_c%'"))

    before = aborted()
    check_reader(configured(server.port))
    process.wait_until(lambda: not server.connections("reader"), "the connection to end")
    after = aborted()
    for name in ("Aborted_connects", "Aborted_clients"):
        assert after[name] == before[name], (before, after)


def greeting_flags(port):
    """The capabilities in the clear greeting of a port: standard, MariaDB's extended."""
    with wire.Connection(socket.create_connection(("127.0.0.1", port), 10)) as connection:
        payload = connection.expect()
        greeting = wire.Greeting(payload)
        at = payload.index(b"\0", 1) + 1
        (extended,) = struct.unpack_from("<I", payload, at + 27)
        return greeting.capabilities, 0 if greeting.capabilities & wire.LONG_PASSWORD else extended


def test_masked_is_what_the_proxy_masks(server, start_proxy):
    proxy = start_proxy(server.port)
    theirs, theirs_extended = greeting_flags(server.port)
    ours, ours_extended = greeting_flags(proxy.starttls_port)
    masked = theirs & ~ours | (theirs_extended & ~ours_extended) << 32
    found = check_reader(proxy.configuration_file)
    assert sum(1 << flag["bit"] for flag in found["masked"]) == masked
    for flag in found["masked"]:
        assert flag["meaning"] and re.fullmatch(r"[A-Z0-9_]+", flag["flag"]), flag


# --- warnings


def test_warns_of_plaintext(server, configured):
    found = check_reader(configured(server.port))
    assert warnings(found) == {"secure_transport_off"} and found["result"] == "good"
    server.execute("SET GLOBAL require_secure_transport = ON")
    try:
        assert warnings(check_reader(configured(server.port))) == set()
    finally:
        server.execute("SET GLOBAL require_secure_transport = OFF")


def test_warns_of_an_account_without_subject(server, configured):
    (found,) = check(configured(server.port), "--user", "direct", code=0)
    assert "no_require_subject" in warnings(found)
    assert found["accounts"][0]["require"] == "NONE"


@pytest.mark.parametrize("clause", ["SSL", "X509", "ISSUER '/CN={issuer}'"])
def test_warns_of_other_requirements(server, configured, certificates, clause):
    issuer = certificates.one_line("db-client.crt", "issuer")
    clause = clause.replace("/CN={issuer}", issuer)
    server.execute(f"CREATE USER lax REQUIRE {clause}".replace("%", "%%"))
    try:
        (found,) = check(configured(server.port), "--user", "lax", code=0)
        assert found["accounts"][0]["require"] == clause
        assert "no_require_subject" in warnings(found)
    finally:
        server.execute("DROP USER lax")


def test_warns_of_an_account_without_issuer(server, configured, certificates):
    subject = certificates.one_line("db-client.crt", "subject")
    server.execute(f"CREATE USER lax REQUIRE SUBJECT '{subject}'")
    try:
        (found,) = check(configured(server.port), "--user", "lax", code=0)
        assert warnings(found) == {"secure_transport_off", "no_require_issuer"}
    finally:
        server.execute("DROP USER lax")


# --- clocks

FAKETIME = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def at_another_time(file, seconds, code):
    """What the check prints whose clock differs by so much from the server's: it is our clock that is moved."""
    if not FAKETIME:
        pytest.skip("no libfaketime")
    if b"__asan_init" in BINARY.read_bytes():
        pytest.skip("libfaketime and AddressSanitizer do not go together")
    done = subprocess.run(
        [BINARY, "db", "check", "shop", "-c", file, *LONE_USER, "-o", "json"], capture_output=True, text=True,
        timeout=30, env={**ENVIRONMENT, "LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": f"{seconds:+d}s",
                         "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def backdated(own):
    """backdated(change=None): trusts the server's CA by a certificate that begins ten days ago, and needs no CRL."""
    issue(own, "db-server", "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n",
          None, datetime.timedelta(days=-10), datetime.timedelta(days=30), selfsign=True)
    (own.directory / "short.crt").rename(own.directory / "old-ca.crt")

    def changed(change=None):
        def both(configuration):
            if change is not None:
                change(configuration)
            tls_of(configuration)["ca"] = str(own["old-ca.crt"])
            del configuration["proxy"]["tls"]["crl"]

        return both

    return changed


@pytest.mark.parametrize("seconds, words", [(600, "600 seconds behind"), (-600, "600 seconds ahead of")])
def test_clock_that_differs(server, backdated, configured, seconds, words):
    found = at_another_time(configured(server.port, backdated()), seconds, code=0)
    assert abs(found["server"]["clock_skew_us"] / 1e6 + seconds) < 3
    assert "clock_skew" in warnings(found)
    (text,) = [each["message"] for each in found["warnings"] if each["kind"] == "clock_skew"]
    assert re.sub(r"59\d|60\d", "600", text).startswith(f"the server's clock is {words}"), text


def test_our_clock_is_behind_the_servers_certificate(server, backdated, configured):
    """Where it is not valid yet for us, the check says by how much."""
    refused = failure(at_another_time(configured(server.port, backdated()), -86400 * 4, code=1))
    assert refused["kind"] == "server_time" and "by our clock in 2 days: our clock is behind" in refused["message"]


def issue_client(own, begin, end):
    """The certificate that we show, valid between two times from now; returns a change of the configuration."""
    issue(own, "db-client", "extendedKeyUsage = clientAuth\n", "/CN=sallyport-proxy", begin, end)

    def change(configuration):
        tls_of(configuration)["cert"] = str(own["short.crt"])

    return change


@pytest.mark.parametrize("ours, begin, end, words", [
    (7200, 3600, 86400, "has been valid for 60 minutes: if the server's clock is behind ours"),
    (0, 3600, 86400, "becomes valid in 59 minutes"),
    (-5400, -7200, -3600, "the server's clock is ahead of ours"),
    (0, -7200, -3600, "by our clock it ended 60 minutes ago"),
], ids=["not yet valid there", "not yet valid", "expired there", "expired"])
def test_our_certificate_out_of_its_time(server, own, backdated, configured, ours, begin, end, words):
    """The server refuses it: by whose clock, and by how much."""
    change = issue_client(own, datetime.timedelta(seconds=begin), datetime.timedelta(seconds=end))
    found = at_another_time(configured(server.port, backdated(change)), ours, code=1)
    refused = failure(found)
    assert refused["kind"] == "own_time" and "NTP" in refused["next"], refused
    assert words in refused["message"], refused["message"]
    assert found["tls"]["own_certificate"]["accepted"] is False


# --- real servers, with a fault


def test_name_that_does_not_resolve(configured):
    def change(configuration):
        configuration["databases"][0]["address"] = "no-such-host.invalid:3306"

    assert "no-such-host.invalid" in fails(configured(1, change, timeout="10s"), "resolve")["message"]


def test_nobody_listens(configured):
    fails(configured(process.free_port()), "refused")


def test_unknown_account(server, configured):
    (found,) = check(configured(server.port), "--user", "nobody_here", code=1)
    refused = failure(found)
    assert refused["kind"] == "access" and refused["code"] == 1045 and refused["sqlstate"] == "28000"
    # The advice can be pasted: it has our own certificate's names.
    assert f"REQUIRE SUBJECT '{found['tls']['own_certificate']['subject']}'" in refused["next"]


@pytest.fixture
def account(server):
    """account("… REQUIRE …"): an account "special" of the test's own."""

    def create(more):
        server.execute(f"CREATE USER special {more}")

    yield create
    server.execute("DROP USER IF EXISTS special")


def special(file, *arguments):
    (found,) = check(file, "--user", "special", *arguments, code=1)
    return failure(found)


def test_wrong_subject(server, configured, account):
    account("REQUIRE SUBJECT '/CN=somebody else'")
    assert special(configured(server.port))["kind"] == "access"


def test_wrong_issuer(server, configured, account, certificates):
    subject = certificates.one_line("db-client.crt", "subject")
    account(f"REQUIRE SUBJECT '{subject}' AND ISSUER '/CN=another CA'")
    refused = special(configured(server.port))
    assert refused["kind"] == "access"
    assert f"ISSUER '{certificates.one_line('db-client.crt', 'issuer')}'" in refused["next"]


def test_locked_account(server, configured, account):
    account("ACCOUNT LOCK")
    assert special(configured(server.port))["kind"] == "account_locked"


def test_expired_password(server, configured, account):
    account("PASSWORD EXPIRE")
    found = special(configured(server.port))
    assert found["kind"] == "password_expired" and found["code"] in (1820, 1862)


def test_unknown_schema(server, configured, account):
    account("")
    server.execute("GRANT SELECT ON *.* TO special")
    assert special(configured(server.port), "--schema", "no_such_schema")["kind"] == "schema_unknown"


def test_schema_without_a_grant(server, configured, account):
    account("")
    found = special(configured(server.port), "--schema", "secret")
    assert found["kind"] == "schema_denied" and "secret" in found["next"]


def test_schema(server, configured):
    assert check_reader(configured(server.port), "--schema", "shop")["result"] == "good"


def test_too_many_connections(server, configured, account):
    account("WITH MAX_USER_CONNECTIONS 1")
    with pymysql.connect(host="127.0.0.1", port=server.port, user="special"):
        assert special(configured(server.port))["kind"] == "too_many_connections"


def test_server_of_another_ca(server, configured, certificates):
    def change(configuration):
        tls_of(configuration)["ca"] = str(certificates["foreign-ca.crt"])

    found = check_reader(configured(server.port, change), code=1)
    assert failure(found)["kind"] == "server_untrusted"
    assert found["tls"]["server_certificate"]["subject"] == "CN=db-1,O=acme"


def test_server_of_another_name(server, configured):
    def change(configuration):
        tls_of(configuration)["server_name"] = "db2.internal"

    found = check_reader(configured(server.port, change), code=1)
    assert failure(found)["kind"] == "server_name" and "db2.internal" in failure(found)["message"]
    # What it is for, so that one can choose.
    assert found["tls"]["server_certificate"]["names"] == "DNS:localhost, IP:127.0.0.1"


def test_our_certificate_of_another_ca(server, configured, certificates):
    """TLS 1.3: the refusal comes when we think that the handshake is done."""

    def change(configuration):
        tls_of(configuration)["cert"] = str(certificates.bot("ci-1") / "cert.pem")
        tls_of(configuration)["key"] = str(certificates.bot("ci-1") / "key.pem")

    found = check_reader(configured(server.port, change), code=1)
    assert failure(found)["kind"] == "own_certificate", found
    assert found["tls"]["own_certificate"]["accepted"] is False
    assert found["tls"]["own_certificate"]["issuer"] in failure(found)["next"]


def test_a_fault_of_the_server_is_met_once(server, configured):
    """Each broken handshake counts against max_connect_errors: the other accounts are not tried."""

    def change(configuration):
        tls_of(configuration)["server_name"] = "db2.internal"

    (found,) = check(configured(server.port, change), "--user", "reader", "--user", "writer", code=1)
    assert [account["result"] for account in found["accounts"]] == ["failed", "not_tried"]


def test_a_fault_of_an_account_is_its_own(server, configured):
    (found,) = check(configured(server.port), "--user", "nobody_here", "--user", "reader", code=1)
    assert [account["result"] for account in found["accounts"]] == ["failed", "good"]


def another(kind, certificates, *options):
    """A server with more options than the run's own."""
    try:
        return kind(certificates, options=options).start()
    except Unavailable as reason:
        return pytest.skip(f"no {kind.name}: {reason}")


@pytest.fixture(scope="module", params=[(MariaDB, "--skip-ssl"), (MariaDB11, "--skip-ssl"), (MySQL9, "--tls-version=")],
                ids=lambda param: param[0].name)
def server_without_tls(request, certificates):
    kind, option = request.param
    server = another(kind, certificates, option)
    yield server
    server.stop()


@pytest.fixture(scope="module", params=[MariaDB, MariaDB11, MySQL9], ids=lambda kind: kind.name)
def server_without_ca(request, certificates):
    class WithoutCa(request.param):
        def options(self):
            return [each for each in super().options() if not each.startswith("--ssl-ca=")]

    server = another(WithoutCa, certificates)
    yield server
    server.stop()


def test_server_that_knows_no_ca(server_without_ca, configured):
    """Without ssl_ca a server asks for certificates all the same, and refuses each."""
    refused = fails(configured(server_without_ca.port), "own_certificate")
    assert "unknown CA" in refused["message"] and "ssl_ca" in refused["next"]


def test_server_without_tls(server_without_tls, configured):
    """The connection is finished all the same, as a login that is refused, so that it counts as no connect error."""
    with server_without_tls.general_log() as log:
        fails(configured(server_without_tls.port), "no_tls")
        process.wait_until(lambda: any(b"sallyport_retired" in text for _, _, text in log()), "the retirement")


# --- the command line


def on_a_terminal(*arguments, columns=80, environment=None):
    """What it prints on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        [BINARY, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave,
        env={**ENVIRONMENT, **(environment or {})},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    os.close(master)
    child.wait(20)
    return shown.decode().replace("\r\n", "\n")


def test_fits_a_terminal(server, configured):
    file = configured(server.port)
    plain = on_a_terminal("db", "check", "-c", file, *LONE_USER, environment={"NO_COLOR": "1"})
    assert "\x1b" not in plain and plain.startswith("shop  127.0.0.1:")
    assert max(len(line) for line in plain.splitlines()) <= 80
    # Labels and texts stand in two columns.
    for line in plain.splitlines()[1:]:
        assert re.match(r"  (\S.{12}| {13}) \S", line), line
    coloured = on_a_terminal("db", "check", "-c", file, *LONE_USER, environment={"NO_COLOR": ""})
    assert "\x1b[32mgood" in coloured
    assert "what to do" in on_a_terminal("db", "check", "-c", file, "--user", "nobody_here")


def test_table_in_a_pipe_has_no_colours(server, configured):
    done = command("db", "check", "-c", configured(server.port), *LONE_USER, "-o", "table", check=0)
    assert "\x1b" not in done.stdout and "REQUIRE" in done.stdout


def test_help():
    done = command("db", "--help", check=0)
    for word in ("usage", "--user", "--schema", "Exit code"):
        assert word in done.stdout
    assert "  db " in command("--help", check=0).stdout


@pytest.mark.parametrize("arguments", [
    [], ["check"], ["no-such-verb", "-c", "x"], ["check", "shop", "more", "-c", "x"], ["check", "-c", "x", "-o", "xml"],
    ["check", "-c", "x", "--user", ""], ["check", "-c", "x", "--user", "u" * 400], ["check", "-c", "/no/such/file"],
    ["check", "-c", "x", "--schema", "s" * 400], ["check", "-c", "x", *["--user", "a"] * 33], ["check", "--nonsense"],
    ["check", "-c", "x", "--user", "\udcff"], ["check", "-c", "x", "--schema", "\udcff"],
])
def test_usage_errors(arguments):
    done = command("db", *arguments, check=2)
    assert done.stderr and not done.stdout


@pytest.fixture
def globs_first(configured):
    """globs_first(port): "shop", with accounts by glob alone, then "ledger" with the reader, then "attic" like shop."""

    def change(configuration):
        (shop,) = configuration["databases"]
        configuration["databases"] = [shop, {**shop, "name": "ledger"}, {**shop, "name": "attic"}]
        configuration["roles"] = [
            {"name": "any", "allow": {"databases": ["shop", "attic"], "mysql_users": ["read*"], "schemas": ["*"]}},
            {"name": "one", "allow": {"databases": ["ledger"], "mysql_users": ["reader"], "schemas": ["*"]}},
        ]
        configuration["mappings"] = [{"subject": "OU=bots", "roles": ["any", "one"]}]

    return lambda port: configured(port, change)


def test_database_without_accounts_to_try_keeps_no_other_from_its_check(globs_first, mariadb):
    file = globs_first(mariadb.port)
    shop, ledger, attic = check(file, code=1)
    for found, name in ((shop, "shop"), (attic, "attic")):
        assert found["database"] == name and found["result"] == "failed" and found["accounts"] == []
        assert found["failure"]["kind"] == "no_account"
        assert "no account to try" in found["failure"]["message"] and "--user" in found["failure"]["next"]
    assert ledger["database"] == "ledger" and ledger["result"] == "good"
    assert [account["mysql_user"] for account in ledger["accounts"]] == ["reader"] and "failure" not in ledger
    table = command("db", "check", "-c", file, "-o", "table", check=1).stdout
    assert table.count("no account to try") == 2 and table.count("FAILED") == 4 and "--user" in table
    # Where the account is named there is something to try.
    assert [found["result"] for found in check(file, *LONE_USER, code=0)] == ["good"] * 3


def test_named_database_without_accounts_to_try_is_a_usage_error(globs_first):
    done = command("db", "check", "shop", "-c", globs_first(1), check=2)
    assert "--user" in done.stderr and not done.stdout


def test_unknown_database_suggests_the_nearest(configured):
    done = command("db", "check", "shpo", "-c", configured(1), check=2)
    assert 'did you mean "shop"' in done.stderr


def test_wrong_configuration(configured):
    def change(configuration):
        configuration["databases"][0]["tls"]["ca"] = "/no/such/ca.crt"

    done = command("db", "check", "-c", configured(1, change), check=2)
    assert re.match(r".+\.json:\d+:\d+: ", done.stderr)
