# SPDX-License-Identifier: Apache-2.0
"""SIGHUP switches to a new configuration or changes nothing; SIGTERM lets running commands finish."""

import copy
import signal
import threading
import time

import pymysql
import pytest

from harness import process, wire
from harness.sallyport import SANITIZER
from harness.stack import Stack
from harness.wire import FakeUpstream


@pytest.fixture
def own(server, certificates):
    """A stack that the test may stop or reload."""
    running = Stack(server, certificates).start()
    yield running
    running.stop()


def test_reload_gives_new_roles(own):
    with pytest.raises(pymysql.err.OperationalError, match="1044"):
        own.connect(database="secret")
    changed = copy.deepcopy(own.proxy.configuration)
    changed["roles"][0]["allow"]["schemas"].append("secret")
    own.proxy.reload(changed)
    with own.connect(database="secret") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM salaries")
        assert cursor.fetchone() == (2,)


def test_running_session_is_judged_by_the_new_roles(own):
    with own.connect(own.writer, "writer") as connection, connection.cursor() as cursor:
        cursor.execute("USE secret")
        cursor.execute("USE shop")
        changed = copy.deepcopy(own.proxy.configuration)
        changed["roles"][1]["allow"]["schemas"] = ["shop"]
        own.proxy.reload(changed)
        cursor.execute("SELECT 1")
        with pytest.raises(pymysql.err.OperationalError, match="1044"):
            cursor.execute("USE secret")


def test_session_that_no_role_allows_any_more_ends(own):
    connection = own.connect()
    changed = copy.deepcopy(own.proxy.configuration)
    changed["roles"][0]["allow"]["mysql_users"] = ["somebody else"]
    own.proxy.reload(changed)
    with pytest.raises(pymysql.err.Error):
        for _ in range(50):
            connection.ping(reconnect=False)
            time.sleep(0.05)
    end = own.audit.wait_for(lambda r: r["event"] == "session.end" and r["reason"].startswith("policy_changed"))
    assert end["bot"] == "ci-1"


@pytest.mark.parametrize(
    "mistake", ["not JSON", "unknown key", "dangling role", "missing certificate", "no listeners"]
)
def test_bad_reload_changes_nothing(own, mistake):
    good = copy.deepcopy(own.proxy.configuration)
    bad = copy.deepcopy(good)
    if mistake == "not JSON":
        bad = "{ not JSON"
    elif mistake == "unknown key":
        bad["proxy"]["listenerz"] = []
    elif mistake == "dangling role":
        bad["mappings"] = [{"subject": "OU=bots", "roles": ["no-such-role"]}]
    elif mistake == "missing certificate":
        bad["proxy"]["tls"]["cert"] = "/nonexistent.crt"
    else:
        bad["proxy"]["listeners"] = []
    connection = own.connect()
    try:
        said = own.proxy.reload(bad)
        assert own.proxy.process.poll() is None
        assert "serve.json" in said or "nonexistent" in said, said
        connection.ping(reconnect=False)
        with own.connect() as another, another.cursor() as cursor:
            cursor.execute("SELECT 1")
        own.proxy.reload(good)
    finally:
        connection.close()


def test_reload_takes_a_new_certificate_of_the_proxy(own):
    """Another key and certificate in the same files: new connections see them, the old session goes on."""
    import subprocess

    files = own.directory / "tls"
    files.mkdir()
    changed = copy.deepcopy(own.proxy.configuration)
    for key, name in (("cert", "proxy.crt"), ("key", "proxy.key")):
        (files / name).write_bytes(own.certificates[name].read_bytes())
        (files / name).chmod(0o600)
        changed["proxy"]["tls"][key] = str(files / name)
    own.proxy.reload(changed)
    with wire.dial(own.proxy.plain_port, own.certificates) as before:
        wire.log_in(before)
        first = before.sock.getpeercert()["serialNumber"]
        subprocess.run([process.ROOT / "scripts" / "make-test-certs", own.directory / "certs2"], check=True,
                       capture_output=True)
        for name in ("proxy.crt", "proxy.key"):
            (files / name).write_bytes((own.directory / "certs2" / name).read_bytes())
        own.proxy.reload()
        assert wire.query(before, "SELECT 1") == [b"\x011"]
        import socket

        context = wire.client_context(own.certificates, "ci-1")
        context.load_verify_locations(own.directory / "certs2" / "service-ca.crt")
        with socket.create_connection(("127.0.0.1", own.proxy.plain_port), 10) as sock:
            with wire.Connection(context.wrap_socket(sock)) as after:
                wire.log_in(after)
                assert after.sock.getpeercert(binary_form=True) != before.sock.getpeercert(binary_form=True)
        assert first


