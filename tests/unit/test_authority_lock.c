/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/authority_support.h"

TestSuite(authority_lock, .init = home_enter, .fini = home_leave);

static struct store_lock made;

static bool lock(enum store_lock_kind kind, const char *target, int64_t ttl_us)
{
    const struct authority_lock_wanted wanted = {kind, target, ttl_us, "because", "uid 0"};
    return authority_lock_add(authority, &wanted, now_us, &made, WHY);
}

static const struct authority_lock *lock_of(const struct authority_lock_query *query)
{
    const struct authority_lock *found;
    ENDS(authority_lock_of(authority, query, now_us, &found, &failure));
    return found;
}

static void a_document(enum store_document_kind kind, const char *name)
{
    enum store_change change;
    ENDS(store_document_put(store, kind, name, "{}", now_us, &change, &failure));
}

Test(authority_lock, a_lock_is_what_was_asked_for)
{
    a_bot("ci-1", "reader");
    ENDS(lock(STORE_LOCK_BOT, "ci-1", AUTHORITY_HOUR));
    cr_assert_eq(strlen(made.id), 16);
    cr_assert_eq(made.expires_us, now_us + AUTHORITY_HOUR);
    struct store_lock row;
    ENDS(store_lock_find(store, made.id, &row, &failure));
    cr_assert_str_eq(row.target, "ci-1");
    cr_assert_str_eq(row.reason, "because");
    cr_assert_str_eq(row.created_by, "uid 0");
}

Test(authority_lock, only_what_is_there_can_be_locked)
{
    a_bot("ci-1", "reader");
    struct authority_identity bot = joined("ci-1");
    joined_proxy("proxy-1", "p1.test");
    char token[STORE_ID_SIZE];
    snprintf(token, sizeof token, "%.16s", a_token(STORE_TOKEN_BOT, "ci-1") + 17);
    a_document(STORE_DOCUMENT_DATABASE, "shop");
    a_document(STORE_DOCUMENT_ROLE, "owner");
    ENDS(lock(STORE_LOCK_BOT, "ci-1", 0));
    ENDS(lock(STORE_LOCK_INSTANCE, bot.instance, 0));
    ENDS(lock(STORE_LOCK_ROLE, "reader", 0)); /* a bot has it */
    ENDS(lock(STORE_LOCK_ROLE, "owner", 0));  /* it is defined */
    ENDS(lock(STORE_LOCK_DATABASE, "shop", 0));
    ENDS(lock(STORE_LOCK_TOKEN, token, 0));
    ENDS(lock(STORE_LOCK_PROXY, "proxy-1", 0));
    REFUSED(lock(STORE_LOCK_BOT, "ci-2", 0), CONTROL_NOT_FOUND, "ci-2");
    REFUSED(lock(STORE_LOCK_INSTANCE, "0123456789abcdef0123456789abcdef", 0), CONTROL_NOT_FOUND,
            "");
    REFUSED(lock(STORE_LOCK_ROLE, "shop", 0), CONTROL_NOT_FOUND, "no bot has it");
    REFUSED(lock(STORE_LOCK_DATABASE, "owner", 0), CONTROL_NOT_FOUND, "owner");
    REFUSED(lock(STORE_LOCK_TOKEN, "0123456789abcdef", 0), CONTROL_NOT_FOUND, "");
    REFUSED(lock(STORE_LOCK_PROXY, "ci-1", 0), CONTROL_NOT_FOUND, "ci-1");
}

Test(authority_lock, targets_are_names_and_no_globs)
{
    static const enum store_lock_kind kinds[] = {STORE_LOCK_BOT,   STORE_LOCK_INSTANCE,
                                                 STORE_LOCK_ROLE,  STORE_LOCK_DATABASE,
                                                 STORE_LOCK_TOKEN, STORE_LOCK_PROXY};
    static const char *const targets[] = {"*", "ci-*", "", "ci-?", "a b", "ci-1\n", "CI/1"};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 7; j++)
            REFUSED(lock(kinds[i], targets[j], 0), CONTROL_INVALID, "");
    REFUSED(lock(STORE_LOCK_TOKEN, "0123456789ABCDEF", 0), CONTROL_INVALID, "16 digits");
    REFUSED(lock(STORE_LOCK_INSTANCE, "0123", 0), CONTROL_INVALID, "32 digits");
}

