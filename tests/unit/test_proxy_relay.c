/* SPDX-License-Identifier: Apache-2.0 */
/* The command phase: order, sequence ids, refusals, and what each side may do wrong in it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"
#include "protocol/response.h"
#include "protocol/statement.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_relay, .fini = files_remove);

static struct stage stage;
static struct peer *client, *database;

static void open_ready(const char *audit)
{
    const struct stage_options options = {.audit = audit};
    stage_open(&stage, &options);
    stage_ready(&stage, &client, &database);
}

static void close_stage(const char *reason, const char *words)
{
    stage_close(&stage);
    expect_closing("session.end", reason, words);
}

#define SMALL ",\"statement_limit\":1024"

/* --- the client's mistakes
 * ------------------------------------------------------------------------
 */

static void client_sends(const void *bytes, size_t length, unsigned code, const char *words)
{
    open_ready(NULL);
    peer_write(client, bytes, length);
    peer_expect_error(client, 1, code, words);
    peer_gone(client);
    peer_gone(database);
    close_stage("client_protocol", words);
    files_remove();
}

Test(proxy_relay, commands_that_are_none_reach_nobody)
{
    client_sends("\x01\0\0\x01\x0e", 5, 1835, "");     /* the sequence begins with 1 */
    client_sends("\x00\0\0\x00", 4, 1835, "");         /* no command byte */
    client_sends("\x01\0\0\x00\x77", 5, 1047, "0x77"); /* no server knows it */
    client_sends("\x03\0\0\x00\x17\0\0", 7, 1835, ""); /* COM_STMT_EXECUTE without an id */
    client_sends("\x02\0\0\x00\x11q", 6, 1043, "");    /* a name without its end */
}

Test(proxy_relay, long_commands_that_are_none_reach_nobody)
{
    static const uint8_t commands[] = {0x77, COMMAND_CHANGE_USER};
    for (size_t i = 0; i < sizeof commands; i++) {
        static uint8_t payload[5000];
        memset(payload, 'a', sizeof payload);
        payload[0] = commands[i];
        open_ready(SMALL);
        peer_send(client, 0, payload, sizeof payload);
        struct packet_err refusal;
        cr_assert(packet_err_read(peer_packet(client, 1), &refusal, NULL));
        peer_gone(client);
        peer_gone(database);
        close_stage("client_protocol", "");
        files_remove();
    }
}

Test(proxy_relay, half_a_command_is_never_sent)
{
    open_ready(NULL);
    peer_write(client, "\x09\0\0\x00\x03SELECT", 11);
    peer_silent(database);
    peer_close(client);
    peer_gone(database);
    close_stage("client_closed", "");
    expect_statement("SELECT", NULL);
}

Test(proxy_relay, client_that_leaves_while_idle)
{
    open_ready(NULL);
    peer_close(client);
    peer_gone(database);
    cr_assert(database->quit);
    close_stage("client_closed", "");
}

Test(proxy_relay, client_that_resets_while_idle)
{
    open_ready(NULL);
    peer_reset(client);
    peer_gone(database);
    close_stage("client_lost", "");
}

Test(proxy_relay, client_that_leaves_before_the_answer_has_an_unknown_outcome)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "DELETE FROM t");
    peer_expect_command(database, COMMAND_QUERY, "DELETE FROM t");
    peer_reset(client);
    peer_wait_gone(database);
    close_stage("client_lost", "");
    expect_statement("DELETE FROM t", "unknown");
}

Test(proxy_relay, command_in_single_bytes_is_one)
{
    static const char bytes[] = "\x09\0\0\x00\x03SELECT 1";
    open_ready(NULL);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        peer_write(client, bytes + i, 1);
        stage_run_for(&stage, 2);
    }
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    close_stage("draining", "");
    expect_statement("SELECT 1", "ok");
}

/* --- the database's mistakes
 * ----------------------------------------------------------------------
 */

static void database_answers(const void *bytes, size_t length, const char *words)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_write(database, bytes, length);
    peer_expect_error(client, 1, 1159, words);
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("upstream_protocol", words);
    expect_statement("SELECT 1", "unknown");
    files_remove();
}

Test(proxy_relay, answers_that_cannot_be_followed_are_not_passed)
{
    database_answers("\x07\0\0\x02\0\0\0\x02\0\0\0", 11, "");
    database_answers("\x00\0\0\x01", 4, "");
    database_answers("\x05\0\0\x01\xfb/etc", 9, "local file");
    database_answers("\x01\0\0\x01\xfe", 5, "");
}

