/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tls/hello.h"

#define MINIMAL "{\"version\":1,\"database\":\"shop\"}"

#define FAMILY "001fff000000000000000000000000a9"

static struct hello example(void)
{
    struct hello hello = {.database = "shop",
                          .has_family = true,
                          .family = {0x00, 0x1f, 0xff, [15] = 0xa9},
                          .local = {.address = "127.0.0.1:51234",
                                    .executable = "/usr/bin/php8.2",
                                    .has_uid = true,
                                    .has_gid = true,
                                    .has_pid = true,
                                    .uid = 1000,
                                    .gid = UINT32_MAX,
                                    .pid = 4711}};
    return hello;
}

/* A frame around text, which may hold anything. */
static struct byte_view frame(const char *json, size_t length)
{
    static uint8_t bytes[2 * HELLO_FRAME_MAX];
    for (size_t i = 0; i < HELLO_HEADER_SIZE; i++)
        bytes[i] = (uint8_t)(length >> (8 * (3 - i)));
    memcpy(bytes + HELLO_HEADER_SIZE, json, length);
    return byte_view(bytes, HELLO_HEADER_SIZE + length);
}

static void takes(const char *json, struct hello *out)
{
    size_t consumed = 0;
    struct error err = {0};
    struct byte_view bytes = frame(json, strlen(json));
    cr_assert_eq(hello_read(bytes, out, &consumed, &err), HELLO_COMPLETE, "%s: %s", json,
                 err.message);
    cr_assert_eq(consumed, bytes.length);
}

static void refuses_bytes(const char *json, size_t length, const char *word)
{
    size_t consumed = 99;
    struct hello out = {.database = "untouched"};
    struct error err = {0};
    cr_assert_eq(hello_read(frame(json, length), &out, &consumed, &err), HELLO_MALFORMED, "%s",
                 json);
    cr_assert(strstr(err.message, word), "%s: %s", json, err.message);
    cr_assert_eq(consumed, 99);
    cr_assert_str_eq(out.database, "untouched");
}

static void refuses(const char *json, const char *word)
{
    refuses_bytes(json, strlen(json), word);
}

Test(hello, comes_back_as_it_was_sent)
{
    struct hello sent = example(), got;
    struct buffer out;
    size_t consumed;
    buffer_init(&out, HELLO_FRAME_MAX);
    cr_assert(hello_append(&out, &sent, NULL));
    struct byte_view bytes = {buffer_bytes(&out), buffer_length(&out)};
    cr_assert_eq(hello_read(bytes, &got, &consumed, NULL), HELLO_COMPLETE);
    cr_assert_eq(consumed, bytes.length);
    cr_assert_str_eq(got.database, "shop");
    cr_assert_str_eq(got.local.address, "127.0.0.1:51234");
    cr_assert_str_eq(got.local.executable, "/usr/bin/php8.2");
    cr_assert(got.local.has_uid && got.local.has_gid && got.local.has_pid);
    cr_assert_eq(got.local.uid, 1000);
    cr_assert_eq(got.local.gid, UINT32_MAX);
    cr_assert_eq(got.local.pid, 4711);
    cr_assert(got.has_family);
    cr_assert_arr_eq(got.family, sent.family, sizeof got.family);
    buffer_release(&out);
}

Test(hello, is_written_as_documented)
{
    struct hello sent = example();
    struct buffer out;
    static const char json[] = "{\"version\":1,\"database\":\"shop\",\"family\":\"" FAMILY "\","
                               "\"local\":{\"address\":\"127.0.0.1:51234\",\"uid\":1000,\"gid\":"
                               "4294967295,\"pid\":4711,\"executable\":\"/usr/bin/php8.2\"}}";
    buffer_init(&out, HELLO_FRAME_MAX);
    cr_assert(hello_append(&out, &sent, NULL));
    cr_assert_eq(buffer_length(&out), HELLO_HEADER_SIZE + strlen(json));
    cr_assert_eq(memcmp(buffer_bytes(&out), "\0\0\0", 3), 0);
    cr_assert_eq(buffer_bytes(&out)[3], strlen(json));
    cr_assert_eq(memcmp(buffer_bytes(&out) + HELLO_HEADER_SIZE, json, strlen(json)), 0);
    buffer_release(&out);
}

Test(hello, needs_each_byte)
{
    struct hello sent = example(), got;
    struct buffer out;
    size_t consumed = 99;
    buffer_init(&out, HELLO_FRAME_MAX);
    cr_assert(hello_append(&out, &sent, NULL));
    for (size_t length = 0; length < buffer_length(&out); length++) {
        struct byte_view part = {buffer_bytes(&out), length};
        cr_assert_eq(hello_read(part, &got, &consumed, NULL), HELLO_NEED_MORE, "%zu", length);
    }
    cr_assert_eq(consumed, 99);
    buffer_release(&out);
}

