/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX       40
#define CELL_BYTES       (128u * 1024u)
#define LONG_DATA_PIECE  300001u
#define LONG_DATA_PIECES 7u
#define MANY_PARAMETERS  300

struct cell {
    char *bytes;
    unsigned long length;
    library_bool null;
};

void check_statement(MYSQL_STMT *statement, int failed)
{
    if (failed != 0)
        printf("statement error %u %s %s\n", mysql_stmt_errno(statement),
               mysql_stmt_sqlstate(statement), mysql_stmt_error(statement));
}

MYSQL_STMT *prepare(MYSQL *mysql, const char *text)
{
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (statement == NULL)
        stop("mysql_stmt_init failed");
    check_statement(statement, mysql_stmt_prepare(statement, text, strlen(text)));
    MYSQL_RES *result = mysql_stmt_result_metadata(statement);
    printf("prepared parameters %lu columns %u warnings %u\n", mysql_stmt_param_count(statement),
           mysql_stmt_field_count(statement), mysql_warning_count(mysql));
    if (result != NULL) {
        print_fields(result);
        mysql_free_result(result);
    }
    return statement;
}

static void bind_cells(MYSQL_STMT *statement, struct cell *cells, unsigned int count)
{
    MYSQL_BIND binds[COLUMN_MAX];
    memset(binds, 0, sizeof(binds));
    for (unsigned int i = 0; i < count; i++) {
        cells[i].bytes = must_allocate(CELL_BYTES);
        binds[i].buffer_type = MYSQL_TYPE_STRING;
        binds[i].buffer = cells[i].bytes;
        binds[i].buffer_length = CELL_BYTES;
        binds[i].length = &cells[i].length;
        binds[i].is_null = &cells[i].null;
    }
    check_statement(statement, mysql_stmt_bind_result(statement, binds));
}

static void print_cells(const struct cell *cells, unsigned int count)
{
    printf("row");
    for (unsigned int i = 0; i < count; i++)
        print_value(cells[i].null ? NULL : cells[i].bytes, cells[i].length);
    putchar('\n');
}

static void print_statement_result(MYSQL_STMT *statement)
{
    struct cell cells[COLUMN_MAX] = {0};
    unsigned int count = mysql_stmt_field_count(statement);
    if (count > COLUMN_MAX)
        stop("too many columns");
    bind_cells(statement, cells, count);
    int fetched;
    while ((fetched = mysql_stmt_fetch(statement)) == 0)
        print_cells(cells, count);
    if (fetched != MYSQL_NO_DATA)
        check_statement(statement, fetched);
    for (unsigned int i = 0; i < count; i++)
        free(cells[i].bytes);
    mysql_stmt_free_result(statement);
}

void execute(MYSQL_STMT *statement)
{
    int next = mysql_stmt_execute(statement);
    check_statement(statement, next);
    while (next == 0) {
        if (mysql_stmt_field_count(statement) > 0)
            print_statement_result(statement);
        else
            printf("ok affected %llu insert id %llu\n",
                   (unsigned long long)mysql_stmt_affected_rows(statement),
                   (unsigned long long)mysql_stmt_insert_id(statement));
        next = mysql_stmt_next_result(statement);
        if (next > 0)
            check_statement(statement, next);
    }
}

void prepared_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = prepare(mysql, "SELECT * FROM types ORDER BY id");
    execute(statement);
    execute(statement);
    mysql_stmt_close(statement);
    statement = prepare(mysql, "SELECT nothing FROM nowhere");
    mysql_stmt_close(statement);
    statement = prepare(mysql, "INSERT INTO items (name, price) VALUES ('made', 1)");
    run(mysql, "START TRANSACTION");
    execute(statement);
    execute(statement);
    run(mysql, "ROLLBACK");
    /* The key was given out all the same. */
    run(mysql, "ALTER TABLE items AUTO_INCREMENT = 4");
    mysql_stmt_close(statement);
    statement = prepare(mysql, "INSERT INTO items VALUES (1, 'again', 1)");
    execute(statement);
    execute(statement);
    mysql_stmt_close(statement);
    /* Prepared anew on the same handle, which closes the first. */
    statement = prepare(mysql, "SELECT 1");
    check_statement(statement, mysql_stmt_prepare(statement, "SELECT 2, 3", 11));
    execute(statement);
    mysql_stmt_close(statement);
}

