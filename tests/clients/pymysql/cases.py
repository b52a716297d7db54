# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for PyMySQL. Usage: cases.py HOST PORT USER [CASE ...]

Left out, because PyMySQL has none of it: long-data and cursor (no binary protocol), session-track, pipelining,
compression and zstd, attributes, change-user, reset-connection."""

import pathlib
import sys

import pymysql
import pymysql.cursors

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
import dbapi  # noqa: E402


class PyMySQLCases(dbapi.Cases):
    driver = pymysql
    unbuffered = pymysql.cursors.SSCursor
    names = (
        "text", "prepared", "types", "parameters", "streaming", "blobs", "multi", "errors", "transactions", "commands",
        "local-infile", "local-infile-off", "bulk", "big-statement", "big-result", "kill", "warnings", "charsets",
    )

    def connect(self, **more):
        tls = {
            "ssl_ca": self.tls["ca"], "ssl_cert": self.tls["cert"], "ssl_key": self.tls["key"], "ssl_verify_cert": True,
            "ssl_verify_identity": True,
        } if self.tls else {}
        return pymysql.connect(**{
            **self.where(), **tls, "database": "shop", "charset": "utf8mb4", "autocommit": True,
            "max_allowed_packet": 128 << 20, "client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS, **more,
        })

    def columns(self, cursor):
        # Not in the DB-API: the column definitions as they came.
        for field in cursor._result.fields:
            yield (
                f"{field.catalog.decode()} {field.db}.{field.table_name}.{field.name}"
                f" of {field.org_table}.{field.org_name} type {field.type_code} charset {field.charsetnr}"
                f" length {field.length} flags {field.flags} scale {field.scale}"
            )

    def outcome(self, connection, cursor):
        result = cursor._result
        if result is None:
            return ""
        return f"status {result.server_status} warnings {result.warning_count} message {result.message!r}"

    def set_charset(self, connection, charset):
        connection.set_charset(charset)

    def commands(self, connection):
        self.attempt(connection, connection.ping, reconnect=False)
        super().commands(connection)

    def warnings(self, connection):
        super().warnings(connection)
        connection.query("SELECT CAST('12x' AS SIGNED)")
        print("show_warnings", dbapi.show(connection.show_warnings()))


if __name__ == "__main__":
    dbapi.main(PyMySQLCases)