def test_many_reloads_leave_nothing_behind(own):
    baseline = own.proxy.descriptors()
    for _ in range(10):
        own.proxy.reload()
    own.proxy.settle(baseline)


def test_drain_lets_the_running_command_finish(own):
    """SIGTERM in mid-query: the answer comes whole, then the session ends and the proxy exits 0."""
    result = []

    def run():
        with own.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 'finished', SLEEP(2)")
            result.append(cursor.fetchone())

    thread = threading.Thread(target=run)
    thread.start()
    process.wait_until(
        lambda: any("SLEEP" in (row[0] or "") for row in own.server.execute(
            "SELECT info FROM information_schema.processlist WHERE user = 'reader'")),
        "the query to run",
    )
    own.proxy.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert own.proxy.process.poll() is None, "it did not wait for the command"
    thread.join(10)
    assert result == [("finished", 0)]
    assert own.proxy.process.wait(10) == 0
    assert not SANITIZER.search(own.proxy.log())
    records = own.audit.records()
    assert [r for r in records if "finished" in r.get("statement", "")][0]["outcome"] == "ok"
    ends = [r["reason"] for r in records if r["event"] == "session.end"]
    assert any(reason.startswith("draining") for reason in ends) or any(r.startswith("client_quit") for r in ends)
    own.proxy.process = None


def test_drain_refuses_new_sessions(certificates, start_proxy):
    """1053 to whoever comes while a running command is waited for."""
    answer_now = threading.Event()

    def answer(peer, _):
        answer_now.wait(10)
        peer.send(wire.ok_packet())

    def script(peer):
        peer.log_in()
        peer.serve(answer)

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port)
        with wire.dial(proxy.plain_port, certificates) as busy:
            wire.log_in(busy)
            busy.command(wire.QUERY, b"SELECT slow")
            process.wait_until(lambda: upstream.commands, "the command upstream")
            proxy.signal(signal.SIGTERM)
            time.sleep(0.3)
            with wire.dial(proxy.plain_port, certificates) as late:
                with pytest.raises(wire.ServerError) as raised:
                    late.expect()
                assert raised.value.code == 1053 and raised.value.sqlstate == "08S01"
            with wire.dial(proxy.port, certificates, alpn=wire.ALPN_MYSQL) as late:
                late.send_raw(wire.hello_frame("shop"))
                with pytest.raises(wire.ServerError, match="1053"):
                    late.expect()
            answer_now.set()
            assert busy.expect()[:1] == b"\0"
        assert proxy.process.wait(10) == 0
        proxy.process = None


def test_drain_ends_idle_sessions_at_once(own):
    connection = own.connect()
    began = time.monotonic()
    own.proxy.signal(signal.SIGTERM)
    assert own.proxy.process.wait(10) == 0
    assert time.monotonic() - began < 5
    with pytest.raises(pymysql.err.Error):
        connection.ping(reconnect=False)
    assert any(r["reason"].startswith("draining") for r in own.audit.records() if r["event"] == "session.end")
    own.proxy.process = None


def test_drain_timeout(certificates, start_proxy):
    """A command that never ends does not keep the proxy for ever."""

    def script(peer):
        peer.log_in()
        peer.next_command()
        threading.Event().wait(20)

    def change(configuration):
        configuration["proxy"]["limits"] = {"drain_timeout": "1s"}

    with FakeUpstream(certificates, script) as upstream:
        proxy = start_proxy(upstream.port, change)
        with wire.dial(proxy.plain_port, certificates) as connection:
            wire.log_in(connection)
            connection.command(wire.QUERY, b"SELECT for_ever")
            process.wait_until(lambda: upstream.commands, "the command upstream")
            proxy.signal(signal.SIGTERM)
            assert proxy.process.wait(10) == 0
        record = [r for r in proxy.audit.records() if r["event"] == "query"][0]
        assert record["outcome"] == "unknown"
        proxy.process = None


def test_audit_goes_on_after_a_restart(own):
    """Sequence numbers go on in the next process; the record of the first is not touched."""
    own.connect().close()
    own.audit.wait_for(None, event="session.end")
    own.proxy.stop()
    first = own.audit.records()
    own.proxy.start()
    own.connect().close()
    process.wait_until(lambda: len(own.audit.records()) > len(first), "more records")
    records = own.audit.records()
    assert records[:len(first)] == first
    numbers = [record["seq"] for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
