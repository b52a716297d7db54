/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases of the client tests for the MySQL C library. Usage: cases HOST PORT USER [CASE ...]
 *
 * Prints what the server answered, and nothing that differs between two runs (no times, no
 * connection ids), so that the output of a direct run and of one through Sallyport can be compared
 * byte for byte.
 */
#include <inttypes.h>
#include <mysql.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMN_MAX          40
#define CELL_BYTES          (128u * 1024u)
#define BIG_STATEMENT_BYTES (40u * 1000u * 1000u)
#define LONG_DATA_PIECE     300001u
#define LONG_DATA_PIECES    7u
#define BULK_ROWS           3

static const char *host;
static unsigned int port;
static const char *user;

static void stop(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *must_allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        stop("out of memory");
    return memory;
}

static MYSQL *connect_now(unsigned long flags)
{
    MYSQL *mysql = mysql_init(NULL);
    if (mysql == NULL)
        stop("mysql_init failed");
    if (mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0)
        stop("no utf8mb4");
    unsigned long largest = 128UL << 20;
    if (mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &largest) != 0)
        stop("no larger packets");
    if (mysql_real_connect(mysql, host, user, "", "shop", port, NULL, flags) == NULL)
        stop(mysql_error(mysql));
    return mysql;
}

/* FNV-1a, so that large values are compared without being printed. */
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

static void print_value(const char *bytes, unsigned long length)
{
    if (bytes == NULL) {
        printf(" NULL");
        return;
    }
    if (length > 60) {
        printf(" <%lu bytes %016" PRIx64 ">", length,
               hash_more(UINT64_C(14695981039346656037), bytes, length));
        return;
    }
    printf(" '");
    for (unsigned long i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte < 0x20 || byte > 0x7e)
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
    putchar('\'');
}

static void print_error(MYSQL *mysql)
{
    printf("error %u %s %s\n", mysql_errno(mysql), mysql_sqlstate(mysql), mysql_error(mysql));
}

static void print_fields(MYSQL_RES *result)
{
    for (unsigned int i = 0; i < mysql_num_fields(result); i++) {
        MYSQL_FIELD *field = mysql_fetch_field_direct(result, i);
        printf("field %s.%s.%s type %d charset %u flags %u length %lu decimals %u\n", field->db,
               field->table, field->name, (int)field->type, field->charsetnr, field->flags,
               field->length, field->decimals);
    }
}

static void print_rows(MYSQL *mysql, MYSQL_RES *result)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(result)) != NULL) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        printf("row");
        for (unsigned int i = 0; i < mysql_num_fields(result); i++)
            print_value(row[i], lengths[i]);
        putchar('\n');
    }
    if (mysql_errno(mysql) != 0)
        print_error(mysql);
}

/* Prints every result of what was just sent. */
static void print_results(MYSQL *mysql)
{
    int next = 0;
    do {
        MYSQL_RES *result = mysql_use_result(mysql);
        if (result != NULL) {
            print_fields(result);
            print_rows(mysql, result);
            mysql_free_result(result);
        } else if (mysql_errno(mysql) != 0) {
            print_error(mysql);
        } else {
            const char *info = mysql_info(mysql);
            printf("ok affected %llu insert id %llu warnings %u info %s\n",
                   (unsigned long long)mysql_affected_rows(mysql),
                   (unsigned long long)mysql_insert_id(mysql), mysql_warning_count(mysql),
                   info == NULL ? "-" : info);
        }
        next = mysql_next_result(mysql);
        if (next > 0)
            print_error(mysql);
    } while (next == 0);
}

static void run(MYSQL *mysql, const char *statement)
{
    if (mysql_query(mysql, statement) != 0)
        print_error(mysql);
    else
        print_results(mysql);
}

static void check_statement(MYSQL_STMT *statement, int failed)
{
    if (failed != 0)
        printf("statement error %u %s %s\n", mysql_stmt_errno(statement),
               mysql_stmt_sqlstate(statement), mysql_stmt_error(statement));
}

static MYSQL_STMT *prepare(MYSQL *mysql, const char *text)
{
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (statement == NULL)
        stop("mysql_stmt_init failed");
    check_statement(statement, mysql_stmt_prepare(statement, text, strlen(text)));
    return statement;
}

struct cell {
    char *bytes;
    unsigned long length;
    my_bool null;
};

/* Every column is fetched as a string: the library converts it from the binary form. */
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

