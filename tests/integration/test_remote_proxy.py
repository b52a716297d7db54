# SPDX-License-Identifier: Apache-2.0
"""A proxy whose authority runs in another process: it joins with a token, keeps and renews its certificate, and bridges
the time in which the authority is away."""

import json
import signal
import stat
import subprocess
import time

import pymysql
import pytest

from harness import process
from harness.certificates import Certificates
from harness.guest import Unavailable
from harness.mariadb import MariaDB
from harness.mysql9 import MySQL9
from harness.realm import Realm, documents
from harness.sallyport import command

STALE_AFTER = 2  # seconds; the least that is allowed
TTL = 24  # seconds of the proxies' certificates, which are renewed at a third of it


def short(configuration):
    configuration["authority"]["service_ttl"] = f"{TTL}s"


def soon_stale(configuration):
    configuration["proxy"]["authority"]["stale_after"] = f"{STALE_AFTER}s"


@pytest.fixture(scope="module", params=[MariaDB, MySQL9], ids=lambda kind: kind.name)
def realm(request):
    try:
        running = Realm(request.param, short, remote=["proxy-1"], change_proxy=soon_stale).start()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def tunnel(realm):
    return realm.tunnel("ci-1")


def works(realm, tunnel):
    try:
        return realm.query(tunnel) == ((1,),)
    except pymysql.MySQLError:
        return False


def wait_works(realm, tunnel, timeout=15):
    process.wait_until(lambda: works(realm, tunnel), "the bot to work", timeout, 0.1)


def kill(service):
    service.process.kill()
    service.process.wait()


def messages(service, text, after=0):
    """The lines of a log, after so many characters, whose message has this text."""
    lines = [json.loads(line) for line in service.log()[after:].splitlines() if line.startswith("{")]
    return [line for line in lines if text in line["message"]]


def joins(realm, name):
    return [r for r in realm.authority.audit.records(event="proxy.join") if r.get("proxy") == name]


def stop_proxy(realm, proxy):
    proxy.stop()
    realm.proxies.remove(proxy)


def test_first_join(realm, tunnel):
    """From `token add --proxy` to a row, with certificates that nobody made by hand."""
    proxy = realm.proxy
    rows = realm.query(tunnel, "SELECT CURRENT_USER(), COUNT(*) FROM items")
    assert rows == (("reader@%", 3),)
    record = proxy.audit.wait_for(None, statement="SELECT CURRENT_USER(), COUNT(*) FROM items")
    assert record["bot"] == "ci-1" and record["proxy"] == "proxy-1" and record["roles"] == ["shop-reader"]
    assert len(joins(realm, "proxy-1")) == 1
    assert stat.S_IMODE(proxy.identity.stat().st_mode) == 0o700
    assert stat.S_IMODE((proxy.identity / "key.pem").stat().st_mode) == 0o600
    token = proxy.token_file.read_text(encoding="utf-8").strip()
    assert token not in proxy.log() and token not in realm.authority.log()
    (row,) = [row for row in realm.authority.admin("token", "ls") if row["name"] == "proxy-1"]
    assert row["kind"] == "proxy" and row["used"]


def test_restart_needs_no_token(realm, tunnel):
    proxy = realm.proxy
    proxy.token_file.rename(proxy.directory / "gone")
    proxy.stop()
    proxy.start()
    wait_works(realm, tunnel)
    assert len(joins(realm, "proxy-1")) == 1


def test_lock_reaches_it_within_a_second(realm, tunnel):
    with realm.connect(tunnel) as connection:
        connection.cursor().execute("SELECT 1")
        began = time.monotonic()
        (lock,) = realm.authority.admin("lock", "add", "--bot", "ci-1", "--reason", "suspicious", "--ttl", "10m")
        with pytest.raises(pymysql.MySQLError) as refusal:
            while time.monotonic() < began + 3:
                connection.cursor().execute("SELECT 1")
                time.sleep(0.01)
        assert time.monotonic() - began < 1.0
        assert "suspicious" in str(refusal.value)
    realm.refused(tunnel, "suspicious")
    realm.authority.admin("lock", "rm", lock["id"])
    wait_works(realm, tunnel, 5)


