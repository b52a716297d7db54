/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to sessions from outside: reload, drain, deadlines, a full log, no memory. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_life, .fini = files_remove);

static struct stage stage;
static struct peer *client, *database;

#define ROLE_LIMITS(limits)                                                          \
    "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\"}," \
    "\"limits\":{" limits "}}"

static void open_with(const struct stage_options *options)
{
    stage_open(&stage, options);
    stage_ready(&stage, &client, &database);
}

static void open_ready(void)
{
    open_with(&(struct stage_options){0});
}

static void close_stage(const char *event, const char *reason, const char *words)
{
    stage_close(&stage);
    expect_closing(event, reason, words);
    files_remove();
}

/* --- reload
 * ---------------------------------------------------------------------------------------
 */

static const struct stage_options no_role = {.mappings = "{\"subject\":\"CN=x\",\"roles\":\"r\"}"};

Test(proxy_life, reload_that_changes_nothing_changes_nothing)
{
    open_ready();
    for (int i = 0; i < 3; i++) {
        stage_reload(&stage, &(struct stage_options){0});
        stage_ping(client, database);
    }
    close_stage("session.end", "draining", "");
}

Test(proxy_life, reload_that_takes_the_role_away_ends_idle_sessions)
{
    open_ready();
    stage_reload(&stage, &no_role);
    peer_expect_error(client, 1, 1045, "roles were changed: no mapping gives");
    peer_gone(client);
    peer_gone(database);
    close_stage("session.end", "policy_changed", "roles were changed");
}

Test(proxy_life, reload_that_takes_the_role_away_ends_running_commands)
{
    open_ready();
    peer_command(client, COMMAND_QUERY, "SELECT SLEEP(100)");
    peer_expect_command(database, COMMAND_QUERY, "SELECT SLEEP(100)");
    stage_reload(&stage, &no_role);
    peer_wait_gone(client);
    peer_wait_gone(database);
    close_stage("session.end", "policy_changed", "");
}

Test(proxy_life, reload_that_denies_the_schema_in_use_ends_the_session)
{
    open_ready();
    peer_command(client, COMMAND_INIT_DB, "shop");
    peer_expect_command(database, COMMAND_INIT_DB, "shop");
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    const struct stage_options denied = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\","
                 "\"schemas\":\"*\"},\"deny\":{\"schemas\":\"shop\"}}"};
    stage_reload(&stage, &denied);
    peer_expect_error(client, 1, 1045, "schema shop");
    close_stage("session.end", "policy_changed", "schema shop");
}

Test(proxy_life, reload_that_denies_a_schema_holds_for_the_next_command)
{
    open_ready();
    peer_command(client, COMMAND_INIT_DB, "shop");
    peer_expect_command(database, COMMAND_INIT_DB, "shop");
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    const struct stage_options denied = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\","
                 "\"schemas\":\"shop\"}}"};
    stage_reload(&stage, &denied);
    stage_run_for(&stage, 50);
    peer_command(client, COMMAND_QUERY, "USE stock");
    peer_expect_error(client, 1, 1044, "stock");
    stage_ping(client, database);
    close_stage("session.end", "draining", "");
}

#define OTHER_DATABASE                                                                      \
    "{\"name\":\"stock\",\"address\":\"127.0.0.1:1\",\"tls\":{\"ca\":\"db-server-ca.crt\"," \
    "\"cert\":\"db-client.crt\",\"key\":\"db-client.key\"}}"

Test(proxy_life, reload_without_the_database_ends_a_session_in_login)
{
    const struct stage_options plain = {0};
    const struct stage_options without = {
        .databases = OTHER_DATABASE,
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"stock\",\"mysql_users\":\"reader\"}}"};
    stage_open(&stage, &plain);
    client = stage_client(&stage, "ci-1");
    database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    stage_reload(&stage, &plain); /* its roles are of this one, which nothing else holds then */
    stage_run_for(&stage, 50);
    stage_reload(&stage, &without);
    peer_expect_error(client, 1, 1045, "database shop is no longer configured");
    close_stage("session.denied", "policy_changed", "no longer configured");
}