static void print_statement_result(MYSQL_STMT *statement)
{
    struct cell cells[COLUMN_MAX] = {0};
    unsigned int count = mysql_stmt_field_count(statement);
    if (count > COLUMN_MAX)
        stop("too many columns");
    bind_cells(statement, cells, count);
    int fetched;
    while ((fetched = mysql_stmt_fetch(statement)) == 0) {
        printf("row");
        for (unsigned int i = 0; i < count; i++)
            print_value(cells[i].null ? NULL : cells[i].bytes, cells[i].length);
        putchar('\n');
    }
    if (fetched != MYSQL_NO_DATA)
        check_statement(statement, fetched);
    for (unsigned int i = 0; i < count; i++)
        free(cells[i].bytes);
    mysql_stmt_free_result(statement);
}

static void print_all_statement_results(MYSQL_STMT *statement)
{
    int next = 0;
    do {
        if (mysql_stmt_field_count(statement) > 0)
            print_statement_result(statement);
        else
            printf("ok affected %llu\n", (unsigned long long)mysql_stmt_affected_rows(statement));
        next = mysql_stmt_next_result(statement);
        if (next > 0)
            check_statement(statement, next);
    } while (next == 0);
}

static void text_case(MYSQL *mysql)
{
    run(mysql, "SELECT 1, NULL, 'text', '', 2.50");
    run(mysql, "SELECT * FROM types ORDER BY id");
    run(mysql, "SELECT * FROM types WHERE id = 0");
    run(mysql, "DO 1");
    run(mysql, "SELECT CAST('12x' AS SIGNED)");
    run(mysql, "SHOW WARNINGS");
}

static void prepared_case(MYSQL *mysql)
{
    MYSQL_STMT *statement = prepare(mysql, "SELECT * FROM types ORDER BY id");
    for (int i = 0; i < 2; i++) {
        check_statement(statement, mysql_stmt_execute(statement));
        print_statement_result(statement);
    }
    mysql_stmt_close(statement);
}

static void parameters_case(MYSQL *mysql)
{
    int64_t integer = INT64_MIN;
    double real = 1.0 / 3.0;
    char string[] = "it's \"quoted\" \xe2\x82\xac";
    char blob[256];
    my_bool null = 1;
    MYSQL_TIME moment = {.year = 2024, .month = 2, .day = 29, .hour = 23, .second_part = 999999};
    unsigned long string_length = sizeof(string) - 1;
    unsigned long blob_length = sizeof(blob);
    for (unsigned int i = 0; i < sizeof(blob); i++)
        blob[i] = (char)i;
    MYSQL_BIND binds[6] = {
        {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &integer},
        {.buffer_type = MYSQL_TYPE_DOUBLE, .buffer = &real},
        {.buffer_type = MYSQL_TYPE_STRING,
         .buffer = string,
         .buffer_length = string_length,
         .length = &string_length},
        {.buffer_type = MYSQL_TYPE_BLOB,
         .buffer = blob,
         .buffer_length = blob_length,
         .length = &blob_length},
        {.buffer_type = MYSQL_TYPE_NULL, .is_null = &null},
        {.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &moment},
    };
    MYSQL_STMT *statement = prepare(mysql, "SELECT ?, ?, ?, ?, ?, ?");
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    /* The second time the types are not sent again. */
    for (int i = 0; i < 2; i++) {
        check_statement(statement, mysql_stmt_execute(statement));
        print_statement_result(statement);
        integer = 42;
    }
    check_statement(statement, mysql_stmt_reset(statement));
    check_statement(statement, mysql_stmt_execute(statement));
    print_statement_result(statement);
    mysql_stmt_close(statement);
    statement = prepare(mysql, "SELECT nothing FROM nowhere");
    mysql_stmt_close(statement);
    /* More than 255 parameters: the counts of the answer need two bytes. */
    char many[2 * 300 + 16] = "SELECT ?";
    for (int i = 1; i < 300; i++)
        strcat(many, ",?");
    statement = prepare(mysql, many);
    printf("parameters %lu columns %u\n", mysql_stmt_param_count(statement),
           mysql_stmt_field_count(statement));
    mysql_stmt_close(statement);
}

