# SPDX-License-Identifier: Apache-2.0
"""`sallyport db check`: what it finds at real servers, and that each failure is told apart and says what to do."""

import datetime
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import time

import pymysql
import pytest

from harness import process, wire
from harness.database import READER_PASSWORD
from harness.mariadb import MariaDB
from harness.sallyport import BINARY, ENVIRONMENT, Proxy, command
from harness.short_certificates import OwnAuthority
from harness.wire import FakeUpstream

LONE_USER = ["--user", "reader"]


@pytest.fixture
def configured(workspace, certificates):
    """configured(port, change=None): the file of a configuration whose database "shop" is at that port."""

    def write(port, change=None, timeout="2s"):
        def changed(configuration):
            configuration["proxy"]["limits"] = {"upstream_timeout": timeout}
            if change is not None:
                change(configuration)

        return Proxy(workspace, certificates, port, changed).configuration_file

    return write


def check(file, *arguments, code):
    """The objects that it prints as JSON; secrets are never among them."""
    done = command("db", "check", "-c", file, "-o", "json", *arguments)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert READER_PASSWORD not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_reader(file, *arguments, code=0):
    (found,) = check(file, "shop", *LONE_USER, *arguments, code=code)
    return found


def failure(found):
    """The failure of the only account, which says what to do."""
    (account,) = found["accounts"]
    assert found["result"] == account["result"] == "failed"
    assert account["failure"]["message"] and account["failure"]["next"].endswith(".")
    return account["failure"]


def fails(file, kind, *arguments):
    found = failure(check_reader(file, *arguments, code=1))
    assert found["kind"] == kind, found
    return found


def warnings(found):
    return {warning["kind"] for warning in found["warnings"]}


def tls_of(configuration):
    return configuration["databases"][0]["tls"]


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


@pytest.fixture(scope="module")
def server_without_tls(certificates):
    server = MariaDB(certificates, options=["--skip-ssl"]).start()
    yield server
    server.stop()


def test_server_without_tls(server_without_tls, configured):
    """The connection is finished all the same, as a login that is refused, so that it counts as no connect error."""
    with server_without_tls.general_log() as log:
        fails(configured(server_without_tls.port), "no_tls")
        process.wait_until(lambda: any(b"sallyport_retired" in text for _, _, text in log()), "the retirement")


# --- servers that a test plays


@pytest.fixture
def own(certificates, workspace):
    return OwnAuthority.copy(certificates, workspace / "own")


def issue_server(own, begin, end):
    """A certificate for the database server's key, valid between two times from now."""
    def at(delta):
        moment = datetime.datetime.now(datetime.timezone.utc) + delta
        return moment.strftime("%Y%m%d%H%M%SZ")

    (own.directory / "san").write_text("subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\n")
    run = ["openssl", "req", "-new", "-key", "db-server.key", "-subj", "/CN=db-1", "-out", "short.req"]
    subprocess.run(run, cwd=own.directory, check=True, capture_output=True)
    (own.directory / "short.db").write_text("")
    (own.directory / "short.conf").write_text(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = short.db\nrand_serial = yes\nnew_certs_dir = .\n"
        "default_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
    )
    run = ["openssl", "ca", "-batch", "-notext", "-config", "short.conf", "-extfile", "san", "-in", "short.req",
           "-cert", authority_file(own, "crt"), "-keyfile", authority_file(own, "key"), "-out", "short.crt",
           "-startdate", at(begin), "-enddate", at(end)]
    subprocess.run(run, cwd=own.directory, check=True, capture_output=True)
    return ("short.crt", "db-server.key")


def authority_file(own, suffix):
    return str(own[f"db-server-ca.{suffix}"])


def answer_as(answers):
    """Answers the check's statements by words in them; others with one empty row."""

    def answer(peer, statement):
        for words, (columns, rows) in answers.items():
            if words in statement:
                peer.result_set(rows, columns)
                return
        peer.result_set([], ("a", "b"))

    return answer