/* One column's value in the library's own form of its type. */
union native {
    int8_t tiny;
    int16_t small;
    int32_t integer;
    int64_t big;
    float real;
    double precise;
    MYSQL_TIME time;
};

static void print_native(enum enum_field_types type, const union native *value)
{
    const MYSQL_TIME *time = &value->time;
    switch (type) {
    case MYSQL_TYPE_TINY:
        printf(" %d", value->tiny);
        break;
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_YEAR:
        printf(" %d", value->small);
        break;
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_INT24:
        printf(" %d", value->integer);
        break;
    case MYSQL_TYPE_LONGLONG:
        printf(" %lld", (long long)value->big);
        break;
    case MYSQL_TYPE_FLOAT:
        printf(" %.9g", (double)value->real);
        break;
    case MYSQL_TYPE_DOUBLE:
        printf(" %.17g", value->precise);
        break;
    default:
        printf(" %u-%u-%u %s%u:%u:%u.%lu", time->year, time->month, time->day, time->neg ? "-" : "",
               time->hour, time->minute, time->second, time->second_part);
        break;
    }
}

static bool has_native(enum enum_field_types type)
{
    return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_YEAR ||
           type == MYSQL_TYPE_LONG || type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONGLONG ||
           type == MYSQL_TYPE_FLOAT || type == MYSQL_TYPE_DOUBLE || type == MYSQL_TYPE_DATE ||
           type == MYSQL_TYPE_TIME || type == MYSQL_TYPE_DATETIME || type == MYSQL_TYPE_TIMESTAMP;
}

/* Each column of the result that has a form of its own in C, fetched in it. */
static void fetch_native(MYSQL_STMT *statement)
{
    MYSQL_BIND binds[COLUMN_MAX];
    union native values[COLUMN_MAX];
    library_bool nulls[COLUMN_MAX];
    memset(binds, 0, sizeof(binds));
    memset(values, 0, sizeof(values));
    MYSQL_RES *result = mysql_stmt_result_metadata(statement);
    unsigned int count = mysql_stmt_field_count(statement);
    if (result == NULL || count > COLUMN_MAX)
        stop("no result, or too many columns");
    for (unsigned int i = 0; i < count; i++) {
        enum enum_field_types type = mysql_fetch_field_direct(result, i)->type;
        binds[i].buffer_type = has_native(type) ? type : MYSQL_TYPE_NULL;
        binds[i].buffer = &values[i];
        binds[i].buffer_length = sizeof(values[i]);
        binds[i].is_null = &nulls[i];
    }
    check_statement(statement, mysql_stmt_execute(statement));
    check_statement(statement, mysql_stmt_bind_result(statement, binds));
    int fetched;
    while ((fetched = mysql_stmt_fetch(statement)) == 0 || fetched == MYSQL_DATA_TRUNCATED) {
        printf("native");
        for (unsigned int i = 0; i < count; i++)
            if (nulls[i] || binds[i].buffer_type == MYSQL_TYPE_NULL)
                printf(" -");
            else
                print_native(binds[i].buffer_type, &values[i]);
        putchar('\n');
    }
    mysql_free_result(result);
    mysql_stmt_free_result(statement);
}

/* What comes back of one parameter, as value and as type. */
static void echo(MYSQL *mysql, MYSQL_BIND *bind)
{
    MYSQL_STMT *statement = prepare(mysql, "SELECT ?, HEX(?)");
    MYSQL_BIND twice[2] = {*bind, *bind};
    printf("parameter type %d unsigned %d\n", (int)bind->buffer_type, bind->is_unsigned);
    library_bool failed = mysql_stmt_bind_param(statement, twice);
    check_statement(statement, failed);
    if (failed == 0)
        execute(statement);
    mysql_stmt_close(statement);
}

