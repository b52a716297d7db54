/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are refused for their dates: by whose clock, and by how much. */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/probe_time.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NOW    (INT64_C(1800000000) * SECOND)

static char text[512];

static struct probe_time valid(int64_t since_us, int64_t left_us)
{
    return (struct probe_time){NOW - since_us, NOW + left_us, NOW};
}

static const char *own(enum diagnosis diagnosis, int64_t since_us, int64_t left_us)
{
    const struct probe_time time = valid(since_us, left_us);
    cr_assert(probe_time_is_it(diagnosis, &time));
    probe_time_of_own(diagnosis, &time, "refused", text, sizeof text);
    return text;
}

static const char *server(int64_t since_us, int64_t left_us)
{
    const struct probe_time time = valid(since_us, left_us);
    probe_time_of_server(&time, "refused", text, sizeof text);
    return text;
}

Test(probe_time, expired_there_and_not_here)
{
    cr_assert_str_eq(own(DIAGNOSIS_OWN_EXPIRED, HOUR, 30 * MINUTE),
                     "refused; by our clock it ends in 30 minutes, so the server's clock is ahead "
                     "of ours by that or more");
}

Test(probe_time, expired_by_both_clocks)
{
    cr_assert_str_eq(own(DIAGNOSIS_OWN_EXPIRED, HOUR, -3 * DAY),
                     "refused; by our clock it ended 3 days ago");
    cr_assert_str_eq(own(DIAGNOSIS_OWN_EXPIRED, HOUR, 0),
                     "refused; by our clock it ended 0 seconds ago");
}

Test(probe_time, bad_and_just_made)
{
    const char *said = own(DIAGNOSIS_OWN_BAD, 61 * SECOND, HOUR);
    cr_assert_not_null(strstr(said, "valid for 61 seconds: if the server's clock is behind"));
    cr_assert_str_eq(own(DIAGNOSIS_OWN_BAD, -2 * HOUR, DAY),
                     "refused; by our clock it becomes valid in 2 hours");
}

Test(probe_time, bad_for_another_reason)
{
    const struct probe_time old = valid(PROBE_TIME_RECENT_US, DAY);
    const struct probe_time unknown = {0, 0, NOW};
    const struct probe_time fresh = valid(MINUTE, DAY);
    cr_assert_not(probe_time_is_it(DIAGNOSIS_OWN_BAD, &old));
    cr_assert_not(probe_time_is_it(DIAGNOSIS_OWN_BAD, &unknown));
    cr_assert_not(probe_time_is_it(DIAGNOSIS_OWN_CERTIFICATE, &fresh));
    cr_assert_not(probe_time_is_it(DIAGNOSIS_NONE, &fresh));
}

Test(probe_time, the_servers_certificate)
{
    cr_assert_not_null(strstr(server(-2 * HOUR, DAY), "by our clock in 2 hours: our clock is"));
    cr_assert_str_eq(server(DAY, -90 * SECOND), "refused, by our clock 90 seconds ago");
    cr_assert_str_eq(server(DAY, -2 * MINUTE), "refused, by our clock 2 minutes ago");
    cr_assert_str_eq(server(DAY, DAY), "refused", "it is its CA's date");
}

Test(probe_time, what_is_not_known_is_not_made_up)
{
    const struct probe_time unknown = {0, 0, NOW};
    probe_time_of_server(&unknown, "refused", text, sizeof text);
    cr_assert_str_eq(text, "refused");
}

Test(probe_time, is_cut_to_its_room)
{
    char small[8];
    const struct probe_time time = valid(HOUR, HOUR);
    probe_time_of_own(DIAGNOSIS_OWN_EXPIRED, &time, "refused for long", small, sizeof small);
    cr_assert_str_eq(small, "refused");
}
