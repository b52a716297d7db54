/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/response.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/capability.h"
#include "tests/unit/response_golden.h"

#define OLD 0u
#define NEW (CAPABILITY_DEPRECATE_EOF | CAPABILITY_SESSION_TRACK | CAPABILITY_LOCAL_FILES)

#define TRACE_SIZE 4096

/* A tracker and all that it said, as text. */
struct follower {
    struct response_tracker *tracker;
    char trace[TRACE_SIZE];
    uint64_t relayed; /* bytes that may have gone to the client */
    bool failed;
};

static int tags[64]; /* tags are pointers into it */

static void say(struct follower *follower, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct follower *follower, const char *format, ...)
{
    size_t have = strlen(follower->trace);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(follower->trace + have, sizeof follower->trace - have, format, arguments);
    va_end(arguments);
}

static struct follower follow(uint32_t capabilities)
{
    struct follower follower = {0};
    struct error err = {0};
    cr_assert(response_tracker_create(capabilities, &follower.tracker, &err), "%s", err.message);
    return follower;
}

static void expect_reply(struct follower *follower, enum command_reply reply, bool binary)
{
    struct error err = {0};
    size_t place = response_expected(follower->tracker);
    cr_assert(response_expect(follower->tracker, reply, binary, 1, &tags[place], &err), "%s",
              err.message);
}

/* Expects what the letters of a golden stand for. */
static void expect_letters(struct follower *follower, const char *letters)
{
    for (const char *at = letters; *at; at++) {
        static const char known[] = "QEPFOLSCIB";
        static const enum command_reply replies[] = {
            REPLY_RESULT,     REPLY_RESULT,     REPLY_PREPARE, REPLY_FETCH,  REPLY_OK,
            REPLY_FIELD_LIST, REPLY_STATISTICS, REPLY_LOGIN,   REPLY_RESULT, REPLY_STREAM};
        const char *found = strchr(known, *at);
        cr_assert(found, "letter %c", *at);
        expect_reply(follower, replies[found - known], *at == 'E' || *at == 'F');
    }
}

static void say_outcome(struct follower *follower, const char *word)
{
    const struct response_outcome *outcome = response_result(follower->tracker);
    say(follower, "%s", word);
    if (outcome->failed)
        say(follower, " failed %u/%s %.12s", outcome->code, outcome->sqlstate, outcome->message);
    if (outcome->has_rows)
        say(follower, " sets %d rows %d", (int)outcome->result_sets, (int)outcome->rows);
    if (outcome->affected_rows || outcome->last_insert_id)
        say(follower, " affected %d id %d", (int)outcome->affected_rows,
            (int)outcome->last_insert_id);
    if (outcome->warnings)
        say(follower, " warnings %u", outcome->warnings);
    if (outcome->statement_id)
        say(follower, " statement %u (%u, %u)", outcome->statement_id, outcome->parameters,
            outcome->columns);
    if (outcome->schema_changed)
        say(follower, " schema %s", outcome->schema);
    if (outcome->has_status)
        say(follower, " status %x", outcome->status);
    say(follower, " bytes %d\n", (int)outcome->bytes);
}

static void say_event(struct follower *follower, enum response_event event)
{
    switch (event) {
    case RESPONSE_DONE:
        say_outcome(follower, "done");
        break;
    case RESPONSE_UNSOLICITED:
        say_outcome(follower, "unsolicited");
        break;
    case RESPONSE_LOCAL_INFILE:
        say(follower, "infile\n");
        response_infile_sent(follower->tracker, 4);
        break;
    case RESPONSE_LOGIN:
        say(follower, "login %zu #%u\n", response_packet(follower->tracker).length,
            response_packet_sequence(follower->tracker));
        break;
    case RESPONSE_INJECT:
        cr_assert(response_injected_done(follower->tracker));
        say(follower, "injected\n");
        break;
    case RESPONSE_MORE:
    case RESPONSE_HELD:
        break;
    }
}

