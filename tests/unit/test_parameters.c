/* SPDX-License-Identifier: Apache-2.0 */
/* Query attributes: in front of COM_QUERY's text, and behind the parameters of an execute. */
#include "protocol/parameters.h"

#include <stdio.h>

#include "protocol/statement.h"
#include "tests/unit/protocol_support.h"

#define TRACE_SIZE 1024

/* Two attributes, as MySQL 9.7's client sends them: "k" = "v" as a string, "n" = NULL. */
#define HEAD   \
    "0201"     \
    "02"       \
    "01"       \
    "fe00016b" \
    "fe00016e"
#define TWO  HEAD "0176"
#define TEXT "53454c4543542031" /* SELECT 1 */

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

static void say_value(void *arg, const struct value *value)
{
    if (value->kind == VALUE_NULL)
        say(arg, "null ");
    else if (value->kind == VALUE_INTEGER)
        say(arg, "%lld ", (long long)value->integer);
    else
        say(arg, "'%.*s' ", (int)value->bytes.length, (const char *)value->bytes.data);
}

static void say_attribute(void *arg, struct byte_view name, const struct value *value)
{
    say(arg, "%.*s=", (int)name.length, (const char *)name.data);
    say_value(arg, value);
}

/* What a COM_QUERY holds: attributes, then "|" and its text; NULL where it is refused. */
static const char *query_trace(const char *hex)
{
    static struct seen seen;
    struct bytes bytes = bytes_of(hex);
    const struct attribute_sink sink = {say_attribute, &seen};
    struct byte_view text;
    struct error err = {0};
    seen.trace[0] = '\0';
    bool good = attributes_text(view(bytes), &text, &err);
    cr_assert_eq(attributes_read(view(bytes), &sink, NULL), good);
    if (good)
        say(&seen, "|%.*s", (int)text.length, (const char *)text.data);
    else
        cr_assert_str_empty(seen.trace, "all or nothing");
    free(bytes.data);
    return good ? seen.trace : NULL;
}

static void refused(const char *hex)
{
    cr_assert_null(query_trace(hex), "%s", hex);
}

Test(query_attributes, stand_in_front_of_the_text)
{
    cr_assert_str_eq(query_trace("03" TWO TEXT), "k='v' n=null |SELECT 1");
    cr_assert_str_eq(query_trace("03"
                                 "0001" TEXT),
                     "|SELECT 1");
    cr_assert_str_eq(query_trace("03"
                                 "0001"),
                     "|");
    cr_assert_str_eq(query_trace("03"
                                 "0101"
                                 "00"
                                 "01"
                                 "080000"
                                 "0700000000000000" TEXT),
                     "=7 |SELECT 1");
}

/* MySQL 9.7 reads a count in any of its forms. */
Test(query_attributes, counts_may_be_long_forms)
{
    cr_assert_str_eq(query_trace("03"
                                 "fc010001"
                                 "00"
                                 "01"
                                 "fe00016b"
                                 "0176" TEXT),
                     "k='v' |SELECT 1");
}

Test(query_attributes, bitmap_has_a_bit_for_each)
{
    char hex[256] = "03"
                    "0901"
                    "ff01"
                    "01";
    for (int i = 0; i < 9; i++)
        strcat(hex, "fe0000");
    cr_assert_str_eq(query_trace(hex), "=null =null =null =null =null =null =null =null =null |");
}

Test(query_attributes, refuses_every_truncation_before_the_text)
{
    const char *whole = "03" TWO;
    for (size_t length = 0; length < strlen(whole); length += 2) {
        char hex[64] = "";
        memcpy(hex, whole, length);
        refused(hex);
    }
}

Test(query_attributes, refuses_what_servers_refuse_or_read_otherwise)
{
    refused("03"
            "0002" TEXT); /* two sets of values */
    refused("03"
            "0100"
            "00"
            "01"
            "fe00016b"
            "0176"); /* none */
    refused("03"
            "0101"
            "00"
            "00"
            "0176" TEXT); /* no types */
    refused("03"
            "0101"
            "00"
            "02"
            "fe00016b"
            "0176"); /* no such bind flag */
    refused("03"
            "0101"
            "00"
            "01"
            "0600016b"
            "0176"); /* type NULL, not marked as NULL */
    refused("03"
            "0101"
            "00"
            "01"
            "0900016b"
            "07000000"); /* INT24 */
    refused("03"
            "0101"
            "00"
            "01"
            "fe01016b"
            "0176");        /* an unknown flag of a type */
    refused("16" TWO TEXT); /* not a query */
}

Test(query_attributes, refuses_lengths_and_counts_that_lie)
{
    refused("03"
            "0101"
            "00"
            "01"
            "fe00ff6b"
            "0176");
    refused("03"
            "0101"
            "00"
            "01"
            "fe00fb6b"
            "0176");
    refused("03"
            "0101"
            "00"
            "01"
            "fe00016b"
            "fdffffff");
    refused("03"
            "0101"
            "00"
            "01"
            "fe00016b"
            "feffffffffffffffff");
    refused("03"
            "fdffff00"
            "01" TEXT);
    refused("03"
            "fd000001"
            "01" TEXT); /* 65,536 */
    refused("03"
            "feffffffffffffffff"
            "01" TEXT);
}