def test_authority_away(realm, tunnel):
    """Sessions go on and new ones come; after stale_after new ones are refused, until it is back."""
    proxy, after = realm.proxy, len(realm.proxy.log())
    with realm.connect(tunnel) as connection:
        kill(realm.authority)
        connection.cursor().execute("SELECT 1")
        assert realm.query(tunnel) == ((1,),)
        error = realm.refused(tunnel, "has heard nothing of its authority")
        assert error.args[0] == 1045
        connection.cursor().execute("SELECT 1")  # it lives on
        realm.authority.start()
        wait_works(realm, tunnel)
        connection.cursor().execute("SELECT 1")
    assert len(messages(proxy, "no connection to the authority: going on with what is known", after)) == 1
    assert len(messages(proxy, "for stale_after: new sessions are refused", after)) == 1
    assert len(messages(proxy, "the authority is heard again", after)) == 1


def test_authority_away_and_new_sessions_allowed(realm):
    def allow(configuration):
        soon_stale(configuration)
        configuration["proxy"]["authority"]["when_stale"] = "allow"

    proxy = realm.add_proxy("proxy-allow", allow).start()
    tunnel = realm.tunnel("ci-allow", proxy=proxy)
    kill(realm.authority)
    proxy.wait_log("for stale_after: going on with what is known")
    assert realm.query(tunnel) == ((1,),)
    realm.authority.start()
    proxy.wait_log("the authority is heard again")
    assert len(messages(proxy, "for stale_after")) == 1
    stop_proxy(realm, proxy)


def test_start_while_the_authority_is_away(realm, tunnel):
    """It waits, says so, is not ready, and begins when the authority comes."""
    proxy = realm.proxy
    kill(realm.authority)
    proxy.stop()
    proxy.launch()
    after = proxy.log_start
    proxy.wait_log("no connection to the authority: waiting for it", after)
    time.sleep(2)
    assert proxy.process.poll() is None and not proxy.is_listening()
    assert len(messages(proxy, "waiting for it", after)) == 1 and not messages(proxy, "ready", after)
    realm.authority.start()
    process.wait_until(proxy.is_ready, "the proxy to be ready", 10)
    wait_works(realm, tunnel)


def test_stop_while_it_waits(realm, tunnel):
    proxy = realm.proxy
    kill(realm.authority)
    proxy.stop()
    proxy.launch()
    proxy.wait_log("waiting for it", proxy.log_start)
    proxy.stop()  # exits 0
    realm.authority.start()
    proxy.start()
    wait_works(realm, tunnel)


def test_kill_9_of_the_proxy_and_of_the_authority(realm, tunnel):
    proxy = realm.proxy
    proxy.kill()
    proxy.start()
    wait_works(realm, tunnel)
    kill(realm.authority)
    realm.authority.start()
    wait_works(realm, tunnel)
    assert len(joins(realm, "proxy-1")) == 1


def test_two_proxies(realm, tunnel):
    """One authority: a lock ends the sessions of the bot at both."""
    other = realm.add_proxy("proxy-2").start()
    second = realm.tunnel_with(
        {**realm.entry("ci-1"), "proxy": f"127.0.0.1:{other.port}", "listen": f"127.0.0.1:{process.free_port()}",
         "identity": str(realm.directory / "bots" / "ci-1-again"), "join": str(another_token(realm, "ci-1"))},
        "tunnel-second")
    with realm.connect(tunnel) as one, realm.connect(second) as two:
        began = time.monotonic()
        (lock,) = realm.authority.admin("lock", "add", "--bot", "ci-1", "--reason", "both", "--ttl", "10m")
        for connection in (one, two):
            with pytest.raises(pymysql.MySQLError, match="both"):
                while time.monotonic() < began + 3:
                    connection.cursor().execute("SELECT 1")
                    time.sleep(0.01)
        assert time.monotonic() - began < 1.0
    realm.authority.admin("lock", "rm", lock["id"])
    wait_works(realm, tunnel, 5)
    wait_works(realm, second, 5)
    stop_proxy(realm, other)


