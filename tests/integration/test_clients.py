# SPDX-License-Identifier: Apache-2.0
"""Real clients print the same through tunnel and proxy as directly, byte for byte."""

import difflib

import pytest

from harness.clients import Clients
from harness.mysql9 import Unavailable


def same_names(output):
    """The account of the direct connection is another one: it needs no certificate."""
    return output.replace(b"'writer'@", b"'direct'@")


@pytest.mark.parametrize("name", Clients.names)
def test_same_output_as_directly(stack, clients, name):
    try:
        direct = clients.run(name, stack.server.port, "direct")
    except Unavailable as reason:
        pytest.skip(f"no mysql client of MySQL 9: {reason}")
    proxied = same_names(clients.run(name, stack.writer, "writer"))
    assert len(direct) > 5000 and direct.count(b"== ") >= 10
    if proxied != direct:
        difference = difflib.unified_diff(
            direct.decode("latin-1").splitlines(), proxied.decode("latin-1").splitlines(), "direct", "proxied",
            lineterm="", n=2,
        )
        pytest.fail("\n".join(line[:300] for line in list(difference)[:60]))