Test(proxy_life, reload_reaches_sessions_in_each_state)
{
    stage_open(&stage, &(struct stage_options){0});
    struct peer *shaking = stage_connect(&stage);
    struct peer *ready = stage_connect(&stage);
    peer_client_tls(ready, "ci-1", true);
    struct peer *dialling = stage_client(&stage, "ci-1");
    (void)stage_database(&stage);
    stage_reload(&stage, &no_role);
    peer_expect_error(dialling, 0, 1045, "roles were changed");
    peer_hello(ready, "shop");
    peer_expect_error(ready, 0, 1045, "no mapping gives");
    peer_client_tls(shaking, "ci-1", true);
    peer_hello(shaking, "shop");
    peer_expect_error(shaking, 0, 1045, "no mapping gives");
    cr_assert_eq(stage_dials(&stage), 1);
    stage_close(&stage);
}

/* --- deadlines
 * ------------------------------------------------------------------------------------
 */

Test(proxy_life, idle_session_ends)
{
    open_with(&(struct stage_options){.roles = ROLE_LIMITS("\"idle_timeout\":\"300ms\"")});
    stage_run_for(&stage, 200);
    stage_ping(client, database); /* begins anew */
    stage_run_for(&stage, 200);
    cr_assert_not(client->gone);
    peer_expect_error(client, 1, 4031, "idle timeout");
    peer_gone(client);
    close_stage("session.end", "idle_timeout", "");
}

Test(proxy_life, session_with_a_running_command_is_not_idle)
{
    open_with(&(struct stage_options){.roles = ROLE_LIMITS("\"idle_timeout\":\"150ms\"")});
    peer_command(client, COMMAND_QUERY, "SELECT SLEEP(1)");
    peer_expect_command(database, COMMAND_QUERY, "SELECT SLEEP(1)");
    stage_run_for(&stage, 500);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_expect_error(client, 1, 4031, "idle timeout");
    close_stage("session.end", "idle_timeout", "");
}

Test(proxy_life, session_ends_with_its_lifetime_whatever_it_does)
{
    open_with(&(struct stage_options){.roles = ROLE_LIMITS("\"session_lifetime\":\"400ms\"")});
    int64_t begun = clock_monotonic_us();
    while (!client->gone && clock_monotonic_us() - begun < 2000000) {
        peer_command(client, COMMAND_PING, "");
        stage_run_for(&stage, 30);
        if (buffer_length(&database->received) > 0) {
            (void)peer_packet(database, 0);
            peer_ok(database, 1);
        }
    }
    cr_assert(client->gone);
    close_stage("session.end", "session_lifetime", "");
}

/* --- drain
 * ----------------------------------------------------------------------------------------
 */

Test(proxy_life, drain_ends_an_idle_session_with_a_word)
{
    open_ready();
    worker_drain(&stage.worker);
    peer_expect_error(client, 1, 1053, "the proxy is stopping");
    peer_gone(client);
    peer_gone(database);
    stage_join(&stage);
    close_stage("session.end", "draining", "");
}

Test(proxy_life, drain_lets_running_commands_finish)
{
    open_ready();
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_command(client, COMMAND_QUERY, "SELECT 2");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 2");
    worker_drain(&stage.worker);
    stage_run_for(&stage, 50);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_silent(client);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_expect_error(client, 1, 1053, "the proxy is stopping");
    peer_gone(client);
    stage_join(&stage);
    close_stage("session.end", "draining", "");
}

Test(proxy_life, drain_cuts_commands_off_after_its_time)
{
    open_with(&(struct stage_options){.limits = "\"drain_timeout\":\"200ms\""});
    peer_command(client, COMMAND_QUERY, "SELECT SLEEP(100)");
    peer_expect_command(database, COMMAND_QUERY, "SELECT SLEEP(100)");
    worker_drain(&stage.worker);
    peer_wait_gone(client);
    peer_wait_gone(database);
    stage_join(&stage);
    stage_close(&stage);
    expect_closing("session.end", "draining", "");
    expect_statement("SELECT SLEEP(100)", "unknown");
}