Test(authority_lock, reasons_and_lifetimes_have_bounds)
{
    a_bot("ci-1", "reader");
    struct authority_lock_wanted wanted = {STORE_LOCK_BOT, "ci-1", 0, "two\nlines", "x"};
    REFUSED(authority_lock_add(authority, &wanted, now_us, &made, WHY), CONTROL_INVALID,
            "printable UTF-8");
    wanted.reason = "";
    REFUSED(authority_lock_add(authority, &wanted, now_us, &made, WHY), CONTROL_INVALID,
            "1 to 200");
    REFUSED(lock(STORE_LOCK_BOT, "ci-1", -1), CONTROL_INVALID, "that long");
    REFUSED(lock(STORE_LOCK_BOT, "ci-1", INT64_MAX), CONTROL_INVALID, "that long");
}

Test(authority_lock, a_lock_lapses)
{
    a_bot("ci-1", "reader");
    const struct authority_lock_query query = {.bot = "ci-1"};
    ENDS(lock(STORE_LOCK_BOT, "ci-1", AUTHORITY_HOUR));
    const int64_t then = now_us;
    now_us = then + AUTHORITY_HOUR - 1;
    cr_assert_not_null(lock_of(&query));
    now_us = then + AUTHORITY_HOUR;
    cr_assert_null(lock_of(&query));
    now_us = then; /* a clock that was set back */
    cr_assert_not_null(lock_of(&query));
}

Test(authority_lock, a_target_is_free_when_its_last_lock_is_gone)
{
    char first[STORE_ID_SIZE];
    a_bot("ci-1", "reader");
    const struct authority_lock_query query = {.bot = "ci-1"};
    ENDS(lock(STORE_LOCK_BOT, "ci-1", 0));
    memcpy(first, made.id, sizeof first);
    ENDS(lock(STORE_LOCK_BOT, "ci-1", 0));
    ENDS(authority_lock_remove(authority, first, WHY));
    cr_assert_not_null(lock_of(&query));
    ENDS(authority_lock_remove(authority, made.id, WHY));
    cr_assert_null(lock_of(&query));
    REFUSED(authority_lock_remove(authority, made.id, WHY), CONTROL_NOT_FOUND, "");
    REFUSED(authority_lock_remove(authority, "*", WHY), CONTROL_INVALID, "16 digits");
}

Test(authority_lock, a_lock_concerns_its_kind_alone)
{
    static const char *const roles[] = {"other", "same"};
    a_bot("same", "same");
    ENDS(lock(STORE_LOCK_ROLE, "same", 0));
    const struct authority_lock_query bot = {.bot = "same", .proxy = "same", .database = "same"};
    const struct authority_lock_query role = {.bot = "x", .roles = roles, .role_count = 2};
    const struct authority_lock_query other = {.bot = "x", .roles = roles, .role_count = 1};
    cr_assert_null(lock_of(&bot));
    cr_assert_not_null(lock_of(&role));
    cr_assert_null(lock_of(&other));
    cr_assert_null(lock_of(&(struct authority_lock_query){0}));
}

/* Changes that others make are seen, too: by the store's version. */
Test(authority_lock, locks_are_read_again_when_they_change)
{
    struct store_lock row = {.kind = STORE_LOCK_BOT,
                             .target = "ci-1",
                             .reason = "r",
                             .created_by = "x",
                             .id = "0123456789abcdef"};
    const struct authority_lock_query query = {.bot = "ci-1"};
    cr_assert_null(lock_of(&query));
    ENDS(store_lock_add(store, &row, &failure));
    cr_assert_not_null(lock_of(&query));
    ENDS(store_lock_remove(store, row.id, &failure));
    cr_assert_null(lock_of(&query));
}

