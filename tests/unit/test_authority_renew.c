/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/authority_support.h"

static void enter(void)
{
    home_enter();
    a_bot("ci-1", "reader");
}

TestSuite(authority_renew, .init = enter, .fini = home_leave);

static struct authority_identity out;

static bool renew(const struct authority_identity *identity)
{
    return authority_renew(authority, shown_serial(identity->certificate.serial), a_csr(), now_us,
                           &out, WHY);
}

static bool confirm(const struct authority_identity *identity)
{
    return authority_confirm(authority, shown_serial(identity->certificate.serial), now_us,
                             &is_news, WHY);
}

static struct store_instance row_of(const struct authority_identity *identity)
{
    struct store_instance row;
    ENDS(store_instance_find(store, identity->instance, &row, &failure));
    return row;
}

/* --- as it should be --- */

Test(authority_renew, each_renewal_is_the_next_generation)
{
    struct authority_identity identity = joined_and_confirmed("ci-1");
    for (int64_t generation = 2; generation < 10; generation++) {
        now_us += 20 * AUTHORITY_MINUTE;
        struct authority_identity next = renewed_and_confirmed(&identity);
        cr_assert_eq(next.generation, generation);
        cr_assert_str_eq(next.instance, identity.instance);
        cr_assert_str_eq(next.name, "ci-1");
        cr_assert_str_neq(next.certificate.serial, identity.certificate.serial);
        cr_assert_str_eq(row_of(&next).previous_serial, identity.certificate.serial);
        cr_assert_eq(row_of(&next).not_after_us, next.certificate.not_after_us);
        identity = next;
    }
    cr_assert_eq(locks_on(identity.instance), 0);
}

Test(authority_renew, roles_are_those_of_now)
{
    static const char *const roles[] = {"writer", "logs"};
    struct authority_identity identity = joined("ci-1");
    ENDS(store_bot_set_roles(store, "ci-1", roles, 2, NULL, &failure));
    struct authority_identity next = renewed(&identity);
    cr_assert_str_eq(identity_of(next.certificate.chain)->subject,
                     "CN=ci-1,O=writer,O=logs,OU=bots");
    ENDS(store_bot_set_roles(store, "ci-1", NULL, 0, NULL, &failure));
    next = renewed(&next);
    cr_assert_str_eq(identity_of(next.certificate.chain)->subject, "CN=ci-1,OU=bots");
}

Test(authority_renew, the_current_one_counts_as_used_when_it_renews)
{
    struct authority_identity one = joined("ci-1"); /* never confirmed */
    struct authority_identity two = renewed(&one);
    struct authority_identity three = renewed(&two);
    cr_assert_eq(three.generation, 3);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
}

Test(authority_renew, instances_of_one_bot_have_generations_of_their_own)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity other = joined_and_confirmed("ci-1");
    renewed_and_confirmed(&one);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    cr_assert_eq(locks_on(other.instance), 0);
    other = renewed_and_confirmed(&other);
    cr_assert_eq(other.generation, 2);
}

/* --- a crash before saving --- */

Test(authority_renew, a_renewal_that_was_lost_is_given_again)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity lost = renewed(&one);
    struct authority_identity again = renewed(&one);
    cr_assert_eq(again.generation, 2);
    cr_assert_str_neq(again.certificate.serial, lost.certificate.serial);
    cr_assert_str_eq(row_of(&again).serial, again.certificate.serial);
    cr_assert_str_eq(row_of(&again).previous_serial, one.certificate.serial);
    cr_assert_eq(locks_on(one.instance), 0);
    /* And again, as often as it takes. */
    for (unsigned i = 0; i < 5; i++)
        again = renewed(&one);
    ENDS(confirm(&again));
    renewed_and_confirmed(&again);
}

Test(authority_renew, a_confirmation_that_comes_late_does_no_harm)
{
    struct authority_identity one = joined("ci-1");
    struct authority_identity two = renewed(&one);
    ENDS(confirm(&one)); /* of the join, after the renewal was asked for */
    cr_assert_not(row_of(&two).confirmed);
    cr_assert_not(is_news);
    ENDS(confirm(&two));
    cr_assert(is_news);
    ENDS(confirm(&two));
    cr_assert_not(is_news);
    cr_assert(row_of(&two).confirmed);
    cr_assert_eq(locks_on(one.instance), 0);
}

