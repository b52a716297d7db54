/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity/credentials.h"
#include "tests/unit/tunnel_support.h"

static struct credentials *credentials_of(const char *directory)
{
    struct credentials *credentials;
    struct error err = {0};
    cr_assert(credentials_create(directory, &credentials, &err), "%s", err.message);
    return credentials;
}

static bool usable_at(const struct credentials *credentials, int64_t now_us, struct error *err)
{
    struct tls_context *context = NULL;
    bool usable = credentials_context(credentials, now_us, &context, err);
    cr_assert_eq(usable, context != NULL);
    return usable;
}

static bool usable(const struct credentials *credentials)
{
    return usable_at(credentials, clock_wall_us(), NULL);
}

static void from_bot(const char *directory, const char *bot, const char *name)
{
    char from[512];
    (void)snprintf(from, sizeof from, "%s/bots/%s/%s", certs_directory(), bot, name);
    file_copy(from, directory, name);
}

Test(credentials, reads_a_set)
{
    char directory[64];
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    cr_assert(usable(credentials));
    cr_assert_str_eq(credentials_bot(credentials), "ci-1");
    cr_assert_eq(credentials_generation(credentials), 1);
    cr_assert_gt(credentials_not_after_us(credentials), clock_wall_us());
    cr_assert_not(credentials_check(credentials), "nothing changed");
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, says_what_is_missing_and_takes_it_when_it_comes)
{
    char directory[64];
    struct error err = {0};
    struct credentials *credentials = credentials_of(directory_make(directory));
    cr_assert_not(usable_at(credentials, clock_wall_us(), &err));
    cr_assert(strstr(err.message, "cert.pem"), "%s", err.message);
    cr_assert(strstr(err.message, "No such file"), "%s", err.message);
    cr_assert_str_eq(credentials_bot(credentials), "unknown bot");
    cr_assert_eq(credentials_not_after_us(credentials), 0);
    from_bot(directory, "ci-1", "cert.pem");
    cr_assert_not(credentials_check(credentials));
    cr_assert_not(usable_at(credentials, clock_wall_us(), &err));
    cr_assert(strstr(err.message, "key.pem"), "%s", err.message);
    identity_install(directory, "ci-1");
    cr_assert(credentials_check(credentials));
    cr_assert(usable(credentials));
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, takes_a_renewed_set)
{
    char directory[64];
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    identity_install(directory, "report-1");
    cr_assert(credentials_check(credentials));
    cr_assert_eq(credentials_generation(credentials), 2);
    cr_assert_str_eq(credentials_bot(credentials), "report-1");
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, keeps_the_old_set_while_the_new_one_is_half_there)
{
    char directory[64];
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    from_bot(directory, "report-1", "cert.pem"); /* the key is still the other one's */
    cr_assert_not(credentials_check(credentials));
    cr_assert_not(credentials_check(credentials));
    cr_assert(usable(credentials));
    cr_assert_str_eq(credentials_bot(credentials), "ci-1");
    from_bot(directory, "report-1", "key.pem");
    cr_assert(credentials_check(credentials));
    cr_assert_str_eq(credentials_bot(credentials), "report-1");
    credentials_unref(credentials);
    directory_remove(directory);
}

