/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/line.h"
#include "audit/params.h"

static struct audit_params params;
static const char *json;
static size_t length;

static void open_params(void)
{
    params_init(&params);
    params_begin(&params, NULL);
}

static void close_params(void)
{
    params_release(&params);
}

TestSuite(params, .init = open_params, .fini = close_params);

static void finish(void)
{
    struct error err;
    cr_assert(params_finish(&params, &json, &length, &err), "%s", err.message);
}

static void expect(const char *wanted)
{
    finish();
    cr_expect(length == strlen(wanted) && memcmp(json, wanted, length) == 0, "%.*s\nnot\n%s",
              (int)length, json, wanted);
}

Test(params, none)
{
    expect("[]");
}

Test(params, numbers_are_exact)
{
    params_null(&params);
    params_int(&params, INT64_MIN);
    params_int(&params, -1);
    params_unsigned(&params, UINT64_MAX);
    expect("[null,-9223372036854775808,-1,18446744073709551615]");
}

Test(params, doubles_in_the_fewest_digits)
{
    params_double(&params, 0.1);
    params_double(&params, 1.0 / 3);
    params_double(&params, 1e300);
    params_double(&params, -0.0);
    params_double(&params, 5e-324);
    params_float(&params, 0.1f);
    params_float(&params, 16777216.0f);
    expect("[0.1,0.3333333333333333,1e+300,-0.0,4.94065645841247e-324,0.1,16777216]");
}

Test(params, doubles_read_back_as_themselves)
{
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t bits;
            double number;
        } value = {0};
        for (int b = 0; b < 4; b++)
            value.bits = value.bits << 16 | ((unsigned)rand_r(&seed) & 0xFFFF);
        if (!isfinite(value.number))
            continue;
        params_begin(&params, NULL);
        params_double(&params, value.number);
        finish();
        cr_assert(strtod(json + 1, NULL) == value.number, "%.*s", (int)length, json);
    }
}

Test(params, what_json_or_its_readers_have_no_number_for)
{
    params_double(&params, NAN);
    params_double(&params, INFINITY);
    params_float(&params, -INFINITY);
    params_double(&params, -0.0);
    params_float(&params, -0.0F);
    expect("[\"NaN\",\"Infinity\",\"-Infinity\",-0.0,-0.0]");
}

Test(params, text_and_bytes)
{
    params_text(&params, "a\"\n\0é", 6, 6);
    params_text(&params, "", 0, 0);
    params_bytes(&params, "\x00\xFF", 2, 2);
    params_bytes(&params, NULL, 0, 0);
    params_text(&params, "\xFF", 1, 1);
    expect("[\"a\\\"\\n\\u0000é\",\"\",{\"base64\":\"AP8=\"},{\"base64\":\"\"},{\"base64\":\"/"
           "w==\"}]");
}

Test(params, text_of_other_charsets)
{
    params_begin(&params, "latin1");
    params_text(&params, "\xE9", 1, 1);
    expect("[\"é\"]");
    params_begin(&params, "sjis");
    params_text(&params, "\x83\x5C", 2, 2);
    params_text(&params, "\x83", 1, 1);
    expect("[\"ソ\",{\"base64\":\"gw==\"}]");
}

Test(params, cut_values_say_so)
{
    params_text(&params, "abc", 3, 100);
    params_bytes(&params, "\x01", 1, UINT64_MAX);
    expect("[{\"length\":100,\"truncated\":true,\"text\":\"abc\"},"
           "{\"length\":18446744073709551615,\"truncated\":true,\"base64\":\"AQ==\"}]");
}

Test(params, long_text_is_cut_at_a_characters_end)
{
    static char text[AUDIT_PARAM_VALUE_MAX + 10];
    memset(text, 'a', sizeof text);
    memcpy(text + AUDIT_PARAM_VALUE_MAX - 1, "é", 2);
    params_text(&params, text, sizeof text, sizeof text);
    finish();
    cr_expect_not_null(memmem(json, length, "\"length\":4106,\"truncated\":true,\"text\"", 36));
    cr_expect_null(memmem(json, length, "base64", 6));
    char exact[64];
    params_begin(&params, NULL);
    params_text(&params, text, AUDIT_PARAM_VALUE_MAX - 1, AUDIT_PARAM_VALUE_MAX - 1);
    finish();
    cr_expect_eq(length, AUDIT_PARAM_VALUE_MAX - 1 + 4, "%s",
                 (snprintf(exact, sizeof exact, "%zu", length), exact));
}