Test(proxy_life, drain_refuses_new_sessions_while_old_ones_run)
{
    open_ready();
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    struct peer *unused = stage_connect(&stage);
    peer_client_tls(unused, "ci-1", true);
    worker_drain(&stage.worker);
    peer_gone(unused); /* it would only be told at its first use */
    struct peer *late = stage_client(&stage, "ci-1");
    peer_expect_error(late, 0, 1053, "the proxy is stopping");
    cr_assert_eq(stage_dials(&stage), 1);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_wait_gone(client);
    stage_join(&stage);
    stage_close(&stage);
}

Test(proxy_life, drain_lets_a_login_finish_and_then_ends_it)
{
    struct handshake_login login;
    stage_open(&stage, &(struct stage_options){0});
    client = stage_client(&stage, "ci-1");
    database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    worker_drain(&stage.worker);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    peer_ok(database, 3);
    peer_expect_ok(client, 2);
    peer_expect_error(client, 1, 1053, "the proxy is stopping");
    peer_gone(client);
    stage_join(&stage);
    close_stage("session.end", "draining", "");
}

Test(proxy_life, stop_ends_sessions_in_each_state)
{
    stage_open(&stage, &(struct stage_options){0});
    (void)stage_connect(&stage);
    struct peer *unused = stage_connect(&stage);
    peer_client_tls(unused, "ci-1", true);
    struct peer *dialling = stage_client(&stage, "ci-1");
    (void)stage_database(&stage);
    struct peer *logging_in = stage_client(&stage, "ci-1");
    peer_greet(stage_database(&stage));
    peer_read_greeting(logging_in);
    stage_ready(&stage, &client, &database);
    worker_stop(&stage.worker);
    peer_gone(unused);
    peer_expect_error(dialling, 0, 1053, "");
    peer_expect_error(logging_in, 1, 1053, "");
    peer_expect_error(client, 1, 1053, "");
    stage_join(&stage);
    stage_close(&stage);
}

/* --- a log that is full
 * ---------------------------------------------------------------------------
 */

Test(proxy_life, login_waits_for_room_in_the_log)
{
    struct handshake_login login;
    stage_open(&stage, &(struct stage_options){.full_log = true,
                                               .roles = ROLE_LIMITS("\"idle_timeout\":\"10m\"")});
    client = stage_client(&stage, "ci-1");
    database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    peer_ok(database, 3);
    peer_silent(client);
    stage_empty_log(&stage);
    peer_expect_ok(client, 2);
    stage_ping(client, database);
    close_stage("session.end", "draining", "");
}

Test(proxy_life, login_does_not_wait_for_ever)
{
    struct handshake_login login;
    stage_open(&stage,
               &(struct stage_options){.full_log = true, .limits = "\"audit_timeout\":\"200ms\""});
    client = stage_client(&stage, "ci-1");
    database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    peer_ok(database, 3);
    peer_expect_error(client, 2, 1290, "the audit log cannot take a record");
    peer_gone(client);
    peer_gone(database);
    stage_empty_log(&stage); /* the record of the end has waited, too */
    stage_run_for(&stage, 1500);
    close_stage("session.denied", "audit_unavailable", "");
}

Test(proxy_life, commands_wait_for_room_and_are_not_sent_before)
{
    open_ready();
    stage_fill_log(&stage);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_command(client, COMMAND_QUERY, "SELECT 2");
    peer_silent(database);
    peer_silent(client);
    stage_empty_log(&stage);
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 2");
    peer_ok(database, 1);
    peer_ok(database, 1);
    peer_expect_ok(client, 1);
    peer_expect_ok(client, 1);
    stage_close(&stage);
    expect_statement("SELECT 1", "ok");
    expect_statement("SELECT 2", "ok");
}