/* Feeds these bytes, as one input. */
static void feed(struct follower *follower, const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && !follower->failed) {
        struct error err = {0};
        enum response_event event;
        size_t consumed;
        bool ok = response_feed(follower->tracker, byte_view(bytes + at, length - at), &consumed,
                                &event, &err);
        cr_assert_leq(consumed, length - at);
        if (event != RESPONSE_LOGIN && event != RESPONSE_HELD)
            follower->relayed += consumed;
        if (!ok) {
            cr_assert(err.code == ERROR_MALFORMED || err.code == ERROR_MEMORY, "%s", err.message);
            say(follower, "refused: %s\n", err.message);
            follower->failed = true;
            return;
        }
        cr_assert(consumed > 0 || event == RESPONSE_INJECT);
        if (event == RESPONSE_MORE || event == RESPONSE_HELD)
            cr_assert_eq(consumed, length - at);
        say_event(follower, event);
        at += consumed;
    }
}

static void finish(struct follower *follower)
{
    response_tracker_destroy(follower->tracker);
    follower->tracker = NULL;
}

/* Bytes out of hexadecimal digits; spaces are skipped. The caller frees them. */
static uint8_t *unhex(const char *hex, size_t *length)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    cr_assert(bytes);
    *length = 0;
    for (const char *at = hex; *at; at++) {
        char pair[3] = {at[0], at[1], 0};
        if (*at == ' ')
            continue;
        bytes[(*length)++] = (uint8_t)strtoul(pair, NULL, 16);
        at++;
    }
    return bytes;
}

static void feed_hex(struct follower *follower, const char *hex)
{
    size_t length;
    uint8_t *bytes = unhex(hex, &length);
    feed(follower, bytes, length);
    free(bytes);
}

/* What follows from these expected replies and this stream. */
static void expect_trace(uint32_t capabilities, const char *letters, const char *hex,
                         const char *trace)
{
    struct follower follower = follow(capabilities);
    expect_letters(&follower, letters);
    feed_hex(&follower, hex);
    cr_assert_str_eq(follower.trace, trace, "%s\n%s\nnot\n%s", hex, follower.trace, trace);
    finish(&follower);
}

/* Expects the stream to be refused, with these words in the reason. */
static void expect_refused(uint32_t capabilities, const char *letters, const char *hex,
                           const char *words)
{
    struct follower follower = follow(capabilities);
    expect_letters(&follower, letters);
    feed_hex(&follower, hex);
    cr_assert(follower.failed, "%s was followed: %s", hex, follower.trace);
    cr_assert(strstr(follower.trace, words), "%s: %s", words, follower.trace);
    finish(&follower);
}

static const struct golden *golden(const char *name)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        if (strcmp(goldens[i].name, name) == 0)
            return &goldens[i];
    }
    cr_assert_fail("no golden %s", name);
    return NULL;
}

static void expect_golden(const char *name, const char *trace)
{
    const struct golden *stream = golden(name);
    expect_trace(stream->capabilities, stream->replies, stream->hex, trace);
}

Test(response, follows_text_results)
{
    expect_golden("old_rows", "done sets 1 rows 2 status 2 bytes 122\n");
    expect_golden("new_rows", "done sets 1 rows 2 status 2 bytes 115\n");
    expect_golden("old_empty", "done sets 1 rows 0 status 2 bytes 50\n");
    expect_golden("new_empty", "done sets 1 rows 0 status 2 bytes 43\n");
    expect_golden("old_warn", "done sets 1 rows 1 warnings 2 status 2 bytes 101\n");
    expect_golden("new_warn", "done sets 1 rows 1 warnings 2 status 2 bytes 94\n");
}

Test(response, goes_on_while_more_results_exist)
{
    expect_golden("old_multi", "done sets 2 rows 2 affected 1 id 0 status 2 bytes 152\n");
    expect_golden("new_multi", "done sets 2 rows 2 affected 1 id 0 status 2 bytes 138\n");
    expect_golden("old_call", "done sets 2 rows 2 status 2 bytes 152\n");
    expect_golden("new_call", "done sets 2 rows 2 status 2 bytes 138\n");
    expect_golden("old_execute_call", "done sets 2 rows 2 status 2 bytes 160\n");
    expect_golden("new_execute_call", "done sets 2 rows 2 status 2 bytes 146\n");
}

