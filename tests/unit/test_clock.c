/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000LL

struct instant {
    const char *text;
    int64_t wall_us;
};

/* Seconds as date(1) prints them with -u +%s. */
static const struct instant instants[] = {
    {"1970-01-01T00:00:00.000000Z", 0},
    {"1970-01-01T00:00:00.000001Z", 1},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"1969-12-31T00:00:00.000000Z", -86400 * SECOND},
    {"2000-02-29T12:00:00.000000Z", 951825600 * SECOND},
    {"2000-03-01T00:00:00.000000Z", 951868800 * SECOND},
    {"1900-02-28T23:59:59.000000Z", -2203891201 * SECOND},
    {"1900-03-01T00:00:00.000000Z", -2203891200 * SECOND},
    {"2024-02-29T23:59:59.123456Z", 1709251199 * SECOND + 123456},
    {"2024-12-31T23:59:59.999999Z", 1735689599 * SECOND + 999999},
    {"2025-01-01T00:00:00.000000Z", 1735689600 * SECOND},
    {"2026-01-31T23:59:59.123456Z", 1769903999 * SECOND + 123456},
    {"2038-01-19T03:14:08.000000Z", 2147483648 * SECOND},
    {"2100-03-01T00:00:00.000000Z", 4107542400 * SECOND},
    {"0000-01-01T00:00:00.000000Z", -62167219200 * SECOND},
    {"9999-12-31T23:59:59.999999Z", 253402300799 * SECOND + 999999},
};

#define INSTANT_COUNT (sizeof instants / sizeof *instants)

Test(clock, formats_known_instants)
{
    for (size_t i = 0; i < INSTANT_COUNT; i++) {
        char text[CLOCK_TIME_SIZE];
        clock_format(instants[i].wall_us, text);
        cr_assert_str_eq(text, instants[i].text);
    }
}

Test(clock, parses_known_instants)
{
    for (size_t i = 0; i < INSTANT_COUNT; i++) {
        int64_t wall_us;
        struct error err = {0};
        cr_assert(clock_parse(instants[i].text, &wall_us, &err), "%s", err.message);
        cr_assert_eq(wall_us, instants[i].wall_us, "%s", instants[i].text);
    }
}

