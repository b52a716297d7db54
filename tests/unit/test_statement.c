/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/statement.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/command.h"

#define TRACE_SIZE 8192

static struct statement_map *map_new(void)
{
    struct statement_map *map = NULL;
    struct error err = {0};
    cr_assert(statement_map_create(false, &map, &err), "%s", err.message);
    return map;
}

static struct statement_text text_of(const char *text)
{
    return (struct statement_text){
        .bytes = text, .length = strlen(text), .full_length = strlen(text)};
}

static struct statement *add(struct statement_map *map, uint32_t id, uint16_t parameters)
{
    struct error err = {0};
    struct statement_text text = text_of("SELECT ?");
    cr_assert(statement_add(map, id, parameters, &text, &err), "%s", err.message);
    return statement_find(map, id);
}

/* Payloads of commands, built byte by byte. */
struct payload {
    uint8_t bytes[1024];
    size_t length;
};

static void put(struct payload *payload, const void *bytes, size_t length)
{
    cr_assert_leq(payload->length + length, sizeof payload->bytes);
    memcpy(payload->bytes + payload->length, bytes, length);
    payload->length += length;
}

#define PUT(payload, literal) put(payload, literal, sizeof(literal) - 1)

static struct byte_view view(const struct payload *payload)
{
    return byte_view(payload->bytes, payload->length);
}

/* An execute of statement 1: this bitmap, these types (none: bind flag 0), these values. */
static struct payload execute(const char *nulls, size_t nulls_length, const uint8_t *types,
                              size_t types_length, const char *values, size_t values_length)
{
    struct payload payload = {0};
    PUT(&payload, "\x17\1\0\0\0\0\1\0\0\0");
    put(&payload, nulls, nulls_length);
    if (nulls_length > 0)
        put(&payload, types_length > 0 ? "\1" : "\0", 1);
    for (size_t i = 0; i < types_length; i++) {
        put(&payload, &types[i], 1);
        put(&payload, "\0", 1);
    }
    put(&payload, values, values_length);
    return payload;
}

/* The values that were seen, as text. */
struct seen {
    char trace[TRACE_SIZE];
};

static void say(struct seen *seen, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct seen *seen, const char *format, ...)
{
    size_t have = strlen(seen->trace);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(seen->trace + have, sizeof seen->trace - have, format, arguments);
    va_end(arguments);
}

static void say_bytes(struct seen *seen, const char *kind, const struct value *value)
{
    say(seen, "%s'%.*s'", kind, (int)value->bytes.length, (const char *)value->bytes.data);
    if (value->full_length != value->bytes.length)
        say(seen, "of%d", (int)value->full_length);
    say(seen, " ");
}

static void say_value(void *arg, const struct value *value)
{
    struct seen *seen = arg;
    switch (value->kind) {
    case VALUE_NULL:
        say(seen, "null ");
        break;
    case VALUE_INTEGER:
        say(seen, "%lld ", (long long)value->integer);
        break;
    case VALUE_UNSIGNED:
        say(seen, "u%llu ", (unsigned long long)value->unsigned_integer);
        break;
    case VALUE_DOUBLE:
        say(seen, "d%g ", value->number);
        break;
    case VALUE_FLOAT:
        say(seen, "f%g ", value->number);
        break;
    case VALUE_TEXT:
        say_bytes(seen, "", value);
        break;
    case VALUE_BYTES:
        say_bytes(seen, "b", value);
        break;
    case VALUE_LONG_DATA:
        say_bytes(seen, "long", value);
        break;
    case VALUE_DATETIME:
        say(seen, "%s ", value->text);
        break;
    case VALUE_DEFAULT:
        say(seen, "default ");
        break;
    case VALUE_IGNORE:
        say(seen, "ignore ");
        break;
    case VALUE_UNSEEN:
        say(seen, "unseen ");
        break;
    }
}

static void say_row(void *arg, uint64_t index)
{
    say(arg, "[%llu] ", (unsigned long long)index);
}

