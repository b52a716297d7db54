/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining an authority that speaks real TLS and signs real certificates: by token and by key, with
 * answers that are lost, and with services that are not to be believed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/renewal_bench.h"
#include "tls/key.h"

/* Joining. */

Test(renewal_join, joins_with_a_token_saves_and_confirms)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    cr_assert_not(usable(&bench, &err));
    expect_told(err.message, "there is no certificate yet");
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.renewed, 1);
    cr_assert_eq(bench.failed, 0, "%s", bench.error.message);
    cr_assert_eq(bench.authority.joins, 1);
    cr_assert(bench.authority.confirmed);
    cr_assert(usable(&bench, &err), "%s", err.message);
    cr_assert_str_eq(credentials_bot(bench.credentials), "ci-1");
    cr_assert_str_eq(serial_on_disk(&bench), bench.authority.serial);
    cr_assert_str_eq(problem(&bench), "");
    bench_close(&bench);
}

Test(renewal_join, joins_with_a_token_in_a_file)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.join_file = token_file(&bench, AUTHORITY_TOKEN "\n");
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.joins, 1);
    bench_close(&bench);
}

Test(renewal_join, joins_with_a_bound_key)
{
    struct bench bench;
    bench_open(&bench);
    make_bound_key(&bench);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.join_keys, 1);
    cr_assert_eq(bench.authority.joins, 0);
    bench_close(&bench);
}

Test(renewal_join, a_key_that_is_not_the_bots_is_shown_and_tried_again)
{
    struct bench bench;
    bench_open(&bench);
    make_bound_key(&bench);
    struct tls_public *right = bench.authority.bound_key;
    bench.authority.bound_key = NULL;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed == 1);
    expect_told(bench.error.message, "the key is not the bot's");
    bench.authority.bound_key = right; /* it was registered meanwhile */
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.final, 0);
    bench_close(&bench);
}

Test(renewal_join, a_bound_key_that_others_may_read_is_refused)
{
    struct bench bench;
    bench_open(&bench);
    make_bound_key(&bench);
    cr_assert_eq(chmod(bench.settings.bound_key, 0644), 0);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed == 1);
    expect_told(bench.error.message, "chmod 600");
    cr_assert_eq(bench.authority.join_keys, 0);
    bench_close(&bench);
}

Test(renewal_join, the_token_is_not_needed_where_there_is_a_certificate)
{
    struct bench bench;
    bench_open(&bench);
    authority_install(&bench.authority, bench.directory, "ci-1", -60000, 3600000);
    use_token(&bench, "sallyport-join-1.ffffffffffffffff.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                      "AA");
    bench.settings.join_file = "/nonexistent/token";
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.joins, 0);
    cr_assert_eq(bench.failed, 0);
    bench_close(&bench);
}

/* Tokens that are refused: the end at the first start. */

static void expect_hopeless(struct bench *bench, const char *words)
{
    struct error err = {0};
    RUN_UNTIL(&bench->world, bench->failed == 1);
    cr_assert_eq(bench->final, 1);
    expect_told(bench->error.message, words);
    cr_assert_not(usable(bench, &err));
    expect_told(err.message, words);
    world_run_for(&bench->world, 1500);
    cr_assert_eq(bench->failed, 1, "it is not tried again");
}

Test(renewal_join, a_used_token_is_the_end)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.token_used = true;
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    expect_hopeless(&bench, "ask for a new one: sallyport token add --bot NAME");
    cr_assert_eq(bench.authority.joins, 1);
    bench_close(&bench);
}

static void expect_code_hopeless(enum control_code code, const char *words)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_REFUSES;
    bench.authority.refusal = (struct control_failure){code, "so it is"};
    bench.settings.bot = "ci-7";
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    expect_hopeless(&bench, words);
    expect_told(bench.error.message, "so it is");
    bench_close(&bench);
}

Test(renewal_join, an_expired_token_is_the_end)
{
    expect_code_hopeless(CONTROL_TOKEN_EXPIRED, "sallyport token add --bot ci-7");
}

Test(renewal_join, an_unknown_token_is_the_end)
{
    expect_code_hopeless(CONTROL_TOKEN_UNKNOWN, "is it this authority's?");
}

Test(renewal_join, a_file_without_a_token_is_the_end)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.join_file = "/nonexistent/token";
    bench_start(&bench);
    expect_hopeless(&bench, "/nonexistent/token: No such file");
    cr_assert_neq(bench.error.code, ERROR_CONFIG, "exit code 1, not 2");
    bench_close(&bench);
}

Test(renewal_join, a_truncated_token_is_the_end)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.join_file = token_file(&bench, "sallyport-join-1.0123456789abcdef.AAAA");
    bench_start(&bench);
    expect_hopeless(&bench, "is not whole");
    cr_assert_eq(bench.authority.joins, 0);
    bench_close(&bench);
}

