# SPDX-License-Identifier: Apache-2.0
"""What comes too early, or never whole, before a login is done."""

import pytest

from harness import process, wire
from harness.commands import open_session
from harness.wire import FakeUpstream


def test_hello_that_never_comes_whole(mariadb, certificates, start_proxy):
    """A connection that nobody used ends without a word; one that began to say something and stopped has a record
    that says who it was."""

    def change(configuration):
        configuration["proxy"]["limits"] = {"ready_timeout": "1s"}

    proxy = start_proxy(mariadb.port, change)
    with (
        wire.dial(proxy.port, certificates, "report-1", wire.ALPN_MYSQL) as unused,
        wire.dial(proxy.port, certificates, "ci-1", wire.ALPN_MYSQL) as partial,
    ):
        partial.send_raw(wire.hello_frame("shop")[:9])
        partial.at_end()
        unused.at_end()
    record = proxy.audit.wait_for(None, bot="ci-1")
    assert record["event"] == "session.denied" and record["reason"] == "login_timeout"
    assert not proxy.audit.records(bot="report-1")


EARLY = {
    "an OK": lambda: wire.packet(wire.ok_packet(), 3),
    "half a packet": lambda: b"\x07\x00",
    "one byte": lambda: b"\x16",
}


@pytest.mark.parametrize("early", EARLY)
def test_upstream_bytes_before_tls(certificates, start_proxy, early):
    """Whoever sits between proxy and database could put an answer of his own behind the greeting, in the clear, and
    have it taken for one that came under TLS: the login's OK, say. The connection is given up before any login."""
    peers = []

    def script(peer):
        peers.append(peer)
        peer.send_raw(wire.packet(wire.greeting_packet()) + EARLY[early]())
        peer.sequence = 1
        try:
            peer.start_tls()
            peer.read_login()
        except AssertionError:
            return  # it says goodbye instead of asking for TLS

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        with pytest.raises((wire.ServerError, wire.Closed)):
            open_session(proxy).close()
        record = proxy.audit.wait_for(lambda r: r["event"] in ("session.denied", "session.end"))
        assert record["reason"] in ("upstream_protocol", "upstream_tls"), record
        process.wait_until(lambda: upstream.connections, "the dial")
        assert peers[0].user in (None, "sallyport_retired"), "the login went out"