static void echo_numbers(MYSQL *mysql)
{
    static const enum enum_field_types types[] = {MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT,
                                                  MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG};
    int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        for (size_t j = 0; j < sizeof(integers) / sizeof(integers[0]); j++)
            for (int sign = 0; sign < 2; sign++)
                echo(mysql, &(MYSQL_BIND){.buffer_type = types[i],
                                          .buffer = &integers[j],
                                          .is_unsigned = sign == 1});
    float reals[] = {1.5F, -3.4e38F, 1e-38F};
    double precise[] = {1.0 / 3.0, -1.7e308, 0.0};
    for (size_t i = 0; i < 3; i++) {
        echo(mysql, &(MYSQL_BIND){.buffer_type = MYSQL_TYPE_FLOAT, .buffer = &reals[i]});
        echo(mysql, &(MYSQL_BIND){.buffer_type = MYSQL_TYPE_DOUBLE, .buffer = &precise[i]});
    }
}

static void echo_times(MYSQL *mysql)
{
    static const enum enum_field_types types[] = {MYSQL_TYPE_DATE, MYSQL_TYPE_TIME,
                                                  MYSQL_TYPE_DATETIME, MYSQL_TYPE_TIMESTAMP};
    MYSQL_TIME times[] = {
        {0},
        {.year = 2024, .month = 2, .day = 29},
        {.year = 2024, .month = 2, .day = 29, .hour = 23, .minute = 59, .second = 58},
        {.year = 9999, .month = 12, .day = 31, .hour = 23, .second_part = 999999},
        {.hour = 838, .minute = 59, .second = 59, .neg = 1},
        {.day = 3, .hour = 4, .second_part = 1},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        for (size_t j = 0; j < sizeof(times) / sizeof(times[0]); j++) {
            times[j].time_type = types[i] == MYSQL_TYPE_DATE   ? MYSQL_TIMESTAMP_DATE
                                 : types[i] == MYSQL_TYPE_TIME ? MYSQL_TIMESTAMP_TIME
                                                               : MYSQL_TIMESTAMP_DATETIME;
            echo(mysql, &(MYSQL_BIND){.buffer_type = types[i], .buffer = &times[j]});
        }
}

static void echo_bytes(MYSQL *mysql)
{
    static const enum enum_field_types types[] = {
        MYSQL_TYPE_STRING,      MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_VARCHAR,   MYSQL_TYPE_DECIMAL,
        MYSQL_TYPE_NEWDECIMAL,  MYSQL_TYPE_ENUM,       MYSQL_TYPE_SET,       MYSQL_TYPE_BIT,
        MYSQL_TYPE_TINY_BLOB,   MYSQL_TYPE_BLOB,       MYSQL_TYPE_GEOMETRY,  MYSQL_TYPE_JSON,
        MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_LONG_BLOB,  MYSQL_TYPE_TIMESTAMP2};
    char digits[] = "-12345678901234567890.0123456789";
    unsigned long length = sizeof(digits) - 1;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        echo(mysql, &(MYSQL_BIND){.buffer_type = types[i],
                                  .buffer = digits,
                                  .buffer_length = length,
                                  .length = &length});
    library_bool null = 1;
    echo(mysql, &(MYSQL_BIND){.buffer_type = MYSQL_TYPE_NULL, .is_null = &null});
    echo(mysql, &(MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONG, .buffer = digits, .is_null = &null});
}

void types_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = prepare(mysql, "SELECT * FROM types ORDER BY id");
    fetch_native(statement);
    mysql_stmt_close(statement);
    echo_numbers(mysql);
    echo_times(mysql);
    echo_bytes(mysql);
}

static void bind_mixed(MYSQL_STMT *statement)
{
    static int64_t integer = INT64_MIN;
    static double real = 1.0 / 3.0;
    static char string[] = "it's \"quoted\" \\ \xe2\x82\xac";
    static char blob[256];
    static library_bool null = 1;
    static MYSQL_TIME moment = {.year = 2024,
                                .month = 2,
                                .day = 29,
                                .hour = 23,
                                .second_part = 999999,
                                .time_type = MYSQL_TIMESTAMP_DATETIME};
    static unsigned long string_length = sizeof(string) - 1;
    static unsigned long blob_length = sizeof(blob);
    for (unsigned int i = 0; i < sizeof(blob); i++)
        blob[i] = (char)i;
    MYSQL_BIND binds[] = {
        {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &integer},
        {.buffer_type = MYSQL_TYPE_DOUBLE, .buffer = &real},
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = string, .length = &string_length},
        {.buffer_type = MYSQL_TYPE_BLOB, .buffer = blob, .length = &blob_length},
        {.buffer_type = MYSQL_TYPE_NULL, .is_null = &null},
        {.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &moment},
    };
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
}

