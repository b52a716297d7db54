/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fields.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "control/frame.h"
#include "control/message.h"

static struct error failure;

static cJSON *tree_of(const char *text)
{
    cJSON *tree = NULL;
    struct error err = {0};
    cr_assert(control_parse(byte_view_of(text), &tree, &err), "%s: %s", text, err.message);
    return tree;
}

/* Reads one field; the tree is freed, so `check` sees borrowed values. */
static bool reads(const char *text, enum control_keys keys, const struct control_field *fields,
                  size_t count, void (*check)(void))
{
    cJSON *tree = tree_of(text);
    failure = (struct error){0};
    bool good = control_fields_read(tree, keys, fields, count, &failure);
    cr_assert_eq(good, failure.code == ERROR_NONE);
    if (good && check)
        check();
    control_free(tree);
    return good;
}

static bool reads_one(const char *text, const struct control_field *field)
{
    return reads(text, CONTROL_KEYS_EXACT, field, 1, NULL);
}

#define FAILS_WITH(code_, text_)                                                   \
    do {                                                                           \
        cr_assert_eq(failure.code, code_, "%s", failure.message);                  \
        cr_assert_not_null(strstr(failure.message, text_), "%s", failure.message); \
    } while (0)

/* Keys. */

static const char *name;
static const struct control_field name_field = {
    .key = "name", .type = CONTROL_TEXT, .to.text = &name, .greatest = 8};

static void check_name(void)
{
    cr_assert_str_eq(name, "ci-1");
}

Test(control_fields, knows_id_and_request_of_a_request)
{
    static const char text[] = "{\"id\":1,\"request\":\"bot_show\",\"name\":\"ci-1\"}";
    cr_assert(reads(text, CONTROL_KEYS_REQUEST, &name_field, 1, check_name), "%s", failure.message);
    cr_assert_not(reads(text, CONTROL_KEYS_EXACT, &name_field, 1, NULL));
    FAILS_WITH(ERROR_MALFORMED, "unknown key 'id'");
}

Test(control_fields, refuses_an_unknown_key)
{
    cr_assert_not(reads_one("{\"name\":\"ci-1\",\"nmae\":1}", &name_field));
    FAILS_WITH(ERROR_MALFORMED, "unknown key 'nmae'");
    cr_assert_not(reads_one("{\"Name\":\"ci-1\"}", &name_field));
    FAILS_WITH(ERROR_MALFORMED, "unknown key 'Name'");
    cr_assert_not(reads("{\"id\":1,\"x\":1}", CONTROL_KEYS_REQUEST, NULL, 0, NULL));
    FAILS_WITH(ERROR_MALFORMED, "unknown key 'x'");
}

Test(control_fields, an_answer_may_have_more)
{
    cr_assert(reads("{\"new\":[],\"name\":\"ci-1\",\"newer\":1}", CONTROL_KEYS_ANY, &name_field, 1,
                    check_name));
}

Test(control_fields, cuts_a_long_unknown_key)
{
    char text[2100] = "{\"";
    memset(text + 2, 'k', 2000);
    memcpy(text + 2002, "\":1}", 5);
    cr_assert_not(reads_one(text, &name_field));
    cr_assert_lt(strlen(failure.message), 100);
}

Test(control_fields, refuses_a_missing_key_unless_it_is_optional)
{
    bool present = true;
    struct control_field field = name_field;
    field.present = &present;
    cr_assert_not(reads_one("{}", &field));
    FAILS_WITH(ERROR_MALFORMED, "'name' is missing");
    field.optional = true;
    name = "stale";
    cr_assert(reads_one("{}", &field));
    cr_assert_null(name);
    cr_assert_not(present);
    cr_assert(reads_one("{\"name\":\"x\"}", &field));
    cr_assert(present);
    cr_assert_not(reads_one("{\"name\":null}", &field), "null is not absence");
}

/* Types. */

Test(control_fields, refuses_each_wrong_type)
{
    uint64_t number;
    bool flag;
    const cJSON *value;
    const char *items[2];
    uint8_t room[64];
    int64_t time;
    struct control_texts texts = {items, 2, 0};
    struct control_bytes bytes = {room, sizeof room, 0};
    const struct control_field fields[] = {
        {.key = "v", .type = CONTROL_TEXT, .to.text = &name, .greatest = 99},
        {.key = "v", .type = CONTROL_LINES, .to.text = &name, .greatest = 99},
        {.key = "v", .type = CONTROL_TEXTS, .to.texts = &texts, .greatest = 99},
        {.key = "v", .type = CONTROL_UNSIGNED, .to.number = &number},
        {.key = "v", .type = CONTROL_BOOL, .to.flag = &flag},
        {.key = "v", .type = CONTROL_OBJECT, .to.value = &value},
        {.key = "v", .type = CONTROL_OBJECTS, .to.value = &value, .greatest = 99},
        {.key = "v", .type = CONTROL_BYTES, .to.bytes = &bytes},
        {.key = "v", .type = CONTROL_TIME, .to.time = &time},
        {.key = "v", .type = CONTROL_DURATION, .to.time = &time},
    };
    /* The one value of each type, by the same index; all others are wrong for it. */
    static const char *const values[] = {"\"\xC3\xBC\"",
                                         "\"a\\nb\"",
                                         "[\"a\"]",
                                         "7",
                                         "true",
                                         "{}",
                                         "[{}]",
                                         "\"AAAA\"",
                                         "\"2026-01-31T23:59:59Z\"",
                                         "\"10m\"",
                                         "null",
                                         "[1]",
                                         "[[]]",
                                         "-1"};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char text[64];
            (void)snprintf(text, sizeof text, "{\"v\":%s}", values[v]);
            bool string = v == 0 || v == 7 || v == 8 || v == 9;
            bool right = v == f || (f <= 1 && string);
            cr_assert_eq(reads_one(text, &fields[f]), right, "field %zu, %s: %s", f, text,
                         failure.message);
            if (!right)
                FAILS_WITH(ERROR_MALFORMED, "'v' is not ");
        }
}

