/* SPDX-License-Identifier: Apache-2.0 */
/* Bound values of COM_STMT_EXECUTE and COM_STMT_BULK_EXECUTE. */
#include <string.h>

#include "protocol/command.h"
#include "protocol/statement_private.h"

/* Flags of COM_STMT_BULK_EXECUTE (MariaDB manual). */
#define BULK_UNIT_RESULTS 64u
#define BULK_SEND_TYPES   128u

/* Indicators that precede each value of a bulk execute. */
enum bulk_indicator { BULK_VALUE = 0, BULK_NULL = 1, BULK_DEFAULT = 2, BULK_IGNORE = 3 };

/* The parts of an execute's payload. */
struct execute_parts {
    struct byte_view nulls; /* a bit for each parameter; empty in a bulk execute */
    struct byte_view types; /* of the packet, or those of before */
    bool types_sent;
    struct byte_reader values; /* stands at the first one */
    uint64_t unseen;           /* bytes of the command behind those */
};

static bool execute_malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "malformed execute of a prepared statement");
}

static uint16_t execute_type(const struct execute_parts *parts, size_t parameter)
{
    struct byte_reader reader = byte_reader(parts->types.data, parts->types.length);
    uint16_t type = 0;
    if (!byte_reader_skip(&reader, parameter * TYPE_SIZE) || !byte_reader_u16le(&reader, &type))
        return 0xFFFF; /* value_type_check() refuses it */
    return type;
}

/* Takes the types out of the packet, or from before; every one must be known. */
static bool execute_types(const struct statement *statement, struct execute_parts *parts,
                          struct error *err)
{
    size_t size = (size_t)statement->parameters * TYPE_SIZE;
    parts->types = byte_view(buffer_bytes(&statement->types), buffer_length(&statement->types));
    if (parts->types_sent && !byte_reader_view(&parts->values, size, &parts->types))
        return execute_malformed(err);
    if (parts->types.length != size)
        return error_set(err, ERROR_MALFORMED,
                         "an execute without types, and none were sent before");
    for (size_t i = 0; i < statement->parameters; i++) {
        if (!value_type_check(execute_type(parts, i), err))
            return error_wrap(err, "parameter %zu", i + 1);
    }
    return true;
}

/* COM_STMT_EXECUTE: id, flags, iteration count, then bitmap of NULLs, bind flag, types, values. */
static bool execute_parts_read(const struct statement *statement, struct byte_view payload,
                               struct execute_parts *parts, struct error *err)
{
    struct byte_reader *reader = &parts->values;
    uint8_t command, flags, bound;
    uint32_t id, iterations;
    *parts = (struct execute_parts){.values = byte_reader(payload.data, payload.length)};
    if (!byte_reader_u8(reader, &command) || command != COMMAND_STMT_EXECUTE ||
        !byte_reader_u32le(reader, &id) || !byte_reader_u8(reader, &flags) ||
        !byte_reader_u32le(reader, &iterations))
        return execute_malformed(err);
    if (statement->parameters == 0)
        return true;
    if (!byte_reader_view(reader, ((size_t)statement->parameters + 7) / 8, &parts->nulls) ||
        !byte_reader_u8(reader, &bound) || bound > 1)
        return execute_malformed(err);
    parts->types_sent = bound == 1;
    return execute_types(statement, parts, err);
}

/* COM_STMT_BULK_EXECUTE: id, flags, types, then rows to the end. */
static bool execute_bulk_parts_read(const struct statement *statement, struct byte_view payload,
                                    struct execute_parts *parts, struct error *err)
{
    struct byte_reader *reader = &parts->values;
    uint8_t command;
    uint32_t id;
    uint16_t flags;
    *parts = (struct execute_parts){.values = byte_reader(payload.data, payload.length)};
    if (!byte_reader_u8(reader, &command) || command != COMMAND_STMT_BULK_EXECUTE ||
        !byte_reader_u32le(reader, &id) || !byte_reader_u16le(reader, &flags) ||
        (flags & ~(BULK_UNIT_RESULTS | BULK_SEND_TYPES)) || statement->parameters == 0)
        return execute_malformed(err);
    parts->types_sent = flags & BULK_SEND_TYPES;
    return execute_types(statement, parts, err);
}

static bool execute_is_null(const struct execute_parts *parts, size_t parameter)
{
    return parts->nulls.data[parameter / 8] >> (parameter % 8) & 1;
}

static void execute_long_value(const struct statement_long *data, struct value *value)
{
    *value = (struct value){.kind = VALUE_LONG_DATA, .full_length = data->full_length};
    value->bytes = byte_view(buffer_bytes(&data->bytes), buffer_length(&data->bytes));
}

