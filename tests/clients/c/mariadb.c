/* SPDX-License-Identifier: Apache-2.0 */
/* What MariaDB's library has and MySQL's has not. */
#include "cases.h"

#ifdef MARIADB_BASE_VERSION

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BULK_ROWS       5
#define MANY_ROWS       2000
#define PIPELINED       8
#define EXTENDED_OFFSET 32

void use_tls(MYSQL *mysql, const char *certificate, const char *key, const char *authority)
{
    library_bool verify = certificate != NULL;
    if (certificate != NULL)
        mysql_ssl_set(mysql, key, certificate, authority, NULL, NULL);
    /* Off too: from 3.4 on the library demands TLS otherwise. */
    if (mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) != 0)
        stop("no choice of verification");
}

static uint32_t extended_capabilities(MYSQL *mysql)
{
    unsigned long flags = 0;
    if (mariadb_get_infov(mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &flags) != 0)
        stop("no extended capabilities");
    return (uint32_t)flags;
}

static bool offered(MYSQL *mysql, unsigned long long capability)
{
    return (extended_capabilities(mysql) & (uint32_t)(capability >> EXTENDED_OFFSET)) != 0;
}

/* bulk */

struct bulk {
    int32_t ids[BULK_ROWS];
    char *names[BULK_ROWS];
    unsigned long lengths[BULK_ROWS];
    char indicators[BULK_ROWS];
};

static void set_rows(MYSQL_STMT *statement, unsigned int rows)
{
    if (mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows) != 0)
        stop("no bulk operations");
}

static void bulk_of_five(MYSQL *mysql, const char *text, struct bulk *bulk)
{
    MYSQL_BIND binds[2] = {
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = bulk->ids},
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = bulk->names, .length = bulk->lengths},
    };
    binds[1].u.indicator = bulk->indicators;
    MYSQL_STMT *statement = prepare(mysql, text);
    set_rows(statement, BULK_ROWS);
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    execute(statement);
    printf("warnings %u\n", mysql_warning_count(mysql));
    mysql_stmt_close(statement);
    run(mysql, "SELECT id, name FROM scratch ORDER BY id");
}

static void bulk_of_many(MYSQL *mysql)
{
    struct row {
        int32_t id;
        char name[16];
        unsigned long length;
    } *rows = must_allocate(MANY_ROWS * sizeof(*rows));
    for (int i = 0; i < MANY_ROWS; i++) {
        rows[i].id = i;
        rows[i].length = (unsigned long)snprintf(rows[i].name, sizeof(rows[i].name), "row %d", i);
    }
    MYSQL_BIND binds[2] = {
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = &rows[0].id},
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = rows[0].name, .length = &rows[0].length},
    };
    size_t stride = sizeof(rows[0]);
    MYSQL_STMT *statement = prepare(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)");
    set_rows(statement, MANY_ROWS);
    mysql_stmt_attr_set(statement, STMT_ATTR_ROW_SIZE, &stride);
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    execute(statement);
    mysql_stmt_close(statement);
    run(mysql, "SELECT COUNT(*), SUM(id), MD5(GROUP_CONCAT(name ORDER BY id)) FROM scratch");
    free(rows);
}

static const struct bulk five = {
    .ids = {11, 12, 13, 14, 15},
    .names = {(char *)"eleven", (char *)"", (char *)"thirteen", (char *)"x", (char *)"fifteen"},
    .lengths = {6, 0, 8, 1, 7},
    .indicators = {STMT_INDICATOR_NONE, STMT_INDICATOR_NULL, STMT_INDICATOR_NONE,
                   STMT_INDICATOR_DEFAULT, STMT_INDICATOR_NONE},
};

static void bulk_case(MYSQL *mysql)
{
    struct bulk bulk = five;
    bulk_of_five(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)", &bulk);
    /* The first key is there already. */
    bulk_of_five(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)", &bulk);
    bulk_of_five(mysql, "INSERT IGNORE INTO scratch (id, name) VALUES (? + 2, ?)", &bulk);
    bulk.indicators[3] = STMT_INDICATOR_NONE;
    bulk_of_five(mysql, "DELETE FROM scratch WHERE id = ? OR name = ?", &bulk);
    bulk_of_five(mysql, "SELECT ?, ?", &bulk);
    run(mysql, "DELETE FROM scratch");
    bulk_of_many(mysql);
    run(mysql, "DELETE FROM scratch");
}

/* pipelining */

/* Sends several texts before it reads the first answer. */
static void send_all(MYSQL *mysql, const char *const *texts, int count)
{
    for (int i = 0; i < count; i++)
        if (mysql_send_query(mysql, texts[i], strlen(texts[i])) != 0)
            print_error(mysql);
    for (int i = 0; i < count; i++)
        if (mysql_read_query_result(mysql) != 0)
            print_error(mysql);
        else
            print_results(mysql);
}

