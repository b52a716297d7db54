/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client that writes the protocol itself: for what the library cannot be made to do, above all
 * CLIENT_DEPRECATE_EOF, query attributes, optional metadata, pipelines, statement ids that are not
 * its own, and commands that do not exist.
 *
 * It reads just enough of an answer to know where it ends; the tap has the bytes. (MySQL source
 * documentation, "Command Phase"; MariaDB manual, "Result Set Packets", "COM_STMT_EXECUTE",
 * "COM_STMT_BULK_EXECUTE".)
 */
#include <stdio.h>
#include <string.h>

#include "tests/differential/client.h"

#define OK_HEADER               0x00
#define EOF_HEADER              0xFE
#define ERR_HEADER              0xFF
#define INFILE_HEADER           0xFB
#define AUTH_MORE               0x01
#define AUTH_FAST_OK            3
#define STATUS_MORE             0x0008
#define STATUS_CURSOR           0x0040
#define STATUS_OUT_PARAMS       0x1000
#define CHARSET_UTF8MB4         45
#define INFILE_PIECE            30000
#define EXECUTE_COUNT_AVAILABLE 8
#define BULK_SEND_TYPES         128
#define FIELD_LIST_WILD         "%"

static unsigned int first_byte(const struct text *packet)
{
    return packet->length > 0 ? (unsigned char)packet->data[0] : ERR_HEADER;
}

static void view_packet(struct client *client, const char *what)
{
    text_print(&client->view, "%s ", what);
    text_add_escaped(&client->view, client->wire.packet.data, client->wire.packet.length, 300);
    text_print(&client->view, "\n");
}

static bool read_packet(struct client *client)
{
    if (!client->gone && wire_read(&client->wire))
        return true;
    if (!client->gone)
        text_print(&client->view, wire_is_silent() ? "no answer\n" : "the connection ended\n");
    client->silent = client->silent || (!client->gone && wire_is_silent());
    client->gone = true;
    return false;
}

static void send_packet(struct client *client, struct text *payload, unsigned int sequence)
{
    /* A connection that is ending takes it or not: what counts is what can be read. */
    (void)wire_send(&client->wire, payload, sequence);
    text_free(payload);
}

/* ---- The login. ---- */

/* What a greeting holds: capabilities as edited by the tap, and the name of its plugin. */
static bool greeting_read(struct client *client, const char **plugin)
{
    const struct text *packet = &client->wire.packet;
    uint64_t lower, upper, extended, skipped;
    size_t at = 1;
    if (first_byte(packet) != 10)
        return false;
    at += strlen(packet->data + at) + 1;
    text_print(&client->view, "version %s\n", packet->data + 1);
    if (!wire_integer(packet, &at, 4, &skipped) || !wire_integer(packet, &at, 8, &skipped) ||
        !wire_integer(packet, &at, 1, &skipped) || !wire_integer(packet, &at, 2, &lower))
        return false;
    text_print(&client->view, "charset and status ");
    text_add_escaped(&client->view, packet->data + at, 3, 3);
    at += 3;
    if (!wire_integer(packet, &at, 2, &upper) || !wire_integer(packet, &at, 7, &skipped) ||
        !wire_integer(packet, &at, 4, &extended) || at + 13 >= packet->length)
        return false;
    *plugin = packet->data + at + 13;
    client->capabilities =
        (uint32_t)(lower | upper << 16) & client->sequence->capabilities & ~WIRE_CAPABILITIES_NEVER;
    client->extended = (uint32_t)extended & WIRE_EXTENDED_KNOWN;
    if (client->capabilities & WIRE_LONG_PASSWORD)
        client->extended = 0;
    text_print(&client->view, "\ncapabilities %08x %08x plugin %s\n", client->capabilities,
               client->extended, *plugin);
    return true;
}