Test(response, error_ends_everything)
{
    expect_golden("old_error", "done failed 1146/42S02 Table 'shop. bytes 44\n");
    expect_golden("old_multi_error",
                  "done failed 1146/42S02 Table 'shop. sets 1 rows 1 status a bytes 100\n");
    expect_golden("new_multi_error",
                  "done failed 1146/42S02 Table 'shop. sets 1 rows 1 status a bytes 93\n");
}

Test(response, error_in_the_middle_of_rows_ends_the_result)
{
    expect_golden("old_mid_error",
                  "done failed 1242/21000 Subquery ret sets 1 rows 1 status 22 bytes 162\n");
    expect_golden("new_mid_error", "done failed 1242/21000 Subquery ret sets 1 rows 1 bytes 153\n");
}

Test(response, notes_counts_and_the_new_schema)
{
    expect_golden("old_insert", "done affected 3 id 1 status 2 bytes 50\n");
    expect_golden("new_use", "done schema mysql status 4002 bytes 21\n");
    expect_golden("new_init_db", "done schema mysql status 4002 bytes 21\n");
    expect_golden("old_use", "done status 2 bytes 11\n");
}

Test(response, follows_replies_of_one_packet)
{
    expect_golden("old_ping", "done status 2 bytes 11\n");
    expect_golden("old_set_option", "done status 2 bytes 9\n");
    expect_golden("new_set_option", "done status 2 bytes 11\n");
    expect_golden("old_debug", "done status 2 bytes 9\n");
    expect_golden("new_debug", "done status 2 bytes 11\n");
    expect_golden("old_create_db", "done failed 1047/08S01 Unknown comm bytes 28\n");
    expect_golden("old_statistics", "done bytes 119\n");
    expect_golden("new_statistics", "done bytes 119\n");
}

Test(response, follows_field_lists)
{
    expect_golden("old_field_list", "done status 2 bytes 94\n");
    expect_golden("new_field_list", "done status 2 bytes 96\n");
    expect_trace(OLD, "L", golden("old_error")->hex,
                 "done failed 1146/42S02 Table 'shop. bytes 44\n");
}

Test(response, follows_prepare_answers)
{
    expect_golden("old_prepare_both", "done statement 13 (2, 3) status 2 bytes 176\n");
    expect_golden("new_prepare_both", "done statement 20 (2, 3) bytes 158\n");
    expect_golden("old_prepare_params", "done statement 14 (1, 0) status 2 bytes 52\n");
    expect_golden("old_prepare_columns", "done statement 15 (0, 1) status 2 bytes 52\n");
    expect_golden("new_prepare_params", "done statement 21 (1, 0) bytes 43\n");
    expect_golden("new_prepare_columns", "done statement 22 (0, 1) bytes 43\n");
    expect_golden("old_prepare_none", "done statement 16 (0, 0) bytes 16\n");
    expect_golden("old_prepare_error", "done failed 1064/42000 You have an  bytes 167\n");
}

Test(response, follows_binary_rows_and_cursors)
{
    expect_golden("old_execute", "done sets 1 rows 4 status 22 bytes 195\n");
    expect_golden("new_execute", "done sets 1 rows 7 status 22 bytes 251\n");
    expect_golden("old_cursor", "done sets 1 rows 0 status 62 bytes 104\n");
    expect_golden("new_cursor", "done sets 1 rows 0 status 62 bytes 106\n");
    expect_golden("old_fetch_some", "done sets 0 rows 2 status 42 bytes 51\n");
    expect_golden("old_fetch_rest", "done sets 0 rows 2 status 82 bytes 51\n");
    expect_golden("new_fetch_rest", "done sets 0 rows 5 status 82 bytes 116\n");
    expect_golden("old_fetch_none", "done failed 1421/HY000 The statemen bytes 50\n");
}