Test(proxy_relay, packet_that_nothing_asked_for_is_not_passed)
{
    open_ready(NULL);
    peer_ok(database, 1);
    peer_expect_error(client, 1, 1159, "");
    peer_gone(client);
    close_stage("upstream_protocol", "");
}

Test(proxy_relay, packet_that_is_bad_behind_good_ones_is_not_passed)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_write(database, "\x01\0\0\x01\x01\x01\0\0\x07\x01", 10);
    peer_expect(client, 1, "\x01", 1);
    peer_wait_gone(client);
    cr_assert(buffer_length(&client->received) < 5 || buffer_bytes(&client->received)[4] == 0xff,
              "the bad packet was passed");
    close_stage("upstream_protocol", "");
}

Test(proxy_relay, farewell_of_the_database_is_passed_as_it_is)
{
    open_ready(NULL);
    peer_err(database, 0, 4031, "The client was disconnected by the server");
    peer_expect_error(client, 0, 4031, "The client was disconnected by the server");
    peer_gone(client);
    close_stage("upstream_closed", "The client was disconnected");
}

/* As directly: the client finds the connection closed, and no error in the place of an answer. */
Test(proxy_relay, database_that_leaves_while_idle)
{
    open_ready(NULL);
    peer_close(database);
    peer_gone(client);
    cr_assert_eq(buffer_length(&client->received), 0);
    close_stage("upstream_closed", "closed the connection");
}

Test(proxy_relay, database_that_dies_before_its_answer)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_reset(database);
    peer_expect_error(client, 1, 1159, "database shop");
    peer_gone(client);
    close_stage("upstream_closed", "");
    expect_statement("SELECT 1", "unknown");
}

/* One column, under CAPABILITY_DEPRECATE_EOF. */
static const uint8_t column[] = {3, 'd', 'e', 'f', 0, 0, 0, 1, 'a', 0, 12, 63,
                                 0, 1,   0,   0,   0, 3, 0, 0, 0,   0, 0};
static const uint8_t end_of_rows[] = {0xFE, 0, 0, STATUS_AUTOCOMMIT, 0, 0, 0};

Test(proxy_relay, rows_go_through_unchanged)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT a");
    peer_expect_command(database, COMMAND_QUERY, "SELECT a");
    peer_send(database, 1, "\x01", 1);
    peer_send(database, 2, column, sizeof column);
    peer_send(database, 3,
              "\x01"
              "1",
              2);
    peer_expect(client, 1, "\x01", 1);
    peer_expect(client, 2, column, sizeof column);
    peer_expect(client, 3,
                "\x01"
                "1",
                2); /* before the end of the result has come */
    peer_send(database, 4, end_of_rows, sizeof end_of_rows);
    peer_expect(client, 4, end_of_rows, sizeof end_of_rows);
    close_stage("draining", "");
    expect_statement("SELECT a", "ok");
}

Test(proxy_relay, database_that_dies_between_rows_is_told_in_the_rows_order)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT a");
    peer_expect_command(database, COMMAND_QUERY, "SELECT a");
    peer_send(database, 1, "\x01", 1);
    peer_send(database, 2, column, sizeof column);
    peer_send(database, 3,
              "\x01"
              "1",
              2);
    for (uint8_t i = 1; i <= 3; i++)
        (void)peer_packet(client, i);
    peer_close(database);
    peer_expect_error(client, 4, 1159, "closed the connection");
    peer_gone(client);
    close_stage("upstream_closed", "");
}

Test(proxy_relay, database_that_dies_within_a_row_leaves_no_room_for_a_word)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT a");
    peer_expect_command(database, COMMAND_QUERY, "SELECT a");
    peer_send(database, 1, "\x01", 1);
    peer_send(database, 2, column, sizeof column);
    peer_write(database,
               "\x05\0\0\x03\x04"
               "1",
               6);
    (void)peer_packet(client, 1);
    (void)peer_packet(client, 2);
    peer_close(database);
    peer_wait_gone(client);
    cr_assert_eq(buffer_length(&client->received), 6, "an ERR was put into a row");
    close_stage("upstream_closed", "");
}

/* --- pipelining
 * -----------------------------------------------------------------------------------
 */

