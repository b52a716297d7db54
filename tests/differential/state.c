/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/differential/state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define STATEMENT_MAX 1024

static const char *const creations[] = {
    "DROP DATABASE IF EXISTS differ",
    "DROP DATABASE IF EXISTS differ2",
    "CREATE DATABASE differ CHARACTER SET utf8mb4",
    "CREATE DATABASE differ2 CHARACTER SET latin1",
    "CREATE DATABASE IF NOT EXISTS differ_kept",
    "CREATE TABLE IF NOT EXISTS differ_kept.types LIKE shop.types",
    "INSERT IGNORE INTO differ_kept.types SELECT * FROM shop.types",
    "CREATE TABLE differ.types LIKE shop.types",
    "CREATE TABLE differ2.k2 (id INT PRIMARY KEY, b VARCHAR(20))",
    "INSERT INTO differ2.k2 VALUES (1, 'other'), (2, 'schema')",
    "USE differ",
    "CREATE TABLE k (id INT PRIMARY KEY AUTO_INCREMENT, a INT UNIQUE, b VARCHAR(60),"
    " c DECIMAL(10,2) DEFAULT 1.50, d TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE"
    " CURRENT_TIMESTAMP(6), e BLOB) ENGINE=InnoDB",
    "CREATE TABLE m (id INT, v TEXT) ENGINE=MyISAM",
    "CREATE TABLE par (id INT PRIMARY KEY) ENGINE=InnoDB",
    "CREATE TABLE chd (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES par (id))"
    " ENGINE=InnoDB",
    "INSERT INTO par VALUES (1), (2), (3)",
    "CREATE SQL SECURITY INVOKER VIEW v_k AS SELECT id, UPPER(b) AS upper_b FROM k",
    "CREATE TRIGGER refuse BEFORE INSERT ON k FOR EACH ROW BEGIN IF NEW.a = 666 THEN"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused by the trigger'; END IF; END",
    "CREATE FUNCTION f_double(given INT) RETURNS INT DETERMINISTIC RETURN given * 2",
    "CREATE FUNCTION f_cursor(given INT) RETURNS INT READS SQL DATA BEGIN DECLARE n INT; DECLARE c"
    " CURSOR FOR SELECT given; OPEN c; FETCH c INTO n; CLOSE c; RETURN n; END",
    "CREATE PROCEDURE p_multi(given INT) BEGIN SELECT given AS first; SELECT id, b FROM differ.k"
    " ORDER BY id; UPDATE differ.k SET b = b WHERE id = 1; SELECT 'last', NULL; END",
    "CREATE PROCEDURE p_error(given INT) BEGIN SELECT 'before'; INSERT INTO differ.k (b) VALUES"
    " ('by p_error'); IF given > 4 THEN SELECT * FROM differ.no_such_table; ELSE SIGNAL SQLSTATE"
    " '45000' SET MESSAGE_TEXT = 'stopped midway', MYSQL_ERRNO = 30001; END IF; SELECT 'after'; "
    "END",
    "CREATE PROCEDURE p_out(IN given INT, OUT doubled INT, INOUT name VARCHAR(40)) BEGIN"
    " SELECT given; SET doubled = given * 2; SET name = CONCAT(COALESCE(name, '-'), '!'); END",
    "CREATE PROCEDURE p_warn(given VARCHAR(80)) BEGIN SELECT CAST(given AS SIGNED);"
    " SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'a warning'; END",
    "CREATE PROCEDURE p_nested(given INT) BEGIN CALL differ.p_multi(given); CALL differ.p_multi("
    "given + 1); END",
    "CREATE PROCEDURE p_write(given INT, name VARCHAR(80)) BEGIN INSERT INTO differ.k (a, b)"
    " VALUES (given, name); SELECT LAST_INSERT_ID(), ROW_COUNT(); COMMIT; END",
    "CREATE PROCEDURE p_cursor() BEGIN DECLARE done INT DEFAULT 0; DECLARE n INT; DECLARE c CURSOR"
    " FOR SELECT id FROM differ.k ORDER BY id; DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;"
    " OPEN c; r: LOOP FETCH c INTO n; IF done THEN LEAVE r; END IF; SELECT n; END LOOP; CLOSE c; "
    "END",
    "CREATE PROCEDURE p_empty() BEGIN END",
    "CREATE PROCEDURE p_prepare(given VARCHAR(80)) BEGIN SET @p = CONCAT('SELECT ', QUOTE(given));"
    " PREPARE inner_ps FROM @p; EXECUTE inner_ps; DEALLOCATE PREPARE inner_ps; END",
    "CREATE PROCEDURE p_use() BEGIN SELECT DATABASE(); END",
};

/* Before each sequence, the counter of AUTO_INCREMENT included: each way is the other's slow one.
 */
static const char *const resets_mariadb[] = {
    "TRUNCATE TABLE differ.k",
    "ALTER SEQUENCE differ.sq RESTART 1",
};
static const char *const resets_mysql[] = {
    "DELETE FROM differ.k",
    "ALTER TABLE differ.k AUTO_INCREMENT = 1",
};
static const char *const resets[] = {
    ("INSERT INTO differ.k (id, a, b, d) VALUES (1, 10, 'one', NULL), (2, 20, 'two', NULL),"
     " (3, NULL, NULL, NULL)"),
    "DELETE FROM differ.chd",
    "REPLACE INTO differ.par VALUES (1), (2), (3)",
    "DELETE FROM differ.types",
    "INSERT INTO differ.types SELECT * FROM differ_kept.types",
    /* CLIENT_NO_SCHEMA makes a server pass over the schema of a qualified name. */
    "DELETE FROM shop.types",
    "INSERT INTO shop.types SELECT * FROM differ_kept.types",
    "TRUNCATE TABLE differ.m",
    "INSERT INTO differ.m VALUES (1, 'not transactional')",
};

