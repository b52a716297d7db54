/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/capability.h"
#include "tests/unit/response_support.h"

/* Feeds a stream cut into pieces by `next`, and returns what was said in `trace`. */
static void trace_cut(const struct golden *stream, size_t (*next)(void *), void *state, char *trace)
{
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    struct follower follower = follower_make(stream->capabilities);
    follower_expect(&follower, stream->replies);
    for (size_t at = 0; at < length;) {
        size_t piece = next(state);
        piece = piece < 1 ? 1 : piece > length - at ? length - at : piece;
        /* A copy of its own, so that reading past the piece is seen. */
        uint8_t *copy = malloc(piece);
        cr_assert(copy);
        memcpy(copy, bytes + at, piece);
        follower_feed(&follower, copy, piece);
        free(copy);
        at += piece;
    }
    memcpy(trace, follower.trace, TRACE_SIZE);
    follower_finish(&follower);
    free(bytes);
}

static size_t cut_at(void *state)
{
    size_t *at = state, first = *at;
    *at = SIZE_MAX;
    return first;
}

static size_t cut_same(void *state)
{
    return *(size_t *)state;
}

static size_t cut_random(void *state)
{
    unsigned *seed = state;
    return 1 + (size_t)(rand_r(seed) % 37);
}

static bool is_golden_whole(const struct golden *stream)
{
    return !strchr("Ii", stream->replies[0]); /* the two halves around a file */
}

Test(response_hostile, events_do_not_depend_on_how_the_stream_is_cut, .timeout = 120)
{
    unsigned seed = (unsigned)time(NULL);
    for (size_t i = 0; i < golden_count; i++) {
        char whole[TRACE_SIZE], cut[TRACE_SIZE];
        size_t everything = SIZE_MAX, length = strlen(goldens[i].hex) / 2;
        if (!is_golden_whole(&goldens[i]))
            continue;
        trace_cut(&goldens[i], cut_same, &everything, whole);
        for (size_t step = 1; step <= 9; step++) {
            trace_cut(&goldens[i], cut_same, &step, cut);
            cr_assert_str_eq(cut, whole, "%s in pieces of %zu", goldens[i].name, step);
        }
        for (size_t at = 1; at < length; at++) {
            size_t first = at;
            trace_cut(&goldens[i], cut_at, &first, cut);
            cr_assert_str_eq(cut, whole, "%s cut at %zu", goldens[i].name, at);
        }
        for (int round = 0; round < 20; round++) {
            unsigned before = seed;
            trace_cut(&goldens[i], cut_random, &seed, cut);
            cr_assert_str_eq(cut, whole, "%s, seed %u", goldens[i].name, before);
        }
    }
}

Test(response_hostile, truncated_streams_are_neither_refused_nor_complete)
{
    for (size_t i = 0; i < golden_count; i++) {
        size_t length;
        uint8_t *bytes = unhex(goldens[i].hex, &length);
        for (size_t cut = 0; is_golden_whole(&goldens[i]) && cut < length; cut++) {
            struct follower follower = follower_make(goldens[i].capabilities);
            follower_expect(&follower, goldens[i].replies);
            uint8_t *copy = malloc(cut + 1);
            cr_assert(copy);
            memcpy(copy, bytes, cut);
            follower_feed(&follower, copy, cut);
            cr_assert_not(follower.failed, "%s cut at %zu: %s", goldens[i].name, cut,
                          follower.trace);
            cr_assert_gt(response_expected(follower.tracker), 0, "%s cut at %zu", goldens[i].name,
                         cut);
            free(copy);
            follower_finish(&follower);
        }
        free(bytes);
    }
}

Test(response_hostile, refuses_wrong_sequence_ids)
{
    expect_refused(OLD, "Q", "0700000200000002000000", "sequence id 2 where 1");
    expect_refused(OLD, "O", "0700000000000002000000", "sequence id 0 where 1");
    expect_refused(OLD, "Q", "0100000101 0500000303 646566aa", "sequence id 3 where 2");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 0200000401 31", "where 3");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 0200000301 31 0200000501 31",
                   "sequence id 5 where 4");
}

Test(response_hostile, first_sequence_follows_a_split_command)
{
    struct follower follower = follower_make(OLD);
    struct error err = {0};
    cr_assert(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 4, tags, &err));
    cr_assert(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, RESPONSE_SEQUENCE_ANY,
                              tags, &err));
    follower_feed_hex(&follower, "0700000400000002000000 0700002a00000002000000");
    cr_assert_str_eq(follower.trace, "done status 2 bytes 11\ndone status 2 bytes 11\n");
    cr_assert(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 4, tags, &err));
    follower_feed_hex(&follower, "0700000100000002000000");
    cr_assert(follower.failed);
    follower_finish(&follower);
}

