/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bound values from hostile clients: a byte of parameter count, then commands, each with a two-byte
 * length. What statement_values() accepts is seen whole, every view lies in its command, and long
 * data and types follow what statement_bind() was told.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"
#include "protocol/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

struct visit {
    struct byte_view payload;
    uint64_t values, rows;
};

static void visit_value(void *arg, const struct value *value)
{
    struct visit *visit = arg;
    const uint8_t *from = value->bytes.data;
    visit->values++;
    check(value->bytes.length <= value->full_length);
    check(memchr(value->text, '\0', sizeof value->text) != NULL);
    if (value->kind != VALUE_TEXT && value->kind != VALUE_BYTES)
        return;
    check(value->bytes.length == 0 ||
          (from >= visit->payload.data &&
           from + value->bytes.length <= visit->payload.data + visit->payload.length));
}

static void visit_row(void *arg, uint64_t index)
{
    struct visit *visit = arg;
    check(index == visit->rows++);
}

static void visit_attribute(void *arg, struct byte_view name, const struct value *value)
{
    struct visit *visit = arg;
    check(name.length == 0 ||
          (name.data >= visit->payload.data &&
           name.data + name.length <= visit->payload.data + visit->payload.length));
    visit_value(arg, value);
}

static void execute(struct statement *statement, struct byte_view payload, uint64_t full)
{
    struct visit visit = {.payload = payload}, others = {.payload = payload};
    const struct attribute_sink sink = {visit_attribute, &others};
    bool ok = statement_values(statement, payload, full, visit_value, &visit, NULL);
    check(visit.values == (ok ? statement->parameters : 0));
    /* Of what has no attributes nothing is looked at for them. */
    check(statement_attributes(statement, payload, full, &sink, NULL) || !ok);
    check(ok || others.values == 0);
    if (ok)
        check(statement_bind(statement, payload, NULL));
}

static void bulk_execute(struct statement *statement, struct byte_view payload, uint64_t full)
{
    struct visit visit = {.payload = payload};
    struct statement_rows rows = {.row = visit_row, .value = visit_value, .arg = &visit};
    uint64_t count;
    bool ok = statement_bulk_values(statement, payload, full, &rows, &count, NULL);
    check(ok ? visit.rows == count && visit.values == count * statement->parameters
             : visit.values == 0);
    if (ok)
        check(statement_bind(statement, payload, NULL));
}

/* A COM_QUERY with attributes: all of them and a text behind them, or nothing. */
static void query(struct byte_view payload)
{
    struct visit visit = {.payload = payload};
    const struct attribute_sink sink = {visit_attribute, &visit};
    struct byte_view text;
    bool ok = attributes_text(payload, &text, NULL);
    check(attributes_read(payload, &sink, NULL) == ok);
    check(ok || visit.values == 0);
    check(!ok || (text.length < payload.length &&
                  text.data + text.length == payload.data + payload.length));
}

static void command(struct statement_map *map, struct byte_view payload, uint64_t full)
{
    struct statement_text text = {.bytes = "", .length = 0};
    struct statement *statement;
    uint32_t id;
    query(payload);
    if (!statement_id_read(payload, &id, NULL))
        return;
    switch (payload.data[0]) {
    case COMMAND_STMT_PREPARE:
        if (payload.length > 5 && statement_count(map) < 8)
            (void)!statement_add(map, id % 9, payload.data[5], &text, NULL);
        return;
    case COMMAND_STMT_CLOSE:
        statement_remove(map, id);
        return;
    default:
        break;
    }
    statement = statement_find(map, id);
    if (!statement)
        return;
    if (payload.data[0] == COMMAND_STMT_EXECUTE)
        execute(statement, payload, full);
    else if (payload.data[0] == COMMAND_STMT_BULK_EXECUTE)
        bulk_execute(statement, payload, full);
    else if (payload.data[0] == COMMAND_STMT_SEND_LONG_DATA)
        (void)!statement_long_data(statement, payload, full, NULL);
    else
        statement_reset(statement);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct statement_text text = {.bytes = "?", .length = 1, .full_length = 1};
    struct statement_map *map;
    if (size < 1)
        return 0;
    bool attributes = data[0] & 0x80;
    check(statement_map_create(attributes, &map, NULL));
    check(statement_add(map, 1, (data[0] & 0x7F) % 20, &text, NULL));
    for (size_t at = 1; at + 2 <= size;) {
        size_t length = data[at] | (size_t)(data[at + 1] & 0x0F) << 8;
        uint64_t unseen = data[at + 1] >> 4 ? 1ull << (data[at + 1] >> 4) : 0;
        at += 2;
        length = length < size - at ? length : size - at;
        uint8_t *copy = malloc(length + 1);
        check(copy != NULL);
        memcpy(copy, data + at, length);
        command(map, byte_view(copy, length), length + unseen);
        free(copy);
        at += length;
    }
    statement_map_destroy(map);
    return 0;
}