/* TRAPS: TiProxy #440. The flag means something for binary rows only: in a text result it is stale.
 */
Test(response, cursor_flag_of_a_text_result_is_not_an_end)
{
    expect_trace(OLD, "Q",
                 "0100000101 0500000203 646566aa 05000003fe00004200 0200000401 31 "
                 "05000005fe00000200",
                 "done sets 1 rows 1 status 2 bytes 38\n");
}

Test(response, follows_a_pipeline)
{
    expect_golden("old_pipeline", "done sets 1 rows 1 status 2 bytes 56\n"
                                  "done status 2 bytes 11\n"
                                  "done statement 19 (1, 1) status 2 bytes 88\n"
                                  "done sets 1 rows 1 status 2 bytes 59\n");
    const struct golden *new_pipeline = golden("new_pipeline");
    struct follower follower = follow(NEW);
    expect_letters(&follower, "QOPE");
    feed_hex(&follower, new_pipeline->hex);
    cr_assert_not(follower.failed);
    cr_assert_eq(response_expected(follower.tracker), 0);
    finish(&follower);
}

/* LOAD DATA LOCAL INFILE; SELECT 7: the file went up in packets 2 and 3. */
Test(response, waits_for_the_file_of_local_infile)
{
    char hex[1024];
    snprintf(hex, sizeof hex, "%s%s", golden("new_infile_request")->hex,
             golden("new_infile_answer")->hex);
    expect_trace(NEW, "Q", hex, "infile\ndone sets 1 rows 1 affected 2 id 0 status 2 bytes 114\n");
    snprintf(hex, sizeof hex, "%s%s", golden("old_infile_request")->hex,
             golden("old_infile_answer")->hex);
    expect_trace(CAPABILITY_LOCAL_FILES, "Q", hex,
                 "infile\ndone sets 1 rows 1 affected 2 id 0 status 2 bytes 121\n");
}

Test(response, refuses_a_file_request_that_was_not_agreed_on)
{
    expect_refused(OLD, "Q", "02000001fb78", "local file");
    expect_refused(CAPABILITY_DEPRECATE_EOF, "E", "02000001fb78", "local file");
}

Test(response, error_may_come_before_the_file_is_sent_but_nothing_else)
{
    struct follower follower = follow(NEW);
    struct error err = {0};
    enum response_event event;
    size_t consumed;
    expect_letters(&follower, "QQ");
    const uint8_t request[] = {2, 0, 0, 1, 0xFB, 'x'};
    cr_assert(response_feed(follower.tracker, byte_view(request, sizeof request), &consumed, &event,
                            &err));
    cr_assert_eq(event, RESPONSE_LOCAL_INFILE);
    feed_hex(&follower, "09000009ff2505233730313030");
    cr_assert_str_eq(follower.trace, "done failed 1317/70100  bytes 19\n");
    cr_assert(response_feed(follower.tracker, byte_view(request, sizeof request), &consumed, &event,
                            &err));
    cr_assert_eq(event, RESPONSE_LOCAL_INFILE);
    feed_hex(&follower, "0700000200000002000000");
    cr_assert(follower.failed);
    finish(&follower);
}