/* MySQL 8.0.24 and MariaDB end connections with an ERR that is in no sequence. */
Test(response_hostile, farewell_error_may_be_out_of_sequence)
{
    expect_trace(OLD, "Q", "09000000ff8707233730313030", "done failed 1927/70100  bytes 13\n");
    expect_trace(OLD, "Q", "09000007ff8707233730313030", "done failed 1927/70100  bytes 13\n");
    expect_trace(NEW, "Q",
                 "0100000101 0500000203 646566aa 0200000301 31 09000000ff8707233730313030",
                 "done failed 1927/70100  sets 1 rows 1 bytes 33\n");
    expect_refused(NEW, "Q",
                   "0100000101 0500000203 646566aa 0200000301 31 09000009ff8707233730313030",
                   "sequence id 9 where 4");
}

/* MariaDB's progress reports (ERR 0xFFFF) end nothing, where they were agreed on. */
Test(response_hostile, progress_reports_are_passed_by)
{
    const char *hex = "08000001ffffff0101020300 0700000200010002000000";
    expect_trace(EXTENDED(CAPABILITY_MARIADB_PROGRESS), "Q", hex,
                 "done affected 1 id 0 status 2 bytes 23\n");
    expect_refused(OLD, "Q", hex, "answers nothing");
    expect_refused(EXTENDED(CAPABILITY_MARIADB_PROGRESS), "", hex, "answers nothing");
}

Test(response_hostile, refuses_malformed_first_packets)
{
    expect_refused(OLD, "Q", "00000001", "empty packet");
    expect_refused(OLD, "Q", "020000010101", "column count");
    expect_refused(OLD, "Q", "02000001fc01", "column count");
    expect_refused(OLD, "Q", "04000001fd000001", "column count"); /* 65,536 columns */
    expect_refused(OLD, "Q", "03000001fc0000", "column count");
    expect_refused(OLD, "Q", "0300000100fcff", "OK packet");
    expect_refused(OLD, "Q", "02000001ff48", "ERR packet");
    expect_refused(OLD, "O", "0100000105", "OK packet");
    expect_refused(OLD, "O", "05000001fd00000200", "EOF packet");
    expect_refused(OLD, "P", "0300000100ffff", "prepare");
    expect_refused(OLD, "P", "0700000100000100000000", "prepare");
    expect_refused(OLD, "P", "06000001000000000000", "prepare");
    expect_refused(OLD, "P", "05000001fe00000200", "prepare");
    expect_refused(OLD, "O", "ffffff0100", "16 MiB");
    expect_refused(OLD, "Q", "ffffff0100", "16 MiB");
}

Test(response_hostile, eof_for_ok_is_taken_at_the_beginning)
{
    expect_trace(OLD, "Q", "05000001fe00000200", "done status 2 bytes 9\n");
    expect_trace(NEW, "Q", "07000001fe000002000000", "done status 2 bytes 11\n");
}

Test(response_hostile, refuses_malformed_result_sets)
{
    expect_refused(OLD, "Q", "0100000102 0500000203 646566aa 05000003fe00000200", "fewer");
    expect_refused(NEW, "Q", "0100000102 0500000203 646566aa 05000003fe00000200", "fewer");
    expect_refused(OLD, "Q", "0100000101 0500000203 646566aa 0200000301 31", "EOF packet");
    expect_refused(OLD, "Q", "0100000101 0500000203 646566aa 04000003fe000002", "EOF packet");
    expect_refused(NEW, "E", "0100000101 0500000203 646566aa 0200000301 31", "binary row");
    expect_refused(OLD, "Q",
                   "0100000101 0500000203 646566aa 05000003fe00000200 09000004fe0000000000000000",
                   "short row");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 00000003", "empty packet");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 03000003feff00", "OK packet");
}

/* TRAPS: PX #3296. Servers that forget about DEPRECATE_EOF send both old EOFs. */
Test(response_hostile, old_eofs_are_taken_under_deprecate_eof)
{
    expect_trace(NEW, "Q",
                 "0100000101 0500000203 646566aa 05000003fe00000200 0200000401 31 "
                 "05000005fe00000200",
                 "done sets 1 rows 1 status 2 bytes 38\n");
    expect_trace(NEW, "Q", "0100000101 0500000203 646566aa 05000003fe00000200 05000004fe00000200",
                 "done sets 1 rows 0 status 2 bytes 32\n");
    expect_trace(NEW, "U", "0100000101 0500000203 646566aa 05000003fe00004200",
                 "done sets 1 rows 0 status 42 bytes 23\n");
    expect_trace(NEW, "P",
                 "0c000001 000500000001000100000000 0500000203 646566aa 05000003fe00000200 "
                 "0500000403 646566aa",
                 "done statement 5 (1, 1) status 2 bytes 43\n");
}

