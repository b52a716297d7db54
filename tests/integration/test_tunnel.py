# SPDX-License-Identifier: Apache-2.0
"""The bot's side: local ports and sockets, identity, and an ERR packet for everything that fails."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import pymysql
import pytest

from harness import process, wire
from harness.sallyport import BINARY, ENVIRONMENT, Proxy, Tunnel


def over_socket(path, user="reader"):
    return pymysql.connect(unix_socket=str(path), user=user, database="shop", autocommit=True)


def select(connection, statement="SELECT 1"):
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def test_unix_socket(stack, start_tunnel, workspace):
    path = workspace / "shop.sock"
    start_tunnel([{**stack.entry(0, "ci-1"), "listen": f"unix:{path}", "mode": "0600"}])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert select(over_socket(path)) == (1,)
    record = stack.audit.wait_for(lambda r: "pid=" in r.get("local_client", ""))
    assert str(os.getpid()) in record["local_client"] and "python" in record["local_client"]


def test_unix_socket_default_mode(stack, start_tunnel, workspace):
    path = workspace / "shop.sock"
    start_tunnel([{**stack.entry(0, "ci-1"), "listen": f"unix:{path}"}])
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, "everybody may connect"


def test_stale_socket_is_replaced_and_removed_at_the_end(stack, workspace):
    path = workspace / "shop.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    tunnel = Tunnel(workspace, [{**stack.entry(0, "ci-1"), "listen": f"unix:{path}"}])
    tunnel.launch()
    try:
        process.wait_until(lambda: _answers(path), "the tunnel to take the stale socket over", 10)
    finally:
        tunnel.stop()
    assert not path.exists()


def _answers(path):
    try:
        return select(over_socket(path)) == (1,)
    except pymysql.err.Error:
        return False


def test_socket_in_use_and_other_files_are_left_alone(stack, workspace):
    """A live socket of somebody else, or a file, is never unlinked."""
    path = workspace / "shop.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        assert _start_fails(stack, workspace, path)
        assert path.is_socket()
    path.unlink()
    path.write_text("precious")
    assert _start_fails(stack, workspace, path)
    assert path.read_text() == "precious"


def _start_fails(stack, workspace, path):
    tunnel = Tunnel(workspace, [{**stack.entry(0, "ci-1"), "listen": f"unix:{path}"}])
    tunnel.launch()
    code = tunnel.process.wait(10)
    tunnel.process = None
    return code != 0 and str(path) in tunnel.log()


def test_socket_path_too_long(stack, workspace):
    path = workspace / ("x" * 120)
    tunnel = Tunnel(workspace, [{**stack.entry(0, "ci-1"), "listen": f"unix:{path}"}])
    tunnel.launch()
    assert tunnel.process.wait(10) == 2
    assert "107" in tunnel.log() or "too long" in tunnel.log(), tunnel.log()
    tunnel.process = None


def test_flags_instead_of_a_file(stack, workspace):
    port = process.free_port()
    log = open(workspace / "flags.log", "wb")
    tunnel = subprocess.Popen(
        [BINARY, "tunnel", "--proxy", f"127.0.0.1:{stack.proxy.port}", "--database", "shop", "--listen",
         f"127.0.0.1:{port}", "--identity", stack.certificates.bot("ci-1")],
        stdout=log, stderr=log, env=ENVIRONMENT, preexec_fn=process.die_with_parent,
    )
    try:
        process.wait_until(lambda: process.listening(port), "the tunnel's port")
        assert select(stack.connect(port)) == (1,)
    finally:
        assert process.stop(tunnel) == 0
        log.close()


def test_proxy_unreachable(stack, start_tunnel):
    port = process.free_port()
    start_tunnel([{**stack.entry(port, "ci-1"), "proxy": f"127.0.0.1:{process.free_port()}"}])
    with pytest.raises(pymysql.err.OperationalError) as raised:
        stack.connect(port)
    assert raised.value.args[0] == 1159 and raised.value.args[1].startswith("sallyport: ci-1: ")


def test_proxy_that_hangs(stack, start_tunnel):
    port = process.free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start_tunnel([{
            **stack.entry(port, "ci-1"), "proxy": f"127.0.0.1:{silent.getsockname()[1]}", "connect_timeout": "1s",
        }])
        began = time.monotonic()
        with pytest.raises(pymysql.err.OperationalError) as raised:
            stack.connect(port)
        assert raised.value.args[0] == 1159 and time.monotonic() - began < 6


def test_proxy_with_a_certificate_of_somebody_else(stack, start_tunnel, certificates, workspace):
    """The tunnel does not hand its session to whoever answers."""
    folder = workspace / "identity"
    shutil.copytree(certificates.bot("ci-1"), folder)
    shutil.copyfile(certificates["foreign-ca.crt"], folder / "ca.pem")
    port = process.free_port()
    start_tunnel([{**stack.entry(port, "ci-1"), "identity": str(folder)}])
    with pytest.raises(pymysql.err.OperationalError) as raised:
        stack.connect(port)
    assert raised.value.args[0] == 1159 and "sallyport: " in raised.value.args[1]


def test_proxy_with_another_name(stack, start_tunnel):
    port = process.free_port()
    start_tunnel([{**stack.entry(port, "ci-1"), "server_name": "proxy.elsewhere"}])
    with pytest.raises(pymysql.err.OperationalError, match="sallyport: "):
        stack.connect(port)


def test_identity_is_read_again_when_it_changes(stack, start_tunnel, certificates, workspace):
    """An expired certificate is replaced under a running tunnel."""
    folder = workspace / "identity"
    shutil.copytree(certificates.bot("expired"), folder)
    port = process.free_port()
    start_tunnel([{**stack.entry(port, "ci-1"), "identity": str(folder)}])
    with pytest.raises(pymysql.err.OperationalError, match="expired"):
        stack.connect(port)
    for name in ("key.pem", "cert.pem", "ca.pem"):
        new = folder / f"{name}.new"
        shutil.copyfile(certificates.bot("ci-1") / name, new)
        new.chmod(0o600)
        new.rename(folder / name)

    def works():
        try:
            return select(stack.connect(port)) == (1,)
        except pymysql.err.Error:
            return False

    process.wait_until(works, "the new identity to be used", 10, 0.2)


def test_missing_identity_is_said_to_the_client(stack, workspace):
    tunnel = Tunnel(workspace, [{**stack.entry(process.free_port(), "ci-1"), "identity": str(workspace / "none")}])
    tunnel.launch()
    try:
        process.wait_until(lambda: tunnel.process.poll() is not None or tunnel.is_ready(), "an answer")
        if tunnel.process.poll() is None:
            with pytest.raises(pymysql.err.OperationalError, match="sallyport: "):
                stack.connect(int(tunnel.listens[0].rsplit(":", 1)[1]))
        else:
            assert tunnel.process.returncode in (1, 2) and "none" in tunnel.log()
            tunnel.process = None
    finally:
        tunnel.stop()


def test_one_bad_tunnel_does_not_stop_the_others(stack, start_tunnel):
    good, bad = process.free_port(), process.free_port()
    start_tunnel([
        {**stack.entry(bad, "expired")},
        {**stack.entry(good, "ci-1")},
    ])
    with pytest.raises(pymysql.err.OperationalError, match="expired"):
        stack.connect(bad)
    assert select(stack.connect(good)) == (1,)


def test_comes_back_after_the_proxy_was_gone(server, certificates, workspace, start_tunnel):
    proxy = Proxy(workspace, certificates, server.port).start()
    port = process.free_port()
    start_tunnel([{
        "name": "back", "listen": f"127.0.0.1:{port}", "proxy": f"127.0.0.1:{proxy.port}", "database": "shop",
        "identity": str(certificates.bot("ci-1")),
    }])

    def connect():
        return pymysql.connect(host="127.0.0.1", port=port, user="reader")

    assert select(connect()) == (1,)
    proxy.stop()
    with pytest.raises(pymysql.err.OperationalError):
        connect()
    proxy.start()
    try:
        def works():
            try:
                return select(connect()) == (1,)
            except pymysql.err.Error:
                return False

        process.wait_until(works, "the tunnel to reach the proxy again", 10, 0.2)
    finally:
        proxy.stop()


def test_systemd_readiness(stack, workspace):
    """READY=1 when the ports are open; STOPPING=1 on SIGTERM."""
    path = workspace / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(10)
        tunnel = Tunnel(workspace, [stack.entry(process.free_port(), "ci-1")])
        tunnel.start({"NOTIFY_SOCKET": str(path)})
        said = notify.recv(4096)
        while b"READY=1" not in said:
            said = notify.recv(4096)
        tunnel.signal(signal.SIGTERM)
        while b"STOPPING=1" not in said:
            said = notify.recv(4096)
        assert tunnel.process.wait(10) == 0
        tunnel.process = None


def test_ready_connections_are_kept_and_replaced(stack, start_tunnel):
    """A connect uses a TLS connection that exists already; a new one takes its place."""
    port = process.free_port()
    tunnel = start_tunnel([{**stack.entry(port, "ci-1"), "ready_connections": 3}])

    def ready():
        done = subprocess.run(["ss", "-Htnp", "state", "established", f"dport = :{stack.proxy.port}"],
                              capture_output=True, text=True, check=True).stdout
        return done.count(f"pid={tunnel.process.pid},")

    process.wait_until(lambda: ready() == 3, "three ready connections")
    first = stack.connect(port)
    process.wait_until(lambda: ready() == 4, "a fourth connection for the one that is in use")
    assert select(first) == (1,)
    process.wait_until(lambda: ready() == 3, "three again")


def test_drain_lets_running_connections_go_on(stack, workspace):
    """After SIGTERM no new program comes in; the running one ends by itself; exit 0."""
    port = process.free_port()
    tunnel = Tunnel(workspace, [stack.entry(port, "ci-1")]).start()
    connection = stack.connect(port)
    tunnel.signal(signal.SIGTERM)
    process.wait_until(lambda: not process.listening(port) or _refused(stack, port), "new programs to be refused")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    connection.close()
    assert tunnel.process.wait(15) == 0
    tunnel.process = None


def _refused(stack, port):
    try:
        stack.connect(port).close()
        return False
    except pymysql.err.Error:
        return True


def test_other_bots_key_is_refused_locally(stack, start_tunnel, certificates, workspace):
    """A certificate and a key that do not belong together."""
    folder = workspace / "identity"
    shutil.copytree(certificates.bot("ci-1"), folder)
    shutil.copyfile(certificates.bot("report-1") / "key.pem", folder / "key.pem")
    port = process.free_port()
    tunnel = Tunnel(workspace, [{**stack.entry(port, "ci-1"), "identity": str(folder)}])
    tunnel.launch()
    try:
        process.wait_until(lambda: tunnel.process.poll() is not None or tunnel.is_ready(), "an answer")
        if tunnel.process.poll() is None:
            with pytest.raises(pymysql.err.OperationalError, match="sallyport: .*key"):
                stack.connect(port)
        else:
            assert "key" in tunnel.log()
            tunnel.process = None
    finally:
        tunnel.stop()


def test_raw_garbage_on_the_local_port(stack):
    """Whatever a local program sends ends in an error of its own session."""
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 5000):
        with socket.create_connection(("127.0.0.1", stack.reader), 10) as sock:
            connection = wire.Connection(sock)
            connection.expect()
            connection.send_raw(garbage)
            sock.shutdown(socket.SHUT_WR)
            connection.at_end()
    assert select(stack.connect()) == (1,)