Test(control_fields, bounds_a_text)
{
    cr_assert(reads_one("{\"name\":\"12345678\"}", &name_field));
    cr_assert_not(reads_one("{\"name\":\"123456789\"}", &name_field));
    FAILS_WITH(ERROR_LIMIT, "at most 8");
    cr_assert_not(reads_one("{\"name\":\"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\"}", &name_field),
                  "bytes, not characters");
    cr_assert_not(reads_one("{\"name\":\"\"}", &name_field));
    FAILS_WITH(ERROR_LIMIT, "'name' is empty");
    struct control_field field = name_field;
    field.empty = true;
    cr_assert(reads_one("{\"name\":\"\"}", &field));
    field.least = 3;
    cr_assert_not(reads_one("{\"name\":\"12\"}", &field));
    FAILS_WITH(ERROR_LIMIT, "at least 3");
}

Test(control_fields, refuses_control_characters)
{
    static const char *const bad[] = {"a\\nb", "a\\tb", "a\\u0001", "\\u001b[2J", "\\u007f"};
    struct control_field lines = name_field;
    lines.type = CONTROL_LINES;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"name\":\"%s\"}", bad[i]);
        cr_assert_not(reads_one(text, &name_field), "%s", text);
        FAILS_WITH(ERROR_MALFORMED, "control characters");
        cr_assert_eq(reads_one(text, &lines), i < 2, "%s", text);
    }
}

Test(control_fields, reads_a_list_of_texts)
{
    const char *items[3];
    struct control_texts texts = {items, 3, 7};
    const struct control_field field = {
        .key = "roles", .type = CONTROL_TEXTS, .to.texts = &texts, .greatest = 4};
    cJSON *tree = tree_of("{\"roles\":[\"a\",\"bcde\",\"a\"]}");
    cr_assert(control_fields_read(tree, CONTROL_KEYS_EXACT, &field, 1, NULL));
    cr_assert_eq(texts.count, 3);
    cr_assert_str_eq(items[1], "bcde");
    control_free(tree);
    cr_assert(reads_one("{\"roles\":[]}", &field));
    cr_assert_eq(texts.count, 0);
    cr_assert_not(reads_one("{\"roles\":[\"a\",\"b\",\"c\",\"d\"]}", &field));
    FAILS_WITH(ERROR_LIMIT, "more than 3");
    cr_assert_not(reads_one("{\"roles\":[\"abcde\"]}", &field));
    FAILS_WITH(ERROR_LIMIT, "at most 4");
    cr_assert_not(reads_one("{\"roles\":[\"a\",2]}", &field));
    FAILS_WITH(ERROR_MALFORMED, "'roles'");
    cr_assert_not(reads_one("{\"roles\":[\"a\\nb\"]}", &field));
}

Test(control_fields, reads_whole_numbers_without_loss)
{
    uint64_t number = 0;
    struct control_field field = {.key = "n", .type = CONTROL_UNSIGNED, .to.number = &number};
    cr_assert(reads_one("{\"n\":999999999999999}", &field));
    cr_assert_eq(number, CONTROL_ID_MAX);
    cr_assert(reads_one("{\"n\":1.0e3}", &field));
    cr_assert_eq(number, 1000);
    static const char *const bad[] = {"{\"n\":1000000000000000}", "{\"n\":1e400}", "{\"n\":-1}",
                                      "{\"n\":0.5}", "{\"n\":18446744073709551616}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(reads_one(bad[i], &field), "%s", bad[i]);
        FAILS_WITH(ERROR_MALFORMED, "'n' is not a whole number");
    }
    field.least = 5;
    field.greatest = 6;
    cr_assert_not(reads_one("{\"n\":4}", &field));
    cr_assert_not(reads_one("{\"n\":7}", &field));
    FAILS_WITH(ERROR_LIMIT, "at most 6");
    cr_assert(reads_one("{\"n\":6}", &field));
}

