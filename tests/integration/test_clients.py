# SPDX-License-Identifier: Apache-2.0
"""I7: real clients print the same through tunnel and proxy as directly, byte for byte, where the role allows them all
that they do. (A role that restricts schemas denies PREPARE as a statement, for one.)"""

import contextlib
import difflib
import os
import re
import subprocess

import pytest

from harness import compatibility, completeness
from harness.clients import (
    BIG, TRANSPORTS, ClientBroken, Clients, ClientStack, ClientUnavailable, meets, split_cases, transports,
)
from harness.guest import Unavailable
from harness.mariadb import MariaDB
from harness.mysql9 import MySQL9

# The first transport: it runs all the cases, and under every build.
WHOLE = TRANSPORTS[0]


@pytest.fixture(scope="session")
def results():
    return compatibility.Results()


def same_names(output):
    """The account of the direct connection is another one: it needs no certificate."""
    return re.sub(rb"(['`])writer\1@", rb"\1direct\1@", output)


class Matrix:
    """One server, the stack in front of it, and what was printed directly."""

    def __init__(self, stack, clients, results):
        self.stack = stack
        self.clients = clients
        self.results = results
        self.server = results.add_server(stack.server.execute("SELECT VERSION()")[0][0])
        self.unavailable = {}
        self.attempted = set()
        self.logs = {}
        self._direct = {}
        self._found = self._state()

    def _state(self):
        """What clients share: it would tell one case of another."""
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY 1"
        rows = "SELECT (SELECT COUNT(*) FROM shop.scratch), (SELECT COUNT(*) FROM shop.items)"
        return self.stack.server.execute(tables), self.stack.server.execute(rows)

    def run(self, folder, way, *cases):
        """What the client printed, {case: bytes}; it must leave the database as it found it."""
        try:
            return split_cases(same_names(self.clients.run_at(folder, self.stack.target(way), *cases)))
        finally:
            left = self._state()
            self.stack.server.execute("DELETE FROM shop.scratch")
            assert left == self._found, f"{folder} left behind (tables, rows of scratch and items): {left}"

    def direct(self, folder):
        """{case: what the client printed without Sallyport}, taken once; a client that fails does so once."""
        if folder not in self._direct:
            try:
                self._direct[folder] = self.run(folder, "direct")
            except (ClientBroken, AssertionError, subprocess.TimeoutExpired) as failure:
                self._direct[folder] = failure
        if isinstance(self._direct[folder], Exception):
            raise self._direct[folder]
        return self._direct[folder]


@contextlib.contextmanager
def rights(server):
    """Dumps are restored into schemas of their own. Query attributes can be read back where a component is loaded."""
    accounts = "'direct'@'%', 'writer'@'%'"
    component = "COMPONENT 'file://component_query_attributes'"
    server.execute(rf"GRANT ALL ON `cases\_%`.* TO {accounts}")
    if server.mysql9:
        server.execute(f"INSTALL {component}")
    yield
    if server.mysql9:
        server.execute(f"UNINSTALL {component}")
    server.execute(rf"REVOKE ALL ON `cases\_%`.* FROM {accounts}")


@pytest.fixture(scope="module")
def matrix(server, certificates, clients, results):
    with rights(server):
        running = ClientStack(server, certificates).start()
        yield Matrix(running, clients, results)
        try:
            running.settle()
        finally:
            running.stop()


def assert_same(case, direct, proxied):
    if direct == proxied:
        return
    difference = difflib.unified_diff(
        direct.decode("latin-1").splitlines(), proxied.decode("latin-1").splitlines(), f"{case}, direct",
        f"{case}, proxied", lineterm="", n=2,
    )
    pytest.fail("\n".join(line[:300] for line in list(difference)[:60]))


