/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "tests/unit/tls_support.h"

static void assert_refused(const struct tls_settings *settings, enum error_code code,
                           const char *file, const char *words)
{
    struct tls_context *context = NULL;
    struct error err = {0};
    int descriptors = open_descriptors();
    cr_assert_not(tls_context_create(settings, &context, &err));
    cr_assert_null(context);
    cr_assert_eq(err.code, code, "%d: %s", (int)err.code, err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
    if (file)
        cr_assert_eq(strncmp(err.message, file, strlen(file)), 0, "names no file: %s", err.message);
    cr_assert_eq(open_descriptors(), descriptors);
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = certs_path(name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, mode), 0);
    return path;
}

/* Runs a command line in the directory of the certificates. */
static void run(const char *line)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "cd %s && bash -c '%s' 2>/dev/null", certs_directory(),
                   line);
    cr_assert_eq(system(command), 0, "%s", line);
}

Test(tls_context, tells_its_validity)
{
    struct tls_context *context = context_client("ci-1", TLS_VERSION_ANY);
    cr_assert_lt(tls_context_not_before_us(context), clock_wall_us());
    cr_assert_gt(tls_context_not_after_us(context), clock_wall_us());
    tls_context_unref(context);
}

/* A tunnel must come up to say that its certificate has expired. */
Test(tls_context, takes_a_certificate_that_has_expired)
{
    struct tls_context *context = context_client("expired", TLS_VERSION_ANY);
    cr_assert_lt(tls_context_not_after_us(context), clock_wall_us());
    tls_context_unref(context);
    context = context_client("not-yet-valid", TLS_VERSION_ANY);
    cr_assert_gt(tls_context_not_before_us(context), clock_wall_us());
    tls_context_unref(context);
}

Test(tls_context, counts_references)
{
    struct tls_context *context = context_server(TLS_VERSION_ANY);
    cr_assert_eq(tls_context_ref(context), context);
    tls_context_unref(context);
    cr_assert_gt(tls_context_not_after_us(context), 0);
    tls_context_unref(context);
    tls_context_unref(NULL);
}

static void *take_and_give_back(void *context)
{
    for (int i = 0; i < 20000; i++)
        tls_context_unref(tls_context_ref(context));
    tls_context_unref(context);
    return NULL;
}

Test(tls_context, counts_references_of_threads)
{
    pthread_t threads[4];
    struct tls_context *context = context_server(TLS_VERSION_ANY);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(
            pthread_create(&threads[i], NULL, take_and_give_back, tls_context_ref(context)), 0);
    tls_context_unref(context);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

Test(tls_context, client_may_have_no_certificate)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.cert_file = settings.key_file = NULL;
    struct tls_context *context = context_make(&settings);
    cr_assert_eq(tls_context_not_after_us(context), INT64_MAX);
    tls_context_unref(context);
}

Test(tls_context, server_must_have_a_certificate)
{
    struct tls_settings settings = settings_server();
    settings.cert_file = settings.key_file = NULL;
    assert_refused(&settings, ERROR_CONFIG, NULL, "a certificate and a key are needed");
    settings = settings_client("ci-1");
    settings.key_file = NULL;
    assert_refused(&settings, ERROR_CONFIG, NULL, "a certificate and a key are needed");
}

Test(tls_context, peer_is_always_verified)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.ca_file = NULL;
    assert_refused(&settings, ERROR_CONFIG, NULL, "CA file is needed");
}

Test(tls_context, refuses_files_that_are_missing)
{
    struct tls_settings settings = settings_server();
    settings.cert_file = certs_path("missing");
    assert_refused(&settings, ERROR_SYSTEM, settings.cert_file, "No such file");
    settings = settings_server();
    settings.key_file = certs_path("missing");
    assert_refused(&settings, ERROR_SYSTEM, settings.key_file, "No such file");
    settings = settings_server();
    settings.ca_file = certs_path("missing");
    assert_refused(&settings, ERROR_SYSTEM, settings.ca_file, "No such file");
    settings = settings_server();
    settings.crl_file = certs_path("missing");
    assert_refused(&settings, ERROR_SYSTEM, settings.crl_file, "No such file");
}

