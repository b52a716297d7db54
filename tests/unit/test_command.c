/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/packet.h"

/* What a framer returned, put together. */
struct framed {
    struct command_framer framer;
    enum command_event events[4096];
    size_t event_count;
    struct buffer payload, raw;
    bool forget; /* keep nothing: for tests that watch the framer's own memory */
    uint8_t last_sequence;
    struct error err;
};

static struct framed *framed_new(size_t hold)
{
    struct framed *framed = calloc(1, sizeof *framed);
    cr_assert(framed);
    command_framer_init(&framed->framer, hold);
    buffer_init(&framed->payload, SIZE_MAX);
    buffer_init(&framed->raw, SIZE_MAX);
    return framed;
}

static void framed_free(struct framed *framed)
{
    command_framer_release(&framed->framer);
    buffer_release(&framed->payload);
    buffer_release(&framed->raw);
    free(framed);
}

/* Appends, doubling the memory: the sanitizer's realloc() copies each time. */
static void collect(struct buffer *bytes, struct byte_view view)
{
    cr_assert(buffer_append(bytes, view.data, view.length, NULL));
}

/* Feeds one input to its end; false when it is refused. */
static bool feed(struct framed *framed, const void *bytes, size_t length)
{
    struct byte_view input = byte_view(bytes, length);
    while (input.length > 0) {
        struct command_piece piece;
        enum command_event event;
        size_t consumed;
        if (!command_framer_feed(&framed->framer, input, &consumed, &event, &piece, &framed->err))
            return false;
        cr_assert_leq(consumed, input.length);
        cr_assert_gt(consumed, 0);
        if (event == COMMAND_MORE)
            cr_assert_eq(consumed, input.length);
        else if (framed->event_count < sizeof framed->events / sizeof *framed->events)
            framed->events[framed->event_count++] = event;
        if (!framed->forget) {
            collect(&framed->payload, piece.payload);
            collect(&framed->raw, piece.raw);
        }
        framed->last_sequence = piece.last_sequence;
        input.data += consumed;
        input.length -= consumed;
    }
    return true;
}

/* The same from memory of its own, so that reading past it is seen. */
static bool feed_copy(struct framed *framed, const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length);
    cr_assert(copy);
    memcpy(copy, bytes, length);
    bool ok = feed(framed, copy, length);
    free(copy);
    return ok;
}

static void expect_bytes(const struct buffer *have, const void *bytes, size_t expected)
{
    size_t length = buffer_length(have);
    cr_assert_eq(length, expected, "%zu bytes, not %zu", length, expected);
    cr_assert(expected == 0 || memcmp(buffer_bytes(have), bytes, expected) == 0);
}

static void expect_refused(const void *bytes, size_t length, const char *words)
{
    struct framed *framed = framed_new(1000);
    cr_assert_not(feed(framed, bytes, length));
    cr_assert_eq(framed->err.code, ERROR_MALFORMED);
    cr_assert(strstr(framed->err.message, words), "%s", framed->err.message);
    framed_free(framed);
    framed = framed_new(1000);
    bool ok = true;
    for (size_t i = 0; ok && i < length; i++)
        ok = feed_copy(framed, (const uint8_t *)bytes + i, 1);
    cr_assert_not(ok, "accepted byte by byte");
    framed_free(framed);
}

#define EXPECT_REFUSED(literal, words) expect_refused(literal, sizeof(literal) - 1, words)

Test(command, knows_every_command_of_mysql_and_mariadb)
{
    for (int byte = 0; byte < 256; byte++) {
        const struct command_kind *kind = command_kind((uint8_t)byte);
        bool defined = byte <= COMMAND_SUBSCRIBE_GROUP_REPLICATION_STREAM ||
                       (byte >= COMMAND_STMT_BULK_EXECUTE && byte <= COMMAND_MULTI);
        cr_assert_eq(kind->known, defined, "0x%02x", (unsigned)byte);
        cr_assert(kind->name && kind->name[0]);
        if (!defined)
            cr_assert_str_eq(kind->name, "unknown");
        for (int other = 0; defined && other < byte; other++)
            cr_assert_str_neq(kind->name, command_kind((uint8_t)other)->name);
    }
}