@pytest.mark.parametrize("transport", transports())
@pytest.mark.parametrize("folder", Clients.names)
def test_same_output(matrix, folder, transport):
    matrix.attempted.add((folder, transport))
    try:
        client = matrix.clients.prepared(folder)
    except ClientUnavailable as reason:
        matrix.unavailable[folder] = str(reason)
        pytest.skip(f"{folder}: {reason}")
    if transport not in client.transports:
        # Not a skip: it is as it should be, and the page says it.
        assert client.without.get(transport), f"{folder} says not why it has no {transport}"
        return
    direct = matrix.direct(folder)
    assert all(direct.values()) and sum(map(len, direct.values())) > 300, "next to nothing was printed"
    cases = [case for case in direct if transport == WHOLE or case not in BIG]
    with completeness.noted(matrix.stack, matrix.logs, (folder, transport)):
        proxied = matrix.run(folder, transport, *cases)
    assert list(proxied) == cases
    for case in cases:
        assert_same(case, direct[case], proxied[case])
    matrix.results.add(client, matrix.server, transport, cases)


@pytest.mark.parametrize("transport", transports())
@pytest.mark.parametrize("folder", Clients.names)
def test_log_equals_general_log(matrix, folder, transport):
    """What the audit log says of the run above is what the server's general log says (harness/completeness.py)."""
    outcome = matrix.logs.get((folder, transport))
    if outcome is None and transport not in matrix.clients.prepared(folder).transports:
        return  # it cannot do that, which test_same_output looks after
    if outcome is None:
        pytest.skip("the client did not run")
    if isinstance(outcome, completeness.Difference):
        raise outcome
    assert outcome.sessions > 0 and outcome.commands > 5


def test_gtids_are_tracked(certificates, clients):
    """The servers of the matrix give none: they write no binary log."""
    try:
        clients.prepared("mysql-c")
        server = MySQL9(certificates, binary_log=True, options=["--gtid-mode=ON", "--enforce-gtid-consistency=ON"])
    except (ClientUnavailable, Unavailable) as reason:
        pytest.skip(str(reason))
    with contextlib.ExitStack() as at_end:
        at_end.callback(server.stop)
        server.start()
        stack = ClientStack(server, certificates)
        at_end.callback(stack.stop)
        stack.start()
        direct, proxied = (
            clients.run_at("mysql-c", stack.target(way), "session-track") for way in ("direct", WHOLE)
        )
        # 3 is SESSION_TRACK_GTIDS.
        assert direct.count(b"tracked 3 '" + server.execute("SELECT @@server_uuid")[0][0].encode()) >= 2
        assert_same("session-track", direct, same_names(proxied))


def test_connection_attributes_are_the_clients(certificates):
    """The proxy logs in itself, and passes on what the client says of itself: its name, version, process."""
    statement = "SELECT * FROM performance_schema.session_connect_attrs WHERE processlist_id = CONNECTION_ID()"
    server = MariaDB(certificates, options=["--performance-schema=ON"])
    with contextlib.ExitStack() as at_end:
        at_end.callback(server.stop)
        server.start()
        server.execute("GRANT SELECT ON performance_schema.* TO direct@'%', writer@'%'")
        stack = ClientStack(server, certificates)
        at_end.callback(stack.stop)
        stack.start()
        seen = []
        for way in ("direct", WHOLE):
            target = stack.target(way)
            with stack.connect(target.port, target.user, program_name="traced \u20ac") as connection:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    seen.append([row[1:] for row in cursor.fetchall()])
        assert "traced \u20ac" in {value for _, value, _ in seen[0]}
        assert seen[0] == seen[1]


def test_compatibility_page(matrix, server):
    """docs/compatibility.md says what was seen. scripts/compatibility writes it anew: it sets the variable."""
    here = [folder for folder in Clients.names if meets(folder, server.name)]
    everything = {(folder, transport) for folder in here for transport in transports()}
    if matrix.attempted != everything:
        pytest.skip("only a part of the client matrix ran")
    if os.environ.get("SALLYPORT_WRITE_COMPATIBILITY"):
        matrix.results.write()
    found = compatibility.differences(
        matrix.results, matrix.server, matrix.unavailable, some_transports=transports() != TRANSPORTS
    )
    assert not found, f"run {compatibility.COMMAND} and commit what it writes:\n" + "\n".join(found)
