/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/after_command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct bench {
    uv_loop_t loop;
    uv_timer_t ticker;
    struct after_command *after;
    char file[64];
    int ended;
    bool succeeded;
};

static void on_ended(void *owner, bool succeeded)
{
    struct bench *bench = owner;
    bench->ended++;
    bench->succeeded = succeeded;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void bench_open(struct bench *bench, const char *const *arguments, size_t count,
                       int64_t limit_ms)
{
    const struct after_command_settings settings = {
        .command = {arguments, count}, .directory = "/var/lib/x y", .limit_ms = limit_ms};
    struct error err = {0};
    cr_assert_eq(uv_loop_init(&bench->loop), 0);
    cr_assert_eq(uv_timer_init(&bench->loop, &bench->ticker), 0);
    cr_assert_eq(uv_timer_start(&bench->ticker, on_tick, 10, 10), 0);
    cr_assert(after_command_create(&bench->loop, &settings, on_ended, bench, &bench->after, &err),
              "%s", err.message);
}

static void bench_close(struct bench *bench)
{
    after_command_destroy(bench->after);
    uv_close((uv_handle_t *)&bench->ticker, NULL);
    cr_assert_eq(uv_run(&bench->loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(&bench->loop), 0);
}

static void run_until_ended(struct bench *bench, int times)
{
    int64_t until_us = clock_monotonic_us() + 10000000;
    while (bench->ended < times && clock_monotonic_us() < until_us)
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
    cr_assert_eq(bench->ended, times);
}

static const char *text_of(const char *file)
{
    static char text[1024];
    FILE *stream = fopen(file, "r");
    size_t length = stream ? fread(text, 1, sizeof text - 1, stream) : 0;
    text[length] = '\0';
    if (stream)
        cr_assert_eq(fclose(stream), 0);
    return text;
}

static void shell(struct bench *bench, const char *script, int64_t limit_ms)
{
    static char text[512];
    strcpy(bench->file, "/tmp/sallyport-after-XXXXXX");
    int fd = mkstemp(bench->file);
    cr_assert(fd >= 0 && close(fd) == 0);
    (void)snprintf(text, sizeof text, "exec >>%s; %s", bench->file, script);
    const char *const arguments[] = {"/bin/sh", "-c", text};
    bench_open(bench, arguments, 3, limit_ms);
}

Test(after_command, gets_the_directory_and_nothing_on_standard_input)
{
    struct bench bench = {0};
    shell(&bench, "cat; echo \"$SALLYPORT_IDENTITY\"", 0);
    after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert(bench.succeeded);
    cr_assert_str_eq(text_of(bench.file), "/var/lib/x y\n");
    bench_close(&bench);
    cr_assert_eq(unlink(bench.file), 0);
}

/* Three renewals while it runs: once more afterwards, not three times, and never two at once. */
Test(after_command, runs_one_at_a_time_and_once_more)
{
    struct bench bench = {0};
    shell(&bench, "echo begin; sleep 0.3; echo end", 0);
    for (int i = 0; i < 4; i++)
        after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert_str_eq(text_of(bench.file), "begin\nend\nbegin\nend\n");
    bench_close(&bench);
    cr_assert_eq(unlink(bench.file), 0);
}

Test(after_command, arguments_are_no_shells)
{
    const char *const arguments[] = {"/usr/bin/test", "a  $HOME;", "=", "a  $HOME;"};
    struct bench bench = {0};
    bench_open(&bench, arguments, 4, 0);
    after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert(bench.succeeded);
    bench_close(&bench);
}

Test(after_command, a_failure_is_no_more_than_that)
{
    struct bench bench = {0};
    shell(&bench, "exit 7", 0);
    after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert_not(bench.succeeded);
    after_command_run(bench.after);
    run_until_ended(&bench, 2);
    bench_close(&bench);
    cr_assert_eq(unlink(bench.file), 0);
}

Test(after_command, one_that_is_not_there)
{
    const char *const arguments[] = {"/nonexistent/command"};
    struct bench bench = {0};
    bench_open(&bench, arguments, 1, 0);
    after_command_run(bench.after);
    after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert_not(bench.succeeded);
    bench_close(&bench);
}

Test(after_command, is_killed_when_it_takes_too_long)
{
    struct bench bench = {0};
    int64_t begin_us = clock_monotonic_us();
    shell(&bench, "trap '' TERM; exec sleep 30", 300);
    after_command_run(bench.after);
    run_until_ended(&bench, 1);
    cr_assert_not(bench.succeeded);
    cr_assert_lt(clock_monotonic_us() - begin_us, 5000000);
    bench_close(&bench);
    cr_assert_eq(unlink(bench.file), 0);
}

Test(after_command, is_killed_when_everything_ends)
{
    struct bench bench = {0};
    shell(&bench, "exec sleep 30", 0);
    after_command_run(bench.after);
    (void)uv_run(&bench.loop, UV_RUN_ONCE);
    int64_t begin_us = clock_monotonic_us();
    bench_close(&bench);
    cr_assert_lt(clock_monotonic_us() - begin_us, 5000000);
    cr_assert_eq(bench.ended, 0, "nobody is told any more");
    cr_assert_eq(unlink(bench.file), 0);
}