/* ("Protocol::HandshakeResponse41"; the password is empty, so every plugin sends nothing.) */
static void login_send(struct client *client, const char *plugin)
{
    struct text login = {0};
    text_add_integer(&login, client->capabilities, 4);
    text_add_integer(&login, 1u << 30, 4);
    text_add_byte(&login, CHARSET_UTF8MB4);
    for (int i = 0; i < 19; i++)
        text_add_byte(&login, 0);
    text_add_integer(&login, client->extended, 4);
    text_add(&login, client->user, strlen(client->user) + 1);
    text_add_byte(&login, 0);
    text_add(&login, "differ", sizeof "differ");
    text_add(&login, plugin, strlen(plugin) + 1);
    send_packet(client, &login, client->wire.sequence + 1);
}

/* Follows an authentication exchange to its OK or ERR, which is left in the packet. */
static void login_finish(struct client *client)
{
    while (read_packet(client)) {
        unsigned int first = first_byte(&client->wire.packet);
        struct text empty = {0};
        if (first == OK_HEADER || first == ERR_HEADER) {
            view_packet(client, "login");
            client->gone = client->gone || first == ERR_HEADER;
            return;
        }
        /* More data that says "no password needed" asks for no answer. */
        if (first == AUTH_MORE && client->wire.packet.length == 2 &&
            client->wire.packet.data[1] == AUTH_FAST_OK)
            continue;
        send_packet(client, &empty, client->wire.sequence + 1);
    }
}

void raw_connect(struct client *client)
{
    const char *plugin;
    memset(client->slots, 0, sizeof client->slots);
    client->last_slot = -1;
    if (!wire_connect(&client->wire, client->host, client->port) || !read_packet(client)) {
        client->gone = true;
    } else if (!greeting_read(client, &plugin)) {
        view_packet(client, "no greeting");
        client->gone = true;
    } else {
        char name[64];
        strncpy(name, plugin, sizeof name - 1);
        name[sizeof name - 1] = '\0';
        login_send(client, name);
        login_finish(client);
    }
    text_clear(&client->tap.received);
}

void raw_close(struct client *client)
{
    struct text quit = {0};
    text_add_byte(&quit, COM_QUIT);
    if (!client->gone)
        send_packet(client, &quit, 0);
    text_free(&quit);
    wire_close(&client->wire);
}

/* ---- Commands. ---- */

static void add_time(struct text *out, const struct param *param)
{
    const MYSQL_TIME *time = &param->time;
    bool clock = time->hour > 0 || time->minute > 0 || time->second > 0 || time->second_part > 0;
    bool day = time->year > 0 || time->month > 0 || time->day > 0;
    bool whole = param->type == MYSQL_TYPE_TIME;
    unsigned int length = 0;
    if (clock || day)
        length = (whole ? 8u : clock ? 7u : 4u) + (time->second_part > 0 ? 4u : 0u);
    text_add_byte(out, length);
    if (length == 0)
        return;
    if (whole) {
        text_add_byte(out, time->neg ? 1 : 0);
        text_add_integer(out, time->day, 4);
    } else {
        text_add_integer(out, time->year, 2);
        text_add_byte(out, time->month);
        text_add_byte(out, time->day);
    }
    if (length > 4) {
        text_add_byte(out, time->hour);
        text_add_byte(out, time->minute);
        text_add_byte(out, time->second);
    }
    if (time->second_part > 0)
        text_add_integer(out, time->second_part, 4);
}

/* ("Binary Protocol Value".) */
static void add_value(struct text *out, const struct param *param)
{
    uint64_t bits;
    float single = (float)param->real;
    uint32_t single_bits;
    switch (param->type) {
    case MYSQL_TYPE_NULL:
        break;
    case MYSQL_TYPE_TINY:
        text_add_integer(out, (uint64_t)param->integer, 1);
        break;
    case MYSQL_TYPE_SHORT:
        text_add_integer(out, (uint64_t)param->integer, 2);
        break;
    case MYSQL_TYPE_LONG:
        text_add_integer(out, (uint64_t)param->integer, 4);
        break;
    case MYSQL_TYPE_LONGLONG:
        text_add_integer(out, (uint64_t)param->integer, 8);
        break;
    case MYSQL_TYPE_FLOAT:
        memcpy(&single_bits, &single, sizeof single_bits);
        text_add_integer(out, single_bits, 4);
        break;
    case MYSQL_TYPE_DOUBLE:
        memcpy(&bits, &param->real, sizeof bits);
        text_add_integer(out, bits, 8);
        break;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        add_time(out, param);
        break;
    default:
        text_add_lenenc_string(out, param->bytes.data, param->bytes.length);
    }
}

