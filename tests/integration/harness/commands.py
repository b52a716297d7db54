# SPDX-License-Identifier: Apache-2.0
"""Sessions on the raw wire, and whether the database ran what it must not run."""

import struct

from . import process, wire


def only_shop(configuration):
    """The writer's role keeps schema shop alone, and what is longer than 4 KiB is streamed."""
    configuration["roles"][1]["allow"]["schemas"] = ["shop"]
    configuration["audit"]["statement_limit"] = "4k"


def open_session(proxy, user="writer", bot="report-1", schema="shop", flags=wire.CLIENT_FLAGS):
    connection = wire.dial(proxy.plain_port, proxy.certificates, bot)
    try:
        wire.log_in(connection, user, schema, flags)
    except BaseException:
        connection.close()
        raise
    return connection


def smuggled(mark):
    """Statements that leave a mark where the role must not reach. The account itself may write there."""
    return f"USE secret; INSERT INTO salaries (name) VALUES ('{mark}')".encode()


def wait_gone(server, user):
    """Until no connection of the user is left at the database."""
    process.wait_until(lambda: not server.connections(user), f"the end of {user}'s connections")


def was_run(server, mark, user="writer"):
    """Whether the marked statement was run by a session that has ended or is about to."""
    wait_gone(server, user)
    return server.execute("SELECT COUNT(*) FROM secret.salaries WHERE name = %s", mark)[0][0] > 0


def _ok_status(payload):
    at = 1
    for _ in range(2):
        at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(payload[at], 1)
    return struct.unpack_from("<H", payload, at)[0]


def read_results(connection):
    """Every result of one query, without DEPRECATE_EOF: lists of rows, or OK packets."""
    results = []
    while True:
        first = connection.expect()
        if first[:1] == b"\0":
            results.append(first)
            status = _ok_status(first)
        else:
            for _ in range(first[0] + 1):
                connection.expect()
            rows = []
            while True:
                row = connection.expect()
                if row[:1] == b"\xfe" and len(row) < 9:
                    break
                rows.append(row)
            results.append(rows)
            status = struct.unpack_from("<H", row, 3)[0]
        if not status & wire.MORE_RESULTS:
            return results


def prepare(connection, text):
    """Prepares a text; returns the statement's id as bytes."""
    connection.command(wire.PREPARE, text)
    answer = connection.expect()
    columns, parameters = struct.unpack_from("<HH", answer, 5)
    for count in (columns, parameters):
        for _ in range(count + 1 if count else 0):
            connection.expect()
    return answer[1:5]


def execute_long(connection, statement, number):
    """Sends an execution with one bound integer."""
    connection.command(
        wire.EXECUTE, statement + b"\0" + struct.pack("<I", 1) + b"\0\x01\x03\x00" + struct.pack("<i", number)
    )


def change_user_body(user, schema="shop"):
    return user.encode() + b"\0\0" + schema.encode() + b"\0" + struct.pack("<H", 45) + b"mysql_native_password\0"


def change_user(connection, user):
    """A change of user up to its OK."""
    connection.command(wire.CHANGE_USER, change_user_body(user))
    answer = connection.expect()
    if answer[:1] == b"\xfe":
        connection.send(b"")
        answer = connection.expect()
    assert answer[:1] == b"\0", answer
