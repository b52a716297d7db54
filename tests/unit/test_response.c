/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"
#include "tests/unit/response_support.h"

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

/* TRAPS: TiProxy #440. The flag means something where a cursor was asked for: elsewhere it is
 * stale.
 */
Test(response, cursor_flag_that_nobody_asked_for_is_not_an_end)
{
    expect_trace(OLD, "Q",
                 "0100000101 0500000203 646566aa 05000003fe00004200 0200000401 31 "
                 "05000005fe00000200",
                 "done sets 1 rows 1 status 2 bytes 38\n");
    expect_trace(OLD, "E",
                 "0100000101 0500000203 646566aa 05000003fe00004200 0200000400 31 "
                 "05000005fe00004200",
                 "done sets 1 rows 1 status 42 bytes 38\n");
}

/*
 * MariaDB 10.11: a procedure with a cursor of its own, executed with the flag for a cursor. Each of
 * its results has CURSOR_EXISTS behind the definitions, and rows.
 */
Test(response, cursor_inside_of_a_procedure_does_not_keep_rows_back)
{
    expect_trace(OLD, "U",
                 "0100000101 0500000203 646566aa 05000003fe00006a00 0200000400 31 "
                 "05000005fe00006a00 07000006000000 22000000",
                 "done sets 1 rows 1 status 22 bytes 49\n");
}

Test(response, follows_a_pipeline)
{
    expect_golden("old_pipeline", "done sets 1 rows 1 status 2 bytes 56\n"
                                  "done status 2 bytes 11\n"
                                  "done statement 19 (1, 1) status 2 bytes 88\n"
                                  "done sets 1 rows 1 status 2 bytes 59\n");
    const struct golden *new_pipeline = golden("new_pipeline");
    struct follower follower = follower_make(NEW);
    follower_expect(&follower, "QOPE");
    follower_feed_hex(&follower, new_pipeline->hex);
    cr_assert_not(follower.failed);
    cr_assert_eq(response_expected(follower.tracker), 0);
    follower_finish(&follower);
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
    struct follower follower = follower_make(NEW);
    struct error err = {0};
    enum response_event event;
    size_t consumed;
    follower_expect(&follower, "QQ");
    const uint8_t request[] = {2, 0, 0, 1, 0xFB, 'x'};
    cr_assert(response_feed(follower.tracker, byte_view(request, sizeof request), &consumed, &event,
                            &err));
    cr_assert_eq(event, RESPONSE_LOCAL_INFILE);
    follower_feed_hex(&follower, "09000009ff2505233730313030");
    cr_assert_str_eq(follower.trace, "done failed 1317/70100  bytes 19\n");
    cr_assert(response_feed(follower.tracker, byte_view(request, sizeof request), &consumed, &event,
                            &err));
    cr_assert_eq(event, RESPONSE_LOCAL_INFILE);
    follower_feed_hex(&follower, "0700000200000002000000");
    cr_assert(follower.failed);
    follower_finish(&follower);
}

Test(response, login_packets_are_handed_over_and_not_relayed)
{
    const struct golden *stream = golden("old_change_user");
    size_t length;
    uint8_t *bytes = unhex(stream->hex, &length);
    struct follower follower = follower_make(OLD);
    follower_expect(&follower, "CO");
    follower_feed(&follower, bytes, 3);
    follower_feed(&follower, bytes + 3, 20);
    follower_feed(&follower, bytes + 23, length - 23);
    cr_assert_str_eq(follower.trace, "login 44 #1\n");
    /* The client answered with #2; the OK follows. */
    follower_feed_hex(&follower, "0700000300000002000000");
    cr_assert_str_eq(follower.trace, "login 44 #1\nlogin 7 #3\n");
    cr_assert_eq(follower.relayed, 0);
    cr_assert_eq(response_expected(follower.tracker), 2);
    response_login_done(follower.tracker);
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    cr_assert_not(response_result(follower.tracker)->failed);
    cr_assert(response_result(follower.tracker)->has_status);
    follower_feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(follower.relayed, 11);
    cr_assert_eq(response_expected(follower.tracker), 0);
    free(bytes);
    follower_finish(&follower);
}

Test(response, refused_login_is_an_outcome)
{
    struct follower follower = follower_make(OLD);
    follower_expect(&follower, "C");
    follower_feed_hex(&follower, "09000001ff1504233238303030");
    response_login_done(follower.tracker);
    cr_assert(response_result(follower.tracker)->failed);
    cr_assert_eq(response_result(follower.tracker)->code, 1045);
    follower_finish(&follower);
}

Test(response, tags_come_back_in_order)
{
    struct follower follower = follower_make(OLD);
    follower_expect(&follower, "OOO");
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    follower_feed_hex(&follower, "0700000100000002000000");
    cr_assert_eq(response_tag(follower.tracker), &tags[0]);
    follower_feed_hex(&follower, "07");
    cr_assert_eq(response_tag(follower.tracker), &tags[1]);
    cr_assert_eq(response_abandon(follower.tracker), &tags[1]);
    cr_assert_eq(response_abandon(follower.tracker), &tags[2]);
    cr_assert_null(response_abandon(follower.tracker));
    follower_finish(&follower);
}

