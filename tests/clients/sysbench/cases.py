# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for sysbench. Usage: cases.py HOST PORT USER [CASE ...]

One thread and repeatable numbers: the same transactions in the same order, so the same rows afterwards. Errors, also
those that sysbench would ignore, are counted and printed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HOST, PORT, USER, *NAMES = sys.argv[1:]
TRANSACTIONS = 250
SCRIPT = str(pathlib.Path(__file__).with_name("repeatable.lua"))
# The load generator's own figures that do not depend on time.
COUNTS = re.compile(r"^ +(read|write|other|total|transactions|queries|ignored errors|reconnects): +(\d+)", re.MULTILINE)


class Failed(Exception):
    """sysbench or the check after it failed."""


def certificates(directory):
    """sysbench takes these names from the working directory."""
    for variable, name in (("CERT", "client-cert.pem"), ("KEY", "client-key.pem"), ("CA", "cacert.pem")):
        shutil.copyfile(os.environ[f"CASES_TLS_{variable}"], pathlib.Path(directory) / name)


def place():
    if HOST.startswith("/"):
        return [f"--mysql-socket={HOST}"]
    return [f"--mysql-host={HOST}", f"--mysql-port={PORT}"]


def sysbench(directory, command, *options):
    tls = ["--mysql-ssl=on"] if "CASES_TLS_CERT" in os.environ else []
    done = subprocess.run(
        ["sysbench", SCRIPT, *place(), f"--mysql-user={USER}", "--mysql-db=shop", *tls, "--tables=2",
         "--table-size=1000", "--threads=1", "--time=0", f"--events={TRANSACTIONS}", *options, command],
        cwd=directory, capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise Failed(f"sysbench {command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def tables():
    """Rows and a checksum of each table, asked by another client."""
    tls = [] if "CASES_TLS_CERT" not in os.environ else [
        f"--ssl-cert={os.environ['CASES_TLS_CERT']}", f"--ssl-key={os.environ['CASES_TLS_KEY']}",
        f"--ssl-ca={os.environ['CASES_TLS_CA']}", "--ssl-verify-server-cert",
    ]
    where = [f"--socket={HOST}"] if HOST.startswith("/") else ["--protocol=TCP", f"--host={HOST}", f"--port={PORT}"]
    queries = "".join(
        f"SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, k, c, pad))) FROM {name};CHECKSUM TABLE {name};"
        for name in ("sbtest1", "sbtest2")
    )
    return subprocess.run(
        ["mariadb", "--no-defaults", *where, f"--user={USER}", *tls, "--skip-column-names", "shop"], input=queries,
        check=True, capture_output=True, text=True,
    ).stdout


def run(*options):
    with tempfile.TemporaryDirectory() as directory:
        if "CASES_TLS_CERT" in os.environ:
            certificates(directory)
        sysbench(directory, "cleanup")
        sysbench(directory, "prepare")
        try:
            print("\n".join(f"{name}: {count}" for name, count in COUNTS.findall(sysbench(directory, "run", *options))))
            print(tables(), end="")
        finally:
            sysbench(directory, "cleanup")


CASES = {
    "oltp": lambda: run("--db-ps-mode=auto"),
    "oltp-text": lambda: run("--db-ps-mode=disable"),
}

for name in NAMES or CASES:
    print("==", name, flush=True)
    CASES[name]()
