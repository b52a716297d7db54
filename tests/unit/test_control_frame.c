/* SPDX-License-Identifier: Apache-2.0 */
#include "control/frame.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/message.h"
#include "tests/unit/control_support.h"

/* JSON. */

static bool accepts(const char *text)
{
    struct error err = {0};
    bool good = control_json_check(byte_view(text, strlen(text)), &err);
    cr_assert_eq(good, err.code == ERROR_NONE);
    cJSON *tree = NULL;
    if (good) /* what the check lets through, cJSON reads */
        cr_assert(control_parse(byte_view(text, strlen(text)), &tree, &err), "%s: %s", text,
                  err.message);
    control_free(tree);
    return good;
}

Test(control_json, accepts_what_json_is)
{
    static const char *const good[] = {
        "{}",
        " \t\r\n{ } \n",
        "{\"a\":null,\"b\":true,\"c\":false,\"d\":[],\"e\":{}}",
        "{\"a\":[0,-0,1,10,-1.5,1e3,1E+3,1.25e-10,0.0]}",
        "{\"\":\"\"}",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
        "{\"\xC3\xA9\":\"\xF0\x9F\x98\x80\"}",
        "{\"a\":\"\\\\u0000\"}", /* a backslash and five letters */
        "{\"a\":\"\x7F\"}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(accepts(good[i]), "%s", good[i]);
}

Test(control_json, refuses_what_cjson_lets_through)
{
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "7",
        "\"a\"",
        "[]",
        "[{}]",
        "\xEF\xBB\xBF{}",
        "{} x",
        "{}{}",
        "{}\x01",
        "\x0B{}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-.5}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":0x10}",
        "{\"a\":1-2}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":\"line\nbreak\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\ude00\\ude00\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":\"\xC3\"}",
        "{\"a\":\"\xC0\xAF\"}",
        "{\"a\":\"\xED\xA0\x80\"}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":1",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":1 /* why */}",
        "{\"a\":1 // why\n}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(accepts(bad[i]), "%s", bad[i]);
}

Test(control_json, refuses_a_nul_byte)
{
    struct error err = {0};
    cr_assert_not(control_json_check(byte_view("{\"a\":\"x\0y\"}", 11), &err));
    cr_assert_not(control_json_check(byte_view("{}\0", 3), &err));
}

/* Every beginning of a good text is refused, and nothing behind its end is read: ASan watches. */
Test(control_json, refuses_each_beginning)
{
    static const char text[] = "{\"a\":[1.5e3,\"\\ud83d\\ude00\xC3\xA9\"],\"b\":{\"c\":null}}";
    for (size_t length = 0; length < sizeof text - 1; length++) {
        char *exact = malloc(length + 1);
        cr_assert_not_null(exact);
        memcpy(exact, text, length);
        cr_assert_not(control_json_check(byte_view(exact, length), NULL), "%zu", length);
        free(exact);
    }
    cr_assert(accepts(text));
}

/* "[[[…]]]" inside an object, `levels` deep in all. */
static void nest(char *out, size_t levels)
{
    size_t at = 0;
    at += (size_t)sprintf(out, "{\"a\":");
    for (size_t i = 1; i < levels; i++)
        out[at++] = '[';
    out[at++] = '1';
    for (size_t i = 1; i < levels; i++)
        out[at++] = ']';
    memcpy(out + at, "}", 2);
}