Test(response_hostile, unsolicited_error_is_told)
{
    struct follower follower = follower_make(OLD);
    const char *idle = "09000000ffbf0f233038533031";
    follower_feed_hex(&follower, idle);
    cr_assert_str_eq(follower.trace, "unsolicited failed 4031/08S01  bytes 13\n");
    follower_finish(&follower);

    follower = follower_make(OLD);
    for (const char *at = idle; *at; at += 2) {
        char pair[3] = {at[0], at[1], 0};
        follower_feed_hex(&follower, pair);
    }
    cr_assert_str_eq(follower.trace, "unsolicited failed 4031/08S01  bytes 13\n");
    follower_finish(&follower);
}

Test(response_hostile, unsolicited_packets_that_are_no_error_are_refused)
{
    expect_refused(OLD, "", "0700000100000002000000", "answers nothing");
    expect_refused(OLD, "O", "0700000100000002000000 0700000200000002000000", "answers nothing");
    struct follower follower = follower_make(OLD);
    follower_feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(follower.relayed, 0);
    follower_finish(&follower);
}

Test(response_hostile, nothing_of_a_refused_packet_is_consumed)
{
    struct follower follower = follower_make(NEW);
    struct error err = {0};
    enum response_event event;
    size_t consumed, length;
    follower_expect(&follower, "Q");
    uint8_t *bytes = unhex("0100000101 0500000203 646566aa 0200000301 31 0200000901 31", &length);
    cr_assert_not(
        response_feed(follower.tracker, byte_view(bytes, length), &consumed, &event, &err));
    cr_assert_eq(consumed, 5 + 9 + 6);
    free(bytes);
    follower_finish(&follower);
}

Test(response_hostile, streams_end_with_error_or_eof)
{
    /* An event of 16 MiB may follow; the last EOF is in the old form whatever was agreed. */
    expect_trace(NEW, "B", "030000010011ab 05000002fe00000200", "done status 2 bytes 16\n");
    expect_trace(NEW, "B", "030000010011ab 09000005ffd404234859303030",
                 "done failed 1236/HY000  bytes 20\n");
    struct follower follower = follower_make(NEW);
    follower_expect(&follower, "B");
    follower_feed_hex(&follower, "0300000100aabb 030000fe00aabb 0a000003feaaaaaaaaaaaaaaaaaa");
    cr_assert_str_eq(follower.trace, "");
    follower_finish(&follower);
}

Test(response_hostile, statistics_may_fail)
{
    expect_trace(OLD, "S", "09000001ffd404234859303030", "done failed 1236/HY000  bytes 13\n");
    expect_trace(OLD, "SO", "0300000155aaaa 0700000100000002000000",
                 "done bytes 7\ndone status 2 bytes 11\n");
}

/* A packet header and zeros, in pieces of at most 64 KiB; `first` is the payload's first byte. */
static void feed_big(struct follower *follower, uint32_t length, uint8_t sequence, int first)
{
    static uint8_t piece[65536];
    uint8_t header[] = {(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), sequence};
    follower_feed(follower, header, sizeof header);
    while (length > 0) {
        size_t size = length < sizeof piece ? length : sizeof piece;
        piece[0] = first >= 0 ? (uint8_t)first : 0xFF; /* no continuation is ever looked into */
        follower_feed(follower, piece, size);
        first = -1;
        length -= (uint32_t)size;
    }
}

Test(response_hostile, rows_of_more_than_16_mib_are_one_row)
{
    struct follower follower = follower_make(NEW);
    follower_expect(&follower, "Q");
    follower_feed_hex(&follower, "0100000101 0500000203 646566aa");
    feed_big(&follower, 0xFFFFFF, 3, 0xFE); /* a string of 2^24 bytes and more */
    feed_big(&follower, 100, 4, -1);
    feed_big(&follower, 0xFFFFFF, 5, 0x01); /* an exact multiple ends with an empty packet */
    feed_big(&follower, 0xFFFFFF, 6, -1);
    feed_big(&follower, 0, 7, -1);
    uint8_t next;
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 8);
    follower_feed_hex(&follower, "0200000801 31 07000009fe000002000000");
    cr_assert_str_eq(follower.trace, "done sets 1 rows 3 status 2 bytes 50331796\n", "%s",
                     follower.trace);
    follower_finish(&follower);
}

Test(response_hostile, no_boundary_between_the_packets_of_one_row)
{
    struct follower follower = follower_make(NEW);
    uint8_t next;
    follower_expect(&follower, "Q");
    follower_feed_hex(&follower, "0100000101 0500000203 646566aa");
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 3);
    feed_big(&follower, 0xFFFFFF, 3, 0x01);
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    feed_big(&follower, 5, 5, -1);
    cr_assert(follower.failed, "a continuation has the next sequence id");
    follower_finish(&follower);
}