static void expect_values(const struct statement *statement, const struct payload *payload,
                          const char *trace)
{
    struct seen seen = {0};
    struct error err = {0};
    cr_assert(statement_values(statement, view(payload), payload->length, say_value, &seen, &err),
              "%s", err.message);
    cr_assert_str_eq(seen.trace, trace, "%s, not %s", seen.trace, trace);
}

static void expect_refused(const struct statement *statement, const struct payload *payload,
                           enum error_code code)
{
    struct seen seen = {0};
    struct error err = {0};
    cr_assert_not(
        statement_values(statement, view(payload), payload->length, say_value, &seen, &err),
        "accepted as %s", seen.trace);
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_str_eq(seen.trace, "", "all or nothing");
}

/* One parameter of this type and flag byte with these bytes. */
static struct payload one(uint8_t type, uint8_t flags, const char *bytes, size_t length)
{
    struct payload payload = execute("\0", 1, &type, 1, bytes, length);
    payload.bytes[10 + 2 + 1] = flags;
    return payload;
}

#define ONE(type, flags, literal) one(type, flags, literal, sizeof(literal) - 1)

static void expect_one(struct payload payload, const char *trace)
{
    struct statement_map *map = map_new();
    expect_values(add(map, 1, 1), &payload, trace);
    statement_map_destroy(map);
}

static void expect_one_refused(struct payload payload, enum error_code code)
{
    struct statement_map *map = map_new();
    expect_refused(add(map, 1, 1), &payload, code);
    statement_map_destroy(map);
}

Test(statement, type_null_must_be_marked_in_the_bitmap)
{
    uint8_t type = 6;
    struct payload marked = execute("\1", 1, &type, 1, "", 0);
    expect_one(marked, "null ");
    expect_one_refused(ONE(6, 0, ""), ERROR_MALFORMED);
}

Test(statement, bytes_behind_the_last_value_are_refused)
{
    expect_one_refused(ONE(253, 0, "\3abcd"), ERROR_MALFORMED);
    expect_one_refused(ONE(255, 0, "\3abc"), ERROR_UNSUPPORTED);
}

static const uint8_t mixed_types[] = {8, 253, 253, 12, 252, 1, 1, 1, 1};

/* Nine parameters, so that the bitmap has two bytes: the second and the ninth are NULL. */
static struct payload mixed(bool with_types)
{
    static const char values[] = "\5\0\0\0\0\0\0\0\2hi\4\xEA\x07\1\x1F\3xyz\1\2\3";
    return execute("\2\1", 2, mixed_types, with_types ? sizeof mixed_types : 0, values,
                   sizeof values - 1);
}

#define MIXED_TRACE "5 null 'hi' 2026-01-31 00:00:00 b'xyz' 1 2 3 null "

Test(statement, decodes_all_parameters_in_order)
{
    struct statement_map *map = map_new();
    struct payload payload = mixed(true);
    expect_values(add(map, 1, 9), &payload, MIXED_TRACE);
    statement_map_destroy(map);
}

Test(statement, every_truncation_is_refused)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 9);
    struct payload payload = mixed(true);
    for (size_t length = 0; length < payload.length; length++) {
        uint8_t *copy = malloc(length + 1);
        struct seen seen = {0};
        struct error err = {0};
        cr_assert(copy);
        memcpy(copy, payload.bytes, length);
        cr_assert_not(
            statement_values(statement, byte_view(copy, length), length, say_value, &seen, &err));
        cr_assert_eq(err.code, ERROR_MALFORMED);
        cr_assert_str_eq(seen.trace, "");
        free(copy);
    }
    statement_map_destroy(map);
}

/* Types come only when the bind flag is 1, and stay; a denied execute leaves no trace. */
Test(statement, types_are_kept_by_bind_alone)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 9);
    struct payload with = mixed(true), without = mixed(false);
    expect_refused(statement, &without, ERROR_MALFORMED);
    expect_values(statement, &with, MIXED_TRACE);
    expect_refused(statement, &without, ERROR_MALFORMED);
    cr_assert(statement_bind(statement, view(&with), NULL));
    expect_values(statement, &without, MIXED_TRACE);
    cr_assert(statement_bind(statement, view(&without), NULL));
    expect_values(statement, &without, MIXED_TRACE);
    statement_map_destroy(map);
}