Test(proxy_relay, denied_command_in_a_pipeline_is_answered_in_its_turn)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_command(client, COMMAND_INIT_DB, "secret");
    peer_command(client, COMMAND_QUERY, "USE secret");
    peer_command(client, COMMAND_QUERY, "SELECT 2");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 2");
    peer_silent(client); /* no answer overtakes another */
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_expect_error(client, 1, 1044, "role r denies schema secret");
    peer_expect_error(client, 1, 1044, "role r denies schema secret");
    peer_silent(client);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    close_stage("draining", "");
    expect_statement("secret", "denied");
    expect_statement("USE secret", "denied");
    expect_statement("SELECT 2", "ok");
}

Test(proxy_relay, denied_command_does_not_cut_into_a_result)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT a");
    peer_expect_command(database, COMMAND_QUERY, "SELECT a");
    peer_send(database, 1, "\x01", 1);
    peer_expect(client, 1, "\x01", 1);
    peer_command(client, COMMAND_INIT_DB, "secret");
    peer_silent(client);
    peer_send(database, 2, column, sizeof column);
    peer_send(database, 3, end_of_rows, sizeof end_of_rows);
    peer_expect(client, 2, column, sizeof column);
    peer_expect(client, 3, end_of_rows, sizeof end_of_rows);
    peer_expect_error(client, 1, 1044, "secret");
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, more_commands_than_are_followed_at_once_wait)
{
    enum { COMMANDS = RESPONSE_FIFO_MAX + 200 };
    open_ready(NULL);
    for (int i = 0; i < COMMANDS; i++)
        peer_command(client, COMMAND_PING, "");
    for (int i = 0; i < COMMANDS; i++) {
        peer_expect_command(database, COMMAND_PING, "");
        if (i >= COMMANDS - 200) /* only now does the proxy need answers to go on */
            continue;
        peer_ok(database, 1);
    }
    for (int i = 0; i < 200; i++)
        peer_ok(database, 1);
    for (int i = 0; i < COMMANDS; i++)
        peer_expect_ok(client, 1);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, session_goes_on_after_denials)
{
    open_ready(NULL);
    for (int i = 0; i < 3; i++) {
        peer_command(client, COMMAND_BINLOG_DUMP, "\x04\0\0\0\0\0\1\0\0\0f");
        peer_expect_error(client, 1, 1227, "");
        peer_command(client, COMMAND_CLONE, "");
        peer_expect_error(client, 1, 1047, "");
        stage_ping(client, database);
    }
    close_stage("draining", "");
}

/* --- prepared statements
 * --------------------------------------------------------------------------
 */

/* COM_STMT_EXECUTE without parameters. */
static void execute(uint32_t id)
{
    const uint8_t payload[] = {COMMAND_STMT_EXECUTE,
                               (uint8_t)id,
                               (uint8_t)(id >> 8),
                               (uint8_t)(id >> 16),
                               (uint8_t)(id >> 24),
                               0,
                               1,
                               0,
                               0,
                               0};
    peer_send(client, 0, payload, sizeof payload);
}

static void expect_execute(uint32_t id)
{
    struct byte_view found = peer_packet(database, 0);
    cr_assert_eq(found.length, 10);
    cr_assert_eq(found.data[0], COMMAND_STMT_EXECUTE);
    cr_assert_eq(found.data[1] | (uint32_t)found.data[2] << 8, id & 0xFFFF);
}

Test(proxy_relay, statement_prepared_last_waits_for_its_prepare)
{
    open_ready(NULL);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    execute(STATEMENT_LAST_ID);
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_silent(database);
    peer_prepared(database, 7, 0);
    expect_execute(STATEMENT_LAST_ID);
    peer_ok(database, 1);
    (void)peer_packet(client, 1);
    peer_expect_ok(client, 1);
    close_stage("draining", "");
    cJSON *records = stage_records();
    cr_assert_eq(records_with(records, "event", "execute"), 1);
    cr_assert_eq(records_with(records, "statement", "SELECT 1"), 2);
    cJSON_Delete(records);
}

Test(proxy_relay, statement_prepared_last_is_none_after_a_failed_prepare)
{
    open_ready(NULL);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_prepared(database, 7, 0);
    (void)peer_packet(client, 1);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT");
    execute(STATEMENT_LAST_ID);
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT");
    peer_err(database, 1, 1064, "You have an error in your SQL syntax");
    peer_expect_error(client, 1, 1064, "syntax");
    peer_expect_error(client, 1, 1243, "no prepared statement");
    peer_silent(database);
    execute(7); /* the first one is there still */
    expect_execute(7);
    close_stage("draining", "");
}

