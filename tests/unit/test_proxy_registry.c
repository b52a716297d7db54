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

#define WHO(name) ((struct registry_who){.bot = (name)})

static void login(struct registry *registry, const char *bot, uint64_t limit)
{
    struct error err = {0};
    cr_assert(registry_login(registry, &WHO(bot), limit, &err), "%s", err.message);
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
        registry_logout(registry, &WHO("ci-1"));
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
    cr_assert_not(registry_login(registry, &WHO("ci-1"), 2, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_str_eq(err.message, "bot ci-1 has 2 sessions already, as many as its role allows");
    expect_counts(registry, 4, 2);
    login(registry, "report-1", 2); /* the other bot has its own */
    registry_logout(registry, &WHO("ci-1"));
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
    cr_assert_not(registry_login(registry, &WHO("ci-1"), 1, NULL));
    for (int i = 0; i < 2; i++)
        registry_logout(registry, &WHO("ci-1"));
    cr_assert_not(registry_login(registry, &WHO("ci-1"), 1, NULL));
    registry_logout(registry, &WHO("ci-1"));
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
        cr_assert_not(registry_login(registry, &WHO(name), 1, NULL));
        registry_logout(registry, &WHO(name));
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
    registry_logout(registry, &WHO("nobody"));
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
        bool in = registry_login(contest->registry, &WHO("ci-1"), AT_ONCE, NULL);
        if (in) {
            if (++contest->inside > AT_ONCE)
                contest->exceeded = true;
            contest->inside--;
            registry_logout(contest->registry, &WHO("ci-1"));
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

/* --- families and what extends them --- */

static const uint8_t ours[HELLO_FAMILY_SIZE] = "family of ours.";
static const uint8_t theirs[HELLO_FAMILY_SIZE] = "family of thief";

static const struct registry_who first = {"ci-1", "instance-1", ours};
static const struct registry_who thief = {"ci-1", "instance-1", theirs};
static const struct registry_who plain = {"ci-1", "instance-1", NULL};
static const struct registry_who second = {"ci-1", "instance-2", ours};

static void log_in(struct registry *registry, const struct registry_who *who)
{
    cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
    cr_assert(registry_login(registry, who, 0, NULL));
}

/* A proof made and announced; the number of sessions that it is for. */
static uint64_t prove(struct registry *registry, const struct registry_who *who, int64_t made_us,
                      int64_t until_us)
{
    struct proof *proof;
    struct error err = {0};
    cr_assert(proof_create(byte_view("DER", 3), made_us, until_us, &proof, &err), "%s",
              err.message);
    uint64_t sessions = registry_prove(registry, who, proof);
    proof_unref(proof);
    return sessions;
}

/* Until when it was proven; 0: not at all. */
static int64_t proven(struct registry *registry, const struct registry_who *who)
{
    struct proof *proof = registry_proof(registry, who);
    int64_t until_us = proof ? proof_not_after_us(proof) : 0;
    proof_unref(proof);
    return until_us;
}

Test(proxy_registry, a_proof_holds_for_the_sessions_of_one_instance)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    log_in(registry, &first);
    log_in(registry, &second);
    cr_assert_eq(proven(registry, &first), 0);
    cr_assert_eq(prove(registry, &first, 1, 1000), 2);
    cr_assert_eq(proven(registry, &first), 1000);
    cr_assert_eq(proven(registry, &second), 0, "the same family, but another instance");
    registry_destroy(registry);
}

Test(proxy_registry, a_proof_holds_for_one_family_alone)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    log_in(registry, &thief);
    log_in(registry, &plain);
    cr_assert_eq(prove(registry, &first, 1, 1000), 1);
    cr_assert_eq(proven(registry, &first), 1000);
    cr_assert_eq(proven(registry, &thief), 0);
    cr_assert_eq(proven(registry, &plain), 0);
    cr_assert_eq(prove(registry, &plain, 1, 1000), 0, "no family: nobody is extended");
    cr_assert_eq(proven(registry, &plain), 0);
    registry_destroy(registry);
}

Test(proxy_registry, families_differ_in_any_bit)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    for (size_t bit = 0; bit < 8 * sizeof ours; bit++) {
        uint8_t other[HELLO_FAMILY_SIZE];
        const struct registry_who who = {"ci-1", "instance-1", other};
        memcpy(other, ours, sizeof other);
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(prove(registry, &who, 1, 1000), 0);
    }
    cr_assert_eq(proven(registry, &first), 0);
    registry_destroy(registry);
}

Test(proxy_registry, the_certificate_that_was_made_last_counts)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    cr_assert_eq(prove(registry, &first, 2, 1000), 1);
    cr_assert_eq(prove(registry, &first, 1, 5000), 1, "an older one that came late");
    cr_assert_eq(proven(registry, &first), 1000);
    cr_assert_eq(prove(registry, &first, 2, 999), 1);
    cr_assert_eq(proven(registry, &first), 1000);
    cr_assert_eq(prove(registry, &first, 3, 998), 1, "the authority gives shorter ones now");
    cr_assert_eq(proven(registry, &first), 998);
    registry_destroy(registry);
}

Test(proxy_registry, a_proof_goes_with_the_last_session_of_its_family)
{
    struct registry *registry = make_registry();
    cr_assert_eq(prove(registry, &first, 1, 1000), 0, "nobody there: nothing is kept");
    log_in(registry, &first);
    log_in(registry, &thief);
    cr_assert_eq(proven(registry, &first), 0);
    cr_assert_eq(prove(registry, &first, 1, 1000), 1);
    registry_logout(registry, &first);
    log_in(registry, &first);
    cr_assert_eq(proven(registry, &first), 0);
    registry_destroy(registry);
}

Test(proxy_registry, a_proof_outlives_its_family_while_somebody_holds_it)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    cr_assert_eq(prove(registry, &first, 1, 1000), 1);
    struct proof *proof = registry_proof(registry, &first);
    registry_logout(registry, &first);
    registry_destroy(registry);
    cr_assert_eq(proof_not_after_us(proof), 1000);
    proof_unref(proof);
}

Test(proxy_registry, families_are_bounded_and_more_are_not_extended)
{
    struct registry *registry = make_registry();
    uint8_t secrets[REGISTRY_FAMILIES_MAX + 1][HELLO_FAMILY_SIZE] = {0};
    struct registry_who who = {"ci-1", "instance-1", NULL};
    for (size_t i = 0; i < REGISTRY_FAMILIES_MAX + 1; i++) {
        secrets[i][0] = (uint8_t)i;
        who.family = secrets[i];
        log_in(registry, &who);
        cr_assert_eq(prove(registry, &who, 1, 1000), i < REGISTRY_FAMILIES_MAX);
    }
    registry_logout(registry, &who); /* it was never in one */
    who.family = secrets[0];
    cr_assert_eq(proven(registry, &who), 1000);
    registry_logout(registry, &who);
    who.family = secrets[REGISTRY_FAMILIES_MAX];
    log_in(registry, &who);
    cr_assert_eq(prove(registry, &who, 1, 1000), 1, "room has come");
    registry_destroy(registry);
}

Test(proxy_registry, a_refused_login_leaves_no_instance_behind)
{
    struct registry *registry = make_registry();
    log_in(registry, &first);
    cr_assert(registry_enter(registry, NO_LIMIT, NO_LIMIT));
    cr_assert_not(registry_login(registry, &second, 1, NULL));
    cr_assert_eq(prove(registry, &second, 1, 1000), 0);
    cr_assert_eq(proven(registry, &second), 0);
    registry_destroy(registry);
}