Test(statement, bind_flag_has_two_values)
{
    struct statement_map *map = map_new();
    struct payload payload = mixed(true);
    payload.bytes[12] = 2;
    expect_refused(add(map, 1, 9), &payload, ERROR_MALFORMED);
    statement_map_destroy(map);
}

Test(statement, no_parameters_no_values)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 0);
    struct payload payload = execute("", 0, NULL, 0, "", 0);
    expect_values(statement, &payload, "");
    PUT(&payload, "\1"); /* servers do not look at it, and some clients send it */
    expect_values(statement, &payload, "");
    payload.length = 9;
    expect_refused(statement, &payload, ERROR_MALFORMED);
    statement_map_destroy(map);
}

Test(statement, values_behind_the_captured_part_are_unseen)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 9);
    struct payload payload = mixed(true);
    const size_t header = 10 + 2 + 1 + 18;
    for (size_t length = header; length <= payload.length; length++) {
        struct seen seen = {0};
        struct error err = {0};
        cr_assert(statement_values(statement, byte_view(payload.bytes, length), payload.length,
                                   say_value, &seen, &err),
                  "%zu: %s", length, err.message);
        if (length == header)
            cr_assert_str_eq(seen.trace,
                             "unseen null unseen unseen unseen unseen unseen unseen null ");
        if (length == header + 8 + 2)
            cr_assert_str_eq(seen.trace, "5 null 'h'of2 unseen unseen unseen unseen unseen null ");
    }
    statement_map_destroy(map);
}

Test(statement, cut_string_keeps_its_full_length)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 1);
    struct payload payload = ONE(253, 0,
                                 "\xFD\0\0\1"
                                 "abcdefghij");
    struct seen seen = {0};
    uint64_t full = payload.length - 10 + 65536;
    cr_assert(statement_values(statement, view(&payload), full, say_value, &seen, NULL));
    cr_assert_str_eq(seen.trace, "'abcdefghij'of65536 ");
    cr_assert_not(statement_values(statement, view(&payload), full - 1, say_value, &seen, NULL));
    cr_assert_not(statement_values(statement, view(&payload), 5, say_value, &seen, NULL));
    /* The beginning of a length may be cut too, but not one that is no length. */
    const size_t header = 10 + 1 + 1 + 2;
    cr_assert(statement_values(statement, byte_view(payload.bytes, header + 2), full, say_value,
                               &seen, NULL));
    payload.bytes[header] = 0xFB;
    cr_assert_not(statement_values(statement, byte_view(payload.bytes, header + 2), full, say_value,
                                   &seen, NULL));
    statement_map_destroy(map);
}

static bool long_data(struct statement *statement, uint8_t parameter, const char *bytes)
{
    struct payload payload = {0};
    PUT(&payload, "\x18\1\0\0\0");
    put(&payload, &parameter, 1);
    PUT(&payload, "\0");
    put(&payload, bytes, strlen(bytes));
    return statement_long_data(statement, view(&payload), payload.length, NULL);
}

Test(statement, long_data_concatenates_until_bind_or_reset)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    static const uint8_t types[] = {252, 253};
    struct payload with = execute("\0", 1, types, 2, "\1x", 2);
    struct payload both = execute("\0", 1, types, 2, "\1y\1x", 4);
    cr_assert(long_data(statement, 0, "ab"));
    cr_assert(long_data(statement, 0, "cd"));
    expect_values(statement, &with, "long'abcd' 'x' ");
    expect_refused(statement, &both, ERROR_MALFORMED);
    cr_assert(statement_bind(statement, view(&with), NULL));
    expect_values(statement, &both, "b'y' 'x' ");
    cr_assert(long_data(statement, 0, "ab"));
    statement_reset(statement);
    expect_values(statement, &both, "b'y' 'x' ");
    statement_map_destroy(map);
}

