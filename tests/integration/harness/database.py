# SPDX-License-Identifier: Apache-2.0
"""The schemas and accounts that every test uses, for every kind of server."""

READER_PASSWORD = "reader's Password 9"

# One column for each type of the protocol that all servers have.
TYPES = """
    id INT PRIMARY KEY, c_tiny TINYINT, c_utiny TINYINT UNSIGNED, c_small SMALLINT, c_medium MEDIUMINT,
    c_int INT, c_big BIGINT, c_ubig BIGINT UNSIGNED, c_decimal DECIMAL(30,10), c_float FLOAT, c_double DOUBLE,
    c_bit BIT(17), c_date DATE, c_time TIME(6), c_datetime DATETIME(6), c_timestamp TIMESTAMP(3) NULL, c_year YEAR,
    c_char CHAR(10), c_varchar VARCHAR(50), c_binary BINARY(4), c_varbinary VARBINARY(20), c_tinyblob TINYBLOB,
    c_blob BLOB, c_mediumblob MEDIUMBLOB, c_longblob LONGBLOB, c_tinytext TINYTEXT, c_text TEXT,
    c_mediumtext MEDIUMTEXT, c_longtext LONGTEXT, c_enum ENUM('one','two','with '' quote'), c_set SET('a','b','c'),
    c_json JSON, c_point POINT
"""

TYPE_ROWS = [
    "1, -128, 255, -32768, -8388608, -2147483648, -9223372036854775808, 18446744073709551615,"
    " -12345678901234567890.0123456789, -1.5, 2.5e300, b'10000000000000001', '1000-01-01', '-838:59:58.999999',"
    " '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999', 1901, 'char', 'v\u00e4rchar \u20ac \U0001f6aa',"
    " X'00FF0A0D', X'000102FF', X'00', X'27225C00', REPEAT('m', 70000), REPEAT('l', 300), 'tt', 'text',"
    " REPEAT('\u00e9', 300), 'long', 'with '' quote', 'a,c', '{\"a\": [1, null]}', ST_GeomFromText('POINT(1 -2)')",
    "2" + ", NULL" * 32,
    "3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'0', '2024-02-29', '00:00:00', '2024-02-29 00:00:00', '2001-09-09 01:46:40',"
    " 0, '', '', X'00000000', '', '', '', '', '', '', '', '', '', 'one', '', '[]', ST_GeomFromText('POINT(0 0)')",
]


def schema_statements():
    yield "CREATE DATABASE shop CHARACTER SET utf8mb4"
    yield "CREATE DATABASE secret CHARACTER SET utf8mb4"
    yield "CREATE TABLE secret.salaries (name VARCHAR(40), amount INT)"
    yield "INSERT INTO secret.salaries VALUES ('alice', 100), ('bob', 200)"
    yield "USE shop"
    yield "CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(80), price DECIMAL(10,2))"
    yield "INSERT INTO items VALUES (1, 'lamp', 19.90), (2, 'chair', 75.00), (3, NULL, NULL)"
    yield "CREATE TABLE blobs (id INT PRIMARY KEY, data LONGBLOB)"
    yield "CREATE TABLE scratch (id INT PRIMARY KEY, name VARCHAR(80), data LONGBLOB) ENGINE=InnoDB"
    yield f"CREATE TABLE types ({TYPES})"
    for row in TYPE_ROWS:
        yield f"INSERT INTO types VALUES ({row})"
    yield "CREATE TABLE numbers (n INT PRIMARY KEY)"
    yield "INSERT INTO numbers VALUES " + ",".join(f"({n})" for n in range(1, 1001))
    yield (
        "CREATE PROCEDURE two_results() BEGIN SELECT 1 AS first; SELECT name FROM items ORDER BY id;"
        " UPDATE items SET price = price WHERE id = 1; END"
    )
    yield (
        "CREATE PROCEDURE fails_midway() BEGIN SELECT 'before' AS state;"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stopped midway', MYSQL_ERRNO = 30001; END"
    )
    yield "CREATE PROCEDURE add_one(IN given INT, OUT result INT) SET result = given + 1"


def _identified(mysql9, password):
    if mysql9:
        return "IDENTIFIED WITH caching_sha2_password BY %s", (password,)
    return "IDENTIFIED VIA mysql_native_password USING PASSWORD(%s)", (password,)


# MariaDB's authentication plugins that have to be installed: the library, and the account that logs in with it.
PLUGINS = {
    "ed25519": ("auth_ed25519", "reader_ed"),
    "parsec": ("auth_parsec", "reader_parsec"),
}


def account_statements(certificates, server):
    """Yields (statement, parameters). `direct` is how tests reach the server without the proxy."""
    required = (
        f" REQUIRE SUBJECT '{certificates.one_line('db-client.crt', 'subject')}'"
        f" AND ISSUER '{certificates.one_line('db-client.crt', 'issuer')}'"
    )
    empty, none = _identified(server.mysql9, "")
    for name in ("reader", "writer"):
        yield f"CREATE USER '{name}'@'%%' {empty}{required}", none
    yield f"CREATE USER 'direct'@'%%' {empty}", none
    text, password = _identified(server.mysql9, READER_PASSWORD)
    yield f"CREATE USER 'reader_pw'@'%%' {text}{required}", password
    readers = ["reader", "reader_pw"]
    for plugin, (library, name) in PLUGINS.items():
        if getattr(server, plugin):
            yield f"INSTALL SONAME '{library}'", ()
            yield f"CREATE USER '{name}'@'%%' IDENTIFIED VIA {plugin} USING PASSWORD(%s){required}", password
            readers.append(name)
    for name in readers:
        # More than any role allows: what is denied is denied by the proxy, not by a missing grant.
        yield f"GRANT SELECT, EXECUTE ON shop.* TO '{name}'@'%%'", ()
        yield f"GRANT SELECT ON secret.* TO '{name}'@'%%'", ()
        yield f"GRANT SELECT ON mysql.* TO '{name}'@'%%'", ()
    for name in ("writer", "direct"):
        yield f"GRANT ALL ON shop.* TO '{name}'@'%%'", ()
        yield f"GRANT ALL ON secret.* TO '{name}'@'%%'", ()