/* The network held a request up while the bot tried again over another connection. */
Test(authority_renew, a_request_that_hung_in_the_network_locks_nobody)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    const struct authority_shown hung = {one.certificate.serial, now_us};
    now_us += AUTHORITY_SECOND;
    struct authority_identity two = renewed_and_confirmed(&one);
    now_us += AUTHORITY_SECOND;
    REFUSED(authority_renew(authority, &hung, a_csr(), now_us, &out, WHY), CONTROL_CONFLICT,
            "renewed over another connection");
    REFUSED(authority_confirm(authority, &hung, now_us, &is_news, WHY), CONTROL_CONFLICT,
            "meanwhile");
    cr_assert_eq(locks_on(one.instance), 0);
    renewed_and_confirmed(&two);
    /* Two renewals later it is no accident any more. */
    REFUSED(authority_renew(authority, &hung, a_csr(), now_us, &out, WHY), CONTROL_SUPERSEDED, "");
}

Test(authority_renew, a_request_that_hung_does_not_replace_what_the_bot_has_got)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    const struct authority_shown hung = {one.certificate.serial, now_us};
    now_us += AUTHORITY_SECOND;
    struct authority_identity two = renewed(&one); /* not confirmed yet */
    REFUSED(authority_renew(authority, &hung, a_csr(), now_us, &out, WHY), CONTROL_CONFLICT,
            "connect again");
    ENDS(authority_confirm(authority, &hung, now_us, &is_news, WHY));
    ENDS(confirm(&two));
    cr_assert_eq(locks_on(one.instance), 0);
}

Test(authority_renew, a_connection_that_came_later_is_no_excuse)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    renewed_and_confirmed(&one);
    const struct authority_shown later = {one.certificate.serial, now_us};
    REFUSED(authority_renew(authority, &later, a_csr(), now_us, &out, WHY), CONTROL_SUPERSEDED, "");
}

/* --- two that have one certificate --- */

Test(authority_renew, the_bot_comes_second_after_a_thief_who_uses_what_he_got)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity thiefs = renewed_and_confirmed(&stolen);
    REFUSED(renew(&stolen), CONTROL_SUPERSEDED, stolen.instance);
    cr_assert_eq(locks_on(stolen.instance), 1);
    REFUSED(renew(&thiefs), CONTROL_LOCKED, "copy is in use");
    REFUSED(confirm(&thiefs), CONTROL_LOCKED, "");
    REFUSED(renew(&stolen), CONTROL_LOCKED, "");
    cr_assert_eq(locks_on(stolen.instance), 1);
}

Test(authority_renew, the_thief_comes_second)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity bots = renewed_and_confirmed(&stolen);
    REFUSED(renew(&stolen), CONTROL_SUPERSEDED, "one of the two is a copy");
    REFUSED(renew(&bots), CONTROL_LOCKED, "");
}

/* He renews and keeps it: the bot has it replaced, and what he kept locks the instance. */
Test(authority_renew, the_thief_who_waits_is_replaced_and_then_found)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity kept = renewed(&stolen);
    struct authority_identity bots = renewed_and_confirmed(&stolen);
    REFUSED(renew(&kept), CONTROL_SUPERSEDED, "");
    cr_assert_eq(locks_on(bots.instance), 1);
}

Test(authority_renew, what_was_replaced_locks_when_it_is_confirmed)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity kept = renewed(&stolen);
    renewed(&stolen);
    REFUSED(confirm(&kept), CONTROL_SUPERSEDED, "is locked now");
    cr_assert_eq(locks_on(stolen.instance), 1);
}

Test(authority_renew, confirming_an_old_one_locks)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    renewed_and_confirmed(&one);
    REFUSED(confirm(&one), CONTROL_SUPERSEDED, "");
    cr_assert_eq(locks_on(one.instance), 1);
}

Test(authority_renew, one_that_is_two_generations_old_locks)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    struct authority_identity three = renewed(&two); /* not confirmed: that helps nobody here */
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    REFUSED(renew(&three), CONTROL_LOCKED, "");
}

static bool take_reason(const struct store_lock *lock, void *context)
{
    *(struct store_lock *)context = *lock;
    return false;
}

