# SPDX-License-Identifier: Apache-2.0
"""The authority, end to end: a bot that joins with a token queries a real server, through certificates that nobody
made by hand."""

import signal
import time

import pymysql
import pytest

from harness import process
from harness.guest import Unavailable
from harness.mariadb import MariaDB
from harness.mysql9 import MySQL9
from harness.realm import Realm, documents


@pytest.fixture(scope="module", params=[MariaDB, MySQL9], ids=lambda kind: kind.name)
def realm(request):
    try:
        running = Realm(request.param).start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    running.stop()


def test_first_bot(realm):
    """From `bot add` to a row: the server knows the account by the minted certificate alone."""
    tunnel = realm.tunnel("ci-first")
    rows = realm.query(tunnel, "SELECT CURRENT_USER(), COUNT(*) FROM items")
    assert rows == (("reader@%", 3),)
    record = realm.authority.audit.wait_for(None, statement="SELECT CURRENT_USER(), COUNT(*) FROM items")
    assert record["bot"] == "ci-first" and record["roles"] == ["shop-reader"]
    assert record["subject"] == "CN=ci-first,O=shop-reader,OU=bots"
    events = [r["event"] for r in realm.authority.audit.records() if "." in r["event"]]
    assert {"bot.join", "cert.issue"} <= set(events), events


def test_default_deny(realm):
    tunnel = realm.tunnel("ci-deny")
    realm.refused(tunnel, "no role allows MySQL user writer", user="writer")


def test_role_taken_away_works_at_once(realm):
    tunnel = realm.tunnel("ci-roles", "shop-writer")
    assert realm.query(tunnel, user="writer") == ((1,),)
    with realm.connect(tunnel, user="writer") as connection:
        realm.authority.admin("bot", "roles", "ci-roles", "--role", "shop-reader")
        realm.refused(tunnel, "no role allows MySQL user writer", user="writer", timeout=2)
        with pytest.raises(pymysql.MySQLError):
            for _ in range(20):
                connection.cursor().execute("SELECT 1")
                time.sleep(0.05)
    assert realm.query(tunnel) == ((1,),)


def lock_ends(realm, tunnel, kind, target, text="suspicious"):
    """A lock ends a live session within a second, with its reason; unlocking lets the bot in again."""
    with realm.connect(tunnel) as connection:
        connection.cursor().execute("SELECT 1")
        began = time.monotonic()
        (lock,) = realm.authority.admin("lock", "add", f"--{kind}", target, "--reason", text, "--ttl", "10m")
        with pytest.raises(pymysql.MySQLError) as refusal:
            while time.monotonic() < began + 3:
                connection.cursor().execute("SELECT 1")
                time.sleep(0.01)
        assert time.monotonic() - began < 1.0
        assert text in str(refusal.value) and "locked" in str(refusal.value)
    realm.refused(tunnel, text)
    realm.authority.admin("lock", "rm", lock["id"])
    process.wait_until(lambda: _works(realm, tunnel), "the bot to be let in again", 5)


def _works(realm, tunnel):
    try:
        return realm.query(tunnel) == ((1,),)
    except pymysql.MySQLError:
        return False


@pytest.mark.parametrize("kind", ["bot", "role", "database"])
def test_lock(realm, kind):
    tunnel = realm.tunnel(f"ci-lock-{kind}")
    lock_ends(realm, tunnel, kind, {"bot": f"ci-lock-{kind}", "role": "shop-reader", "database": "shop"}[kind])


def test_lock_of_an_instance(realm):
    tunnel = realm.tunnel("ci-instance")
    assert realm.query(tunnel) == ((1,),)
    (instance,) = realm.authority.admin("bot", "instances", "ci-instance")
    lock_ends(realm, tunnel, "instance", instance["id"])


def test_removed_bot_has_no_access(realm):
    tunnel = realm.tunnel("ci-gone")
    assert realm.query(tunnel) == ((1,),)
    realm.authority.admin("bot", "rm", "ci-gone")
    realm.refused(tunnel, "ci-gone")


def test_new_role_and_its_user_without_a_restart(realm):
    """A role that names another MySQL user: its certificate is minted before anybody asks for it."""
    tunnel = realm.tunnel("ci-new", "shop-reader")
    what = documents(realm.server.port)
    what["roles"].append({"name": "new", "allow": {"databases": ["shop"], "mysql_users": ["newcomer"],
                                                   "schemas": ["shop"]}})
    realm.server.execute(
        f"CREATE USER newcomer@'%' REQUIRE SUBJECT '/CN=newcomer' AND ISSUER '{realm.client_issuer()}'")
    realm.server.execute("GRANT SELECT ON shop.* TO newcomer@'%'")
    realm.apply(what)
    realm.authority.admin("bot", "roles", "ci-new", "--role", "new")
    process.wait_until(lambda: _user(realm, tunnel) == "newcomer@%", "the new role", 5)
    realm.server.execute("DROP USER newcomer@'%'")


def _user(realm, tunnel):
    try:
        return realm.query(tunnel, "SELECT CURRENT_USER()", user="newcomer")[0][0]
    except pymysql.MySQLError:
        return None


def test_a_role_of_the_proxys_own_file_is_told_to_stand_in_the_way(realm):
    """Of two roles of one name the file's holds: `role apply` would change nothing here, and nobody would know why."""
    before = dict(realm.authority.configuration)
    realm.authority.write({**before, "roles": [{"name": "shop-writer", "allow": {"databases": ["elsewhere"]}},
                                               {"name": "own", "allow": {"databases": ["elsewhere"]}}]})
    try:
        realm.authority.signal(signal.SIGHUP)
        realm.authority.wait_log("stands in the way of the authority's")
        assert '"role":"shop-writer"' in realm.authority.log() and '"role":"own"' not in realm.authority.log()
    finally:
        realm.authority.write(before)
        realm.authority.signal(signal.SIGHUP)