static void add_type(struct text *out, const struct param *param, bool long_data)
{
    text_add_byte(out, long_data ? MYSQL_TYPE_BLOB : param->type);
    text_add_byte(out, param->is_unsigned ? 0x80 : 0);
}

/* Whether no value is sent for parameter `i`: NULL, by its type too, or sent as long data. */
static bool is_null(const struct step *step, const struct step *typed, size_t i)
{
    const struct param *type = &typed->params[i % STEP_PARAMS];
    return step->params[i % STEP_PARAMS].null || type->type == MYSQL_TYPE_NULL;
}

static bool is_long(uint32_t long_data, size_t i)
{
    return i < 32 && long_data & 1u << i;
}

/*
 * The parameters of an execute, `attributes` those of query attributes behind them. `typed` is the
 * step itself, or an earlier one whose types the server still has: then its values are sent again,
 * with this step's NULLs.
 */
static void add_params(struct text *out, const struct step *step, const struct step *typed,
                       size_t count, size_t attributes, uint32_t long_data, bool names)
{
    size_t all = count + attributes;
    for (size_t i = 0; i < all; i += 8) {
        unsigned int bits = 0;
        for (size_t j = i; j < all && j < i + 8; j++)
            if (is_null(step, typed, j) && !is_long(long_data, j))
                bits |= 1u << (j - i);
        text_add_byte(out, bits);
    }
    text_add_byte(out, typed == step);
    for (size_t i = 0; i < all && typed == step; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "a%zu", i);
        add_type(out, &step->params[i % STEP_PARAMS], is_long(long_data, i));
        if (names)
            text_add_lenenc_string(out, name, i < count ? 0 : (size_t)length);
    }
    for (size_t i = 0; i < all; i++)
        if (!is_null(step, typed, i) && !is_long(long_data, i))
            add_value(out, &typed->params[i % STEP_PARAMS]);
}

static uint32_t statement_id(const struct raw_slot *slot, const struct step *step)
{
    if (step->unknown_id)
        return STEP_UNKNOWN_ID;
    return step->last_id ? UINT32_MAX : slot->id;
}

/* Whose statement a step is about: for id -1 the last one that was prepared. */
static struct raw_slot *step_slot(struct client *client, const struct step *step)
{
    static struct raw_slot nobody;
    if (step->unknown_id) {
        nobody = (struct raw_slot){.live = true};
        return &nobody;
    }
    if (step->last_id && client->last_slot >= 0)
        return &client->slots[client->last_slot];
    return &client->slots[step->slot];
}

/* Whether there is anything to send for a step: what has no statement, or no right, is left out. */
static bool is_taken(struct client *client, const struct step *step)
{
    if (step->kind == STEP_BULK && !(client->extended & WIRE_EXTENDED_BULK))
        return false;
    if (step->last_id && client->last_slot < 0)
        return false;
    /* Sallyport refuses a piece for a parameter that the statement does not have, in words of its
     * own; no library sends one. */
    if (step->kind == STEP_LONG_DATA && !step->unknown_id &&
        step->number >= step_slot(client, step)->parameters)
        return false;
    bool of_statement = step->kind == STEP_EXECUTE || step->kind == STEP_BULK ||
                        step->kind == STEP_FETCH || step->kind == STEP_LONG_DATA ||
                        step->kind == STEP_STMT_RESET || step->kind == STEP_STMT_CLOSE;
    return !of_statement || step_slot(client, step)->live;
}

