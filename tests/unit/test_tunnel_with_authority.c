/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport identity` as it is run, against the real authority: kills, stolen copies, locks. What
 * can be provoked more precisely with an authority of the test's own is in test_renewal.c.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity/credentials.h"
#include "tests/unit/authority_service_support.h"
#include "tls/certificate.h"
#include "tls/context.h"

#define SHORT_TTL_US 5000000
#define KILLS        25
/* A join takes about 20 ms. */
#define JOIN_KILLS        45
#define JOIN_KILL_STEP_US 1000

extern char **environ;

static char directory[128], output[128], marks[128];

/* build/tests/unit/test_… and build/sallyport. */
static const char *binary(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
    cr_assert_gt(length, 0);
    path[length] = '\0';
    for (int i = 0; i < 3; i++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/sallyport");
    cr_assert_eq(access(path, X_OK), 0, "%s is not built", path);
    return path;
}

static const char *authority_flag(void)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", authority_service_port(service));
    return text;
}

static const char *pin_flag(void)
{
    static char text[CERTIFICATE_PIN_TEXT_SIZE];
    authority_service_pin(service, text);
    return text;
}

/* A command line of `sallyport identity`. */
struct line {
    const char *arguments[32];
    size_t count;
};

static void add(struct line *line, const char *argument)
{
    cr_assert_lt(line->count, 31);
    line->arguments[line->count++] = argument;
}

static struct line line_of(const char *join, bool once)
{
    struct line line = {0};
    const char *const start[] = {"sallyport",   "identity", "--authority", authority_flag(),
                                 "--ca-pin",    pin_flag(), "--identity",  directory,
                                 "--log-level", "debug"};
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        add(&line, start[i]);
    if (join) {
        add(&line, "--join");
        add(&line, join);
    }
    if (once)
        add(&line, "--once");
    return line;
}

static pid_t begin(const struct line *line)
{
    pid_t child;
    posix_spawn_file_actions_t actions;
    cr_assert_eq(posix_spawn_file_actions_init(&actions), 0);
    cr_assert_eq(
        posix_spawn_file_actions_addopen(&actions, 2, output, O_WRONLY | O_CREAT | O_APPEND, 0600),
        0);
    cr_assert_eq(posix_spawn(&child, binary(), &actions, NULL,
                             (char *const *)(uintptr_t)line->arguments, environ),
                 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Its exit code, or minus the signal. */
static int end_of(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *text_of(const char *file)
{
    static char text[256 * 1024];
    FILE *stream = fopen(file, "r");
    size_t length = stream ? fread(text, 1, sizeof text - 1, stream) : 0;
    text[length] = '\0';
    if (stream)
        cr_assert_eq(fclose(stream), 0);
    return text;
}

static void expect_exit(const struct line *line, int code)
{
    cr_assert_eq(truncate(output, 0) == 0 || access(output, F_OK) != 0, true);
    int got = end_of(begin(line));
    cr_assert_eq(got, code, "exit code %d: %s", got, text_of(output));
}

static void expect_told(const char *words)
{
    cr_assert_not_null(strstr(text_of(output), words), "%s", text_of(output));
}

/* The token of a new bot, in a file. */
static const char *token_file(const char *bot)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/token", home);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fchmod(fileno(file), 0600), 0);
    cr_assert_geq(fprintf(file, "%s\n", add_bot(bot)), 0);
    cr_assert_eq(fclose(file), 0);
    return path;
}

/* Whether the directory holds a whole set that has not expired. */
static bool is_usable(struct error *err)
{
    struct credentials *credentials;
    struct tls_context *context;
    cr_assert(credentials_create(directory, &credentials, err));
    bool usable = credentials_context(credentials, clock_wall_us(), &context, err);
    credentials_unref(credentials);
    return usable;
}

static void enter(void)
{
    service_prepare();
    (void)snprintf(directory, sizeof directory, "%s/ci-1", home);
    (void)snprintf(output, sizeof output, "%s/output", home);
    (void)snprintf(marks, sizeof marks, "%s/marks", home);
}

TestSuite(with_authority, .init = enter, .fini = service_leave, .timeout = 0);

static void start_authority(int64_t ttl_us)
{
    settings.core.bot_ttl_us = ttl_us;
    service_begin();
    settings.listen.port = authority_service_port(service); /* for the next start */
    apply_reader();
}

Test(with_authority, joins_once_and_then_has_nothing_to_do)
{
    struct error err = {0};
    start_authority(3600000000);
    struct line line = line_of(token_file("ci-1"), true);
    expect_exit(&line, 0);
    cr_assert(is_usable(&err), "%s", err.message);
    cr_assert_eq(count_records("bot.join", 1), 1);
    expect_exit(&line, 0);
    cr_assert_eq(count_records("cert.renew", 0), 0);
}

Test(with_authority, refuses_a_used_token_with_exit_code_1)
{
    start_authority(3600000000);
    struct line line = line_of(token_file("ci-1"), false);
    struct line first = line_of(line.arguments[11], true);
    expect_exit(&first, 0);
    (void)snprintf(directory, sizeof directory, "%s/another", home);
    expect_exit(&line, 1);
    expect_told("ask for a new one: sallyport token add --bot NAME");
}

Test(with_authority, runs_the_command_after_each_renewal)
{
    char script[256];
    start_authority(SHORT_TTL_US);
    struct line line = line_of(token_file("ci-1"), false);
    (void)snprintf(script, sizeof script, "echo \"$SALLYPORT_IDENTITY\" >>%s; exit 3", marks);
    add(&line, "--");
    add(&line, "/bin/sh");
    add(&line, "-c");
    add(&line, script);
    pid_t child = begin(&line);
    cr_assert_eq(usleep(5500000), 0);
    cr_assert_eq(kill(child, SIGTERM), 0);
    cr_assert_eq(end_of(child), 0, "%s", text_of(output));
    char wanted[300];
    (void)snprintf(wanted, sizeof wanted, "%s\n%s\n", directory, directory);
    cr_assert_eq(strncmp(text_of(marks), wanted, strlen(wanted)), 0, "%s", text_of(marks));
    expect_told("the identity is renewed all the same");
}

Test(with_authority, kill_at_random_moments_costs_nothing)
{
    struct error err = {0};
    start_authority(SHORT_TTL_US);
    struct line line = line_of(token_file("ci-1"), true);
    expect_exit(&line, 0);
    line = line_of(NULL, false);
    for (int i = 0; i < KILLS; i++) {
        pid_t child = begin(&line);
        /* Around the moments at which a start confirms or renews, and a renewal comes due. */
        cr_assert_eq(usleep((unsigned)(i % 3 == 0 ? 1650000 + i * 7919 % 300000
                                                  : 15000 + i * 7919 % 120000)),
                     0);
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(end_of(child), -SIGKILL, "%s", text_of(output));
        cr_assert(is_usable(&err), "after %d kills: %s", i + 1, err.message);
    }
    line = line_of(NULL, true);
    expect_exit(&line, 0);
    cr_assert_eq(count_records("lock.create", 0), 0, "no bot was locked");
    cr_assert_gt(count_records("cert.renew", 5), 4);
}

/* From before the first byte to after the last: in between, the authority has committed the join
 * and the answer is under way, or not saved yet. */
Test(with_authority, a_kill_at_any_moment_of_a_join_does_not_cost_the_token)
{
    struct error err = {0};
    char bot[32];
    start_authority(3600000000);
    for (int i = 0; i < JOIN_KILLS; i++) {
        (void)snprintf(bot, sizeof bot, "ci-%d", i);
        (void)snprintf(directory, sizeof directory, "%s/%s", home, bot);
        struct line line = line_of(token_file(bot), true);
        pid_t child = begin(&line);
        cr_assert_eq(usleep((unsigned)(i * JOIN_KILL_STEP_US)), 0);
        cr_assert_eq(kill(child, SIGKILL), 0);
        (void)end_of(child);
        expect_exit(&line, 0);
        cr_assert(is_usable(&err), "killed after %d us: %s", i * JOIN_KILL_STEP_US, err.message);
    }
    cr_assert_eq(count_records("lock.create", 0), 0, "no bot was locked");
}

Test(with_authority, an_authority_that_restarts_is_waited_for)
{
    struct error err = {0};
    start_authority(SHORT_TTL_US);
    struct line line = line_of(token_file("ci-1"), false);
    pid_t child = begin(&line);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(usleep(1700000), 0);
        service_end();
        cr_assert_eq(usleep(600000), 0);
        service_begin();
    }
    cr_assert_eq(usleep(2500000), 0);
    cr_assert(is_usable(&err), "%s: %s", err.message, text_of(output));
    cr_assert_eq(kill(child, SIGTERM), 0);
    cr_assert_eq(end_of(child), 0);
}

static void copy_identity(char copy[160])
{
    char command[400];
    (void)snprintf(copy, 160, "%s/thief", home);
    (void)snprintf(command, sizeof command, "cp -a %s %s", directory, copy);
    cr_assert_eq(system(command), 0);
}

Test(with_authority, a_stolen_copy_locks_the_instance_and_both_say_so)
{
    char thief[160];
    struct error err = {0};
    start_authority(SHORT_TTL_US);
    struct line line = line_of(token_file("ci-1"), true);
    expect_exit(&line, 0);
    copy_identity(thief);
    cr_assert_eq(usleep(2000000), 0);
    line = line_of(NULL, true);
    expect_exit(&line, 0); /* renewed, and confirmed */
    memcpy(directory, thief, sizeof directory - 1);
    line = line_of(NULL, true);
    expect_exit(&line, 1);
    expect_told("somebody else may hold a copy of this identity");
    cr_assert_gt(count_records("lock.create", 1), 0);
    (void)snprintf(directory, sizeof directory, "%s/ci-1", home);
    line = line_of(NULL, true);
    expect_exit(&line, 1);
    cr_assert(is_usable(&err) || err.code == ERROR_DENIED, "%s", err.message);
}

Test(with_authority, a_lock_is_told_with_its_reason)
{
    start_authority(3600000000);
    struct line line = line_of(token_file("ci-1"), true);
    expect_exit(&line, 0);
    admin_does("{'request':'lock_add','kind':'bot','target':'ci-1','reason':'incident 42'}");
    expect_exit(&line, 1);
    expect_told("incident 42");
}
