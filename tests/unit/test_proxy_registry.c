/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "proxy/registry.h"

#define NO_LIMIT 1000000

static struct registry *make_registry(void)
{
    struct registry *registry = NULL;
    struct error err = {0};
    cr_assert(registry_create(&registry, &err), "%s", err.message);
    return registry;
}

static void expect_counts(struct registry *registry, uint64_t sessions, uint64_t pending)
{
    uint64_t sessions_now, pending_now;
    registry_counts(registry, &sessions_now, &pending_now);
    cr_assert_eq(sessions_now, sessions, "%llu sessions", (unsigned long long)sessions_now);
    cr_assert_eq(pending_now, pending, "%llu pending", (unsigned long long)pending_now);
}

static void login(struct registry *registry, const char *bot, uint64_t limit)
{
    struct error err = {0};
    cr_assert(registry_login(registry, bot, limit, &err), "%s", err.message);
}

Test(proxy_registry, begins_empty)
{
    struct registry *registry = make_registry();
    expect_counts(registry, 0, 0);
    registry_destroy(registry);
    registry_destroy(NULL);
}

Test(proxy_registry, refuses_more_sessions_than_the_limit)
{
    struct registry *registry = make_registry();
    cr_assert(registry_enter(registry, 2, NO_LIMIT));
    cr_assert(registry_enter(registry, 2, NO_LIMIT));
    cr_assert_not(registry_enter(registry, 2, NO_LIMIT));
    expect_counts(registry, 2, 2);
    registry_leave(registry, true);
    cr_assert(registry_enter(registry, 2, NO_LIMIT));
    registry_destroy(registry);
}

Test(proxy_registry, refuses_more_pending_than_the_limit_whatever_has_logged_in)
{
    struct registry *registry = make_registry();
    for (int i = 0; i < 3; i++) {
        cr_assert(registry_enter(registry, NO_LIMIT, 1));
        cr_assert_not(registry_enter(registry, NO_LIMIT, 1));
        login(registry, "ci-1", 0);
    }
    expect_counts(registry, 3, 0);
    for (int i = 0; i < 3; i++) {
        registry_logout(registry, "ci-1");
        registry_leave(registry, false);
    }
    expect_counts(registry, 0, 0);
    registry_destroy(registry);
}

Test(proxy_registry, logged_in_sessions_count_towards_all_sessions)
{
    struct registry *registry = make_registry();
    cr_assert(registry_enter(registry, 1, NO_LIMIT));
    login(registry, "ci-1", 0);
    cr_assert_not(registry_enter(registry, 1, NO_LIMIT));
    registry_destroy(registry);
}

Test(proxy_registry, refuses_a_bot_more_sessions_than_its_role_allows)
{
    struct registry *registry = make_registry();
    struct error err = {0};
    for (int i = 0; i < 4; i++)
        cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
    login(registry, "ci-1", 2);
    login(registry, "ci-1", 2);
    cr_assert_not(registry_login(registry, "ci-1", 2, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_str_eq(err.message, "bot ci-1 has 2 sessions already, as many as its role allows");
    expect_counts(registry, 4, 2);
    login(registry, "report-1", 2); /* the other bot has its own */
    registry_logout(registry, "ci-1");
    login(registry, "ci-1", 2);
    registry_destroy(registry);
}

Test(proxy_registry, a_limit_that_was_lowered_holds_until_there_is_room)
{
    struct registry *registry = make_registry();
    for (int i = 0; i < 5; i++)
        cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
    for (int i = 0; i < 3; i++)
        login(registry, "ci-1", 0);
    cr_assert_not(registry_login(registry, "ci-1", 1, NULL));
    for (int i = 0; i < 2; i++)
        registry_logout(registry, "ci-1");
    cr_assert_not(registry_login(registry, "ci-1", 1, NULL));
    registry_logout(registry, "ci-1");
    login(registry, "ci-1", 1);
    registry_destroy(registry);
}

Test(proxy_registry, forgets_bots_that_have_gone)
{
    struct registry *registry = make_registry();
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "bot-%u", i);
        cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
        login(registry, name, 1);
    }
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "bot-%u", i);
        cr_assert_not(registry_login(registry, name, 1, NULL));
        registry_logout(registry, name);
        registry_leave(registry, false);
        cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
        login(registry, name, 1);
    }
    expect_counts(registry, 5000, 0);
    registry_destroy(registry); /* with bots in it: nothing leaks */
}

Test(proxy_registry, a_logout_of_nobody_changes_nothing)
{
    struct registry *registry = make_registry();
    registry_logout(registry, "nobody");
    expect_counts(registry, 0, 0);
    registry_destroy(registry);
}

#define THREADS 4
#define ROUNDS  5000
#define AT_ONCE 2

struct contest {
    struct registry *registry;
    _Atomic unsigned inside; /* sessions of the one bot */
    _Atomic bool exceeded;
};

static void *compete(void *arg)
{
    struct contest *contest = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!registry_enter(contest->registry, THREADS, THREADS))
            continue;
        bool in = registry_login(contest->registry, "ci-1", AT_ONCE, NULL);
        if (in) {
            if (++contest->inside > AT_ONCE)
                contest->exceeded = true;
            contest->inside--;
            registry_logout(contest->registry, "ci-1");
        }
        registry_leave(contest->registry, !in);
    }
    return NULL;
}

Test(proxy_registry, limits_hold_between_threads)
{
    struct contest contest = {.registry = make_registry()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, compete, &contest), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_not(contest.exceeded);
    expect_counts(contest.registry, 0, 0);
    registry_destroy(contest.registry);
}