static void pipelining_case(MYSQL *mysql)
{
    static const char *const texts[] = {
        "INSERT INTO scratch (id, name) VALUES (1, 'a')",
        "INSERT INTO scratch (id, name) VALUES (1, 'again')",
        "SELECT id, name FROM scratch",
        "UPDATE scratch SET name = 'b'",
        "SELECT no_such_column",
        "SELECT 1; SELECT 2",
        "DELETE FROM scratch",
        "SELECT REPEAT('p', 100000)",
    };
    send_all(mysql, texts, PIPELINED);
    /* Prepare and execute in one go: the execution names the statement that it cannot know yet -1.
     */
    static const char *const direct[] = {"SELECT 5, 'direct'", "SELECT nothing FROM nowhere",
                                         "INSERT INTO scratch (id) VALUES (1)",
                                         "DELETE FROM scratch", "CALL two_results()"};
    for (size_t i = 0; i < sizeof(direct) / sizeof(direct[0]); i++) {
        MYSQL_STMT *statement = mysql_stmt_init(mysql);
        int failed = mariadb_stmt_execute_direct(statement, direct[i], strlen(direct[i]));
        check_statement(statement, failed);
        printf("columns %u affected %lld\n", mysql_stmt_field_count(statement),
               (long long)mysql_stmt_affected_rows(statement));
        int rows = 0;
        while (failed == 0 && mysql_stmt_field_count(statement) > 0 &&
               mysql_stmt_fetch(statement) == 0)
            rows++;
        printf("rows %d\n", rows);
        mysql_stmt_close(statement);
    }
    run(mysql, "SELECT 'still here'");
}

/* non-blocking: each call starts, and is continued when the socket is ready */

static int wait_for(MYSQL *mysql, int wanted)
{
    struct pollfd poller = {.fd = mysql_get_socket(mysql)};
    poller.events = (short)(((wanted & MYSQL_WAIT_READ) != 0 ? POLLIN : 0) |
                            ((wanted & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : 0));
    int timeout = -1;
    if ((wanted & MYSQL_WAIT_TIMEOUT) != 0)
        timeout = (int)mysql_get_timeout_value_ms(mysql);
    if (poll(&poller, 1, timeout) <= 0)
        return MYSQL_WAIT_TIMEOUT;
    return ((poller.revents & POLLIN) != 0 ? MYSQL_WAIT_READ : 0) |
           ((poller.revents & POLLOUT) != 0 ? MYSQL_WAIT_WRITE : 0);
}

static void fetch_without_blocking(MYSQL *mysql, MYSQL_RES *result)
{
    MYSQL_ROW row = NULL;
    do {
        int status = mysql_fetch_row_start(&row, result);
        while (status != 0)
            status = mysql_fetch_row_cont(&row, result, wait_for(mysql, status));
        if (row == NULL)
            break;
        printf("row");
        print_value(row[0], mysql_fetch_lengths(result)[0]);
        putchar('\n');
    } while (true);
    if (mysql_errno(mysql) != 0)
        print_error(mysql);
    mysql_free_result(result);
}

static void query_without_blocking(MYSQL *mysql, const char *text)
{
    int failed = 0;
    int status = mysql_real_query_start(&failed, mysql, text, strlen(text));
    while (status != 0)
        status = mysql_real_query_cont(&failed, mysql, wait_for(mysql, status));
    while (failed == 0) {
        MYSQL_RES *result = mysql_use_result(mysql);
        if (result != NULL)
            fetch_without_blocking(mysql, result);
        else
            print_ok(mysql);
        status = mysql_next_result_start(&failed, mysql);
        while (status != 0)
            status = mysql_next_result_cont(&failed, mysql, wait_for(mysql, status));
    }
    if (failed > 0)
        print_error(mysql);
}

static void do_not_block(MYSQL *mysql)
{
    if (mysql_options(mysql, MYSQL_OPT_NONBLOCK, 0) != 0)
        stop("always blocks");
}

static void non_blocking_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = not_yet_connected(do_not_block);
    MYSQL *connected = NULL;
    int status = mysql_real_connect_start(&connected, mysql, place.host, user, "", "shop",
                                          place.port, place.socket, CLIENT_MULTI_STATEMENTS);
    while (status != 0)
        status = mysql_real_connect_cont(&connected, mysql, wait_for(mysql, status));
    if (connected == NULL)
        stop(mysql_error(mysql));
    query_without_blocking(mysql, "SELECT n FROM numbers WHERE n <= 20 ORDER BY n");
    query_without_blocking(mysql, "SELECT REPEAT('x', 3000000) UNION ALL SELECT SLEEP(0.01)");
    query_without_blocking(mysql, "DO 1; SELECT 2; SELECT no_such_column; SELECT 4");
    query_without_blocking(mysql, "SELECT");
    int failed = 0;
    status = mysql_ping_start(&failed, mysql);
    while (status != 0)
        status = mysql_ping_cont(&failed, mysql, wait_for(mysql, status));
    print_call(mysql, "ping", failed);
    mysql_close(mysql);
}

