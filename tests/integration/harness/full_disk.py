# SPDX-License-Identifier: Apache-2.0
"""An audit log that cannot be written for a while, as on a full disk, and sessions that fill what waits before it."""

import contextlib
import resource

import pytest

from . import wire

# Two of them fill no lane of 16 MiB, twenty do.
LARGE = 900_000


@contextlib.contextmanager
def full_disk(proxy):
    """The audit log's file cannot grow (setrlimit(2), RLIMIT_FSIZE: write(2) fails with EFBIG). The limit is the whole
    process's: call pad() before, so that the process log, which shares it, stays smaller."""
    pid = proxy.process.pid
    size = max(path.stat().st_size for path in proxy.audit.directory.glob("audit-*.jsonl"))
    assert size > 100_000 + len(proxy.log()), "pad() the audit log first"
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        if proxy.process is not None and proxy.process.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def pad(proxy, connection):
    wire.query(connection, b"DO '" + b"padding " * 50_000 + b"'")
    proxy.audit.wait_for(lambda r: "padding" in r.get("statement", ""))


def waits(connection, seconds=0.3):
    """Whether the answer that is due does not come."""
    timeout = connection.sock.gettimeout()
    connection.sock.settimeout(seconds)
    try:
        connection.read()
        pytest.fail("answered although there was no room for the record")
    except TimeoutError:
        return True
    finally:
        connection.sock.settimeout(timeout)


def fill(connection, length, patience=0.3):
    """Sends statements of that length until one has to wait: is not answered for `patience` seconds. Returns how many
    were answered."""
    timeout = connection.sock.gettimeout()
    connection.sock.settimeout(patience)
    text = b"DO '" + b"f" * length + b"'"
    try:
        for count in range(2000):
            try:
                wire.query(connection, text)
            except TimeoutError:
                return count
    finally:
        connection.sock.settimeout(timeout)
    raise AssertionError("the log took 2000 statements of a full disk")


def fill_up(connections):
    """Leaves room for no command, and three sessions waiting: a large one first. With more patience than a busy machine
    needs to answer: what is only slow would be taken for waiting, and leave room."""
    for connection, length in zip(connections, (LARGE, 30_000, 1), strict=True):
        fill(connection, length, patience=1)