Test(authority_renew, the_lock_says_what_happened)
{
    struct store_lock lock;
    struct authority_refusal unused;
    struct authority_identity one = joined_and_confirmed("ci-1");
    now_us += 20 * AUTHORITY_MINUTE;
    struct authority_identity two = renewed_and_confirmed(&one);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    ENDS(store_lock_each(store, now_us, take_reason, &lock, &failure));
    cr_assert_eq(lock.kind, STORE_LOCK_INSTANCE);
    cr_assert_str_eq(lock.target, one.instance);
    cr_assert_str_eq(lock.created_by, "authority");
    cr_assert_eq(lock.expires_us, 0);
    cr_assert(strstr(lock.reason, one.certificate.serial), "%s", lock.reason);
    cr_assert(strstr(lock.reason, two.certificate.serial), "%s", lock.reason);
    cr_assert(authority_reason_check(lock.reason, &unused), "%s", lock.reason);
}

Test(authority_renew, the_lock_survives_a_restart)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    home_close();
    home_open();
    REFUSED(renew(&two), CONTROL_LOCKED, "");
}

/* Whoever unlocks has decided that it was no theft; the old one stays old. */
Test(authority_renew, unlocking_does_not_bring_the_old_one_back)
{
    struct store_lock lock;
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    ENDS(store_lock_each(store, now_us, take_reason, &lock, &failure));
    ENDS(authority_lock_remove(authority, lock.id, WHY));
    renewed_and_confirmed(&two);
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
}

/* A locked bot is no reason to overlook a copy: unlocking it would let the thief back in. */
Test(authority_renew, a_copy_is_found_while_the_bot_is_locked)
{
    struct store_lock lock;
    struct authority_identity one = joined_and_confirmed("ci-1");
    renewed_and_confirmed(&one);
    const struct authority_lock_wanted wanted = {STORE_LOCK_BOT, "ci-1", 0, "holidays", "x"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    cr_assert_eq(locks_on(one.instance), 1);
}

/* --- who may not --- */

Test(authority_renew, serials_that_are_not_ours)
{
    static const char *const serials[] = {"", "0", "deadbeef", "' OR 1=1 --", "*"};
    struct authority_identity proxy = joined_proxy("proxy-1", "p1.test");
    joined("ci-1");
    for (size_t i = 0; i < 5; i++)
        REFUSED(authority_renew(authority, shown_serial(serials[i]), a_csr(), now_us, &out, WHY),
                CONTROL_NOT_ALLOWED, "knows no certificate of a bot");
    char lengthy[300];
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    REFUSED(authority_renew(authority, shown_serial(lengthy), a_csr(), now_us, &out, WHY),
            CONTROL_NOT_ALLOWED, "");
    REFUSED(renew(&proxy), CONTROL_NOT_ALLOWED, "knows no certificate of a bot");
    REFUSED(authority_renew(
                authority,
                shown_serial(
                    identity_of(authority_ca_signing(authority, STORE_AUTHORITY_BOT)->certificate)
                        ->serial),
                a_csr(), now_us, &out, WHY),
            CONTROL_NOT_ALLOWED, "knows no certificate of a bot");
}

Test(authority_renew, an_expired_one_joins_again)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    now_us = two.certificate.not_after_us - 1;
    struct authority_identity three = renewed(&two);
    now_us = three.certificate.not_after_us;
    REFUSED(renew(&three), CONTROL_NOT_ALLOWED, "expired on");
    REFUSED(renew(&one), CONTROL_NOT_ALLOWED, "expired on"); /* a copy, but a dead one */
    cr_assert_eq(locks_on(one.instance), 0);
}

Test(authority_renew, a_removed_bot_or_instance)
{
    struct authority_identity one = joined("ci-1");
    struct authority_identity two = joined("ci-1");
    ENDS(store_instance_remove(store, one.instance, &failure));
    REFUSED(renew(&one), CONTROL_NOT_FOUND, "of bot ci-1 was removed: join again");
    ENDS(store_bot_remove(store, "ci-1", &failure));
    REFUSED(renew(&two), CONTROL_UNKNOWN_BOT, "bot ci-1 was removed");
    REFUSED(confirm(&two), CONTROL_UNKNOWN_BOT, "");
    a_bot("ci-1", "owner"); /* another one of that name */
    REFUSED(renew(&two), CONTROL_NOT_FOUND, "join again");
}