Test(clock, every_day_of_eight_centuries_round_trips)
{
    for (int64_t day = -146097; day < 146097; day++) {
        int64_t wall_us = (day * 86400 + day % 86400) * SECOND;
        char text[CLOCK_TIME_SIZE];
        char expected[CLOCK_TIME_SIZE];
        int64_t parsed;
        clock_format(wall_us, text);
        cr_assert(clock_parse(text, &parsed, NULL), "%s", text);
        cr_assert_eq(parsed, wall_us, "%s", text);
        struct tm parts;
        time_t second = (time_t)(wall_us / SECOND);
        cr_assert_not_null(gmtime_r(&second, &parts));
        cr_assert_gt(strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000Z", &parts), 0);
        cr_assert_str_eq(text, expected);
    }
}

Test(clock, years_out_of_range_are_clamped)
{
    char text[CLOCK_TIME_SIZE];
    clock_format(INT64_MAX, text);
    cr_assert_str_eq(text, "9999-12-31T23:59:59.999999Z");
    clock_format(INT64_MIN, text);
    cr_assert_str_eq(text, "0000-01-01T00:00:00.000000Z");
    clock_format(-62167219200 * SECOND - 1, text);
    cr_assert_str_eq(text, "0000-01-01T00:00:00.000000Z");
}

/* The text of the last second is kept: a different one must not see it, nor another thread's. */
Test(clock, the_kept_second_does_not_leak_into_another)
{
    char text[CLOCK_TIME_SIZE];
    for (int i = 0; i < 3; i++) {
        clock_format(59 * SECOND + 5, text);
        cr_assert_str_eq(text, "1970-01-01T00:00:59.000005Z");
        clock_format(60 * SECOND, text);
        cr_assert_str_eq(text, "1970-01-01T00:01:00.000000Z");
    }
}

static void *format_often(void *argument)
{
    int64_t wall_us = *(int64_t *)argument;
    char first[CLOCK_TIME_SIZE];
    char again[CLOCK_TIME_SIZE];
    clock_format(wall_us, first);
    for (int i = 0; i < 20000; i++) {
        clock_format(wall_us, again);
        if (strcmp(first, again) != 0)
            return argument;
    }
    return NULL;
}

Test(clock, threads_do_not_disturb_one_another)
{
    int64_t times[2] = {instants[4].wall_us, instants[11].wall_us};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, format_often, &times[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        void *failed;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
}

Test(clock, parses_the_other_forms_of_rfc_3339)
{
    const struct instant forms[] = {
        {"1970-01-01T00:00:01Z", SECOND},
        {"1970-01-01t00:00:01z", SECOND},
        {"1970-01-01 00:00:01Z", SECOND},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.0000019Z", 1},
        {"1970-01-01T00:00:00.12345678901234567890123456789Z", 123456},
        {"1970-01-01T02:00:00+02:00", 0},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01T00:00:00+23:59", -(23 * 3600 + 59 * 60) * SECOND},
        {"2016-12-31T23:59:60Z", 1483228800 * SECOND},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int64_t wall_us;
        struct error err = {0};
        cr_assert(clock_parse(forms[i].text, &wall_us, &err), "%s", err.message);
        cr_assert_eq(wall_us, forms[i].wall_us, "%s", forms[i].text);
    }
}

Test(clock, refuses_what_is_no_time)
{
    const char *const refused[] = {
        "",
        "now",
        "2026",
        "2026-01-31",
        "2026-01-31T23:59",
        "2026-01-31T23:59:59",
        "2026-01-31T23:59:59z ",
        " 2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59ZZ",
        "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59,5Z",
        "2026-1-31T23:59:59Z",
        "26-01-31T23:59:59Z",
        "2026-00-31T23:59:59Z",
        "2026-13-31T23:59:59Z",
        "2026-01-00T23:59:59Z",
        "2026-01-32T23:59:59Z",
        "2026-04-31T23:59:59Z",
        "2026-02-29T23:59:59Z",
        "1900-02-29T23:59:59Z",
        "2024-02-30T23:59:59Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:61Z",
        "2026-01-31T23:59:59+24:00",
        "2026-01-31T23:59:59+01:60",
        "2026-01-31T23:59:59+0100",
        "2026-01-31T23:59:59+01",
        "2026-01-31T23:59:59*01:00",
        "-026-01-31T23:59:59Z",
        "+026-01-31T23:59:59Z",
        "2026-01-31X23:59:59Z",
        "2026/01/31T23:59:59Z",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int64_t wall_us = 42;
        struct error err = {0};
        cr_assert_not(clock_parse(refused[i], &wall_us, &err), "%s", refused[i]);
        cr_assert_eq(wall_us, 42);
        cr_assert_eq(err.code, ERROR_MALFORMED);
    }
}

Test(clock, a_refusal_quotes_the_text_and_the_right_form)
{
    int64_t wall_us;
    struct error err = {0};
    cr_assert_not(clock_parse("yesterday", &wall_us, &err));
    cr_assert_str_eq(err.message, "\"yesterday\" is not a time: write it as 2026-01-31T23:59:59Z");
}

Test(clock, wall_and_monotonic_time_pass)
{
    int64_t wall = clock_wall_us();
    int64_t monotonic = clock_monotonic_us();
    cr_assert_gt(wall, 1700000000 * SECOND);
    usleep(2000);
    cr_assert_geq(clock_monotonic_us() - monotonic, 2000);
    int64_t apart = clock_wall_us() / SECOND - (int64_t)time(NULL);
    cr_assert(apart >= -1 && apart <= 1, "%lld s", (long long)apart); /* time(2) may lag a tick */
}

Test(duration, parses_each_unit)
{
    const struct {
        const char *text;
        int64_t milliseconds;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"1ms", 1},
        {"500ms", 500},
        {"90s", 90000},
        {"10m", 600000},
        {"12h", 43200000},
        {"7d", 604800000},
        {"007s", 7000},
        {"9223372036854775807ms", INT64_MAX},
        {"106751991167d", 106751991167 * 86400000},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t milliseconds = -1;
        struct error err = {0};
        cr_assert(duration_parse(good[i].text, &milliseconds, &err), "%s", err.message);
        cr_assert_eq(milliseconds, good[i].milliseconds, "%s", good[i].text);
    }
}

Test(duration, refuses_what_is_none)
{
    const char *const refused[] = {"",    "10",   "00",   "m",    "-5s",  "+5s",   "1.5h",
                                   " 5s", "5 s",  "5s ",  "5S",   "5min", "1h30m", "5sec",
                                   "5w",  "0x5s", "5mss", "five", "1e3s", "s5",    "٣s"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int64_t milliseconds = 42;
        struct error err = {0};
        cr_assert_not(duration_parse(refused[i], &milliseconds, &err), "%s", refused[i]);
        cr_assert_eq(milliseconds, 42);
        cr_assert_eq(err.code, ERROR_MALFORMED, "%s", refused[i]);
    }
}

Test(duration, refuses_what_overflows)
{
    const char *const refused[] = {
        "9223372036854775808ms", "18446744073709551616ms", "99999999999999999999999999999999999s",
        "9223372036854775807s",  "106751991168d",          "18446744073709551617ms"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int64_t milliseconds = 42;
        struct error err = {0};
        cr_assert_not(duration_parse(refused[i], &milliseconds, &err), "%s", refused[i]);
        cr_assert_eq(milliseconds, 42);
        cr_assert_eq(err.code, ERROR_LIMIT, "%s", refused[i]);
    }
}

Test(duration, formats_in_the_largest_unit_and_back)
{
    const char *const texts[] = {"0",  "1ms", "999ms", "1s", "59s", "61s", "1m",    "90m",
                                 "1h", "23h", "25h",   "1d", "7d",  "36h", "1001ms"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t milliseconds;
        char text[32];
        cr_assert(duration_parse(texts[i], &milliseconds, NULL));
        duration_format(milliseconds, text, sizeof text);
        cr_assert_str_eq(text, texts[i]);
    }
}

Test(duration, formats_the_extremes_and_respects_its_room)
{
    char text[32];
    duration_format(INT64_MAX, text, sizeof text);
    cr_assert_str_eq(text, "9223372036854775807ms");
    duration_format(INT64_MIN, text, sizeof text);
    cr_assert_str_eq(text, "-9223372036854775808ms");
    duration_format(-60000, text, sizeof text);
    cr_assert_str_eq(text, "-1m");
    memset(text, 'x', sizeof text);
    duration_format(123456789, text, 4);
    cr_assert_str_eq(text, "123");
    cr_assert_eq(text[4], 'x');
}