/* One pass over the values; `each` may be NULL. */
static bool execute_pass(const struct statement *statement, struct execute_parts parts,
                         void (*each)(void *arg, const struct value *value), void *arg,
                         struct error *err)
{
    for (uint16_t i = 0; i < statement->parameters; i++) {
        struct value value = {.kind = VALUE_NULL};
        /* The server looks for long data first: it counts even where the bitmap says NULL. */
        const struct statement_long *data = statement_long_find(statement, i);
        if (data)
            execute_long_value(data, &value);
        else if (!execute_is_null(&parts, i) &&
                 !value_read(&parts.values, execute_type(&parts, i), parts.unseen, &value, err))
            return error_wrap(err, "parameter %d", i + 1);
        if (each)
            each(arg, &value);
    }
    if (statement->parameters > 0 && byte_reader_left(&parts.values) > 0)
        return error_set(err, ERROR_MALFORMED, "%zu bytes behind the last bound value",
                         byte_reader_left(&parts.values));
    return true;
}

bool statement_values(const struct statement *statement, struct byte_view payload,
                      uint64_t full_length, void (*each)(void *arg, const struct value *value),
                      void *arg, struct error *err)
{
    struct execute_parts parts;
    if (full_length < payload.length)
        return execute_malformed(err);
    if (!execute_parts_read(statement, payload, &parts, err))
        return false;
    parts.unseen = full_length - payload.length;
    return execute_pass(statement, parts, NULL, NULL, err) &&
           execute_pass(statement, parts, each, arg, err);
}

static bool execute_bulk_value(struct execute_parts *parts, size_t parameter, struct value *value,
                               struct error *err)
{
    uint8_t indicator;
    *value = (struct value){.kind = VALUE_UNSEEN};
    if (!byte_reader_u8(&parts->values, &indicator))
        return parts->unseen > 0 || execute_malformed(err);
    switch (indicator) {
    case BULK_VALUE:
        return value_read(&parts->values, execute_type(parts, parameter), parts->unseen, value,
                          err);
    case BULK_NULL:
        value->kind = VALUE_NULL;
        return true;
    case BULK_DEFAULT:
        value->kind = VALUE_DEFAULT;
        return true;
    case BULK_IGNORE:
        value->kind = VALUE_IGNORE;
        return true;
    default:
        return execute_malformed(err);
    }
}

static bool execute_bulk_pass(const struct statement *statement, struct execute_parts parts,
                              const struct statement_rows *rows, uint64_t *count, struct error *err)
{
    *count = 0;
    while (byte_reader_left(&parts.values) > 0) {
        if (rows && rows->row)
            rows->row(rows->arg, *count);
        for (uint16_t i = 0; i < statement->parameters; i++) {
            struct value value;
            if (!execute_bulk_value(&parts, i, &value, err))
                return error_wrap(err, "row %llu, parameter %d", (unsigned long long)*count + 1,
                                  i + 1);
            if (rows)
                rows->value(rows->arg, &value);
        }
        ++*count;
    }
    return true;
}

bool statement_bulk_values(const struct statement *statement, struct byte_view payload,
                           uint64_t full_length, const struct statement_rows *rows, uint64_t *count,
                           struct error *err)
{
    struct execute_parts parts;
    *count = 0;
    if (full_length < payload.length)
        return execute_malformed(err);
    if (!execute_bulk_parts_read(statement, payload, &parts, err))
        return false;
    /* The server refuses it too: "long is not supported here". */
    if (buffer_length(&statement->long_data) > 0)
        return error_set(err, ERROR_MALFORMED, "a bulk execute of a statement with long data");
    parts.unseen = full_length - payload.length;
    return execute_bulk_pass(statement, parts, NULL, count, err) &&
           execute_bulk_pass(statement, parts, rows, count, err);
}

/* Keeps the types that were sent. */
static bool execute_keep_types(struct statement *statement, struct byte_view types,
                               struct error *err)
{
    uint8_t *room;
    if (buffer_length(&statement->types) == 0) {
        if (!buffer_reserve(&statement->types, types.length, &room, err))
            return false;
        if (!statement_state_take(statement, types.length))
            return error_set(err, ERROR_LIMIT, "parameter types of too many prepared statements");
        buffer_commit(&statement->types, types.length);
    }
    memcpy(statement->types.storage, types.data, types.length);
    return true;
}

bool statement_bind(struct statement *statement, struct byte_view payload, struct error *err)
{
    struct execute_parts parts;
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    bool bulk = byte_reader_peek(&reader, &command) && command == COMMAND_STMT_BULK_EXECUTE;
    if (!(bulk ? execute_bulk_parts_read(statement, payload, &parts, err)
               : execute_parts_read(statement, payload, &parts, err)))
        return false;
    if (parts.types_sent && !execute_keep_types(statement, parts.types, err))
        return false;
    statement_reset(statement);
    return true;
}