Test(proxy_relay, unknown_statements_are_refused_and_not_sent)
{
    static const uint8_t commands[] = {COMMAND_STMT_EXECUTE, COMMAND_STMT_RESET, COMMAND_STMT_FETCH,
                                       COMMAND_STMT_BULK_EXECUTE};
    open_ready(NULL);
    for (size_t i = 0; i < sizeof commands; i++) {
        const uint8_t payload[] = {commands[i], 9, 0, 0, 0, 0, 1, 0, 0, 0};
        peer_send(client, 0, payload, sizeof payload);
        peer_expect_error(client, 1, 1243, "no prepared statement 9");
    }
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, unknown_statements_of_commands_without_an_answer_are_dropped)
{
    static const uint8_t data[] = {COMMAND_STMT_SEND_LONG_DATA, 9, 0, 0, 0, 0, 0, 'x'};
    static const uint8_t closing[] = {COMMAND_STMT_CLOSE, 9, 0, 0, 0};
    open_ready(NULL);
    peer_send(client, 0, data, sizeof data);
    peer_send(client, 0, closing, sizeof closing);
    stage_ping(client, database); /* no answer stands before that of the ping */
    close_stage("draining", "");
}

Test(proxy_relay, long_data_for_an_unknown_statement_is_dropped_without_an_answer)
{
    static uint8_t data[5000] = {COMMAND_STMT_SEND_LONG_DATA, 9};
    open_ready(SMALL);
    peer_send(client, 0, data, sizeof data);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, closed_statement_is_unknown)
{
    static const uint8_t closing[] = {COMMAND_STMT_CLOSE, 7, 0, 0, 0};
    open_ready(NULL);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_prepared(database, 7, 0);
    (void)peer_packet(client, 1);
    peer_send(client, 0, closing, sizeof closing);
    (void)peer_packet(database, 0);
    execute(7);
    peer_expect_error(client, 1, 1243, "no prepared statement 7");
    close_stage("draining", "");
}

Test(proxy_relay, reset_connection_forgets_statements)
{
    open_ready(NULL);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_prepared(database, 7, 0);
    (void)peer_packet(client, 1);
    peer_command(client, COMMAND_RESET_CONNECTION, "");
    peer_expect_command(database, COMMAND_RESET_CONNECTION, "");
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    execute(7);
    peer_expect_error(client, 1, 1243, "no prepared statement 7");
    close_stage("draining", "");
}

Test(proxy_relay, prepared_statements_have_a_limit)
{
    const struct stage_options options = {.limits = "\"statements\":2"};
    stage_open(&stage, &options);
    stage_ready(&stage, &client, &database);
    for (uint32_t i = 1; i <= 2; i++) {
        peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
        peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT 1");
        peer_prepared(database, i, 0);
        (void)peer_packet(client, 1);
    }
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    peer_expect_error(client, 1, 1461, "limits.statements");
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, execute_whose_values_cannot_be_read_is_not_sent)
{
    static const uint8_t cut[] = {
        COMMAND_STMT_EXECUTE, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 253, 0, 99};
    open_ready(NULL);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT ?");
    peer_expect_command(database, COMMAND_STMT_PREPARE, "SELECT ?");
    peer_prepared(database, 7, 1);
    (void)peer_packet(client, 1);
    (void)peer_packet(client, 2);
    peer_send(client, 0, cut, sizeof cut);
    peer_expect_error(client, 1, 1835, "");
    peer_gone(client);
    peer_gone(database);
    close_stage("client_protocol", "");
}

/* --- long statements
 * ------------------------------------------------------------------------------
 */

/* "SELECT 'aaa…aaa'" of `length` bytes, and `end` behind it; to be freed. */
static char *long_text(size_t length, const char *end)
{
    char *text = malloc(length + strlen(end) + 1);
    cr_assert_not_null(text);
    memset(text, 'a', length);
    memcpy(text, "SELECT '", 8);
    text[length - 1] = '\'';
    strcpy(text + length, end);
    return text;
}

Test(proxy_relay, long_statement_is_streamed_and_recorded_with_its_digest)
{
    char *text = long_text(200000, "; USE shop");
    open_ready(SMALL);
    peer_command(client, COMMAND_QUERY, text);
    peer_expect_command(database, COMMAND_QUERY, text);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    close_stage("draining", "");
    cJSON *records = stage_records();
    const cJSON *record, *query = NULL;
    cJSON_ArrayForEach(record, records) if (cJSON_GetObjectItem(record, "statement")) query =
        record;
    cr_assert_not_null(query);
    cr_assert_eq(cJSON_GetObjectItem(query, "statement_length")->valueint, 200010);
    cr_assert(cJSON_IsTrue(cJSON_GetObjectItem(query, "truncated")));
    cr_assert_eq(strlen(cJSON_GetObjectItem(query, "statement_sha256")->valuestring), 64);
    cr_assert_leq(strlen(cJSON_GetObjectItem(query, "statement")->valuestring), 1024);
    cJSON_Delete(records);
    free(text);
}