Test(authority_renew, locks_of_each_kind_that_concern_it)
{
    struct store_lock lock;
    struct authority_identity one = joined_and_confirmed("ci-1");
    const struct authority_lock_wanted wanted[] = {
        {STORE_LOCK_BOT, "ci-1", 0, "why: bot", "x"},
        {STORE_LOCK_INSTANCE, one.instance, 0, "why: instance", "x"},
        {STORE_LOCK_ROLE, "reader", 0, "why: role", "x"},
    };
    for (size_t i = 0; i < 3; i++) {
        ENDS(authority_lock_add(authority, &wanted[i], now_us, &lock, WHY));
        REFUSED(renew(&one), CONTROL_LOCKED, wanted[i].reason);
        REFUSED(confirm(&one), CONTROL_LOCKED, wanted[i].reason);
        ENDS(authority_lock_remove(authority, lock.id, WHY));
    }
    renewed_and_confirmed(&one);
}

Test(authority_renew, a_bad_request_changes_nothing)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    REFUSED(authority_renew(authority, shown_serial(one.certificate.serial), "nonsense", now_us,
                            &out, WHY),
            CONTROL_BAD_CSR, "");
    cr_assert_str_eq(row_of(&one).serial, one.certificate.serial);
    renewed(&one);
}

/* --- seen --- */

static struct authority_seen seen;

static bool see(const char *serial)
{
    return authority_seen(authority, &serial, 1, now_us, &seen, &failure);
}

Test(authority_renew, being_seen_confirms)
{
    struct authority_identity one = joined("ci-1");
    ENDS(see(one.certificate.serial));
    cr_assert_eq(seen.confirmed, 1);
    cr_assert(row_of(&one).confirmed);
    struct authority_identity two = renewed(&one);
    ENDS(see(two.certificate.serial));
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
}

/* A proxy that was cut off tells of what was current then. */
Test(authority_renew, old_news_of_a_proxy_locks_nobody)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    ENDS(see(one.certificate.serial));
    cr_assert_eq(seen.late, 1);
    struct authority_identity three = renewed_and_confirmed(&two);
    ENDS(see(one.certificate.serial));
    cr_assert_eq(seen.late, 1);
    cr_assert_eq(locks_on(three.instance), 0);
}

Test(authority_renew, what_was_replaced_locks_when_it_is_seen)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity kept = renewed(&stolen);
    struct authority_identity bots = renewed_and_confirmed(&stolen);
    ENDS(see(kept.certificate.serial));
    cr_assert_eq(seen.locked, 1);
    cr_assert_eq(locks_on(bots.instance), 1);
    ENDS(see(kept.certificate.serial));
    cr_assert_eq(locks_on(bots.instance), 1);
}

Test(authority_renew, what_was_replaced_locks_one_generation_later_too)
{
    struct authority_identity stolen = joined_and_confirmed("ci-1");
    struct authority_identity kept = renewed(&stolen);
    struct authority_identity bots = renewed_and_confirmed(&stolen);
    bots = renewed_and_confirmed(&bots);
    ENDS(see(kept.certificate.serial));
    cr_assert_eq(seen.locked, 1);
    cr_assert_eq(locks_on(bots.instance), 1);
}

Test(authority_renew, many_are_seen_at_once)
{
    struct authority_identity one = joined("ci-1");
    struct authority_identity other = joined("ci-1");
    const char *serials[] = {one.certificate.serial, "feed", other.certificate.serial, "", "x"};
    ENDS(authority_seen(authority, serials, 5, now_us, &seen, &failure));
    cr_assert_eq(seen.confirmed, 2);
    cr_assert_eq(seen.unknown, 3);
    cr_assert(row_of(&other).confirmed);
}

/* --- groups --- */

Test(authority_renew, a_group_is_whole_or_not_at_all)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity other = joined_and_confirmed("ci-1");
    ENDS(authority_begin(authority, &failure));
    ENDS(renew(&one));
    ENDS(renew(&other));
    authority_rollback(authority);
    cr_assert_eq(row_of(&one).generation, 1);
    cr_assert_eq(row_of(&other).generation, 1);
    ENDS(authority_begin(authority, &failure));
    ENDS(renew(&one));
    REFUSED(authority_renew(authority, shown_serial("beef"), a_csr(), now_us, &out, WHY),
            CONTROL_NOT_ALLOWED, "");
    ENDS(renew(&other));
    ENDS(authority_commit(authority, &failure));
    home_close();
    home_open();
    cr_assert_eq(row_of(&one).generation, 2);
    cr_assert_eq(row_of(&other).generation, 2);
}

/* The version of the store comes back after a rollback, and the locks that were read with it do
 * not. */