Test(hello, leaves_what_follows)
{
    struct hello got;
    size_t consumed;
    struct byte_view bytes = frame(MINIMAL "abc", strlen(MINIMAL));
    bytes.length += 3;
    cr_assert_eq(hello_read(bytes, &got, &consumed, NULL), HELLO_COMPLETE);
    cr_assert_eq(consumed, HELLO_HEADER_SIZE + strlen(MINIMAL));
}

Test(hello, holds_the_longest_values)
{
    struct hello sent = example(), got;
    struct buffer out;
    size_t consumed;
    memset(sent.database, '"', sizeof sent.database - 1);
    memset(sent.local.address, '\\', sizeof sent.local.address - 1);
    memset(sent.local.executable, '"', sizeof sent.local.executable - 1);
    buffer_init(&out, HELLO_FRAME_MAX);
    cr_assert(hello_append(&out, &sent, NULL));
    struct byte_view bytes = {buffer_bytes(&out), buffer_length(&out)};
    cr_assert_eq(hello_read(bytes, &got, &consumed, NULL), HELLO_COMPLETE);
    cr_assert_str_eq(got.database, sent.database);
    cr_assert_str_eq(got.local.address, sent.local.address);
    cr_assert_str_eq(got.local.executable, sent.local.executable);
    buffer_release(&out);
}

Test(hello, does_not_send_a_database_that_nobody_could_read)
{
    static const char *const names[] = {"", "a\nb", "\x7f", "\xff", "\xc3"};
    struct hello sent = example();
    struct buffer out;
    buffer_init(&out, HELLO_FRAME_MAX);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        strcpy(sent.database, names[i]);
        cr_assert_not(hello_database_valid(names[i]));
        cr_assert_not(hello_append(&out, &sent, NULL), "%zu", i);
        cr_assert_eq(buffer_length(&out), 0);
    }
    buffer_release(&out);
}

Test(hello, leaves_out_an_odd_path)
{
    struct hello sent = example(), got;
    struct buffer out;
    size_t consumed;
    strcpy(sent.local.executable, "/tmp/\xff\xfe");
    buffer_init(&out, HELLO_FRAME_MAX);
    cr_assert(hello_append(&out, &sent, NULL));
    struct byte_view bytes = {buffer_bytes(&out), buffer_length(&out)};
    cr_assert_eq(hello_read(bytes, &got, &consumed, NULL), HELLO_COMPLETE);
    cr_assert_str_eq(got.local.executable, "");
    cr_assert_eq(got.local.uid, 1000);
    buffer_release(&out);
}