/* The server asks for long data before it asks the bitmap; even empty long data counts. */
Test(statement, long_data_goes_before_null_and_may_be_empty)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    static const uint8_t types[] = {252, 253};
    struct payload payload = execute("\1", 1, types, 2, "\1x", 2);
    cr_assert(long_data(statement, 0, ""));
    expect_values(statement, &payload, "long'' 'x' ");
    statement_map_destroy(map);
}

Test(statement, long_data_for_no_parameter_is_refused)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    cr_assert_not(long_data(statement, 2, "ab"));
    cr_assert_not(statement_long_data(statement, byte_view("\x18\1\0\0\0\0", 6), 6, NULL));
    cr_assert_not(statement_long_data(statement, byte_view("\x18\1\0\0\0\0\0", 7), 6, NULL));
    statement_map_destroy(map);
}

static void count_value(void *arg, const struct value *value)
{
    uint64_t *lengths = arg;
    if (value->kind == VALUE_LONG_DATA) {
        lengths[0] += value->bytes.length;
        lengths[1] += value->full_length;
    }
}

Test(statement, long_data_is_kept_up_to_its_limit)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    static const uint8_t types[] = {252, 252};
    struct payload payload = execute("\0", 1, types, 2, "", 0);
    size_t size = 7 + 300000;
    uint8_t *piece = calloc(1, size);
    uint64_t lengths[2] = {0};
    cr_assert(piece);
    memcpy(piece, "\x18\1\0\0\0\0\0", 7);
    for (int i = 0; i < 6; i++) {
        piece[5] = (uint8_t)(i % 2);
        cr_assert(statement_long_data(statement, byte_view(piece, size), size + 1000, NULL));
    }
    cr_assert(
        statement_values(statement, view(&payload), payload.length, count_value, lengths, NULL));
    cr_assert_eq(lengths[0], 2 * STATEMENT_LONG_VALUE_MAX, "one parameter's takes no other's room");
    cr_assert_eq(lengths[1], 6 * 301000);
    free(piece);
    statement_map_destroy(map);
}

/* Many statements with long data: past the session's limit only lengths are kept. */
Test(statement, long_data_of_a_session_is_bounded)
{
    struct statement_map *map = map_new();
    static const uint8_t types[] = {252};
    struct payload payload = execute("\0", 1, types, 1, "", 0);
    size_t size = 7 + STATEMENT_LONG_VALUE_MAX;
    uint8_t *piece = calloc(1, size);
    uint64_t lengths[2] = {0};
    cr_assert(piece);
    memcpy(piece, "\x18\1\0\0\0\0\0", 7);
    for (uint32_t id = 1; id <= 8000; id++) {
        struct statement *statement = add(map, id, 1);
        cr_assert(statement_long_data(statement, byte_view(piece, size), size, NULL));
        cr_assert(statement_values(statement, view(&payload), payload.length, count_value, lengths,
                                   NULL));
    }
    cr_assert_leq(lengths[0], STATEMENT_STATE_MAX / 2);
    cr_assert_gt(lengths[0], STATEMENT_STATE_MAX / 3);
    cr_assert_eq(lengths[1], 8000ull * STATEMENT_LONG_VALUE_MAX);
    statement_clear(map); /* all of it comes back */
    struct statement *statement = add(map, 1, 1);
    lengths[0] = 0;
    cr_assert(statement_long_data(statement, byte_view(piece, size), size, NULL));
    cr_assert(
        statement_values(statement, view(&payload), payload.length, count_value, lengths, NULL));
    cr_assert_eq(lengths[0], STATEMENT_LONG_VALUE_MAX);
    free(piece);
    statement_map_destroy(map);
}