Test(authority_lock, locks_are_bounded)
{
    struct store_lock row = {
        .kind = STORE_LOCK_BOT, .target = "gone", .reason = "r", .created_by = "x"};
    a_bot("ci-1", "reader");
    struct authority_identity bot = joined_and_confirmed("ci-1");
    struct authority_identity next = renewed_and_confirmed(&bot);
    (void)next;
    ENDS(store_begin(store, &failure));
    for (unsigned i = 0; i < AUTHORITY_LOCKS_MAX; i++) {
        snprintf(row.id, sizeof row.id, "%016x", i);
        ENDS(store_lock_add(store, &row, &failure));
    }
    ENDS(store_commit(store, &failure));
    REFUSED(lock(STORE_LOCK_BOT, "ci-1", 0), CONTROL_CONFLICT, "10000 locks");
    /* The authority's own comes all the same. */
    struct authority_identity out;
    REFUSED(authority_renew(authority, shown_serial(bot.certificate.serial), a_csr(), now_us, &out,
                            WHY),
            CONTROL_SUPERSEDED, "");
    cr_assert_eq(locks_on(bot.instance), 1);
}

Test(authority_lock, proxies_learn_of_a_lock)
{
    int64_t before;
    int64_t after;
    a_bot("ci-1", "reader");
    ENDS(store_version(store, &before, &failure));
    ENDS(lock(STORE_LOCK_BOT, "ci-1", 0));
    ENDS(store_version(store, &after, &failure));
    cr_assert_gt(after, before);
}

static bool lock_other(enum store_lock_kind kind, const char *target)
{
    const struct authority_lock_wanted wanted = {kind, target, 0, "because", "uid 0", true};
    return authority_lock_add(authority, &wanted, now_us, &made, WHY);
}

/* Proxies know them by what stands in their certificates; this authority has never heard of them.
 */
Test(authority_lock, bots_of_another_ca_are_locked_by_the_name_that_proxies_give_them)
{
    static char text[257];
    ENDS(lock_other(STORE_LOCK_BOT, "spiffe://elsewhere.example/ns/shop/sa/web"));
    cr_assert_str_eq(made.target, "spiffe://elsewhere.example/ns/shop/sa/web");
    ENDS(lock_other(STORE_LOCK_BOT, "Jürgen Nightly Job, 2nd"));
    memset(text, 'x', 256);
    REFUSED(lock_other(STORE_LOCK_BOT, text), CONTROL_INVALID, "255 bytes");
    text[255] = '\0';
    ENDS(lock_other(STORE_LOCK_BOT, text));
    REFUSED(lock_other(STORE_LOCK_BOT, ""), CONTROL_INVALID, "1 to 255");
    REFUSED(lock_other(STORE_LOCK_BOT, "two\nlines"), CONTROL_INVALID, "printable");
    REFUSED(lock_other(STORE_LOCK_ROLE, "nobody's"), CONTROL_INVALID, "");
    REFUSED(lock_other(STORE_LOCK_ROLE, "nobodys"), CONTROL_NOT_FOUND, "");
}

/* The bot is what a token was made for: whoever has its certificate may be somebody else. */
Test(authority_lock, a_tokens_lock_holds_for_who_joined_by_it)
{
    a_bot("ci-1", "reader");
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity other = joined_and_confirmed("ci-1");
    struct authority_identity out;
    struct store_instance row;
    ENDS(store_instance_find(store, one.instance, &row, &failure));
    ENDS(lock(STORE_LOCK_TOKEN, authority_joined_token(&row), 0));
    REFUSED(authority_renew(authority, shown_now(&one), a_csr(), now_us, &out, WHY), CONTROL_LOCKED,
            "because");
    REFUSED(authority_confirm(authority, shown_now(&one), now_us, &is_news, WHY), CONTROL_LOCKED,
            "token");
    ENDS(authority_renew(authority, shown_now(&other), a_csr(), now_us, &out, WHY));
    ENDS(authority_lock_remove(authority, made.id, WHY));
    ENDS(authority_renew(authority, shown_now(&one), a_csr(), now_us, &out, WHY));
}

/* Used tokens are forgotten after a week, and who joined by them may run for years. */
Test(authority_lock, a_forgotten_token_can_be_locked_while_somebody_lives_by_it)
{
    a_bot("ci-1", "reader");
    struct authority_identity bot = joined("ci-1");
    struct store_instance row;
    ENDS(store_instance_find(store, bot.instance, &row, &failure));
    ENDS(store_token_remove(store, authority_joined_token(&row), &failure));
    ENDS(lock(STORE_LOCK_TOKEN, authority_joined_token(&row), 0));
    ENDS(store_instance_remove(store, bot.instance, &failure));
    REFUSED(lock(STORE_LOCK_TOKEN, authority_joined_token(&row), 0), CONTROL_NOT_FOUND, "");
}

