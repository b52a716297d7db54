# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for a command-line client.
Usage: cases.py KIND PROGRAM [WORD ...] -- HOST PORT USER [CASE ...]; KIND is mariadb, mariadb11 or mysql.

The client reads SQL and prints what came back; nothing that differs between two runs is printed."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import connection

KIND, PROGRAM, NAMES = connection.parse(sys.argv[1:])
SECONDS = re.compile(rb"\(\d+(?: min)? ?[\d.]* sec\)|\(\d+ (?:min|hour).*sec\)")


def start(*options, schema="shop"):
    return subprocess.Popen(
        [*PROGRAM, "--no-defaults", *connection.options(KIND), "--default-character-set=utf8mb4",
         "--max-allowed-packet=128M", *options, *([schema] if schema else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )


def run(script, *options, **more):
    client = start(*options, **more)
    output, _ = client.communicate(script if isinstance(script, bytes) else script.encode())
    return output


def show(output):
    output = SECONDS.sub(b"(time)", output)
    if len(output) > 100000:
        output = b"<%d bytes %s>" % (len(output), hashlib.sha1(output).hexdigest().encode())
    # The next line is a heading, whatever this output ends with.
    output += b"" if output.endswith(b"\n") else b"\n"
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


def types():
    show(run("SELECT * FROM types;", "--batch", "--column-type-info"))
    show(run("SELECT 1, -1, 18446744073709551615, 1.5, 1e0, 'a', _binary'a', NULL, CAST('2024-02-29' AS DATE),"
             " CAST('1:2:3.4' AS TIME(1)), TIMESTAMP'2024-02-29 01:02:03.45', TRUE, JSON_ARRAY(1), POINT(1, 2),"
             " X'00FF', b'101', CAST(1 AS DECIMAL(65,30)), CAST('c' AS CHAR(3) CHARACTER SET latin1);",
             "--table", "--column-type-info", "--binary-as-hex"))
    show(run("SHOW FULL COLUMNS FROM types; SHOW CREATE TABLE types; DESCRIBE items;", "--html"))


def blobs():
    show(run("SELECT id, data FROM blobs ORDER BY id;", "--batch", "--raw"))
    show(run("SELECT id, data FROM blobs ORDER BY id;", "--batch"))
    script = b"INSERT INTO scratch VALUES (1, NULL, _binary'" + bytes(
        byte for byte in range(256) if byte not in b"'\\\0"
    ) + b"\\\\\\'\\0'); SELECT HEX(data) FROM scratch; DELETE FROM scratch;"
    show(run(script, "--binary-mode"))


def multi():
    show(run("DELIMITER //\nSELECT 1; DO 0; SELECT 3 //\nSELECT 1; SELECT no_such_column; SELECT 3 //\n"
             "CALL two_results() //\nCALL fails_midway() //\nCALL add_one(41, @r); SELECT @r //\n",
             "--table", "-vv", "--force"))


def errors():
    show(run("SELECT;\nSELECT * FROM no_such_table;\nINSERT INTO items VALUES (1, 'again', 1);\n"
             "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll';\n"
             "SELECT n, (SELECT n FROM numbers) FROM numbers;\nSELECT 'still here';\n", "--table", "--force"))
    show(run("SELECT * FROM no_such_table;\nSELECT 'not reached';\n"))
    show(run("SELECT 1;", schema="no_such_schema"))


def transactions():
    show(run("DELETE FROM scratch; BEGIN; INSERT INTO scratch VALUES (1, 'kept', NULL); COMMIT; BEGIN;"
             "INSERT INTO scratch VALUES (2, 'lost', NULL); ROLLBACK; SELECT id, name FROM scratch;"
             "SET autocommit = 0; INSERT INTO scratch VALUES (3, 'lost too', NULL); SAVEPOINT a;"
             "INSERT INTO scratch VALUES (4, 'lost first', NULL); ROLLBACK TO a; SELECT id FROM scratch; ROLLBACK;"
             "DELETE FROM scratch; COMMIT;", "--table", "-vv", "--skip-reconnect"))


def commands():
    show(run("use shop;\nSELECT DATABASE();\nuse no_such_schema;\nSELECT DATABASE();\n", "--force"))
    # What the command prints of the server and the session, not of the connection.
    status = run("status\n")
    show(b"".join(
        line for line in status.splitlines(True)
        if line.startswith((b"Server version", b"Server:", b"Current database", b"Server characterset",
                            b"Db     characterset", b"Client characterset", b"Conn.  characterset", b"Protocol"))
    ))
    # With names to complete, the client asks for the fields of every table.
    show(run("use shop;\nSELECT 1;\n", "--auto-rehash"))
    show(run("SELECT DATABASE(); use shop\nSELECT DATABASE();\n", schema=None))


def with_a_file(body):
    """Calls body(path) with a file that the client can read, a guest's too."""
    with tempfile.TemporaryDirectory(prefix="cases-", dir="/tmp") as directory:
        path = pathlib.Path(directory) / "rows.tsv"
        rows = ((n, n, b"\\N" if n % 3 else b"x\\ty" * n) for n in range(1, 501))
        path.write_bytes(b"".join(b"%d\tname %d\t%s\n" % row for row in rows))
        os.chmod(directory, 0o755)
        # The path differs between two runs, and errors name it.
        show(body(path).replace(str(path).encode(), b"FILE"))


def local_infile():
    with_a_file(lambda path: run(
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE scratch;\nSHOW WARNINGS;\n"
        "SELECT COUNT(*), SUM(id), SUM(LENGTH(data)) FROM scratch;\n"
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE scratch;\nSHOW WARNINGS LIMIT 2;\nDELETE FROM scratch;\n"
        "LOAD DATA LOCAL INFILE '/tmp/no/such/file' INTO TABLE scratch;\nSELECT 'still here', COUNT(*) FROM scratch;\n",
        "--local-infile=1", "--force", "-vv",
    ))


def local_infile_off():
    with_a_file(lambda path: run(
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE scratch;\nSELECT 'still here', COUNT(*) FROM scratch;\n",
        "--local-infile=0", "--force", "-vv",
    ))


def big_statement():
    value = b"abcdefghijklmnopqrst" * 2000000
    show(run(b"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '" + value + b"' AS s) t;\n"))


def big_result():
    show(run("SELECT a.n, b.n, REPEAT(CHAR(65 + (a.n + b.n) MOD 26), 480) FROM numbers a, numbers b WHERE a.n <= 30"
             " ORDER BY a.n, b.n; SELECT REPEAT('z', 34000000);", "--quick"))


def repeat_with(*options):
    """What a connection with these options is told, short and long."""
    show(run("SHOW SESSION STATUS LIKE 'Compression%'; SELECT * FROM types ORDER BY id; SELECT id, data FROM blobs;"
             "PREPARE p FROM 'SELECT ? + 1'; SET @a = 41; EXECUTE p USING @a;", "-v", *options))
    show(run("SELECT REPEAT('z', 20000000), MD5(1);", "--quick", *options))
    value = b"abcdefghijklmnopqrst" * 200000
    show(run(b"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '" + value + b"' AS s) t;\n", *options))


def compression():
    repeat_with("--compress")


def zstd():
    repeat_with("--compression-algorithms=zstd", "--zstd-compression-level=7")
    show(run("SHOW SESSION STATUS LIKE 'Compression%';", "--compression-algorithms=zstd,zlib,uncompressed"))


def attributes():
    show(run("query_attributes first one second zwei\nSELECT mysql_query_attribute_string('first'),"
             " mysql_query_attribute_string('second'), mysql_query_attribute_string('third');\n"
             "SELECT mysql_query_attribute_string('first');\nquery_attributes only ''\nSELECT * FROM no_such_table;\n"
             "SELECT 'still here';\n", "--table", "--force", "--commands"))


def reset_connection():
    # Not the character set: MariaDB does not know this client's, and takes that of whoever had the thread before.
    show(run("SET @kept = 1, sql_mode = 'ANSI';\nCREATE TEMPORARY TABLE gone (a INT);\nresetconnection\nSELECT @kept,"
             " @@sql_mode, DATABASE();\nSELECT * FROM gone;\n", "--table", "--force", "--commands"))


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


def warnings():
    show(run("SELECT CAST('12x' AS SIGNED), 1/0;\nSHOW WARNINGS;\nSHOW COUNT(*) WARNINGS;\nSELECT 1;\nSHOW WARNINGS;\n"
             "SET sql_mode = '';\nINSERT INTO scratch (id, name) VALUES ('7x', REPEAT('n', 100));\n"
             "DROP TABLE IF EXISTS no_such_table;\nDELETE FROM scratch;\n",
             "--show-warnings", "--table", "-vv", "--force"))
    show(run("SELECT CAST('12x' AS SIGNED);\nwarnings\nSELECT CAST('13x' AS SIGNED);\nnowarning\n"
             "SELECT CAST('14x' AS SIGNED);\n", "--commands" if KIND == "mysql" else "--named-commands"))


def charsets():
    for name in ("latin1", "cp1251", "gbk", "sjis", "utf8mb3", "utf16"):
        show(run(f"SET NAMES {name};\nSELECT _utf8mb4'\u00e4 \u042f \u4e2d \u3042', @@character_set_client;\n",
                 "--force"))
    for name in ("latin1", "gbk", "cp932"):
        show(run(b"SELECT '\xe4\xe4', HEX('\xe4\xe4'), @@character_set_connection, @@collation_connection;\n",
                 f"--default-character-set={name}", "--force"))
    show(run("charset latin1\nSELECT @@character_set_client, '\u00e4';\n",
             "--commands" if KIND == "mysql" else "--named-commands"))


def info():
    show(run("INSERT INTO scratch (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');\nUPDATE scratch SET name = 'a';\n"
             "UPDATE scratch SET name = 'a';\nREPLACE INTO scratch (id, name) VALUES (1, 'z'), (9, 'y');\n"
             "INSERT INTO scratch (id) SELECT n + 10 FROM numbers WHERE n < 5;\n"
             "INSERT INTO scratch (id, name) VALUES (1, 'w') ON DUPLICATE KEY UPDATE name = 'w';\n"
             "ALTER TABLE scratch COMMENT = 'x';\nALTER TABLE scratch COMMENT = '';\nDELETE FROM scratch;\n"
             "SELECT 1 WHERE 0;\nSELECT 1 UNION SELECT 2;\n", "--table", "-vvv", "--force"))


CASES = {
    "text": text, "prepared": prepared, "types": types, "blobs": blobs, "multi": multi, "errors": errors,
    "transactions": transactions, "commands": commands, "local-infile": local_infile,
    "local-infile-off": local_infile_off, "big-statement": big_statement, "big-result": big_result,
    "compression": compression, "kill": kill, "warnings": warnings, "charsets": charsets, "info": info,
}
# What the client of MySQL has and those of MariaDB lack.
if KIND == "mysql":
    CASES |= {"zstd": zstd, "attributes": attributes, "reset-connection": reset_connection}

for name in NAMES or CASES:
    print("==", name, flush=True)
    CASES[name]()