/* A statement of 65,535 parameters needs 128 KiB of types; a session may have 16 MiB. */
Test(statement, types_of_a_session_are_bounded)
{
    struct statement_map *map = map_new();
    const size_t parameters = 65535, nulls = (parameters + 7) / 8;
    size_t size = 10 + nulls + 1 + 2 * parameters;
    uint8_t *payload = calloc(1, size);
    uint32_t refused_at = 0;
    cr_assert(payload);
    memcpy(payload, "\x17\1\0\0\0\0\1\0\0\0", 10);
    memset(payload + 10, 0xFF, nulls);
    payload[10 + nulls] = 1;
    for (size_t i = 0; i < parameters; i++)
        payload[10 + nulls + 1 + 2 * i] = 253;
    for (uint32_t id = 1; id < 200 && !refused_at; id++) {
        struct error err = {0};
        struct statement *statement = add(map, id, 65535);
        cr_assert(statement_values(statement, byte_view(payload, size), size, count_value,
                                   (uint64_t[2]){0}, &err),
                  "%s", err.message);
        if (!statement_bind(statement, byte_view(payload, size), &err)) {
            cr_assert_eq(err.code, ERROR_LIMIT);
            refused_at = id;
        }
    }
    cr_assert_eq(refused_at, STATEMENT_STATE_MAX / (2 * parameters) + 1);
    free(payload);
    statement_map_destroy(map);
}

/* A bulk execute of statement 1 with two parameters, LONGLONG and VARCHAR. */
static struct payload bulk(uint8_t flags, const char *rows, size_t length)
{
    struct payload payload = {0};
    PUT(&payload, "\xFA\1\0\0\0");
    put(&payload, &flags, 1);
    PUT(&payload, "\0");
    if (flags & 128)
        PUT(&payload, "\x08\0\xFD\0");
    put(&payload, rows, length);
    return payload;
}

#define BULK_ROWS             \
    "\0\1\0\0\0\0\0\0\0\0\1a" \
    "\1\2"                    \
    "\3\0\1b"

static bool bulk_values(const struct statement *statement, const struct payload *payload,
                        size_t length, uint64_t full, struct seen *seen, uint64_t *count)
{
    struct statement_rows rows = {.row = say_row, .value = say_value, .arg = seen};
    return statement_bulk_values(statement, byte_view(payload->bytes, length), full, &rows, count,
                                 NULL);
}

Test(statement, decodes_the_rows_of_a_bulk_execute)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    struct payload payload = bulk(128, BULK_ROWS, sizeof BULK_ROWS - 1);
    struct payload untyped = bulk(0, BULK_ROWS, sizeof BULK_ROWS - 1);
    struct seen seen = {0};
    uint64_t count;
    cr_assert_not(bulk_values(statement, &untyped, untyped.length, untyped.length, &seen, &count));
    cr_assert(bulk_values(statement, &payload, payload.length, payload.length, &seen, &count));
    cr_assert_str_eq(seen.trace, "[0] 1 'a' [1] null default [2] ignore 'b' ");
    cr_assert_eq(count, 3);
    cr_assert(statement_bind(statement, view(&payload), NULL));
    seen.trace[0] = '\0';
    cr_assert(bulk_values(statement, &untyped, untyped.length, untyped.length, &seen, &count));
    cr_assert_str_eq(seen.trace, "[0] 1 'a' [1] null default [2] ignore 'b' ");
    statement_map_destroy(map);
}

Test(statement, refuses_malformed_bulk_executes)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    struct payload payload = bulk(128, BULK_ROWS, sizeof BULK_ROWS - 1);
    const size_t header = 7 + 4, rows[] = {header, header + 12, header + 14, payload.length};
    struct seen seen = {0};
    uint64_t count;
    for (size_t length = 0, next = 0; length < payload.length; length++) {
        bool whole = length == rows[next]; /* between two rows it is just a shorter one */
        next += whole;
        seen.trace[0] = '\0';
        cr_assert_eq(bulk_values(statement, &payload, length, length, &seen, &count), whole,
                     "cut at %zu", length);
        cr_assert_eq(count, whole ? next - 1 : count);
        if (length >= header)
            cr_assert(bulk_values(statement, &payload, length, payload.length, &seen, &count));
    }
    payload.bytes[header + 12] = 4; /* an indicator that does not exist */
    cr_assert_not(bulk_values(statement, &payload, payload.length, payload.length, &seen, &count));
    payload = bulk(129, BULK_ROWS, sizeof BULK_ROWS - 1); /* nor does this flag */
    cr_assert_not(bulk_values(statement, &payload, payload.length, payload.length, &seen, &count));
    payload = bulk(128, BULK_ROWS, sizeof BULK_ROWS - 1);
    cr_assert(long_data(statement, 1, "x")); /* MariaDB: "long is not supported here" */
    cr_assert_not(bulk_values(statement, &payload, payload.length, payload.length, &seen, &count));
    struct statement *none = add(map, 2, 0);
    cr_assert_not(bulk_values(none, &payload, payload.length, payload.length, &seen, &count));
    statement_map_destroy(map);
}

