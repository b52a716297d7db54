/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/renewal_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/key.h"
#include "tls/pem.h"

static void on_renewed(void *owner)
{
    ((struct bench *)owner)->renewed++;
}

static void on_confirmed(void *owner)
{
    ((struct bench *)owner)->confirmed++;
}

static void on_failed(void *owner, const struct error *err, bool final)
{
    struct bench *bench = owner;
    bench->failed++;
    bench->final += final;
    bench->error = *err;
}

static const struct renewal_events events = {
    .renewed = on_renewed, .confirmed = on_confirmed, .failed = on_failed};

void bench_open(struct bench *bench)
{
    *bench = (struct bench){0};
    world_open(&bench->world);
    authority_open(&bench->authority, &bench->world);
    directory_make(bench->directory);
    directory_make(bench->files);
    cr_assert_eq(chmod(bench->directory, 0700), 0);
    bench->settings = (struct renewal_settings){
        .authority = bench->authority.address,
        .server_name = "127.0.0.1",
        .pin = bench->authority.pin,
    };
}

void bench_start(struct bench *bench)
{
    struct error err = {0};
    bench->settings.authority = bench->authority.address;
    cr_assert(credentials_create(bench->directory, &bench->credentials, &err), "%s", err.message);
    cr_assert(renewal_create(&bench->world.loop, bench->world.streams, bench->credentials,
                             &bench->settings, bench->token.text[0] ? &bench->token : NULL, &events,
                             bench, &bench->renewal, &err),
              "%s", err.message);
}

void bench_stop(struct bench *bench)
{
    renewal_destroy(bench->renewal);
    credentials_unref(bench->credentials);
    bench->renewal = NULL;
    world_run_for(&bench->world, 50);
}

void bench_close(struct bench *bench)
{
    bench_stop(bench);
    authority_close(&bench->authority);
    world_run_for(&bench->world, 50);
    world_close(&bench->world);
    directory_remove(bench->directory);
    directory_remove(bench->files);
}

void use_token(struct bench *bench, const char *text)
{
    cr_assert_lt(strlen(text), sizeof bench->token.text);
    strcpy(bench->token.text, text);
}

const char *token_file(struct bench *bench, const char *text)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/token", bench->files);
    file_write(bench->files, "token", text);
    return path;
}

void bench_join(struct bench *bench)
{
    use_token(bench, AUTHORITY_TOKEN);
    bench_start(bench);
    RUN_UNTIL(&bench->world, bench->confirmed == 1);
}

void make_bound_key(struct bench *bench)
{
    static char path[128];
    struct tls_key *key;
    struct buffer pem;
    struct error err = {0};
    buffer_init(&pem, 8192);
    cr_assert(tls_key_generate(&key, &err));
    cr_assert(tls_public_of(key, &bench->authority.bound_key, &err));
    cr_assert(tls_key_write(key, &pem, &err) && buffer_append(&pem, "", 1, &err));
    file_write(bench->files, "bound.key", (const char *)buffer_bytes(&pem));
    (void)snprintf(path, sizeof path, "%s/bound.key", bench->files);
    bench->settings.bound_key = path;
    bench->settings.bot = "ci-1";
    buffer_release(&pem);
    tls_key_free(key);
}

bool usable(const struct bench *bench, struct error *err)
{
    struct tls_context *context;
    return credentials_context(bench->credentials, clock_wall_us(), &context, err);
}

const char *problem(const struct bench *bench)
{
    static struct renewal_status status;
    renewal_read_status(bench->renewal, &status);
    return status.problem;
}

const char *serial_on_disk(const struct bench *bench)
{
    static char serial[64];
    char path[128];
    struct pem text;
    struct certificate_facts facts = {0};
    (void)snprintf(path, sizeof path, "%s/cert.pem", bench->directory);
    serial[0] = '\0';
    if (!pem_read(path, PEM_FILE, CERTIFICATE_PEM_MAX, &text, NULL))
        return serial;
    cr_assert(certificate_read((const char *)text.bytes, text.length, &facts, NULL));
    memcpy(serial, facts.serial, sizeof serial);
    certificate_facts_release(&facts);
    pem_release(&text);
    return serial;
}

void expect_told(const char *text, const char *words)
{
    cr_assert_not_null(strstr(text, words), "'%s' lacks '%s'", text, words);
}