Test(tls_context, refuses_what_is_no_file)
{
    struct tls_settings settings = settings_server();
    settings.ca_file = certs_directory();
    assert_refused(&settings, ERROR_CONFIG, settings.ca_file, "not a regular file");
    settings.ca_file = "/dev/zero";
    assert_refused(&settings, ERROR_CONFIG, settings.ca_file, "not a regular file");
}

Test(tls_context, refuses_files_without_pem)
{
    struct tls_settings settings = settings_server();
    settings.cert_file = write_file("garbage", "hello\n", 0600);
    assert_refused(&settings, ERROR_CONFIG, settings.cert_file, "holds no certificate in PEM form");
    settings = settings_server();
    settings.key_file = certs_path("garbage");
    assert_refused(&settings, ERROR_CONFIG, settings.key_file, "holds no private key in PEM form");
    settings = settings_server();
    settings.crl_file = certs_path("garbage");
    assert_refused(&settings, ERROR_CONFIG, settings.crl_file, "holds no revocation list");
    settings = settings_server();
    settings.ca_file = write_file("empty", "", 0600);
    assert_refused(&settings, ERROR_CONFIG, settings.ca_file, "has 0 bytes");
}

Test(tls_context, refuses_a_file_that_is_too_large)
{
    run("truncate -s 5M large");
    struct tls_settings settings = settings_server();
    settings.ca_file = certs_path("large");
    assert_refused(&settings, ERROR_CONFIG, settings.ca_file, "bytes, not 1 to");
}

Test(tls_context, refuses_a_damaged_certificate_among_good_ones)
{
    run("{ cat bot-ca.crt; sed \"3s/./!/;4s/^......../AAAAAAAA/\" foreign-ca.crt; } > damaged.crt");
    struct tls_settings settings = settings_server();
    settings.ca_file = certs_path("damaged.crt");
    assert_refused(&settings, ERROR_CONFIG, settings.ca_file, "cannot be read");
}

/* I8: keys are mode 0600. */
Test(tls_context, refuses_a_key_that_others_may_read)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0610};
    run("cp proxy.key open.key");
    struct tls_settings settings = settings_server();
    settings.key_file = certs_path("open.key");
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(chmod(settings.key_file, modes[i]), 0);
        assert_refused(&settings, ERROR_CONFIG, settings.key_file, "open to other users");
    }
    cr_assert_eq(chmod(settings.key_file, 0400), 0);
    tls_context_unref(context_make(&settings));
}

Test(tls_context, refuses_the_key_of_another_certificate)
{
    struct tls_settings settings = settings_server();
    settings.key_file = certs_path("db-server.key");
    assert_refused(&settings, ERROR_CONFIG, settings.key_file, "is not the key of the certificate");
}

Test(tls_context, refuses_an_encrypted_key)
{
    run("openssl pkey -in proxy.key -aes128 -passout pass:secret -out encrypted.key && "
        "chmod 600 encrypted.key");
    struct tls_settings settings = settings_server();
    settings.key_file = certs_path("encrypted.key");
    assert_refused(&settings, ERROR_CONFIG, settings.key_file, "key");
}

Test(tls_context, takes_rsa_certificates)
{
    run("openssl req -x509 -newkey rsa:2048 -noenc -keyout rsa.key -out rsa.crt -days 2 "
        "-subj /CN=rsa && chmod 600 rsa.key");
    struct tls_settings settings = settings_server();
    settings.cert_file = certs_path("rsa.crt");
    settings.key_file = certs_path("rsa.key");
    tls_context_unref(context_make(&settings));
}

Test(tls_context, refuses_an_expired_revocation_list)
{
    struct tls_settings settings = settings_server();
    settings.crl_file = certs_path("bot-expired.crl");
    assert_refused(&settings, ERROR_CONFIG, settings.crl_file, "the revocation list expired on 20");
}

Test(tls_context, refuses_a_revocation_list_of_another_ca)
{
    struct tls_settings settings = settings_server();
    settings.ca_file = certs_path("foreign-ca.crt");
    settings.crl_file = certs_path("bot.crl");
    assert_refused(&settings, ERROR_CONFIG, settings.crl_file,
                   "of a CA that is not in the CA file");
}