static bool admin_try(struct client *client, const char *statement)
{
    if (mysql_query(client->admin, statement) != 0)
        return false;
    MYSQL_RES *result = mysql_store_result(client->admin);
    mysql_free_result(result);
    return mysql_errno(client->admin) == 0;
}

static void admin_run(struct client *client, const char *statement)
{
    if (!admin_try(client, statement))
        die("%s: %s: %s", client->name, statement, mysql_error(client->admin));
}

static void admin_all(struct client *client, const char *const *statements, size_t count)
{
    for (size_t i = 0; i < count; i++)
        admin_run(client, statements[i]);
}

/* Calls `each` with the first column of each row. */
static void admin_each(struct client *client, const char *statement, unsigned int column,
                       void (*each)(struct client *client, const char *value))
{
    if (mysql_query(client->admin, statement) != 0)
        die("%s: %s: %s", client->name, statement, mysql_error(client->admin));
    MYSQL_RES *result = mysql_store_result(client->admin);
    MYSQL_ROW row;
    if (result == NULL)
        die("%s: no result: %s", client->name, mysql_error(client->admin));
    while ((row = mysql_fetch_row(result)) != NULL)
        if (row[column] != NULL)
            each(client, row[column]);
    mysql_free_result(result);
}

static void drop_table(struct client *client, const char *name)
{
    char statement[STATEMENT_MAX];
    snprintf(statement, sizeof statement, "DROP TABLE IF EXISTS %s", name);
    admin_run(client, statement);
}

/* Only 'differ' is used as a transaction's name; the session that prepared it is gone. */
static void end_prepared(struct client *client, const char *name)
{
    char statement[STATEMENT_MAX];
    snprintf(statement, sizeof statement, "XA ROLLBACK '%.100s'", name);
    /* The server may not have noticed yet that its session has ended: it is tried again. */
    for (int tries = 0; tries < 1000; tries++) {
        if (admin_try(client, statement))
            return;
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    die("%s: %s: %s", client->name, statement, mysql_error(client->admin));
}

enum flavour state_create(struct client *client)
{
    client->admin = mysql_init(NULL);
    if (client->admin == NULL || mysql_real_connect(client->admin, NULL, "root", "", "shop", 0,
                                                    client->admin_socket, 0) == NULL)
        die("%s: no administrator at %s: %s", client->name, client->admin_socket,
            client->admin == NULL ? "-" : mysql_error(client->admin));
    enum flavour flavour = strstr(mysql_get_server_info(client->admin), "MariaDB") != NULL
                               ? FLAVOUR_MARIADB
                               : FLAVOUR_MYSQL;
    admin_each(client, "XA RECOVER", 3, end_prepared);
    admin_run(client, "SET timestamp = 1700000000");
    admin_all(client, creations, sizeof creations / sizeof creations[0]);
    if (flavour == FLAVOUR_MARIADB)
        admin_run(client, "CREATE SEQUENCE differ.sq");
    return flavour;
}

void state_reset(struct client *client)
{
    admin_each(client, "XA RECOVER", 3, end_prepared);
    admin_each(client,
               "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables"
               " WHERE table_schema IN ('differ', 'differ2', 'shop', 'secret') AND (table_name IN"
               " ('scr1', 'scr2') OR (table_name = 'k' AND table_schema <> 'differ'))",
               0, drop_table);
    if (strstr(mysql_get_server_info(client->admin), "MariaDB") != NULL)
        admin_all(client, resets_mariadb, sizeof resets_mariadb / sizeof resets_mariadb[0]);
    else
        admin_all(client, resets_mysql, sizeof resets_mysql / sizeof resets_mysql[0]);
    admin_all(client, resets, sizeof resets / sizeof resets[0]);
}

static void view_question(struct client *client, const char *question, struct text *out)
{
    MYSQL_ROW row;
    if (mysql_query(client->admin, question) != 0)
        die("%s: %s: %s", client->name, question, mysql_error(client->admin));
    MYSQL_RES *result = mysql_store_result(client->admin);
    if (result == NULL)
        die("%s: no result: %s", client->name, mysql_error(client->admin));
    while ((row = mysql_fetch_row(result)) != NULL) {
        for (unsigned int i = 0; i < mysql_num_fields(result); i++)
            text_print(out, " %s", row[i] == NULL ? "NULL" : row[i]);
        text_print(out, "\n");
    }
    mysql_free_result(result);
}

void state_view(struct client *client, struct text *out)
{
    view_question(client, "XA RECOVER", out);
    view_question(client, "SHOW TABLES FROM differ", out);
    view_question(client,
                  "CHECKSUM TABLE differ.k, differ.types, differ.m, differ.chd, differ.par,"
                  " differ.scr1, differ.scr2, differ2.k2",
                  out);
}

void state_close(struct client *client)
{
    if (client->admin != NULL)
        mysql_close(client->admin);
}