def utc(seconds=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f").encode()


ACCOUNT = {b"CURRENT_USER(), USER()": (("a", "b"), [(b"reader@%", b"reader@here")])}


def serve(answers):
    def script(peer):
        peer.log_in()
        peer.serve(answer_as(answers))

    return script


def test_skewed_clock(certificates, configured):
    for seconds, word in ((3600, "ahead"), (-60, "behind")):
        with FakeUpstream(certificates, serve({
            **ACCOUNT, b"UTC_TIMESTAMP": (("a",), [(utc(seconds),)]),
        })) as upstream:
            found = check_reader(configured(upstream.port))
        assert abs(found["server"]["clock_skew_us"] / 1e6 - seconds) < 2
        assert "clock_skew" in warnings(found)
        assert any(word in warning["message"] for warning in found["warnings"])


def test_asks_and_leaves(certificates, configured):
    with FakeUpstream(certificates, serve(ACCOUNT)) as upstream:
        found = check_reader(configured(upstream.port))
        process.wait_until(lambda: bytes([wire.QUIT]) in upstream.commands, "COM_QUIT")
        assert upstream.connections == 1
    # What the server does not tell is left out, not made up.
    assert found["server"].keys() == {"vendor", "version"}
    assert "require" not in found["accounts"][0]


def test_old_server_tells_the_clause_in_its_grants(certificates, configured):
    def answer(peer, statement):
        if b"SHOW CREATE USER" in statement:
            peer.send(wire.err_packet(1064, "You have an error in your SQL syntax", "42000"))
        elif b"SHOW GRANTS" in statement:
            peer.result_set([(b"GRANT USAGE ON *.* TO 'reader'@'%' IDENTIFIED BY PASSWORD '*0' REQUIRE X509",)])
        else:
            answer_as(ACCOUNT)(peer, statement)

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        found = check_reader(configured(upstream.port))
    assert found["accounts"][0]["require"] == "X509"


@pytest.mark.parametrize("days, kind", [(3, "warning"), (-1, "failure")])
def test_server_certificate_near_or_past_its_end(own, configured, days, kind):
    certificate = issue_server(own, datetime.timedelta(days=-30), datetime.timedelta(days=days, hours=1))
    with FakeUpstream(own, serve(ACCOUNT), certificate) as upstream:
        if kind == "failure":
            assert "expired" in fails(configured(upstream.port), "server_time")["message"]
        else:
            found = check_reader(configured(upstream.port))
            assert warnings(found) == {"server_certificate_expires"}
            assert found["tls"]["server_certificate"]["days_left"] == days


def test_server_certificate_of_tomorrow(own, configured):
    certificate = issue_server(own, datetime.timedelta(days=1), datetime.timedelta(days=30))
    with FakeUpstream(own, serve(ACCOUNT), certificate) as upstream:
        fails(configured(upstream.port), "server_time")


def test_accepts_and_says_nothing(certificates, configured):
    with FakeUpstream(certificates, lambda peer: threading.Event().wait(8)) as upstream:
        began = time.monotonic()
        fails(configured(upstream.port, timeout="1s"), "silent")
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("stage", ["greeting", "TLS", "login", "statement"])
def test_stops_answering(certificates, configured, stage):
    def script(peer):
        peer.greet()
        if stage != "greeting":
            peer.start_tls()
        if stage in ("login", "statement"):
            peer.read_login()
        if stage == "statement":
            peer.send(wire.ok_packet())
        threading.Event().wait(8)

    with FakeUpstream(certificates, script) as upstream:
        began = time.monotonic()
        fails(configured(upstream.port, timeout="1s"), "timeout")
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\0",
    b"\xff\xff\xff\x00" + bytes(1000), b"",
], ids=["HTTP", "SSH", "empty packet", "16 MiB", "nothing"])
def test_not_mysql(certificates, configured, greeting):
    with FakeUpstream(certificates, lambda peer: peer.send_raw(greeting)) as upstream:
        fails(configured(upstream.port), "not_mysql")


def test_too_old(certificates, configured):
    with FakeUpstream(certificates, lambda peer: peer.send(b"\x09" + b"3.20.1\0", sequence=0)) as upstream:
        fails(configured(upstream.port), "old_server")


def test_greets_without_tls(certificates, configured):
    done = threading.Event()
    users = []

    def script(peer):
        peer.greet(flags=wire.SERVER_FLAGS & ~wire.SSL)
        peer.read_login()
        users.append(peer.user)
        peer.send(wire.err_packet(1045, "Access denied", "28000"))
        done.set()

    with FakeUpstream(certificates, script) as upstream:
        fails(configured(upstream.port), "no_tls")
        assert done.wait(5) and users == ["sallyport_retired"]


@pytest.mark.parametrize("code, kind", [
    (1129, "host_blocked"), (1130, "host_not_allowed"), (1040, "too_many_connections"), (3032, "server_error"),
])
@pytest.mark.parametrize("marked", [True, False], ids=["with SQLSTATE", "without"])
def test_refuses_instead_of_greeting(certificates, configured, code, kind, marked):
    packet = wire.err_packet(code, "says no") if marked else b"\xff" + struct.pack("<H", code) + b"says no"
    with FakeUpstream(certificates, lambda peer: peer.send(packet, sequence=0)) as upstream:
        found = fails(configured(upstream.port), kind)
    assert found["code"] == code and found["message"] == "says no"


