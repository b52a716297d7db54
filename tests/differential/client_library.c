/* SPDX-License-Identifier: Apache-2.0 */
/* The client that is libmariadb: what applications link. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/differential/client.h"

#define STATEMENT_CELL 256

struct infile {
    struct text content;
    size_t at;
};

/* Plans of equal servers differ by chance: compare.c says why. */
static unsigned plan_free_status(const struct client *client)
{
    return client->mysql->server_status & ~(unsigned)WIRE_PLAN_FLAGS;
}

static int infile_start(void **out, const char *name, void *unused)
{
    (void)unused;
    struct infile *file = must_allocate(sizeof *file);
    *out = file;
    infile_content(name, strlen(name), &file->content);
    return 0;
}

static int infile_read(void *handle, char *buffer, unsigned int length)
{
    struct infile *file = handle;
    size_t take = file->content.length - file->at;
    if (take > length)
        take = length;
    if (take > 0)
        memcpy(buffer, file->content.data + file->at, take);
    file->at += take;
    return (int)take;
}

static void infile_end(void *handle)
{
    struct infile *file = handle;
    if (file == NULL)
        return;
    text_free(&file->content);
    free(file);
}

static int infile_error(void *handle, char *message, unsigned int length)
{
    (void)handle;
    if (length > 0)
        message[0] = '\0';
    return 2;
}

static void view_error(struct client *client)
{
    unsigned int code = mysql_errno(client->mysql);
    text_print(&client->view, "error %u %s ", code, mysql_sqlstate(client->mysql));
    text_add_escaped(&client->view, mysql_error(client->mysql), strlen(mysql_error(client->mysql)),
                     MYSQL_ERRMSG_SIZE);
    text_print(&client->view, "\n");
    /* The library's own codes of a connection that is no more: "gone away" and "lost". */
    if (code == 2006 || code == 2013)
        client->gone = true;
}

static void view_tracked(struct client *client)
{
    for (int type = SESSION_TRACK_BEGIN; type <= SESSION_TRACK_END; type++) {
        const char *data;
        size_t length;
        enum enum_session_state_type state = (enum enum_session_state_type)type;
        int none = mysql_session_track_get_first(client->mysql, state, &data, &length);
        while (none == 0) {
            text_print(&client->view, "tracked %d ", type);
            text_add_escaped(&client->view, data, length, CLIENT_ROW_SHOWN);
            text_print(&client->view, "\n");
            none = mysql_session_track_get_next(client->mysql, state, &data, &length);
        }
    }
}

static void view_ok(struct client *client)
{
    const char *info = mysql_info(client->mysql);
    text_print(&client->view, "ok affected %llu id %llu warnings %u status %04x info %s\n",
               (unsigned long long)mysql_affected_rows(client->mysql),
               (unsigned long long)mysql_insert_id(client->mysql),
               mysql_warning_count(client->mysql), plan_free_status(client),
               info == NULL ? "-" : info);
    view_tracked(client);
}

static void view_fields(struct client *client, MYSQL_FIELD *fields, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        const MYSQL_FIELD *field = &fields[i];
        text_print(&client->view, "field %.64s.%.64s.%.64s.%.64s ", field->db, field->org_table,
                   field->table, field->org_name);
        text_add_escaped(&client->view, field->name, field->name_length, CLIENT_ROW_SHOWN);
        text_print(&client->view, " type %d charset %u flags %u length %lu decimals %u\n",
                   (int)field->type, field->charsetnr, field->flags, field->length,
                   field->decimals);
    }
}

static void view_row(struct client *client, MYSQL_ROW row, const unsigned long *lengths,
                     unsigned int count)
{
    text_print(&client->view, "row");
    for (unsigned int i = 0; i < count; i++) {
        if (row[i] == NULL) {
            text_print(&client->view, " NULL");
            continue;
        }
        text_print(&client->view, " '");
        text_add_escaped(&client->view, row[i], lengths[i], CLIENT_ROW_SHOWN);
        text_print(&client->view, "'");
    }
    text_print(&client->view, "\n");
}

static void view_rows(struct client *client, MYSQL_RES *result)
{
    MYSQL_ROW row;
    view_fields(client, result->fields, result->field_count);
    while ((row = mysql_fetch_row(result)) != NULL)
        view_row(client, row, mysql_fetch_lengths(result), result->field_count);
    if (mysql_errno(client->mysql) != 0)
        view_error(client);
    text_print(&client->view, "end warnings %u status %04x\n", mysql_warning_count(client->mysql),
               plan_free_status(client));
}