/* As while another process renews: what is asked for is of the set that was taken. */
Test(credentials, speaks_to_the_authority_with_its_set_while_the_files_change)
{
    char directory[64];
    struct tls_context *control = NULL;
    struct error err = {0};
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    identity_install(directory, "report-1");
    cr_assert(credentials_control_context(credentials, &control, &err), "%s", err.message);
    cr_assert_eq(tls_context_not_after_us(control), credentials_not_after_us(credentials));
    from_bot(directory, "ci-1", "key.pem"); /* it does not fit */
    cr_assert_not(credentials_check(credentials));
    cr_assert(credentials_control_context(credentials, &control, &err), "%s", err.message);
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, cannot_speak_to_the_authority_without_a_set)
{
    char directory[64];
    struct tls_context *control = NULL;
    struct error err = {0};
    struct credentials *credentials = credentials_of(directory_make(directory));
    cr_assert_not(credentials_control_context(credentials, &control, &err));
    cr_assert(strstr(err.message, "cert.pem"), "%s", err.message);
    cr_assert_null(control);
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, keeps_the_old_set_when_a_file_is_cut_or_removed)
{
    char directory[64], path[128];
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    file_write(directory, "cert.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
    cr_assert_not(credentials_check(credentials));
    cr_assert(usable(credentials));
    (void)snprintf(path, sizeof path, "%s/ca.pem", directory);
    cr_assert_eq(unlink(path), 0);
    cr_assert_not(credentials_check(credentials));
    cr_assert(usable(credentials));
    cr_assert_eq(credentials_generation(credentials), 1);
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, sees_a_file_rewritten_in_place)
{
    char directory[64], path[128];
    identity_install(directory_make(directory), "ci-1");
    file_write(directory, "cert.pem", "garbage");
    struct credentials *credentials = credentials_of(directory);
    cr_assert_not(usable(credentials));
    (void)snprintf(path, sizeof path, "cp '%s/bots/ci-1/cert.pem' '%s/cert.pem'", certs_directory(),
                   directory);
    cr_assert_eq(system(path), 0);
    cr_assert(credentials_check(credentials));
    cr_assert(usable(credentials));
    credentials_unref(credentials);
    directory_remove(directory);
}

/* Kubernetes mounts cert.pem -> ..data/cert.pem, ..data -> a directory, and switches ..data. */
static void link_set(const char *directory, const char *bot)
{
    char target[512], fresh[512], path[512];
    (void)snprintf(target, sizeof target, "%s/%s", directory, bot);
    cr_assert(mkdir(target, 0700) == 0);
    identity_install(target, bot);
    (void)snprintf(fresh, sizeof fresh, "%s/..new", directory);
    (void)snprintf(path, sizeof path, "%s/..data", directory);
    cr_assert_eq(symlink(bot, fresh), 0);
    cr_assert_eq(rename(fresh, path), 0);
}

Test(credentials, follows_a_switched_symbolic_link)
{
    static const char *const names[] = {"cert.pem", "key.pem", "ca.pem"};
    char directory[64], path[512], target[64];
    directory_make(directory);
    link_set(directory, "ci-1");
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)snprintf(target, sizeof target, "..data/%s", names[i]);
        cr_assert_eq(symlink(target, path), 0);
    }
    struct credentials *credentials = credentials_of(directory);
    cr_assert_str_eq(credentials_bot(credentials), "ci-1");
    cr_assert_not(credentials_check(credentials));
    link_set(directory, "report-1");
    cr_assert(credentials_check(credentials));
    cr_assert_str_eq(credentials_bot(credentials), "report-1");
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, judges_validity_by_the_clock_it_is_given)
{
    char directory[64];
    struct error err = {0};
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    int64_t end = credentials_not_after_us(credentials);
    cr_assert(usable_at(credentials, end - 1, &err));
    cr_assert_not(usable_at(credentials, end + 1, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert(strstr(err.message, "expired at 20"), "%s", err.message);
    cr_assert(strstr(err.message, directory), "%s", err.message);
    cr_assert_not(usable_at(credentials, 0, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert(strstr(err.message, "not valid before"), "%s", err.message);
    cr_assert(strstr(err.message, "clock"), "%s", err.message);
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, reads_a_set_that_is_out_of_its_time)
{
    char path[512];
    static const char *const bots[] = {"expired", "not-yet-valid"};
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        (void)snprintf(path, sizeof path, "%s/bots/%s", certs_directory(), bots[i]);
        struct credentials *credentials = credentials_of(path);
        cr_assert_str_eq(credentials_bot(credentials), bots[i]);
        cr_assert_not(usable_at(credentials, clock_wall_us(), &err));
        cr_assert_eq(err.code, ERROR_DENIED, "%s", err.message);
        credentials_unref(credentials);
    }
}

Test(credentials, refuses_a_key_that_others_may_read)
{
    char directory[64], path[128];
    struct error err = {0};
    identity_install(directory_make(directory), "ci-1");
    (void)snprintf(path, sizeof path, "%s/key.pem", directory);
    cr_assert_eq(chmod(path, 0644), 0);
    struct credentials *credentials = credentials_of(directory);
    cr_assert_not(usable_at(credentials, clock_wall_us(), &err));
    cr_assert(strstr(err.message, "key.pem"), "%s", err.message);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert(credentials_check(credentials), "a mode that changed is a change");
    cr_assert(usable(credentials));
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, leaves_no_descriptor_behind)
{
    char directory[64];
    identity_install(directory_make(directory), "ci-1");
    struct credentials *credentials = credentials_of(directory);
    int before = open_descriptors();
    for (int i = 0; i < 20; i++) {
        identity_install(directory, i % 2 ? "ci-1" : "report-1");
        file_write(directory, "ca.pem", "garbage");
        cr_assert_not(credentials_check(credentials));
        identity_install(directory, i % 2 ? "ci-1" : "report-1");
        cr_assert(credentials_check(credentials));
    }
    cr_assert_eq(open_descriptors(), before);
    credentials_unref(credentials);
    directory_remove(directory);
}

Test(credentials, refuses_a_path_that_is_too_long)
{
    char path[5000];
    struct credentials *credentials;
    struct error err = {0};
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    cr_assert_not(credentials_create(path, &credentials, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
}
