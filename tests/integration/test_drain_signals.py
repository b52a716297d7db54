# SPDX-License-Identifier: Apache-2.0
"""Signals that come while the proxy drains: some workers have ended by then, others still run commands."""

import signal
import time

import pytest

from harness import process, wire
from harness.commands import open_session


def running_sleep(mariadb, proxy, seconds):
    """A session with a command under way; the other worker has nothing to wait for."""
    connection = open_session(proxy, "reader", "ci-1")
    connection.command(wire.QUERY, f"SELECT SLEEP({seconds})".encode())
    process.wait_until(
        lambda: any("SLEEP" in (row[0] or "") for row in mariadb.execute(
            "SELECT info FROM information_schema.processlist WHERE user = 'reader'")),
        "the command upstream",
    )
    return connection


def exited(proxy, within):
    code = proxy.process.wait(within)
    proxy.process = None
    return code


def test_second_sigterm(mariadb, start_proxy):
    """It ends what still runs, at once, in order: a proxy that aborts on it loses the records that are under way."""
    proxy = start_proxy(mariadb.port)
    with running_sleep(mariadb, proxy, 20) as connection:
        proxy.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert proxy.process.poll() is None, proxy.log()[-2000:]
        proxy.signal(signal.SIGTERM)
        connection.at_end()
    assert exited(proxy, 10) == 0, proxy.log()[-2000:]
    assert [r["outcome"] for r in proxy.audit.records(event="query")] == ["unknown"]
    assert [r["reason"] for r in proxy.audit.records(event="session.end")] == ["draining"]


def test_many_sigterms(mariadb, start_proxy):
    """An operator who loses patience does not break the stop."""
    proxy = start_proxy(mariadb.port)
    with running_sleep(mariadb, proxy, 20):
        for _ in range(6):
            if proxy.process.poll() is None:
                proxy.signal(signal.SIGTERM)
            time.sleep(0.05)
        assert exited(proxy, 10) == 0, proxy.log()[-2000:]


def test_sighup_while_draining(mariadb, start_proxy):
    """A reload is not for workers that have ended; the running command has its answer, and the exit is a good one."""
    proxy = start_proxy(mariadb.port)
    with running_sleep(mariadb, proxy, 1.5) as connection:
        proxy.signal(signal.SIGTERM)
        time.sleep(0.4)
        proxy.signal(signal.SIGHUP)
        proxy.wait_log("no reload while draining")
        assert wire.read_result(connection) == [b"\x010"]
    assert exited(proxy, 10) == 0, proxy.log()[-2000:]


@pytest.mark.parametrize("workers", [1, 2])
def test_signals_right_after_each_other(mariadb, start_proxy, workers):
    """Hang-up and stop in one breath, as a service manager sends them."""

    def change(configuration):
        configuration["proxy"]["workers"] = workers

    proxy = start_proxy(mariadb.port, change)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        proxy.signal(number)
    assert exited(proxy, 10) == 0, proxy.log()[-2000:]
