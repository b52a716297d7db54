/* SPDX-License-Identifier: Apache-2.0 */
/* From the first byte to the command phase: what databases may do wrong, state by state. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/auth.h"
#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_upstream, .fini = files_remove);

static struct stage stage;

static void open_stage(const char *limits)
{
    const struct stage_options options = {.limits = limits};
    stage_open(&stage, &options);
}

static void close_stage(const char *event, const char *reason, const char *words)
{
    stage_close(&stage);
    expect_closing(event, reason, words);
    files_remove();
}

/* --- DIALLING --- */

Test(proxy_upstream, database_that_refuses_the_connection)
{
    const struct stage_options options = {.no_database = true};
    stage_open(&stage, &options);
    struct peer *client = stage_client(&stage, "ci-1");
    peer_expect_error(client, 0, 1159, "database shop");
    peer_gone(client);
    close_stage("session.denied", "upstream_unreachable", "refused");
}

Test(proxy_upstream, database_that_never_greets)
{
    open_stage("\"upstream_timeout\":\"200ms\"");
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_expect_error(client, 0, 1159, "did not answer in time (greeting)");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("session.denied", "upstream_timeout", "greeting");
}

static void database_greets_with(const void *bytes, size_t length, bool then_closes,
                                 const char *reason, const char *words)
{
    open_stage(NULL);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_write(database, bytes, length);
    if (then_closes)
        peer_close(database);
    peer_expect_error(client, 0, 1159, words);
    peer_gone(client);
    if (!then_closes)
        peer_gone(database);
    close_stage("session.denied", reason, words);
}

Test(proxy_upstream, database_that_greets_with_nonsense)
{
    database_greets_with("", 0, true, "upstream_unreachable", "closed");
    database_greets_with("\x4a\0", 2, true, "upstream_unreachable", "closed");
    database_greets_with("\x01\0\0\x00\x0b", 5, false, "upstream_protocol", "protocol version 11");
    database_greets_with("\x00\0\0\x00", 4, false, "upstream_protocol", "greeting");
    database_greets_with("\x01\0\0\x05\x0a", 5, false, "upstream_protocol", "sequence");
    database_greets_with("\xff\xff\xff\x00\x0a", 5, false, "upstream_protocol", "");
    database_greets_with("HTTP/1.1 400 Bad Request\r\n", 26, false, "upstream_protocol", "");
    database_greets_with("\x02\0\0\x00\x0a"
                         "8",
                         6, false, "upstream_protocol", "greeting");
}

Test(proxy_upstream, error_in_place_of_the_greeting_is_passed_as_it_is)
{
    static const char refusal[] = "\xff\x10\x04Too many connections"; /* 1040, no SQLSTATE */
    open_stage(NULL);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_send(database, 0, refusal, sizeof refusal - 1);
    peer_expect(client, 0, refusal, sizeof refusal - 1);
    peer_gone(client);
    peer_gone(database);
    close_stage("session.denied", "upstream_refused", "Too many connections");
}

Test(proxy_upstream, database_that_leaves_while_the_client_logs_in)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_close(database);
    peer_expect_error(client, 1, 1159, "closed the connection");
    peer_gone(client);
    close_stage("session.denied", "upstream_closed", "");
}

Test(proxy_upstream, database_that_says_more_than_its_greeting)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_ok(database, 1);
    peer_expect_error(client, 1, 1159, "out of turn");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("session.denied", "upstream_protocol", "out of turn");
}

/* --- UPSTREAM_LOGIN --- */

Test(proxy_upstream, database_without_tls_gets_no_login)
{
    open_stage(NULL);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_greet_with(database, "mysql_native_password", STAGE_CAPABILITIES & ~CAPABILITY_SSL);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_expect_error(client, 2, 1159, "does not offer TLS");
    peer_expect_retirement(database);
    close_stage("session.denied", "upstream_tls", "does not offer TLS");
}

Test(proxy_upstream, database_with_a_certificate_of_another_name)
{
    const struct stage_options options = {.other_server_name = true};
    stage_open(&stage, &options);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_expect_error(client, 2, 1159, "database shop");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("session.denied", "upstream_tls", "");
}

Test(proxy_upstream, database_that_answers_the_ssl_request_in_the_clear)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    tls_context_unref(database->context);
    database->context = NULL; /* it will not shake hands */
    peer_login(client, "reader", "");
    (void)peer_packet(database, 1);
    peer_ok(database, 2);
    peer_expect_error(client, 2, 1159, "plaintext where TLS is due");
    peer_gone(client);
    close_stage("session.denied", "upstream_tls", "plaintext where TLS is due");
}

Test(proxy_upstream, database_that_leaves_in_the_handshake)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    tls_context_unref(database->context);
    database->context = NULL;
    peer_login(client, "reader", "");
    (void)peer_packet(database, 1);
    peer_close(database);
    peer_expect_error(client, 2, 1159, "database shop");
    close_stage("session.denied", "upstream_tls", "");
}

Test(proxy_upstream, database_that_never_shakes_hands)
{
    struct peer *client, *database;
    stage_to_login(&stage, "\"upstream_timeout\":\"200ms\"", &client, &database);
    tls_context_unref(database->context);
    database->context = NULL;
    peer_login(client, "reader", "");
    (void)peer_packet(database, 1);
    peer_expect_error(client, 2, 1159, "(securing)");
    close_stage("session.denied", "upstream_timeout", "");
}

