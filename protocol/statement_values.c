/* SPDX-License-Identifier: Apache-2.0 */
/* Bound values of COM_STMT_EXECUTE and COM_STMT_BULK_EXECUTE. */
#include "protocol/command.h"
#include "protocol/parameters.h"
#include "protocol/statement_private.h"

/* Flags of COM_STMT_BULK_EXECUTE (MariaDB manual). */
#define BULK_UNIT_RESULTS 64u
#define BULK_SEND_TYPES   128u

/* Indicators that precede each value of a bulk execute. */
enum bulk_indicator { BULK_VALUE = 0, BULK_NULL = 1, BULK_DEFAULT = 2, BULK_IGNORE = 3 };

static bool execute_malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "malformed execute of a prepared statement");
}

/* Where the packet has no types they are those of before; every one must be known. */
static bool execute_types(const struct statement *statement, struct parameters *values,
                          struct error *err)
{
    if (!values->typed) {
        size_t known = buffer_length(&statement->types);
        values->named = false;
        values->types = byte_reader(buffer_bytes(&statement->types), known);
        if (values->count > values->bound)
            return error_set(err, ERROR_MALFORMED, "query attributes without types");
        if (known != values->count * PARAMETERS_TYPE_SIZE)
            return error_set(err, ERROR_MALFORMED,
                             "an execute without types, and none were sent before");
    }
    return parameters_check_types(*values, err);
}

/*
 * COM_STMT_EXECUTE: id, flags, iteration count, then the values of the parameters. With query
 * attributes their number comes first, and what exceeds the parameters are attributes.
 */
static bool execute_values_begin(const struct statement *statement, struct byte_view payload,
                                 struct parameters *values, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    bool named = statement->map_has_attributes;
    uint64_t count = statement->parameters;
    uint8_t command, flags;
    uint32_t id, iterations;
    *values = (struct parameters){0};
    if (!byte_reader_u8(&reader, &command) || command != COMMAND_STMT_EXECUTE ||
        !byte_reader_u32le(&reader, &id) || !byte_reader_u8(&reader, &flags) ||
        !byte_reader_u32le(&reader, &iterations))
        return execute_malformed(err);
    if (named && (count > 0 || flags & EXECUTE_PARAMETER_COUNT) &&
        (!byte_reader_lenenc(&reader, &count) || count < statement->parameters ||
         count > PARAMETERS_MAX))
        return execute_malformed(err);
    if (count == 0)
        return true;
    if (!parameters_begin(&reader, (size_t)count, named, values, err))
        return false;
    values->bound = statement->parameters;
    return execute_types(statement, values, err);
}

/* COM_STMT_BULK_EXECUTE: id, flags, types, then rows to the end. */
static bool execute_bulk_begin(const struct statement *statement, struct byte_view payload,
                               struct parameters *values, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    uint32_t id;
    uint16_t flags;
    *values = (struct parameters){.count = statement->parameters, .bound = statement->parameters};
    if (!byte_reader_u8(&reader, &command) || command != COMMAND_STMT_BULK_EXECUTE ||
        !byte_reader_u32le(&reader, &id) || !byte_reader_u16le(&reader, &flags) ||
        (flags & ~(BULK_UNIT_RESULTS | BULK_SEND_TYPES)) || statement->parameters == 0)
        return execute_malformed(err);
    values->typed = flags & BULK_SEND_TYPES;
    values->types = reader;
    if (values->typed && !byte_reader_skip(&reader, values->count * PARAMETERS_TYPE_SIZE))
        return execute_malformed(err);
    values->values = reader;
    return execute_types(statement, values, err);
}

static void execute_long_value(const struct statement_long *data, struct value *value)
{
    *value = (struct value){.kind = VALUE_LONG_DATA, .full_length = data->full_length};
    value->bytes = byte_view(buffer_bytes(&data->bytes), buffer_length(&data->bytes));
}

/* Where the values of an execute go; either may be NULL. */
struct execute_sink {
    void (*value)(void *arg, const struct value *value);
    void *arg;
    const struct attribute_sink *attributes;
};

static bool execute_value(const struct statement *statement, struct parameters *values,
                          size_t index, const struct execute_sink *sink, struct error *err)
{
    struct value value = {.kind = VALUE_NULL};
    bool bound = index < statement->parameters;
    struct byte_view name;
    uint16_t type;
    /* The server looks for long data first: it counts even where the bitmap says NULL. */
    const struct statement_long *data =
        bound ? statement_long_find(statement, (uint16_t)index) : NULL;
    if (!parameters_next_type(values, &type, &name, err))
        return false;
    if (data)
        execute_long_value(data, &value);
    else if (!parameters_is_null(values, index) &&
             !value_read(&values->values, type, values->unseen, &value, err))
        return false;
    if (bound && sink->value)
        sink->value(sink->arg, &value);
    else if (!bound && sink->attributes)
        sink->attributes->attribute(sink->attributes->arg, name, &value);
    return true;
}

