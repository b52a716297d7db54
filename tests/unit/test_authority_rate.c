/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "authority/rate.h"

#define SECOND INT64_C(1000000)

static struct authority_rate *rate;

static void enter(void)
{
    struct error err = {0};
    cr_assert(authority_rate_open(&rate, &err));
}

static void leave(void)
{
    authority_rate_close(rate);
}

TestSuite(authority_rate, .init = enter, .fini = leave);

/* How often an address is refused before it may not try. */
static unsigned tries(const char *address, int64_t now_us)
{
    unsigned count = 0;
    for (; count < 1000 && authority_rate_allows(rate, address, now_us); count++)
        authority_rate_refused(rate, address, now_us);
    return count;
}

Test(authority_rate, ten_at_once_then_one_each_six_seconds)
{
    cr_assert_eq(tries("10.0.0.5", 0), 10);
    cr_assert_eq(tries("10.0.0.5", 6 * SECOND - 1), 0);
    cr_assert_eq(tries("10.0.0.5", 6 * SECOND), 1);
    cr_assert_eq(tries("10.0.0.5", 19 * SECOND), 2);
    cr_assert_eq(tries("10.0.0.5", 1000 * SECOND), 10);
}

Test(authority_rate, others_are_not_concerned)
{
    cr_assert_eq(tries("10.0.0.5", 0), 10);
    cr_assert_eq(tries("10.0.0.6", 0), 10);
    cr_assert(authority_rate_allows(rate, "::1", 0));
}

Test(authority_rate, one_host_is_one_address_whatever_it_calls_itself)
{
    cr_assert_eq(tries("2001:db8:1:2::1", 0), 10);
    cr_assert_eq(tries("2001:db8:1:2:ffff::9", 0), 0);
    cr_assert_eq(tries("2001:db8:1:3::1", 0), 10);
    cr_assert_eq(tries("10.0.0.5", 0), 10);
    cr_assert_eq(tries("::ffff:10.0.0.5", 0), 0);
    cr_assert_eq(tries("fe80::1%eth0", 0), 10);
    cr_assert_eq(tries("fe80::1%eth1", 0), 0);
}

Test(authority_rate, what_is_no_address_is_one_of_its_own)
{
    cr_assert_eq(tries("", 0), 10);
    cr_assert_eq(tries("nonsense that is longer than any address could ever be", 0), 0);
}

Test(authority_rate, being_refused_while_shut_out_lasts_no_longer)
{
    for (unsigned i = 0; i < 1000; i++)
        authority_rate_refused(rate, "10.0.0.5", 0);
    cr_assert_not(authority_rate_allows(rate, "10.0.0.5", 6 * SECOND - 1));
    cr_assert(authority_rate_allows(rate, "10.0.0.5", 6 * SECOND));
}

Test(authority_rate, the_oldest_of_too_many_is_forgotten)
{
    char address[32];
    for (unsigned i = 0; i < AUTHORITY_RATE_ADDRESSES; i++) {
        snprintf(address, sizeof address, "10.1.%u.%u", i / 256, i % 256);
        for (unsigned j = 0; j < 10; j++)
            authority_rate_refused(rate, address, 0);
    }
    authority_rate_refused(rate, "10.1.0.0", 0); /* not the oldest any more */
    authority_rate_refused(rate, "10.2.0.0", 0);
    cr_assert(authority_rate_allows(rate, "10.1.0.1", 0));
    cr_assert_not(authority_rate_allows(rate, "10.1.0.0", 0));
    cr_assert_not(authority_rate_allows(rate, "10.1.0.2", 0));
    cr_assert_not(authority_rate_allows(rate, "10.1.15.255", 0));
}

Test(authority_rate, a_flood_of_addresses_stays_bounded)
{
    char address[64];
    for (unsigned i = 0; i < 20 * AUTHORITY_RATE_ADDRESSES; i++) {
        snprintf(address, sizeof address, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
        authority_rate_refused(rate, address, i);
    }
    cr_assert_eq(tries(address, 20 * AUTHORITY_RATE_ADDRESSES), 9);
}

/* --- bots --- */

static struct authority_rate *bots;

static void enter_bots(void)
{
    struct error err = {0};
    cr_assert(authority_rate_open_bots(&bots, &err));
}

static void leave_bots(void)
{
    authority_rate_close(bots);
}

TestSuite(authority_rate_of_bots, .init = enter_bots, .fini = leave_bots);

static unsigned takes(const char *name, int64_t now_us)
{
    unsigned count = 0;
    while (count < 1000 && authority_rate_takes(bots, name, now_us))
        count++;
    return count;
}

Test(authority_rate_of_bots, a_hundred_at_once_then_one_a_second)
{
    cr_assert_eq(takes("ci-1", 0), 100);
    cr_assert_eq(takes("ci-1", SECOND - 1), 0);
    cr_assert_eq(takes("ci-1", SECOND), 1);
    cr_assert_eq(takes("ci-1", 3 * SECOND + SECOND / 2), 2);
    cr_assert_eq(takes("ci-2", 4 * SECOND), 100);
    cr_assert_eq(takes("ci-1", 1000 * SECOND), 100);
}

Test(authority_rate_of_bots, one_refusal_a_minute_is_recorded_and_says_how_many_were_not)
{
    uint64_t unrecorded = 7;
    cr_assert(authority_rate_may_record(bots, "ci-1", 0, &unrecorded));
    cr_assert_eq(unrecorded, 0);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_not(authority_rate_may_record(bots, "ci-1", 60 * SECOND - 1, &unrecorded));
    cr_assert(authority_rate_may_record(bots, "ci-2", 1, &unrecorded));
    cr_assert_eq(unrecorded, 0);
    cr_assert(authority_rate_may_record(bots, "ci-1", 60 * SECOND, &unrecorded));
    cr_assert_eq(unrecorded, 5);
    cr_assert(authority_rate_may_record(bots, "ci-1", 120 * SECOND, &unrecorded));
    cr_assert_eq(unrecorded, 0);
}

Test(authority_rate_of_bots, who_asks_all_the_time_is_not_forgotten_for_others)
{
    char name[32];
    cr_assert_eq(takes("ci-1", 0), 100);
    for (unsigned i = 0; i < 3 * AUTHORITY_RATE_ADDRESSES; i++) {
        snprintf(name, sizeof name, "bot-%u", i);
        cr_assert(authority_rate_takes(bots, name, 0));
        if (i % 1000 == 0) /* what is refused counts as being there */
            cr_assert_not(authority_rate_takes(bots, "ci-1", 0));
    }
}
