# SPDX-License-Identifier: Apache-2.0
"""Certificates of seconds: sessions live on while their bot proves who it is, and end when it no longer does."""

import calendar
import json
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import pymysql
import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Realm

TTL = 9  # seconds; renewed at a third of it


def short(configuration):
    configuration["authority"]["bot_ttl"] = f"{TTL}s"


@pytest.fixture(scope="module")
def realm():
    running = Realm(MariaDB, short).start()
    yield running
    running.stop()


def serial(realm, bot):
    return subprocess.run(
        ["openssl", "x509", "-in", realm.directory / "bots" / bot / "cert.pem", "-noout", "-serial"],
        check=True, capture_output=True, text=True).stdout


def test_sessions_live_across_renewals(realm):
    tunnel = realm.tunnel("ci-pool")
    with realm.connect(tunnel) as connection:
        began, serials = time.monotonic(), set()
        while time.monotonic() < began + 2.5 * TTL:
            connection.cursor().execute("SELECT 1")
            serials.add(serial(realm, "ci-pool"))
            time.sleep(0.2)
    assert len(serials) >= 4
    events = [r["event"] for r in realm.authority.audit.records(bot="ci-pool")]
    assert events.count("cert.renew") >= 3 and "lock.create" not in events


def end_of(realm, bot):
    """When the certificate in a bot's directory ends, in seconds since 1970."""
    text = subprocess.run(
        ["openssl", "x509", "-in", realm.directory / "bots" / bot / "cert.pem", "-noout", "-enddate"],
        check=True, capture_output=True, text=True).stdout
    return calendar.timegm(time.strptime(text.strip().removeprefix("notAfter="), "%b %d %H:%M:%S %Y %Z"))


def thief_of(realm, bot, name):
    """A tunnel with a copy of the bot's files, and no authority to renew them at."""
    stolen = realm.directory / "bots" / name
    shutil.copytree(realm.directory / "bots" / bot, stolen)
    entry = realm.entry(bot, identity=str(stolen))
    del entry["authority"]
    return realm.tunnel_with(entry, name)


def query_until_it_ends(connection, deadline):
    """Returns the time at which the session failed."""
    with pytest.raises(pymysql.MySQLError):
        while time.time() < deadline:
            connection.cursor().execute("SELECT 1")
            time.sleep(0.05)
    return time.time()


def test_stolen_certificate_dies_with_its_time(realm):
    """A copy of the files lets a thief in until they end, and not a second longer, while the bot's own sessions are
    renewed again and again beside the thief's."""
    tunnel = realm.tunnel("ci-robbed")
    with realm.connect(tunnel) as own:
        thief = thief_of(realm, "ci-robbed", "stolen")
        ends = end_of(realm, "stolen")
        with realm.connect(thief) as connection:
            ended = query_until_it_ends(connection, ends + 2 * TTL)
        assert -1 < ended - ends < 1.5, "neither an announcement of the bot nor anything else extended it"
        realm.refused(thief, "certificate")
        process.wait_until(lambda: time.time() > ends + TTL, "another life of the certificate", 2 * TTL)
        own.cursor().execute("SELECT 1")
    assert realm.query(tunnel) == ((1,),)
    events = [r["event"] for r in realm.authority.audit.records(bot="ci-robbed")]
    assert events.count("cert.renew") >= 4 and "lock.create" not in events


class ControlClient:
    """Asks the proxy as a tunnel does, with the files of a bot."""

    def __init__(self, realm, bot):
        files = realm.directory / "bots" / bot
        context = ssl.create_default_context(cafile=files / "ca.pem")
        context.load_cert_chain(files / "cert.pem", files / "key.pem")
        context.set_alpn_protocols(["sallyport-control/1"])
        raw = socket.create_connection(("127.0.0.1", realm.proxy.port), timeout=10)
        self.stream = context.wrap_socket(raw, server_hostname="localhost")
        self.asked = 0

    def ask(self, request, **more):
        self.asked += 1
        text = json.dumps({"id": self.asked, "request": request, **more}).encode()
        self.stream.sendall(struct.pack(">I", len(text)) + text)
        (length,) = struct.unpack(">I", self.read(4))
        return json.loads(self.read(length))

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.stream.recv(length - len(data))
            assert more, "the proxy closed the connection"
            data += more
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()


