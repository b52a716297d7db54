# SPDX-License-Identifier: Apache-2.0
"""How a command-line client is told where to connect to."""

import os

HOST = PORT = USER = None


def parse(words):
    """Splits KIND PROGRAM [WORD ...] -- HOST PORT USER [CASE ...]; returns (kind, program, cases)."""
    global HOST, PORT, USER
    at = words.index("--")
    HOST, PORT, USER, *cases = words[at + 1:]
    return words[0], words[1:at], cases


def tls(kind):
    """Options for the bot's certificate, or for a plain connection."""
    certificate = os.environ.get("CASES_TLS_CERT")
    if certificate is None:
        # From 11.4 on MariaDB's clients refuse a server without TLS, at a Unix socket too, where the tunnel has none.
        return ["--skip-ssl"] if kind == "mariadb11" else []
    names = [f"--ssl-cert={certificate}", f"--ssl-key={os.environ['CASES_TLS_KEY']}",
             f"--ssl-ca={os.environ['CASES_TLS_CA']}"]
    return [*names, "--ssl-mode=VERIFY_IDENTITY" if kind == "mysql" else "--ssl-verify-server-cert"]


def options(kind):
    place = ["--protocol=SOCKET", f"--socket={HOST}"] if HOST.startswith("/") else [
        "--protocol=TCP", f"--host={HOST}", f"--port={PORT}"
    ]
    return [*place, f"--user={USER}", *tls(kind)]