Test(renewal_join, no_way_to_join_is_the_end)
{
    struct bench bench;
    bench_open(&bench);
    bench_start(&bench);
    expect_hopeless(&bench, "there is no certificate yet, and there is no join token");
    bench_close(&bench);
}

Test(renewal_join, another_token_in_the_file_ends_the_stop)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.join_file = token_file(
        &bench, "sallyport-join-1.ffffffffffffffff.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.final == 1);
    (void)token_file(&bench, AUTHORITY_TOKEN);
    renewal_look(bench.renewal);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_eq(bench.authority.joins, 2);
    bench_close(&bench);
}

/* An answer to a join that is lost. */

static void joining_file(const struct bench *bench, char path[128])
{
    (void)snprintf(path, 128, "%s/joining.pem", bench->directory);
}

Test(renewal_join, a_join_whose_answer_is_lost_is_asked_for_again_with_the_same_key)
{
    struct bench bench;
    char path[128];
    struct stat info;
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_DROPS;
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    cr_assert(bench.authority.token_used);
    joining_file(&bench, path);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0600);
    bench.authority.mode = AUTHORITY_GOOD;
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    cr_assert_neq(access(path, F_OK), 0, "it is gone with the join");
    cr_assert_eq(bench.final, 0);
    bench_close(&bench);
}

Test(renewal_join, a_join_is_asked_for_again_by_the_next_process_with_the_same_key)
{
    struct bench bench;
    bench_open(&bench);
    bench.authority.mode = AUTHORITY_DROPS;
    bench.settings.join_file = token_file(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.authority.token_used);
    bench_stop(&bench);
    bench.authority.mode = AUTHORITY_GOOD;
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench_close(&bench);
}

Test(renewal_join, no_token_is_used_up_where_its_key_cannot_be_kept)
{
    struct bench bench;
    char path[128];
    bench_open(&bench);
    joining_file(&bench, path);
    strcat(path, ".new");
    cr_assert_eq(mkdir(path, 0700), 0); /* in the way, as a full disk would be */
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    expect_told(bench.error.message, "no token is used up");
    cr_assert_eq(bench.authority.joins, 0);
    cr_assert_eq(rmdir(path), 0);
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench_close(&bench);
}

Test(renewal_join, a_damaged_joining_key_is_replaced)
{
    struct bench bench;
    bench_open(&bench);
    file_write(bench.directory, "joining.pem", "no key at all");
    bench_join(&bench);
    bench_close(&bench);
    char *long_text = calloc(1, 2 * TLS_KEY_PEM_MAX);
    cr_assert_not_null(long_text);
    memset(long_text, 'k', 2 * TLS_KEY_PEM_MAX - 1);
    bench_open(&bench);
    file_write(bench.directory, "joining.pem", long_text);
    bench_join(&bench);
    bench_close(&bench);
    free(long_text);
}

/* Whom to believe. */

/* A proxy's certificate comes of the same CA, and may name any host. */
Test(renewal_join, a_service_that_is_not_the_authority_is_none)
{
    struct bench bench;
    bench_open(&bench);
    authority_pose(&bench.authority, "proxies");
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    expect_told(bench.error.message, "is not the authority");
    cr_assert_eq(bench.authority.joins, 0, "it never saw the token");
    authority_pose(&bench.authority, "authority");
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench_close(&bench);
}

Test(renewal_join, a_wrong_pin_is_no_authority)
{
    struct bench bench;
    uint8_t pin[TLS_PIN_SIZE] = {1, 2, 3};
    bench_open(&bench);
    bench.settings.pin = pin;
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 2);
    cr_assert_eq(bench.final, 0, "it is tried again: the authority may be the wrong one");
    expect_told(bench.error.message, "is not the pinned one");
    expect_told(bench.error.message, "sallyport ca status");
    cr_assert_eq(bench.authority.joins, 0, "it never saw the token");
    bench_close(&bench);
}

Test(renewal_join, a_wrong_name_is_no_authority)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.server_name = "authority.example";
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    cr_assert_eq(bench.authority.joins, 0);
    bench_close(&bench);
}

Test(renewal_join, without_pin_and_ca_nothing_is_sent)
{
    struct bench bench;
    bench_open(&bench);
    bench.settings.pin = NULL;
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    expect_told(bench.error.message, "ca_pin");
    cr_assert_eq(bench.authority.joins, 0);
    bench_close(&bench);
}

/* What the directory says counts, not the pin. */
Test(renewal_join, a_ca_in_the_directory_is_believed_instead_of_the_pin)
{
    struct bench bench;
    bench_open(&bench);
    file_copy(certs_path("foreign-ca.crt"), bench.directory, "ca.pem");
    use_token(&bench, AUTHORITY_TOKEN);
    bench_start(&bench);
    RUN_UNTIL(&bench.world, bench.failed >= 1);
    cr_assert_eq(bench.authority.joins, 0);
    file_copy(certs_path("service-ca.crt"), bench.directory, "ca.pem");
    RUN_UNTIL(&bench.world, bench.confirmed == 1);
    bench_close(&bench);
}