Test(response, injected_answers_wait_for_their_turn)
{
    struct follower follower = follower_make(OLD);
    struct error err = {0};
    follower_expect(&follower, "O");
    cr_assert(response_expect_injected(follower.tracker, &tags[40], &err));
    follower_expect(&follower, "O");
    cr_assert_not(response_injected_next(follower.tracker));
    cr_assert_null(response_injected_done(follower.tracker));
    follower_feed_hex(&follower, "07000001");
    cr_assert_not(response_injected_next(follower.tracker));
    /* The rest of the first answer and the whole of the last one: ours comes in between. */
    follower_feed_hex(&follower, "00000002000000 0700000100000003000000");
    cr_assert_str_eq(follower.trace, "done status 2 bytes 11\ninjected\ndone status 3 bytes 11\n");
    cr_assert_eq(response_expected(follower.tracker), 0);
    cr_assert(response_expect_injected(follower.tracker, &tags[41], &err));
    cr_assert(response_injected_next(follower.tracker));
    cr_assert_eq(response_injected_done(follower.tracker), &tags[41]);
    follower_finish(&follower);
}

Test(response, fifo_is_bounded)
{
    struct follower follower = follower_make(OLD);
    struct error err = {0};
    for (size_t i = 0; i < RESPONSE_FIFO_MAX; i++)
        cr_assert(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 1, tags, &err));
    cr_assert_not(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    follower_feed_hex(&follower, "0700000100000002000000");
    cr_assert(response_expect(follower.tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 1, tags, &err));
    cr_assert_eq(response_expected(follower.tracker), RESPONSE_FIFO_MAX);
    cr_assert_not(response_expect(follower.tracker, REPLY_NONE, RESPONSE_ROWS_TEXT, 1, tags, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    follower_finish(&follower);
}

Test(response, says_where_an_error_of_ours_fits)
{
    struct follower follower = follower_make(NEW);
    struct error err = {0};
    uint8_t next;
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 1);
    cr_assert(response_expect(follower.tracker, REPLY_RESULT, RESPONSE_ROWS_TEXT, 5, tags, &err));
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 5);
    follower_feed_hex(&follower, "010000");
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    follower_feed_hex(&follower, "0501");
    cr_assert(response_at_boundary(follower.tracker, &next));
    cr_assert_eq(next, 6);
    follower_feed_hex(&follower, "0500000603");
    cr_assert_not(response_at_boundary(follower.tracker, &next));
    follower_finish(&follower);
}

static void feed_packet(struct response_tracker *tracker, const void *bytes, size_t length,
                        enum response_event expected)
{
    enum response_event event;
    struct error err = {0};
    size_t consumed;
    cr_assert(response_feed(tracker, byte_view(bytes, length), &consumed, &event, &err), "%s",
              err.message);
    cr_assert_eq(consumed, length);
    cr_assert_eq(event, expected);
}

/* From the first byte of the stream to its end, and not while an older answer is due. */
Test(response, says_when_a_stream_is_under_way)
{
    static const uint8_t ok[] = {7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0};
    static const uint8_t event[] = {3, 0, 0, 1, 0, 'a', 'b'};
    static const uint8_t end[] = {5, 0, 0, 2, 0xFE, 0, 0, 2, 0};
    struct response_tracker *tracker;
    int ping, dump;
    cr_assert(response_tracker_create(CAPABILITY_PROTOCOL_41, 0, &tracker, NULL));
    cr_assert_not(response_streaming(tracker));
    cr_assert(response_expect(tracker, REPLY_OK, RESPONSE_ROWS_TEXT, 1, &ping, NULL));
    cr_assert(response_expect(tracker, REPLY_STREAM, RESPONSE_ROWS_TEXT, 1, &dump, NULL));
    feed_packet(tracker, ok, 3, RESPONSE_MORE);
    cr_assert_not(response_streaming(tracker));
    feed_packet(tracker, ok + 3, sizeof ok - 3, RESPONSE_DONE);
    cr_assert_not(response_streaming(tracker));
    feed_packet(tracker, event, 1, RESPONSE_MORE);
    cr_assert(response_streaming(tracker));
    cr_assert_eq(response_tag(tracker), &dump);
    feed_packet(tracker, event + 1, sizeof event - 1, RESPONSE_MORE);
    cr_assert(response_streaming(tracker));
    feed_packet(tracker, end, sizeof end, RESPONSE_DONE);
    cr_assert_not(response_streaming(tracker));
    response_tracker_destroy(tracker);
}

/*
 * MySQL 9.7, CALL with an OUT parameter: the EOF behind the definitions says PS_OUT_PARAMS and
 * MORE_RESULTS, the one behind the row neither, and an OK follows.
 */
Test(response, out_parameters_are_followed_by_an_ok)
{
    expect_trace(OLD, "E",
                 "0100000101 0500000203 646566aa 05000003fe00000a10 0200000400 31 "
                 "05000005fe00000200 07000006000000 02000000",
                 "done sets 1 rows 1 status 2 bytes 49\n");
}