/* One result of a query: rows, an OK, or an error. */
static void view_result(struct client *client, int failed)
{
    MYSQL_RES *result = failed == 0 ? mysql_use_result(client->mysql) : NULL;
    if (result != NULL) {
        view_rows(client, result);
        mysql_free_result(result);
    } else if (mysql_errno(client->mysql) != 0) {
        view_error(client);
    } else {
        view_ok(client);
    }
}

static void take_query(struct client *client, const char *text, size_t length)
{
    view_result(client, mysql_real_query(client->mysql, text, (unsigned long)length));
    while (!client->gone && mysql_more_results(client->mysql))
        view_result(client, mysql_next_result(client->mysql));
}

static void view_statement_error(struct client *client, MYSQL_STMT *statement)
{
    unsigned int code = mysql_stmt_errno(statement);
    text_print(&client->view, "statement error %u %s ", code, mysql_stmt_sqlstate(statement));
    text_add_escaped(&client->view, mysql_stmt_error(statement),
                     strlen(mysql_stmt_error(statement)), MYSQL_ERRMSG_SIZE);
    text_print(&client->view, "\n");
    if (code == 2006 || code == 2013)
        client->gone = true;
}

static void take_close(struct client *client, unsigned int slot)
{
    if (client->statements[slot] != NULL && mysql_stmt_close(client->statements[slot]) != 0)
        text_print(&client->view, "close failed\n");
    client->statements[slot] = NULL;
    client->long_data[slot] = false;
    client->prepares[slot] = NULL;
}

/* NULL where there is none, or its session was reset: the library does not check that everywhere.
 */
static MYSQL_STMT *live_statement(struct client *client, unsigned int slot)
{
    if (client->statements[slot] != NULL && client->statements[slot]->mysql == NULL)
        take_close(client, slot);
    return client->statements[slot];
}

static void take_prepare(struct client *client, const struct step *step)
{
    take_close(client, step->slot);
    MYSQL_STMT *statement = mysql_stmt_init(client->mysql);
    if (statement == NULL)
        die("mysql_stmt_init failed");
    if (mysql_stmt_prepare(statement, step->text.data, step->text.length) != 0) {
        view_statement_error(client, statement);
        mysql_stmt_close(statement);
        return;
    }
    client->statements[step->slot] = statement;
    client->prepares[step->slot] = step;
    text_print(&client->view, "prepared %lu parameters %u columns\n",
               mysql_stmt_param_count(statement), mysql_stmt_field_count(statement));
    view_fields(client, statement->fields, statement->field_count);
}

static void bind_integer(MYSQL_BIND *bind, const struct param *param)
{
    /* A type's low bytes stand first: the machines that run this are little endian. */
    bind->buffer = (void *)(uintptr_t)&param->integer;
    bind->is_unsigned = (my_bool)param->is_unsigned;
}

static void bind_param(MYSQL_BIND *bind, const struct param *param, float *single)
{
    bind->buffer_type = param->null ? MYSQL_TYPE_NULL : param->type;
    switch (bind->buffer_type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        bind_integer(bind, param);
        break;
    case MYSQL_TYPE_FLOAT:
        *single = (float)param->real;
        bind->buffer = single;
        break;
    case MYSQL_TYPE_DOUBLE:
        bind->buffer = (void *)(uintptr_t)&param->real;
        break;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        bind->buffer = (void *)(uintptr_t)&param->time;
        break;
    case MYSQL_TYPE_NULL:
        break;
    default:
        bind->buffer = param->bytes.data != NULL ? param->bytes.data : (char *)(uintptr_t) "";
        bind->buffer_length = param->bytes.length;
    }
}

/* Gives the statement as many values as it asks for; false where it has none to give. */
static bool bind_step(struct client *client, MYSQL_STMT *statement, const struct step *step)
{
    static MYSQL_BIND binds[65536];
    static float singles[STEP_PARAMS];
    unsigned long count = mysql_stmt_param_count(statement);
    memset(binds, 0, count * sizeof binds[0]);
    for (unsigned long i = 0; i < count && step->param_count > 0; i++)
        bind_param(&binds[i], &step->params[i % step->param_count],
                   &singles[i % step->param_count % STEP_PARAMS]);
    if (count == 0 || mysql_stmt_bind_param(statement, binds) == 0)
        return true;
    view_statement_error(client, statement);
    return false;
}

