/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_ROWS 5000
#define BIG_VALUE 10000000

static void print_tracked(MYSQL *mysql)
{
    for (int type = SESSION_TRACK_BEGIN; type <= SESSION_TRACK_END; type++) {
        const char *data;
        size_t length;
        enum enum_session_state_type what = (enum enum_session_state_type)type;
        int more = mysql_session_track_get_first(mysql, what, &data, &length);
        for (; more == 0; more = mysql_session_track_get_next(mysql, what, &data, &length)) {
            printf("tracked %d", type);
            /* Of a GTID the server's part: the number goes up with each transaction. */
            if (what == SESSION_TRACK_GTIDS)
                length = strcspn(data, ":");
            print_value(data, (unsigned long)length);
            putchar('\n');
        }
    }
}

static void run_tracked(MYSQL *mysql, const char *statement)
{
    printf("%s\n", statement);
    if (mysql_query(mysql, statement) != 0) {
        print_error(mysql);
        return;
    }
    mysql_free_result(mysql_store_result(mysql));
    printf("affected %llu status %04x\n", (unsigned long long)mysql_affected_rows(mysql),
           mysql->server_status);
    print_tracked(mysql);
}

void session_track_case(MYSQL *mysql)
{
    static const char *const statements[] = {
        "SET NAMES latin1",
        /* Not '*': MySQL counts statements in one of them. */
        "SET session_track_system_variables ="
        " 'time_zone,autocommit,sql_mode,character_set_client,character_set_results'",
        "SET session_track_schema = ON, session_track_state_change = ON",
        "SET session_track_transaction_info = CHARACTERISTICS",
        "USE secret",
        "USE shop",
        "USE no_such_schema",
        "SET sql_mode = 'ANSI', time_zone = '+03:00', autocommit = 0",
        "SET @mine = 5",
        "CREATE TEMPORARY TABLE tracked (a INT)",
        "INSERT INTO scratch (id) VALUES (1)",
        "SELECT * FROM scratch FOR UPDATE",
        "ROLLBACK",
        "SET autocommit = 1",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION READ ONLY",
        "SELECT COUNT(*) FROM items",
        "COMMIT",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "INSERT INTO scratch (id) VALUES (2)",
        "DELETE FROM scratch",
        "COMMIT AND CHAIN",
        "COMMIT",
        "SET NAMES utf8mb4",
        "CALL two_results()",
        "SET session_track_system_variables = 'time_zone'",
        "SET sql_mode = '', time_zone = '+00:00'",
        "SET session_track_system_variables = ''",
        "SET time_zone = '+01:00'",
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        run_tracked(mysql, statements[i]);
        while (mysql_next_result(mysql) == 0) {
            mysql_free_result(mysql_store_result(mysql));
            print_tracked(mysql);
        }
    }
    if (!is_mariadb(mysql))
        run_tracked(mysql, "SET session_track_gtids = OWN_GTID");
    run_tracked(mysql, "INSERT INTO scratch (id) VALUES (3)");
    run_tracked(mysql, "DELETE FROM scratch");
    print_call(mysql, "select_db", mysql_select_db(mysql, "secret"));
    print_tracked(mysql);
    print_call(mysql, "reset", mysql_reset_connection(mysql));
    print_tracked(mysql);
}

static void print_state(MYSQL *mysql)
{
    run(mysql, "SELECT @kept, @@sql_mode, @@character_set_client, @@autocommit, DATABASE()");
    run(mysql, "SELECT * FROM temporary");
    run(mysql, "EXECUTE by_name");
}

static MYSQL_STMT *leave_state(MYSQL *mysql)
{
    run(mysql, "SET @kept = 1, sql_mode = 'ANSI', autocommit = 0");
    run(mysql, "CREATE TEMPORARY TABLE temporary (a INT)");
    run(mysql, "PREPARE by_name FROM 'SELECT 5'");
    run(mysql, "INSERT INTO scratch (id, name) VALUES (1, 'rolled back')");
    MYSQL_STMT *statement = prepare(mysql, "SELECT 'prepared before'");
    print_state(mysql);
    return statement;
}

void reset_connection_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = leave_state(mysql);
    print_call(mysql, "reset", mysql_reset_connection(mysql));
    print_state(mysql);
    check_statement(statement, mysql_stmt_execute(statement));
    mysql_stmt_close(statement);
    run(mysql, "SELECT id FROM scratch");
    print_call(mysql, "reset", mysql_reset_connection(mysql));
    statement = prepare(mysql, "SELECT 'prepared after'");
    execute(statement);
    mysql_stmt_close(statement);
}