/* Feeds a stream cut into pieces by `next`, and returns what was said in `trace`. */
static void trace_cut(const struct golden *stream, size_t (*next)(void *), void *state, char *trace)
{
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    struct follower follower = follow(stream->capabilities);
    expect_letters(&follower, stream->replies);
    for (size_t at = 0; at < length;) {
        size_t piece = next(state);
        piece = piece < 1 ? 1 : piece > length - at ? length - at : piece;
        /* A copy of its own, so that reading past the piece is seen. */
        uint8_t *copy = malloc(piece);
        cr_assert(copy);
        memcpy(copy, bytes + at, piece);
        feed(&follower, copy, piece);
        free(copy);
        at += piece;
    }
    memcpy(trace, follower.trace, TRACE_SIZE);
    finish(&follower);
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

Test(response, events_do_not_depend_on_how_the_stream_is_cut, .timeout = 120)
{
    unsigned seed = (unsigned)time(NULL);
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
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

Test(response, truncated_streams_are_neither_refused_nor_complete)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        size_t length;
        uint8_t *bytes = unhex(goldens[i].hex, &length);
        for (size_t cut = 0; is_golden_whole(&goldens[i]) && cut < length; cut++) {
            struct follower follower = follow(goldens[i].capabilities);
            expect_letters(&follower, goldens[i].replies);
            uint8_t *copy = malloc(cut + 1);
            cr_assert(copy);
            memcpy(copy, bytes, cut);
            feed(&follower, copy, cut);
            cr_assert_not(follower.failed, "%s cut at %zu: %s", goldens[i].name, cut,
                          follower.trace);
            cr_assert_gt(response_expected(follower.tracker), 0, "%s cut at %zu", goldens[i].name,
                         cut);
            free(copy);
            finish(&follower);
        }
        free(bytes);
    }
}

Test(response, refuses_wrong_sequence_ids)
{
    expect_refused(OLD, "Q", "0700000200000002000000", "sequence id 2 where 1");
    expect_refused(OLD, "O", "0700000000000002000000", "sequence id 0 where 1");
    expect_refused(OLD, "Q", "0100000101 0500000303 646566aa", "sequence id 3 where 2");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 0200000401 31", "where 3");
    expect_refused(NEW, "Q", "0100000101 0500000203 646566aa 0200000301 31 0200000501 31",
                   "sequence id 5 where 4");
}

Test(response, first_sequence_follows_a_split_command)
{
    struct follower follower = follow(OLD);
    struct error err = {0};
    cr_assert(response_expect(follower.tracker, REPLY_OK, false, 4, tags, &err));
    cr_assert(
        response_expect(follower.tracker, REPLY_OK, false, RESPONSE_SEQUENCE_ANY, tags, &err));
    feed_hex(&follower, "0700000400000002000000 0700002a00000002000000");
    cr_assert_str_eq(follower.trace, "done status 2 bytes 11\ndone status 2 bytes 11\n");
    cr_assert(response_expect(follower.tracker, REPLY_OK, false, 4, tags, &err));
    feed_hex(&follower, "0700000100000002000000");
    cr_assert(follower.failed);
    finish(&follower);
}

/* MySQL 8.0.24 and MariaDB end connections with an ERR that is in no sequence. */
Test(response, farewell_error_may_be_out_of_sequence)
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

/* MariaDB's progress reports (ERR 0xFFFF) end nothing. */
Test(response, progress_reports_are_passed_by)
{
    expect_trace(OLD, "Q", "08000001ffffff0101020300 0700000200010002000000",
                 "done affected 1 id 0 status 2 bytes 23\n");
}

Test(response, refuses_malformed_first_packets)
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
    expect_refused(OLD, "P", "05000001fe00000200", "prepare");
    expect_refused(OLD, "O", "ffffff0100", "16 MiB");
    expect_refused(OLD, "Q", "ffffff0100", "16 MiB");
}

Test(response, eof_for_ok_is_taken_at_the_beginning)
{
    expect_trace(OLD, "Q", "05000001fe00000200", "done status 2 bytes 9\n");
    expect_trace(NEW, "Q", "07000001fe000002000000", "done status 2 bytes 11\n");
}

Test(response, refuses_malformed_result_sets)
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
Test(response, old_eofs_are_taken_under_deprecate_eof)
{
    expect_trace(NEW, "Q",
                 "0100000101 0500000203 646566aa 05000003fe00000200 0200000401 31 "
                 "05000005fe00000200",
                 "done sets 1 rows 1 status 2 bytes 38\n");
    expect_trace(NEW, "Q", "0100000101 0500000203 646566aa 05000003fe00000200 05000004fe00000200",
                 "done sets 1 rows 0 status 2 bytes 32\n");
    expect_trace(NEW, "E", "0100000101 0500000203 646566aa 05000003fe00004200",
                 "done sets 1 rows 0 status 42 bytes 23\n");
    expect_trace(NEW, "P",
                 "0c000001 000500000001000100000000 0500000203 646566aa 05000003fe00000200 "
                 "0500000403 646566aa",
                 "done statement 5 (1, 1) status 2 bytes 43\n");
}

