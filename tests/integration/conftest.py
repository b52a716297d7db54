# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests. Servers live for the whole run, proxy and tunnels for one file, and what they
leave behind (descriptors, sanitizer reports, exit codes) fails the file that left it."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# Its assertions are the tests' own: they are to show what they compared.
pytest.register_assert_rewrite("harness.preflight")

from harness import process  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.clients import Clients, meets  # noqa: E402
from harness.guest import Unavailable  # noqa: E402
from harness.mariadb import MariaDB, MariaDB11  # noqa: E402
from harness.mysql9 import MySQL9  # noqa: E402
from harness.sallyport import BINARY, Proxy, Tunnel  # noqa: E402
from harness.short_certificates import OwnAuthority  # noqa: E402
from harness.stack import Stack  # noqa: E402

SERVERS = {kind.name: kind for kind in (MariaDB, MariaDB11, MySQL9)}
# Files of tests that take minutes, longest first.
LONGEST = ["test_clients", "test_rotation", "test_remote_proxy", "test_audit_completeness", "test_differential",
           "test_replication", "test_authority_lifetime"]


def pytest_configure(config):
    if not BINARY.exists() and not config.option.collectonly:
        pytest.exit(f"no executable at {BINARY}: build it, or set SALLYPORT_BINARY", returncode=2)


def server_of(item):
    """The kind of server that a test is parametrized with, if it is."""
    return item.callspec.params.get("server", "") if hasattr(item, "callspec") else ""


def runs(item):
    """Whether a test is for this build."""
    folder = item.callspec.params.get("folder") if hasattr(item, "callspec") else None
    return folder is None or not server_of(item) or meets(folder, server_of(item))


@pytest.hookimpl(hookwrapper=True)
def pytest_collection_modifyitems(config, items):
    """With `-n 2 --dist loadgroup`: what shares one file's proxy and tunnels runs in one worker. The longest come first,
    so that no worker is left with one of them at the end while the other has nothing to do."""
    left_out = [item for item in items if not runs(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if runs(item)]
    parallel = getattr(config.option, "loadgroup", False)
    for item in items if parallel else ():
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{server_of(item)}"))
    yield
    # After pytest's own order, which is by servers.
    if parallel:
        items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def certificates():
    directory = process.temporary_directory()
    yield Certificates.make(directory)
    process.remove(directory)


@pytest.fixture(scope="session")
def servers(certificates):
    """servers(name): the run's server of that kind, started at its first use."""
    started = {}
    with contextlib.ExitStack() as at_end:

        def server(name):
            if name not in started:
                try:
                    private = SERVERS[name](certificates)
                except Unavailable as reason:
                    pytest.skip(f"no {name}: {reason}")
                at_end.callback(private.stop)
                started[name] = private.start()
            return started[name]

        yield server


@pytest.fixture(scope="session")
def mariadb(servers):
    """For what does not depend on the kind of server."""
    return servers(MariaDB.name)


@pytest.fixture(scope="session", params=SERVERS)
def server(request, servers):
    """Each kind of server in turn."""
    return servers(request.param)


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
def own(certificates, workspace):
    """A copy of the certificates with their CAs, for a test that issues some of its own."""
    return OwnAuthority.copy(certificates, workspace / "own")


@pytest.fixture
def configured(workspace, certificates):
    """configured(port, change=None): the file of a configuration whose database "shop" is at that port."""

    def write(port, change=None, timeout="2s"):
        def changed(configuration):
            configuration["proxy"]["limits"] = {"upstream_timeout": timeout}
            if change is not None:
                change(configuration)

        return Proxy(workspace, certificates, port, changed).configuration_file

    return write


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
