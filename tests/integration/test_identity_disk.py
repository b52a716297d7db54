# SPDX-License-Identifier: Apache-2.0
"""The tunnel's identity directory on a disk that is full, or read-only: what it has goes on being used, the log says
what is the matter, and with room again it renews."""

import subprocess

import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Realm
from harness.small_disk import SmallDisk

TTL = 24  # seconds; renewed at a third of it
ROOM = 256  # kilobytes


def short(configuration):
    configuration["authority"]["bot_ttl"] = f"{TTL}s"


@pytest.fixture(scope="module")
def realm():
    running = Realm(MariaDB, short).start()
    yield running
    running.stop()


class Bot:
    """A bot whose identity is on a small disk."""

    def __init__(self, realm, name):
        self.realm, self.name = realm, name
        entry = realm.entry(name, realm.add_bot(name))
        self.disk = SmallDisk(entry["identity"], ROOM)
        self.tunnel = realm.tunnel_with(entry, f"tunnel-{name}", start=False)
        self.tunnel.wrapper = self.disk.wrapper

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if failure[0] is None:
            self.tunnel.stop()
        elif self.tunnel.process is not None:
            process.stop(self.tunnel.process)
            self.tunnel.process = None
        self.realm.tunnels.remove(self.tunnel)
        self.disk.close()

    def serial(self):
        done = subprocess.run(["openssl", "x509", "-in", self.disk.inside / "cert.pem", "-noout", "-serial"],
                              capture_output=True, text=True)
        return done.stdout

    def works(self):
        assert self.realm.query(self.tunnel) == ((1,),)

    def join(self):
        self.tunnel.start()
        process.wait_until(lambda: self.realm.is_known(self.tunnel), "the proxy to know the bot", 5)
        self.works()

    def renews_again(self, former):
        process.wait_until(lambda: self.serial() not in ("", former), "a renewal", TTL)
        self.tunnel.wait_log("the authority answers again")
        self.works()
        assert not [r for r in self.realm.authority.audit.records(event="lock.create") if r.get("bot") == self.name]


def fill(disk):
    disk.fill()
    return disk.empty


def make_read_only(disk):
    disk.remount("ro")
    return lambda: disk.remount("rw")


TROUBLES = pytest.mark.parametrize("trouble, words", [(fill, "No space left on device"),
                                                      (make_read_only, "Read-only file system")],
                                   ids=["full", "read-only"])


def test_renewal(realm):
    """(The kernel makes nothing read-only while a file is open for writing, as the lock is.)"""
    with Bot(realm, "ci-renews") as bot:
        bot.join()
        first = bot.serial()
        with realm.connect(bot.tunnel) as session:
            bot.disk.fill()
            bot.tunnel.wait_log("No space left on device", timeout=TTL)
            assert "cannot save the identity" in bot.tunnel.log()
            bot.works()
            assert bot.serial() == first
            bot.disk.empty()
            bot.renews_again(first)
            session.cursor().execute("SELECT 1")


@TROUBLES
def test_first_join(realm, trouble, words):
    """The token is not used up by a bot that could not keep what it would get."""
    with Bot(realm, f"ci-joins-{trouble.__name__.replace('_', '-')}") as bot:
        mend = trouble(bot.disk)
        bot.tunnel.start()
        realm.refused(bot.tunnel, words)
        assert bot.serial() == ""
        mend()
        process.wait_until(lambda: bot.serial() != "", "the bot to have joined", 40)
        process.wait_until(lambda: realm.is_known(bot.tunnel), "the proxy to know the bot", 5)
        bot.works()
        assert len(realm.authority.audit.records(bot=bot.name, event="bot.join")) == 1


@TROUBLES
def test_restart(realm, trouble, words):
    """A tunnel that starts on such a disk uses what is there, says what keeps it from renewing, and goes on trying."""
    with Bot(realm, f"ci-starts-{trouble.__name__.replace('_', '-')}") as bot:
        bot.join()
        first = bot.serial()
        bot.tunnel.stop()
        mend = trouble(bot.disk)
        bot.tunnel.start()
        bot.works()
        bot.tunnel.wait_log(words, timeout=TTL)
        bot.works()
        assert bot.serial() == first
        mend()
        bot.renews_again(first)
