/* SPDX-License-Identifier: Apache-2.0 */
/* What MySQL's library has and MariaDB's has not. */
#include "cases.h"

#ifndef MARIADB_BASE_VERSION

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MILLISECONDS 10
#define ATTRIBUTES        4

static void set(MYSQL *mysql, enum mysql_option option, const void *value)
{
    if (mysql_options(mysql, option, value) != 0)
        stop(mysql_error(mysql));
}

void use_tls(MYSQL *mysql, const char *certificate, const char *key, const char *authority)
{
    if (certificate == NULL)
        return;
    unsigned int mode = SSL_MODE_VERIFY_IDENTITY;
    set(mysql, MYSQL_OPT_SSL_MODE, &mode);
    set(mysql, MYSQL_OPT_SSL_CERT, certificate);
    set(mysql, MYSQL_OPT_SSL_KEY, key);
    set(mysql, MYSQL_OPT_SSL_CA, authority);
}

/* attributes */

struct attributes {
    const char *names[ATTRIBUTES];
    MYSQL_BIND binds[ATTRIBUTES];
    int32_t number;
    double real;
    char text[16];
    unsigned long length;
    bool null;
};

/* One of each kind; the last has no name. */
static void fill(struct attributes *attributes)
{
    memset(attributes, 0, sizeof(*attributes));
    attributes->number = -42;
    attributes->real = 2.5;
    attributes->null = true;
    memcpy(attributes->text, "traced \xe2\x82\xac", 10);
    attributes->length = 10;
    attributes->names[0] = "text";
    attributes->names[1] = "number";
    attributes->names[2] = "null";
    attributes->names[3] = "";
    attributes->binds[0] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                        .buffer = attributes->text,
                                        .buffer_length = attributes->length,
                                        .length = &attributes->length};
    attributes->binds[1] =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONG, .buffer = &attributes->number};
    attributes->binds[2] =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .is_null = &attributes->null};
    attributes->binds[3] =
        (MYSQL_BIND){.buffer_type = MYSQL_TYPE_DOUBLE, .buffer = &attributes->real};
}

#define ATTRIBUTES_READ                                                                    \
    "SELECT mysql_query_attribute_string('text'), mysql_query_attribute_string('number')," \
    " mysql_query_attribute_string('null'), mysql_query_attribute_string('')"

static void attributes_of_texts(MYSQL *mysql, struct attributes *attributes)
{
    static const char *const texts[] = {ATTRIBUTES_READ, "SELECT * FROM no_such_table",
                                        "SELECT 1; " ATTRIBUTES_READ "; DO 0"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_call(mysql, "bind",
                   mysql_bind_param(mysql, ATTRIBUTES, attributes->binds, attributes->names));
        run(mysql, texts[i]);
        /* They go with one command only. */
        run(mysql, ATTRIBUTES_READ);
    }
}

static void attributes_of_statements(MYSQL *mysql, struct attributes *attributes)
{
    MYSQL_STMT *statement =
        prepare(mysql, ATTRIBUTES_READ ", mysql_query_attribute_string('no such')");
    check_statement(statement, mysql_stmt_bind_named_param(statement, attributes->binds, ATTRIBUTES,
                                                           attributes->names));
    execute(statement);
    execute(statement);
    mysql_stmt_close(statement);
    /* Parameters and attributes together: those without a name come first. */
    int64_t parameter = 7;
    MYSQL_BIND binds[2] = {{.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &parameter},
                           attributes->binds[0]};
    const char *names[2] = {NULL, "text"};
    statement = prepare(mysql, "SELECT ? + 1, mysql_query_attribute_string('text')");
    check_statement(statement, mysql_stmt_bind_named_param(statement, binds, 2, names));
    execute(statement);
    parameter = 8;
    execute(statement);
    mysql_stmt_close(statement);
}

static void attributes_case(MYSQL *mysql)
{
    struct attributes attributes;
    fill(&attributes);
    run(mysql, ATTRIBUTES_READ);
    attributes_of_texts(mysql, &attributes);
    if (!is_mariadb(mysql))
        attributes_of_statements(mysql, &attributes);
}

/* zstd */

static void use_zstd(MYSQL *mysql)
{
    unsigned int level = 5;
    set(mysql, MYSQL_OPT_COMPRESSION_ALGORITHMS, "zstd");
    set(mysql, MYSQL_OPT_ZSTD_COMPRESSION_LEVEL, &level);
}

static void use_any(MYSQL *mysql)
{
    set(mysql, MYSQL_OPT_COMPRESSION_ALGORITHMS, "uncompressed,zlib,zstd");
}

static void zstd_case(MYSQL *plain)
{
    if (is_mariadb(plain)) {
        puts("only MySQL has zstd");
        return;
    }
    repeat_over(connect_with(CLIENT_MULTI_STATEMENTS, use_zstd));
    MYSQL *mysql = connect_with(CLIENT_MULTI_STATEMENTS, use_any);
    run(mysql, "SHOW SESSION STATUS LIKE 'Compression%'");
    mysql_close(mysql);
}

