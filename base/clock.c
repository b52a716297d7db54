/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_SECOND   1000000
#define SECONDS_PER_DAY 86400

/* Bytes of "2026-01-31T23:59:59", the part of a printed time that changes once a second. */
#define CLOCK_SECOND_LENGTH 19

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds since 1970. */
#define CLOCK_FIRST_SECOND (-62167219200LL)
#define CLOCK_LAST_SECOND  253402300799LL

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for the two clocks that are read here */
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

struct civil {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
};

/* Rounds towards minus infinity, so that times before 1970 fall into the right second and day. */
static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/*
 * Days since 1970-01-01 to a date and back, in the proleptic Gregorian calendar. Both count years
 * from March, which puts the leap day at the end of a year, and in eras of 400 years (146,097
 * days). A year that starts in March has (153 × month + 2) / 5 days before its month number 0
 * to 11.
 */
static int64_t days_of_civil(struct civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of_days(int64_t days)
{
    days += 719468; /* from 0000-03-01 to 1970-01-01 */
    int64_t era = floor_divide(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t leap_days = day_of_era / 1460 - day_of_era / 36524 + day_of_era / 146096;
    int64_t year_of_era = (day_of_era - leap_days) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){.year = era * 400 + year_of_era + (month <= 2),
                          .month = month,
                          .day = day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

static void put_digits(char *out, size_t width, int64_t value)
{
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void format_second(int64_t second, char *out)
{
    int64_t days = floor_divide(second, SECONDS_PER_DAY);
    int64_t of_day = second - days * SECONDS_PER_DAY;
    struct civil date = civil_of_days(days);
    memcpy(out, "0000-00-00T00:00:00", CLOCK_SECOND_LENGTH);
    put_digits(out, 4, date.year);
    put_digits(out + 5, 2, date.month);
    put_digits(out + 8, 2, date.day);
    put_digits(out + 11, 2, of_day / 3600);
    put_digits(out + 14, 2, of_day / 60 % 60);
    put_digits(out + 17, 2, of_day % 60);
}

/* The text of a second, kept for each thread: a busy worker prints thousands of times in one. */
static const char *second_text(int64_t second)
{
    static _Thread_local int64_t cached_second = INT64_MIN;
    static _Thread_local char cached[CLOCK_SECOND_LENGTH];
    if (second != cached_second) {
        format_second(second, cached);
        cached_second = second;
    }
    return cached;
}

void clock_format(int64_t wall_us, char out[CLOCK_TIME_SIZE])
{
    int64_t second = floor_divide(wall_us, US_PER_SECOND);
    int64_t fraction = wall_us - second * US_PER_SECOND;
    if (second < CLOCK_FIRST_SECOND) {
        second = CLOCK_FIRST_SECOND;
        fraction = 0;
    } else if (second > CLOCK_LAST_SECOND) {
        second = CLOCK_LAST_SECOND;
        fraction = US_PER_SECOND - 1;
    }
    memcpy(out, second_text(second), CLOCK_SECOND_LENGTH);
    memcpy(out + CLOCK_SECOND_LENGTH, ".000000Z", sizeof ".000000Z");
    put_digits(out + CLOCK_SECOND_LENGTH + 1, 6, fraction);
}

/* Reads exactly `width` digits between `least` and `greatest` and moves on. */
static bool take_number(const char **at, size_t width, int64_t least, int64_t greatest,
                        int64_t *value)
{
    int64_t sum = 0;
    for (size_t i = 0; i < width; i++) {
        char digit = (*at)[i];
        if (digit < '0' || digit > '9')
            return false;
        sum = sum * 10 + (digit - '0');
    }
    *at += width;
    *value = sum;
    return sum >= least && sum <= greatest;
}

static bool take_one_of(const char **at, const char *allowed)
{
    if (**at == '\0' || !strchr(allowed, **at))
        return false;
    *at += 1;
    return true;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(const char **at, int64_t *days)
{
    struct civil date;
    if (!take_number(at, 4, 0, 9999, &date.year) || !take_one_of(at, "-") ||
        !take_number(at, 2, 1, 12, &date.month) || !take_one_of(at, "-") ||
        !take_number(at, 2, 1, days_in_month(date.year, date.month), &date.day))
        return false;
    *days = days_of_civil(date);
    return true;
}

/* A second of 60 is a leap second (RFC 3339, section 5.7) and counts as the next minute's first. */
static bool take_time_of_day(const char **at, int64_t *seconds)
{
    int64_t hour;
    int64_t minute;
    int64_t second;
    if (!take_number(at, 2, 0, 23, &hour) || !take_one_of(at, ":") ||
        !take_number(at, 2, 0, 59, &minute) || !take_one_of(at, ":") ||
        !take_number(at, 2, 0, 60, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* An optional fraction of a second; digits past the microsecond are dropped. */
static bool take_fraction(const char **at, int64_t *us)
{
    *us = 0;
    if (!take_one_of(at, "."))
        return true;
    int64_t digit;
    int64_t scale = US_PER_SECOND / 10;
    const char *first = *at;
    while (**at >= '0' && **at <= '9' && take_number(at, 1, 0, 9, &digit)) {
        *us += digit * scale;
        scale /= 10;
    }
    return *at > first;
}

/* "Z" or a numeric offset from UTC, in seconds east of it. */
static bool take_offset(const char **at, int64_t *seconds)
{
    *seconds = 0;
    if (take_one_of(at, "Zz"))
        return true;
    int64_t sign = **at == '-' ? -1 : 1;
    int64_t hours;
    int64_t minutes;
    if (!take_one_of(at, "+-") || !take_number(at, 2, 0, 23, &hours) || !take_one_of(at, ":") ||
        !take_number(at, 2, 0, 59, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_parse(const char *text, int64_t *wall_us, struct error *err)
{
    const char *at = text;
    int64_t days;
    int64_t of_day;
    int64_t fraction;
    int64_t offset;
    if (!take_date(&at, &days) || !take_one_of(&at, "Tt ") || !take_time_of_day(&at, &of_day) ||
        !take_fraction(&at, &fraction) || !take_offset(&at, &offset) || *at != '\0')
        return error_set(err, ERROR_MALFORMED,
                         "\"%.64s\" is not a time: write it as 2026-01-31T23:59:59Z", text);
    *wall_us = (days * SECONDS_PER_DAY + of_day - offset) * US_PER_SECOND + fraction;
    return true;
}

struct duration_unit {
    const char *name;
    int64_t milliseconds;
};

/* From the largest, as duration_format() tries them. */
static const struct duration_unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

#define DURATION_UNIT_COUNT (sizeof duration_units / sizeof *duration_units)

static const struct duration_unit *find_unit(const char *name)
{
    for (size_t i = 0; i < DURATION_UNIT_COUNT; i++)
        if (strcmp(duration_units[i].name, name) == 0)
            return &duration_units[i];
    return NULL;
}

bool duration_parse(const char *text, int64_t *milliseconds, struct error *err)
{
    if (strcmp(text, "0") == 0) {
        *milliseconds = 0;
        return true;
    }
    const char *at = text;
    int64_t count = 0;
    bool overflow = false;
    for (; *at >= '0' && *at <= '9'; at++)
        overflow = __builtin_mul_overflow(count, 10, &count) ||
                   __builtin_add_overflow(count, *at - '0', &count) || overflow;
    const struct duration_unit *unit = at > text ? find_unit(at) : NULL;
    if (!unit)
        return error_set(err, ERROR_MALFORMED,
                         "\"%.64s\" is not a duration: write a whole number and a unit (ms, s, m, "
                         "h or d), such as \"10m\"",
                         text);
    if (overflow || __builtin_mul_overflow(count, unit->milliseconds, &count))
        return error_set(err, ERROR_LIMIT, "\"%.64s\" is too long a duration", text);
    *milliseconds = count;
    return true;
}

void duration_format(int64_t milliseconds, char *out, size_t size)
{
    if (milliseconds == 0) {
        snprintf(out, size, "0");
        return;
    }
    size_t i = 0;
    while (milliseconds % duration_units[i].milliseconds != 0)
        i++;
    snprintf(out, size, "%lld%s", (long long)(milliseconds / duration_units[i].milliseconds),
             duration_units[i].name);
}