def another_token(realm, bot):
    token = realm.directory / f"{bot}-again.token"
    realm.authority.admin("token", "add", "--bot", bot, "--token-file", token)
    return token


def test_used_token_and_then_a_good_one(realm):
    """What is wrong and what to do stands in the log; another token in the file is taken without a restart."""
    proxy = realm.add_proxy("proxy-late", token=False)
    proxy.token_file.write_bytes(spent_token(realm))
    proxy.token_file.chmod(0o600)
    proxy.launch()
    proxy.wait_log("a token is good for one join")
    (line,) = messages(proxy, "the proxy has no certificate yet")
    assert "sallyport token add --proxy proxy-late" in line["error"] and "by another key" in line["error"]
    proxy.give_token()
    process.wait_until(proxy.is_ready, "the proxy to be ready", 10)
    stop_proxy(realm, proxy)


def spent_token(realm):
    """One for proxy-late that was used by a process that is gone."""
    former = realm.add_proxy("proxy-former", lambda configuration: configuration["proxy"].update(name="proxy-late"))
    former.proxy_name = "proxy-late"
    former.give_token()
    token = former.token_file.read_bytes()
    former.start()
    stop_proxy(realm, former)
    return token


def test_token_of_another_proxy(realm):
    proxy = realm.add_proxy("proxy-wrong", token=False)
    realm.authority.admin("token", "add", "--proxy", "proxy-else", "--token-file", proxy.token_file)
    proxy.launch()
    proxy.wait_log("this token is for the proxy proxy-else, not for proxy-wrong")
    assert "compare proxy.name" in messages(proxy, "the proxy has no certificate yet")[0]["error"]
    stop_proxy(realm, proxy)


def test_wrong_pin(realm):
    """Somebody else's service is not told the token."""
    def change(configuration):
        configuration["proxy"]["authority"]["ca_pin"] = "sha256:" + "ab" * 32

    proxy = realm.add_proxy("proxy-pin", change)
    proxy.launch()
    proxy.wait_log("the proxy has no certificate yet")
    assert "is not the pinned one" in messages(proxy, "the proxy has no certificate yet")[0]["error"]
    time.sleep(1.5)
    assert proxy.process.poll() is None and not proxy.is_listening()
    stop_proxy(realm, proxy)
    (row,) = [row for row in realm.authority.admin("token", "ls") if row["name"] == "proxy-pin"]
    assert not row.get("used")


def test_token_in_the_environment(realm):
    proxy = realm.add_proxy("proxy-env", lambda configuration: configuration["proxy"]["authority"].pop("join"))
    token = proxy.token_file.read_text(encoding="utf-8").strip()
    proxy.start({"SALLYPORT_TOKEN": token})
    with open(f"/proc/{proxy.process.pid}/environ", "rb") as environment:
        assert token.encode() not in environment.read()
    stop_proxy(realm, proxy)
    # The same token for a directory without a certificate: it can only fail, so it does.
    proxy.identity.rename(proxy.directory / "moved")
    proxy.launch({"SALLYPORT_TOKEN": token})
    assert proxy.process.wait(10) == 1
    assert "a token is good for one join: ask for a new one: sallyport token add --proxy proxy-env" in proxy.log()