Test(statement, other_commands_are_no_execute)
{
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 2);
    struct payload payload = bulk(128, BULK_ROWS, sizeof BULK_ROWS - 1);
    expect_refused(statement, &payload, ERROR_MALFORMED);
    payload = mixed(true);
    uint64_t count;
    struct seen seen = {0};
    cr_assert_not(bulk_values(statement, &payload, payload.length, payload.length, &seen, &count));
    payload.bytes[0] = COMMAND_QUERY;
    cr_assert_not(statement_bind(statement, view(&payload), NULL));
    statement_map_destroy(map);
}

Test(statement, reads_ids_and_cursor_flags)
{
    struct error err = {0};
    uint32_t id = 0;
    cr_assert(statement_id_read(byte_view("\x19\4\3\2\1", 5), &id, &err));
    cr_assert_eq(id, 0x01020304);
    cr_assert_not(statement_id_read(byte_view("\x19\4\3\2", 4), &id, &err));
    cr_assert(statement_wants_cursor(byte_view("\x17\1\0\0\0\1\1\0\0\0", 10)));
    cr_assert_not(statement_wants_cursor(byte_view("\x17\1\0\0\0\0\1\0\0\0", 10)));
    cr_assert_not(statement_wants_cursor(byte_view("\x17\1\0\0\0", 5)));
    cr_assert_not(statement_wants_cursor(byte_view("\xFA\1\0\0\0\x80\0", 7)));
}

Test(statement, last_id_is_the_last_good_prepare)
{
    struct statement_map *map = map_new();
    cr_assert_null(statement_find(map, STATEMENT_LAST_ID));
    struct statement *first = add(map, 1, 0), *second = add(map, 2, 0);
    cr_assert_eq(statement_find(map, STATEMENT_LAST_ID), second);
    cr_assert_eq(statement_find(map, 1), first);
    statement_prepare_failed(map);
    cr_assert_null(statement_find(map, STATEMENT_LAST_ID));
    cr_assert_eq(statement_find(map, 2), second);
    add(map, 3, 0);
    statement_remove(map, STATEMENT_LAST_ID);
    cr_assert_null(statement_find(map, 3));
    cr_assert_null(statement_find(map, STATEMENT_LAST_ID));
    statement_remove(map, STATEMENT_LAST_ID);
    cr_assert_eq(statement_count(map), 2);
    struct statement_text text = text_of("x");
    cr_assert_not(statement_add(map, STATEMENT_LAST_ID, 0, &text, NULL));
    statement_map_destroy(map);
}

Test(statement, texts_are_copied_and_ids_replaced)
{
    struct statement_map *map = map_new();
    char text[] = "SELECT 1";
    struct statement_text first = text_of(text), second = text_of("SELECT 22");
    cr_assert(statement_add(map, 7, 0, &first, NULL));
    text[0] = 'X';
    cr_assert_eq(memcmp(statement_find(map, 7)->text.bytes, "SELECT 1", 8), 0);
    cr_assert(statement_add(map, 7, 3, &second, NULL));
    cr_assert_eq(statement_count(map), 1);
    cr_assert_eq(statement_find(map, 7)->parameters, 3);
    cr_assert_eq(statement_find(map, 7)->text.length, 9);
    statement_remove(map, 8);
    cr_assert_eq(statement_count(map), 1);
    statement_map_destroy(map);
}