Test(response_hostile, sequence_ids_wrap)
{
    struct follower follower = follower_make(NEW);
    follower_expect(&follower, "Q");
    follower_feed_hex(&follower, "0100000101 0500000203 646566aa");
    uint8_t rows[1000][6];
    for (size_t i = 0; i < 1000; i++) {
        uint8_t row[] = {2, 0, 0, (uint8_t)(3 + i), 1, 'x'};
        memcpy(rows[i], row, sizeof row);
    }
    follower_feed(&follower, rows[0], 2500);
    follower_feed(&follower, rows[0] + 2500, sizeof rows - 2500);
    follower_feed_hex(&follower, "070000ebfe000002000000"); /* 3 + 1000 = 0x3eb */
    cr_assert_str_eq(follower.trace, "done sets 1 rows 1000 status 2 bytes 6025\n");
    follower_finish(&follower);
}

/* An OK whose session tracking is longer than what is kept: counters are read, the rest is passed.
 */
Test(response_hostile, huge_ok_is_read_as_far_as_it_is_kept)
{
    uint8_t *ok = calloc(1, 200000);
    cr_assert(ok);
    uint8_t head[] = {0, 0, 0, 1, 0x00, 0x07, 0x00, 0x02, 0x40, 0, 0, 0, 0xFD, 0, 0, 0};
    uint32_t length = 200000 - 4, changes = length - 12;
    memcpy(ok, head, sizeof head);
    for (size_t i = 0; i < 3; i++) {
        ok[i] = (uint8_t)(length >> (8 * i));
        ok[13 + i] = (uint8_t)(changes >> (8 * i));
    }
    for (size_t piece = 1000; piece <= 200000; piece *= 200) {
        struct follower follower = follower_make(NEW);
        follower_expect(&follower, "Q");
        for (size_t at = 0; at < 200000; at += piece)
            follower_feed(&follower, ok + at, piece);
        cr_assert_str_eq(follower.trace, "done affected 7 id 0 status 4002 bytes 200000\n");
        follower_finish(&follower);
    }
    free(ok);
}

Test(response_hostile, login_packets_are_bounded)
{
    expect_refused(OLD, "C", "01000101fe", "65537 bytes");
    expect_refused(OLD, "C", "01000001fe 01000004fe", "sequence id 4 where 2");
}

static long allocations, allocations_left;

static void *counting_allocator(void *memory, size_t size)
{
    allocations++;
    return realloc(memory, size);
}

static void *failing_allocator(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

Test(response_hostile, steady_state_does_not_allocate)
{
    struct follower follower = follower_make(NEW);
    const struct golden *stream = golden("new_pipeline");
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    for (int round = 0; round < 1000; round++) {
        follower.trace[0] = '\0';
        if (round == 1) /* the first one may grow the FIFO and the buffer for cut packets */
            buffer_set_allocator(counting_allocator);
        follower_expect(&follower, stream->replies);
        for (size_t at = 0; at < length; at += 13)
            follower_feed(&follower, bytes + at, length - at < 13 ? length - at : 13);
    }
    buffer_set_allocator(NULL);
    cr_assert_eq(allocations, 0, "%ld allocations", allocations);
    free(bytes);
    follower_finish(&follower);
}

Test(response_hostile, failing_allocations_are_told)
{
    struct follower follower = follower_make(OLD);
    struct error err = {0};
    buffer_set_allocator(failing_allocator);
    cr_assert_not(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    allocations_left = 1;
    follower_expect(&follower, "O");
    follower_feed_hex(&follower, "070000010000");
    cr_assert(follower.failed);
    buffer_set_allocator(NULL);
    follower_finish(&follower);
}

/* Goldens with random bytes changed: refused or followed, but the same however they are cut. */
Test(response_hostile, damaged_streams_are_judged_the_same_however_cut, .timeout = 120)
{
    unsigned seed = (unsigned)time(NULL);
    char hex[2048], whole[TRACE_SIZE], cut[TRACE_SIZE];
    for (int round = 0; round < 20000; round++) {
        unsigned before = seed;
        const struct golden *stream = &goldens[(size_t)rand_r(&seed) % (golden_count)];
        if (!is_golden_whole(stream) || strlen(stream->hex) >= sizeof hex)
            continue;
        struct golden damaged = *stream;
        snprintf(hex, sizeof hex, "%s", stream->hex);
        damaged.hex = hex;
        for (int i = 0; i < 2; i++)
            hex[(size_t)rand_r(&seed) % strlen(hex)] = "0123456789abcdef"[rand_r(&seed) % 16];
        size_t everything = SIZE_MAX;
        trace_cut(&damaged, cut_same, &everything, whole);
        trace_cut(&damaged, cut_random, &seed, cut);
        cr_assert_str_eq(cut, whole, "%s, seed %u: %s", stream->name, before, hex);
    }
}