/* --- in an execute --- */

static struct statement_map *map;

static struct statement *statement_with(bool attributes, uint16_t parameters)
{
    struct statement_text text = {.bytes = "?", .length = 1, .full_length = 1};
    cr_assert(statement_map_create(attributes, &map, NULL));
    cr_assert(statement_add(map, 1, parameters, &text, NULL));
    return statement_find(map, 1);
}

/* The values and attributes of an execute that is then bound; NULL where it is refused. */
static const char *execute_trace(struct statement *statement, const char *hex)
{
    static struct seen seen;
    struct bytes bytes = bytes_of(hex);
    const struct attribute_sink sink = {say_attribute, &seen};
    seen.trace[0] = '\0';
    bool good = statement_values(statement, view(bytes), bytes.length, say_value, &seen, NULL) &&
                statement_attributes(statement, view(bytes), bytes.length, &sink, NULL);
    cr_assert(!good || statement_bind(statement, view(bytes), NULL));
    free(bytes.data);
    return good ? seen.trace : NULL;
}

#define EXECUTE(flags) \
    "17"               \
    "01000000" flags "01000000"
#define FIVE "0500000000000000"

Test(execute_attributes, stand_behind_the_parameters)
{
    struct statement *statement = statement_with(true, 1);
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "02"
                                                            "00"
                                                            "01"
                                                            "080000"
                                                            "fe00016b" FIVE "0176"),
                     "5 k='v' ");
    /* The flag is not looked at where there are parameters (tried with MySQL 9.7). */
    cr_assert_str_eq(execute_trace(statement, EXECUTE("00") "01"
                                                            "00"
                                                            "01"
                                                            "080000" FIVE),
                     "5 ");
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "01"
                                                            "00"
                                                            "00" FIVE),
                     "5 ");
    statement_map_destroy(map);
}

Test(execute_attributes, need_a_flag_where_there_are_no_parameters)
{
    struct statement *statement = statement_with(true, 0);
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "01"
                                                            "00"
                                                            "01"
                                                            "fe00016b"
                                                            "0176"),
                     "k='v' ");
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "00"), "");
    cr_assert_str_eq(execute_trace(statement, EXECUTE("00")), "");
    cr_assert_null(execute_trace(statement, EXECUTE("08")));
    statement_map_destroy(map);
}

Test(execute_attributes, are_none_where_they_were_not_agreed_on)
{
    struct statement *statement = statement_with(false, 1);
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "00"
                                                            "01"
                                                            "0800" FIVE),
                     "5 ");
    cr_assert_null(execute_trace(statement, EXECUTE("08") "01"
                                                          "00"
                                                          "01"
                                                          "080000" FIVE));
    statement_map_destroy(map);
}

Test(execute_attributes, refuses_what_cannot_be_attributed)
{
    struct statement *statement = statement_with(true, 2);
    const char *types = "080000"
                        "080000";
    char hex[256];
    /* Fewer values than parameters; then, once types are known, an attribute without its own. */
    cr_assert_null(execute_trace(statement, EXECUTE("08") "01"
                                                          "00"
                                                          "01"
                                                          "080000" FIVE));
    cr_assert_null(execute_trace(statement, EXECUTE("08") "00"));
    snprintf(hex, sizeof hex,
             EXECUTE("08") "02"
                           "00"
                           "01"
                           "%s" FIVE FIVE,
             types);
    cr_assert_str_eq(execute_trace(statement, hex), "5 5 ");
    cr_assert_null(execute_trace(statement, EXECUTE("08") "03"
                                                          "00"
                                                          "00" FIVE FIVE "0176"));
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "02"
                                                            "00"
                                                            "00" FIVE FIVE),
                     "5 5 ");
    statement_map_destroy(map);
}

Test(execute_attributes, long_data_stands_in_for_a_parameter_only)
{
    struct statement *statement = statement_with(true, 1);
    struct bytes data = bytes_of("18"
                                 "01000000"
                                 "0000"
                                 "6c6f6e67");
    struct bytes behind = bytes_of("18"
                                   "01000000"
                                   "0100"
                                   "6c6f6e67");
    cr_assert(statement_long_data(statement, view(data), data.length, NULL));
    cr_assert_not(statement_long_data(statement, view(behind), behind.length, NULL));
    cr_assert_str_eq(execute_trace(statement, EXECUTE("08") "02"
                                                            "00"
                                                            "01"
                                                            "fe0000"
                                                            "fe00016b"
                                                            "0176"),
                     "'long' k='v' ");
    free(data.data);
    free(behind.data);
    statement_map_destroy(map);
}
