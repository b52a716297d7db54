# SPDX-License-Identifier: Apache-2.0
"""What can be locked, each kind against real servers: live sessions end within a second with the reason, new ones and
renewals are refused with it, and unlocking brings everything back."""

import time

import pymysql
import pytest

from harness import process
from harness.guest import Unavailable
from harness.mariadb import MariaDB
from harness.mysql9 import MySQL9
from harness.realm import Realm, documents
from harness.sallyport import Tunnel

TTL = "15s"  # of the bots' certificates: a renewal every five seconds


def short(configuration):
    configuration["authority"]["bot_ttl"] = TTL


@pytest.fixture(scope="module", params=[MariaDB, MySQL9], ids=lambda kind: kind.name)
def realm(request):
    try:
        running = Realm(request.param, short).start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    running.stop()


def join(realm, name):
    """A bot with one instance, which joined by a token: what each kind is locked by."""
    tunnel = realm.tunnel(name)
    assert realm.query(tunnel) == ((1,),)
    (instance,) = realm.authority.admin("bot", "instances", name)
    return tunnel, {
        "bot": name, "instance": instance["id"], "role": "shop-reader", "database": "shop",
        "token": instance["joined_by"].removeprefix("token "),
    }


def works(realm, tunnel):
    try:
        return realm.query(tunnel) == ((1,),)
    except pymysql.MySQLError:
        return False


def ends_within_a_second(realm, tunnel, lock):
    """Locks while a session runs queries; returns the lock and what the session was told."""
    with realm.connect(tunnel) as connection:
        connection.cursor().execute("SELECT 1")
        began = time.monotonic()
        (made,) = realm.authority.admin(*lock)
        with pytest.raises(pymysql.MySQLError) as told:
            while time.monotonic() < began + 3:
                connection.cursor().execute("SELECT 1")
                time.sleep(0.01)
        assert time.monotonic() - began < 1.0
    return made["id"], str(told.value)


@pytest.mark.parametrize("kind", ["bot", "instance", "role", "database", "token"])
def test_lock(realm, kind):
    tunnel, targets = join(realm, f"ci-{kind}-kind")
    reason = f"INC-42, a {kind}"
    lock, told = ends_within_a_second(
        realm, tunnel, ("lock", "add", f"--{kind}", targets[kind], "--reason", reason, "--ttl", "10m"))
    assert reason in told and "locked" in told
    assert reason in str(realm.refused(tunnel, reason))
    if kind != "database":  # a bot whose database is shut is no worse a bot
        refused = process.wait_until(lambda: renewal_refused(realm, targets["bot"], reason), "a renewal", 20)
        assert refused["outcome"] == "denied"
    realm.authority.admin("lock", "rm", lock)
    process.wait_until(lambda: works(realm, tunnel), "the bot to be let in again", 30)


def renewal_refused(realm, bot, reason):
    for record in realm.authority.audit.records():
        if record["event"] == "cert.renew" and record.get("bot") == bot and reason in record.get("reason", ""):
            return record
    return None


def test_a_tokens_lock_spares_who_joined_by_another(realm):
    one, targets = join(realm, "ci-two")
    token = realm.directory / "ci-two-more.token"
    realm.authority.admin("token", "add", "--bot", "ci-two", "--token-file", token)
    other = realm.tunnel_with(realm.entry("ci-two", token, identity=str(realm.directory / "bots" / "ci-two-more")),
                              "tunnel-ci-two-more")
    (lock,) = realm.authority.admin("lock", "add", "--token", targets["token"], "--reason", "pasted into a chat")
    realm.refused(one, "pasted into a chat", timeout=1.5)
    assert realm.query(other) == ((1,),)
    shown = {row["id"]: row for row in realm.authority.admin("instance", "ls", "ci-two")}
    assert shown[targets["instance"]]["lock"] == "pasted into a chat"
    assert len(shown) == 2 and sum("lock" in row for row in shown.values()) == 1
    realm.authority.admin("lock", "rm", lock["id"])


def test_the_longest_reason(realm):
    """200 characters of four bytes each: more than fits into an error, and nothing that a proxy refuses."""
    tunnel, targets = join(realm, "ci-long")
    lock, told = ends_within_a_second(
        realm, tunnel, ("lock", "add", "--token", targets["token"], "--reason", "\N{LOCK}" * 200, "--ttl", "10m"))
    assert "\N{LOCK}" * 50 in told and "locked" in told
    realm.refused(tunnel, "\N{LOCK}" * 50)
    realm.authority.admin("lock", "rm", lock)
    process.wait_until(lambda: works(realm, tunnel), "the bot to be let in again", 30)


def test_an_instance_that_is_removed_has_no_access_within_a_second(realm):
    tunnel, targets = join(realm, "ci-removed")
    with realm.connect(tunnel) as connection:
        connection.cursor().execute("SELECT 1")
        began = time.monotonic()
        (answer,) = realm.authority.admin("instance", "rm", targets["instance"]) or ({},)
        assert answer in ({}, {"bot": "ci-removed"})
        with pytest.raises(pymysql.MySQLError) as told:
            while time.monotonic() < began + 3:
                connection.cursor().execute("SELECT 1")
                time.sleep(0.01)
        assert time.monotonic() - began < 1.0
    assert "it was removed" in str(told.value)
    assert realm.authority.admin("instance", "ls", "ci-removed") == []
    realm.refused(tunnel, "removed")


# --- bots whose certificates come from elsewhere


@pytest.fixture(scope="module")
def own_pki(certificates):
    """A proxy that lets certificates of another CA in, which a mapping of the authority gives a role."""

    def with_tls(configuration):
        configuration["proxy"]["tls"] = {
            "cert": str(certificates["proxy.crt"]), "key": str(certificates["proxy.key"]),
            "client_ca": str(certificates["bot-ca.crt"]),
        }

    running = Realm(MariaDB, with_tls).start()
    what = documents(running.server.port)
    what["mappings"] = [{"subject": "CN=ci-*,OU=bots", "roles": ["shop-reader"]}]
    running.apply(what)
    yield running
    running.stop()


def test_a_bot_of_another_ca_is_locked_by_the_name_in_the_log(own_pki, certificates):
    entry = {"name": "ci-1", "listen": f"127.0.0.1:{process.free_port()}",
             "proxy": f"127.0.0.1:{own_pki.authority.port}", "database": "shop",
             "identity": str(certificates.bot("ci-1"))}
    tunnel = Tunnel(own_pki.directory, [entry], name="tunnel-own")
    own_pki.tunnels.append(tunnel)
    tunnel.start()
    process.wait_until(lambda: works(own_pki, tunnel), "the mapping", 5)
    name = own_pki.authority.audit.wait_for(None, statement="SELECT 1")["bot"]
    assert "--other-ca" in own_pki.authority.admin("lock", "add", "--bot", name, "--reason", "x", check=1)
    lock, told = ends_within_a_second(
        own_pki, tunnel, ("lock", "add", "--bot", name, "--other-ca", "--reason", "INC-43"))
    assert f"bot {name} is locked: INC-43" in told
    own_pki.refused(tunnel, "INC-43")
    own_pki.authority.admin("lock", "rm", lock)
    process.wait_until(lambda: works(own_pki, tunnel), "the bot to be let in again", 5)
