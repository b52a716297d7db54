# SPDX-License-Identifier: Apache-2.0
"""An authority, proxies, tunnels and bots whose certificates live for seconds, kill -9 at random moments, and what must
hold meanwhile: no session ends whose processes live, no bot is locked or runs out of certificates, nothing grows."""

import collections
import datetime
import pathlib
import random
import threading
import time

import pymysql

from . import process
from .clients import sanitized
from .identities import Identities, add_bots
from .mariadb import MariaDB
from .realm import Realm

TTL = 20  # seconds; renewed at a third of it
# How long a bot may be without access while everything that it needs runs. The rest of a tunnel's pause between two
# attempts is in it.
LONGEST_OUTAGE = 10.0
# What a process may have more at its last calm moment than at its second: descriptors that are opened just then, and
# pages that the allocator keeps. A leak of 1 KiB for each connect or renewal is over it within three minutes.
MORE_DESCRIPTORS = 3
MORE_MEMORY = 1 << 20

Sample = collections.namedtuple("Sample", "second memory descriptors")


class Life:
    """A service that may be killed, and how it does."""

    def __init__(self, service, name):
        self.service = service
        self.name = name
        self.kills = 0
        self.up = True
        self.since = time.monotonic()
        self.samples = []

    def kill(self, chance):
        """kill -9, a moment of nothing, and a start."""
        self.kills += 1
        self.up = False
        self.samples = []
        self.service.process.kill()
        self.service.process.wait()
        time.sleep(chance.uniform(0, 0.5))
        self.service.start()
        self.since = time.monotonic()
        self.up = True

    def sample(self, second):
        pid = self.service.process.pid
        # The smallest of some: a renewal that is under way has descriptors of its own.
        descriptors = []
        for _ in range(20):
            descriptors.append(len(process.descriptors(pid)))
            time.sleep(0.02)
        self.samples.append(Sample(second, process.resident_bytes(pid), min(descriptors)))

    def growth(self):
        """Bytes and descriptors between the second calm moment of this life and the last; None: it was too short."""
        if len(self.samples) < 3:
            return None
        early, late = self.samples[1], self.samples[-1]
        return late.memory - early.memory, late.descriptors - early.descriptors


class Rider(threading.Thread):
    """A program on a local port of a tunnel. `pool`: it keeps its session; otherwise it takes a new one each time."""

    def __init__(self, realm, proxy, tunnel, pool):
        super().__init__(daemon=True)
        self.realm, self.tunnel, self.pool = realm, tunnel, pool
        self.lives = [proxy, tunnel]
        self.over = threading.Event()
        self.connection = None
        self.kills = None
        self.without_since = time.monotonic()
        self.opened = self.excused = 0
        self.eldest = self.began = self.outage = 0.0
        self.lost = []
        self.complaint = ""

    def kill_count(self):
        return sum(life.kills for life in self.lives)

    def run(self):
        while not self.over.wait(0.1):
            try:
                self.step()
            except (pymysql.MySQLError, OSError) as error:
                self.failed(error)
            except Exception as error:  # what is wrong in the test itself counts too
                self.lost.append(f"{self.tunnel.name}: {error!r}")
                raise
        self.drop()

    def step(self):
        if self.connection is None:
            self.kills = self.kill_count()
            self.connection = self.realm.connect(self.tunnel.service)
            self.opened += 1
            self.began = time.monotonic()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == ((1,),)
        self.outage = max(self.outage, self.waited())
        self.without_since = None
        self.eldest = max(self.eldest, time.monotonic() - self.began)
        if not self.pool:
            self.drop()

    def failed(self, error):
        established, self.connection = self.connection, None
        if established is not None and self.kills == self.kill_count():
            self.lost.append(f"{self.tunnel.name}: after {time.monotonic() - self.began:.1f} s: {error}")
        elif established is not None:
            self.excused += 1
        if self.without_since is None:
            self.without_since = time.monotonic()
        self.complaint = str(error)
        self.outage = max(self.outage, self.waited())

    def waited(self):
        """Seconds without access while all that is needed runs."""
        if self.without_since is None or not all(life.up for life in self.lives):
            return 0.0
        return time.monotonic() - max(self.without_since, *(life.since for life in self.lives))

    def drop(self):
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close()

    def stop(self):
        self.over.set()
        self.join(60)