def test_no_token_at_all(realm):
    """`check` says what `serve` would die of."""
    proxy = realm.add_proxy("proxy-none", lambda configuration: configuration["proxy"]["authority"].pop("join"),
                            token=False)
    realm.proxies.remove(proxy)
    for verb in ("serve", "check"):
        done = command(verb, "-c", proxy.configuration_file, check=2)
        assert "sallyport token add --proxy proxy-none" in done.stderr, done.stderr
        assert "serve.json:" in done.stderr
    proxy.configuration["proxy"]["authority"]["join"] = "join-token"
    del proxy.configuration["proxy"]["authority"]["ca_pin"]
    proxy.write(proxy.configuration)
    for verb in ("serve", "check"):
        assert "ca_pin" in command(verb, "-c", proxy.configuration_file, check=2).stderr
    del proxy.configuration["proxy"]["names"]
    proxy.write(proxy.configuration)
    assert '"names" is missing' in command("check", "-c", proxy.configuration_file, check=2).stderr


def test_directory_of_another_proxy(realm, tunnel):
    proxy = realm.proxy
    proxy.stop()
    proxy.configuration["proxy"]["name"] = "proxy-renamed"
    proxy.write(proxy.configuration)
    done = command("serve", "-c", proxy.configuration_file, check=2)
    assert 'holds the certificate of "proxy-1", and this proxy is called "proxy-renamed"' in done.stderr
    proxy.configuration["proxy"]["name"] = "proxy-1"
    proxy.write(proxy.configuration)
    proxy.start()
    wait_works(realm, tunnel)


def test_directory_in_use(realm):
    proxy = realm.proxy
    done = command("serve", "-c", proxy.configuration_file, check=1)
    assert str(proxy.process.pid) in done.stderr or "audit" in done.stderr


def test_reload_says_what_needs_a_restart(realm, tunnel):
    proxy = realm.proxy

    def longer(configuration):
        configuration["proxy"]["authority"]["stale_after"] = "9m"
        configuration["proxy"]["names"].append("proxy.internal")

    before = json.dumps(proxy.configuration)
    lines = proxy.reload(longer)
    assert '"key":"proxy.authority.stale_after"' in lines and '"key":"proxy.names"' in lines and "reloaded" in lines
    assert "proxy.authority.address" not in lines
    proxy.write(json.loads(before))
    assert "takes effect at the next start" not in proxy.reload()
    after = len(realm.authority.log())
    realm.authority.configuration["authority"]["bot_ttl"] = "2h"
    realm.authority.write(realm.authority.configuration)
    realm.authority.signal(signal.SIGHUP)
    realm.authority.wait_log("reloaded", after)
    assert '"key":"authority.bot_ttl"' in realm.authority.log()[after:]
    assert works(realm, tunnel)


def test_new_name_needs_a_new_join(realm, tunnel):
    """The certificate is used as it is, and renewed with the names that it has."""
    proxy = realm.proxy
    proxy.stop()
    proxy.configuration["proxy"]["names"].append("proxy.internal")
    proxy.write(proxy.configuration)
    proxy.start()
    (line,) = messages(proxy, "the proxy's certificate has not all of proxy.names", proxy.log_start)
    assert line["name"] == "proxy.internal"
    first = proxy.serial()
    process.wait_until(lambda: proxy.serial() != first, "a renewal", TTL)
    assert works(realm, tunnel)
    proxy.stop()
    proxy.configuration["proxy"]["names"].pop()
    proxy.write(proxy.configuration)
    proxy.start()
    wait_works(realm, tunnel)


def test_bots_of_another_ca_beside_the_authority(realm, tunnel, tmp_path):
    """proxy.tls with client_ca alone: the proxy goes on showing the authority's certificate."""
    proxy = realm.proxy
    certificates = Certificates.make(tmp_path / "pki")
    lines = proxy.reload(
        lambda configuration: configuration["proxy"].update(tls={"client_ca": str(certificates["bot-ca.crt"])}))
    assert "refused" not in lines, lines
    what = documents(realm.server.port)
    what["mappings"] = [{"subject": "CN=ci-1,O=shop-reader,OU=bots", "roles": ["shop-reader"]}]
    realm.apply(what)
    identity = realm.directory / "bots" / "foreign"
    subprocess.run(["cp", "-r", certificates.bot("ci-1"), identity], check=True)
    (realm.directory / "bots" / "ci-1" / "ca.pem").resolve()
    (identity / "ca.pem").write_bytes((realm.directory / "bots" / "ci-1" / "ca.pem").read_bytes())
    entry = realm.entry("foreign", identity=str(identity))
    del entry["authority"]
    foreign = realm.tunnel_with(entry, "tunnel-foreign")
    wait_works(realm, foreign)
    assert works(realm, tunnel)  # which trusts the authority alone
    proxy.reload(lambda configuration: configuration["proxy"].pop("tls"))
    realm.refused(foreign, "sallyport")