Test(hello, does_not_overflow_a_small_buffer)
{
    struct hello sent = example();
    uint8_t room[16];
    struct buffer out;
    struct error err = {0};
    buffer_init_fixed(&out, room, sizeof room);
    cr_assert_not(hello_append(&out, &sent, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
}

Test(hello, needs_neither_local_nor_its_keys)
{
    struct hello got;
    takes(MINIMAL, &got);
    cr_assert_str_eq(got.local.address, "");
    cr_assert_not(got.local.has_uid || got.local.has_gid || got.local.has_pid);
    takes("{\"version\":1,\"database\":\"shop\",\"local\":{}}", &got);
    takes(" { \"database\" : \"sh\\u00f6p\" , \"version\" : 1.0 } ", &got);
    cr_assert_str_eq(got.database, "sh\xc3\xb6p");
}

static void family_refused(const char *value, const char *word)
{
    char json[256];
    (void)snprintf(json, sizeof json, "{\"version\":1,\"database\":\"shop\",\"family\":%s}", value);
    refuses(json, word);
}

Test(hello, needs_no_family_but_takes_no_other_form)
{
    static const char *const values[] = {
        "\"\"",
        "\"001fff000000000000000000000000a\"",
        "\"001fff000000000000000000000000a90\"",
        "\"001FFF000000000000000000000000A9\"",
        "\"001fff000000000000000000000000ag\"",
        "\"001fff00000000000000000000000 a9\"",
        "\"001fff0000000000000000000000-0a9\"",
        "\"001fff00000000000000000000000\u00e9\"",
    };
    struct hello got;
    takes(MINIMAL, &got);
    cr_assert_not(got.has_family);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        family_refused(values[i], "not 32 lower-case hexadecimal digits");
    family_refused("null", "not a text");
    family_refused("1", "not a text");
    family_refused("\"" FAMILY "\",\"family\":\"" FAMILY "\"", "stands twice");
}

Test(hello, a_family_that_is_not_one_leaves_its_place_untouched)
{
    uint8_t out[HELLO_FAMILY_SIZE] = "untouched";
    struct error err = {0};
    cr_assert_not(hello_family_read("001fff000000000000000000000000aX", out, &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
    cr_assert_str_eq((const char *)out, "untouched");
    cr_assert(hello_family_read(FAMILY, out, &err));
    cr_assert_arr_eq(out, example().family, sizeof out);
}

Test(hello, ignores_what_a_newer_tunnel_adds)
{
    struct hello got;
    takes("{\"version\":1,\"database\":\"shop\",\"region\":[1,{\"x\":null}],"
          "\"local\":{\"cgroup\":\"/a\",\"uid\":7}}",
          &got);
    cr_assert_eq(got.local.uid, 7);
}

Test(hello, refuses_a_length_before_its_bytes_come)
{
    struct hello got;
    size_t consumed;
    struct error err = {0};
    const uint8_t most[] = {0, 0, 0x10, 0}, over[] = {0, 0, 0x10, 1}, http[] = {'G', 'E', 'T', ' '};
    cr_assert_eq(hello_read(byte_view(most, 4), &got, &consumed, NULL), HELLO_NEED_MORE);
    cr_assert_eq(hello_read(byte_view(over, 4), &got, &consumed, &err), HELLO_MALFORMED);
    cr_assert(strstr(err.message, "4097"), "%s", err.message);
    cr_assert_eq(hello_read(byte_view(http, 4), &got, &consumed, NULL), HELLO_MALFORMED);
}

Test(hello, refuses_what_is_not_one_json_object)
{
    refuses("", "not JSON");
    refuses("[]", "not an object");
    refuses("1", "not an object");
    refuses("\"x\"", "not an object");
    refuses("{", "not JSON");
    refuses(MINIMAL "{}", "behind");
    refuses(MINIMAL "x", "behind");
    refuses("{\"version\":1,\"database\":\"sh\xff\"}", "UTF-8");
    refuses_bytes(MINIMAL "\0", strlen(MINIMAL) + 1, "UTF-8");
}

Test(hello, refuses_deep_nesting)
{
    char json[HELLO_JSON_MAX];
    memset(json, '[', sizeof json);
    refuses_bytes(json, sizeof json, "not JSON");
}

Test(hello, refuses_another_version)
{
    refuses("{\"database\":\"shop\"}", "version");
    refuses("{\"version\":2,\"database\":\"shop\"}", "version 2");
    refuses("{\"version\":0,\"database\":\"shop\"}", "version 0");
    refuses("{\"version\":\"1\",\"database\":\"shop\"}", "version");
    refuses("{\"version\":1.5,\"database\":\"shop\"}", "version");
    refuses("{\"Version\":1,\"database\":\"shop\"}", "version");
}

Test(hello, refuses_a_bad_database)
{
    char json[2 * HELLO_DATABASE_SIZE];
    refuses("{\"version\":1}", "no database");
    refuses("{\"version\":1,\"database\":\"\"}", "no database");
    refuses("{\"version\":1,\"database\":7}", "database");
    refuses("{\"version\":1,\"database\":null}", "database");
    refuses("{\"version\":1,\"database\":\"a\\nb\"}", "database");
    refuses("{\"version\":1,\"database\":\"shop\\u0000admin\"}", "NUL");
    refuses("{\"version\":1,\"database\":\"a\",\"database\":\"b\"}", "twice");
    refuses("{\"version\":1,\"database\":\"a\",\"d\\u0061tabase\":\"b\"}", "twice");
    (void)snprintf(json, sizeof json, "{\"version\":1,\"database\":\"%0*d\"}", HELLO_DATABASE_SIZE,
                   0);
    refuses(json, "255");
}

Test(hello, refuses_bad_facts_about_the_client)
{
    static const char *const locals[] = {
        "7",
        "[]",
        "null",
        "{\"uid\":-1}",
        "{\"uid\":4294967296}",
        "{\"uid\":1.5}",
        "{\"uid\":\"0\"}",
        "{\"uid\":1e999}",
        "{\"uid\":0,\"uid\":1}",
        "{\"gid\":true}",
        "{\"pid\":{}}",
        "{\"address\":1}",
        "{\"address\":\"a\\u001bb\"}",
        "{\"executable\":\"\\u007f\"}",
        "{\"executable\":\"\\ud800\"}",
    };
    char json[256];
    for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
        (void)snprintf(json, sizeof json, "{\"version\":1,\"database\":\"shop\",\"local\":%s}",
                       locals[i]);
        refuses(json, "hello");
    }
}
