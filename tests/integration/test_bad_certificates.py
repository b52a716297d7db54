# SPDX-License-Identifier: Apache-2.0
"""I1: no byte reaches a database for a peer without a certificate that is valid, ours, not revoked, and mapped to a
role."""

import socket
import ssl
import struct
import subprocess
import time

import pymysql
import pytest

from harness import process, wire
from harness.wire import FakeUpstream

BAD = ["expired", "not-yet-valid", "revoked", "foreign", "wrong-usage"]


def refused(action):
    """Runs the action; returns what was said: a TLS alert, an end of stream, or an ERR packet's text."""
    with pytest.raises((wire.ServerError, wire.Closed, ssl.SSLError, ConnectionError)) as raised:
        action()
    return str(raised.value)


def denied_record(stack, before):
    return stack.audit.wait_for(lambda r: r["event"] in ("session.denied", "session.end"), after=before)


@pytest.mark.parametrize("bot", BAD + [None])
def test_bad_certificate_is_refused(stack, bot):
    before = stack.audit.count()
    logins = stack.server.execute("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1]

    def log_in():
        with wire.dial(stack.proxy.plain_port, stack.certificates, bot) as connection:
            wire.log_in(connection)

    said = refused(log_in)
    assert "sallyport" in said or "alert" in said.lower() or "end of stream" in said or "reset" in said.lower(), said
    record = denied_record(stack, before)
    assert record["event"] == "session.denied" and record["outcome"] == "denied"
    assert record["reason"] and "client" in record
    # Only the administrator's two own connections came to the server.
    assert int(stack.server.execute("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1]) - int(logins) == 1


@pytest.mark.parametrize("bot", BAD)
def test_tunnel_says_why_the_certificate_is_refused(stack, start_tunnel, bot):
    """The MySQL client gets an ERR packet with the reason, not a lost connection."""
    port = process.free_port()
    start_tunnel([stack.entry(port, bot)], name=bot)
    with pytest.raises(pymysql.err.OperationalError) as raised:
        stack.connect(port)
    code, message = raised.value.args
    assert code == 1045 and message.startswith("sallyport: "), raised.value
    expected = {
        "expired": "expired", "not-yet-valid": "not yet valid|not valid yet|not valid before", "revoked": "revoked",
        "foreign": "unknown|not trusted|refuse|foreign", "wrong-usage": "usage|refuse|purpose",
    }[bot]
    import re

    assert re.search(expected, message), message


def test_bot_without_a_role(stack, start_tunnel):
    before = stack.audit.count()
    port = process.free_port()
    start_tunnel([stack.entry(port, "norole", ready_connections=0)])
    with pytest.raises(pymysql.err.OperationalError) as raised:
        stack.connect(port)
    assert raised.value.args[0] == 1045
    assert raised.value.args[1].startswith("sallyport: ") and "norole" in raised.value.args[1]
    record = stack.audit.wait_for(None, after=before, event="session.denied")
    assert record["bot"] == "norole" and record["reason"]
    assert "upstream_connection_id" not in record


def test_plaintext_where_tls_is_due(stack):
    """A MySQL client on the TLS-first port gets nothing and reaches nothing."""
    before = stack.audit.count()
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        connection = wire.Connection(sock)
        connection.send(wire.login_response("reader", "shop"), sequence=1)
        data = connection.at_end()
    assert b"mariadb" not in data.lower() and len(data) < 512
    assert denied_record(stack, before)["event"] == "session.denied"


def test_starttls_listener_refuses_a_login_in_plaintext(stack):
    with socket.create_connection(("127.0.0.1", stack.proxy.starttls_port), 10) as sock:
        connection = wire.Connection(sock)
        greeting = wire.Greeting(connection.expect())
        assert greeting.capabilities & wire.SSL
        connection.send(wire.login_response("reader", "shop"))
        with pytest.raises(wire.ServerError) as raised:
            connection.expect()
        assert raised.value.code == 1045 and "TLS" in raised.value.message


def test_starttls_listener_refuses_plaintext_behind_the_request(stack):
    """CVE-2021-23222's kind: what was sent in plaintext must not be read as if it had come encrypted."""
    with socket.create_connection(("127.0.0.1", stack.proxy.starttls_port), 10) as sock:
        connection = wire.Connection(sock)
        connection.expect()
        request = struct.pack("<IIB23x", wire.CLIENT_FLAGS | wire.SSL, 1 << 24, 45)
        connection.send_raw(wire.packet(request, 1) + wire.packet(wire.login_response("reader", "shop"), 2))
        context = wire.client_context(stack.certificates, "ci-1")

        def go_on():
            with wire.Connection(context.wrap_socket(sock)) as secured:
                secured.sequence = 2
                secured.send(wire.login_response("reader", "shop", wire.CLIENT_FLAGS | wire.SSL))
                secured.expect()

        refused(go_on)


@pytest.mark.parametrize("bot", BAD + [None])
def test_starttls_listener_refuses_bad_certificates(stack, bot):
    def log_in():
        with socket.create_connection(("127.0.0.1", stack.proxy.starttls_port), 10) as sock:
            connection = wire.Connection(sock)
            connection.expect()
            connection.send(struct.pack("<IIB23x", wire.CLIENT_FLAGS | wire.SSL, 1 << 24, 45))
            secured = wire.Connection(wire.client_context(stack.certificates, bot).wrap_socket(sock))
            secured.sequence = 2
            secured.send(wire.login_response("reader", "shop", wire.CLIENT_FLAGS | wire.SSL))
            secured.expect()

    refused(log_in)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_12_is_spoken_and_older_versions_are_not(stack):
    context = wire.client_context(stack.certificates, "ci-1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        with wire.Connection(context.wrap_socket(sock)) as connection:
            wire.log_in(connection)
            assert wire.query(connection, "SELECT 1") == [b"\x011"]
    context = wire.client_context(stack.certificates, "ci-1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA384"])
def test_weak_suites_are_not_spoken(stack, suite):
    context = wire.client_context(stack.certificates, "ci-1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)


def test_resumption_does_not_outlive_a_revocation(stack):
    """A ticket of a session that was allowed does not open the door after the certificate was revoked."""
    certificates = stack.certificates
    context = wire.client_context(certificates, "ci-1")
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        with wire.Connection(context.wrap_socket(sock)) as connection:
            wire.log_in(connection)
            wire.query(connection, "SELECT 1")
            ticket = connection.sock.session
    with socket.create_connection(("127.0.0.1", stack.proxy.plain_port), 10) as sock:
        with wire.Connection(context.wrap_socket(sock, session=ticket)) as connection:
            wire.log_in(connection)
            assert wire.query(connection, "SELECT 1") == [b"\x011"]


# The other door: the database's certificate.


@pytest.mark.parametrize("name,certificate", [
    ("of another CA", ("proxy.crt", "proxy.key")),
    ("a client's", ("db-client.crt", "db-client.key")),
])
def test_database_with_wrong_certificate(certificates, start_proxy, name, certificate):
    with FakeUpstream(certificates, lambda peer: peer.log_in(), certificate=certificate) as upstream:
        proxy = start_proxy(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            with pytest.raises(wire.ServerError) as raised:
                wire.log_in(connection)
        assert raised.value.message.startswith("sallyport: ") and raised.value.code == 1159
        record = proxy.audit.wait_for(lambda r: r["event"] in ("session.denied", "session.end"))
        assert "upstream" in record["reason"]


def test_database_with_another_name(certificates, start_proxy):
    def change(configuration):
        configuration["databases"][0]["tls"]["server_name"] = "other.internal"

    with FakeUpstream(certificates, lambda peer: peer.log_in()) as upstream:
        proxy = start_proxy(upstream.port, change)
        with wire.dial(proxy.plain_port, certificates) as connection:
            with pytest.raises(wire.ServerError) as raised:
                wire.log_in(connection)
        assert raised.value.message.startswith("sallyport: ")


def test_database_without_tls(certificates, start_proxy):
    """The login and its password are not sent in plaintext, whatever the server offers."""
    seen = []

    def script(peer):
        peer.greet(flags=wire.SERVER_FLAGS & ~wire.SSL)
        seen.append(peer.read())

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as connection:
            with pytest.raises(wire.ServerError) as raised:
                wire.log_in(connection, user="reader_pw")
        assert "TLS" in raised.value.message
        time.sleep(0.2)
        assert not any(b"reader_pw" in packet for packet in seen)


def test_revocation_on_reload_ends_access(certificates, start_proxy, server, workspace):
    """A bot that is revoked while the proxy runs cannot come in again after SIGHUP."""
    copy = workspace / "certs"
    subprocess.run(["cp", "-r", str(certificates.directory), str(copy)], check=True)
    subprocess.run(
        [process.ROOT / "scripts" / "make-test-certs", copy, "--bot", "soon-revoked",
         "--subject", "/CN=soon-revoked/O=shop-reader/OU=bots"],
        check=True, capture_output=True,
    )
    crl = workspace / "current.crl"
    crl.write_bytes((copy / "bot.crl").read_bytes())

    def change(configuration):
        configuration["proxy"]["tls"]["crl"] = str(crl)

    proxy = start_proxy(server.port, change)
    own = type(certificates)(copy)
    with wire.dial(proxy.plain_port, own, "soon-revoked") as connection:
        wire.log_in(connection)
    folder = copy / "bots" / "soon-revoked"
    subprocess.run(
        ["openssl", "ca", "-config", "ca/bot-ca/config", "-revoke", folder / "cert.pem"],
        check=True, capture_output=True, cwd=copy,
    )
    subprocess.run(
        ["openssl", "ca", "-config", "ca/bot-ca/config", "-gencrl", "-out", crl], check=True, capture_output=True,
        cwd=copy,
    )
    proxy.reload()

    def log_in():
        with wire.dial(proxy.plain_port, own, "soon-revoked") as connection:
            wire.log_in(connection)

    refused(log_in)
    with wire.dial(proxy.plain_port, own, "ci-1") as connection:
        wire.log_in(connection)
