/* SPDX-License-Identifier: Apache-2.0 */
/* Renewing against an authority that speaks real TLS and signs real certificates, and what becomes
 * of identities that lapse, are locked or are copied; how they begin is in test_renewal_join.c. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity/identity_store.h"
#include "tests/unit/renewal_bench.h"

/* Networks. */

Test(renewal, an_authority_that_is_down_is_waited_for)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    authority_stop(&bench.authority);
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 2);
    cr_assert_eq(bench.final, 0);
    expect_told(problem(&bench), "joining failed: cannot connect");
    cr_assert_not(usable(&bench, &err));
    expect_told(err.message, "joining failed: cannot connect");
    authority_start(&bench.authority);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_str_eq(problem(&bench), "");
    bench_close(&bench);
}

/* Answers that are of no use: what there was goes on being used. */

static void expect_useless(enum authority_mode mode, const char *words)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    bench.authority.life_ms = 12000;
    bench.authority.renew_ms = 1500;
    bench.authority.mode = mode;
    bench.authority.only = "renew";
    bench_join(&bench);
    char before[64];
    strcpy(before, serial_on_disk(&bench));
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    expect_told(bench.error.message, words);
    cr_assert(usable(&bench, &err), "%s", err.message);
    cr_assert_str_eq(serial_on_disk(&bench), before);
    cr_assert_eq(bench.renewed, 1);
    bench.authority.mode = AUTHORITY_GOOD;
    RUN_UNTIL(&bench.world, bench.renewed >= 2);
    cr_assert_not(bench.authority.superseded);
    cr_assert_str_neq(serial_on_disk(&bench), before);
    bench_close(&bench);
}

Test(renewal, garbage_is_of_no_use)
{
    expect_useless(AUTHORITY_GARBAGE, "renewing failed: ");
}

Test(renewal, an_answer_without_its_fields_is_of_no_use)
{
    expect_useless(AUTHORITY_NO_SENSE, "makes no sense");
}

Test(renewal, a_lost_answer_is_asked_for_again)
{
    expect_useless(AUTHORITY_DROPS, "renewing failed: ");
}

Test(renewal, another_bots_certificate_is_of_no_use)
{
    expect_useless(AUTHORITY_OTHER_BOT, "for the bot 'somebody-else', not for 'ci-1'");
}

Test(renewal, another_bots_certificate_under_the_right_name_is_of_no_use)
{
    expect_useless(AUTHORITY_LIES, "names the bot 'somebody-else'");
}

Test(renewal, a_certificate_for_another_key_is_of_no_use)
{
    expect_useless(AUTHORITY_OTHER_KEY, "is of no use");
}

Test(renewal, an_expired_certificate_is_of_no_use)
{
    expect_useless(AUTHORITY_EXPIRED, "check the clock");
}

Test(renewal, a_broken_chain_is_of_no_use)
{
    expect_useless(AUTHORITY_BROKEN_CHAIN, "chain does not hold together");
}

Test(renewal, another_instances_certificate_is_of_no_use)
{
    expect_useless(AUTHORITY_OTHER_INSTANCE, "another instance");
}

Test(renewal, a_cas_certificate_is_of_no_use)
{
    expect_useless(AUTHORITY_A_CA, "is of no use: it is a CA's");
}

/* Renewing. */

Test(renewal, renews_with_a_new_key_for_each)
{
    struct bench bench;
    char *first;
    bench_open(&bench);
    bench.authority.life_ms = 2400;
    bench_join(&bench);
    first = strdup(bench.authority.last_csr);
    RUN_UNTIL(&bench.world, bench.renewed >= 4);
    cr_assert_eq(bench.failed, 0, "%s", bench.error.message);
    cr_assert_str_neq(first, bench.authority.last_csr);
    cr_assert_str_eq(serial_on_disk(&bench), bench.authority.serial);
    cr_assert(usable(&bench, NULL));
    free(first);
    bench_close(&bench);
}

Test(renewal, takes_over_files_that_were_made_by_hand)
{
    struct bench bench;
    char before[64];
    struct stat info;
    char path[128];
    bench_open(&bench);
    authority_install(&bench.authority, bench.directory, "ci-1", -3600000, 600000);
    strcpy(before, bench.authority.serial);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.renewals, 1, "two thirds of its life are over");
    cr_assert_str_neq(serial_on_disk(&bench), before);
    (void)snprintf(path, sizeof path, "%s/key.pem", bench.directory);
    cr_assert_eq(lstat(path, &info), 0);
    cr_assert(S_ISLNK(info.st_mode));
    bench_close(&bench);
}