@pytest.mark.parametrize("code, kind", [
    (1045, "access"), (1698, "access"), (1049, "schema_unknown"), (3118, "account_locked"), (4151, "account_locked"),
    (1862, "password_expired"), (1226, "too_many_connections"), (1251, "plugin"), (9999, "server_error"),
])
def test_refuses_the_login(certificates, configured, code, kind):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(wire.err_packet(code, "says no"))

    with FakeUpstream(certificates, script) as upstream:
        assert fails(configured(upstream.port), kind)["code"] == code


def test_plugin_that_is_not_supported(certificates, configured):
    def script(peer):
        peer.greet()
        peer.start_tls()
        peer.read_login()
        peer.send(b"\xfeauthentication_kerberos_client\0" + b"x" * 20 + b"\0")
        peer.read()

    with FakeUpstream(certificates, script) as upstream:
        assert "authentication_kerberos_client" in fails(configured(upstream.port), "plugin")["message"]


def hostile(answer):
    """A server that gives that raw answer to the first statement."""

    def script(peer):
        peer.log_in()
        peer.next_command()
        answer(peer)
        peer.at_end()

    return script


def endless_rows(peer):
    peer.send(b"\x01")
    peer.send(wire.column_definition("a"))
    while True:
        peer.send(wire.lenenc_string(b"x" * 1000))


def lying_row(peer):
    peer.send(b"\x02")
    peer.send(wire.column_definition("a"))
    peer.send(wire.column_definition("b"))
    peer.send(b"\x05abc")


@pytest.mark.parametrize("answer", [
    endless_rows,
    lying_row,
    lambda peer: peer.send(b"\xfb/etc/passwd"),
    lambda peer: peer.send_raw(b"\xff\xff\xff\x01" + bytes(5000)),
    lambda peer: peer.send(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
    lambda peer: peer.send(b"\xfc\xff\xff"),
    lambda peer: peer.send(b""),
    lambda peer: peer.send(b"\x01", sequence=7),
    lambda peer: peer.result_set([(b"a",)], more=True),
    lambda peer: peer.send_raw(b"GET / HTTP/1.1\r\n\r\n"),
], ids=["endless", "lying row", "asks for a file", "16 MiB", "2^64 columns", "65535 columns", "empty", "sequence",
        "more results", "HTTP"])
def test_hostile_answers(certificates, configured, answer):
    with FakeUpstream(certificates, hostile(answer)) as upstream:
        began = time.monotonic()
        found = fails(configured(upstream.port), "protocol")
        assert time.monotonic() - began < 4
    assert found["message"]


def test_dies_in_mid_answer(certificates, configured):
    def answer(peer):
        peer.send(b"\x01")
        peer.sock.unwrap()
        raise wire.Closed("as planned")

    with FakeUpstream(certificates, hostile(answer)) as upstream:
        fails(configured(upstream.port), "lost")


def test_hostile_texts_stay_text(certificates, configured):
    """A server's words neither break the JSON nor move the cursor of who reads the table."""
    evil = b"\x1b[2J\x07 evil \xff\xfe \xe2\x80\xae"

    def script(peer):
        peer.greet(version="9.9\x1b[31m")
        peer.start_tls()
        peer.read_login()
        peer.send(b"\xff\x15\x04#28000" + evil)

    with FakeUpstream(certificates, script) as upstream:
        file = configured(upstream.port)
        assert "evil" in fails(file, "access")["message"]
        table = command("db", "check", "-c", file, *LONE_USER, "-o", "table", check=1).stdout
    assert "evil" in table and not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", table)


def test_long_names_are_cut_between_characters(certificates, configured):
    """check() would not decode a line that holds half a character."""
    for shift in range(4):
        name = b"x" * shift + "\U0001f6aa".encode() * 2000
        with FakeUpstream(certificates, serve({
            b"CURRENT_USER(), USER()": (("a", "b"), [(name, name)]),
            b"SHOW CREATE USER": (("a",), [(b"CREATE USER a",)]),
        })) as upstream:
            found = check_reader(configured(upstream.port))
        assert "no_require_subject" in warnings(found)
        assert found["accounts"][0]["current_user"].startswith("x" * shift + "\U0001f6aa")


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
