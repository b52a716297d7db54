# SPDX-License-Identifier: Apache-2.0
"""I1: a certificate must be valid now, not only when the connection was made. Else a stolen key whose certificate has
expired or was revoked would be good for as long as its thief keeps a connection open."""

import time

import pytest

from harness import wire
from harness.commands import change_user_body, open_session, wait_gone
from harness.sallyport import Proxy
from harness.short_certificates import OwnAuthority


@pytest.fixture
def authority(certificates, workspace):
    return OwnAuthority.copy(certificates, workspace / "own")


@pytest.fixture
def start(mariadb, authority, workspace):
    """start(): a proxy that trusts the test's own authority."""
    started = []

    def begin():
        proxy = Proxy(workspace, authority, mariadb.port)
        started.append(proxy)
        return proxy.start()

    yield begin
    for proxy in started:
        proxy.stop()


def test_certificate_expires_in_mid_session(mariadb, authority, start):
    """The session ends with it, and a connection that was made ready before is of no use after."""
    proxy = start()
    end = authority.shorten("ci-1", 3)
    with (
        wire.dial(proxy.port, authority, alpn=wire.ALPN_MYSQL) as ready,
        open_session(proxy, "reader", "ci-1") as session,
        open_session(proxy) as other,
    ):
        assert wire.query(session, "SELECT 1") == [b"\x011"]
        with pytest.raises(wire.ServerError) as raised:
            session.expect()
        assert time.time() >= end - 0.1
        assert raised.value.code == 1045 and "expired" in raised.value.message
        assert session.at_end() == b""
        with pytest.raises((wire.ServerError, wire.Closed)) as raised:
            ready.send_raw(wire.hello_frame("shop"))
            ready.expect()
        if isinstance(raised.value, wire.ServerError):
            assert raised.value.code == 1045 and "expired" in raised.value.message
        # Another bot's session has a certificate of its own.
        assert wire.query(other, "SELECT 1") == [b"\x011"]
    assert proxy.audit.wait_for(None, event="session.end", bot="ci-1")["reason"] == "certificate"
    assert proxy.audit.wait_for(None, event="session.denied", bot="ci-1")["error"]["code"] == 1045
    wait_gone(mariadb, "reader")


def test_certificate_expires_before_a_change_of_user(authority, start):
    """While the client is asked for its password the certificate ends: the login is not completed."""
    proxy = start()
    authority.shorten("report-1", 2)
    with open_session(proxy, "reader") as session:
        session.command(wire.CHANGE_USER, change_user_body("writer"))
        assert session.expect()[:1] == b"\xfe"
        time.sleep(2.1)
        with pytest.raises((wire.ServerError, wire.Closed)):
            session.send(b"")
            session.expect()
    end = proxy.audit.wait_for(None, event="session.end")
    assert end["reason"] in ("certificate", "denied")


def test_certificate_is_revoked_in_mid_session(mariadb, authority, start):
    """A reload with a revocation list that has the bot on it ends its sessions, and no others."""
    proxy = start()
    with (
        wire.dial(proxy.port, authority, alpn=wire.ALPN_MYSQL) as ready,
        open_session(proxy, "reader", "ci-1") as session,
        open_session(proxy) as other,
    ):
        assert wire.query(session, "SELECT 1") == [b"\x011"]
        authority.revoke("ci-1")
        proxy.reload()
        with pytest.raises(wire.ServerError) as raised:
            session.expect()
        assert raised.value.code == 1045 and "revoked" in raised.value.message
        with pytest.raises((wire.ServerError, wire.Closed)):
            ready.send_raw(wire.hello_frame("shop"))
            ready.expect()
        assert wire.query(other, "SELECT 1") == [b"\x011"]
    assert proxy.audit.wait_for(None, event="session.end", bot="ci-1")["reason"] == "certificate"
    wait_gone(mariadb, "reader")