Test(control_fields, reads_base64url)
{
    uint8_t room[3];
    struct control_bytes bytes = {room, sizeof room, 0};
    struct control_field field = {.key = "b", .type = CONTROL_BYTES, .to.bytes = &bytes};
    cr_assert(reads_one("{\"b\":\"-_8\"}", &field));
    cr_assert(bytes.length == 2 && room[0] == 0xFB && room[1] == 0xFF);
    cr_assert(reads_one("{\"b\":\"\"}", &field));
    cr_assert_eq(bytes.length, 0);
    static const char *const bad[] = {
        "-_8=", "+/8",  "-_9", /* bits that are left over are not 0 */
        "A",    "AA A", " AAA", "AAA\\n", "AAAAA", "AAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"b\":\"%s\"}", bad[i]);
        cr_assert_not(reads_one(text, &field), "%s", text);
        cr_assert_eq(bytes.length, 0);
    }
    field.least = 3;
    cr_assert_not(reads_one("{\"b\":\"-_8\"}", &field));
    FAILS_WITH(ERROR_LIMIT, "at least 3");
}

Test(control_fields, writes_base64url_that_it_reads)
{
    uint8_t written[100], room[100];
    for (size_t length = 0; length <= sizeof written; length++) {
        struct control_bytes bytes = {room, sizeof room, 0};
        const struct control_field field = {.key = "b", .type = CONTROL_BYTES, .to.bytes = &bytes};
        for (size_t i = 0; i < length; i++)
            written[i] = (uint8_t)(i * 37 + length);
        cJSON *object = cJSON_CreateObject();
        cr_assert(control_put_bytes(object, "b", written, length));
        cr_assert(control_fields_read(object, CONTROL_KEYS_EXACT, &field, 1, &failure), "%s",
                  failure.message);
        cr_assert(bytes.length == length && memcmp(written, room, length) == 0);
        control_free(object);
    }
}

Test(control_fields, reads_times_in_utc_alone)
{
    int64_t time = 0;
    const struct control_field field = {.key = "t", .type = CONTROL_TIME, .to.time = &time};
    cr_assert(reads_one("{\"t\":\"1970-01-01T00:00:01.5Z\"}", &field));
    cr_assert_eq(time, 1500000);
    static const char *const bad[] = {"2026-01-31T23:59:59+00:00",
                                      "2026-01-31T23:59:59",
                                      "2026-01-31t23:59:59Z",
                                      "2026-01-31 23:59:59Z",
                                      "2026-01-31T23:59:59z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-01-31T24:00:00Z",
                                      "2026-1-31T23:59:59Z",
                                      "",
                                      "Z",
                                      "2026-01-31T23:59:59ZZ",
                                      " 2026-01-31T23:59:59Z",
                                      "2026-01-31T23:59:59.Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"t\":\"%s\"}", bad[i]);
        cr_assert_not(reads_one(text, &field), "%s", text);
    }
    cJSON *object = cJSON_CreateObject();
    cr_assert(control_put_time(object, "t", 1767225599123456));
    cr_assert(control_fields_read(object, CONTROL_KEYS_EXACT, &field, 1, NULL));
    cr_assert_eq(time, 1767225599123456);
    control_free(object);
}

Test(control_fields, reads_durations)
{
    int64_t time = 0;
    struct control_field field = {.key = "ttl", .type = CONTROL_DURATION, .to.time = &time};
    cr_assert(reads_one("{\"ttl\":\"90s\"}", &field));
    cr_assert_eq(time, 90000);
    cr_assert_not(reads_one("{\"ttl\":\"90\"}", &field));
    cr_assert_not(reads_one("{\"ttl\":\"-1s\"}", &field));
    field.least = 1000;
    field.greatest = 24 * 3600 * 1000;
    cr_assert_not(reads_one("{\"ttl\":\"25h\"}", &field));
    FAILS_WITH(ERROR_LIMIT, "'ttl'");
    cr_assert_not(reads_one("{\"ttl\":\"0\"}", &field));
    cJSON *object = cJSON_CreateObject();
    cr_assert(control_put_duration(object, "ttl", 3600000));
    cr_assert_str_eq(object->child->valuestring, "1h");
    control_free(object);
}

Test(control_fields, counts_objects)
{
    const cJSON *value = NULL;
    const struct control_field field = {
        .key = "roles", .type = CONTROL_OBJECTS, .to.value = &value, .least = 1, .greatest = 2};
    cr_assert(reads_one("{\"roles\":[{},{\"a\":1}]}", &field));
    cr_assert_not(reads_one("{\"roles\":[]}", &field));
    cr_assert_not(reads_one("{\"roles\":[{},{},{}]}", &field));
    FAILS_WITH(ERROR_LIMIT, "at most 2");
    cr_assert_not(reads_one("{\"roles\":[{},[]]}", &field));
}

Test(control_fields, says_how_an_error_is_answered)
{
    static const struct {
        enum error_code code;
        enum control_code answer;
    } cases[] = {{ERROR_MALFORMED, CONTROL_MALFORMED},
                 {ERROR_LIMIT, CONTROL_INVALID},
                 {ERROR_MEMORY, CONTROL_INTERNAL},
                 {ERROR_SYSTEM, CONTROL_INTERNAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct error err = {.code = cases[i].code};
        cr_assert_eq(control_code_of_error(&err), cases[i].answer);
    }
}
