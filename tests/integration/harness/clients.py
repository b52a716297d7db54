# SPDX-License-Identifier: Apache-2.0
"""The client programs of tests/clients: found, prepared once a run, and run. Their contract is in README.md there."""

import dataclasses
import functools
import json
import os
import pathlib
import re
import subprocess

from . import process
from .sallyport import BINARY
from .stack import Stack

CLIENTS = process.ROOT / "tests" / "clients"

# The ways to the proxy, beside the direct one to the server: the tunnel's TCP port, its Unix socket, and MySQL's
# in-band TLS at a STARTTLS listener, with the bot's certificate.
TRANSPORTS = ("tcp", "unix", "tls")

# Cases of tens of megabytes or of seconds run over one transport: what the relay does with their bytes is the same in
# all three, and the whole matrix must stay within a few minutes on two cores.
BIG = frozenset({"big-statement", "big-result", "compression", "zstd", "progress", "restore", "oltp-text"})

# `prepare` exits with it when the client cannot be had on this machine.
UNAVAILABLE = 3
PREPARE_SECONDS = 900
HEADING = re.compile(rb"^== ([a-z0-9-]+)\n", re.MULTILINE)


class ClientUnavailable(Exception):
    """The client cannot be had on this machine; the message says why."""


class ClientBroken(Exception):
    """`prepare` or the client itself failed; the message holds what it said."""


@dataclasses.dataclass(frozen=True)
class Client:
    """What `prepare` said."""

    folder: str
    name: str
    version: str
    argv: tuple
    transports: tuple
    without: dict


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a client connects to, and as whom."""

    host: str
    port: int
    user: str
    environment: dict = dataclasses.field(default_factory=dict)


@functools.cache
def sanitized():
    """Whether the executable under test carries AddressSanitizer."""
    return BINARY.exists() and b"__asan_init" in BINARY.read_bytes()


def transports():
    """Those that run with this build. Under AddressSanitizer only one: the relay that the cases are about is the same
    in all of them, other tests drive socket and in-band TLS under it, and it makes everything several times slower."""
    return TRANSPORTS[:1] if sanitized() else TRANSPORTS


def meets(folder, server):
    """Whether a client runs against a server with this build. Under AddressSanitizer each meets one of the three."""
    servers = ("mariadb", "mariadb11", "mysql9")
    return not sanitized() or servers[Clients.names.index(folder) % len(servers)] == server


def split_cases(output):
    """{case: what it printed}, in order."""
    parts = HEADING.split(output)
    assert parts[0] == b"", f"output before the first case: {parts[0][:300]!r}"
    names = [name.decode() for name in parts[1::2]]
    assert len(set(names)) == len(names), f"a case twice: {names}"
    return dict(zip(names, parts[2::2]))


class Clients:
    """The client programs, compiled and installed on first use."""

    # A folder without `prepare` holds what several clients share.
    names = tuple(sorted(path.parent.name for path in CLIENTS.glob("*/prepare")))

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._prepared = {}

    def _prepare(self, folder):
        build = self.directory / folder
        build.mkdir()
        try:
            done = subprocess.run(
                [CLIENTS / folder / "prepare", build], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                timeout=PREPARE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return ClientBroken(f"{folder}/prepare: not done after {PREPARE_SECONDS} s")
        if done.returncode == UNAVAILABLE:
            return ClientUnavailable((done.stderr.strip().splitlines() or ["its prepare exited with 3"])[-1])
        if done.returncode != 0:
            return ClientBroken(f"{folder}/prepare exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        said = json.loads(done.stdout)
        client = Client(
            folder, said["name"], said["version"], tuple(map(str, said["argv"])), tuple(said["transports"]),
            said.get("without", {}),
        )
        if not set(client.transports) <= set(TRANSPORTS) or not client.transports:
            return ClientBroken(f"{folder}/prepare: transports {client.transports}")
        return client

    def prepared(self, folder):
        """The client of a folder; prepared once, whatever came of it."""
        if folder not in self._prepared:
            self._prepared[folder] = self._prepare(folder)
        outcome = self._prepared[folder]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_at(self, folder, target, *cases, timeout=240):
        """Returns what the client printed, as bytes."""
        client = self.prepared(folder)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CASES_")}
        done = subprocess.run(
            [*client.argv, target.host, str(target.port), target.user, *cases], capture_output=True, timeout=timeout,
            stdin=subprocess.DEVNULL, cwd=self.directory / folder, env={**environment, **target.environment},
        )
        if done.returncode != 0:
            raise ClientBroken(
                f"{folder} exited with {done.returncode}:\n{done.stdout[-2000:]!r}\n{done.stderr.decode()[-4000:]}"
            )
        return done.stdout

    def run(self, folder, port, user, *cases, timeout=240):
        """The same, at a TCP port of this machine."""
        return self.run_at(folder, Target("127.0.0.1", port, user), *cases, timeout=timeout)


class ClientStack(Stack):
    """A stack whose roles allow all that the clients do, with a Unix socket beside the writer's TCP port."""

    def __init__(self, server, certificates):
        super().__init__(server, certificates, self._allow_all)
        self.socket = self.directory / "writer.sock"
        tunnels = [*self.tunnel.configuration["tunnels"],
                   self.entry(self.writer, "report-1", name="unix", listen=f"unix:{self.socket}")]
        self.tunnel = type(self.tunnel)(self.directory, tunnels)

    @staticmethod
    def _allow_all(configuration):
        for role in configuration["roles"]:
            role["allow"]["schemas"] = ["*"]
            role["allow"]["features"] = ["local_infile"]
            del role["deny"]

    def target(self, transport):
        if transport == "direct":
            return Target("127.0.0.1", self.server.port, "direct")
        if transport == "tcp":
            return Target("127.0.0.1", self.writer, "writer")
        if transport == "unix":
            return Target(str(self.socket), 0, "writer")
        identity = self.certificates.bot("report-1")
        return Target("127.0.0.1", self.proxy.starttls_port, "writer", {
            "CASES_TLS_CERT": str(identity / "cert.pem"),
            "CASES_TLS_KEY": str(identity / "key.pem"),
            "CASES_TLS_CA": str(identity / "ca.pem"),
        })