Test(proxy_relay, long_statement_that_ends_in_a_denied_use_is_never_whole_at_the_database)
{
    char *text = long_text(200000, "; USE secret");
    open_ready(SMALL);
    peer_command(client, COMMAND_QUERY, text);
    peer_expect_error(client, 1, 1044, "role r denies schema secret");
    peer_gone(client);
    peer_wait_gone(database);
    cr_assert_gt(buffer_length(&database->received), 0, "it was streamed");
    cr_assert_lt(buffer_length(&database->received), 200000 + 4 + 13);
    close_stage("denied", "secret");
    free(text);
}

Test(proxy_relay, long_statement_that_begins_with_a_denied_use_is_not_begun)
{
    char *tail = long_text(200000, "");
    size_t size = strlen(tail) + 32;
    char *text = malloc(size);
    cr_assert_not_null(text);
    (void)snprintf(text, size, "USE secret; %s", tail);
    open_ready(SMALL);
    peer_command(client, COMMAND_QUERY, text);
    peer_wait_gone(client);
    peer_wait_gone(database);
    close_stage("denied", "secret");
    free(text);
    free(tail);
}

Test(proxy_relay, long_command_that_is_denied_is_answered_after_its_end)
{
    static uint8_t dump[60000];
    memset(dump, 'f', sizeof dump);
    dump[0] = COMMAND_BINLOG_DUMP;
    open_ready(SMALL);
    peer_send(client, 0, dump, sizeof dump);
    peer_expect_error(client, 1, 1227, "");
    stage_ping(client, database); /* nothing of it went to the database */
    close_stage("draining", "");
}

Test(proxy_relay, client_that_leaves_within_a_long_statement)
{
    static char part[100000];
    memset(part, 'a', sizeof part);
    memcpy(part, "\x40\x0d\x03\x00\x03SELECT '", 13);
    open_ready(SMALL);
    peer_write(client, part, sizeof part);
    stage_run_for(&stage, 50);
    peer_close(client);
    peer_wait_gone(database);
    cr_assert_lt(buffer_length(&database->received), 200004);
    close_stage("client_closed", "");
}

Test(proxy_relay, database_that_refuses_a_long_statement_half_way)
{
    static char part[100000];
    memset(part, 'a', sizeof part);
    memcpy(part, "\x40\x0d\x03\x00\x03SELECT '", 13);
    open_ready(SMALL);
    peer_write(client, part, sizeof part);
    stage_run_for(&stage, 50);
    peer_err(database, 1, 1153, "Got a packet bigger than 'max_allowed_packet' bytes");
    peer_expect_error(client, 1, 1153, "max_allowed_packet");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("upstream_closed", "before its end");
}

/* --- local files
 * ----------------------------------------------------------------------------------
 */

static void open_infile(void)
{
    const struct stage_options options = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\","
                 "\"features\":\"local_infile\"}}"};
    stage_open(&stage, &options);
    stage_ready(&stage, &client, &database);
    peer_command(client, COMMAND_QUERY, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t");
    peer_expect_command(database, COMMAND_QUERY, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t");
    peer_send(database, 1,
              "\xfb"
              "f",
              2);
    peer_expect(client, 1,
                "\xfb"
                "f",
                2);
}

Test(proxy_relay, file_goes_to_the_database_that_asked_for_it)
{
    open_infile();
    peer_send(client, 2, "1,2\n", 4);
    peer_send(client, 3, "", 0);
    peer_expect(database, 2, "1,2\n", 4);
    peer_expect(database, 3, "", 0);
    peer_ok(database, 4);
    peer_expect_ok(client, 4);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_relay, file_with_wrong_sequence_ids_ends_the_session)
{
    open_infile();
    peer_send(client, 7, "1,2\n", 4);
    peer_wait_gone(client);
    peer_wait_gone(database);
    close_stage("client_protocol", "");
}

Test(proxy_relay, client_that_leaves_within_its_file)
{
    open_infile();
    peer_send(client, 2, "1,2\n", 4);
    peer_expect(database, 2, "1,2\n", 4);
    peer_close(client);
    peer_wait_gone(database);
    close_stage("client_closed", "");
}
