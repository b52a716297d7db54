# SPDX-License-Identifier: Apache-2.0
"""The cases of the client tests for PyMySQL. Usage: cases.py HOST PORT USER [CASE ...]

Prints what the server answered and nothing that differs between two runs, so that outputs can be compared."""

import hashlib
import sys
import threading
import time

import pymysql
import pymysql.cursors

HOST, PORT, USER = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def connect(**more):
    return pymysql.connect(
        host=HOST, port=PORT, user=USER, database="shop", charset="utf8mb4", autocommit=True,
        max_allowed_packet=128 << 20, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS, **more,
    )


def show(value):
    text = repr(value)
    if len(text) > 200:
        return f"<{len(text)} characters {hashlib.sha1(text.encode()).hexdigest()}>"
    return text


def run(connection, statement, parameters=None):
    """Prints every result of one call."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            while True:
                if cursor.description:
                    print("columns", [column[:6] for column in cursor.description])
                    for row in cursor.fetchall():
                        print("row", *map(show, row))
                else:
                    print("ok affected", cursor.rowcount, "insert id", cursor.lastrowid)
                if not cursor.nextset():
                    return
    except pymysql.err.Error as error:
        print("error", type(error).__name__, error.args)


def text(connection):
    run(connection, "SELECT 1, NULL, 'text', '', 2.50")
    run(connection, "SELECT * FROM types ORDER BY id")
    run(connection, "SELECT * FROM types WHERE id = 0")
    run(connection, "SELECT %s, %s, %s", ("it's \"quoted\" \u20ac", None, -1.5))


def prepared(connection):
    """PyMySQL has the SQL form only."""
    run(connection, "PREPARE p FROM 'SELECT ? + 1, ?, ?'")
    run(connection, "SET @a = 41, @b = NULL, @c = 'c'")
    run(connection, "EXECUTE p USING @a, @b, @c")
    run(connection, "DEALLOCATE PREPARE p")
    run(connection, "EXECUTE p USING @a")


def blobs(connection):
    data = bytes(range(256)) * 8
    run(connection, "SELECT LENGTH(%s), HEX(%s)", (data, data[:256]))
    run(connection, "DELETE FROM scratch")
    run(connection, "INSERT INTO scratch VALUES (1, NULL, %s)", (data,))
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM scratch")
        print("same bytes", cursor.fetchone()[0] == data)
    run(connection, "SELECT id, data FROM blobs ORDER BY id")
    run(connection, "DELETE FROM scratch")


def multi(connection):
    run(connection, "SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3")
    run(connection, "SELECT 1; SELECT no_such_column; SELECT 3")
    run(connection, "CALL two_results()")
    run(connection, "CALL fails_midway()")
    run(connection, "CALL add_one(41, @result); SELECT @result")


def errors(connection):
    for statement in (
        "SELECT", "SELECT * FROM no_such_table", "INSERT INTO items VALUES (1, 'again', 1)",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'", "SELECT 'still here'",
    ):
        run(connection, statement)


def transactions(connection):
    run(connection, "DELETE FROM scratch")
    connection.begin()
    run(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)")
    connection.commit()
    connection.autocommit(False)
    run(connection, "INSERT INTO scratch VALUES (2, 'lost', NULL)")
    connection.rollback()
    run(connection, "SELECT id, name FROM scratch")
    connection.autocommit(True)
    run(connection, "DELETE FROM scratch")


def commands(connection):
    connection.ping(reconnect=False)
    connection.select_db("shop")
    try:
        connection.select_db("no_such_schema")
    except pymysql.err.Error as error:
        print("error", error.args)
    run(connection, "SELECT DATABASE()")


def big_statement(connection):
    value = "".join(chr(97 + i % 26) for i in range(1000)) * 40000
    run(connection, f"SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '{value}' AS s) t")
    # Exactly one packet's size, and one byte less and more: the split ends with an empty packet or does not.
    for size in (0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1):
        before, after = "SELECT LENGTH('", "') AS length"
        run(connection, before + "z" * (size - 1 - len(before) - len(after)) + after)


def big_result(connection):
    digest, rows = hashlib.sha1(), 0
    with connection.cursor(pymysql.cursors.SSCursor) as cursor:
        # PyMySQL takes its time for small rows, so these are of a megabyte.
        cursor.execute(
            "SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) FROM numbers WHERE n <= 66 UNION ALL"
            " SELECT 0, REPEAT('z', 34000000)"
        )
        for number, value in cursor:
            digest.update(b"%d " % number + (value if isinstance(value, bytes) else value.encode()))
            rows += 1
    print(rows, "rows", digest.hexdigest())


def kill(connection):
    victim = connection.thread_id()

    def kill_when_running():
        with connect() as other, other.cursor() as cursor:
            for _ in range(500):
                if cursor.execute(
                    "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE '%%to be killed%%'",
                    (victim,),
                ):
                    break
                time.sleep(0.02)
            cursor.execute("KILL QUERY %s", (victim,))

    thread = threading.Thread(target=kill_when_running)
    thread.start()
    run(connection, "SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n)"
                    " FROM numbers a, numbers b, numbers c, numbers d")
    thread.join()
    run(connection, "SELECT 'still here'")


CASES = {
    "text": text, "prepared": prepared, "blobs": blobs, "multi": multi, "errors": errors,
    "transactions": transactions, "commands": commands, "big-statement": big_statement, "big-result": big_result,
    "kill": kill,
}

for name in sys.argv[4:] or CASES:
    print("==", name)
    opened = connect()
    CASES[name](opened)
    opened.close()