struct cells {
    MYSQL_BIND *binds;
    char (*bytes)[STATEMENT_CELL];
    my_bool *nulls;
    unsigned long *lengths;
    unsigned int count;
};

static bool cells_bind(struct cells *cells, MYSQL_STMT *statement)
{
    unsigned int count = mysql_stmt_field_count(statement);
    *cells = (struct cells){
        .binds = must_allocate(count * sizeof *cells->binds),
        .bytes = must_allocate(count * sizeof *cells->bytes),
        .nulls = must_allocate(count * sizeof *cells->nulls),
        .lengths = must_allocate(count * sizeof *cells->lengths),
        .count = count,
    };
    for (unsigned int i = 0; i < count; i++)
        cells->binds[i] = (MYSQL_BIND){
            .buffer_type = MYSQL_TYPE_STRING,
            .buffer = cells->bytes[i],
            .buffer_length = STATEMENT_CELL,
            .is_null = &cells->nulls[i],
            .length = &cells->lengths[i],
        };
    return mysql_stmt_bind_result(statement, cells->binds) == 0;
}

static void cells_free(struct cells *cells)
{
    free(cells->binds);
    free(cells->bytes);
    free(cells->nulls);
    free(cells->lengths);
}

/* Fetches up to `most` rows, and shows the beginning of each value as text. */
static void view_statement_rows(struct client *client, MYSQL_STMT *statement, unsigned int most)
{
    struct cells cells;
    if (!cells_bind(&cells, statement)) {
        view_statement_error(client, statement);
        most = 0;
    }
    for (unsigned int row = 0; row < most; row++) {
        int state = mysql_stmt_fetch(statement);
        if (state == MYSQL_NO_DATA)
            break;
        if (state == 1) {
            view_statement_error(client, statement);
            break;
        }
        text_print(&client->view, "row");
        for (unsigned int i = 0; i < cells.count; i++) {
            size_t length = cells.lengths[i];
            text_print(&client->view, cells.nulls[i] ? " NULL" : " %zu:", length);
            if (!cells.nulls[i])
                text_add_escaped(&client->view, cells.bytes[i],
                                 length < STATEMENT_CELL ? length : STATEMENT_CELL, STATEMENT_CELL);
        }
        text_print(&client->view, "\n");
    }
    cells_free(&cells);
}

static void view_statement_result(struct client *client, MYSQL_STMT *statement, bool cursor)
{
    text_print(&client->view, "affected %llu id %llu warnings %u status %04x\n",
               (unsigned long long)mysql_stmt_affected_rows(statement),
               (unsigned long long)mysql_stmt_insert_id(statement),
               mysql_warning_count(client->mysql), plan_free_status(client));
    view_tracked(client);
    if (mysql_stmt_field_count(statement) == 0)
        return;
    view_fields(client, statement->fields, statement->field_count);
    /* A cursor's rows are for the steps that fetch. */
    if (cursor && statement->cursor_exists)
        return;
    if (mysql_stmt_store_result(statement) != 0)
        view_statement_error(client, statement);
    else
        view_statement_rows(client, statement, UINT32_MAX);
}

static void take_execute(struct client *client, const struct step *step)
{
    MYSQL_STMT *statement = live_statement(client, step->slot);
    /* The library loses step where it asks for a cursor and the server opens none. */
    const struct step *prepared = client->prepares[step->slot];
    bool wanted = step_has_cursor(step, prepared, client->sequence->flavour) &&
                  strncmp(prepared->text.data, "SELECT", 6) == 0;
    unsigned long cursor = wanted ? CURSOR_TYPE_READ_ONLY : CURSOR_TYPE_NO_CURSOR;
    if (statement == NULL)
        return;
    unsigned int rows = 0;
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows);
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &cursor);
    bool bound = client->long_data[step->slot];
    client->long_data[step->slot] = false;
    if (!bound && !bind_step(client, statement, step))
        return;
    if (mysql_stmt_execute(statement) != 0) {
        view_statement_error(client, statement);
        return;
    }
    int next;
    do {
        view_statement_result(client, statement, wanted);
        if (!mysql_stmt_more_results(statement))
            return;
        next = mysql_stmt_next_result(statement);
        if (next > 0)
            view_statement_error(client, statement);
    } while (next == 0);
}

/* Values of one parameter for all rows, in the library's layout: arrays of values or of pointers.
 */
