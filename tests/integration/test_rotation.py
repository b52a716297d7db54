# SPDX-License-Identifier: Apache-2.0
"""Each CA is rotated, forth and back, while sessions query and new ones connect every 50 ms: none is lost."""

import datetime
import threading
import time

import pymysql
import pytest

from harness import process
from harness.clients import sanitized
from harness.guest import Unavailable
from harness.mariadb import MariaDB
from harness.mysql9 import MySQL9
from harness.realm import Realm
from harness.sallyport import command

TTL = 12  # seconds: what a rotation waits for


def short(configuration):
    configuration["authority"].update(
        bot_ttl=f"{TTL}s", service_ttl=f"{TTL}s", database_client_ttl=f"{TTL}s")


# Most of it is waiting for certificates to lapse: under AddressSanitizer one server will do.
@pytest.fixture(scope="module", params=[MariaDB] if sanitized() else [MariaDB, MySQL9], ids=lambda kind: kind.name)
def realm(request):
    try:
        running = Realm(request.param, short).start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    running.pool = running.tunnel("ci-pool")
    yield running
    running.stop()


class Load:
    """One session that queries and another that is made anew, every 50 ms, until the block ends."""

    PAUSE = 0.05

    def __init__(self, realm):
        self.realm = realm
        self.done = threading.Event()
        self.queries = self.connects = 0
        self.lost = []
        self.threads = [threading.Thread(target=self.guard, args=(what,)) for what in (self.query, self.connect)]

    def guard(self, what):
        try:
            what()
        except (pymysql.MySQLError, OSError) as failure:
            self.lost.append(f"{time.strftime('%H:%M:%S')} {what.__name__}: {failure}")

    def query(self):
        with self.realm.connect(self.realm.pool) as connection, connection.cursor() as cursor:
            while not self.done.wait(self.PAUSE):
                cursor.execute("SELECT 1")
                self.queries += 1

    def connect(self):
        while not self.done.wait(self.PAUSE):
            assert self.realm.query(self.realm.pool) == ((1,),)
            self.connects += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(30)
        if kind is None:
            assert not self.lost, self.lost
            assert self.queries > 20 and self.connects > 10, (self.queries, self.connects)


def rotate(realm, kind, phase, *options):
    return realm.authority.admin("ca", "rotate", kind, "--to", phase, *options)


def rotate_when_it_may(realm, kind, phase, timeout=5 * TTL):
    """Takes a step as soon as it harms nobody; returns what it was refused with until then."""
    refusals = []

    def taken():
        done = command("ca", "rotate", kind, "--to", phase, "-c", realm.authority.configuration_file)
        if done.returncode != 0:
            refusals.append(done.stderr)
            assert "wait until" in done.stderr, done.stderr
        return done.returncode == 0

    process.wait_until(taken, f"{kind} {phase}", timeout)
    return refusals


def phases(realm, kind):
    return [(row["number"], row["phase"]) for row in realm.authority.admin("ca", "status") if row["kind"] == kind]


def reload_certificates(realm):
    """The server takes its files anew, as docs/ca-rotation.md says. (MySQL compares the server's certificate with
    `ssl_ca`, which is for its clients: without the second half it would go on with the old files.)"""
    realm.server.copy_certificates(realm.server.place.owner)
    mysql = isinstance(realm.server, MySQL9)
    realm.server.execute("ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR" if mysql else "FLUSH SSL")


@pytest.mark.parametrize("kind", ["bot", "service"])
def test_there_and_back(realm, kind):
    (first,) = phases(realm, kind)
    with Load(realm) as load:
        for phase in ("standby", "trusted"):
            rotate(realm, kind, phase)
            time.sleep(0.5)
        refusals = rotate_when_it_may(realm, kind, "signing")
        if kind == "bot":
            assert refusals == [], "the proxy has the state at once, and bots need not know the bot CA"
        wait_for_renewals(realm)
        rotate(realm, kind, "trusted")
        assert rotate_when_it_may(realm, kind, "standby"), "certificates of the newer one were in use"
        rotate(realm, kind, "none")
        assert load.lost == []
    assert phases(realm, kind) == [first]


def wait_for_renewals(realm):
    """Until bots and proxies have certificates that were made since."""
    began = time.time()
    process.wait_until(lambda: all(
        time_of(row["not_after"]) > began + TTL for row in (
            *realm.authority.admin("instance", "ls", "ci-pool"), *realm.authority.admin("proxy", "ls"))),
        "renewals", 3 * TTL)


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("kind", ["bot", "service"])
def test_all_the_way(realm, kind):
    ((number, _),) = phases(realm, kind)
    with Load(realm) as load:
        for phase in ("standby", "trusted"):
            rotate(realm, kind, phase)
        rotate_when_it_may(realm, kind, "signing")
        assert phases(realm, kind) == [(number, "old"), (phases(realm, kind)[1][0], "signing")]
        assert rotate_when_it_may(realm, kind, "dropped"), "certificates of the older one were in use"
        wait_for_renewals(realm)
        assert load.lost == []
    ((newer, phase),) = phases(realm, kind)
    assert newer > number and phase == "signing"
    # Whoever joins now finds its way by the pin of now.
    assert realm.query(realm.tunnel(f"ci-after-{kind}")) == ((1,),)


def test_database_server(realm):
    with Load(realm):
        for phase in ("standby", "trusted"):
            rotate(realm, "database-server", phase)
        assert rotate_when_it_may(realm, "database-server", "signing") == []
        realm.authority.admin("ca", "sign-database", "--host", "localhost", "--host", "127.0.0.1", "--out",
                              realm.directory / "database", "--replace", output=None)
        reload_certificates(realm)
        time.sleep(1)
        told = realm.authority.admin("ca", "rotate", "database-server", "--to", "dropped", check=1)
        assert "1 certificate that the older CA signed is in use" in told
        rotate(realm, "database-server", "dropped", "--force")
        time.sleep(1)


def test_database_client(realm):
    client_ca = realm.directory / "database" / "client-ca.crt"
    with Load(realm):
        for phase in ("standby", "trusted"):
            rotate(realm, "database-client", phase)
        assert "ssl_ca" in realm.authority.admin("ca", "rotate", "database-client", "--to", "signing", check=1)
        client_ca.write_text(realm.authority.admin("ca", "export", "database-client", output=None))
        reload_certificates(realm)
        realm.server.execute("ALTER USER 'reader'@'%' REQUIRE SUBJECT '/CN=reader'")
        rotate(realm, "database-client", "signing", "--force")
        rotate_when_it_may(realm, "database-client", "dropped")
        client_ca.write_text(realm.authority.admin("ca", "export", "database-client", output=None))
        reload_certificates(realm)
        issuer = realm.client_issuer()
        realm.server.execute(f"ALTER USER 'reader'@'%' REQUIRE SUBJECT '/CN=reader' AND ISSUER '{issuer}'")
        time.sleep(2)
