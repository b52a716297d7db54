/* SPDX-License-Identifier: Apache-2.0 */
/* COM_CHANGE_USER: a login in mid-session, judged and authenticated as one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_change_user, .fini = files_remove);

static struct stage stage;
static struct peer *client, *database;

static void open_ready(const char *limits)
{
    const struct stage_options options = {
        .limits = limits,
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":[\"reader\","
                 "\"writer\"],\"schemas\":\"*\"},\"deny\":{\"schemas\":\"secret\"}}"};
    stage_open(&stage, &options);
    stage_ready(&stage, &client, &database);
}

static void close_stage(const char *reason, const char *words)
{
    stage_close(&stage);
    expect_closing("session.end", reason, words);
    files_remove();
}

/* Sends the command, and no answer to what comes then. */
static void ask_change(const char *user, const char *schema)
{
    struct handshake_login login = {.is_change_user = true, .collation = 45};
    struct buffer packet;
    struct error err = {0};
    (void)snprintf(login.user, sizeof login.user, "%s", user);
    (void)snprintf(login.schema, sizeof login.schema, "%s", schema);
    (void)snprintf(login.plugin, sizeof login.plugin, "mysql_native_password");
    buffer_init(&packet, 4096);
    cr_assert(handshake_change_user_append(&packet, STAGE_CAPABILITIES, &login, &err), "%s",
              err.message);
    peer_write(client, buffer_bytes(&packet), buffer_length(&packet));
    buffer_release(&packet);
}

/* Servers always answer with a switch, so the proxy does: the client's part, up to its answer. */
static void change_user(const char *user, const char *schema)
{
    ask_change(user, schema);
    cr_assert_eq(peer_packet(client, 1).data[0], PACKET_AUTH_SWITCH);
    peer_send(client, 2, "", 0);
}

static void expect_change(const char *user, const char *schema)
{
    struct handshake_login login;
    struct error err = {0};
    cr_assert(
        handshake_change_user_read(peer_packet(database, 0), STAGE_CAPABILITIES, &login, &err),
        "%s", err.message);
    cr_assert_str_eq(login.user, user);
    cr_assert_str_eq(login.schema, schema);
}

Test(proxy_change_user, allowed_user_goes_on_as_the_other)
{
    open_ready(NULL);
    change_user("writer", "shop");
    expect_change("writer", "shop");
    peer_ok(database, 1);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_change_user, records_name_the_new_user_afterwards)
{
    open_ready(NULL);
    change_user("writer", "");
    expect_change("writer", "");
    peer_ok(database, 1);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    stage_close(&stage);
    cJSON *records = stage_records();
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const cJSON *command = cJSON_GetObjectItem(record, "command");
        const char *user = cJSON_GetStringValue(cJSON_GetObjectItem(record, "mysql_user"));
        cr_assert_not_null(user);
        if (command)
            cr_assert_str_eq(user, strcmp(command->valuestring, "ping") == 0 ? "writer" : "reader");
    }
    cJSON_Delete(records);
}

Test(proxy_change_user, switch_of_the_database_is_answered_by_the_proxy)
{
    open_ready(NULL);
    change_user("writer", "");
    expect_change("writer", "");
    peer_send(database, 1, "\xfemysql_native_password\0aaaaaaaaaaaaaaaaaaaa", 44);
    peer_expect(database, 2, "", 0);
    peer_silent(client);
    peer_ok(database, 3);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_change_user, switch_of_the_client_comes_before_the_database_hears_of_it)
{
    open_ready(NULL);
    ask_change("writer", "");
    cr_assert_eq(peer_packet(client, 1).data[0], PACKET_AUTH_SWITCH);
    peer_silent(database);
    peer_send(client, 2, "", 0);
    expect_change("writer", "");
    peer_ok(database, 1);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    close_stage("draining", "");
}