Test(control_json, bounds_the_depth)
{
    static char text[300000];
    struct error err = {0};
    nest(text, CONTROL_DEPTH_MAX);
    cr_assert(accepts(text));
    nest(text, CONTROL_DEPTH_MAX + 1);
    cr_assert_not(control_json_check(byte_view_of(text), &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    nest(text, 100000); /* would need a stack of its own */
    cr_assert_not(control_json_check(byte_view_of(text), &err));
}

Test(control_json, bounds_the_keys_of_an_object)
{
    for (size_t keys = CONTROL_KEYS_MAX; keys <= CONTROL_KEYS_MAX + 1; keys++) {
        static char text[20 * (CONTROL_KEYS_MAX + 2)];
        size_t at = 0;
        for (size_t i = 0; i < keys; i++)
            at += (size_t)sprintf(text + at, "%c\"k%zu\":%zu", i ? ',' : '{', i, i);
        memcpy(text + at, "}", 2);
        cr_assert_eq(accepts(text), keys == CONTROL_KEYS_MAX);
    }
}

Test(control_json, bounds_a_number)
{
    char text[200] = "{\"a\":";
    memset(text + 5, '1', CONTROL_DIGITS_MAX);
    memcpy(text + 5 + CONTROL_DIGITS_MAX, "}", 2);
    cr_assert(accepts(text));
    memcpy(text + 5 + CONTROL_DIGITS_MAX, "1}", 3);
    cr_assert_not(accepts(text));
}

static char *list_of(size_t values)
{
    char *text = malloc(2 * values + 16);
    cr_assert_not_null(text);
    size_t at = (size_t)sprintf(text, "{\"a\":[");
    for (size_t i = 0; i < values; i++) {
        text[at++] = '1';
        text[at++] = i + 1 < values ? ',' : ']';
    }
    memcpy(text + at, "}", 2);
    return text;
}

/* The greatest frame full of the smallest values: refused before cJSON takes memory for them. */
Test(control_json, a_frame_of_small_values_takes_no_memory)
{
    char *text = list_of(CONTROL_ANSWER_MAX / 2 - 16);
    cJSON *tree = NULL;
    struct error err = {0};
    size_t before = mallinfo2().uordblks;
    cr_assert_not(control_parse(byte_view_of(text), &tree, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    cr_assert_null(tree);
    cr_assert_eq(mallinfo2().uordblks, before);
    free(text);
}

Test(control_json, the_most_values_take_bounded_memory)
{
    char *text = list_of(CONTROL_VALUES_MAX - 2);
    cJSON *tree = NULL;
    struct error err = {0};
    size_t before = mallinfo2().uordblks;
    cr_assert(control_parse(byte_view_of(text), &tree, &err), "%s", err.message);
    cr_assert_leq(mallinfo2().uordblks - before, 40u << 20);
    control_free(tree);
    free(text);
    text = list_of(CONTROL_VALUES_MAX - 1);
    cr_assert_not(control_json_check(byte_view_of(text), NULL));
    free(text);
}

/* Trees. */

static bool parses(const char *text)
{
    cJSON *tree = NULL;
    struct error err = {0};
    bool good = control_parse(byte_view_of(text), &tree, &err);
    cr_assert_eq(good, tree != NULL);
    cr_assert_eq(good, err.code == ERROR_NONE);
    control_free(tree);
    return good;
}

Test(control_tree, refuses_a_key_that_stands_twice)
{
    cr_assert(parses("{\"a\":1,\"A\":2,\"aa\":3,\"b\":{\"a\":1}}"));
    cr_assert_not(parses("{\"a\":1,\"a\":1}"));
    cr_assert_not(parses("{\"a\":1,\"b\":2,\"a\":{}}"));
    cr_assert_not(parses("{\"a\":1,\"\\u0061\":2}"), "the same key by its escape");
    cr_assert_not(parses("{\"x\":{\"y\":[1,[{\"k\":1,\"l\":2,\"k\":3}]]}}"));
    cr_assert_not(parses("{\"\":1,\"\":2}"));
}

static size_t frees, frees_with_secret;

static void free_looking_for_a_secret(void *memory)
{
    frees++;
    if (memory && memmem(memory, malloc_usable_size(memory), "secret", 6))
        frees_with_secret++;
    free(memory);
}

Test(control_tree, wipes_what_it_frees)
{
    static const char text[] = "{\"a\":{\"b\":[1,\"secret-secret\"]},\"c\":\"secret\"}";
    cJSON *tree = NULL;
    cJSON_Hooks hooks = {malloc, free_looking_for_a_secret};
    cJSON_InitHooks(&hooks);
    cr_assert(control_parse(byte_view_of(text), &tree, NULL));
    control_free(tree);
    cr_assert_gt(frees, 5);
    cr_assert_eq(frees_with_secret, 0);
    cr_assert_not(parses("{\"a\":\"secret\",\"a\":1}"));
    cr_assert_eq(frees_with_secret, 0);
    cr_assert(control_parse(byte_view_of(text), &tree, NULL));
    cJSON_Delete(tree);
    cr_assert_eq(frees_with_secret, 2, "the detector works");
    cJSON_InitHooks(NULL);
    control_free(NULL);
}

/* Frames. */

Test(control_frame, refuses_an_empty_frame)
{
    struct control_reader reader;
    struct byte_view json;
    struct error err = {0};
    size_t taken;
    control_reader_init(&reader, CONTROL_REQUEST_MAX);
    cr_assert_eq(control_reader_feed(&reader, byte_view("\0\0\0\0", 4), &taken, &json, &err),
                 CONTROL_REFUSED);
    cr_assert_eq(err.code, ERROR_MALFORMED);
    control_reader_release(&reader);
}

/* Before a byte of it came. */
Test(control_frame, refuses_a_length_past_the_limit)
{
    static const uint8_t headers[][4] = {
        {0x00, 0x01, 0x00, 0x01},
        {0x01, 0x00, 0x00, 0x01},
        {0xFF, 0xFF, 0xFF, 0xFF},
        {0x7B, 0x22, 0x69, 0x64}, /* {"id: somebody who sends no lengths */
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct control_reader reader;
        struct byte_view json;
        struct error err = {0};
        size_t taken;
        control_reader_init(&reader, CONTROL_REQUEST_MAX);
        cr_assert_eq(control_reader_feed(&reader, byte_view(headers[i], 4), &taken, &json, &err),
                     CONTROL_REFUSED);
        cr_assert_eq(err.code, ERROR_LIMIT);
        control_reader_release(&reader);
    }
}

Test(control_frame, takes_the_greatest_length)
{
    uint8_t *bytes = calloc(1, CONTROL_HEADER_SIZE + CONTROL_REQUEST_MAX);
    struct control_reader reader;
    struct byte_view json;
    struct error err = {0};
    size_t taken;
    cr_assert_not_null(bytes);
    bytes[1] = 1; /* 65,536 */
    control_reader_init(&reader, CONTROL_REQUEST_MAX);
    cr_assert_eq(control_reader_feed(&reader,
                                     byte_view(bytes, CONTROL_HEADER_SIZE + CONTROL_REQUEST_MAX),
                                     &taken, &json, &err),
                 CONTROL_FRAME, "%s", err.message);
    cr_assert_eq(json.length, CONTROL_REQUEST_MAX);
    cr_assert_eq(taken, CONTROL_HEADER_SIZE + CONTROL_REQUEST_MAX);
    control_reader_release(&reader);
    free(bytes);
}

/* Two frames and the beginning of a third, in pieces of each size. */
Test(control_frame, reads_in_pieces_of_any_size)
{
    struct buffer bytes;
    buffer_init(&bytes, 1024);
    append_frame(&bytes, "{\"id\":1}");
    append_frame(&bytes, "{\"event\":\"alive\",\"and\":\"more\"}");
    append_frame(&bytes, "{}");
    size_t all = buffer_length(&bytes) - 1;
    for (size_t piece = 1; piece <= all; piece++) {
        struct control_reader reader;
        size_t frames = 0;
        control_reader_init(&reader, CONTROL_REQUEST_MAX);
        for (size_t at = 0; at < all;) {
            struct byte_view json;
            struct error err = {0};
            size_t taken;
            size_t length = all - at < piece ? all - at : piece;
            enum control_progress progress = control_reader_feed(
                &reader, byte_view(buffer_bytes(&bytes) + at, length), &taken, &json, &err);
            at += taken;
            cr_assert_neq(progress, CONTROL_REFUSED, "%s", err.message);
            if (progress == CONTROL_NEED_MORE)
                cr_assert_eq(taken, length);
            else
                cr_assert(byte_view_equals(
                    json, frames++ == 0 ? "{\"id\":1}" : "{\"event\":\"alive\",\"and\":\"more\"}"));
            cr_assert_eq(control_reader_amid(&reader), progress == CONTROL_NEED_MORE);
            cr_assert(buffer_check(&reader.held));
        }
        cr_assert_eq(frames, 2, "piece %zu", piece);
        cr_assert(control_reader_amid(&reader));
        control_reader_release(&reader);
        cr_assert_not(control_reader_amid(&reader));
    }
    buffer_release(&bytes);
}

/* I9: a header that promises 16 MiB costs nothing until they come. */
Test(control_frame, memory_grows_with_what_came)
{
    struct control_reader reader;
    struct byte_view json;
    size_t taken;
    uint8_t some[1000] = {0};
    control_reader_init(&reader, CONTROL_ANSWER_MAX);
    cr_assert_eq(control_reader_feed(&reader, byte_view("\x01\0\0\0", 4), &taken, &json, NULL),
                 CONTROL_NEED_MORE);
    cr_assert_leq(reader.held.capacity, 4096);
    for (size_t sent = 0; sent < 1000000; sent += sizeof some) {
        cr_assert_eq(
            control_reader_feed(&reader, byte_view(some, sizeof some), &taken, &json, NULL),
            CONTROL_NEED_MORE);
        cr_assert_leq(reader.held.capacity, 4096 + 2 * (sent + sizeof some));
    }
    control_reader_release(&reader);
    cr_assert_eq(reader.held.capacity, 0);
}

Test(control_frame, wipes_a_frame_before_the_next)
{
    struct buffer bytes;
    struct control_reader reader;
    struct byte_view json;
    size_t taken;
    buffer_init(&bytes, 1024);
    append_frame(&bytes, "{\"token\":\"secret\"}");
    control_reader_init(&reader, CONTROL_REQUEST_MAX);
    cr_assert_eq(control_reader_feed(&reader,
                                     byte_view(buffer_bytes(&bytes), buffer_length(&bytes)), &taken,
                                     &json, NULL),
                 CONTROL_FRAME);
    cr_assert_eq(control_reader_feed(&reader, byte_view("\0", 1), &taken, &json, NULL),
                 CONTROL_NEED_MORE);
    cr_assert_null(memmem(reader.held.storage, reader.held.capacity, "secret", 6));
    control_reader_release(&reader);
    buffer_release(&bytes);
}

/* realloc() moves bytes and leaves the old ones behind: nothing that holds any goes there. */
static void *allocate_only(void *memory, size_t size)
{
    cr_assert_null(memory, "storage with bytes in it was reallocated");
    return malloc(size);
}

Test(control_frame, grows_without_leaving_copies)
{
    struct control_reader reader;
    struct byte_view json;
    size_t taken;
    uint8_t some[700] = {0};
    buffer_set_allocator(allocate_only);
    control_reader_init(&reader, CONTROL_ANSWER_MAX);
    cr_assert_eq(control_reader_feed(&reader, byte_view("\x01\0\0\0", 4), &taken, &json, NULL),
                 CONTROL_NEED_MORE);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(
            control_reader_feed(&reader, byte_view(some, sizeof some), &taken, &json, NULL),
            CONTROL_NEED_MORE);
    cr_assert_eq(buffer_length(&reader.held), 4 + 1000 * sizeof some);
    control_reader_release(&reader);
    buffer_set_allocator(NULL);
}

static void *fail_to_allocate(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return NULL;
}

Test(control_frame, no_memory_is_an_error)
{
    struct control_reader reader;
    struct byte_view json;
    struct error err = {0};
    struct buffer out;
    size_t taken;
    cJSON *message = cJSON_CreateObject();
    control_reader_init(&reader, CONTROL_REQUEST_MAX);
    buffer_set_allocator(fail_to_allocate);
    cr_assert_eq(control_reader_feed(&reader, byte_view("\0\0\0\x02{}", 6), &taken, &json, &err),
                 CONTROL_REFUSED);
    cr_assert_eq(err.code, ERROR_MEMORY);
    cr_assert_not(control_frame_print(message, CONTROL_REQUEST_MAX, &out, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    buffer_set_allocator(NULL);
    control_reader_release(&reader);
    control_free(message);
}

/* Printing. */

static cJSON *read_back(const struct buffer *frame)
{
    struct control_reader reader;
    struct byte_view json;
    struct error err = {0};
    size_t taken;
    cJSON *tree = NULL;
    control_reader_init(&reader, CONTROL_ANSWER_MAX);
    cr_assert_eq(control_reader_feed(&reader, byte_view(buffer_bytes(frame), buffer_length(frame)),
                                     &taken, &json, &err),
                 CONTROL_FRAME, "%s", err.message);
    cr_assert_eq(taken, buffer_length(frame));
    cr_assert(control_parse(json, &tree, &err), "%s", err.message);
    control_reader_release(&reader);
    return tree;
}

static void check_round_trip(const cJSON *message)
{
    struct buffer frame;
    struct error err = {0};
    cr_assert(control_frame_print(message, CONTROL_ANSWER_MAX, &frame, &err), "%s", err.message);
    cJSON *again = read_back(&frame);
    cr_assert(cJSON_Compare(message, again, true));
    /* It compares numbers with a tolerance. */
    cJSON *id = cJSON_GetObjectItemCaseSensitive(again, "id");
    if (id)
        cr_assert_eq(id->valuedouble, (double)CONTROL_ID_MAX);
    control_free(again);
    control_frame_release(&frame);
}

Test(control_frame, prints_what_it_reads)
{
    cJSON *message = cJSON_CreateObject();
    cr_assert(cJSON_AddNumberToObject(message, "id", (double)CONTROL_ID_MAX));
    cr_assert(cJSON_AddStringToObject(message, "text", "\"\\\n\t\x01\x7F é 😀"));
    cr_assert(cJSON_AddNumberToObject(message, "small", 1.5e-7));
    cr_assert(cJSON_AddArrayToObject(message, "none"));
    check_round_trip(message);
    control_free(message);
}

/* Six bytes for each of the text: the first guess is too small. */
Test(control_frame, prints_what_is_longer_than_guessed)
{
    static char text[100001];
    memset(text, 1, sizeof text - 1);
    cJSON *message = cJSON_CreateObject();
    cr_assert(cJSON_AddStringToObject(message, "text", text));
    check_round_trip(message);
    control_free(message);
}

/* The limit is exact: {"t":"…"} has 8 bytes around the text. */
Test(control_frame, prints_up_to_its_limit)
{
    static char text[CONTROL_REQUEST_MAX];
    for (size_t over = 0; over < 2; over++) {
        memset(text, 'x', CONTROL_REQUEST_MAX - 8 + over);
        cJSON *message = cJSON_CreateObject();
        cr_assert(cJSON_AddStringToObject(message, "t", text));
        struct buffer frame;
        struct error err = {0};
        bool printed = control_frame_print(message, CONTROL_REQUEST_MAX, &frame, &err);
        cr_assert_eq(printed, over == 0);
        if (printed)
            control_frame_release(&frame);
        else
            cr_assert_eq(err.code, ERROR_LIMIT);
        control_free(message);
    }
}
