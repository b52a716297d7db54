# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests. Servers live for the whole run, proxy and tunnels for one file, and what they
leave behind (descriptors, sanitizer reports, exit codes) fails the file that left it."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import process  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.clients import Clients  # noqa: E402
from harness.mariadb import MariaDB  # noqa: E402
from harness.mysql9 import MySQL9, Unavailable  # noqa: E402
from harness.sallyport import BINARY, Proxy, Tunnel  # noqa: E402
from harness.stack import Stack  # noqa: E402


def pytest_configure(config):
    if not BINARY.exists() and not config.option.collectonly:
        pytest.exit(f"no executable at {BINARY}: build it, or set SALLYPORT_BINARY", returncode=2)


@pytest.fixture(scope="session")
def certificates():
    directory = process.temporary_directory()
    yield Certificates.make(directory)
    process.remove(directory)


@pytest.fixture(scope="session")
def mariadb(certificates):
    server = MariaDB(certificates).start()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["mariadb", "mysql9"])
def server(request, certificates):
    """Each kind of server in turn."""
    if request.param == "mariadb":
        yield request.getfixturevalue("mariadb")
        return
    try:
        private = MySQL9(certificates)
    except Unavailable as reason:
        pytest.skip(f"no MySQL 9: {reason}")
    private.start()
    yield private
    private.stop()


@pytest.fixture(scope="session")
def clients():
    directory = process.temporary_directory()
    yield Clients(directory)
    process.remove(directory)


@pytest.fixture(scope="module")
def stack(server, certificates):
    running = Stack(server, certificates).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


@pytest.fixture
def workspace():
    directory = process.temporary_directory()
    yield directory
    process.remove(directory)


@pytest.fixture
def start_proxy(certificates, workspace):
    """start_proxy(database_port, change=None): a proxy of the test's own, stopped and checked at its end."""
    with contextlib.ExitStack() as started:

        def start(database_port, change=None):
            proxy = Proxy(workspace, certificates, database_port, change)
            started.callback(proxy.stop)
            return proxy.start()

        yield start


@pytest.fixture
def start_tunnel(workspace):
    """start_tunnel([entry, ...], name=...): a tunnel of the test's own, stopped and checked at its end."""
    with contextlib.ExitStack() as started:

        def start(tunnels, name="tunnel", environment=None):
            tunnel = Tunnel(workspace, tunnels, name)
            started.callback(tunnel.stop)
            return tunnel.start(environment)

        yield start