Test(command, knows_what_each_reply_looks_like)
{
    static const struct {
        uint8_t command;
        enum command_reply reply;
    } forms[] = {
        {COMMAND_QUIT, REPLY_NONE},
        {COMMAND_STMT_CLOSE, REPLY_NONE},
        {COMMAND_STMT_SEND_LONG_DATA, REPLY_NONE},
        {COMMAND_QUERY, REPLY_RESULT},
        {COMMAND_STMT_EXECUTE, REPLY_RESULT},
        {COMMAND_STMT_BULK_EXECUTE, REPLY_RESULT},
        {COMMAND_PROCESS_INFO, REPLY_RESULT},
        {COMMAND_STMT_PREPARE, REPLY_PREPARE},
        {COMMAND_STMT_FETCH, REPLY_FETCH},
        {COMMAND_FIELD_LIST, REPLY_FIELD_LIST},
        {COMMAND_STATISTICS, REPLY_STATISTICS},
        {COMMAND_CHANGE_USER, REPLY_LOGIN},
        {COMMAND_BINLOG_DUMP, REPLY_STREAM},
        {COMMAND_BINLOG_DUMP_GTID, REPLY_STREAM},
        {COMMAND_TABLE_DUMP, REPLY_STREAM},
        {COMMAND_RESET_CONNECTION, REPLY_OK},
        {COMMAND_SHUTDOWN, REPLY_OK},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        cr_assert_eq(command_kind(forms[i].command)->reply, forms[i].reply, "0x%02x",
                     forms[i].command);
    cr_assert(command_kind(COMMAND_STMT_EXECUTE)->binary_rows);
    cr_assert(command_kind(COMMAND_STMT_FETCH)->binary_rows);
    cr_assert_not(command_kind(COMMAND_QUERY)->binary_rows);
    cr_assert(command_kind(COMMAND_QUERY)->has_text);
    cr_assert(command_kind(COMMAND_STMT_PREPARE)->has_text);
    cr_assert_not(command_kind(COMMAND_INIT_DB)->has_text);
}

Test(command, marks_what_is_refused_and_what_is_replication)
{
    static const uint8_t internal[] = {COMMAND_SLEEP,   COMMAND_CONNECT,
                                       COMMAND_TIME,    COMMAND_DELAYED_INSERT,
                                       COMMAND_DAEMON,  COMMAND_CONNECT_OUT,
                                       COMMAND_CLONE,   COMMAND_SUBSCRIBE_GROUP_REPLICATION_STREAM,
                                       COMMAND_SLAVE_IO};
    static const uint8_t replication[] = {COMMAND_BINLOG_DUMP, COMMAND_BINLOG_DUMP_GTID,
                                          COMMAND_TABLE_DUMP, COMMAND_REGISTER_SLAVE};
    for (size_t i = 0; i < sizeof internal; i++)
        cr_assert(command_kind(internal[i])->internal, "0x%02x", internal[i]);
    for (size_t i = 0; i < sizeof replication; i++)
        cr_assert(command_kind(replication[i])->replication, "0x%02x", replication[i]);
    cr_assert_not(command_kind(COMMAND_QUERY)->internal);
    cr_assert_not(command_kind(COMMAND_QUERY)->replication);
}

Test(command, whole_commands_are_not_copied)
{
    static const uint8_t input[] = "\x09\0\0\0\x03SELECT 1\x01\0\0\0\x0E";
    struct command_framer framer;
    struct command_piece piece;
    enum command_event event;
    struct error err = {0};
    size_t consumed;
    command_framer_init(&framer, 100);
    cr_assert(command_framer_feed(&framer, byte_view(input, sizeof input - 1), &consumed, &event,
                                  &piece, &err));
    cr_assert_eq(event, COMMAND_WHOLE);
    cr_assert_eq(consumed, 13);
    cr_assert_eq(piece.raw.data, input);
    cr_assert_eq(piece.raw.length, 13);
    cr_assert_eq(piece.payload.data, input + 4);
    cr_assert_eq(piece.payload.length, 9);
    cr_assert_eq(piece.last_sequence, 0);
    cr_assert(command_framer_idle(&framer));
    cr_assert(
        command_framer_feed(&framer, byte_view(input + 13, 5), &consumed, &event, &piece, &err));
    cr_assert_eq(event, COMMAND_WHOLE);
    cr_assert(byte_view_equals(piece.payload, "\x0E"));
    cr_assert_eq(framer.raw.capacity, 0);
    command_framer_release(&framer);
}

Test(command, nothing_comes_of_no_input)
{
    struct command_framer framer;
    struct command_piece piece;
    enum command_event event;
    size_t consumed;
    command_framer_init(&framer, 100);
    cr_assert(command_framer_feed(&framer, (struct byte_view){0}, &consumed, &event, &piece, NULL));
    cr_assert_eq(event, COMMAND_MORE);
    cr_assert_eq(consumed, 0);
    command_framer_release(&framer);
}

Test(command, pieces_are_held_until_the_command_is_whole)
{
    static const uint8_t input[] = "\x09\0\0\0\x03SELECT 1\x01\0\0\0\x0E";
    for (size_t cut = 1; cut < sizeof input - 1; cut++) {
        struct framed *framed = framed_new(100);
        cr_assert(feed_copy(framed, input, cut));
        cr_assert_eq(command_framer_idle(&framed->framer), cut == 13);
        cr_assert(feed_copy(framed, input + cut, sizeof input - 1 - cut));
        cr_assert_eq(framed->event_count, 2);
        cr_assert_eq(framed->events[0], COMMAND_WHOLE);
        cr_assert_eq(framed->events[1], COMMAND_WHOLE);
        expect_bytes(&framed->raw, input, sizeof input - 1);
        expect_bytes(&framed->payload, "\x03SELECT 1\x0E", 10);
        framed_free(framed);
    }
}

Test(command, refuses_wrong_sequence_ids)
{
    EXPECT_REFUSED("\x01\0\0\1\x0E", "sequence id 1 where 0");
    EXPECT_REFUSED("\x01\0\0\xFF\x0E", "sequence id 255 where 0");
    EXPECT_REFUSED("\x01\0\0\0\x0E\x01\0\0\1\x0E", "sequence id 1 where 0");
}

/* The first packet of a command names it; one without a byte names none. */
Test(command, refuses_a_command_without_a_command_byte)
{
    EXPECT_REFUSED("\0\0\0\0", "command byte");
    EXPECT_REFUSED("\x01\0\0\0\x0E\0\0\0\0", "command byte");
}

Test(command, hold_limit_is_exact)
{
    static const uint8_t held[] = "\x08\0\0\0\x03SELECT1";
    static const uint8_t longer[] = "\x09\0\0\0\x03SELECT 1\x01\0\0\0\x0E";
    struct framed *framed = framed_new(8);
    cr_assert(feed_copy(framed, held, sizeof held - 1));
    cr_assert_eq(framed->event_count, 1);
    cr_assert_eq(framed->events[0], COMMAND_WHOLE);
    framed_free(framed);

    framed = framed_new(8);
    cr_assert(feed_copy(framed, longer, sizeof longer - 1));
    cr_assert_eq(framed->event_count, 3);
    cr_assert_eq(framed->events[0], COMMAND_BEGIN);
    cr_assert_eq(framed->events[1], COMMAND_END);
    cr_assert_eq(framed->events[2], COMMAND_WHOLE);
    expect_bytes(&framed->raw, longer, sizeof longer - 1);
    expect_bytes(&framed->payload, "\x03SELECT 1\x0E", 10);
    framed_free(framed);
}

Test(command, begin_has_exactly_what_may_be_held)
{
    static const uint8_t input[] = "\x0A\0\0\0\x03SELECT 12";
    for (size_t hold = 1; hold < 10; hold++) {
        struct framed *framed = framed_new(hold);
        for (size_t i = 0; i < 4 + hold; i++) {
            cr_assert_eq(framed->event_count, 0);
            cr_assert(feed_copy(framed, input + i, 1));
        }
        cr_assert_eq(framed->event_count, 1);
        cr_assert_eq(framed->events[0], COMMAND_BEGIN);
        cr_assert_not(command_framer_idle(&framed->framer));
        expect_bytes(&framed->payload, input + 4, hold);
        cr_assert(feed_copy(framed, input + 4 + hold, 10 - hold));
        cr_assert_eq(framed->events[1], COMMAND_END);
        cr_assert(command_framer_idle(&framed->framer));
        expect_bytes(&framed->raw, input, sizeof input - 1);
        framed_free(framed);
    }
}

Test(command, silly_hold_limits_count_as_the_nearest)
{
    struct command_framer framer;
    command_framer_init(&framer, 0);
    cr_assert_eq(framer.hold, 1);
    command_framer_init(&framer, SIZE_MAX);
    cr_assert_eq(framer.hold, COMMAND_HOLD_MAX);
}

/* A command of `length` payload bytes, split as clients split it. The caller frees it. */
static uint8_t *split_command(size_t length, size_t *size)
{
    size_t packets = length / PACKET_PAYLOAD_MAX + 1, at = 0;
    uint8_t *bytes = malloc(length + packets * 4);
    cr_assert(bytes);
    for (size_t i = 0; i < packets; i++) {
        size_t part = length < PACKET_PAYLOAD_MAX ? length : PACKET_PAYLOAD_MAX;
        uint8_t header[] = {(uint8_t)part, (uint8_t)(part >> 8), (uint8_t)(part >> 16), (uint8_t)i};
        memcpy(bytes + at, header, sizeof header);
        memset(bytes + at + 4, i == 0 ? COMMAND_QUERY : 'b' + (int)i, part);
        at += 4 + part;
        length -= part;
    }
    *size = at;
    return bytes;
}

/* TRAPS: the first byte of a continuation is no command. */
static void expect_split(size_t length, size_t hold, size_t piece, enum command_event first)
{
    size_t size;
    uint8_t *bytes = split_command(length, &size);
    struct framed *framed = framed_new(hold);
    for (size_t at = 0; at < size; at += piece)
        cr_assert(feed(framed, bytes + at, size - at < piece ? size - at : piece), "%s",
                  framed->err.message);
    cr_assert_gt(framed->event_count, 0, "%zu bytes in pieces of %zu", length, piece);
    cr_assert_eq(framed->events[0], first);
    cr_assert_eq(framed->events[framed->event_count - 1],
                 first == COMMAND_WHOLE ? COMMAND_WHOLE : COMMAND_END);
    cr_assert_eq(buffer_length(&framed->payload), length);
    expect_bytes(&framed->raw, bytes, size);
    for (size_t at = 0, from = 0; at < length; at += PACKET_PAYLOAD_MAX) {
        size_t part = length - at < PACKET_PAYLOAD_MAX ? length - at : PACKET_PAYLOAD_MAX;
        from += 4;
        cr_assert(memcmp(buffer_bytes(&framed->payload) + at, bytes + from, part) == 0);
        from += part;
    }
    cr_assert_eq(framed->last_sequence, length / PACKET_PAYLOAD_MAX);
    cr_assert(command_framer_idle(&framed->framer));
    framed_free(framed);
    free(bytes);
}

Test(command, split_commands_are_put_together, .timeout = 120)
{
    static const size_t pieces[] = {65536, 4000001, SIZE_MAX / 2};
    for (size_t i = 0; i < 3; i++) {
        expect_split(PACKET_PAYLOAD_MAX - 1, COMMAND_HOLD_MAX, pieces[i], COMMAND_WHOLE);
        expect_split(PACKET_PAYLOAD_MAX, COMMAND_HOLD_MAX, pieces[i], COMMAND_WHOLE);
        expect_split(PACKET_PAYLOAD_MAX + 1, COMMAND_HOLD_MAX, pieces[i], COMMAND_WHOLE);
        expect_split(PACKET_PAYLOAD_MAX + 2, COMMAND_HOLD_MAX, pieces[i], COMMAND_BEGIN);
        expect_split(PACKET_PAYLOAD_MAX, PACKET_PAYLOAD_MAX, pieces[i], COMMAND_WHOLE);
        expect_split(PACKET_PAYLOAD_MAX + 1, PACKET_PAYLOAD_MAX, pieces[i], COMMAND_BEGIN);
        expect_split(PACKET_PAYLOAD_MAX, PACKET_PAYLOAD_MAX - 1, pieces[i], COMMAND_BEGIN);
        expect_split(2 * PACKET_PAYLOAD_MAX, 1000, pieces[i], COMMAND_BEGIN);
        expect_split(2 * PACKET_PAYLOAD_MAX + 7, 1u << 20, pieces[i], COMMAND_BEGIN);
    }
}

Test(command, refuses_a_continuation_out_of_sequence)
{
    for (size_t hold = 100; hold <= COMMAND_HOLD_MAX; hold += COMMAND_HOLD_MAX - 100) {
        size_t size;
        uint8_t *bytes = split_command(PACKET_PAYLOAD_MAX + 1, &size);
        struct framed *framed = framed_new(hold);
        bytes[size - 2] = 2;
        cr_assert_not(feed(framed, bytes, size));
        cr_assert(strstr(framed->err.message, "sequence id 2 where 1"), "%s", framed->err.message);
        framed_free(framed);
        free(bytes);
    }
}

/* 300 packets, 5 GB, in views alone. */
Test(command, sequence_ids_wrap_in_huge_commands, .timeout = 120)
{
    static uint8_t piece[1u << 20];
    struct command_framer framer;
    struct command_piece out;
    struct error err = {0};
    enum command_event event = COMMAND_MORE;
    uint64_t payload = 0;
    command_framer_init(&framer, 1000);
    for (size_t packet = 0; packet <= 300; packet++) {
        uint32_t left = packet < 300 ? PACKET_PAYLOAD_MAX : 0;
        uint8_t header[] = {(uint8_t)left, (uint8_t)left, (uint8_t)left, (uint8_t)packet};
        struct byte_view input = byte_view(header, sizeof header);
        for (;;) {
            size_t consumed;
            cr_assert(command_framer_feed(&framer, input, &consumed, &event, &out, &err), "%s",
                      err.message);
            payload += out.payload.length;
            input.data += consumed;
            input.length -= consumed;
            if (input.length > 0)
                continue;
            if (left == 0)
                break;
            input = byte_view(piece, left < sizeof piece ? left : sizeof piece);
            left -= (uint32_t)input.length;
        }
    }
    cr_assert_eq(event, COMMAND_END);
    cr_assert_eq(out.last_sequence, 300 - 256);
    cr_assert_eq(payload, 300ull * PACKET_PAYLOAD_MAX);
    cr_assert(command_framer_idle(&framer));
    command_framer_release(&framer);
}

Test(command, big_buffers_are_given_back)
{
    size_t size;
    uint8_t *bytes = split_command(PACKET_PAYLOAD_MAX + 1, &size);
    struct framed *framed = framed_new(COMMAND_HOLD_MAX);
    cr_assert(feed(framed, bytes, size));
    cr_assert_gt(framed->framer.raw.capacity, PACKET_PAYLOAD_MAX);
    cr_assert(feed(framed, "\x01\0\0\0\x0E", 5));
    cr_assert_eq(framed->framer.raw.capacity, 0);
    cr_assert_eq(framed->framer.payload.capacity, 0);
    framed_free(framed);
    free(bytes);
}

static long allocations_left, allocations;

static void *failing_allocator(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

static void *counting_allocator(void *memory, size_t size)
{
    allocations++;
    return realloc(memory, size);
}

Test(command, failing_allocations_are_told)
{
    size_t size;
    uint8_t *bytes = split_command(PACKET_PAYLOAD_MAX + 1, &size);
    int failures = 0;
    for (long n = 0; n < 100; n++) {
        struct framed *framed = framed_new(COMMAND_HOLD_MAX);
        framed->forget = true;
        allocations_left = n;
        buffer_set_allocator(failing_allocator);
        bool ok = true;
        for (size_t at = 0; ok && at < size; at += 1u << 20)
            ok = feed(framed, bytes + at, size - at < 1u << 20 ? size - at : 1u << 20);
        buffer_set_allocator(NULL);
        if (!ok) {
            cr_assert_eq(framed->err.code, ERROR_MEMORY);
            failures++;
        }
        framed_free(framed);
        if (ok)
            break;
    }
    cr_assert_gt(failures, 2);
    cr_assert_lt(failures, 100);
    free(bytes);
}

Test(command, steady_state_does_not_allocate)
{
    static const uint8_t input[] = "\x09\0\0\0\x03SELECT 1";
    struct framed *framed = framed_new(1000);
    framed->forget = true;
    for (int round = 0; round < 100; round++) {
        if (round == 1)
            buffer_set_allocator(counting_allocator);
        cr_assert(feed(framed, input, 7));
        cr_assert(feed(framed, input + 7, sizeof input - 8));
    }
    buffer_set_allocator(NULL);
    cr_assert_eq(allocations, 0);
    framed_free(framed);
}

/* Random commands in random pieces come out as they went in, whatever the hold limit. */
Test(command, random_pieces_lose_nothing, .timeout = 120)
{
    unsigned seed = (unsigned)time(NULL);
    for (int round = 0; round < 2000; round++) {
        unsigned before = seed;
        uint8_t bytes[4096], payloads[4096];
        size_t length = 0, payload_length = 0, commands = 0, ends = 0;
        while (length < 3000) {
            size_t size = 1 + (size_t)rand_r(&seed) % 300;
            uint8_t header[] = {(uint8_t)size, (uint8_t)(size >> 8), 0, 0};
            memcpy(bytes + length, header, sizeof header);
            for (size_t i = 0; i < size; i++)
                bytes[length + 4 + i] = (uint8_t)rand_r(&seed);
            memcpy(payloads + payload_length, bytes + length + 4, size);
            length += 4 + size;
            payload_length += size;
            commands++;
        }
        struct framed *framed = framed_new(1 + (size_t)rand_r(&seed) % 400);
        for (size_t at = 0; at < length;) {
            size_t piece = 1 + (size_t)rand_r(&seed) % 200;
            piece = piece > length - at ? length - at : piece;
            cr_assert(feed_copy(framed, bytes + at, piece), "seed %u", before);
            at += piece;
        }
        for (size_t i = 0; i < framed->event_count; i++)
            ends += framed->events[i] == COMMAND_WHOLE || framed->events[i] == COMMAND_END;
        cr_assert_eq(ends, commands, "seed %u", before);
        expect_bytes(&framed->raw, bytes, length);
        expect_bytes(&framed->payload, payloads, payload_length);
        framed_free(framed);
    }
}

Test(infile, follows_a_file_to_its_empty_packet)
{
    static const uint8_t input[] = "\x03\0\0\x02"
                                   "1\n2"
                                   "\x01\0\0\x03\n"
                                   "\0\0\0\x04"
                                   "\x01\0\0\0\x0E";
    for (size_t piece = 1; piece <= sizeof input; piece++) {
        struct infile_framer framer;
        size_t at = 0, consumed = 0;
        infile_framer_init(&framer, 2);
        while (!framer.done) {
            size_t left = sizeof input - 1 - at;
            cr_assert(infile_framer_feed(
                &framer, byte_view(input + at, left < piece ? left : piece), &consumed, NULL));
            at += consumed;
        }
        cr_assert_eq(at, sizeof input - 1 - 5, "pieces of %zu", piece);
        cr_assert_eq(framer.bytes, 4);
        cr_assert_eq(infile_framer_next_sequence(&framer), 5);
        cr_assert(infile_framer_feed(&framer, byte_view(input + at, 5), &consumed, NULL));
        cr_assert_eq(consumed, 0);
    }
}

Test(infile, empty_file_is_one_empty_packet)
{
    struct infile_framer framer;
    size_t consumed;
    infile_framer_init(&framer, 2);
    cr_assert(infile_framer_feed(&framer, byte_view("\0\0\0\2", 4), &consumed, NULL));
    cr_assert(framer.done);
    cr_assert_eq(framer.bytes, 0);
}

Test(infile, refuses_wrong_sequence_ids)
{
    static const uint8_t input[] = "\x01\0\0\x02\n\x01\0\0\0\x0E";
    struct infile_framer framer;
    struct error err = {0};
    size_t consumed;
    infile_framer_init(&framer, 2);
    cr_assert_not(infile_framer_feed(&framer, byte_view(input, sizeof input - 1), &consumed, &err));
    cr_assert_eq(consumed, 5);
    cr_assert_eq(err.code, ERROR_MALFORMED);
}

/* An empty packet after one of 2^24 - 1 bytes ends the split, not the file. */
Test(infile, empty_continuation_is_not_the_end)
{
    uint8_t *packet = calloc(1, PACKET_PAYLOAD_MAX + 4);
    struct infile_framer framer;
    size_t consumed;
    cr_assert(packet);
    memcpy(packet, "\xFF\xFF\xFF\x02", 4);
    infile_framer_init(&framer, 2);
    cr_assert(
        infile_framer_feed(&framer, byte_view(packet, PACKET_PAYLOAD_MAX + 4), &consumed, NULL));
    cr_assert(infile_framer_feed(&framer, byte_view("\0\0\0\3", 4), &consumed, NULL));
    cr_assert_not(framer.done);
    cr_assert(infile_framer_feed(&framer, byte_view("\0\0\0\4", 4), &consumed, NULL));
    cr_assert(framer.done);
    cr_assert_eq(framer.bytes, PACKET_PAYLOAD_MAX);
    free(packet);
}