/* optional-metadata */

static void leave_metadata_out(MYSQL *mysql)
{
    bool on = true;
    set(mysql, MYSQL_OPT_OPTIONAL_RESULTSET_METADATA, &on);
}

static void run_without_metadata(MYSQL *mysql, const char *text)
{
    if (mysql_query(mysql, text) != 0) {
        print_error(mysql);
        return;
    }
    MYSQL_RES *result = mysql_store_result(mysql);
    if (result == NULL) {
        print_ok(mysql);
        return;
    }
    bool full = mysql_result_metadata(result) == RESULTSET_METADATA_FULL;
    printf("metadata %d columns %u\n", full, mysql_num_fields(result));
    if (full)
        print_fields(result);
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(result)) != NULL) {
        printf("row");
        for (unsigned int i = 0; i < mysql_num_fields(result); i++)
            print_value(row[i], mysql_fetch_lengths(result)[i]);
        putchar('\n');
    }
    mysql_free_result(result);
}

static void optional_metadata_case(MYSQL *plain)
{
    if (is_mariadb(plain)) {
        puts("only MySQL leaves column definitions out");
        return;
    }
    MYSQL *mysql = connect_with(0, leave_metadata_out);
    run_without_metadata(mysql, "SELECT * FROM types ORDER BY id");
    run_without_metadata(mysql, "SET resultset_metadata = NONE");
    run_without_metadata(mysql, "SELECT * FROM types ORDER BY id");
    run_without_metadata(mysql, "SELECT 1 WHERE FALSE");
    run_without_metadata(mysql, "SELECT n, (SELECT n FROM numbers) FROM numbers");
    run_without_metadata(mysql, "UPDATE items SET price = price");
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    check_statement(statement, mysql_stmt_prepare(statement, "SELECT 1, ?", 11));
    printf("columns %u\n", mysql_stmt_field_count(statement));
    mysql_stmt_close(statement);
    run_without_metadata(mysql, "SET resultset_metadata = FULL");
    run_without_metadata(mysql, "SELECT * FROM items ORDER BY id");
    mysql_close(mysql);
}

/* non-blocking: each call is repeated until it is done */

static bool not_ready(MYSQL *mysql, enum net_async_status status)
{
    if (status == NET_ASYNC_NOT_READY) {
        struct pollfd poller = {.fd = mysql->net.fd, .events = POLLIN};
        /* Not for ever: what TLS has read already is not seen here. */
        (void)poll(&poller, 1, POLL_MILLISECONDS);
    }
    return status == NET_ASYNC_NOT_READY;
}

static void print_result_of(MYSQL *mysql)
{
    MYSQL_RES *result = NULL;
    while (not_ready(mysql, mysql_store_result_nonblocking(mysql, &result)))
        continue;
    if (result == NULL) {
        if (mysql_errno(mysql) != 0)
            print_error(mysql);
        else
            print_ok(mysql);
        return;
    }
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(result)) != NULL) {
        printf("row");
        print_value(row[0], mysql_fetch_lengths(result)[0]);
        putchar('\n');
    }
    while (not_ready(mysql, mysql_free_result_nonblocking(result)))
        continue;
}

static void query_without_blocking(MYSQL *mysql, const char *text)
{
    enum net_async_status status;
    while (not_ready(mysql, status = mysql_real_query_nonblocking(mysql, text, strlen(text))))
        continue;
    while (status == NET_ASYNC_COMPLETE) {
        print_result_of(mysql);
        while (not_ready(mysql, status = mysql_next_result_nonblocking(mysql)))
            continue;
    }
    if (status == NET_ASYNC_ERROR)
        print_error(mysql);
}

static void non_blocking_case(MYSQL *plain)
{
    (void)plain;
    MYSQL *mysql = not_yet_connected(NULL);
    enum net_async_status status;
    while (not_ready(mysql, status = mysql_real_connect_nonblocking(
                                mysql, place.host, user, "", "shop", place.port, place.socket,
                                CLIENT_MULTI_STATEMENTS)))
        continue;
    if (status == NET_ASYNC_ERROR)
        stop(mysql_error(mysql));
    query_without_blocking(mysql, "SELECT n FROM numbers WHERE n <= 20 ORDER BY n");
    query_without_blocking(mysql, "SELECT REPEAT('x', 3000000) UNION ALL SELECT SLEEP(0.01)");
    query_without_blocking(mysql, "DO 1; SELECT 2; SELECT no_such_column; SELECT 4");
    query_without_blocking(mysql, "SELECT");
    while (not_ready(mysql, status = mysql_reset_connection_nonblocking(mysql)))
        continue;
    print_call(mysql, "reset", status == NET_ASYNC_ERROR);
    mysql_close(mysql);
}

const struct client_case library_cases[] = {
    {"attributes", attributes_case},
    {"zstd", zstd_case},
    {"optional-metadata", optional_metadata_case},
    {"non-blocking", non_blocking_case},
    {NULL, NULL},
};

#endif
