# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for mysqlclient (MySQLdb). Usage: cases.py HOST PORT USER [CASE ...]

Left out, because mysqlclient has none of it: long-data and cursor (no binary protocol), session-track, pipelining,
zstd, attributes, reset-connection."""

import hashlib
import pathlib
import sys
import tempfile

import MySQLdb
import MySQLdb.cursors
from MySQLdb.constants import CLIENT

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
import dbapi  # noqa: E402


class MySQLdbCases(dbapi.Cases):
    driver = MySQLdb
    unbuffered = MySQLdb.cursors.SSCursor
    # It ends with a segmentation fault.
    errors_in_charset = False
    names = (
        "text", "prepared", "types", "parameters", "streaming", "blobs", "multi", "errors", "transactions", "commands",
        "local-infile", "local-infile-off", "bulk", "concurrent", "big-statement", "big-result", "compression",
        "change-user", "kill", "warnings", "charsets",
    )

    def __init__(self, *where):
        super().__init__(*where)
        # The only way to tell this version that the server's certificate must fit: by an option file.
        self.options = tempfile.NamedTemporaryFile("w", suffix=".cnf")
        self.options.write("[client]\nssl-verify-server-cert\n")
        self.options.flush()

    def connect(self, **more):
        tls = {"ssl": self.tls, "read_default_file": self.options.name} if self.tls else {}
        # By itself it compares the version of MariaDB's library with MySQL's 4.1, and asks for none of these.
        flags = CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS
        return MySQLdb.connect(**{
            **self.where(), **tls, "database": "shop", "charset": "utf8mb4", "autocommit": True, "client_flag": flags,
            **more,
        })

    def columns(self, cursor):
        for column, flags in zip(cursor.description, cursor.description_flags):
            yield f"{column} flags {flags}"

    def outcome(self, connection, cursor):
        return (
            f"warnings {connection.warning_count()} info {connection.info()!r} fields {connection.field_count()}"
            f" sqlstate {connection.sqlstate()} cursor id {cursor.lastrowid}"
        )

    def sqlstate(self, connection):
        try:
            return f"{connection.sqlstate()} {connection.errno()} {connection.error()!r}"
        except MySQLdb.Error as closed:
            return f"{closed.args}"

    def set_charset(self, connection, charset):
        connection.set_character_set(charset)

    def commands(self, connection):
        self.attempt(connection, connection.ping)
        super().commands(connection)
        print("statistics", connection.stat().startswith(b"Uptime: ") if isinstance(connection.stat(), bytes)
              else connection.stat().startswith("Uptime: "))
        self.attempt(connection, connection.dump_debug_info)
        # Denied: the account may not.
        self.attempt(connection, connection.shutdown)
        for option in (1, 0):
            self.attempt(connection, connection.set_server_option, option)
            self.run(connection, "SELECT 1; SELECT 2")
        print("character set", connection.character_set_name(), sorted(connection.get_character_set_info().items()))

    def change_user(self, connection):
        self.run(connection, "SET @kept = 1, sql_mode = 'ANSI_QUOTES'")
        for schema in ("secret", "shop", "no_such_schema"):
            self.attempt(connection, connection.change_user, self.user, "", schema)
            self.run(
                connection, "SELECT DATABASE(), @kept, @@sql_mode LIKE '%ANSI_QUOTES%', @@character_set_client"
            )

    def concurrent(self, connection):
        """Sent and read apart, which the library allows for one statement at a time: several connections take turns."""
        connections = [self.connect() for _ in range(10)]
        for number, other in enumerate(connections):
            statement = b"SELECT %d, REPEAT('x', 1000)" if number % 3 else b"SELECT no_such_column_%d"
            other.send_query(statement % number)
        for number, other in enumerate(connections):
            try:
                other.read_query_result()
                result = other.store_result()
                print("row", dbapi.show(result.fetch_row(0)))
            except MySQLdb.Error as error:
                self.print_error(other, error)
            other.close()

    def compression(self, connection):
        connection.close()
        connection = self.connect(compress=True)
        self.run(connection, "SHOW SESSION STATUS LIKE 'Compression'")
        for case in (self.text, self.prepared, self.blobs, self.multi, self.errors):
            case(connection)
        value = "".join(chr(97 + i % 26) for i in range(1000)) * 20000
        self.run(connection, f"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '{value}' AS s) t")
        # Around a packet's size. Exactly that size is left out: of a compressed packet that an empty one must follow,
        # the library (3.3) says that the connection is lost, without any proxy too.
        for size in (0xFFFFFF - 5, 0xFFFFFF - 3, 20000000):
            cursor = connection.cursor()
            cursor.execute(f"SELECT REPEAT('c', {size})")
            print("length", len(cursor.fetchone()[0]))
            cursor.close()
        # What cannot be compressed comes as it is.
        noise = b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(40000))
        self.run(connection, "SELECT LENGTH(%s), SHA1(%s)", (noise, noise))
        self.run(connection, "DELETE FROM scratch")
        self.run(connection, "INSERT INTO scratch (id, data) VALUES (1, %s)", (noise,))
        cursor = connection.cursor()
        cursor.execute("SELECT data FROM scratch")
        print("same bytes", cursor.fetchone()[0] == noise)
        cursor.close()
        self.run(connection, "DELETE FROM scratch")
        connection.close()


if __name__ == "__main__":
    dbapi.main(MySQLdbCases)
