/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIG_STATEMENT_BYTES (40u * 1000u * 1000u)
#define KILL_TRIES          500

void text_case(MYSQL *mysql)
{
    run(mysql, "SELECT 1, NULL, 'text', '', 2.50");
    run(mysql, "SELECT * FROM types ORDER BY id");
    run(mysql, "SELECT * FROM types WHERE id = 0");
    run(mysql, "SELECT i.id AS number, i.name label FROM items i ORDER BY i.id");
    run(mysql, "DO 1");
    run(mysql, "SHOW COLUMNS FROM items");
}

void blobs_case(MYSQL *mysql)
{
    char bytes[256];
    char text[2 * sizeof(bytes) + 1];
    char statement[sizeof(text) + 100];
    for (unsigned int i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    mysql_real_escape_string(mysql, text, bytes, sizeof(bytes));
    /* The escaped text may hold no NUL byte, so it is a C string. */
    if (snprintf(statement, sizeof(statement), "SELECT HEX(_binary'%s'), _binary'%s'", text, "x") <
        0)
        stop("snprintf failed");
    run(mysql, statement);
    run(mysql, "SELECT id, data FROM blobs ORDER BY id");
}

void multi_case(MYSQL *mysql)
{
    run(mysql, "SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; "
               "SELECT 3");
    run(mysql, "SELECT 1; SELECT no_such_column; SELECT 3");
    run(mysql, "CALL two_results()");
    run(mysql, "CALL fails_midway()");
    run(mysql, "CALL add_one(41, @result); SELECT @result");
    MYSQL_STMT *statement = prepare(mysql, "CALL two_results()");
    execute(statement);
    mysql_stmt_close(statement);
    statement = prepare(mysql, "CALL fails_midway()");
    execute(statement);
    mysql_stmt_close(statement);
    /* Results that are dropped unread. */
    if (mysql_query(mysql, "SELECT n FROM numbers; SELECT n FROM numbers") != 0)
        print_error(mysql);
    mysql_free_result(mysql_use_result(mysql));
    while (mysql_next_result(mysql) == 0)
        mysql_free_result(mysql_use_result(mysql));
    run(mysql, "SELECT 'still here'");
}

void errors_case(MYSQL *mysql)
{
    run(mysql, "SELECT");
    run(mysql, "");
    run(mysql, "SELECT * FROM no_such_table");
    run(mysql, "INSERT INTO items VALUES (1, 'again', 1)");
    run(mysql, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\xc3\xbcll'");
    run(mysql, "SELECT n, (SELECT n FROM numbers) FROM numbers");
    run(mysql, "SELECT 'still here'");
}

void transactions_case(MYSQL *mysql)
{
    run(mysql, "DELETE FROM scratch");
    run(mysql, "START TRANSACTION");
    run(mysql, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
    run(mysql, "COMMIT");
    print_call(mysql, "autocommit off", mysql_autocommit(mysql, 0));
    run(mysql, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
    print_call(mysql, "rollback", mysql_rollback(mysql));
    run(mysql, "SELECT id, name FROM scratch");
    run(mysql, "START TRANSACTION READ ONLY");
    run(mysql, "DELETE FROM scratch");
    print_call(mysql, "commit", mysql_commit(mysql));
    print_call(mysql, "autocommit on", mysql_autocommit(mysql, 1));
    run(mysql, "DELETE FROM scratch");
}

static void list_fields(MYSQL *mysql, const char *table)
{
    MYSQL_RES *fields = mysql_list_fields(mysql, table, "%");
    if (fields == NULL) {
        print_error(mysql);
        return;
    }
    print_fields(fields);
    mysql_free_result(fields);
}

void commands_case(MYSQL *mysql)
{
    print_call(mysql, "ping", mysql_ping(mysql));
    const char *statistics = mysql_stat(mysql);
    printf("statistics %d\n", statistics != NULL && strstr(statistics, "Uptime") != NULL);
    print_call(mysql, "select_db", mysql_select_db(mysql, "shop"));
    print_call(mysql, "select_db", mysql_select_db(mysql, "no_such_schema"));
    print_call(mysql, "one statement only",
               mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF));
    run(mysql, "SELECT 1; SELECT 2");
    print_call(mysql, "several statements",
               mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON));
    run(mysql, "SELECT 1; SELECT 2");
    list_fields(mysql, "items");
    list_fields(mysql, "types");
    list_fields(mysql, "no_such_table");
    /* Of which the account has no right to the first. */
    print_call(mysql, "dump debug info", mysql_dump_debug_info(mysql));
    run(mysql, "SELECT DATABASE()");
}

void big_statement_case(MYSQL *mysql)
{
    static const char before[] = "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '";
    static const char after[] = "' AS s) t";
    char *statement = must_allocate(BIG_STATEMENT_BYTES + sizeof(before) + sizeof(after));
    size_t at = sizeof(before) - 1;
    memcpy(statement, before, at);
    for (size_t i = 0; i < BIG_STATEMENT_BYTES; i++)
        statement[at++] = (char)('a' + (i * 7 + i / 1000) % 26);
    memcpy(statement + at, after, sizeof(after) - 1);
    at += sizeof(after) - 1;
    if (mysql_real_query(mysql, statement, at) != 0)
        print_error(mysql);
    else
        print_results(mysql);
    free(statement);
}

void big_result_case(MYSQL *mysql)
{
    run_hashed(mysql, "SELECT a.n, b.n, REPEAT(CHAR(65 + (a.n + b.n) MOD 26), 240)"
                      " FROM numbers a, numbers b WHERE a.n <= 50 ORDER BY a.n, b.n");
    /* Rows of more than 16 MiB take several packets; one of exactly a packet's size ends with an
     * empty one. */
    run_hashed(mysql, "SELECT REPEAT('y', 16777211)"
                      " UNION ALL SELECT REPEAT('z', 34000000)");
}

void warnings_case(MYSQL *mysql)
{
    run(mysql, "SELECT CAST('12x' AS SIGNED), CAST('1' AS SIGNED)");
    run(mysql, "SHOW WARNINGS");
    run(mysql, "SHOW COUNT(*) WARNINGS");
    run(mysql, "SELECT 1");
    run(mysql, "SHOW WARNINGS");
    run(mysql, "SET sql_mode = ''");
    run(mysql, "INSERT INTO scratch (id, name) VALUES ('7x', REPEAT('n', 100)), (8, 'fits')");
    run(mysql, "SHOW WARNINGS");
    run(mysql, "DROP TABLE IF EXISTS no_such_table");
    run(mysql, "SELECT * FROM no_such_table");
    run(mysql, "SHOW ERRORS");
    run(mysql, "SELECT CAST(n AS DATE) FROM numbers LIMIT 70");
    MYSQL_STMT *statement = prepare(mysql, "SELECT CAST('13x' AS SIGNED), 1 + '2y'");
    execute(statement);
    printf("warnings %u\n", mysql_warning_count(mysql));
    mysql_stmt_close(statement);
    run(mysql, "SHOW WARNINGS");
    run(mysql, "DELETE FROM scratch");
}

void charsets_case(MYSQL *mysql)
{
    static const char *const names[] = {"latin1", "cp1251", "gbk", "sjis", "big5", "utf8mb4"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        print_call(mysql, names[i], mysql_set_character_set(mysql, names[i]));
        printf("character set %s\n", mysql_character_set_name(mysql));
        run(mysql, "SELECT _utf8mb4'\xc3\xa4 \xd0\xaf \xe4\xb8\xad', 'x', HEX('\xe4\xe4'),"
                   " @@character_set_client, @@collation_connection");
        /* 0x5C is the second byte of a character in some of them. */
        run(mysql, "SELECT HEX('\x95\x5c'), HEX('\xb0\x5c')");
        run(mysql, "SELECT * FROM `t\xe4`");
    }
    run(mysql, "SET character_set_results = NULL");
    run(mysql, "SELECT _latin1'\xe4', _sjis'\x95\x5c\x5c', c_varchar FROM types");
}

static void change_rows(MYSQL *mysql)
{
    run(mysql, "INSERT INTO scratch (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    run(mysql, "UPDATE scratch SET name = 'a'");
    run(mysql, "UPDATE scratch SET name = 'a'");
    run(mysql, "REPLACE INTO scratch (id, name) VALUES (1, 'z'), (9, 'y')");
    run(mysql, "INSERT INTO scratch (id) SELECT n + 10 FROM numbers WHERE n < 5");
    run(mysql, "INSERT INTO scratch (id, name) VALUES (1, 'w') ON DUPLICATE KEY UPDATE name = 'w'");
    run(mysql, "INSERT INTO scratch (id, name) VALUES (1, 'w') ON DUPLICATE KEY UPDATE name = 'w'");
    run(mysql, "DELETE FROM scratch");
}

void info_case(MYSQL *mysql)
{
    printf("server %s %lu protocol %u charset %s\n", mysql_get_server_info(mysql),
           mysql_get_server_version(mysql), mysql_get_proto_info(mysql),
           mysql_character_set_name(mysql));
    change_rows(mysql);
    MYSQL *found = connect_with(CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS, NULL);
    change_rows(found);
    mysql_close(found);
    run(mysql, "CREATE TEMPORARY TABLE counted (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY)");
    run(mysql, "INSERT INTO counted VALUES (18446744073709551000), (NULL), (NULL)");
    run(mysql, "SELECT LAST_INSERT_ID(77)");
    run(mysql, "INSERT INTO counted VALUES (5)");
    run(mysql, "SELECT COUNT(*) FROM types WHERE c_varchar LIKE '%x%'");
    run(mysql, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'");
}

/*
 * What the server offered, but for what ends at each leg or says nothing: TLS, which the tunnel's
 * local port has not; several factors of authentication (bit 28), because the proxy logs in itself;
 * and two flags of the client's own that servers echo (30: it verifies the certificate, 31: it
 * remembers options).
 */
#define CAPABILITIES_OF_A_LEG ((unsigned int)CLIENT_SSL | 1u << 28 | 1u << 30 | 1u << 31)

void capabilities_case(MYSQL *mysql)
{
    printf("capabilities %08x\n",
           (unsigned int)mysql->server_capabilities & ~CAPABILITIES_OF_A_LEG);
}

struct killer {
    unsigned long victim;
};

static bool runs(MYSQL *mysql, unsigned long victim)
{
    char statement[160];
    if (snprintf(statement, sizeof(statement),
                 "SELECT 1 FROM information_schema.processlist WHERE id = %lu"
                 " AND info LIKE '%%to be killed%%'",
                 victim) < 0)
        stop("snprintf failed");
    if (mysql_query(mysql, statement) != 0)
        stop(mysql_error(mysql));
    MYSQL_RES *result = mysql_store_result(mysql);
    bool found = result != NULL && mysql_num_rows(result) == 1;
    mysql_free_result(result);
    return found;
}

static void *kill_when_running(void *argument)
{
    const struct killer *killer = argument;
    MYSQL *mysql = connect_now();
    for (int i = 0; i < KILL_TRIES && !runs(mysql, killer->victim); i++)
        usleep(20000);
    char statement[64];
    if (snprintf(statement, sizeof(statement), "KILL QUERY %lu", killer->victim) < 0)
        stop("snprintf failed");
    if (mysql_query(mysql, statement) != 0)
        stop(mysql_error(mysql));
    mysql_close(mysql);
    mysql_thread_end();
    return NULL;
}

void kill_case(MYSQL *mysql)
{
    struct killer killer = {.victim = mysql_thread_id(mysql)};
    pthread_t thread;
    if (pthread_create(&thread, NULL, kill_when_running, &killer) != 0)
        stop("no thread");
    run(mysql, "SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, "
               "numbers c, numbers d");
    if (pthread_join(thread, NULL) != 0)
        stop("no join");
    run(mysql, "SELECT 'still here'");
}
