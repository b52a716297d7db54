# SPDX-License-Identifier: Apache-2.0
"""Clocks that are ten minutes apart: a bot, then a proxy, ahead of the authority and behind it. libfaketime shifts wall
time of one process; what counts durations (CLOCK_MONOTONIC, CLOCK_BOOTTIME) is left alone, as by a wrong clock."""

import glob
import json
import os
import subprocess

import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Realm
from harness.sallyport import BINARY

SKEWS = ("+10m", "-10m")


def shifted(skew):
    """The environment of a process whose clock is wrong."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        pytest.skip("no libfaketime: apt-get install faketime")
    linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True).stdout
    if "libasan" in linked:
        pytest.skip("libfaketime and AddressSanitizer both want to be loaded first")
    return {"LD_PRELOAD": found[0], "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture(scope="module")
def realm():
    running = Realm(MariaDB).start()
    yield running
    running.stop()


def serial(directory):
    done = subprocess.run(["openssl", "x509", "-in", directory / "cert.pem", "-noout", "-serial"],
                          capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def restart(tunnel, environment):
    tunnel.stop()
    tunnel.start(environment)


def make_due(directory):
    """The authority's time for the next renewal is over."""
    path = directory / "identity.json"
    if not path.exists():
        path = directory / "current" / "identity.json"
    note = json.loads(path.read_text(encoding="utf-8"))
    note["renew_at"] = "2020-01-01T00:00:00.000000Z"
    path.write_text(json.dumps(note), encoding="utf-8")


def test_the_shift_works():
    """Else the others would show nothing."""
    for skew, sign in (("+10m", 1), ("-10m", -1)):
        there = float(subprocess.run(["date", "+%s"], env={**os.environ, **shifted(skew)}, check=True,
                                     capture_output=True, text=True).stdout)
        here = float(subprocess.run(["date", "+%s"], check=True, capture_output=True, text=True).stdout)
        assert abs(there - here - sign * 600) < 30


@pytest.mark.parametrize("skew", SKEWS)
def test_a_bot_joins_connects_and_renews(realm, skew):
    bot = f"ci-{'ahead' if skew[0] == '+' else 'behind'}"
    environment = shifted(skew)
    tunnel = realm.tunnel(bot, start=False)
    directory = realm.directory / "bots" / bot
    tunnel.start(environment)
    process.wait_until(lambda: realm.is_known(tunnel), "the proxy to know the bot", 5)
    assert realm.query(tunnel) == ((1,),)
    first = serial(directory)
    restart(tunnel, environment)
    assert realm.query(tunnel) == ((1,),)
    assert serial(directory) == first, "nothing was due"
    tunnel.stop()
    make_due(directory)
    tunnel.start(environment)
    process.wait_until(lambda: serial(directory) not in ("", first), "a renewal", 10)
    assert realm.query(tunnel) == ((1,),)
    events = [r["event"] for r in realm.authority.audit.records(bot=bot)]
    assert events.count("cert.renew") == 1 and "lock.create" not in events


@pytest.mark.parametrize("skew", SKEWS)
def test_a_proxy_joins_and_serves(realm, skew):
    """The proxy's own certificate, those of bots, and those that it has minted: each is judged by a wrong clock."""
    proxy = realm.add_proxy(f"proxy-{'ahead' if skew[0] == '+' else 'behind'}")
    proxy.start(shifted(skew))
    tunnel = realm.tunnel(f"ci-{proxy.proxy_name}", proxy=proxy)
    assert realm.query(tunnel) == ((1,),)
    first = proxy.serial()
    proxy.stop()
    proxy.start(shifted(skew))
    assert realm.query(tunnel) == ((1,),)
    assert proxy.serial() == first, "nothing was due"
    proxy.stop()
    make_due(proxy.identity)
    proxy.start(shifted(skew))
    process.wait_until(lambda: proxy.serial() != first, "a renewal", 10)
    assert realm.query(tunnel) == ((1,),)
    assert not realm.authority.admin("lock", "ls")