void parameters_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = prepare(mysql, "SELECT ?, ?, ?, ?, ?, ?");
    bind_mixed(statement);
    execute(statement);
    /* The second time the types are not sent again. */
    execute(statement);
    check_statement(statement, mysql_stmt_reset(statement));
    execute(statement);
    /* Bound anew they are. */
    bind_mixed(statement);
    execute(statement);
    mysql_stmt_close(statement);
    /* More than 255 parameters: the counts of the answer need two bytes. */
    char many[2 * MANY_PARAMETERS + sizeof("SELECT ?")] = "SELECT ?";
    size_t at = strlen(many);
    for (int i = 1; i < MANY_PARAMETERS; i++) {
        many[at++] = ',';
        many[at++] = '?';
    }
    statement = mysql_stmt_init(mysql);
    check_statement(statement, mysql_stmt_prepare(statement, many, at));
    printf("parameters %lu columns %u\n", mysql_stmt_param_count(statement),
           mysql_stmt_field_count(statement));
    mysql_stmt_close(statement);
}

void long_data_case(MYSQL *mysql)
{
    char *piece = must_allocate(LONG_DATA_PIECE);
    int32_t id = 7;
    MYSQL_BIND binds[] = {{.buffer_type = MYSQL_TYPE_LONG, .buffer = &id},
                          {.buffer_type = MYSQL_TYPE_STRING},
                          {.buffer_type = MYSQL_TYPE_BLOB}};
    MYSQL_STMT *statement = prepare(mysql, "INSERT INTO scratch (id, name, data) VALUES (?, ?, ?)");
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    /* The pieces of two parameters in turn. */
    for (unsigned int i = 0; i < LONG_DATA_PIECES; i++) {
        memset(piece, 'a' + (int)i, LONG_DATA_PIECE);
        check_statement(statement, mysql_stmt_send_long_data(statement, 2, piece, LONG_DATA_PIECE));
        check_statement(statement, mysql_stmt_send_long_data(statement, 1, piece, i));
    }
    execute(statement);
    /* Sent, then taken back. */
    check_statement(statement, mysql_stmt_send_long_data(statement, 2, piece, LONG_DATA_PIECE));
    check_statement(statement, mysql_stmt_reset(statement));
    id = 8;
    check_statement(statement, mysql_stmt_send_long_data(statement, 2, "x", 1));
    check_statement(statement, mysql_stmt_send_long_data(statement, 1, "y", 1));
    execute(statement);
    mysql_stmt_close(statement);
    run(mysql, "SELECT id, name, LENGTH(data), SHA2(data, 256) FROM scratch ORDER BY id");
    run(mysql, "DELETE FROM scratch");
    free(piece);
}

static void print_first(MYSQL_STMT *statement)
{
    struct cell cells[2] = {0};
    check_statement(statement, mysql_stmt_execute(statement));
    bind_cells(statement, cells, 2);
    check_statement(statement, mysql_stmt_fetch(statement));
    printf("first of many: %s\n", cells[0].bytes);
    free(cells[0].bytes);
    free(cells[1].bytes);
}

void cursor_case(MYSQL *mysql)
{
    unsigned long type = CURSOR_TYPE_READ_ONLY;
    unsigned long rows = 7;
    MYSQL_STMT *statement =
        prepare(mysql, "SELECT n, REPEAT('r', n) FROM numbers WHERE n <= 50 ORDER BY n");
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    mysql_stmt_attr_set(statement, STMT_ATTR_PREFETCH_ROWS, &rows);
    check_statement(statement, mysql_stmt_execute(statement));
    print_statement_result(statement);
    /* Again, closed in the middle: by a reset, and by the end of the statement. */
    print_first(statement);
    check_statement(statement, mysql_stmt_reset(statement));
    run(mysql, "SELECT 'between'");
    print_first(statement);
    mysql_stmt_close(statement);
    run(mysql, "SELECT 'still here'");
    /* What has no rows opens no cursor. */
    statement = prepare(mysql, "SELECT n FROM numbers WHERE n < 0");
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    execute(statement);
    mysql_stmt_close(statement);
    statement = prepare(mysql, "DO 1");
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    execute(statement);
    mysql_stmt_close(statement);
}