Test(response, unsolicited_error_is_told)
{
    struct follower follower = follow(OLD);
    const char *idle = "09000000ffbf0f233038533031";
    feed_hex(&follower, idle);
    cr_assert_str_eq(follower.trace, "unsolicited failed 4031/08S01  bytes 13\n");
    cr_assert_not(response_under_way(follower.tracker));
    finish(&follower);

    follower = follow(OLD);
    for (const char *at = idle; *at; at += 2) {
        char pair[3] = {at[0], at[1], 0};
        feed_hex(&follower, pair);
    }
    cr_assert_str_eq(follower.trace, "unsolicited failed 4031/08S01  bytes 13\n");
    finish(&follower);
}

Test(response, unsolicited_packets_that_are_no_error_are_refused)
{
    expect_refused(OLD, "", "0700000100000002000000", "answers nothing");
    expect_refused(OLD, "O", "0700000100000002000000 0700000200000002000000", "answers nothing");
    struct follower follower = follow(OLD);
    feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(follower.relayed, 0);
    finish(&follower);
}

Test(response, nothing_of_a_refused_packet_is_consumed)
{
    struct follower follower = follow(NEW);
    struct error err = {0};
    enum response_event event;
    size_t consumed, length;
    expect_letters(&follower, "Q");
    uint8_t *bytes = unhex("0100000101 0500000203 646566aa 0200000301 31 0200000901 31", &length);
    cr_assert_not(
        response_feed(follower.tracker, byte_view(bytes, length), &consumed, &event, &err));
    cr_assert_eq(consumed, 5 + 9 + 6);
    free(bytes);
    finish(&follower);
}

Test(response, streams_end_with_error_or_eof)
{
    /* An event of 16 MiB may follow; the last EOF is in the old form whatever was agreed. */
    expect_trace(NEW, "B", "030000010011ab 05000002fe00000200", "done status 2 bytes 16\n");
    expect_trace(NEW, "B", "030000010011ab 09000005ffd404234859303030",
                 "done failed 1236/HY000  bytes 20\n");
    struct follower follower = follow(NEW);
    expect_letters(&follower, "B");
    feed_hex(&follower, "0300000100aabb 030000fe00aabb 0a000003feaaaaaaaaaaaaaaaaaa");
    cr_assert_str_eq(follower.trace, "");
    cr_assert(response_under_way(follower.tracker));
    finish(&follower);
}

Test(response, statistics_may_fail)
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
    feed(follower, header, sizeof header);
    while (length > 0) {
        size_t size = length < sizeof piece ? length : sizeof piece;
        piece[0] = first >= 0 ? (uint8_t)first : 0xFF; /* no continuation is ever looked into */
        feed(follower, piece, size);
        first = -1;
        length -= (uint32_t)size;
    }
}

Test(response, rows_of_more_than_16_mib_are_one_row)
{
    struct follower follower = follow(NEW);
    expect_letters(&follower, "Q");
    feed_hex(&follower, "0100000101 0500000203 646566aa");
    feed_big(&follower, 0xFFFFFF, 3, 0xFE); /* a string of 2^24 bytes and more */
    feed_big(&follower, 100, 4, -1);
    feed_big(&follower, 0xFFFFFF, 5, 0x01); /* an exact multiple ends with an empty packet */
    feed_big(&follower, 0xFFFFFF, 6, -1);
    feed_big(&follower, 0, 7, -1);
    uint8_t next;
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 8);
    feed_hex(&follower, "0200000801 31 07000009fe000002000000");
    cr_assert_str_eq(follower.trace, "done sets 1 rows 3 status 2 bytes 50331796\n", "%s",
                     follower.trace);
    finish(&follower);
}