def test_announcements_name_a_family(realm):
    """Whoever does not know the secret of the sessions extends none; what is no secret is malformed."""
    tunnel = realm.tunnel("ci-families")
    texts = ("", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 31 + "\u00e9", " " * 32, "0" * 1000, 7, None, [])
    with realm.connect(tunnel):
        for bad in [{"family": text} for text in texts] + [{}, {"family": "0" * 32, "more": 1}]:
            with ControlClient(realm, "ci-families") as client:
                assert client.ask("announce", **bad)["error"]["code"] == "malformed", bad
                assert client.stream.recv(1) == b"", "it was the last word"
        with ControlClient(realm, "ci-families") as client:
            assert client.ask("announce", family="0" * 32)["ok"] == {"sessions": 0}
            assert client.ask("announce", family="f" * 32)["ok"] == {"sessions": 0}


def test_dropped_ca_ends_renewed_sessions():
    """A session that lives by announcements falls with the CA that signed them, when its key has leaked."""
    realm = Realm(MariaDB, short).start()
    try:
        tunnel = realm.tunnel("ci-leak")
        with realm.connect(tunnel) as connection:
            began = time.time()
            for phase in ("standby", "trusted"):
                realm.authority.admin("ca", "rotate", "bot", "--to", phase)
            while time.time() < began + TTL + 1:  # longer than the certificate that it began with
                connection.cursor().execute("SELECT 1")
                time.sleep(0.1)
            before = serial(realm, "ci-leak")
            process.wait_until(lambda: serial(realm, "ci-leak") != before, "a renewal", TTL)
            time.sleep(0.3)
            connection.cursor().execute("SELECT 1")
            for phase in ("signing", "dropped"):
                realm.authority.admin("ca", "rotate", "bot", "--to", phase, "--force")
            dropped = time.time()
            assert query_until_it_ends(connection, dropped + TTL) < dropped + 1.5
        end = realm.authority.audit.wait_for(lambda r: r["event"] == "session.end" and r["bot"] == "ci-leak")
        assert end["reason"] == "certificate" and "unknown CA" in str(end)
    finally:
        realm.stop()


def test_thief_who_renews_is_found_out(realm):
    """A renewal with a superseded certificate locks the instance, and the log says so."""
    tunnel = realm.tunnel("ci-cloned")
    stolen = realm.directory / "bots" / "clone"
    shutil.copytree(realm.directory / "bots" / "ci-cloned", stolen, symlinks=True)
    (stolen / "lock").unlink(missing_ok=True)
    first = serial(realm, "ci-cloned")
    process.wait_until(lambda: serial(realm, "ci-cloned") != first, "a renewal", TTL)
    assert realm.query(tunnel) == ((1,),)
    entry = realm.entry("ci-cloned", identity=str(stolen))
    realm.tunnel_with(entry, "clone")
    realm.refused(tunnel, "locked", timeout=TTL)
    (lock,) = [r for r in realm.authority.audit.records(event="lock.create") if r["bot"] == "ci-cloned"]
    assert lock
    assert "a copy is in use" in str(realm.authority.admin("lock", "ls"))


def test_machine_that_slept_for_longer_than_the_proxys_certificate_lasts():
    """A proxy beside its authority comes back by itself: it needs neither a token nor a restart."""

    def short_services(configuration):
        configuration["authority"]["service_ttl"] = "5s"

    sleeper = Realm(MariaDB, short_services).start()
    try:
        tunnel = sleeper.tunnel("ci-sleep")
        assert sleeper.query(tunnel) == ((1,),)
        for joins in (2, 3):
            sleeper.authority.signal(signal.SIGSTOP)
            time.sleep(6.5)
            sleeper.authority.signal(signal.SIGCONT)
            process.wait_until(lambda: events_of(sleeper).count("proxy.join") == joins, "the proxy to join anew", 5)
            time.sleep(2)  # connections that were ready before are not used any more, and it has renewed
            assert sleeper.query(tunnel) == ((1,),)
        assert not {"cert.conflict", "lock.create"} & set(events_of(sleeper))
        assert "there is no join token" not in sleeper.authority.log()
    finally:
        sleeper.stop()


def events_of(realm):
    return [record["event"] for record in realm.authority.audit.records()]