Test(proxy_life, command_that_waited_too_long_is_never_sent)
{
    open_with(&(struct stage_options){.limits = "\"audit_timeout\":\"200ms\""});
    stage_fill_log(&stage);
    peer_command(client, COMMAND_QUERY, "DELETE FROM t");
    peer_expect_error(client, 1, 1290, "the audit log cannot take a record");
    peer_gone(client);
    peer_gone(database);
    stage_empty_log(&stage);
    stage_run_for(&stage, 1500);
    stage_close(&stage);
    expect_closing("session.end", "audit_unavailable", "");
    expect_statement("DELETE FROM t", NULL);
}

Test(proxy_life, answers_go_on_while_the_next_command_waits)
{
    open_ready();
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    peer_expect_command(database, COMMAND_QUERY, "SELECT 1");
    stage_fill_log(&stage);
    peer_command(client, COMMAND_QUERY, "SELECT 2");
    peer_silent(database);
    peer_ok(database, 1);
    peer_expect_ok(client, 1); /* room for its outcome was reserved */
    peer_silent(database);
    stage_empty_log(&stage);
    peer_expect_command(database, COMMAND_QUERY, "SELECT 2");
    stage_close(&stage);
    expect_statement("SELECT 1", "ok");
    expect_statement("SELECT 2", "unknown");
}

/* --- no memory
 * ------------------------------------------------------------------------------------
 */

static pthread_t test_thread;
static atomic_int countdown; /* the worker's allocations until one fails; < 0: none fails */
static atomic_int failures;

static void *allocate(void *memory, size_t size)
{
    if (!pthread_equal(pthread_self(), test_thread) && atomic_load(&countdown) >= 0 &&
        atomic_fetch_sub(&countdown, 1) == 0) {
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    return realloc(memory, size);
}

/* Waits for a packet; false: the connection ended instead. */
static bool comes(struct peer *peer)
{
    int64_t until = clock_monotonic_us() + 5000000;
    while (buffer_length(&peer->received) < PACKET_HEADER_SIZE && !peer->gone &&
           clock_monotonic_us() < until)
        (void)uv_run(&stage.loop, UV_RUN_ONCE);
    return buffer_length(&peer->received) > 0;
}

/* Plays a session as far as it goes; each side does its part unless the other one has gone. */
static void play(void)
{
    client = stage_client(&stage, "ci-1");
    STAGE_UNTIL(&stage, stage.database_count > stage.databases_taken || client->gone);
    if (client->gone)
        return;
    database = stage_database(&stage);
    peer_greet(database);
    if (!comes(client))
        return;
    buffer_clear(&client->received);
    peer_login(client, "reader", "");
    if (!comes(database) || buffer_bytes(&database->received)[0] != 32)
        return;
    STAGE_UNTIL(&stage, database->secured || database->gone);
    if (database->gone)
        return;
    buffer_consume(&database->received, 36);
    if (!comes(database))
        return;
    (void)peer_packet(database, 2);
    peer_ok(database, 3);
    if (!comes(client))
        return;
    buffer_clear(&client->received);
    peer_command(client, COMMAND_STMT_PREPARE, "SELECT 1");
    if (!comes(database) || database->gone)
        return;
    buffer_clear(&database->received);
    peer_prepared(database, 7, 0);
    if (!comes(client))
        return;
    buffer_clear(&client->received);
    peer_command(client, COMMAND_QUERY, "SELECT 1");
    if (!comes(database) || database->gone)
        return;
    peer_ok(database, 1);
    (void)comes(client);
}

Test(proxy_life, nth_allocation_fails)
{
    test_thread = pthread_self();
    atomic_store(&countdown, -1);
    buffer_set_allocator(allocate);
    int before = 0, rounds = 0;
    do {
        before = atomic_load(&failures);
        stage_open(&stage, &(struct stage_options){.limits = "\"login_timeout\":\"1s\""});
        atomic_store(&countdown, rounds++);
        play();
        atomic_store(&countdown, -1);
        stage_close(&stage); /* nothing is left, and the records are whole */
        files_remove();
        cr_assert_lt(rounds, 200);
    } while (atomic_load(&failures) > before);
    buffer_set_allocator(NULL);
    cr_assert_gt(rounds, 5, "only %d allocations", rounds);
}
