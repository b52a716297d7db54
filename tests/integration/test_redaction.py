# SPDX-License-Identifier: Apache-2.0
"""I8: a password in SQL does not stand in the audit log, wherever the server thinks that a string ends."""

import pytest

from harness import wire
from harness.commands import open_session, read_results

TEXTS = {
    "ends at the backslash": rb"CREATE USER a1 IDENTIFIED BY 'x\', b1 IDENTIFIED BY 'TopSecret1'",
    "goes on behind the backslash": rb"CREATE USER a1 IDENTIFIED BY 'x\'TopSecret1', b1 IDENTIFIED BY 'TopSecret1'",
    "two, each with a backslash": rb"ALTER USER a1 IDENTIFIED BY 'TopSecret1\', b1 IDENTIFIED BY ' TopSecret1\'",
    "set": rb"SET PASSWORD FOR a1 = PASSWORD('\'TopSecret1')",
    "in another string first": rb"SELECT 'a\'; CREATE USER a1 IDENTIFIED BY 'TopSecret1'",
}


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"])
def test_passwords_beside_backslashes(mariadb, start_proxy, mode):
    """The mode can change without a sign, so that both readings are redacted: whoever reads the log must not find the
    password of an account that a careless, or clever, bot made."""
    proxy = start_proxy(mariadb.port)
    with open_session(proxy) as connection:
        wire.query(connection, f"SET sql_mode='{mode}'")
        for text in TEXTS.values():
            # The account may not do any of it, or the server cannot read it: what was sent is recorded all the same.
            with pytest.raises(wire.ServerError):
                connection.command(wire.QUERY, text)
                read_results(connection)
        connection.command(wire.PREPARE, TEXTS["ends at the backslash"])
        connection.read()
        connection.command(wire.QUIT)
        connection.at_end()
    proxy.audit.wait_for(None, event="session.end")
    assert not [line for line in proxy.audit.lines() if b"TopSecret1" in line]
    assert "TopSecret1" not in proxy.log()
    redacted = [r["event"] for r in proxy.audit.records() if r.get("redacted")]
    assert redacted == ["query"] * len(TEXTS) + ["prepare"]