Test(renewal, goes_on_with_the_certificate_while_the_authority_is_down)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.life_ms = 12000;
    bench.authority.renew_ms = 1500;
    bench_join(&bench);
    authority_stop(&bench.authority);
    RUN_UNTIL(&bench.world, bench.failed >= 2);
    expect_told(problem(&bench), "renewing failed: cannot connect");
    cr_assert(usable(&bench, NULL));
    bench.authority.renew_ms = 0;
    authority_start(&bench.authority);
    RUN_UNTIL(&bench.world, bench.renewed == 2 && bench.confirmed == 2);
    cr_assert_str_eq(problem(&bench), "");
    bench_close(&bench);
}

Test(renewal, a_full_disk_is_shown_and_costs_nothing)
{
    struct bench bench;
    struct rlimit limit;
    char before[64];
    bench_open(&bench);
    bench.authority.life_ms = 12000;
    bench.authority.renew_ms = 1500;
    bench_join(&bench);
    strcpy(before, serial_on_disk(&bench));
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 300;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    RUN_UNTIL(&bench.world, bench.failed >= 2);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect_told(bench.error.message, "cannot save the identity");
    expect_told(problem(&bench), "File too large");
    cr_assert(usable(&bench, NULL));
    cr_assert_str_eq(serial_on_disk(&bench), before);
    RUN_UNTIL(&bench.world, bench.renewed == 2 && bench.confirmed == 2);
    cr_assert_not(bench.authority.superseded, "certificates that were never saved were replaced");
    bench_close(&bench);
}

/* Ten minutes to either side. */

Test(renewal, a_clock_that_is_behind_does_not_keep_the_bot_out)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_FUTURE;
    bench.authority.skew_ms = 600000;
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.renewed == 1);
    cr_assert(usable(&bench, &err), "%s", err.message);
    world_run_for(&bench.world, 1000);
    cr_assert_eq(bench.authority.renewals, 0);
    bench_close(&bench);
}

Test(renewal, a_clock_that_is_ahead_does_not_renew_over_and_over)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.life_ms = 1200000;
    bench.authority.skew_ms = -600000; /* due at once, by this machine's clock */
    bench_join(&bench);
    world_run_for(&bench.world, 1500);
    renewal_look(bench.renewal);
    world_run_for(&bench.world, 500);
    cr_assert_eq(bench.authority.renewals, 0);
    bench_close(&bench);
}

/* Lapsed. */

Test(renewal, a_lapsed_certificate_with_a_bound_key_joins_again)
{
    struct bench bench;
    bench_open(&bench);
    make_bound_key(&bench);
    authority_install(&bench.authority, bench.directory, "ci-1", -7200000, -1000);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.join_keys, 1);
    cr_assert_eq(bench.authority.renewals, 0);
    bench_close(&bench);
}

Test(renewal, a_certificate_that_lapses_at_work_joins_again_with_a_bound_key)
{
    struct bench bench;
    bench_open(&bench);
    make_bound_key(&bench);
    bench.authority.life_ms = 1500;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    authority_stop(&bench.authority);
    RUN_UNTIL(&bench.world, !usable(&bench, NULL));
    authority_start(&bench.authority);
    RUN_UNTIL(&bench.world, usable(&bench, NULL));
    cr_assert_geq(bench.authority.join_keys, 2);
    bench_close(&bench);
}

Test(renewal, a_lapsed_certificate_without_any_means_says_what_to_do)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    authority_install(&bench.authority, bench.directory, "ci-1", -7200000, -1000);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed == 1);
    cr_assert_eq(bench.final, 0, "programs are to be told");
    cr_assert_not(usable(&bench, &err));
    expect_told(err.message, "the certificate expired at ");
    expect_told(err.message, "sallyport token add --bot ci-1");
    bench_close(&bench);
}

Test(renewal, a_lapsed_certificate_joins_with_a_new_token)
{
    struct bench bench;
    bench_open(&bench);
    authority_install(&bench.authority, bench.directory, "ci-1", -7200000, -1000);
    bench.settings.join_file = token_file(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.joins, 1);
    bench_close(&bench);
}

/* Locked, superseded, forgotten. */

static void bench_refused_renewal(struct bench *bench, enum control_code code, const char *message)
{
    bench_open(bench);
    bench->authority.life_ms = 12000;
    bench->authority.renew_ms = 1500;
    bench_join(bench);
    bench->authority.mode = AUTHORITY_REFUSES;
    bench->authority.refusal.code = code;
    (void)snprintf(bench->authority.refusal.message, sizeof bench->authority.refusal.message, "%s",
                   message);
    RUN_UNTIL(&bench->world, bench->failed == 1);
}