static void blobs_case(MYSQL *mysql)
{
    char bytes[256];
    char text[2 * sizeof(bytes) + 1];
    char statement[sizeof(text) + 100];
    for (unsigned int i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    mysql_real_escape_string(mysql, text, bytes, sizeof(bytes));
    int length = snprintf(statement, sizeof(statement), "SELECT HEX(_binary'%s')", text);
    (void)length;
    /* The escaped text may hold no NUL byte, so it is a C string. */
    run(mysql, statement);
    run(mysql, "SELECT id, data FROM blobs ORDER BY id");
}

static void multi_case(MYSQL *mysql)
{
    run(mysql, "SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; "
               "SELECT 3");
    run(mysql, "SELECT 1; SELECT no_such_column; SELECT 3");
    run(mysql, "CALL two_results()");
    run(mysql, "CALL fails_midway()");
    run(mysql, "CALL add_one(41, @result); SELECT @result");
    MYSQL_STMT *statement = prepare(mysql, "CALL two_results()");
    check_statement(statement, mysql_stmt_execute(statement));
    print_all_statement_results(statement);
    mysql_stmt_close(statement);
}

static void errors_case(MYSQL *mysql)
{
    run(mysql, "SELECT");
    run(mysql, "SELECT * FROM no_such_table");
    run(mysql, "INSERT INTO items VALUES (1, 'again', 1)");
    run(mysql, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\xc3\xbcll'");
    run(mysql, "SELECT n, (SELECT n FROM numbers) FROM numbers");
    run(mysql, "SELECT 'still here'");
}

static void transactions_case(MYSQL *mysql)
{
    run(mysql, "DELETE FROM scratch");
    run(mysql, "START TRANSACTION");
    run(mysql, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
    run(mysql, "COMMIT");
    mysql_autocommit(mysql, 0);
    run(mysql, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
    printf("rollback %d\n", mysql_rollback(mysql));
    run(mysql, "SELECT id, name FROM scratch");
    mysql_autocommit(mysql, 1);
    run(mysql, "DELETE FROM scratch");
}

static void commands_case(MYSQL *mysql)
{
    printf("ping %d\n", mysql_ping(mysql));
    printf("statistics %d\n",
           mysql_stat(mysql) != NULL && strstr(mysql_stat(mysql), "Uptime") != NULL);
    printf("select_db %d\n", mysql_select_db(mysql, "shop"));
    printf("select_db %d\n", mysql_select_db(mysql, "no_such_schema"));
    print_error(mysql);
    printf("set option %d\n", mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF));
    run(mysql, "SELECT 1; SELECT 2");
    printf("set option %d\n", mysql_set_server_option(mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON));
    MYSQL_RES *fields = mysql_list_fields(mysql, "items", "%");
    if (fields == NULL) {
        print_error(mysql);
    } else {
        printf("fields of items %u\n", mysql_num_fields(fields));
        mysql_free_result(fields);
    }
    run(mysql, "SET @kept = 1");
    printf("reset %d\n", mysql_reset_connection(mysql));
    run(mysql, "SELECT @kept");
    printf("change user %d\n", mysql_change_user(mysql, user, "", "shop"));
    run(mysql, "SELECT DATABASE(), 'after the change'");
}

static void big_statement_case(MYSQL *mysql)
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

static void big_result(MYSQL *mysql, const char *statement)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    uint64_t bytes = 0;
    uint64_t rows = 0;
    MYSQL_ROW row;
    if (mysql_query(mysql, statement) != 0) {
        print_error(mysql);
        return;
    }
    MYSQL_RES *result = mysql_use_result(mysql);
    if (result == NULL)
        stop(mysql_error(mysql));
    while ((row = mysql_fetch_row(result)) != NULL) {
        unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned int i = 0; i < mysql_num_fields(result); i++) {
            hash = hash_more(hash, row[i], lengths[i]);
            bytes += lengths[i];
        }
        rows++;
    }
    if (mysql_errno(mysql) != 0)
        print_error(mysql);
    printf("%" PRIu64 " rows %" PRIu64 " bytes %016" PRIx64 "\n", rows, bytes, hash);
    mysql_free_result(result);
}

static void big_result_case(MYSQL *mysql)
{
    big_result(
        mysql,
        "SELECT a.n, b.n, REPEAT(CHAR(65 + (a.n + b.n) MOD 26), 240) FROM numbers a, numbers b"
        " WHERE a.n <= 200 ORDER BY a.n, b.n");
    /* Rows of more than 16 MiB take several packets; one of exactly a packet's size ends with an
     * empty one. */
    big_result(mysql, "SELECT REPEAT('x', 17000000) UNION ALL SELECT REPEAT('y', 16777211)"
                      " UNION ALL SELECT REPEAT('z', 34000000)");
}

struct killer {
    unsigned long victim;
};

static void *kill_when_running(void *argument)
{
    const struct killer *killer = argument;
    MYSQL *mysql = connect_now(0);
    char statement[128];
    snprintf(statement, sizeof(statement),
             "SELECT 1 FROM information_schema.processlist WHERE id = %lu AND info LIKE '%%to be "
             "killed%%'",
             killer->victim);
    bool running = false;
    for (int i = 0; i < 500 && !running; i++) {
        if (mysql_query(mysql, statement) != 0)
            stop(mysql_error(mysql));
        MYSQL_RES *result = mysql_store_result(mysql);
        running = result != NULL && mysql_num_rows(result) == 1;
        mysql_free_result(result);
        if (!running)
            usleep(20000);
    }
    snprintf(statement, sizeof(statement), "KILL QUERY %lu", killer->victim);
    if (mysql_query(mysql, statement) != 0)
        stop(mysql_error(mysql));
    mysql_close(mysql);
    return NULL;
}

static void kill_case(MYSQL *mysql)
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

static void long_data_case(MYSQL *mysql)
{
    char *piece = must_allocate(LONG_DATA_PIECE);
    MYSQL_BIND binds[2] = {{.buffer_type = MYSQL_TYPE_LONG}, {.buffer_type = MYSQL_TYPE_BLOB}};
    int32_t id = 7;
    binds[0].buffer = &id;
    MYSQL_STMT *statement = prepare(mysql, "INSERT INTO scratch (id, data) VALUES (?, ?)");
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    for (unsigned int i = 0; i < LONG_DATA_PIECES; i++) {
        memset(piece, 'a' + (int)i, LONG_DATA_PIECE);
        check_statement(statement, mysql_stmt_send_long_data(statement, 1, piece, LONG_DATA_PIECE));
    }
    check_statement(statement, mysql_stmt_execute(statement));
    mysql_stmt_close(statement);
    run(mysql, "SELECT id, LENGTH(data), SHA2(data, 256) FROM scratch");
    run(mysql, "DELETE FROM scratch");
    free(piece);
}

static void cursor_case(MYSQL *mysql)
{
    unsigned long type = CURSOR_TYPE_READ_ONLY;
    unsigned long rows = 7;
    MYSQL_STMT *statement =
        prepare(mysql, "SELECT n, REPEAT('r', n) FROM numbers WHERE n <= 50 ORDER BY n");
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    mysql_stmt_attr_set(statement, STMT_ATTR_PREFETCH_ROWS, &rows);
    check_statement(statement, mysql_stmt_execute(statement));
    print_statement_result(statement);
    /* Again, closed in the middle. */
    struct cell cells[2] = {0};
    check_statement(statement, mysql_stmt_execute(statement));
    bind_cells(statement, cells, 2);
    check_statement(statement, mysql_stmt_fetch(statement));
    printf("first of many: %s\n", cells[0].bytes);
    free(cells[0].bytes);
    free(cells[1].bytes);
    mysql_stmt_close(statement);
    run(mysql, "SELECT 'still here'");
}

static void bulk_case(MYSQL *mysql)
{
    int32_t ids[BULK_ROWS] = {11, 12, 13};
    char *names[BULK_ROWS] = {(char *)"eleven", (char *)"", (char *)"thirteen"};
    unsigned long lengths[BULK_ROWS] = {6, 0, 8};
    char indicators[BULK_ROWS] = {STMT_INDICATOR_NONE, STMT_INDICATOR_NULL, STMT_INDICATOR_NONE};
    unsigned int rows = BULK_ROWS;
    MYSQL_BIND binds[2] = {
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = ids},
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = names, .length = lengths},
    };
    binds[1].u.indicator = indicators;
    MYSQL_STMT *statement = prepare(mysql, "INSERT INTO scratch (id, name) VALUES (?, ?)");
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows);
    check_statement(statement, mysql_stmt_bind_param(statement, binds));
    check_statement(statement, mysql_stmt_execute(statement));
    mysql_stmt_close(statement);
    run(mysql, "SELECT id, name FROM scratch ORDER BY id");
    run(mysql, "DELETE FROM scratch");
}

static const struct {
    const char *name;
    void (*run)(MYSQL *mysql);
} cases[] = {
    {"text", text_case},
    {"prepared", prepared_case},
    {"parameters", parameters_case},
    {"blobs", blobs_case},
    {"multi", multi_case},
    {"errors", errors_case},
    {"transactions", transactions_case},
    {"commands", commands_case},
    {"big-statement", big_statement_case},
    {"big-result", big_result_case},
    {"kill", kill_case},
    {"long-data", long_data_case},
    {"cursor", cursor_case},
    {"bulk", bulk_case},
};

static bool chosen(const char *name, int count, char **names)
{
    if (count == 0)
        return true;
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        stop("usage: cases HOST PORT USER [CASE ...]");
    host = argv[1];
    port = (unsigned int)strtoul(argv[2], NULL, 10);
    user = argv[3];
    if (mysql_library_init(0, NULL, NULL) != 0)
        stop("mysql_library_init failed");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!chosen(cases[i].name, argc - 4, argv + 4))
            continue;
        printf("== %s\n", cases[i].name);
        MYSQL *mysql = connect_now(CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS);
        cases[i].run(mysql);
        mysql_close(mysql);
    }
    mysql_library_end();
    return 0;
}