Test(statement, texts_of_a_session_are_bounded)
{
    struct statement_map *map = map_new();
    size_t size = STATEMENT_TEXT_TOTAL_MAX / 2 + 1;
    char *big = calloc(1, size);
    cr_assert(big);
    struct statement_text text = {
        .bytes = big, .length = size, .full_length = size, .sha256 = {1, 2, 3}};
    cr_assert(statement_text_fits(map, size));
    cr_assert(statement_add(map, 1, 0, &text, NULL));
    cr_assert_not(statement_find(map, 1)->text.truncated);
    cr_assert_not(statement_text_fits(map, size));
    cr_assert(statement_add(map, 2, 0, &text, NULL));
    struct statement *second = statement_find(map, 2);
    cr_assert(second->text.truncated);
    cr_assert_eq(second->text.length, 0);
    cr_assert_eq(second->text.full_length, size);
    cr_assert_eq(second->text.sha256[2], 3);
    statement_remove(map, 1);
    cr_assert(statement_text_fits(map, size));
    free(big);
    statement_map_destroy(map);
}

Test(statement, number_of_statements_is_bounded)
{
    struct statement_map *map = map_new();
    struct statement_text text = text_of("");
    struct error err = {0};
    for (uint32_t id = 1; id <= STATEMENT_COUNT_MAX; id++)
        cr_assert(statement_add(map, id * 2654435761u % 0xFFFFFFF7u, 0, &text, NULL));
    cr_assert_not(statement_add(map, 0xFFFFFFF8u, 0, &text, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    for (uint32_t id = 1; id <= STATEMENT_COUNT_MAX; id++) {
        uint32_t scattered = id * 2654435761u % 0xFFFFFFF7u;
        cr_assert_eq(statement_find(map, scattered)->id, scattered);
    }
    statement_map_destroy(map);
}

static long allocations_left;

static void *failing_allocator(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

/* A session's life with every buffer allocation failing in turn: refused, and nothing is lost. */
Test(statement, failing_allocations_are_told)
{
    static const uint8_t types[] = {252, 253};
    bool all = false;
    for (long n = 0; n < 20 && !all; n++) {
        struct statement_map *map = map_new();
        struct statement_text text = text_of("SELECT ?, ?");
        struct payload payload = execute("\0", 1, types, 2, "\1x", 2);
        struct error err = {0};
        allocations_left = n;
        buffer_set_allocator(failing_allocator);
        bool added = statement_add(map, 1, 2, &text, &err);
        struct statement *statement = statement_find(map, 1);
        cr_assert_eq(statement != NULL, added);
        all = added && long_data(statement, 0, "ab") && long_data(statement, 0, "cd") &&
              statement_bind(statement, view(&payload), &err);
        buffer_set_allocator(NULL);
        cr_assert(all || n < 10);
        if (!added)
            cr_assert_eq(err.code, ERROR_MEMORY);
        statement_map_destroy(map);
    }
    cr_assert(all);
}

/* Random bytes behind a good beginning: decoded or refused, never half. */
Test(statement, random_payloads_are_all_or_nothing)
{
    unsigned seed = (unsigned)time(NULL);
    struct statement_map *map = map_new();
    struct statement *statement = add(map, 1, 9);
    int decoded = 0;
    for (int round = 0; round < 100000; round++) {
        unsigned before = seed;
        struct payload payload = mixed(true);
        struct seen seen = {0};
        for (int i = 0; i < 2; i++)
            payload.bytes[10 + (size_t)rand_r(&seed) % (payload.length - 10)] =
                (uint8_t)rand_r(&seed);
        bool ok =
            statement_values(statement, view(&payload), payload.length, say_value, &seen, NULL);
        int values = 0;
        for (const char *at = seen.trace; *at; at++)
            values += *at == ' ';
        cr_assert(ok ? values >= 9 : values == 0, "seed %u: %s", before, seen.trace);
        decoded += ok;
    }
    cr_assert_gt(decoded, 100);
    statement_map_destroy(map);
}