struct column {
    char indicators[STEP_BULK_ROWS];
    int64_t integers[STEP_BULK_ROWS];
    char *pointers[STEP_BULK_ROWS];
    unsigned long lengths[STEP_BULK_ROWS];
};

static void bulk_bind(MYSQL_BIND *bind, struct column *column, const struct step *step, size_t at)
{
    /* Integers and strings stand for all: the array layout of the others is the library's affair.
     */
    bool integers =
        step->params[at].type == MYSQL_TYPE_LONGLONG || step->params[at].type == MYSQL_TYPE_LONG ||
        step->params[at].type == MYSQL_TYPE_SHORT || step->params[at].type == MYSQL_TYPE_TINY;
    for (size_t row = 0; row < step->rows; row++) {
        const struct param *param = &step->params[row * STEP_PARAMS + at];
        column->indicators[row] = (char)param->indicator;
        column->integers[row] = param->integer;
        column->pointers[row] =
            param->bytes.data != NULL ? param->bytes.data : (char *)(uintptr_t) "";
        column->lengths[row] = param->bytes.length;
    }
    bind->buffer_type = integers ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_STRING;
    bind->buffer = integers ? (void *)column->integers : (void *)column->pointers;
    bind->length = column->lengths;
    bind->u.indicator = column->indicators;
}

/* (The library's own macro for this needs a structure that its headers do not have.) */
static bool has_bulk(struct client *client)
{
    unsigned long extended = 0;
    return mariadb_get_infov(client->mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES,
                             &extended) == 0 &&
           extended & WIRE_EXTENDED_BULK;
}

static void take_bulk(struct client *client, const struct step *step)
{
    MYSQL_STMT *statement = live_statement(client, step->slot);
    struct column columns[STEP_PARAMS] = {0};
    MYSQL_BIND binds[STEP_PARAMS] = {0};
    unsigned int rows = (unsigned int)step->rows;
    if (statement == NULL || !has_bulk(client))
        return;
    unsigned long count = mysql_stmt_param_count(statement);
    if (count == 0 || count > STEP_PARAMS)
        return;
    for (size_t i = 0; i < count; i++)
        bulk_bind(&binds[i], &columns[i], step, i);
    client->long_data[step->slot] = false;
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows);
    if (mysql_stmt_bind_param(statement, binds) != 0 || mysql_stmt_execute(statement) != 0)
        view_statement_error(client, statement);
    else
        view_statement_result(client, statement, false);
    /* The binds are this call's: the next step brings its own. */
    rows = 0;
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &rows);
}

/*
 * The library forgets that long data was sent when parameters are bound again, and would send a
 * value beside it: the next execute takes the values that are bound here.
 */
static void take_long_data(struct client *client, MYSQL_STMT *statement, const struct step *step)
{
    bool bound = client->long_data[step->slot];
    if (!bound && !bind_step(client, statement, step))
        return;
    client->long_data[step->slot] = true;
    if (mysql_stmt_send_long_data(statement, step->number, step->text.data, step->text.length) != 0)
        view_statement_error(client, statement);
}

static void take_statement(struct client *client, const struct step *step)
{
    MYSQL_STMT *statement = live_statement(client, step->slot);
    if (statement == NULL)
        return;
    if (step->kind == STEP_FETCH) {
        if (mysql_stmt_field_count(statement) > 0)
            view_statement_rows(client, statement, step->number);
    } else if (step->kind == STEP_STMT_RESET) {
        client->long_data[step->slot] = false;
        if (mysql_stmt_reset(statement) != 0)
            view_statement_error(client, statement);
    } else if (step->number < mysql_stmt_param_count(statement)) {
        take_long_data(client, statement, step);
    }
}

static void take_change_user(struct client *client, const struct step *step)
{
    static const char *const schemas[] = {"differ", NULL, "shop"};
    if (mysql_change_user(client->mysql, client->user, "", schemas[step->number % 3]) != 0)
        view_error(client);
    else
        view_ok(client);
    text_clear(&client->tap.received);
}

static void take_fields(struct client *client, const struct step *step)
{
    MYSQL_RES *fields = mysql_list_fields(client->mysql, step->text.data, "%");
    if (fields == NULL) {
        view_error(client);
        return;
    }
    view_fields(client, fields->fields, fields->field_count);
    mysql_free_result(fields);
}

static void take_statistics(struct client *client)
{
    const char *text = mysql_stat(client->mysql);
    if (text == NULL)
        view_error(client);
    else
        text_print(&client->view, "statistics %.6s\n", text);
    text_clear(&client->tap.received);
}