static void expect_valid(void)
{
    static struct audit_line line;
    static char text[AUDIT_PARAMS_MAX + 64];
    struct error err;
    int size =
        snprintf(text, sizeof text, "{\"v\":1,\"seq\":1,\"params\":%.*s}", (int)length, json);
    cr_assert(size > 0 && (size_t)size < sizeof text);
    cr_assert(audit_line_read(text, (size_t)size, &line, &err), "%s", err.message);
}

Test(params, are_bounded_and_tell_what_is_left_out)
{
    static char zeros[AUDIT_PARAM_VALUE_MAX];
    for (int i = 0; i < 65535; i++)
        params_text(&params, zeros, i % 7 ? 1 : sizeof zeros, sizeof zeros);
    finish();
    expect_valid();
    cr_expect_leq(length, AUDIT_PARAMS_MAX);
    cr_expect_gt(length, AUDIT_PARAMS_MAX - 64 * 1024);
    cr_expect_eq(memcmp(json + length - 2, "}]", 2), 0);
    cr_expect_not_null(memmem(json, length, ",{\"omitted\":", 12));
}

Test(params, fill_the_room_to_the_last_byte_without_passing_it)
{
    for (size_t pad = 0; pad < 200; pad++) {
        char text[256] = {0};
        params_begin(&params, NULL);
        params_text(&params, text, pad, pad);
        for (int i = 0; i < 300; i++)
            params_text(&params, text, 200, 200);
        finish();
        cr_assert_leq(length, AUDIT_PARAMS_MAX);
        expect_valid();
    }
}

static int allocations_left;

static void *fail_soon(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

Test(params, lack_of_memory_is_no_omission)
{
    struct error err;
    char text[1000];
    memset(text, 'x', sizeof text);
    for (int allowed = 0; allowed < 6; allowed++) {
        params_trim(&params, 0);
        params_begin(&params, NULL);
        allocations_left = allowed;
        buffer_set_allocator(fail_soon);
        for (int i = 0; i < 100; i++)
            params_text(&params, text, sizeof text, sizeof text);
        bool done = params_finish(&params, &json, &length, &err);
        buffer_set_allocator(NULL);
        cr_expect_not(done);
        cr_expect_eq(err.code, ERROR_MEMORY);
    }
}

Test(params, what_a_bulk_leaves_to_the_server)
{
    params_default(&params);
    params_ignore(&params);
    params_int(&params, 1);
    expect("[{\"default\":true},{\"ignore\":true},1]");
}

/* A name belongs to the next value alone. */
Test(params, named_values)
{
    params_name(&params, "a", 1);
    params_int(&params, 1);
    params_name(&params, "", 0);
    params_text(&params, "v\"", 2, 2);
    params_name(&params, "\xC3\xA4", 2);
    params_null(&params);
    params_int(&params, 2);
    expect("[{\"name\":\"a\",\"value\":1},{\"name\":\"\",\"value\":\"v\\\"\"},"
           "{\"name\":\"\xC3\xA4\",\"value\":null},2]");
}

Test(params, names_in_other_character_sets_and_of_any_length)
{
    static char name[AUDIT_PARAM_VALUE_MAX + 1];
    params_begin(&params, "latin1");
    params_name(&params, "\xE4", 1);
    params_bytes(&params, "\xFF", 1, 1);
    expect("[{\"name\":\"\xC3\xA4\",\"value\":{\"base64\":\"/w==\"}}]");
    params_begin(&params, NULL);
    params_name(&params, "\xE4", 1);
    params_int(&params, 1);
    expect("[{\"name\":{\"base64\":\"5A==\"},\"value\":1}]");
    memset(name, 'n', sizeof name);
    params_begin(&params, NULL);
    params_name(&params, name, sizeof name);
    params_int(&params, 1);
    finish();
    expect_valid();
    cr_expect_not_null(memmem(json, length, "{\"length\":4097,\"truncated\":true,", 31));
}

Test(params, named_values_are_bounded_too)
{
    static char zeros[AUDIT_PARAM_VALUE_MAX];
    for (int i = 0; i < 65535; i++) {
        params_name(&params, zeros, i % 5 ? 3 : sizeof zeros);
        if (i % 3)
            params_int(&params, i);
        else
            params_text(&params, zeros, sizeof zeros, sizeof zeros);
    }
    params_name(&params, "late", 4);
    params_omit(&params);
    finish();
    expect_valid();
    cr_expect_leq(length, AUDIT_PARAMS_MAX);
    cr_expect_null(memmem(json, length, "late", 4));
}
