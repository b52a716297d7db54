# SPDX-License-Identifier: Apache-2.0
"""Two equal servers for the differential test: one is reached directly, the other through tunnel and proxy."""

import contextlib
import ctypes
import os
import pathlib
import subprocess

from . import process
from .sallyport import BINARY, SANITIZER
from .stack import Stack

PROGRAM = pathlib.Path(
    os.environ.get("SALLYPORT_DIFFERENTIAL") or BINARY.parent / "tests" / "differential" / "differential"
)
USER = "writer"

_ADDR_NO_RANDOMIZE = 0x0040000
_QUERY_PERSONALITY = 0xFFFFFFFF


class Unequal(Exception):
    """Two servers cannot be made equal on this machine; the message says why."""


@contextlib.contextmanager
def same_addresses():
    """What is started meanwhile has the same addresses each time: both servers list tracked variables in the order of
    a hash over pointers, so that two equal servers would answer a SET NAMES differently."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = libc.personality(_QUERY_PERSONALITY)
    if before == -1 or libc.personality(before | _ADDR_NO_RANDOMIZE) == -1:
        raise Unequal("this machine does not let programs turn off the randomization of addresses")
    try:
        yield
    finally:
        libc.personality(before)


def allow_all(configuration):
    """Every schema, and files of the client: what the test compares is what the server says, not what a role does."""
    for role in configuration["roles"]:
        role["allow"]["schemas"] = ["*"]
        role["allow"]["features"] = ["local_infile"]
        del role["deny"]


def _options(kind):
    """The schema is made anew for every sequence, thousands of times: nobody will miss it after a power loss."""
    more = ["--innodb-doublewrite=OFF"] if kind.mysql9 else ["--debug-no-sync", "--sync-frm=0"]
    # A thread that is used again goes on counting statement ids where its last session ended.
    # Nor do plans differ where statistics are never gathered.
    return [
        "--innodb-flush-method=nosync", "--thread-cache-size=0", "--innodb-stats-auto-recalc=OFF", *more
    ]


class Pair:
    """direct and proxied are two servers of one kind (a class of the harness)."""

    def __init__(self, kind, certificates):
        self.direct = kind(certificates, options=_options(kind))
        self.proxied = kind(certificates, options=_options(kind))
        self.certificates = certificates
        self.stack = None

    def start(self):
        try:
            for server in (self.direct, self.proxied):
                with same_addresses():
                    server.start()
                for schema in ("differ", "differ2"):
                    server.execute(f"GRANT ALL ON {schema}.* TO '{USER}'@'%'")
            # The one thing in which the servers differ: here the account needs no certificate of the proxy's.
            self.direct.execute(f"ALTER USER '{USER}'@'%' REQUIRE NONE")
            self.stack = Stack(self.proxied, self.certificates, allow_all).start()
        except BaseException:
            self.stop(check=False)
            raise
        return self

    def arguments(self):
        return [
            str(PROGRAM),
            "--direct", str(self.direct.port), "--direct-admin", str(self.direct.socket),
            "--proxied", str(self.stack.writer), "--proxied-admin", str(self.proxied.socket),
            "--user", USER,
        ]

    def run(self, *options, timeout=None):
        """Returns (exit code, output)."""
        done = subprocess.run(
            [*self.arguments(), *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, preexec_fn=process.die_with_parent,
        )
        output = done.stdout.decode("utf-8", "replace")
        assert not SANITIZER.search(output), output[-6000:]
        return done.returncode, output

    def stop(self, check=True):
        try:
            if self.stack is not None:
                self.stack.stop(check)
        finally:
            self.direct.stop()
            self.proxied.stop()