/* metadata cache: a repeated execution is answered without column definitions, unless they changed
 */

static void metadata_cache_case(MYSQL *mysql)
{
    printf("offered %d\n", offered(mysql, MARIADB_CLIENT_CACHE_METADATA));
    run(mysql, "CREATE TEMPORARY TABLE cached (a INT, b VARCHAR(10))");
    run(mysql, "INSERT INTO cached VALUES (1, 'one')");
    MYSQL_STMT *statement = prepare(mysql, "SELECT * FROM cached");
    execute(statement);
    execute(statement);
    run(mysql, "ALTER TABLE cached MODIFY a BIGINT UNSIGNED, MODIFY b TEXT, ADD c DATE");
    run(mysql, "INSERT INTO cached VALUES (18446744073709551615, REPEAT('b', 70), '2024-02-29')");
    execute(statement);
    MYSQL_RES *fields = mysql_stmt_result_metadata(statement);
    if (fields != NULL)
        print_fields(fields);
    mysql_free_result(fields);
    execute(statement);
    mysql_stmt_close(statement);
}

/* progress */

static struct {
    unsigned int reports;
    bool sensible;
    char stage[64];
} progress;

static void note_progress(const MYSQL *mysql, unsigned int stage, unsigned int stages,
                          double percent, const char *text, unsigned int length)
{
    (void)mysql;
    progress.reports++;
    progress.sensible = stage >= 1 && stage <= stages && percent >= 0 && percent <= 100;
    if (snprintf(progress.stage, sizeof(progress.stage), "%u of %.*s", stages, (int)length, text) <
        0)
        stop("snprintf failed");
}

static void ask_for_progress(MYSQL *mysql)
{
    mysql_optionsv(mysql, MYSQL_PROGRESS_CALLBACK, note_progress);
}

static void progress_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = connect_with(CLIENT_MULTI_STATEMENTS, ask_for_progress);
    memset(&progress, 0, sizeof(progress));
    printf("offered %d\n", offered(mysql, MARIADB_CLIENT_PROGRESS));
    if (!is_mariadb(mysql)) {
        puts("only MariaDB reports progress");
        mysql_close(mysql);
        return;
    }
    run(mysql, "SET progress_report_time = 1");
    run(mysql, "INSERT INTO scratch (id) SELECT n FROM numbers");
    run(mysql, "CREATE TEMPORARY TABLE slow (id INT) SELECT id FROM scratch");
    /* Each row takes its time, so that it takes longer than the second between two reports. */
    run(mysql, "ALTER TABLE slow ADD h CHAR(128) AS (SHA2(REPEAT(id, 200000), 512)) STORED,"
               " ALGORITHM = COPY");
    printf("reports %d sensible %d stage %s\n", progress.reports > 0, progress.sensible,
           progress.stage);
    run(mysql, "SELECT MD5(GROUP_CONCAT(h ORDER BY id)) FROM slow");
    run(mysql, "DELETE FROM scratch");
    mysql_close(mysql);
}

/* bulk-results: from 3.4 on */

#if MARIADB_PACKAGE_VERSION_ID >= 30400

static void ask_for_unit_results(MYSQL *mysql)
{
    library_bool on = 1;
    mysql_optionsv(mysql, MARIADB_OPT_BULK_UNIT_RESULTS, &on);
}

static void bulk_results_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = connect_with(CLIENT_MULTI_STATEMENTS, ask_for_unit_results);
    struct bulk bulk = five;
    printf("offered %d\n", offered(mysql, MARIADB_CLIENT_BULK_UNIT_RESULTS));
    run(mysql, "CREATE TEMPORARY TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b TEXT)");
    bulk_of_five(mysql, "INSERT INTO counted (a, b) VALUES (?, ?)", &bulk);
    bulk_of_five(mysql, "UPDATE counted SET b = 'new' WHERE a < ? OR b = ?", &bulk);
    bulk_of_five(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)", &bulk);
    /* The first key is there already. */
    bulk_of_five(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)", &bulk);
    bulk.indicators[3] = STMT_INDICATOR_NONE;
    bulk_of_five(mysql, "DELETE FROM scratch WHERE id = ? OR name = ?", &bulk);
    run(mysql, "SELECT * FROM counted ORDER BY id");
    run(mysql, "DELETE FROM scratch");
    mysql_close(mysql);
}

#endif

const struct client_case library_cases[] = {
    {"bulk", bulk_case},
    {"pipelining", pipelining_case},
    {"non-blocking", non_blocking_case},
    {"metadata-cache", metadata_cache_case},
    {"progress", progress_case},
#if MARIADB_PACKAGE_VERSION_ID >= 30400
    {"bulk-results", bulk_results_case},
#endif
    {NULL, NULL},
};

#endif