/* ("COM_STMT_EXECUTE".) */
static void execute_send(struct client *client, const struct step *step)
{
    struct raw_slot *slot = step_slot(client, step);
    struct text command = {0};
    bool names = client->capabilities & WIRE_QUERY_ATTRIBUTES;
    size_t attributes = names ? step->attributes : 0;
    const struct step *typed = step;
    if (step->reuse_types && slot->last != NULL && attributes == 0 && slot->long_data == 0)
        typed = slot->last;
    text_add_byte(&command, COM_STMT_EXECUTE);
    text_add_integer(&command, statement_id(slot, step), 4);
    text_add_byte(&command,
                  (step_has_cursor(step, slot->prepare, client->sequence->flavour) ? 1u : 0u) |
                      (attributes > 0 ? (unsigned int)EXECUTE_COUNT_AVAILABLE : 0u));
    text_add_integer(&command, 1, 4);
    if (names && (slot->parameters > 0 || attributes > 0))
        text_add_lenenc(&command, slot->parameters + attributes);
    if (slot->parameters + attributes > 0)
        add_params(&command, step, typed, slot->parameters, attributes, slot->long_data, names);
    slot->last = attributes == 0 && slot->long_data == 0 && typed == step ? step : slot->last;
    if (attributes > 0 || slot->long_data != 0)
        slot->last = NULL;
    slot->long_data = 0;
    send_packet(client, &command, 0);
}

/* (MariaDB manual, "COM_STMT_BULK_EXECUTE".) */
static void bulk_send(struct client *client, const struct step *step)
{
    const struct raw_slot *slot = step_slot(client, step);
    struct text command = {0};
    text_add_byte(&command, COM_STMT_BULK_EXECUTE);
    text_add_integer(&command, statement_id(slot, step), 4);
    text_add_integer(&command, BULK_SEND_TYPES, 2);
    for (size_t i = 0; i < slot->parameters; i++)
        add_type(&command, &step->params[i % STEP_PARAMS], false);
    for (size_t row = 0; row < step->rows; row++) {
        for (size_t i = 0; i < slot->parameters; i++) {
            const struct param *param = &step->params[row * STEP_PARAMS + i % STEP_PARAMS];
            text_add_byte(&command, param->indicator);
            if (param->indicator == STMT_INDICATOR_NONE)
                add_value(&command, param);
        }
    }
    send_packet(client, &command, 0);
}

/* ("COM_QUERY", with the parameters that CLIENT_QUERY_ATTRIBUTES puts before the text.) */
static void query_send(struct client *client, const struct step *step)
{
    struct text command = {0};
    text_add_byte(&command, COM_QUERY);
    if (client->capabilities & WIRE_QUERY_ATTRIBUTES) {
        size_t attributes = step->param_count > 0 ? step->attributes : 0;
        text_add_lenenc(&command, attributes);
        text_add_lenenc(&command, 1);
        if (attributes > 0)
            add_params(&command, step, step, 0, attributes, 0, true);
    }
    if (step->kind == STEP_CHARSET)
        text_print(&command, "SET NAMES ");
    text_add(&command, step->text.data, step->text.length);
    send_packet(client, &command, 0);
}

static void statement_send(struct client *client, const struct step *step, unsigned int code)
{
    struct raw_slot *slot = step_slot(client, step);
    struct text command = {0};
    text_add_byte(&command, code);
    text_add_integer(&command, statement_id(slot, step), 4);
    if (step->kind == STEP_FETCH)
        text_add_integer(&command, step->number, 4);
    if (step->kind == STEP_LONG_DATA) {
        text_add_integer(&command, step->number, 2);
        text_add(&command, step->text.data, step->text.length);
        if (slot->live && step->number < slot->parameters)
            slot->long_data |= 1u << step->number;
    }
    if (step->kind == STEP_STMT_RESET)
        slot->long_data = 0;
    if (step->kind == STEP_STMT_CLOSE) {
        if (client->last_slot == (int)step->slot && !step->unknown_id)
            client->last_slot = -1;
        *slot = (struct raw_slot){0};
    }
    send_packet(client, &command, 0);
}

