# SPDX-License-Identifier: Apache-2.0
"""I3: while the audit log cannot be written, commands wait and nothing is forwarded unrecorded; when it can be written
again all is as it was. The disk is full by a limit on the size of the process's files."""

import contextlib
import datetime
import signal
import ssl
import time

import pytest

from harness import process, wire
from harness.commands import execute_long, open_session, prepare
from harness.full_disk import LARGE, fill, fill_up, full_disk, pad, waits
from harness.sallyport import SANITIZER


@pytest.fixture
def start(mariadb, start_proxy):
    """start(limits, role_limits, role): a proxy with one worker, so that all sessions share one queue of the log."""

    def begin(limits=None, role_limits=None, role=1):
        def change(configuration):
            configuration["proxy"]["workers"] = 1
            configuration["proxy"]["limits"] = limits or {}
            configuration["roles"][role]["limits"] = role_limits or {}

        return start_proxy(mariadb.port, change)

    return begin


@contextlib.contextmanager
def sessions(proxy, count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(open_session(proxy)) for _ in range(count)]


def seconds(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def test_command_that_waited_is_recorded_once_and_right(start):
    """Bound values that were rendered before the wait are not rendered a second time: the line would be no JSON, and
    a bot could blind every reader of the log by filling the disk. Its time is when the command came."""
    proxy = start()
    with sessions(proxy, 1) as (connection,):
        pad(proxy, connection)
        statement = prepare(connection, b"SELECT ? /* " + b"x" * LARGE + b" */")
        with full_disk(proxy):
            for number in range(100):
                sent = time.time()
                execute_long(connection, statement, number)
                connection.sock.settimeout(0.3)
                try:
                    wire.read_result(connection)
                except TimeoutError:
                    break
            else:
                pytest.fail("nothing had to wait")
            time.sleep(0.8)
        connection.sock.settimeout(15)
        assert len(wire.read_result(connection)) == 1
        assert wire.query(connection, "SELECT 'goes on'") == [b"\x07goes on"]
    proxy.audit.wait_for(None, event="session.end")
    executed = proxy.audit.records(event="execute")
    assert [record["params"] for record in executed] == [[n] for n in range(number + 1)]
    assert abs(seconds(executed[-1]) - sent) < 0.25
    assert executed[-1]["outcome"] == "ok" and executed[-1]["duration_us"] > 1_000_000


def test_nothing_is_forwarded_while_it_waits(mariadb, start):
    """Not even a COM_STMT_CLOSE or what else has no answer."""
    proxy = start()
    with sessions(proxy, 4) as (*three, fourth):
        pad(proxy, fourth)
        statement = prepare(fourth, b"DO ?")
        with full_disk(proxy), mariadb.general_log() as log:
            fill_up(three)
            fourth.command(wire.CLOSE, statement)
            fourth.command(wire.QUERY, b"DO 'must wait'")
            assert waits(fourth)
            assert not [text for _, command, text in log() if command == "Close stmt" or b"must wait" in text]
        assert fourth.expect()[:1] == b"\0"
        for connection in three:
            assert connection.expect()[:1] == b"\0"
    process.wait_until(lambda: len(proxy.audit.records(event="session.end")) == 4, "the ends")
    assert len([r for r in proxy.audit.records() if "must wait" in r.get("statement", "")]) == 1


def test_large_records_get_their_turn(start):
    """Small records that come all the time do not keep a large one waiting for ever, once there is room."""
    proxy = start()
    with sessions(proxy, 4) as (*three, small):
        pad(proxy, small)
        with full_disk(proxy):
            fill_up(three)
        deadline = time.monotonic() + 10
        three[0].sock.setblocking(False)
        while time.monotonic() < deadline:
            wire.query(small, "DO 1")
            try:
                three[0].read()
                break
            except wire.Closed as nothing_yet:
                assert isinstance(nothing_yet.__cause__, ssl.SSLWantReadError)
        else:
            pytest.fail("the large record starved")
        three[0].sock.settimeout(15)
        # The greatest record that there is: each byte of the text takes six in JSON.
        assert wire.query(three[0], b"DO '" + b"\x01" * ((1 << 20) - 5) + b"'")[:1] == b"\0"


def test_session_that_waits_is_not_idle(start):
    """The role's idle timeout counts the bot's silence, not ours."""
    proxy = start(role_limits={"idle_timeout": "1s"})
    with sessions(proxy, 1) as (connection,):
        pad(proxy, connection)
        with full_disk(proxy):
            fill(connection, LARGE)
            time.sleep(1.5)
        assert connection.expect()[:1] == b"\0"
        assert wire.query(connection, "SELECT 1") == [b"\x011"]


def test_login_that_waits_is_not_idle(start):
    """Nor is a login idle whose session.start has to wait: the client gets its OK when there is room again."""
    proxy = start(role_limits={"idle_timeout": "1s"}, role=0)
    with sessions(proxy, 3) as three:
        pad(proxy, three[0])
        with wire.dial(proxy.plain_port, proxy.certificates, "ci-1") as late:
            with full_disk(proxy):
                fill_up(three)
                # Refusals are records too: they take what room is left.
                for _ in range(20):
                    with contextlib.suppress(wire.Closed, OSError):
                        with wire.dial(proxy.plain_port, proxy.certificates, "expired") as refused:
                            refused.at_end()
                late.expect()
                late.send(wire.login_response("reader", "shop"))
                assert waits(late, 1.3)
            assert late.expect()[:1] == b"\0"
            assert wire.query(late, "SELECT 1") == [b"\x011"]


def test_audit_timeout(start):
    """A command that waits for longer than audit_timeout ends its session with an error that says whom to ask."""
    proxy = start({"audit_timeout": "1s"})
    with sessions(proxy, 2) as (waiting, idle):
        pad(proxy, waiting)
        with full_disk(proxy):
            fill(waiting, LARGE)
            with pytest.raises(wire.ServerError) as raised:
                waiting.expect()
            assert raised.value.code == 1290 and raised.value.message.startswith("sallyport: ")
            assert "audit log" in raised.value.message
            assert waiting.at_end() == b""
        assert wire.query(idle, "SELECT 1") == [b"\x011"]
    end = proxy.audit.wait_for(None, event="session.end", reason="audit_unavailable")
    assert end["error"]["code"] == 1290


def test_second_sigterm_while_the_log_is_blocked(start):
    """A proxy whose disk stays full can be stopped: what cannot be recorded is said in the process log."""
    proxy = start({"drain_timeout": "60s"})
    with sessions(proxy, 3) as three:
        pad(proxy, three[0])
        with full_disk(proxy):
            fill_up(three)
            proxy.signal(signal.SIGTERM)
            time.sleep(0.2)
            proxy.signal(signal.SIGTERM)
            code = proxy.process.wait(15)
            proxy.process = None
    assert code == 0, proxy.log()[-2000:]
    assert "records are lost" in proxy.log()
    assert not SANITIZER.search(proxy.log())


def test_drain_timeout_while_the_log_is_blocked(start):
    """The drain timeout holds for sessions that wait for the log, too: nobody has to send a second signal."""
    proxy = start({"drain_timeout": "500ms"})
    with sessions(proxy, 3) as three:
        pad(proxy, three[0])
        with full_disk(proxy):
            fill_up(three)
            proxy.signal(signal.SIGTERM)
            proxy.wait_log("the audit log took nothing", timeout=5)
        assert proxy.process.wait(10) == 0, proxy.log()[-2000:]
        proxy.process = None
    assert not SANITIZER.search(proxy.log())


def test_refused_handshakes_while_the_log_is_blocked(certificates, start):
    """Who has no certificate does not fill the proxy's memory with refusals that wait to be recorded: they count as
    pending connections, which have a limit."""
    proxy = start({"pending": 10})
    with sessions(proxy, 3) as three:
        pad(proxy, three[0])
        with full_disk(proxy):
            fill_up(three)
            for _ in range(50):
                with contextlib.suppress(wire.Closed, OSError):
                    with wire.dial(proxy.plain_port, certificates, "expired") as connection:
                        connection.at_end()
            assert "limits.pending is reached" in proxy.log()
            # Who has logged in is not harmed by it.
            assert all(waits(connection, 0.05) for connection in three)
        for connection in three:
            assert connection.expect()[:1] == b"\0"
        process.wait_until(lambda: proxy.audit.records(event="session.denied"), "the refusals")
        with open_session(proxy) as again:
            wire.query(again, "DO 1")
    refused = proxy.audit.records(event="session.denied")
    assert 10 <= len(refused) < 50 and {r["reason"] for r in refused} == {"client_tls"}
