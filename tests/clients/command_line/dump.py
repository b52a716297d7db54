# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for a dump program: `mariadb-dump` or `mysqldump`.
Usage: dump.py KIND PROGRAM [WORD ...] -- HOST PORT USER [CASE ...]; KIND is mariadb, mariadb11 or mysql.

`dump` fills a schema with every kind of object and type and dumps it. `restore` puts that dump into another schema
with the client program that belongs to the dump program, and dumps that one."""

import functools
import hashlib
import subprocess
import sys

import connection
import everything

KIND, PROGRAM, NAMES = connection.parse(sys.argv[1:])
CLIENT = [*PROGRAM[:-1], "mysql" if KIND == "mysql" else "mariadb"]
SOURCE, TARGET = "cases_everything", "cases_restored"
LINE_SHOWN = 400


class Failed(Exception):
    """A program failed where it must not."""


def call(program, options, script=b""):
    done = subprocess.run(
        [*program, "--no-defaults", *connection.options(KIND), "--default-character-set=utf8mb4",
         "--max-allowed-packet=64M", *options], input=script, capture_output=True,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(program)} {' '.join(options)}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def client(script, *options):
    return call(CLIENT, ["--skip-column-names", "--binary-mode", *options], script if isinstance(script, bytes)
                else script.encode())


@functools.cache
def version():
    """(is MariaDB, (major, minor))"""
    text = client("SELECT VERSION();").decode().strip()
    return "MariaDB" in text, tuple(int(part) for part in text.split("-")[0].split(".")[:2])


def dump(schema, *options):
    # Nothing of the moment and the place: no date, no server version, no path to the server.
    fixed = ["--skip-dump-date", "--skip-comments", "--no-tablespaces", "--routines", "--events", "--triggers",
             "--hex-blob", "--single-transaction", "--order-by-primary"]
    if KIND == "mysql":
        fixed += ["--set-gtid-purged=OFF", "--column-statistics=0"]
    return call(PROGRAM, [*fixed, *options, schema])


def show(title, text):
    print(title, len(text), "bytes", hashlib.sha1(text).hexdigest(), flush=True)
    for line in text.split(b"\n"):
        if len(line) > LINE_SHOWN:
            line = line[:60] + b" <%d bytes %s>" % (len(line), hashlib.sha1(line).hexdigest().encode())
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


def drop(*schemas):
    client("".join(f"DROP DATABASE IF EXISTS {schema};\n" for schema in schemas))


def with_everything(body):
    drop(SOURCE, TARGET)
    try:
        client(everything.script(SOURCE, *version(), KIND))
        body()
    finally:
        drop(SOURCE, TARGET)


def same_account(dumped):
    """Lengths and hashes are compared too, so the account of a DEFINER is written alike here already."""
    return dumped.replace(f"`{connection.USER}`@".encode(), b"`direct`@")


def dump_case():
    def body():
        show("as it is", same_account(dump(SOURCE)))
        rows_only = ["--no-create-info", "--skip-triggers", "--skip-routines", "--skip-events"]
        show("row by row", dump(SOURCE, *rows_only, "--skip-extended-insert", "--complete-insert"))
        show("in XML", dump(SOURCE, *rows_only, "--xml"))

    with_everything(body)


def restore_case():
    def body():
        dumped = dump(SOURCE)
        client(f"CREATE DATABASE {TARGET} CHARACTER SET utf8mb4;")
        client(dumped, TARGET)
        again = dump(TARGET)
        # Views and the like name their schema.
        if again.replace(TARGET.encode(), SOURCE.encode()) != dumped:
            print("the restored database is another one")
        show("restored", same_account(again))

    with_everything(body)


CASES = {"dump": dump_case, "restore": restore_case}

for name in NAMES or CASES:
    print("==", name, flush=True)
    CASES[name]()