static void prepare_send(struct client *client, const struct step *step)
{
    struct step close = {.kind = STEP_STMT_CLOSE, .slot = step->slot};
    struct text command = {0};
    if (client->slots[step->slot].live)
        statement_send(client, &close, COM_STMT_CLOSE);
    client->last_slot = -1;
    text_add_byte(&command, COM_STMT_PREPARE);
    text_add(&command, step->text.data, step->text.length);
    send_packet(client, &command, 0);
}

/* ("COM_CHANGE_USER"; the answer to any plugin is nothing.) */
static void change_user_send(struct client *client, const struct step *step)
{
    static const char *const schemas[] = {"differ", "", "shop"};
    static const char plugin[] = "caching_sha2_password";
    static const char native[] = "mysql_native_password";
    struct text command = {0};
    text_add_byte(&command, COM_CHANGE_USER);
    text_add(&command, client->user, strlen(client->user) + 1);
    text_add_byte(&command, 0);
    text_add(&command, schemas[step->number % 3], strlen(schemas[step->number % 3]) + 1);
    text_add_integer(&command, CHARSET_UTF8MB4, 2);
    if (client->sequence->flavour == FLAVOUR_MYSQL)
        text_add(&command, plugin, sizeof plugin);
    else
        text_add(&command, native, sizeof native);
    send_packet(client, &command, 0);
}

static void plain_send(struct client *client, const struct step *step, unsigned int code)
{
    struct text command = {0};
    text_add_byte(&command, code);
    text_add(&command, step->text.data, step->text.length);
    if (step->kind == STEP_SET_OPTION)
        text_add_integer(&command, step->number, 2);
    if (step->kind == STEP_FIELD_LIST)
        text_add(&command, "\0" FIELD_LIST_WILD, sizeof FIELD_LIST_WILD);
    send_packet(client, &command, 0);
}

void raw_send(struct client *client, const struct step *step)
{
    static const unsigned int codes[] = {
        [STEP_FETCH] = COM_STMT_FETCH,      [STEP_LONG_DATA] = COM_STMT_SEND_LONG_DATA,
        [STEP_STMT_RESET] = COM_STMT_RESET, [STEP_STMT_CLOSE] = COM_STMT_CLOSE,
        [STEP_INIT_DB] = COM_INIT_DB,       [STEP_PING] = COM_PING,
        [STEP_STATISTICS] = COM_STATISTICS, [STEP_SET_OPTION] = COM_SET_OPTION,
        [STEP_FIELD_LIST] = COM_FIELD_LIST, [STEP_RESET_CONNECTION] = COM_RESET_CONNECTION,
    };
    if (client->gone || !is_taken(client, step))
        return;
    switch (step->kind) {
    case STEP_QUERY:
    case STEP_CHARSET:
        query_send(client, step);
        break;
    case STEP_PREPARE:
        prepare_send(client, step);
        break;
    case STEP_EXECUTE:
        execute_send(client, step);
        break;
    case STEP_BULK:
        bulk_send(client, step);
        break;
    case STEP_FETCH:
    case STEP_LONG_DATA:
    case STEP_STMT_RESET:
    case STEP_STMT_CLOSE:
        statement_send(client, step, codes[step->kind]);
        break;
    case STEP_CHANGE_USER:
        change_user_send(client, step);
        break;
    case STEP_RAW:
        plain_send(client, step, step->number);
        break;
    default:
        plain_send(client, step, codes[step->kind]);
    }
}

/* ---- Answers. ---- */

static bool is_eof(const struct client *client)
{
    const struct text *packet = &client->wire.packet;
    size_t most = client->capabilities & WIRE_DEPRECATE_EOF ? WIRE_FRAME_MAX : 9;
    return first_byte(packet) == EOF_HEADER && packet->length > 0 && packet->length < most;
}