/* Commands that answer with success or an error alone. */
static void take_simple(struct client *client, const struct step *step)
{
    int failed = 0;
    if (step->kind == STEP_INIT_DB)
        failed = mysql_select_db(client->mysql, step->text.data);
    else if (step->kind == STEP_PING)
        failed = mysql_ping(client->mysql);
    else if (step->kind == STEP_SET_OPTION)
        failed = mysql_set_server_option(client->mysql, (enum enum_mysql_set_option)step->number);
    else if (step->kind == STEP_CHARSET)
        failed = mysql_set_character_set(client->mysql, step->text.data);
    else
        failed = mysql_reset_connection(client->mysql);
    if (failed != 0)
        view_error(client);
    else
        view_ok(client);
}

/* Whether the server has sent more than the library read: then its next answer is not the next. */
static bool has_unread(struct client *client)
{
    struct pollfd waiting = {.fd = mysql_get_socket(client->mysql), .events = POLLIN};
    return poll(&waiting, 1, 0) > 0;
}

void library_take(struct client *client, const struct step *step)
{
    if (has_unread(client)) {
        client->silent = true;
        return;
    }
    switch (step->kind) {
    case STEP_QUERY:
        take_query(client, step->text.data != NULL ? step->text.data : "", step->text.length);
        break;
    case STEP_PREPARE:
        take_prepare(client, step);
        break;
    case STEP_EXECUTE:
        take_execute(client, step);
        break;
    case STEP_BULK:
        take_bulk(client, step);
        break;
    case STEP_STMT_CLOSE:
        take_close(client, step->slot);
        break;
    case STEP_FETCH:
    case STEP_LONG_DATA:
    case STEP_STMT_RESET:
        take_statement(client, step);
        break;
    case STEP_STATISTICS:
        take_statistics(client);
        break;
    case STEP_FIELD_LIST:
        take_fields(client, step);
        break;
    case STEP_CHANGE_USER:
        take_change_user(client, step);
        break;
    case STEP_RAW:
        break;
    default:
        take_simple(client, step);
    }
    if (client->mysql->options.compress || client->sequence->compress)
        text_clear(&client->tap.received);
}

static unsigned long connect_flags(const struct sequence *sequence)
{
    static const unsigned long optional[] = {
        CLIENT_FOUND_ROWS, CLIENT_IGNORE_SPACE, CLIENT_INTERACTIVE,      CLIENT_LOCAL_FILES,
        CLIENT_ODBC,       CLIENT_NO_SCHEMA,    CLIENT_MULTI_STATEMENTS,
    };
    unsigned long flags = CLIENT_MULTI_RESULTS;
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
        flags |= sequence->capabilities & optional[i];
    return flags;
}

void library_connect(struct client *client)
{
    unsigned int timeout = WIRE_TIMEOUT_S;
    unsigned long largest = 128UL << 20;
    unsigned int local = client->sequence->capabilities & CLIENT_LOCAL_FILES ? 1 : 0;
    client->mysql = mysql_init(NULL);
    if (client->mysql == NULL ||
        mysql_options(client->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
        mysql_options(client->mysql, MYSQL_OPT_READ_TIMEOUT, &timeout) != 0 ||
        mysql_options(client->mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &largest) != 0 ||
        mysql_options(client->mysql, MYSQL_OPT_LOCAL_INFILE, &local) != 0)
        die("the library takes no options");
    if (client->sequence->compress && mysql_options(client->mysql, MYSQL_OPT_COMPRESS, NULL) != 0)
        die("the library does not compress");
    mysql_set_local_infile_handler(client->mysql, infile_start, infile_read, infile_end,
                                   infile_error, NULL);
    if (mysql_real_connect(client->mysql, client->host, client->user, "", "differ", client->port,
                           NULL, connect_flags(client->sequence)) == NULL) {
        view_error(client);
        client->gone = true;
    } else {
        text_print(&client->view, "version %s charset %s capabilities %lx\n",
                   mysql_get_server_info(client->mysql), mysql_character_set_name(client->mysql),
                   client->mysql->server_capabilities & ~(unsigned long)CLIENT_SSL);
        view_ok(client);
    }
    text_clear(&client->tap.received);
}

void library_close(struct client *client)
{
    for (unsigned int i = 0; i < STEP_SLOTS; i++)
        take_close(client, i);
    mysql_close(client->mysql);
    client->mysql = NULL;
}