Test(proxy_upstream, database_that_never_answers_the_login)
{
    struct peer *client, *database;
    stage_to_answer(&stage, "\"upstream_timeout\":\"200ms\"", &client, &database);
    peer_expect_error(client, 2, 1159, "(login)");
    peer_gone(client);
    peer_gone(database);
    close_stage("session.denied", "upstream_timeout", "");
}

Test(proxy_upstream, error_of_the_database_is_passed_as_it_is)
{
    struct peer *client, *database;
    stage_to_answer(&stage, NULL, &client, &database);
    peer_err(database, 3, 1045, "Access denied for user 'reader'");
    peer_expect_error(client, 2, 1045, "Access denied for user 'reader'");
    peer_gone(client);
    peer_gone(database);
    close_stage("session.denied", "upstream_refused", "Access denied");
}

static void database_answers(const void *bytes, size_t length, const char *words)
{
    struct peer *client, *database;
    stage_to_answer(&stage, NULL, &client, &database);
    peer_write(database, bytes, length);
    peer_expect_error(client, 2, 1159, words);
    peer_gone(client);
    peer_gone(database);
    close_stage("session.denied", "upstream_protocol", words);
}

Test(proxy_upstream, answers_that_are_none)
{
    database_answers("\x00\0\0\x03", 4, "");
    database_answers("\x07\0\0\x02\0\0\0\x02\0\0\0", 11, "sequence");
    database_answers("\x01\x00\x01\x03", 4, "");
    database_answers("\x01\0\0\x03\x77", 5, "");
    database_answers("\x01\0\0\x03\xfe", 5, ""); /* the old switch request */
    database_answers("\x0c\0\0\x03\xfeno_plugin\0", 16, "no_plugin");
}

Test(proxy_upstream, more_than_the_ok_of_the_login)
{
    struct peer *client, *database;
    static const uint8_t both[] = {7, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 4, 0};
    stage_to_answer(&stage, NULL, &client, &database);
    peer_write(database, both, sizeof both);
    peer_wait_gone(client);
    peer_wait_gone(database);
    stage_close(&stage);
    expect_closing("session.end", "upstream_protocol", "more behind its login's OK");
}

Test(proxy_upstream, authentication_without_end)
{
    struct peer *client, *database;
    static const char request[] = "\xfemysql_native_password\0aaaaaaaaaaaaaaaaaaaa";
    stage_to_answer(&stage, NULL, &client, &database);
    uint8_t sequence = 3;
    for (int i = 0; i < AUTH_ROUNDS_MAX + 1 && !database->gone;
         i++, sequence = (uint8_t)(sequence + 2)) {
        peer_send(database, sequence, request, sizeof request);
        stage_run_for(&stage, 20);
    }
    peer_wait_gone(database);
    peer_expect_error(client, 2, 1159, "database shop");
    close_stage("session.denied", "upstream_protocol", "");
}

Test(proxy_upstream, database_that_leaves_before_it_answers)
{
    struct peer *client, *database;
    stage_to_answer(&stage, NULL, &client, &database);
    peer_close(database);
    peer_expect_error(client, 2, 1159, "closed the connection");
    close_stage("session.denied", "upstream_closed", "");
}

Test(proxy_upstream, database_that_resets_before_it_answers)
{
    struct peer *client, *database;
    stage_to_answer(&stage, NULL, &client, &database);
    peer_reset(database);
    peer_expect_error(client, 2, 1159, "database shop");
    close_stage("session.denied", "upstream_closed", "");
}

Test(proxy_upstream, client_that_leaves_before_the_answer)
{
    struct peer *client, *database;
    stage_to_answer(&stage, NULL, &client, &database);
    peer_close(client);
    peer_ok(database, 3); /* the client is heard again only now */
    peer_gone(database);
    close_stage("session.end", "client_closed", "");
}

Test(proxy_upstream, password_from_a_file_answers_a_switch)
{
    struct handshake_login login;
    files_write("secret", "sesame\n");
    const struct stage_options options = {
        .passwords = ",\"passwords\":[{\"mysql_user\":\"reader\",\"file\":\"secret\"}]"};
    stage_open(&stage, &options);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    peer_send(database, 3, "\xfemysql_clear_password", 22);
    peer_expect(database, 4, "sesame", 7); /* under TLS it may go in clear */
    peer_ok(database, 5);
    peer_expect_ok(client, 2);
    close_stage("session.end", "draining", "");
}

/* --- retirement --- */

Test(proxy_upstream, retiring_connection_answers_a_server_that_asks_on)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_close(client);
    (void)peer_packet(database, 1);
    peer_send(database, 2,
              "\xfe"
              "caching_sha2_password\0aaaaaaaaaaaaaaaaaaaa",
              44);
    peer_expect(database, 3, "", 0);
    peer_err(database, 4, 1045, "Access denied");
    peer_gone(database);
    close_stage("session.denied", "client_closed", "");
}

Test(proxy_upstream, retiring_connection_does_not_wait_for_ever)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_close(client);
    (void)peer_packet(database, 1);
    peer_gone(database);
    close_stage("session.denied", "client_closed", "");
}