/* The status flags of the OK or EOF in the packet; 0 for an ERR. */
static unsigned int end_status(const struct client *client)
{
    const struct text *packet = &client->wire.packet;
    uint64_t status = 0, skipped;
    size_t at = 1;
    if (packet->length == 0 || first_byte(packet) == ERR_HEADER)
        return 0;
    if (packet->length == 5 && first_byte(packet) == EOF_HEADER)
        at = 3;
    else if (!wire_lenenc(packet, &at, &skipped) || !wire_lenenc(packet, &at, &skipped))
        return 0;
    return wire_integer(packet, &at, 2, &status) ? (unsigned int)status : 0;
}

/* Reads `count` definitions and the EOF behind them, where there is one. False at the end. */
static bool read_definitions(struct client *client, uint64_t count)
{
    if (count == 0)
        return true;
    for (uint64_t i = 0; i < count; i++)
        if (!read_packet(client))
            return false;
    return client->capabilities & WIRE_DEPRECATE_EOF || read_packet(client);
}

/* Reads rows to the packet that ends them, which is left in place. */
static bool read_rows(struct client *client)
{
    while (read_packet(client))
        if (is_eof(client) || first_byte(&client->wire.packet) == ERR_HEADER)
            return true;
    return false;
}

/* Sends what the server asks for: pieces, then an empty packet. */
static void answer_infile(struct client *client)
{
    struct text content = {0};
    const struct text *asked = &client->wire.packet;
    unsigned int sequence = client->wire.sequence;
    infile_content(asked->data + 1, asked->length - 1, &content);
    for (size_t at = 0; at < content.length; at += INFILE_PIECE) {
        struct text piece = {0};
        size_t left = content.length - at;
        text_add(&piece, content.data + at, left < INFILE_PIECE ? left : INFILE_PIECE);
        send_packet(client, &piece, ++sequence);
    }
    struct text empty = {0};
    send_packet(client, &empty, ++sequence);
    text_free(&content);
}

/*
 * The header of a result set: how many columns, and whether their definitions follow. (The manual
 * of MySQL has the second byte first; the server has it second, as MariaDB does.)
 */
static bool result_header(const struct client *client, uint64_t *columns, bool *defined)
{
    const struct text *packet = &client->wire.packet;
    bool flagged = client->capabilities & WIRE_OPTIONAL_METADATA ||
                   client->extended & WIRE_EXTENDED_CACHE_METADATA;
    size_t at = 0;
    uint64_t follows = 1;
    if (!wire_lenenc(packet, &at, columns) || (flagged && !wire_integer(packet, &at, 1, &follows)))
        return false;
    *defined = follows != 0;
    return true;
}

/*
 * One result set; the packet that ended it is left in place. `more`: another result follows,
 * whatever the end says. MySQL 9.7 says so of OUT parameters only behind the definitions, in an
 * EOF.
 */
static bool read_result_set(struct client *client, bool binary, bool cursor, bool *more)
{
    uint64_t columns;
    bool defined;
    if (!result_header(client, &columns, &defined)) {
        view_packet(client, "not a result set:");
        client->gone = true;
        return false;
    }
    if (!read_definitions(client, defined ? columns : 0))
        return false;
    /* Without definitions the EOF behind them is there all the same. */
    bool old_eof = !(client->capabilities & WIRE_DEPRECATE_EOF);
    if (!defined && old_eof && !read_packet(client))
        return false;
    /* An error in the place of that EOF: a value that cannot be made. */
    if (old_eof && first_byte(&client->wire.packet) == ERR_HEADER)
        return true;
    unsigned int status = binary && old_eof ? end_status(client) : 0;
    *more = status & STATUS_OUT_PARAMS && status & STATUS_MORE;
    /* A procedure's own cursor shows in the status too: its rows follow at once. */
    if (cursor && status & STATUS_CURSOR && !(status & STATUS_MORE))
        return true;
    return read_rows(client);
}

/* An OK, an ERR or a result set, and all that follow it. */
static void read_results(struct client *client, bool binary, bool cursor)
{
    bool more;
    do {
        more = false;
        if (!read_packet(client))
            return;
        unsigned int first = first_byte(&client->wire.packet);
        if (first == ERR_HEADER)
            return;
        if (first == INFILE_HEADER) {
            answer_infile(client);
            if (!read_packet(client))
                return;
        } else if (first != OK_HEADER && first != EOF_HEADER) {
            if (!read_result_set(client, binary, cursor, &more))
                return;
        }
    } while (more || end_status(client) & STATUS_MORE);
}

