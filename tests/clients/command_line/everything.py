# SPDX-License-Identifier: Apache-2.0
"""A schema with every column type and every kind of object that a server has."""

BLOB_BYTES = 1_000_000

# One table for each group of types: (name, columns, rows).
COMMON = [
    ("numbers_of_all_kinds",
     "id INT PRIMARY KEY AUTO_INCREMENT, t TINYINT, ut TINYINT UNSIGNED ZEROFILL, s SMALLINT,"
     " m MEDIUMINT UNSIGNED, b BIGINT, ub BIGINT UNSIGNED, d DECIMAL(65,30), f FLOAT, r DOUBLE,"
     " bits BIT(64), one BIT(1), truth BOOLEAN",
     ["1, -128, 7, -32768, 16777215, -9223372036854775808, 18446744073709551615,"
      " -99999999999999999999999999999999999.999999999999999999999999999999, 1.17549e-38, -1.7976931348623157e308,"
      " b'1000000000000000000000000000000000000000000000000000000000000001', b'1', TRUE",
      "2" + ", NULL" * 12, "900, 0, 0, 0, 0, 0, 0, 0, -0.0, 0.1, 0, 0, FALSE"]),
    ("times",
     "id INT PRIMARY KEY, d DATE, t TIME, t6 TIME(6), dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL,"
     " ts3 TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), y YEAR",
     ["1, '1000-01-01', '-838:59:59', '838:59:58.999999', '9999-12-31 23:59:59', '0001-01-01 00:00:00.000001',"
      " '1970-01-01 00:00:01', '2038-01-19 03:14:07.999', 2155",
      "2, NULL, NULL, NULL, NULL, NULL, NULL, '2024-02-29 12:00:00.5', NULL"]),
    ("texts",
     "id INT PRIMARY KEY, c CHAR(255), v VARCHAR(2000) COLLATE utf8mb4_bin, l VARCHAR(50) CHARACTER SET latin1,"
     " g VARCHAR(50) CHARACTER SET gbk, s VARCHAR(50) CHARACTER SET sjis, u TEXT CHARACTER SET utf16,"
     " k TEXT CHARACTER SET koi8r, tt TINYTEXT, mt MEDIUMTEXT, lt LONGTEXT, e ENUM('one','it''s','\u20ac'),"
     " st SET('a','b','c d')",
     ["1, 'char', 'quote '' double \" back\\\\ tab\\t line\\n nul\\0 end', 'm\u00e4rz', '\u4e2d\u6587', '\u8868\u793a',"
      " '\U0001f6aa door', '\u043f\u0440\u0438', 'tiny', REPEAT('\u00e9', 40000),"
      " REPEAT('long ', 20000), '\u20ac', 'a,c d'",
      "2" + ", NULL" * 12, "3" + ", ''" * 10 + ", 'one', ''"]),
    ("bytes",
     "id INT PRIMARY KEY, b BINARY(8), v VARBINARY(300), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB",
     ["1, X'00FF', X'000102030405060708090A0D1A1B22275C7F80FEFF', X'00', X'5C27', REPEAT(X'00', 70000),"
      f" REPEAT(UNHEX('00FF275C0A0D1A22E4A0'), {BLOB_BYTES // 10})",
      "2" + ", NULL" * 6, "3, '', '', '', '', '', ''"]),
    ("documents", "id INT PRIMARY KEY, j JSON",
     ["1, '{\"a\": [1, 2.5, null, true, \"\u20ac \\\\u0000 \\\\\"q\\\\\"\"], \"b\": {}}'", "2, NULL",
      "3, '[]'", "4, '\"text\"'"]),
    ("places",
     "id INT PRIMARY KEY, p POINT NOT NULL, l LINESTRING, po POLYGON, mp MULTIPOINT, ml MULTILINESTRING,"
     " mpo MULTIPOLYGON, gc GEOMETRYCOLLECTION, g GEOMETRY, SPATIAL INDEX (p)",
     ["1, ST_GeomFromText('POINT(1 -2)'), ST_GeomFromText('LINESTRING(0 0,1 1,2 0)'),"
      " ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))'),"
      " ST_GeomFromText('MULTIPOINT(0 0,1 1)'),"
      " ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'),"
      " ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))'),"
      " ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))'), ST_GeomFromText('POINT(9 9)')",
      "2, ST_GeomFromText('POINT(0 0)')" + ", NULL" * 7]),
    ("sp ace`d, \u4e2d",
     "`key` INT, `a``b` VARCHAR(10) COMMENT 'it''s; -- a \"comment\"', PRIMARY KEY (`key`), KEY `i x` (`a``b`(3) DESC)",
     ["1, 'x'"]),
]
MARIADB = [
    ("addresses", "id INT PRIMARY KEY, v4 INET4, v6 INET6, u UUID",
     ["1, '192.0.2.1', '2001:db8::ff00:42:8329', '123e4567-e89b-12d3-a456-426655440000'", "2, NULL, NULL, NULL"]),
    ("compressed", "id INT PRIMARY KEY, t TEXT COMPRESSED, hidden INT INVISIBLE DEFAULT 5",
     ["1, REPEAT('again ', 900)"]),
    ("dynamic", "id INT PRIMARY KEY, c BLOB", ["1, COLUMN_CREATE('a', 1, 'b', 'two')"]),
]
MARIADB_VECTOR = [
    ("vectors", "id INT PRIMARY KEY, v VECTOR(4) NOT NULL, VECTOR INDEX (v) M=8 DISTANCE=cosine",
     ["1, VEC_FromText('[1,2.5,-3,0]')"]),
]
MYSQL = [
    ("vectors", "id INT PRIMARY KEY, v VECTOR(4)", ["1, STRING_TO_VECTOR('[1,2.5,-3,0]')", "2, NULL"]),
    ("invisible", "id INT PRIMARY KEY, hidden INT INVISIBLE DEFAULT 5, g POINT SRID 4326,"
     " e INT DEFAULT (1 + 1), f INT, KEY ((f + 1)), CHECK (f < 100)", ["1, NULL, 2, 3"]),
]
RELATED = """
CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(10)) ENGINE=InnoDB;
CREATE TABLE child (id INT PRIMARY KEY, parent INT, CONSTRAINT to_parent FOREIGN KEY (parent) REFERENCES parent (id)
    ON DELETE CASCADE) ENGINE=InnoDB;
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 1);
CREATE TABLE parts (id INT, y INT) PARTITION BY RANGE (y) (PARTITION early VALUES LESS THAN (2000),
    PARTITION late VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, 1999), (2, 2001);
CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(50)) ENGINE=MyISAM;
CREATE TABLE words (id INT PRIMARY KEY, t TEXT, FULLTEXT (t)) ENGINE=InnoDB;
INSERT INTO words VALUES (1, 'sally port');
CREATE VIEW joined AS SELECT c.id, p.name FROM child c JOIN parent p ON p.id = c.parent WITH CASCADED CHECK OPTION;
CREATE SQL SECURITY INVOKER VIEW over_joined (n) AS SELECT name FROM joined WHERE id > 0;
DELIMITER //
CREATE TRIGGER noted AFTER INSERT ON parent FOR EACH ROW
    BEGIN INSERT INTO log (what) VALUES (CONCAT('new ', NEW.id)); END //
CREATE TRIGGER changed BEFORE UPDATE ON parent FOR EACH ROW SET NEW.name = UPPER(NEW.name) //
CREATE PROCEDURE two(IN a INT, INOUT b VARCHAR(10), OUT c JSON) COMMENT 'it''s' BEGIN SET b = 'x;y'; SELECT 1; END //
CREATE FUNCTION twice(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a * 2 //
CREATE EVENT never ON SCHEDULE AT '2037-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE DO DELETE FROM log //
DELIMITER ;
"""
COMPUTED = """
CREATE TABLE computed (id INT PRIMARY KEY, a INT, s INT GENERATED ALWAYS AS (a * 2) STORED, v VARCHAR(40)
    GENERATED ALWAYS AS (CONCAT('<', a, '>')) VIRTUAL, CONSTRAINT positive CHECK (a > 0), UNIQUE (s));
INSERT INTO computed (id, a) VALUES (1, 10), (2, NULL);
"""
MARIADB_RELATED = """
CREATE SEQUENCE counter START WITH 100 INCREMENT BY 10 CACHE 5;
"""