Test(response, no_boundary_between_the_packets_of_one_row)
{
    struct follower follower = follow(NEW);
    uint8_t next;
    expect_letters(&follower, "Q");
    feed_hex(&follower, "0100000101 0500000203 646566aa");
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 3);
    feed_big(&follower, 0xFFFFFF, 3, 0x01);
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    feed_big(&follower, 5, 5, -1);
    cr_assert(follower.failed, "a continuation has the next sequence id");
    finish(&follower);
}

Test(response, sequence_ids_wrap)
{
    struct follower follower = follow(NEW);
    expect_letters(&follower, "Q");
    feed_hex(&follower, "0100000101 0500000203 646566aa");
    uint8_t rows[1000][6];
    for (size_t i = 0; i < 1000; i++) {
        uint8_t row[] = {2, 0, 0, (uint8_t)(3 + i), 1, 'x'};
        memcpy(rows[i], row, sizeof row);
    }
    feed(&follower, rows[0], 2500);
    feed(&follower, rows[0] + 2500, sizeof rows - 2500);
    feed_hex(&follower, "070000ebfe000002000000"); /* 3 + 1000 = 0x3eb */
    cr_assert_str_eq(follower.trace, "done sets 1 rows 1000 status 2 bytes 6025\n");
    finish(&follower);
}

/* An OK whose session tracking is longer than what is kept: counters are read, the rest is passed.
 */
Test(response, huge_ok_is_read_as_far_as_it_is_kept)
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
        struct follower follower = follow(NEW);
        expect_letters(&follower, "Q");
        for (size_t at = 0; at < 200000; at += piece)
            feed(&follower, ok + at, piece);
        cr_assert_str_eq(follower.trace, "done affected 7 id 0 status 4002 bytes 200000\n");
        finish(&follower);
    }
    free(ok);
}

Test(response, login_packets_are_handed_over_and_not_relayed)
{
    const struct golden *stream = golden("old_change_user");
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    struct follower follower = follow(OLD);
    expect_letters(&follower, "CO");
    feed(&follower, bytes, 3);
    feed(&follower, bytes + 3, 20);
    feed(&follower, bytes + 23, length - 23);
    cr_assert_str_eq(follower.trace, "login 44 #1\n");
    /* The client answered with #2; the OK follows. */
    feed_hex(&follower, "0700000300000002000000");
    cr_assert_str_eq(follower.trace, "login 44 #1\nlogin 7 #3\n");
    cr_assert_eq(follower.relayed, 0);
    cr_assert_eq(response_expected(follower.tracker), 2);
    response_login_done(follower.tracker);
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    cr_assert_not(response_result(follower.tracker)->failed);
    cr_assert(response_result(follower.tracker)->has_status);
    feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(follower.relayed, 11);
    cr_assert_eq(response_expected(follower.tracker), 0);
    free(bytes);
    finish(&follower);
}

Test(response, refused_login_is_an_outcome)
{
    struct follower follower = follow(OLD);
    expect_letters(&follower, "C");
    feed_hex(&follower, "09000001ff1504233238303030");
    response_login_done(follower.tracker);
    cr_assert(response_result(follower.tracker)->failed);
    cr_assert_eq(response_result(follower.tracker)->code, 1045);
    finish(&follower);
}

Test(response, login_packets_are_bounded)
{
    expect_refused(OLD, "C", "01000101fe", "65537 bytes");
    expect_refused(OLD, "C", "01000001fe 01000004fe", "sequence id 4 where 2");
}

Test(response, tags_come_back_in_order)
{
    struct follower follower = follow(OLD);
    expect_letters(&follower, "OOO");
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    feed_hex(&follower, "07");
    cr_assert_eq(response_tag(follower.tracker), &tags[1]);
    cr_assert(response_under_way(follower.tracker));
    cr_assert_eq(response_abandon(follower.tracker), &tags[1]);
    cr_assert_eq(response_abandon(follower.tracker), &tags[2]);
    cr_assert_null(response_abandon(follower.tracker));
    finish(&follower);
}

