# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for a command-line client: `mariadb`, or `mysql` of the chroot.
Usage: cases.py HOST PORT USER [--chroot DIRECTORY] PROGRAM [CASE ...]

The client reads SQL and prints what came back; nothing that differs between two runs is printed."""

import hashlib
import os
import subprocess
import sys
import time

host, port, user, *rest = sys.argv[1:]
chroot = None
if rest[0] == "--chroot":
    chroot, rest = rest[1], rest[2:]
program, names = rest[0], rest[1:]


def start(*options):
    return subprocess.Popen(
        [program, "--no-defaults", f"--host={host}", f"--port={port}", f"--user={user}", "--protocol=TCP",
         "--default-character-set=utf8mb4", "--max-allowed-packet=128M", *options, "shop"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=(lambda: (os.chroot(chroot), os.chdir("/"))) if chroot else None,
    )


def run(script, *options):
    client = start(*options)
    output, _ = client.communicate(script if isinstance(script, bytes) else script.encode())
    return output


def show(output):
    if len(output) > 100000:
        output = b"<%d bytes %s>\n" % (len(output), hashlib.sha1(output).hexdigest().encode())
    sys.stdout.buffer.write(output)
    sys.stdout.flush()


def text():
    show(run("SELECT 1, NULL, 'text', '', 2.50; SELECT * FROM types ORDER BY id\\G", "--table", "-v",
             "--binary-as-hex"))
    show(run("SELECT * FROM types WHERE id = 2; STATUS_IS_NOT_A_STATEMENT;", "--xml", "--force"))
    show(run("SELECT * FROM types WHERE id < 3;", "--batch", "--column-type-info"))


def prepared():
    show(run("PREPARE p FROM 'SELECT ? + 1, ?'; SET @a = 41; EXECUTE p USING @a, @a; DEALLOCATE PREPARE p; EXECUTE p;",
             "--table", "-v", "--force"))


def blobs():
    show(run("SELECT id, data FROM blobs ORDER BY id;", "--batch", "--raw"))
    show(run("SELECT id, data FROM blobs ORDER BY id;", "--batch"))


def multi():
    show(run("DELIMITER //\nSELECT 1; DO 0; SELECT 3 //\nSELECT 1; SELECT no_such_column; SELECT 3 //\n"
             "CALL two_results() //\nCALL fails_midway() //\nCALL add_one(41, @r); SELECT @r //\n",
             "--table", "-vv", "--force"))


def errors():
    show(run("SELECT;\nSELECT * FROM no_such_table;\nINSERT INTO items VALUES (1, 'again', 1);\nSELECT 'still here';\n",
             "--table", "--force"))
    show(run("SELECT * FROM no_such_table;\nSELECT 'not reached';\n"))


def transactions():
    show(run("DELETE FROM scratch; BEGIN; INSERT INTO scratch VALUES (1, 'kept', NULL); COMMIT; BEGIN;"
             "INSERT INTO scratch VALUES (2, 'lost', NULL); ROLLBACK; SELECT id, name FROM scratch;"
             "DELETE FROM scratch;", "--table", "-vv", "--skip-reconnect").replace(b"0.00 sec", b""))


def commands():
    show(run("use shop;\nSELECT DATABASE();\nuse no_such_schema;\nSELECT DATABASE();\n", "--force"))


def big_statement():
    value = b"abcdefghijklmnopqrst" * 2000000
    show(run(b"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '" + value + b"' AS s) t;\n"))


def big_result():
    show(run("SELECT a.n, b.n, REPEAT(CHAR(65 + (a.n + b.n) MOD 26), 480) FROM numbers a, numbers b WHERE a.n <= 140"
             " ORDER BY a.n, b.n; SELECT REPEAT('z', 34000000);", "--quick"))


def kill():
    # Found by a name and not by a comment, which the client takes out.
    marker = f"killed_by_{os.getpid()}"
    victim = start(
        "--skip-column-names",
        f"--execute=SELECT SUM(a.n * b.n - c.n * d.n) AS {marker} FROM numbers a, numbers b, numbers c, numbers d",
    )
    for _ in range(300):
        found = run(
            "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
            f" AND info LIKE '%{marker}%';", "--skip-column-names",
        ).split()
        if found:
            break
        time.sleep(0.05)
    show(run(f"KILL QUERY {int(found[0])};"))
    output, _ = victim.communicate()
    show(output.replace(marker.encode(), b"marker"))


CASES = {
    "text": text, "prepared": prepared, "blobs": blobs, "multi": multi, "errors": errors,
    "transactions": transactions, "commands": commands, "big-statement": big_statement, "big-result": big_result,
    "kill": kill,
}

for name in names or CASES:
    print("==", name, flush=True)
    CASES[name]()