Test(authority_renew, a_lock_that_was_rolled_back_does_not_hold)
{
    struct store_lock lock;
    struct authority_identity one = joined_and_confirmed("ci-1");
    const struct authority_lock_wanted wanted = {STORE_LOCK_INSTANCE, one.instance, 0, "oops", "x"};
    ENDS(authority_begin(authority, &failure));
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(renew(&one), CONTROL_LOCKED, "oops");
    authority_rollback(authority);
    a_bot("ci-2", "reader"); /* brings the store to the version that the lock had */
    renewed(&one);
}

Test(authority_renew, a_conflict_within_a_group_is_kept)
{
    struct authority_identity one = joined_and_confirmed("ci-1");
    struct authority_identity two = renewed_and_confirmed(&one);
    ENDS(authority_begin(authority, &failure));
    REFUSED(renew(&one), CONTROL_SUPERSEDED, "");
    REFUSED(renew(&two), CONTROL_LOCKED, "");
    ENDS(authority_commit(authority, &failure));
    cr_assert_eq(locks_on(one.instance), 1);
}

/* Killed at any moment of a renewal: the bot goes on with what it has saved. */
Test(authority_renew, an_authority_that_is_killed_locks_nobody, .timeout = 120)
{
    struct authority_identity identity = joined_and_confirmed("ci-1");
    for (unsigned round = 0; round < 12; round++) {
        home_close();
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            home_open();
            for (;;)
                renewed(&identity); /* its answers get lost */
        }
        usleep(20000 + 7000 * round);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        home_open();
        identity = renewed_and_confirmed(&identity);
    }
    cr_assert_eq(locks_on(identity.instance), 0);
}

/* --- what is over --- */

Test(authority_renew, what_is_over_is_forgotten_in_time)
{
    struct store_instance row;
    struct store_token token;
    struct authority_identity dead = joined_and_confirmed("ci-1");
    struct authority_identity next = renewed_and_confirmed(&dead);
    REFUSED(renew(&dead), CONTROL_SUPERSEDED, "");
    const char *text = a_token(STORE_TOKEN_BOT, "ci-1");
    char id[STORE_ID_SIZE];
    snprintf(id, sizeof id, "%.16s", text + 17);
    ENDS(authority_prune(authority, now_us, &failure));
    now_us = next.certificate.not_after_us + AUTHORITY_KEEP_INSTANCES - 1;
    ENDS(authority_prune(authority, now_us, &failure));
    ENDS(store_instance_find(store, dead.instance, &row, &failure));
    cr_assert_eq(locks_on(dead.instance), 1);
    now_us += AUTHORITY_MINUTE;
    ENDS(authority_prune(authority, now_us, &failure));
    FAILS(store_instance_find(store, dead.instance, &row, &failure), ERROR_NOT_FOUND, "");
    FAILS(store_token_find(store, id, &token, &failure), ERROR_NOT_FOUND, "");
    cr_assert_eq(locks_on(dead.instance), 0);
    REFUSED(renew(&dead), CONTROL_NOT_ALLOWED, "expired");
    now_us += AUTHORITY_KEEP_CERTIFICATES;
    ENDS(authority_prune(authority, now_us, &failure));
    REFUSED(renew(&dead), CONTROL_NOT_ALLOWED, "knows no certificate");
}

/* --- proxies --- */

static bool renew_proxy_at(const char *serial, int64_t since_us)
{
    const struct authority_renew_proxy renewal = {
        .serial = serial, .csr = a_csr(), .since_us = since_us};
    return authority_renew_proxy(authority, &renewal, now_us, &out, WHY);
}

static bool renew_proxy(const struct authority_identity *proxy)
{
    return renew_proxy_at(proxy->certificate.serial, now_us);
}

/* What a proxy does with a certificate: it subscribes. */
static bool use_proxy_at(const struct authority_identity *proxy, int64_t since_us)
{
    struct store_proxy row;
    return authority_proxy_stand(authority, proxy->certificate.serial, since_us, false, now_us,
                                 &row, WHY);
}

static struct store_proxy proxy_row(void)
{
    struct store_proxy row;
    ENDS(store_proxy_find(store, "proxy-1", &row, &failure));
    return row;
}

static bool is_locked(void)
{
    const struct authority_lock_query query = {.proxy = "proxy-1"};
    const struct authority_lock *lock;
    ENDS(authority_lock_of(authority, &query, now_us, &lock, &failure));
    return lock != NULL;
}