Test(response, injected_answers_wait_for_their_turn)
{
    struct follower follower = follow(OLD);
    struct error err = {0};
    expect_letters(&follower, "O");
    cr_assert(response_expect_injected(follower.tracker, &tags[40], &err));
    expect_letters(&follower, "O");
    cr_assert_not(response_injected_next(follower.tracker));
    cr_assert_null(response_injected_done(follower.tracker));
    feed_hex(&follower, "07000001");
    cr_assert_not(response_injected_next(follower.tracker));
    /* The rest of the first answer and the whole of the last one: ours comes in between. */
    feed_hex(&follower, "00000002000000 0700000100000003000000");
    cr_assert_str_eq(follower.trace, "done status 2 bytes 11\ninjected\ndone status 3 bytes 11\n");
    cr_assert_eq(response_expected(follower.tracker), 0);
    cr_assert(response_expect_injected(follower.tracker, &tags[41], &err));
    cr_assert(response_injected_next(follower.tracker));
    cr_assert_eq(response_injected_done(follower.tracker), &tags[41]);
    finish(&follower);
}

Test(response, fifo_is_bounded)
{
    struct follower follower = follow(OLD);
    struct error err = {0};
    for (size_t i = 0; i < RESPONSE_FIFO_MAX; i++)
        cr_assert(response_expect(follower.tracker, REPLY_OK, false, 1, tags, &err));
    cr_assert_not(response_expect(follower.tracker, REPLY_OK, false, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    feed_hex(&follower, "0700000100000002000000");
    cr_assert(response_expect(follower.tracker, REPLY_OK, false, 1, tags, &err));
    cr_assert_eq(response_expected(follower.tracker), RESPONSE_FIFO_MAX);
    cr_assert_not(response_expect(follower.tracker, REPLY_NONE, false, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    finish(&follower);
}

Test(response, says_where_an_error_of_ours_fits)
{
    struct follower follower = follow(NEW);
    struct error err = {0};
    uint8_t next;
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 1);
    cr_assert(response_expect(follower.tracker, REPLY_RESULT, false, 5, tags, &err));
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 5);
    feed_hex(&follower, "010000");
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    feed_hex(&follower, "0501");
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 6);
    feed_hex(&follower, "0500000603");
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    finish(&follower);
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

Test(response, steady_state_does_not_allocate)
{
    struct follower follower = follow(NEW);
    const struct golden *stream = golden("new_pipeline");
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    for (int round = 0; round < 1000; round++) {
        follower.trace[0] = '\0';
        if (round == 1) /* the first one may grow the FIFO and the buffer for cut packets */
            buffer_set_allocator(counting_allocator);
        expect_letters(&follower, stream->replies);
        for (size_t at = 0; at < length; at += 13)
            feed(&follower, bytes + at, length - at < 13 ? length - at : 13);
    }
    buffer_set_allocator(NULL);
    cr_assert_eq(allocations, 0, "%ld allocations", allocations);
    free(bytes);
    finish(&follower);
}

Test(response, failing_allocations_are_told)
{
    struct follower follower = follow(OLD);
    struct error err = {0};
    buffer_set_allocator(failing_allocator);
    cr_assert_not(response_expect(follower.tracker, REPLY_OK, false, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    allocations_left = 1;
    expect_letters(&follower, "O");
    feed_hex(&follower, "070000010000");
    cr_assert(follower.failed);
    buffer_set_allocator(NULL);
    finish(&follower);
}

/* Goldens with random bytes changed: refused or followed, but the same however they are cut. */
Test(response, damaged_streams_are_judged_the_same_however_cut, .timeout = 120)
{
    unsigned seed = (unsigned)time(NULL);
    char hex[2048], whole[TRACE_SIZE], cut[TRACE_SIZE];
    for (int round = 0; round < 20000; round++) {
        unsigned before = seed;
        const struct golden *stream =
            &goldens[(size_t)rand_r(&seed) % (sizeof goldens / sizeof *goldens)];
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