static void is_denied(const char *user, const char *schema, unsigned code)
{
    open_ready(NULL);
    ask_change(user, schema);
    peer_expect_error(client, 1, code, "");
    peer_gone(client);
    peer_gone(database); /* it heard nothing of it */
    stage_close(&stage);
    expect_closing("session.end", "denied", "");
    cJSON *records = stage_records();
    cr_assert_eq(records_with(records, "command", "change_user"), 1);
    cr_assert_eq(records_with(records, "outcome", "denied"), 1);
    cJSON_Delete(records);
    files_remove();
}

Test(proxy_change_user, users_and_schemas_that_no_role_allows)
{
    is_denied("root", "", 1045);
    is_denied("", "", 1045);
    is_denied("writer", "secret", 1044);
}

Test(proxy_change_user, refusal_of_the_database_is_passed_and_ends_it)
{
    open_ready(NULL);
    change_user("writer", "");
    expect_change("writer", "");
    peer_err(database, 1, 1045, "Access denied for user 'writer'");
    peer_expect_error(client, 3, 1045, "Access denied for user 'writer'");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("upstream_refused", "");
}

Test(proxy_change_user, waits_for_the_answers_before_it)
{
    open_ready(NULL);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    ask_change("writer", "");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_silent(client); /* no question of the login before the answer to the query */
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    cr_assert_eq(peer_packet(client, 1).data[0], PACKET_AUTH_SWITCH);
    peer_send(client, 2, "", 0);
    expect_change("writer", "");
    peer_ok(database, 1);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    close_stage("draining", "");
}

Test(proxy_change_user, wrong_answers_to_a_switch)
{
    static const char *const answers[] = {"\x00\0\0\x01", "\x01\x00\x01\x02", "\xff\xff\xff\x02"};
    for (size_t i = 0; i < 3; i++) {
        open_ready(NULL);
        ask_change("writer", "");
        (void)peer_packet(client, 1);
        peer_write(client, answers[i], 4);
        peer_expect_error(client, 2, 1835, "");
        peer_gone(client);
        peer_gone(database);
        close_stage("client_protocol", "");
    }
}

Test(proxy_change_user, commands_behind_an_answer_to_a_switch_are_refused)
{
    open_ready(NULL);
    ask_change("writer", "");
    (void)peer_packet(client, 1);
    peer_write(client, "\0\0\0\2\1\0\0\0\x0e", 9);
    peer_wait_gone(client);
    peer_gone(database);
    close_stage("client_protocol", "more came than one packet");
}

Test(proxy_change_user, client_that_leaves_at_a_switch)
{
    open_ready(NULL);
    ask_change("writer", "");
    (void)peer_packet(client, 1);
    peer_close(client);
    peer_gone(database);
    close_stage("client_closed", "");
}

Test(proxy_change_user, database_that_never_answers)
{
    open_ready("\"upstream_timeout\":\"200ms\"");
    change_user("writer", "");
    expect_change("writer", "");
    peer_expect_error(client, 3, 1159, "did not answer in time (changing)");
    peer_gone(client);
    close_stage("upstream_timeout", "");
}

Test(proxy_change_user, database_that_leaves)
{
    open_ready(NULL);
    change_user("writer", "");
    expect_change("writer", "");
    peer_close(database);
    peer_expect_error(client, 3, 1159, "closed the connection");
    close_stage("upstream_closed", "");
}

Test(proxy_change_user, answers_that_are_none)
{
    static const char *const answers[] = {"\x01\0\0\x01\x77", "\x01\0\0\x01\xfe"};
    for (size_t i = 0; i < 2; i++) {
        open_ready(NULL);
        change_user("writer", "");
        expect_change("writer", "");
        peer_write(database, answers[i], 5);
        peer_expect_error(client, 3, 1159, "");
        peer_gone(client);
        close_stage("upstream_protocol", "");
    }
}

Test(proxy_change_user, user_that_a_reload_takes_away_is_denied)
{
    open_ready(NULL);
    const struct stage_options without = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\","
                 "\"schemas\":\"*\"}}"};
    stage_reload(&stage, &without);
    stage_ping(client, database);
    ask_change("writer", "");
    peer_expect_error(client, 1, 1045, "writer");
    peer_gone(client);
    close_stage("denied", "writer");
}
