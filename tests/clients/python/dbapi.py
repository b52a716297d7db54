# SPDX-License-Identifier: Apache-2.0
"""The cases that PyMySQL and mysqlclient have in common: both follow Python's DB-API, and both speak the text protocol
only.

A program subclasses Cases, says how to connect and what its driver tells beyond the DB-API, and calls main()."""

import array
import datetime
import decimal
import hashlib
import os
import sys
import tempfile
import threading
import time

CHARSETS = {
    # Characters whose second byte is a backslash in the character set, and one that is a quote's neighbour.
    "latin1": "caf\u00e9 \u00dc\u00df\u20ac \\ ' \"",
    "gbk": "\u904b\u4e2d\u6587\u8a95 \\ ' \"",
    "sjis": "\u30bd\u8868\u80fd\u65e5\u672c \\ ' \"",
    "cp932": "\u30bd\u2460\u9ad9 \\ ' \"",
    "big5": "\u529f\u8a31\u84cb \\ ' \"",
    "ujis": "\u65e5\u672c\u8a9e \\ ' \"",
    "utf8mb4": "\u20ac \U0001f6aa \u30bd \\ ' \"",
}
PARAMETERS = (
    0, -1, 2**63 - 1, -(2**63), 2**64 - 1, True, False, 0.1, -1.5e300, 5e-324,
    decimal.Decimal("-12345678901234567890.0123456789"),
    None, "", "it's \"quoted\" \\ % \u20ac \U0001f6aa \r\n\t\x1a", "nul\0inside", b"", bytes(range(256)),
    bytearray(b"\xff\x00'"),
    datetime.date(2024, 2, 29), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
    datetime.datetime(2024, 2, 29, 0, 0),
    datetime.timedelta(days=34, hours=22, minutes=59, seconds=58, microseconds=999999),
    -datetime.timedelta(hours=1, microseconds=1),
    datetime.time(23, 59, 59, 1),
)
HEAVY = "SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d"


def show(value):
    """The value with its type; long ones as length and hash."""
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(show, value)) + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    text = f"{type(value).__name__} {value!r}" if not isinstance(value, (str, bytes, type(None))) else repr(value)
    if len(text) > 200:
        return f"<{type(value).__name__} of {len(value)} {hashlib.sha1(text.encode()).hexdigest()}>"
    return text


def wait_for_processlist(cursor, victim):
    """Until the victim runs HEAVY; polled over a connection of its own."""
    for _ in range(1000):
        if cursor.execute(
            "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE '%%to be killed%%'", (victim,)
        ):
            return
        time.sleep(0.02)
    raise RuntimeError("the statement to be killed never ran")