void change_user_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = leave_state(mysql);
    print_call(mysql, "change user", mysql_change_user(mysql, user, "", "secret"));
    print_state(mysql);
    check_statement(statement, mysql_stmt_execute(statement));
    mysql_stmt_close(statement);
    run(mysql, "SELECT * FROM salaries ORDER BY amount");
    print_call(mysql, "change user", mysql_change_user(mysql, user, "", NULL));
    run(mysql, "SELECT DATABASE()");
    run(mysql, "SELECT * FROM items");
    print_call(mysql, "change user", mysql_change_user(mysql, user, "", "shop"));
    statement = prepare(mysql, "SELECT DATABASE(), 'prepared after'");
    execute(statement);
    mysql_stmt_close(statement);
    print_call(mysql, "change user", mysql_change_user(mysql, user, "", "no_such_schema"));
}

/* A file that is made up as it is asked for. */
struct made_file {
    int row;
    int fail_at;
};

static int open_made(void **file, const char *name, void *fail_at)
{
    struct made_file *made = must_allocate(sizeof(*made));
    printf("asked for %s\n", name);
    made->fail_at = *(const int *)fail_at;
    *file = made;
    return made->fail_at == 0;
}

static int read_made(void *file, char *buffer, unsigned int size)
{
    struct made_file *made = file;
    if (made->row == made->fail_at)
        return -1;
    if (made->row == FILE_ROWS)
        return 0;
    int length = snprintf(buffer, size, "%d\tname %d\t%s\n", made->row + 1, made->row,
                          made->row % 3 == 0 ? "\\N" : "some bytes");
    made->row++;
    return length;
}

static void close_made(void *file)
{
    free(file);
}

static int made_error(void *file, char *text, unsigned int size)
{
    (void)file;
    int length = snprintf(text, size, "the file is made up and broken");
    return length < 0 ? 0 : 29;
}

static void load(MYSQL *mysql, int fail_at, const char *statement)
{
    mysql_set_local_infile_handler(mysql, open_made, read_made, close_made, made_error, &fail_at);
    run(mysql, statement);
    run(mysql, "SHOW WARNINGS LIMIT 3");
    run(mysql, "SELECT COUNT(*), SUM(id), COUNT(data) FROM scratch");
    run(mysql, "DELETE FROM scratch");
    mysql_set_local_infile_default(mysql);
}

static void allow_files(MYSQL *mysql)
{
    unsigned int on = 1;
    if (mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &on) != 0)
        stop("no local files");
}

static void forbid_files(MYSQL *mysql)
{
    unsigned int off = 0;
    if (mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off) != 0)
        stop("no choice of local files");
}

void local_infile_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = connect_with(CLIENT_MULTI_STATEMENTS, allow_files);
    load(mysql, -1, "LOAD DATA LOCAL INFILE 'made up' INTO TABLE scratch");
    load(mysql, -1, "LOAD DATA LOCAL INFILE 'made up' IGNORE INTO TABLE scratch (name, id, data)");
    load(mysql, 7, "LOAD DATA LOCAL INFILE 'breaks' INTO TABLE scratch");
    load(mysql, 0, "LOAD DATA LOCAL INFILE 'does not open' INTO TABLE scratch");
    load(mysql, -1, "LOAD DATA LOCAL INFILE 'made up' INTO TABLE no_such_table");
    load(mysql, -1, "SELECT 1; LOAD DATA LOCAL INFILE 'made up' INTO TABLE scratch; SELECT 2");
    mysql_close(mysql);
}

void local_infile_off_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = connect_with(CLIENT_MULTI_STATEMENTS, forbid_files);
    load(mysql, -1, "LOAD DATA LOCAL INFILE 'made up' INTO TABLE scratch");
    mysql_close(mysql);
}

void repeat_over(MYSQL *mysql)
{
    run(mysql, "SHOW SESSION STATUS LIKE 'Compression%'");
    text_case(mysql);
    prepared_case(mysql);
    blobs_case(mysql);
    run_hashed(mysql, "SELECT REPEAT('z', 20000000)");
    run_hashed(mysql, "SELECT n, SHA2(n, 512) FROM numbers");
    static const char before[] = "SELECT SHA2('";
    char *statement = must_allocate(sizeof(before) + BIG_VALUE + sizeof("', 256)"));
    size_t at = sizeof(before) - 1;
    memcpy(statement, before, at);
    for (unsigned int i = 0; i < BIG_VALUE; i++)
        statement[at++] = (char)('a' + (i * 7 + i / 1000) % 26);
    memcpy(statement + at, "', 256)", 7);
    if (mysql_real_query(mysql, statement, at + 7) != 0)
        print_error(mysql);
    else
        print_results(mysql);
    free(statement);
    mysql_close(mysql);
}

static void compress(MYSQL *mysql)
{
    if (mysql_options(mysql, MYSQL_OPT_COMPRESS, NULL) != 0)
        stop("no compression");
}

void compression_case(MYSQL *plain)
{
    (void)plain;
    repeat_over(connect_with(CLIENT_MULTI_STATEMENTS | CLIENT_COMPRESS, compress));
}
