# SPDX-License-Identifier: Apache-2.0
"""I7: real clients print the same through tunnel and proxy as directly, byte for byte, where the role allows them all
that they do. (A role that restricts schemas denies PREPARE as a statement, for one.)"""

import difflib

import pytest

from harness.clients import Clients
from harness.mysql9 import Unavailable
from harness.stack import Stack


def every_schema(configuration):
    for role in configuration["roles"]:
        role["allow"]["schemas"] = ["*"]
        del role["deny"]


@pytest.fixture(scope="module")
def generous(server, certificates):
    """A stack whose roles restrict no schema."""
    running = Stack(server, certificates, every_schema).start()
    yield running
    try:
        running.settle()
    finally:
        running.stop()


def same_names(output):
    """The account of the direct connection is another one: it needs no certificate."""
    return output.replace(b"'writer'@", b"'direct'@")


@pytest.mark.parametrize("name", Clients.names)
def test_same_output_as_directly(generous, clients, name):
    try:
        direct = clients.run(name, generous.server.port, "direct")
    except Unavailable as reason:
        pytest.skip(f"no mysql client of MySQL 9: {reason}")
    proxied = same_names(clients.run(name, generous.writer, "writer"))
    assert len(direct) > 5000 and direct.count(b"== ") >= 10
    if proxied != direct:
        difference = difflib.unified_diff(
            direct.decode("latin-1").splitlines(), proxied.decode("latin-1").splitlines(), "direct", "proxied",
            lineterm="", n=2,
        )
        pytest.fail("\n".join(line[:300] for line in list(difference)[:60]))
