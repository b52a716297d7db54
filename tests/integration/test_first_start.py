# SPDX-License-Identifier: Apache-2.0
"""A tunnel's first start, and its log: what somebody sees who sets up a bot, when all goes well and when not."""

import json
import pathlib
import time

import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Realm
from harness.sallyport import command


@pytest.fixture(scope="module")
def realm():
    running = Realm(MariaDB).start()
    yield running
    running.stop()


def troubles(tunnel):
    lines = [json.loads(line) for line in tunnel.log().splitlines()]
    return [line for line in lines if line["level"] in ("warning", "error")]


def test_ready_means_that_there_is_a_certificate(realm):
    tunnel = realm.tunnel("ci-first", start=False)
    tunnel.start()
    assert (realm.directory / "bots" / "ci-first" / "cert.pem").exists()
    process.wait_until(lambda: realm.is_known(tunnel), "the proxy to know the bot", 5)
    assert realm.query(tunnel) == ((1,),)
    assert [line for line in troubles(tunnel) if "knows no bot" not in str(line)] == []


def test_an_idle_tunnel_stops_at_once(realm):
    """Its ready connections are of no use to anybody any more."""
    tunnel = realm.tunnel("ci-idle")
    assert realm.query(tunnel) == ((1,),)
    time.sleep(0.5)
    began = time.monotonic()
    tunnel.stop()
    assert time.monotonic() - began < 1.0
    tunnel.start()


def test_authority_away(realm):
    """Ready all the same; programs get the reason; with the authority there it joins by itself."""
    entry = realm.entry("ci-away", realm.add_bot("ci-away"))
    away = process.free_port()
    there = entry["authority"]["address"]
    entry["authority"]["address"] = f"127.0.0.1:{away}"
    tunnel = realm.tunnel_with(entry, "tunnel-ci-away", start=False)
    tunnel.start()
    realm.refused(tunnel, "sallyport: tunnel ci-away: joining failed: cannot connect")
    time.sleep(2)
    said = [line for line in troubles(tunnel) if line["message"] != "connection refused"]
    assert [line["message"] for line in said] == ["no new identity yet; trying again"], said
    entry["authority"]["address"] = there
    tunnel.write({"tunnels": [entry]})
    tunnel.stop()
    tunnel.start()
    process.wait_until(lambda: realm.is_known(tunnel), "the proxy to know the bot", 5)
    assert realm.query(tunnel) == ((1,),)


def test_wrong_pin(realm):
    entry = realm.entry("ci-pin", realm.add_bot("ci-pin"))
    entry["authority"]["ca_pin"] = "sha256:" + 64 * "0"
    tunnel = realm.tunnel_with(entry, "tunnel-ci-pin", start=False)
    tunnel.start()
    error = realm.refused(tunnel, "is not the pinned one")
    assert "sallyport ca status" in str(error)


def test_empty_pin(realm):
    """E.g. of a variable that was not set."""
    flags = {"proxy": "127.0.0.1:1", "database": "shop", "listen": "127.0.0.1:0",
             "identity": pathlib.Path(realm.directory) / "nowhere", "authority": "127.0.0.1:1", "ca-pin": ""}
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    told = command("tunnel", *words, check=2).stderr
    assert "the pin is empty" in told and "sallyport bot add" in told


def test_locked_bots_log_says_why(realm):
    """Also where nobody connects: the connections that are kept ready are refused."""
    tunnel = realm.tunnel("ci-locked")
    before = len(tunnel.log())
    (lock,) = realm.authority.admin("lock", "add", "--bot", "ci-locked", "--reason", "INC-42")
    error = realm.refused(tunnel, "bot ci-locked is locked: INC-42")
    assert str(error).count("ci-locked") == 1, "once is enough"
    tunnel.wait_log("the proxy says: bot ci-locked is locked: INC-42", after=before, timeout=30)
    assert "hello frame" not in tunnel.log()
    realm.authority.admin("lock", "rm", lock["id"])