/* --- the authority's own --- */

static unsigned ids;

static void a_lock(enum store_lock_kind kind, const char *target, const char *by, int64_t end_us)
{
    struct store_lock row = {.kind = kind, .reason = "r", .expires_us = end_us};
    snprintf(row.id, sizeof row.id, "%016x", ids++);
    snprintf(row.target, sizeof row.target, "%s", target);
    snprintf(row.created_by, sizeof row.created_by, "%s", by);
    ENDS(store_lock_add(store, &row, &failure));
}

static void many_locks(unsigned count, enum store_lock_kind kind, const char *by, int64_t end_us)
{
    ENDS(store_begin(store, &failure));
    for (unsigned i = 0; i < count; i++)
        a_lock(kind, "gone", by, end_us);
    ENDS(store_commit(store, &failure));
}

static bool renew_with(const struct authority_identity *old)
{
    struct authority_identity next;
    return authority_renew(authority, shown_serial(old->certificate.serial), a_csr(), now_us, &next,
                           WHY);
}

/* Joins, renews, and comes back with the former certificate. */
static struct authority_identity superseded(const char *bot)
{
    struct authority_identity one = joined_and_confirmed(bot);
    (void)renewed_and_confirmed(&one);
    return one;
}

Test(authority_lock, what_the_authority_locks_takes_no_room_from_people)
{
    a_bot("ci-1", "reader");
    many_locks(AUTHORITY_LOCKS_MAX, STORE_LOCK_INSTANCE, AUTHORITY_LOCK_ITSELF, 0);
    many_locks(AUTHORITY_LOCKS_MAX, STORE_LOCK_BOT, "uid 0", now_us); /* lapsed */
    ENDS(lock(STORE_LOCK_BOT, "ci-1", 0));
}

Test(authority_lock, a_bot_whose_instances_are_locked_again_and_again_is_locked)
{
    const struct authority_lock_query query = {.bot = "ci-1"};
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    struct authority_identity other = superseded("ci-2");
    ENDS(authority_begin(authority, &failure));
    for (unsigned i = 0; i < AUTHORITY_OWN_LOCKS_OF_BOT; i++) {
        struct authority_identity one = superseded("ci-1");
        REFUSED(renew_with(&one), CONTROL_SUPERSEDED, "instance");
        cr_assert_null(lock_of(&query), "%u", i);
    }
    struct authority_identity last = superseded("ci-1");
    struct authority_identity next = superseded("ci-1");
    ENDS(authority_commit(authority, &failure));
    REFUSED(renew_with(&last), CONTROL_SUPERSEDED, "bot ci-1 is locked as a whole");
    cr_assert_not_null(lock_of(&query));
    cr_assert_eq(locks_on(last.instance), 0);
    /* No second one, whoever else comes. */
    REFUSED(renew_with(&last), CONTROL_LOCKED, "bot ci-1 is locked");
    REFUSED(renew_with(&next), CONTROL_LOCKED, "bot ci-1 is locked");
    REFUSED(renew_with(&other), CONTROL_SUPERSEDED, "instance");
    cr_assert_eq(locks_on(other.instance), 1);
}

Test(authority_lock, near_the_end_of_its_room_the_authority_locks_bots)
{
    const struct authority_lock_query query = {.bot = "ci-1"};
    a_bot("ci-1", "reader");
    struct authority_identity one = superseded("ci-1");
    many_locks(AUTHORITY_OWN_INSTANCE_LOCKS_MAX, STORE_LOCK_INSTANCE, AUTHORITY_LOCK_ITSELF, 0);
    REFUSED(renew_with(&one), CONTROL_SUPERSEDED, "as a whole");
    cr_assert_not_null(lock_of(&query));
}