class Cases:
    """One method for each case; `self.driver` is the module that is tested."""

    driver = None
    names = ()
    unbuffered = None
    # Whether the driver survives an error message in another character set than UTF-8.
    errors_in_charset = True

    def __init__(self, host, port, user):
        self.host, self.port, self.user = host, port, user
        self.tls = {
            name: os.environ[f"CASES_TLS_{name.upper()}"]
            for name in ("cert", "key", "ca") if "CASES_TLS_CA" in os.environ
        }

    def where(self):
        """The arguments of connect() that both drivers spell alike."""
        if self.host.startswith("/"):
            return {"unix_socket": self.host, "user": self.user}
        return {"host": self.host, "port": self.port, "user": self.user}

    # What the drivers differ in.
    def connect(self, **more):
        raise NotImplementedError

    def columns(self, cursor):
        """One line for each column of the result."""
        raise NotImplementedError

    def outcome(self, connection, cursor):
        """What the driver knows of an answer beyond affected rows and insert id."""
        raise NotImplementedError

    def sqlstate(self, connection):
        return "-"

    def print_error(self, connection, error):
        print("error", type(error).__name__, show(error.args), self.sqlstate(connection))

    def attempt(self, connection, call, *arguments, **named):
        try:
            result = call(*arguments, **named)
            print(getattr(call, "__name__", call), "->", show(result))
        except (self.driver.Error, OSError) as error:
            self.print_error(connection, error)

    def print_results(self, connection, cursor):
        while True:
            if cursor.description:
                for column in self.columns(cursor):
                    print("column", column)
                for row in cursor.fetchall():
                    print("row", show(row))
            print("ok affected", cursor.rowcount, "insert id", cursor.lastrowid, self.outcome(connection, cursor))
            if not cursor.nextset():
                return

    def run(self, connection, statement, parameters=None, cursorclass=None):
        """Prints every result of one call."""
        cursor = connection.cursor(cursorclass)
        try:
            cursor.execute(statement, parameters)
            self.print_results(connection, cursor)
        except self.driver.Error as error:
            self.print_error(connection, error)
        finally:
            cursor.close()

    def text(self, connection):
        self.run(connection, "SELECT 1, NULL, 'text', '', 2.50, 1e3, TRUE, X'00FF', CURRENT_DATE() > '2000-01-01'")
        self.run(connection, "SELECT * FROM types ORDER BY id")
        self.run(connection, "SELECT * FROM types WHERE id = 0")
        self.run(connection, "SELECT %s, %s, %s", ("it's \"quoted\" \u20ac", None, -1.5))
        self.run(connection, "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(300)))
        self.run(connection, "EXPLAIN SELECT * FROM items WHERE id = 2")
        self.run(connection, "SHOW CREATE TABLE types")
        self.run(connection, "-- only a comment\n")
        self.run(connection, "")

    def prepared(self, connection):
        """The SQL form: neither driver has the binary protocol."""
        self.run(connection, "PREPARE p FROM 'SELECT ? + 1, ?, ?'")
        self.run(connection, "SET @a = 41, @b = NULL, @c = 'c'")
        for _ in range(2):
            self.run(connection, "EXECUTE p USING @a, @b, @c")
        self.run(connection, "EXECUTE p USING @a")
        self.run(connection, "DEALLOCATE PREPARE p")
        self.run(connection, "EXECUTE p USING @a")
        self.run(connection, "PREPARE p FROM 'SELECT nothing FROM nowhere'")
        self.run(connection, "PREPARE p FROM 'SELECT * FROM types'")
        self.run(connection, "EXECUTE p")

    def types(self, connection):
        cursor = connection.cursor()
        cursor.execute("SHOW COLUMNS FROM types")
        names = [row[0] for row in cursor.fetchall()]
        cursor.close()
        for name in names:
            self.run(connection, f"SELECT {name} FROM types ORDER BY id")
        self.run(connection, "SELECT * FROM types ORDER BY id", cursorclass=self.driver.cursors.DictCursor)
        # Every value as the bytes that came.
        plain = self.connect(conv={}, use_unicode=False)
        self.run(plain, "SELECT * FROM types ORDER BY id")
        plain.close()

    def parameters(self, connection):
        for value in PARAMETERS:
            if not isinstance(value, (bytes, bytearray)):
                self.run(connection, "SELECT %s AS value", (value,))
            self.run(connection, "SELECT HEX(%s) AS value", (value,))
        other = self.connect(binary_prefix=True)
        self.run(other, "SELECT %s AS value, %s AS nothing", (bytes(range(256)), b""))
        other.close()
        self.run(connection, "SELECT %(a)s, %(b)s, %(a)s", {"a": 1, "b": "two"})
        self.run(connection, "SELECT 3 IN %s, 'x' IN %s", ((1, 2, 3), ["x", "y"]))
        self.run(connection, "SELECT 100 %% 7, %s", ("%s",))
        self.run(connection, "SELECT " + ", ".join(["%s"] * 1000), list(range(1000)))
        connection.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
        self.run(connection, "SELECT %s, %s", ("it's \\ here", "\\"))
        self.run(connection, "SELECT 'a\\', 'b'")

    def streaming(self, connection):
        """Rows are read from the socket one by one; the drivers have no server-side cursors."""
        cursor = connection.cursor(self.unbuffered)
        cursor.execute("SELECT n, REPEAT('r', n) FROM numbers WHERE n <= 50 ORDER BY n")
        print("one", show(cursor.fetchone()))
        print("many", show(cursor.fetchmany(7)))
        print("rest", sum(1 for _ in cursor))
        cursor.execute("SELECT n, REPEAT('r', n) FROM numbers ORDER BY n; SELECT 'second'")
        print("one of many", show(cursor.fetchone()))
        # The rest is read and thrown away.
        cursor.close()
        self.run(connection, "SELECT 'still here'")
        # The reader pauses, so that the server's output is held back on the way.
        cursor = connection.cursor(self.unbuffered)
        cursor.execute("SELECT n, REPEAT('p', 20000) FROM numbers ORDER BY n")
        digest, rows = hashlib.sha1(), 0
        for number, value in cursor:
            if rows in (0, 500):
                time.sleep(0.5)
            digest.update(f"{number} {value}".encode())
            rows += 1
        print(rows, "rows", digest.hexdigest())
        cursor.close()

    def blobs(self, connection):
        data = bytes(range(256)) * 8
        self.run(connection, "SELECT LENGTH(%s), HEX(%s)", (data, data[:256]))
        self.run(connection, "DELETE FROM scratch")
        self.run(connection, "INSERT INTO scratch VALUES (1, NULL, %s)", (data,))
        self.run(connection, "INSERT INTO scratch VALUES (2, '', %s)", (b"",))
        self.run(connection, "INSERT INTO scratch VALUES (3, 'array', %s)", (array.array("B", data * 40).tobytes(),))
        cursor = connection.cursor()
        cursor.execute("SELECT data FROM scratch WHERE id = 1")
        print("same bytes", cursor.fetchone()[0] == data)
        cursor.close()
        self.run(connection, "SELECT id, name, data FROM scratch ORDER BY id")
        self.run(connection, "SELECT id, data FROM blobs ORDER BY id")
        self.run(connection, "DELETE FROM scratch")

    def multi(self, connection):
        for statement in (
            "SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3",
            "SELECT 1; SELECT no_such_column; SELECT 3", "CALL two_results()", "CALL fails_midway()",
            "CALL add_one(41, @result); SELECT @result", "SELECT 1;", "SELECT 1;;", "DO 1; DO 2; DO 3",
            "; ".join(f"SELECT {n}" for n in range(100)),
        ):
            self.run(connection, statement)
        cursor = connection.cursor()
        try:
            cursor.callproc("add_one", (41, 0))
            cursor.execute("SELECT @_add_one_0, @_add_one_1")
            print("callproc", show(cursor.fetchall()))
        except self.driver.Error as error:
            self.print_error(connection, error)
        cursor.close()
        # Left in the middle of its results: the driver reads the others away.
        cursor = connection.cursor()
        cursor.execute("SELECT 1; SELECT 2; SELECT 3")
        cursor.close()
        self.run(connection, "SELECT 'still here'")

    def errors(self, connection):
        for statement in (
            "SELECT", "SELECT * FROM no_such_table", "INSERT INTO items VALUES (1, 'again', 1)",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'", "SELECT n, (SELECT n FROM numbers) FROM numbers",
            "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'only a warning'", "SELECT no_such_function(1)",
            "INSERT INTO scratch (id, name) VALUES (1, REPEAT('x', 81))", "SELECT * FROM no_such_schema.t", "KILL 0",
            "SELECT 'still here'",
        ):
            self.run(connection, statement)
        # An error that comes when rows are already on their way: the fourth row overflows.
        self.run(connection, "SELECT n, 9223372036854775804 + n FROM numbers ORDER BY n LIMIT 5")
        self.run(connection, "SELECT 'still here'")

    def transactions(self, connection):
        self.run(connection, "DELETE FROM scratch")
        connection.begin()
        self.run(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)")
        connection.commit()
        connection.autocommit(False)
        self.run(connection, "INSERT INTO scratch VALUES (2, 'lost', NULL)")
        connection.rollback()
        self.run(connection, "INSERT INTO scratch VALUES (3, 'kept too', NULL)")
        self.run(connection, "SAVEPOINT here")
        self.run(connection, "INSERT INTO scratch VALUES (4, 'lost too', NULL)")
        self.run(connection, "ROLLBACK TO SAVEPOINT here")
        connection.commit()
        self.run(connection, "SELECT id, name FROM scratch ORDER BY id")
        connection.autocommit(True)
        self.run(connection, "START TRANSACTION READ ONLY")
        self.run(connection, "DELETE FROM scratch")
        self.run(connection, "COMMIT")
        self.run(connection, "CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
        self.run(connection, "INSERT INTO passing (v) VALUES (1), (2), (3)")
        self.run(connection, "INSERT INTO passing VALUES (1000000000, 4)")
        self.run(connection, "INSERT INTO passing (v) VALUES (5)")
        self.run(connection, "UPDATE passing SET v = 2 WHERE v <= 2")
        self.run(connection, "REPLACE INTO passing VALUES (1, 7)")
        self.run(connection, "DROP TEMPORARY TABLE passing")
        self.run(connection, "DELETE FROM scratch")

    def commands(self, connection):
        self.attempt(connection, connection.select_db, "secret")
        self.run(connection, "SELECT DATABASE()")
        self.attempt(connection, connection.select_db, "no_such_schema")
        self.attempt(connection, connection.select_db, "shop")
        self.run(connection, "SELECT DATABASE()")
        print("server", connection.get_server_info(), "protocol", connection.get_proto_info())
        # A process that does not exist, by command and not by statement.
        self.attempt(connection, connection.kill, 4294967295)
        self.run(connection, "SELECT 'still here'")

    def local_infile(self, connection):
        connection.close()
        connection = self.connect(local_infile=True)
        with tempfile.TemporaryDirectory() as folder:
            # By relative names, which are the same in every run.
            os.chdir(folder)
            with open("rows.csv", "w", encoding="utf-8") as file:
                file.write("1,one\n2,t\u00fc\u20ac\n3,\\N\nnot a number,four\n5\n6,six,too many\n")
            with open("big.csv", "wb") as file:
                for number in range(40):
                    file.write(b"%d," % number + bytes([65 + number % 26]) * 500000 + b"\n")
            open("empty.csv", "wb").close()
            self.run(connection, "DELETE FROM scratch")
            load = (
                "LOAD DATA LOCAL INFILE '{}' INTO TABLE scratch CHARACTER SET utf8mb4"
                " FIELDS TERMINATED BY ',' (id, {})"
            )
            for name, column in (
                ("rows.csv", "name"), ("empty.csv", "name"), ("missing.csv", "name"), ("big.csv", "data"),
            ):
                self.run(connection, load.format(name, column))
                self.run(connection, "SHOW WARNINGS")
                self.run(connection, "SELECT id, name, LENGTH(data), SHA1(data) FROM scratch ORDER BY id")
                self.run(connection, "DELETE FROM scratch")
            self.run(connection, load.format("rows.csv", "no_such_column"))
            # Between other statements of one packet.
            self.run(connection, "SELECT 1; " + load.format("rows.csv", "name") + "; SELECT COUNT(*) FROM scratch")
            self.run(connection, "DELETE FROM scratch")
            os.chdir("/")
        connection.close()

    def local_infile_off(self, connection):
        self.run(connection, "LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE scratch")
        self.run(connection, "SELECT 'still here'")

    def bulk(self, connection):
        """executemany() rewrites an INSERT into one statement of many rows, and repeats anything else."""
        self.run(connection, "DELETE FROM scratch")
        cursor = connection.cursor()
        for statement, rows in (
            ("INSERT INTO scratch (id, name) VALUES (%s, %s)",
             [(n, f"name {n}" if n % 3 else None) for n in range(500)]),
            ("UPDATE scratch SET name = %s WHERE id = %s", [(f"new {n}", n) for n in range(20)]),
            ("INSERT INTO scratch (id, name) VALUES (%s, %s)", [(1000, "new"), (1, "again"), (1001, "never")]),
            ("INSERT INTO scratch (id, data) VALUES (%s, %s)", [(2000 + n, bytes([n]) * 300000) for n in range(8)]),
            ("DELETE FROM scratch WHERE id = %s", [(n,) for n in range(5)]),
            ("DELETE FROM no_such_table WHERE id = %s", [(n,) for n in range(5)]),
        ):
            try:
                print("affected", cursor.executemany(statement, rows), cursor.rowcount, cursor.lastrowid)
            except self.driver.Error as error:
                self.print_error(connection, error)
        cursor.close()
        self.run(connection, "SELECT COUNT(*), MIN(id), MAX(id), SUM(LENGTH(data)), SUM(CRC32(name)) FROM scratch")
        self.run(connection, "DELETE FROM scratch")

    def big_statement(self, connection):
        value = "".join(chr(97 + i % 26) for i in range(1000)) * 40000
        self.run(connection, f"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '{value}' AS s) t")
        # Exactly one packet's size, and one byte less and more: the split ends with an empty packet or does not.
        for size in (0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1):
            before, after = "SELECT LENGTH('", "') AS length"
            self.run(connection, before + "z" * (size - 1 - len(before) - len(after)) + after)
        self.run(connection, "SELECT 'still here'")

    def big_result(self, connection):
        # Whole and streamed: rows of a megabyte, of several packets, and of exactly one packet's size.
        for cursorclass in (None, self.unbuffered):
            digest, rows = hashlib.sha1(), 0
            cursor = connection.cursor(cursorclass)
            cursor.execute(
                "SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) FROM numbers WHERE n <= 8 UNION ALL"
                " SELECT 0, REPEAT('z', 34000000) UNION ALL SELECT 1, REPEAT('y', 16777209)"
            )
            for number, value in cursor.fetchall():
                digest.update(b"%d " % number + (value if isinstance(value, bytes) else value.encode()))
                rows += 1
            cursor.close()
            print(rows, "rows", digest.hexdigest())
        self.run(connection, "SELECT a.n, b.n FROM numbers a, numbers b"
                             " WHERE a.n <= 20 AND b.n <= 100 ORDER BY a.n, b.n")

    def kill_with(self, connection, how):
        """Runs HEAVY and kills it, or its connection, from another thread."""
        victim = connection.thread_id()

        def kill_when_running():
            other = self.connect()
            cursor = other.cursor()
            wait_for_processlist(cursor, victim)
            how(other, cursor, victim)
            cursor.close()
            other.close()

        thread = threading.Thread(target=kill_when_running)
        thread.start()
        self.run(connection, HEAVY)
        thread.join()

    def kill(self, connection):
        self.kill_with(connection, lambda other, cursor, victim: cursor.execute("KILL QUERY %s", (victim,)))
        self.run(connection, "SELECT 'still here'")
        # The whole connection, first by statement and then by command, which MySQL 9 no longer has. The server may or
        # may not get its last word out before it closes, so only what comes after it is printed.
        for by_command in (False, True):
            victim = self.connect()
            number = victim.thread_id()
            cursor = connection.cursor()
            try:
                if by_command:
                    connection.kill(number)
            except self.driver.Error as error:
                self.print_error(connection, error)
                by_command = False
            if not by_command:
                cursor.execute("KILL %s", (number,))
            while cursor.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", (number,)):
                time.sleep(0.02)
            cursor.close()
            try:
                victim.query("SELECT 1")
                print("the killed connection still answers")
            except self.driver.Error:
                print("killed")
        self.run(connection, "SELECT 'still here'")

    def warnings(self, connection):
        for statement in (
            "SELECT CAST('12x' AS SIGNED)", "SHOW WARNINGS",
            "SELECT 1/0, CAST('x' AS DECIMAL)", "SHOW COUNT(*) WARNINGS",
            "INSERT IGNORE INTO items VALUES (1, 'again', 1)", "SHOW WARNINGS", "DROP TABLE IF EXISTS no_such_table",
            "SHOW WARNINGS", "SELECT no_such_column", "SHOW ERRORS",
            "SELECT CAST(n AS CHAR) + 'x' FROM numbers WHERE n < 200",
            "SHOW WARNINGS LIMIT 3", "DO 1", "SHOW WARNINGS",
        ):
            self.run(connection, statement)

    def charsets(self, connection):
        for charset, text in CHARSETS.items():
            print("charset", charset)
            other = self.connect(charset=charset)
            self.run(other, "SELECT @@character_set_client, @@character_set_connection, @@character_set_results")
            self.run(other, f"SELECT HEX('{text[:-6]}') AS `{text[0]}`, '{text[:-6]}'")
            self.run(other, "SELECT HEX(%s), %s, CHARSET(%s), LENGTH(%s)", (text,) * 4)
            self.run(other, "SELECT %s, %s", (text[:3] + "\\", "' OR 1 -- "))
            self.run(other, "DELETE FROM scratch")
            self.run(other, "INSERT INTO scratch VALUES (1, %s, %s)", (text, b"\\'\x81\x5c\xe9"))
            self.run(other, "SELECT name, HEX(data) FROM scratch WHERE name = %s", (text,))
            self.run(connection, "SELECT name, HEX(data) FROM scratch")
            if self.errors_in_charset:
                self.run(other, f"SELECT * FROM `no_such_{text[:3]}`")
            self.run(other, "DELETE FROM scratch")
            other.close()
        # Changed in mid-session.
        for charset in ("sjis", "gbk", "latin1"):
            self.set_charset(connection, charset)
            self.run(connection, "SELECT HEX(%s), %s", (CHARSETS[charset],) * 2)

    def set_charset(self, connection, charset):
        raise NotImplementedError

    def main(self, chosen):
        for name in chosen or self.names:
            print("==", name)
            connection = self.connect()
            getattr(self, name.replace("-", "_"))(connection)
            try:
                connection.close()
            except self.driver.Error:
                # Closed by the case.
                pass


def main(cases):
    """HOST PORT USER [CASE ...]"""
    sys.stdout.reconfigure(encoding="utf-8")
    cases(sys.argv[1], int(sys.argv[2]), sys.argv[3]).main(sys.argv[4:])
