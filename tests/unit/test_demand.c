/* SPDX-License-Identifier: Apache-2.0 */
/* Users whom only globs allow: put in once, kept while logins come, dropped when none do, bounded.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "proxy/demand.h"

static struct demand *demand;
static const char *users[DEMAND_USERS_MAX];
static bool changed;

static void set_up(void)
{
    struct error err = {0};
    cr_assert(demand_create(&demand, &err), "%s", err.message);
}

static void tear_down(void)
{
    demand_free(demand);
}

TestSuite(demand, .init = set_up, .fini = tear_down);

static bool login_of(const char *bot, const char *user, bool missing, int64_t now_us)
{
    struct error err = {0};
    bool added;
    cr_assert(demand_login(demand, bot, user, missing, now_us, &added, &err), "%s", err.message);
    return added;
}

static bool login(const char *user, bool missing, int64_t now_us)
{
    return login_of("ci-1", user, missing, now_us);
}

static void refused(const char *bot, const char *user, int64_t now_us, const char *words)
{
    struct error err = {0};
    bool added = true;
    cr_assert_not(demand_login(demand, bot, user, true, now_us, &added, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert(strstr(err.message, words), "%s", err.message);
    cr_assert_not(added);
}

/* As many users as one bot may have, or the places that are left. */
static void fill(const char *bot, int count, int64_t now_us)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "%s_%d", bot, i);
        cr_assert(login_of(bot, name, true, now_us));
    }
}

static size_t list(int64_t now_us)
{
    return demand_users(demand, now_us, users, &changed);
}

Test(demand, is_empty_at_first)
{
    cr_assert_eq(list(1), 0);
    cr_assert_not(changed);
    demand_free(NULL);
}

Test(demand, a_user_without_a_certificate_is_put_in_once)
{
    cr_assert(login("app_1", true, 1));
    cr_assert_not(login("app_1", true, 2), "it is in already");
    cr_assert_eq(list(3), 1);
    cr_assert_str_eq(users[0], "app_1");
    cr_assert(changed);
    cr_assert_eq(list(3), 1);
    cr_assert_not(changed, "told once");
}

Test(demand, a_user_whose_certificate_was_minted_ahead_is_left_out)
{
    cr_assert_not(login("reader", false, 1));
    cr_assert_eq(list(1), 0);
}

Test(demand, logins_keep_a_user_and_silence_drops_it)
{
    login("busy", true, 1);
    login("idle", true, 1);
    login("busy", false, DEMAND_IDLE_US);
    cr_assert_eq(list(DEMAND_IDLE_US + 1), 2, "not before the time has passed");
    cr_assert_eq(list(DEMAND_IDLE_US + 2), 1);
    cr_assert(changed);
    cr_assert_str_eq(users[0], "busy");
    cr_assert_eq(list(2 * DEMAND_IDLE_US + 1), 0);
    cr_assert(login("idle", true, 2 * DEMAND_IDLE_US + 2), "it may come again");
}

Test(demand, is_bounded)
{
    static const char *const bots[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        fill(bots[i], DEMAND_BOT_USERS_MAX, 1);
    fill("e", DEMAND_USERS_MAX - 4 * DEMAND_BOT_USERS_MAX, 1);
    refused("e", "one_more", 1, "for 250 MySQL users already");
    cr_assert_not(login_of("a", "a_7", true, 2), "those that are in stay usable");
    cr_assert_not(login_of("e", "reader", false, 2), "and those that need nothing too");
    cr_assert_eq(list(DEMAND_IDLE_US + 2), 1);
    cr_assert(login_of("e", "one_more", true, DEMAND_IDLE_US + 3), "room has come");
}

Test(demand, one_bot_leaves_the_others_room)
{
    fill("wild", DEMAND_BOT_USERS_MAX, 1);
    refused("wild", "one_more", 1, "62 MySQL users of this bot");
    cr_assert(login_of("tame", "one_more", true, 1));
    cr_assert_not(login_of("wild", "one_more", true, 1), "another's place may be used");
    cr_assert_not(login_of("wild", "wild_3", true, DEMAND_IDLE_US), "its own stay usable");
    cr_assert_eq(list(DEMAND_IDLE_US + 2), 1);
    cr_assert(login_of("wild", "later", true, DEMAND_IDLE_US + 3), "room has come for it too");
}

Test(demand, bots_with_long_names_that_begin_alike_share)
{
    char first[2 * DEMAND_BOT_SIZE], second[2 * DEMAND_BOT_SIZE];
    char user[32];
    memset(first, 'x', sizeof first);
    first[sizeof first - 1] = '\0';
    memcpy(second, first, sizeof second);
    second[sizeof second - 2] = 'y';
    for (int i = 0; i < DEMAND_BOT_USERS_MAX; i++) {
        (void)snprintf(user, sizeof user, "app_%d", i);
        cr_assert(login_of(first, user, true, 1));
    }
    refused(second, "one_more", 1, "of this bot");
    second[DEMAND_BOT_SIZE - 2] = 'y'; /* the last that counts */
    cr_assert(login_of(second, "one_more", true, 1));
}

Test(demand, a_login_at_time_zero_counts)
{
    cr_assert(login("app", true, 0));
    cr_assert_eq(list(0), 1);
}

static void log_in_often(void *arg)
{
    char name[32];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof name, "%s_%d", (const char *)arg, i % 50);
        login_of(arg, name, true, 1 + i);
    }
}

Test(demand, workers_put_in_while_the_main_loop_lists)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    uv_thread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(uv_thread_create(&threads[i], log_in_often, names[i]), 0);
    for (int i = 0; i < 1000; i++) {
        size_t count = list(1);
        for (size_t j = 0; j < count; j++)
            cr_assert(users[j][0] >= 'a' && users[j][0] <= 'd' && users[j][1] == '_');
    }
    for (size_t i = 0; i < 4; i++)
        uv_thread_join(&threads[i]);
    cr_assert_eq(list(1), 200);
}