/* No proxy could take another one: then the bot has nothing that it could do. */
Test(authority_lock, with_no_room_at_all_the_bot_loses_its_roles)
{
    struct store_bot bot;
    struct authority_seen seen;
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    struct authority_identity one = superseded("ci-1");
    struct authority_identity lost = joined_and_confirmed("ci-2");
    struct authority_identity replaced = renewed(&lost);
    (void)renewed(&lost);
    many_locks(AUTHORITY_OWN_LOCKS_MAX, STORE_LOCK_BOT, AUTHORITY_LOCK_ITSELF, 0);
    many_locks(AUTHORITY_LOCKS_MAX, STORE_LOCK_BOT, "uid 0", 0);
    REFUSED(renew_with(&one), CONTROL_SUPERSEDED, "lost all its roles");
    ENDS(store_bot_find(store, "ci-1", &bot, &failure));
    cr_assert_eq(bot.role_count, 0);
    /* News of a proxy are taken as a whole. */
    const char *const serials[] = {replaced.certificate.serial, one.certificate.serial};
    ENDS(authority_seen(authority, serials, 2, now_us, &seen, &failure));
    cr_assert_eq(seen.locked, 1);
    cr_assert_eq(seen.late, 1);
    ENDS(store_bot_find(store, "ci-2", &bot, &failure));
    cr_assert_eq(bot.role_count, 0);
}

Test(authority_lock, own_locks_on_what_was_removed_are_forgotten_when_they_are_of_no_use)
{
    a_bot("ci-1", "reader");
    struct authority_identity one = superseded("ci-1");
    REFUSED(renew_with(&one), CONTROL_SUPERSEDED, "");
    ENDS(store_instance_remove(store, one.instance, &failure));
    now_us += AUTHORITY_TTL_MAX - AUTHORITY_MINUTE;
    ENDS(authority_prune(authority, now_us, &failure));
    cr_assert_eq(locks_on(one.instance), 1, "its certificates might still live");
    now_us += 2 * AUTHORITY_MINUTE;
    ENDS(authority_prune(authority, now_us, &failure));
    cr_assert_eq(locks_on(one.instance), 0);
}

/* --- what is removed --- */

static bool remove_bot(const char *bot)
{
    return authority_lock_removed_bot(authority, bot, "uid 0", now_us, WHY) &&
           store_bot_remove(store, bot, &failure);
}

Test(authority_lock, certificates_of_a_bot_that_is_removed_stay_void)
{
    a_bot("ci-1", "reader");
    struct authority_identity dead = joined("ci-1");
    now_us += 2 * AUTHORITY_HOUR;
    struct authority_identity one = joined("ci-1");
    struct authority_identity two = joined("ci-1");
    ENDS(remove_bot("ci-1"));
    a_bot("ci-1", "owner");
    struct authority_identity fresh = joined("ci-1");
    cr_assert_eq(locks_on(dead.instance), 0);
    cr_assert_eq(locks_on(one.instance), 1);
    cr_assert_eq(locks_on(two.instance), 1);
    cr_assert_eq(locks_on(fresh.instance), 0);
    const struct authority_lock_query query = {.instance = one.instance};
    cr_assert_eq(lock_of(&query)->expires_us, one.certificate.not_after_us);
}

Test(authority_lock, a_bot_with_many_instances_is_locked_by_name_when_it_is_removed)
{
    struct authority_identity last = {0};
    a_bot("ci-1", "reader");
    ENDS(authority_begin(authority, &failure));
    for (unsigned i = 0; i <= AUTHORITY_REMOVED_LOCKS_MAX; i++) {
        now_us += AUTHORITY_SECOND;
        last = joined("ci-1");
    }
    ENDS(authority_commit(authority, &failure));
    ENDS(remove_bot("ci-1"));
    const struct authority_lock_query query = {.bot = "ci-1", .instance = last.instance};
    const struct authority_lock *found = lock_of(&query);
    cr_assert_eq(found->kind, STORE_LOCK_BOT);
    cr_assert_eq(found->expires_us, last.certificate.not_after_us);
}

Test(authority_lock, what_cannot_be_locked_is_not_removed)
{
    struct store_bot bot;
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    (void)joined("ci-1");
    many_locks(AUTHORITY_LOCKS_MAX, STORE_LOCK_BOT, "uid 0", 0);
    REFUSED(remove_bot("ci-1"), CONTROL_CONFLICT, "10000 locks");
    ENDS(store_bot_find(store, "ci-1", &bot, &failure));
    ENDS(remove_bot("ci-2")); /* it has never joined */
}
