# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md: the table of clients and servers that a run of the client matrix writes, and checks."""

import re

from . import process
from .clients import BIG, TRANSPORTS

DOCUMENT = process.ROOT / "docs" / "compatibility.md"
COMMAND = "scripts/compatibility"

HEADING = f"""# Clients and servers that are tested

Written by `{COMMAND}`; do not edit it. Each client of [tests/clients](../tests/clients) runs its cases
on each server directly, and through Sallyport. A cell counts the cases whose outputs were the same, byte for byte:
rows, column definitions, affected rows, warnings, errors and the rest of what the client's interface shows.

| transport | the client connects to |
|---|---|
| tcp | the TCP port of `sallyport tunnel`, in plaintext |
| unix | its Unix socket |
| tls | a STARTTLS listener of the proxy, with MySQL's in-band TLS and the bot's certificate |

Cases of tens of megabytes or of seconds ({{big}}) run over tcp only. Every run of the tests
compares its results with this page, versions aside: a client, a transport or a case more or less fails it until the
page is written anew.
"""


class Results:
    """What was the same, collected over a run."""

    def __init__(self):
        self.servers = {}    # key -> title, in the order of the run
        self.clients = {}    # folder -> Client
        self.cells = {}      # (folder, key) -> {transport: cases}
        self.cases = {}      # folder -> cases that it has on any server, in its own order

    def add_server(self, version):
        """Returns the key of a column: the product and its major version."""
        number = version.removeprefix("5.5.5-").split("-")[0]
        product = "MariaDB" if "MariaDB" in version else "MySQL"
        key = f"{product} {number.split('.')[0]}"
        self.servers[key] = f"{product} {number}"
        return key

    def add(self, client, server, transport, cases):
        self.clients[client.folder] = client
        self.cells.setdefault((client.folder, server), {})[transport] = len(cases)
        known = self.cases.setdefault(client.folder, [])
        known += [case for case in cases if case not in known]

    def cell(self, folder, server):
        counts = self.cells.get((folder, server), {})
        return ", ".join(f"{transport} {counts[transport]}" for transport in TRANSPORTS if transport in counts) or "–"

    def _order(self):
        return sorted(self.clients, key=lambda folder: (self.clients[folder].name.lower(), folder))

    def page(self):
        """The whole text."""
        lines = [HEADING.format(big=", ".join(f"`{case}`" for case in sorted(BIG)))]
        lines.append("| client | version | " + " | ".join(self.servers.values()) + " |")
        lines.append("|---|---|" + "---|" * len(self.servers))
        for folder in self._order():
            client = self.clients[folder]
            cells = " | ".join(self.cell(folder, server) for server in self.servers)
            lines.append(f"| [{client.name}](../tests/clients/{folder}) | {client.version} | {cells} |")
        return "\n".join(lines + self._notes() + self._case_table()) + "\n"

    def _notes(self):
        lines = ["", "## What a client cannot do", ""]
        notes = [
            f"- {self.clients[folder].name}, {what}: {reason}"
            for folder in self._order() for what, reason in sorted(self.clients[folder].without.items())
        ]
        return lines + (notes or ["Nothing."])

    def _case_table(self):
        lines = ["", "## Cases", "", "| client | cases, on the servers that have what they ask for |", "|---|---|"]
        lines += [
            f"| {self.clients[folder].name} | {' '.join(sorted(self.cases[folder]))} |" for folder in self._order()
        ]
        return lines

    def write(self):
        DOCUMENT.write_text(self.page(), encoding="utf-8")


def documented():
    """What the page says: {(folder, server key): cell}."""
    text = DOCUMENT.read_text(encoding="utf-8")
    header = re.search(r"^\| client \| version \| (.*) \|$", text, re.MULTILINE)
    assert header, f"{DOCUMENT.name} has no table: run {COMMAND}"
    servers = [" ".join((title.split()[0], title.split()[1].split(".")[0])) for title in header[1].split(" | ")]
    cells = {}
    row = re.compile(r"^\| \[[^]]+\]\(\.\./tests/clients/([^)]+)\) \| [^|]* \| (.*) \|$", re.MULTILINE)
    for folder, rest in row.findall(text):
        for server, cell in zip(servers, rest.split(" | "), strict=True):
            cells[folder, server] = cell
    return cells


def differences(results, server, unavailable, some_transports):
    """Where the page disagrees with what was seen on one server: a list of texts. Clients that this machine cannot have
    are not judged, nor, with `some_transports`, transports that did not run."""
    page = documented()
    found = []
    if not any(key == server for _, key in page):
        return [f"{server} has no column"]
    for folder in sorted({folder for folder, key in page if key == server} | set(results.clients)):
        if folder in unavailable:
            continue
        written = page.get((folder, server))
        seen = results.cell(folder, server)
        if some_transports and written is not None:
            ran = results.cells.get((folder, server), {})
            written = ", ".join(part for part in written.split(", ") if part.split()[0] in ran) or "–"
        if written != seen:
            found.append(f"{folder} on {server}: the page says {written or 'nothing'!r}, the run {seen!r}")
    return found
