# SPDX-License-Identifier: Apache-2.0
"""What a reload changes for sessions that run."""

import copy

from harness import process, wire
from harness.commands import open_session


def test_records_have_the_new_roles(mariadb, start_proxy):
    """A record names the roles by which its command was judged. With those of the login an auditor would look for the
    mistake in a role that had nothing to do with it."""
    proxy = start_proxy(mariadb.port)
    with open_session(proxy) as connection:
        wire.query(connection, "DO 'before'")
        changed = copy.deepcopy(proxy.configuration)
        changed["roles"].append({"name": "added", "allow": {"databases": ["shop"], "mysql_users": ["writer"]}})
        changed["mappings"].append({"subject": "CN=report-1", "roles": ["added"]})
        proxy.reload(changed)

        def recorded():
            wire.query(connection, "DO 'after'")
            return [r for r in proxy.audit.records(event="query") if "added" in r["roles"]]

        new = process.wait_until(recorded, "a record with the new role", timeout=5)[0]
        assert set(new["roles"]) == {"shop-writer", "added"}
    assert proxy.audit.records(event="query")[0]["roles"] == ["shop-writer"]
    assert proxy.audit.records(event="session.start")[0]["roles"] == ["shop-writer"]
    end = proxy.audit.wait_for(None, event="session.end")
    assert set(end["roles"]) == {"shop-writer", "added"}