Test(tls_context, bounds_alpn)
{
    static const char *const many[] = {"a", "b", "c", "d", "e", NULL};
    static const char *const none[] = {"", NULL};
    struct tls_settings settings = settings_server();
    settings.alpn = many;
    assert_refused(&settings, ERROR_LIMIT, NULL, "ALPN");
    settings.alpn = none;
    assert_refused(&settings, ERROR_CONFIG, NULL, "ALPN");
}

/* The caller's strings may go once the context is made. */
Test(tls_context, copies_alpn)
{
    char name[] = "sallyport-mysql/1";
    const char *names[] = {name, NULL};
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    server.alpn = client.alpn = names;
    struct tls_context *server_context = context_make(&server);
    struct tls_context *client_context = context_make(&client);
    memset(name, 'x', sizeof name - 1);
    names[0] = NULL;
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, server_context, client_context, "localhost");
    pair_run_until(&pair, &pair.server.secured);
    cr_assert_str_eq(stream_alpn(pair.server.stream), TLS_ALPN_MYSQL);
    pair_close(&pair);
}

/* Databases often have RSA certificates, some with RSA-PSS signatures; a 1024-bit key is refused.
 */
static void shake_hands_with_key(const char *name, const char *key_options, bool accepted)
{
    char line[768];
    char path[64];
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    (void)snprintf(line, sizeof line,
                   "mkdir %s && cd %s && "
                   "openssl req -new -newkey %s -noenc -keyout db.key -subj /CN=db -out db.csr && "
                   "printf subjectAltName=DNS:localhost > db.ext && "
                   "openssl x509 -req -in db.csr -CA ../service-ca.crt -CAkey ../service-ca.key "
                   "-set_serial 7 -days 2 -extfile db.ext -out db.crt && chmod 600 db.key",
                   name, name, key_options);
    run(line);
    (void)snprintf(path, sizeof path, "%s/db.crt", name);
    server.cert_file = certs_path(path);
    (void)snprintf(path, sizeof path, "%s/db.key", name);
    server.key_file = certs_path(path);
    for (int i = TLS_VERSION_1_2; i <= TLS_VERSION_1_3; i++) {
        struct pair pair;
        server.version = client.version = (enum tls_version)i;
        pair_open(&pair);
        pair_start_tls(&pair, context_make(&server), context_make(&client), "localhost");
        pair_run_until(&pair, accepted ? &pair.client.secured : &pair.client.failed);
        if (!accepted)
            cr_assert_not_null(strstr(pair.client.error.message, "kind or size"), "said: %s",
                               pair.client.error.message);
        pair_close(&pair);
    }
}

/* Without an extended key usage too, as databases make them. */
Test(tls_context, client_takes_rsa_servers)
{
    shake_hands_with_key("rsa-2048", "rsa:2048", true);
}

Test(tls_context, client_refuses_short_rsa_keys)
{
    shake_hands_with_key("rsa-1024", "rsa:1024", false);
}

Test(tls_context, client_takes_p384_servers)
{
    shake_hands_with_key("p384", "ec -pkeyopt ec_paramgen_curve:P-384", true);
}

/* SHA-1 signatures are no proof of anything. */
Test(tls_context, client_refuses_sha1)
{
    run("openssl x509 -req -sha1 -in <(openssl req -new -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -noenc -keyout old.key -subj /CN=old) -CA service-ca.crt "
        "-CAkey service-ca.key -set_serial 8 -days 2 -extfile <(echo "
        "subjectAltName=DNS:localhost) "
        "-out old.crt && chmod 600 old.key");
    struct tls_settings server = settings_server();
    server.cert_file = certs_path("old.crt");
    server.key_file = certs_path("old.key");
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_make(&server), context_client("ci-1", TLS_VERSION_ANY),
                   "localhost");
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_not_null(strstr(pair.client.error.message, "too weak"), "said: %s",
                       pair.client.error.message);
    pair_close(&pair);
}