Test(renewal, a_locked_bot_says_why_and_asks_seldom)
{
    struct bench bench;
    bench_refused_renewal(&bench, CONTROL_LOCKED, "locked by alice: incident 42");
    expect_told(problem(&bench), "locked by alice: incident 42");
    cr_assert(usable(&bench, NULL), "it is for the proxy to refuse it until then");
    world_run_for(&bench.world, 2500);
    cr_assert_eq(bench.failed, 1);
    cr_assert_eq(bench.authority.renewals, 0);
    bench_close(&bench);
}

Test(renewal, the_locks_reason_stays_when_the_certificate_lapses)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    bench.authority.life_ms = 1800;
    bench.settings.join_file = token_file(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench.authority.mode = AUTHORITY_REFUSES;
    bench.authority.refusal =
        (struct control_failure){CONTROL_LOCKED, "locked by alice: incident 42"};
    RUN_UNTIL(&bench.world, bench.failed == 1);
    RUN_UNTIL(&bench.world, !usable(&bench, &err));
    expect_told(err.message, "the certificate expired at ");
    expect_told(err.message, "incident 42");
    bench_close(&bench);
}

Test(renewal, a_superseded_bot_never_asks_again_by_itself)
{
    struct bench bench;
    bench_refused_renewal(&bench, CONTROL_SUPERSEDED, "generation 1 came after 2");
    expect_told(problem(&bench), "somebody else may hold a copy");
    expect_told(problem(&bench), "sallyport token add --bot ci-1");
    bench.authority.mode = AUTHORITY_GOOD;
    world_run_for(&bench.world, 2500);
    cr_assert_eq(bench.authority.renewals, 0);
    cr_assert_eq(bench.failed, 1);
    bench_close(&bench);
}

Test(renewal, a_superseded_bot_comes_back_with_a_new_token)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.life_ms = 12000;
    bench.authority.renew_ms = 1500;
    bench.settings.join_file = token_file(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    strcpy(bench.authority.serial, "stolen and renewed elsewhere");
    bench.authority.confirmed = true;
    RUN_UNTIL(&bench.world, bench.authority.superseded);
    RUN_UNTIL(&bench.world, bench.failed == 1);
    bench.authority.token_used = false;
    bench.authority.renew_ms = 0;
    (void)token_file(&bench, AUTHORITY_TOKEN "\n");
    renewal_look(bench.renewal);
    RUN_UNTIL(&bench.world, bench.confirmed == 2);
    cr_assert_eq(bench.authority.joins, 2);
    bench_close(&bench);
}

/* Starting again. */

Test(renewal, confirms_at_the_next_start_what_was_only_saved)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_REFUSES;
    bench.authority.refusal = (struct control_failure){CONTROL_BUSY, "later"};
    bench.authority.only = "confirm";
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.renewed == 1 && bench.failed >= 1);
    cr_assert_not(bench.authority.confirmed);
    bench_stop(&bench);
    bench.authority.mode = AUTHORITY_GOOD;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.authority.confirmed);
    cr_assert_eq(bench.authority.joins, 1);
    bench_close(&bench);
}

Test(renewal, keeps_the_authoritys_time_across_starts)
{
    struct bench bench;
    struct renewal_status first, second;
    bench_open(&bench);
    bench.authority.renew_ms = 3000000;
    bench_join(&bench);
    renewal_read_status(bench.renewal, &first);
    bench_stop(&bench);
    bench_start(&bench);
    renewal_read_status(bench.renewal, &second);
    int64_t apart = second.renew_at_us - first.renew_at_us;
    cr_assert(apart > -400000000 && apart < 400000000, "%lld s", (long long)apart / 1000000);
    cr_assert_gt(second.renew_at_us - clock_wall_us(), 2600000000);
    bench_close(&bench);
}

Test(renewal, renews_when_it_was_due_while_nothing_ran)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.life_ms = 60000;
    bench.authority.renew_ms = 500;
    bench_join(&bench);
    bench_stop(&bench);
    cr_assert_eq(usleep(700000), 0);
    bench.authority.renew_ms = 0;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.authority.renewals == 1);
    bench_close(&bench);
}

Test(renewal, a_second_process_waits_and_says_who_has_it)
{
    struct bench bench;
    struct identity_store *store;
    struct error err = {0};
    bench_open(&bench);
    cr_assert(identity_store_open(bench.directory, &store, &err), "%s", err.message);
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    expect_told(bench.error.message, "only one may");
    cr_assert_eq(bench.authority.joins, 0);
    identity_store_close(store);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench_close(&bench);
}

Test(renewal, is_ended_in_the_middle_of_everything)
{
    for (int milliseconds = 0; milliseconds < 40; milliseconds += 2) {
        struct bench bench;
        bench_open(&bench);
        use_token(&bench, AUTHORITY_TOKEN);
        bench_start(&bench);
        world_run_for(&bench.world, milliseconds);
        bench_close(&bench);
    }
}