def _table(name, columns, rows):
    quoted = "`" + name.replace("`", "``") + "`"
    yield f"CREATE TABLE {quoted} ({columns});\n"
    names = "" if "INVISIBLE" not in columns and "SRID" not in columns else {
        "compressed": " (id, t)", "invisible": " (id, g, e, f)"}[name]
    for row in rows:
        yield f"INSERT INTO {quoted}{names} VALUES ({row});\n"


def script(schema, mariadb, version, kind):
    """What a client program runs to make it: all that the server has and that dumps of `kind` can carry. Those of
    MariaDB's programs give values to MySQL's generated columns, which it refuses, and 10.11 writes vectors as text."""
    tables = COMMON + (MARIADB if mariadb else MYSQL)
    if mariadb and version >= (11, 7):
        tables = tables + MARIADB_VECTOR
    if not mariadb and kind == "mariadb":
        tables = [table for table in tables if table[0] != "vectors"]
    computed = mariadb or kind == "mysql"
    lines = [
        f"CREATE DATABASE {schema} CHARACTER SET utf8mb4;\nUSE {schema};\n",
        "SET time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES';\n",
    ]
    for table in tables:
        lines += _table(*table)
    return "".join(lines) + (COMPUTED if computed else "") + RELATED + (MARIADB_RELATED if mariadb else "")