class Endurance:
    """`bots` more that only renew, half of them in a process that is killed too. `together`: authority and proxy are
    one process; otherwise there are two proxies apart, so that sessions have to outlive the authority's deaths."""

    def __init__(self, seed, bots=40, together=False, kind=MariaDB):
        self.chance = random.Random(seed)
        self.realm = Realm(kind, self.configure, remote=() if together else ("proxy-1", "proxy-2"))
        # Hundreds of identity directories would be on other machines' disks.
        memory = pathlib.Path("/dev/shm")
        self.place = process.temporary_directory(parent=memory if memory.is_dir() else "/tmp")
        self.bots = bots
        self.lives, self.riders, self.identities = [], [], []
        self.began = None

    @staticmethod
    def configure(configuration):
        configuration["authority"].update(bot_ttl=f"{TTL}s", service_ttl=f"{TTL}s", database_client_ttl=f"{TTL}s")

    def start(self):
        try:
            self.realm.start()
            self._start_services()
            self._start_identities()
            for rider in self.riders:
                rider.start()
        except BaseException:
            self.stop(check=False)
            raise
        self.began = time.monotonic()
        return self

    def _life(self, service, name):
        self.lives.append(Life(service, name))
        return self.lives[-1]

    def _start_services(self):
        self.authority = self._life(self.realm.authority, "authority" if self.realm.proxies else "authority, proxy")
        proxies = [self._life(proxy, name) for proxy, name in zip(self.realm.proxies, ("proxy, kept", "proxy"))]
        kept, other = proxies or (self.authority, self.authority)
        self.killed = proxies[1:]
        ways = (("ci-kept", "tunnel, kept", kept), ("ci-0", "tunnel", kept), ("ci-1", "another", other))
        for bot, name, proxy in ways:
            tunnel = self._life(self.realm.tunnel(bot, proxy=proxy.service), name)
            self.riders += [Rider(self.realm, proxy, tunnel, pool) for pool in (True, True, False)]
            if bot != "ci-kept":
                self.killed.append(tunnel)

    def _start_identities(self):
        names = [f"bot-{number}" for number in range(self.bots)]
        tokens = add_bots(self.realm, names)
        half = len(names) // 2
        for number, (low, high) in enumerate(((0, half), (half, len(names)))):
            service = Identities(self.realm, self.place, names[low:high], tokens[low:high], number)
            self.identities.append(service.start().wait())
        self.kept_bots = self._life(self.identities[0], "bots, kept")
        self.killed.append(self._life(self.identities[1], "bots"))

    def seconds(self):
        return time.monotonic() - self.began

    def rage(self, seconds, victims, pause):
        """kill -9 of one of the victims every now and then, up to `pause` seconds apart: of each as often as of the
        others, in an order that is new each time."""
        deadline = time.monotonic() + seconds
        order = []
        while time.monotonic() < deadline:
            order = order or self.chance.sample(victims, len(victims))
            order.pop().kill(self.chance)
            time.sleep(self.chance.uniform(0, pause))

    def calm(self, seconds=6.0):
        """Nobody is killed until everybody has access again and for some seconds more; then all are measured."""
        deadline = time.monotonic() + 2 * LONGEST_OUTAGE
        while without := [rider for rider in self.riders if rider.without_since is not None]:
            time.sleep(0.1)
            assert time.monotonic() < deadline, \
                "\n".join(f"{rider.tunnel.name} has no access: {rider.complaint}" for rider in without)
        time.sleep(seconds)
        for life in self.lives:
            life.sample(self.seconds())

    # What must hold.

    def problems(self):
        found = [line for rider in self.riders for line in rider.lost]
        found += [f"{rider.tunnel.name}: no access for {rider.outage:.1f} s, though all ran: {rider.complaint}"
                  for rider in self.riders if rider.outage > LONGEST_OUTAGE]
        found += [f"a lock: {lock}" for lock in self.realm.authority.admin("lock", "ls")]
        found += [f"a renewal was refused: {record}" for record in self.renewals() if record["outcome"] != "ok"]
        found += self._lapsed()
        for life in self.lives:
            memory, descriptors = life.growth() or (0, 0)
            # AddressSanitizer keeps what was freed for a while, and says at the end what was not.
            if memory > MORE_MEMORY and not sanitized():
                found.append(f"{life.name}: grew by {memory / 1024:.0f} KiB")
            if descriptors > MORE_DESCRIPTORS:
                found.append(f"{life.name}: has {descriptors} descriptors more")
        return found

    def renewals(self):
        return self.realm.authority.audit.records(event="cert.renew")

    def names(self):
        """Of all bots."""
        return {"ci-kept", "ci-0", "ci-1", *(f"bot-{number}" for number in range(self.bots))}

    def _lapsed(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        instances = self.realm.authority.admin("bot", "instances")
        ends = {each["bot"]: datetime.datetime.fromisoformat(each["not_after"].replace("Z", "+00:00"))
                for each in instances}
        return [f"{bot} has no certificate any more" for bot in sorted(self.names()) if ends.get(bot, now) <= now]

    def stop(self, check=True):
        failures = []
        for rider in self.riders:
            rider.stop()
        for service in self.identities:
            try:
                service.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        self.realm.stop(check)
        process.remove(self.place)
        if check and failures:
            raise AssertionError("\n".join(failures))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)
