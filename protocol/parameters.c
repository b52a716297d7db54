/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/parameters.h"

#include "protocol/command.h"

static bool parameters_malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "malformed values in a command");
}

bool parameters_next_type(struct parameters *parameters, uint16_t *type, struct byte_view *name,
                          struct error *err)
{
    *name = byte_view(NULL, 0);
    if (!byte_reader_u16le(&parameters->types, type) ||
        (parameters->named && !byte_reader_lenenc_view(&parameters->types, name)))
        return parameters_malformed(err);
    return true;
}

/* A bulk has no bitmap: each of its values says itself whether it is NULL. */
bool parameters_is_null(const struct parameters *parameters, size_t index)
{
    return parameters->nulls.length > 0 && parameters->nulls.data[index / 8] >> (index % 8) & 1;
}

bool parameters_wrap(const struct parameters *parameters, size_t index, struct error *err)
{
    bool bound = index < parameters->bound;
    return error_wrap(err, "%s %zu", bound ? "parameter" : "query attribute",
                      index + 1 - (bound ? 0 : parameters->bound));
}

bool parameters_check_types(struct parameters parameters, struct error *err)
{
    for (size_t i = 0; i < parameters.count; i++) {
        uint16_t type;
        struct byte_view name;
        if (!parameters_next_type(&parameters, &type, &name, err) ||
            (!parameters_is_null(&parameters, i) && !value_type_check(type, err)))
            return parameters_wrap(&parameters, i, err);
    }
    return true;
}

/* Moves the reader past the types. */
static bool parameters_skip_types(struct byte_reader *reader, size_t count, bool named)
{
    if (!named)
        return byte_reader_skip(reader, count * PARAMETERS_TYPE_SIZE);
    for (size_t i = 0; i < count; i++) {
        struct byte_view name;
        if (!byte_reader_skip(reader, PARAMETERS_TYPE_SIZE) ||
            !byte_reader_lenenc_view(reader, &name))
            return false;
    }
    return true;
}

bool parameters_begin(struct byte_reader *reader, size_t count, bool named, struct parameters *out,
                      struct error *err)
{
    uint8_t bound;
    *out = (struct parameters){.count = count, .named = named};
    if (count == 0 || count > PARAMETERS_MAX ||
        !byte_reader_view(reader, (count + 7) / 8, &out->nulls) ||
        !byte_reader_u8(reader, &bound) || bound > 1)
        return parameters_malformed(err);
    out->typed = bound == 1;
    out->types = *reader;
    if (out->typed && !parameters_skip_types(reader, count, named))
        return parameters_malformed(err);
    out->values = *reader;
    return true;
}

/* The head of a COM_QUERY: count, a count of sets that is 1, the block where there are any. */
static bool attributes_begin(struct byte_view payload, struct parameters *out, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    uint64_t count, sets;
    if (!byte_reader_u8(&reader, &command) || command != COMMAND_QUERY ||
        !byte_reader_lenenc(&reader, &count) || !byte_reader_lenenc(&reader, &sets) || sets != 1 ||
        count > PARAMETERS_MAX)
        return parameters_malformed(err);
    *out = (struct parameters){.values = reader};
    if (count == 0)
        return true;
    if (!parameters_begin(&reader, (size_t)count, true, out, err))
        return false;
    /* There is no earlier command that the types could be known from. */
    return out->typed ? parameters_check_types(*out, err) : parameters_malformed(err);
}

/* One pass over the values; `sink` may be NULL. */
static bool attributes_pass(struct parameters *parameters, const struct attribute_sink *sink,
                            struct error *err)
{
    for (size_t i = 0; i < parameters->count; i++) {
        struct value value = {.kind = VALUE_NULL};
        struct byte_view name;
        uint16_t type;
        if (!parameters_next_type(parameters, &type, &name, err) ||
            (!parameters_is_null(parameters, i) &&
             !value_read(&parameters->values, type, 0, &value, err)))
            return parameters_wrap(parameters, i, err);
        if (sink)
            sink->attribute(sink->arg, name, &value);
    }
    return true;
}

bool attributes_text(struct byte_view payload, struct byte_view *text, struct error *err)
{
    struct parameters parameters;
    if (!attributes_begin(payload, &parameters, err) || !attributes_pass(&parameters, NULL, err))
        return false;
    *text = byte_reader_rest(&parameters.values);
    return true;
}

bool attributes_read(struct byte_view payload, const struct attribute_sink *sink, struct error *err)
{
    struct byte_view text;
    struct parameters parameters;
    return attributes_text(payload, &text, err) && attributes_begin(payload, &parameters, err) &&
           attributes_pass(&parameters, sink, err);
}