static bool execute_pass(const struct statement *statement, struct parameters values,
                         const struct execute_sink *sink, struct error *err)
{
    for (size_t i = 0; i < values.count; i++)
        if (!execute_value(statement, &values, i, sink, err))
            return parameters_wrap(&values, i, err);
    if (values.count > 0 && byte_reader_left(&values.values) > 0)
        return error_set(err, ERROR_MALFORMED, "%zu bytes behind the last bound value",
                         byte_reader_left(&values.values));
    return true;
}

static bool execute_decode(const struct statement *statement, struct byte_view payload,
                           uint64_t full_length, const struct execute_sink *sink, struct error *err)
{
    const struct execute_sink nobody = {0};
    struct parameters values;
    if (full_length < payload.length)
        return execute_malformed(err);
    if (!execute_values_begin(statement, payload, &values, err))
        return false;
    values.unseen = full_length - payload.length;
    return execute_pass(statement, values, &nobody, err) &&
           execute_pass(statement, values, sink, err);
}

bool statement_values(const struct statement *statement, struct byte_view payload,
                      uint64_t full_length, void (*each)(void *arg, const struct value *value),
                      void *arg, struct error *err)
{
    const struct execute_sink sink = {.value = each, .arg = arg};
    return execute_decode(statement, payload, full_length, &sink, err);
}

bool statement_attributes(const struct statement *statement, struct byte_view payload,
                          uint64_t full_length, const struct attribute_sink *attributes,
                          struct error *err)
{
    const struct execute_sink sink = {.attributes = attributes};
    struct parameters values;
    if (!statement->map_has_attributes)
        return true;
    if (!execute_values_begin(statement, payload, &values, err))
        return false;
    return values.count == values.bound ||
           execute_decode(statement, payload, full_length, &sink, err);
}

static bool execute_bulk_value(struct parameters *row, struct value *value, struct error *err)
{
    uint8_t indicator;
    uint16_t type;
    struct byte_view name;
    *value = (struct value){.kind = VALUE_UNSEEN};
    if (!parameters_next_type(row, &type, &name, err))
        return false;
    if (!byte_reader_u8(&row->values, &indicator))
        return row->unseen > 0 || execute_malformed(err);
    switch (indicator) {
    case BULK_VALUE:
        return value_read(&row->values, type, row->unseen, value, err);
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

static bool execute_bulk_pass(struct parameters values, const struct statement_rows *rows,
                              uint64_t *count, struct error *err)
{
    const struct byte_reader types = values.types;
    *count = 0;
    while (byte_reader_left(&values.values) > 0) {
        if (rows && rows->row)
            rows->row(rows->arg, *count);
        values.types = types;
        for (size_t i = 0; i < values.count; i++) {
            struct value value;
            if (!execute_bulk_value(&values, &value, err))
                return error_wrap(err, "row %llu, parameter %zu", (unsigned long long)*count + 1,
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
    struct parameters values;
    *count = 0;
    if (full_length < payload.length)
        return execute_malformed(err);
    if (!execute_bulk_begin(statement, payload, &values, err))
        return false;
    /* The server refuses it too: "long is not supported here". */
    if (buffer_length(&statement->long_data) > 0)
        return error_set(err, ERROR_MALFORMED, "a bulk execute of a statement with long data");
    values.unseen = full_length - payload.length;
    return execute_bulk_pass(values, NULL, count, err) &&
           execute_bulk_pass(values, rows, count, err);
}

/* Keeps the parameters' types that were sent, without names. */
static bool execute_keep_types(struct statement *statement, struct parameters values,
                               struct error *err)
{
    size_t size = (size_t)statement->parameters * PARAMETERS_TYPE_SIZE;
    uint8_t *room;
    if (buffer_length(&statement->types) == 0) {
        if (!buffer_reserve(&statement->types, size, &room, err))
            return false;
        if (!statement_state_take(statement, size))
            return error_set(err, ERROR_LIMIT, "parameter types of too many prepared statements");
        buffer_commit(&statement->types, size);
    }
    for (size_t i = 0; i < statement->parameters; i++) {
        uint16_t type;
        struct byte_view name;
        if (!parameters_next_type(&values, &type, &name, err))
            return false;
        statement->types.storage[i * PARAMETERS_TYPE_SIZE] = (uint8_t)type;
        statement->types.storage[i * PARAMETERS_TYPE_SIZE + 1] = (uint8_t)(type >> 8);
    }
    return true;
}

bool statement_bind(struct statement *statement, struct byte_view payload, struct error *err)
{
    struct parameters values;
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    bool bulk = byte_reader_peek(&reader, &command) && command == COMMAND_STMT_BULK_EXECUTE;
    if (!(bulk ? execute_bulk_begin(statement, payload, &values, err)
               : execute_values_begin(statement, payload, &values, err)))
        return false;
    if (values.typed && statement->parameters > 0 && !execute_keep_types(statement, values, err))
        return false;
    statement_reset(statement);
    return true;
}