Test(authority_renew, a_proxys_renewal_is_the_next_generation)
{
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    cr_assert_eq(proxy_row().generation, 1);
    cr_assert_not(proxy_row().confirmed);
    ENDS(use_proxy_at(&first, now_us));
    cr_assert(proxy_row().confirmed);
    now_us += AUTHORITY_SECOND;
    ENDS(renew_proxy(&first));
    const struct store_proxy row = proxy_row();
    cr_assert_eq(row.generation, 2);
    cr_assert_eq(out.generation, 2);
    cr_assert_not(row.confirmed);
    cr_assert_str_eq(row.serial, out.certificate.serial);
    cr_assert_str_eq(row.previous_serial, first.certificate.serial);
    cr_assert_eq(row.not_after_us, out.certificate.not_after_us);
}

Test(authority_renew, a_proxys_renewal_that_was_lost_is_given_again)
{
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    ENDS(use_proxy_at(&first, now_us));
    now_us += AUTHORITY_SECOND;
    ENDS(renew_proxy(&first));
    const struct authority_identity lost = out;
    now_us += AUTHORITY_SECOND;
    ENDS(use_proxy_at(&first, now_us));
    ENDS(renew_proxy(&first));
    cr_assert_eq(proxy_row().generation, 2);
    cr_assert_str_eq(proxy_row().previous_serial, first.certificate.serial);
    cr_assert_not(is_locked());
    /* Who has the one that was lost has a copy. */
    now_us += AUTHORITY_SECOND;
    REFUSED(use_proxy_at(&lost, now_us), CONTROL_SUPERSEDED, "proxy proxy-1 is locked now");
    cr_assert(is_locked());
}

Test(authority_renew, a_superseded_certificate_locks_its_proxy)
{
    struct authority_certificate certificate;
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    ENDS(use_proxy_at(&first, now_us));
    now_us += AUTHORITY_SECOND;
    ENDS(renew_proxy(&first));
    const struct authority_identity second = out;
    now_us += AUTHORITY_SECOND;
    ENDS(use_proxy_at(&second, now_us));
    now_us += AUTHORITY_SECOND;
    REFUSED(renew_proxy(&first), CONTROL_SUPERSEDED, "find out who has it");
    cr_assert(is_locked());
    REFUSED(renew_proxy(&second), CONTROL_LOCKED, "a copy is in use?");
    const struct authority_mint mint = {.serial = second.certificate.serial,
                                        .csr = a_csr(),
                                        .mysql_user = "reader",
                                        .since_us = now_us};
    REFUSED(authority_mint(authority, &mint, now_us, &certificate, WHY), CONTROL_LOCKED, "");
}

Test(authority_renew, a_superseded_certificate_mints_nothing)
{
    struct authority_certificate certificate;
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    now_us += AUTHORITY_SECOND;
    ENDS(renew_proxy(&first));
    const struct authority_identity second = out;
    now_us += AUTHORITY_SECOND;
    ENDS(use_proxy_at(&second, now_us));
    now_us += AUTHORITY_SECOND;
    const struct authority_mint mint = {.serial = first.certificate.serial,
                                        .csr = a_csr(),
                                        .mysql_user = "reader",
                                        .since_us = now_us};
    REFUSED(authority_mint(authority, &mint, now_us, &certificate, WHY), CONTROL_SUPERSEDED, "");
    cr_assert(is_locked());
}

/* The link holds the old connection until the new one stands. */
Test(authority_renew, a_proxys_older_connection_goes_on_but_does_not_renew)
{
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    const int64_t then = now_us;
    now_us += AUTHORITY_SECOND;
    ENDS(renew_proxy(&first));
    const struct authority_identity second = out;
    now_us += AUTHORITY_SECOND;
    ENDS(use_proxy_at(&second, now_us));
    ENDS(use_proxy_at(&first, then));
    REFUSED(renew_proxy_at(first.certificate.serial, then), CONTROL_CONFLICT, "connect again");
    cr_assert_not(is_locked());
}

Test(authority_renew, a_proxy_that_joins_again_begins_anew)
{
    const struct authority_identity first = joined_proxy("proxy-1", "p1.test");
    ENDS(use_proxy_at(&first, now_us));
    now_us += AUTHORITY_SECOND;
    const struct authority_identity second = joined_proxy("proxy-1", "p1.test");
    now_us += AUTHORITY_SECOND;
    REFUSED(renew_proxy(&first), CONTROL_NOT_ALLOWED, "has joined again since");
    cr_assert_not(is_locked());
    ENDS(renew_proxy(&second));
}