static void read_prepared(struct client *client, const struct step *step)
{
    struct raw_slot *slot = &client->slots[step->slot];
    uint64_t id, columns, parameters;
    size_t at = 1;
    *slot = (struct raw_slot){0};
    if (!read_packet(client) || first_byte(&client->wire.packet) != OK_HEADER)
        return;
    if (!wire_integer(&client->wire.packet, &at, 4, &id) ||
        !wire_integer(&client->wire.packet, &at, 2, &columns) ||
        !wire_integer(&client->wire.packet, &at, 2, &parameters))
        return;
    /* Filler, warnings, and the byte that says whether definitions follow. */
    uint64_t skipped, follows = 1;
    if (client->capabilities & WIRE_OPTIONAL_METADATA &&
        wire_integer(&client->wire.packet, &at, 3, &skipped) &&
        !wire_integer(&client->wire.packet, &at, 1, &follows))
        follows = 1;
    *slot = (struct raw_slot){
        .live = true, .prepare = step, .id = (uint32_t)id, .parameters = (unsigned int)parameters};
    if (follows != 0) {
        if (read_definitions(client, parameters))
            (void)read_definitions(client, columns);
        return;
    }
    /* The EOFs behind definitions that were left out are there all the same. */
    bool old_eof = !(client->capabilities & WIRE_DEPRECATE_EOF);
    if (old_eof && parameters > 0 && !read_packet(client))
        return;
    if (old_eof && columns > 0)
        (void)read_packet(client);
}

static void read_change_user(struct client *client)
{
    memset(client->slots, 0, sizeof client->slots);
    client->last_slot = -1;
    login_finish(client);
    text_clear(&client->tap.received);
}

static void read_statistics(struct client *client)
{
    if (!read_packet(client))
        return;
    client->wire.packet.length = client->wire.packet.length < 6 ? client->wire.packet.length : 6;
    view_packet(client, "statistics");
    text_clear(&client->tap.received);
}

/*
 * An unknown id is refused by Sallyport, so that the server's session does not have the error among
 * its diagnostics: a statement in between makes the two equal again.
 */
static void forget_error(struct client *client)
{
    static const char text[] = "SIGNAL SQLSTATE '01000'";
    struct step statement = {.kind = STEP_QUERY};
    text_add(&statement.text, text, sizeof text - 1);
    query_send(client, &statement);
    read_results(client, false, false);
    text_free(&statement.text);
}

static void receive_answer(struct client *client, const struct step *step)
{
    switch (step->kind) {
    case STEP_STMT_CLOSE:
    case STEP_LONG_DATA:
        break;
    case STEP_QUERY:
    case STEP_CHARSET:
        read_results(client, false, false);
        break;
    case STEP_EXECUTE:
    case STEP_BULK:
        read_results(
            client, true,
            step_has_cursor(step, step_slot(client, step)->prepare, client->sequence->flavour));
        break;
    case STEP_FETCH:
    case STEP_FIELD_LIST:
        (void)read_rows(client);
        break;
    case STEP_PREPARE:
        read_prepared(client, step);
        break;
    case STEP_STATISTICS:
        read_statistics(client);
        break;
    case STEP_CHANGE_USER:
        read_change_user(client);
        break;
    case STEP_RESET_CONNECTION:
        memset(client->slots, 0, sizeof client->slots);
        client->last_slot = -1;
        (void)read_packet(client);
        break;
    default:
        (void)read_packet(client);
    }
}

void raw_receive(struct client *client, const struct step *step)
{
    /* What raw_send() left out has no answer. A closed statement's slot is empty by now. */
    if (client->gone || (step->kind != STEP_STMT_CLOSE && !is_taken(client, step)))
        return;
    receive_answer(client, step);
    if (step->unknown_id && !client->gone)
        forget_error(client);
}