# --- certificates of seconds ---


@pytest.fixture(scope="module")
def hasty():
    def change(configuration):
        configuration["authority"]["service_ttl"] = "6s"
        configuration["authority"]["database_client_ttl"] = "6s"

    running = Realm(MariaDB, change, remote=["proxy-1"]).start()
    yield running
    running.stop()


def test_renewals_disturb_nobody(hasty):
    """Sessions live on and new ones come every 50 ms while the proxy's certificate is renewed again and again."""
    proxy, tunnel = hasty.proxy, hasty.tunnel("ci-1")
    began, serials, after = time.monotonic(), set(), len(hasty.proxy.log())
    with hasty.connect(tunnel) as connection:
        while time.monotonic() < began + 10:
            connection.cursor().execute("SELECT 1")
            assert hasty.query(tunnel) == ((1,),)
            serials.add(proxy.serial())
            time.sleep(0.05)
    assert len(serials) >= 4
    assert len(messages(proxy, "the proxy's certificate was renewed", after)) >= 3
    assert not messages(proxy, "no connection to the authority", after)
    assert not messages(proxy, "not renewed", after)
    assert hasty.authority.admin("lock", "ls") == []


def test_kill_9_at_renewals(hasty):
    """Between issue and saving, and anywhere else: the certificate that is kept is good for another renewal."""
    proxy = hasty.proxy
    tunnel = hasty.tunnel("ci-kill")
    for _ in range(3):
        first = proxy.serial()
        process.wait_until(lambda: proxy.serial() != first, "a renewal", 10, 0.001)
        proxy.kill()
        proxy.start()
    for pause in (1.9, 2.0, 2.1):
        time.sleep(pause)
        proxy.kill()
        proxy.start()
    wait_works(hasty, tunnel)
    assert hasty.authority.admin("lock", "ls") == []
    assert len(joins(hasty, "proxy-1")) == 1
    assert not [r for r in hasty.authority.audit.records(event="cert.renew") if r["outcome"] != "ok"]


def test_kill_9_at_the_join(hasty):
    """Wherever it dies: the token is good for the proxy that began to join with it."""
    for number, pause in enumerate(0.012 + 0.004 * step for step in range(10)):
        proxy = hasty.add_proxy(f"proxy-kill-{number}")
        proxy.launch()
        time.sleep(pause)
        proxy.kill()
        proxy.start()
        assert not (proxy.identity / "joining.pem").exists()
        stop_proxy(hasty, proxy)


def test_lapsed_certificate(hasty):
    """It says so, and joins again with a new token: at a start, and while it runs."""
    proxy, tunnel = hasty.proxy, hasty.tunnel("ci-lapsed")
    after = len(proxy.log())
    kill(hasty.authority)
    proxy.wait_log("the proxy's certificate has lapsed", after, 20)
    hasty.authority.start()
    proxy.wait_log("sallyport token add --proxy proxy-1", after, 40)
    proxy.give_token()
    wait_works(hasty, tunnel, 20)
    proxy.stop()
    time.sleep(6.5)
    proxy.launch()
    proxy.wait_log("a token is good for one join", proxy.log_start)
    assert messages(proxy, "has lapsed", proxy.log_start)
    proxy.give_token()
    process.wait_until(proxy.is_ready, "the proxy to be ready", 10)
    wait_works(hasty, tunnel)
    assert len(joins(hasty, "proxy-1")) >= 3
