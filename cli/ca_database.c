/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ca_database.h"

#include <stdio.h>
#include <string.h>

#include "authority/names.h"
#include "base/clock.h"
#include "cli/admin_file.h"
#include "cli/admin_token.h"
#include "tls/certificate.h"
#include "tls/pem.h"
#include "tls/request.h"

#define PEM_MAX 65536 /* bytes of a text in the answer */

enum part { PART_KEY, PART_CERTIFICATE, PART_CLIENT_CA, PART_COUNT };

static const struct {
    const char *key; /* in the answer */
    const char *file;
    mode_t mode;
} parts[PART_COUNT] = {
    [PART_KEY] = {"key", CA_DATABASE_KEY, ADMIN_FILE_SECRET},
    [PART_CERTIFICATE] = {"certificate", CA_DATABASE_CERTIFICATE, ADMIN_FILE_PUBLIC},
    [PART_CLIENT_CA] = {"client_ca", CA_DATABASE_CLIENT_CA, ADMIN_FILE_PUBLIC},
};

struct signing {
    const struct admin *admin;
    const struct ca_database *wanted;
    struct admin_file files[PART_COUNT];
    struct certificate_facts certificate;
    struct certificate_facts client_ca; /* the first one */
    char issuer[CERTIFICATE_LINE_SIZE]; /* of the certificates that proxies show */
};

/* --- files --- */

static void abandon(struct signing *signing)
{
    for (size_t i = 0; i < PART_COUNT; i++)
        admin_file_abandon(&signing->files[i]);
}

/* All of them, before anything is signed. */
static bool open_files(struct signing *signing, struct error *err)
{
    const struct ca_database *wanted = signing->wanted;
    for (size_t i = 0; i < PART_COUNT; i++)
        signing->files[i].fd = -1;
    if (!admin_file_directory(wanted->directory, err))
        return false;
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (i == PART_KEY && wanted->csr)
            continue; /* who made the request has the key */
        if (!admin_file_open(&signing->files[i], wanted->directory, parts[i].file, parts[i].mode,
                             wanted->replace, err)) {
            abandon(signing);
            return false;
        }
    }
    return true;
}

static bool write_files(struct signing *signing, const cJSON *answer, struct error *err)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        const char *text = admin_text(answer, parts[i].key);
        if (signing->files[i].fd >= 0 &&
            !admin_file_write(&signing->files[i], text, strlen(text), err))
            return false;
    }
    return true;
}

/* --- asking --- */

/* An account of which the authority would mint no certificate had better not be made. */
static int check_users(const struct admin *admin, const struct ca_database *wanted)
{
    struct authority_refusal refusal;
    for (size_t i = 0; i < wanted->users->count; i++)
        if (!authority_mysql_user_check(wanted->users->items[i], &refusal))
            return admin_usage(admin, "--user: %s", refusal.message);
    return EXIT_DONE;
}

static bool put_csr(cJSON *request, const char *file, struct error *err)
{
    struct pem pem;
    struct tls_request *csr;
    if (!pem_read(file, PEM_FILE, TLS_REQUEST_PEM_MAX, &pem, err))
        return false;
    const char *text = (const char *)pem.bytes;
    bool put = tls_request_parse(text, pem.length, &csr, err) || error_wrap(err, "%s", file);
    if (put) {
        tls_request_free(csr);
        put =
            control_put_text(request, "csr", text) || error_set(err, ERROR_MEMORY, "out of memory");
    }
    pem_release(&pem);
    return put;
}

static int ask(const struct admin *admin, const struct ca_database *wanted, cJSON **answer)
{
    struct error err = {0};
    cJSON *request = control_request("sign_database");
    *answer = NULL;
    bool built = request &&
                 control_put_texts(request, "names", wanted->hosts->items, wanted->hosts->count) &&
                 (!wanted->ttl || control_put_text(request, "ttl", wanted->ttl));
    if (!built || !wanted->csr || put_csr(request, wanted->csr, &err))
        return admin_ask(admin, request, built, answer);
    control_free(request);
    return exit_with(&err);
}

/* What is installed in a database had better be what it should be. */
static bool read_answer(struct signing *signing, const cJSON *answer, struct error *err)
{
    const char *certificate = admin_text(answer, "certificate");
    const char *client_ca = admin_text(answer, "client_ca");
    bool has_key = signing->wanted->csr || *admin_text(answer, "key");
    return (has_key || error_set(err, ERROR_MALFORMED, "it has no key")) &&
           certificate_read(certificate, strnlen(certificate, PEM_MAX), &signing->certificate,
                            err) &&
           certificate_read(client_ca, strnlen(client_ca, PEM_MAX), &signing->client_ca, err) &&
           (signing->client_ca.is_ca ||
            error_set(err, ERROR_MALFORMED, "\"client_ca\" is no certificate of a CA"));
}

/* While the CA is rotated there are two, and proxies show certificates of the one that signs. */
static int find_issuer(struct signing *signing)
{
    cJSON *answer;
    const cJSON *ca;
    const char *line = signing->client_ca.subject_line;
    int code = admin_ask_plain(signing->admin, "ca_status", &answer);
    cJSON_ArrayForEach(ca, cJSON_GetObjectItemCaseSensitive(answer, "authorities"))
    {
        if (strcmp(admin_text(ca, "kind"), "database-client") == 0 &&
            strcmp(admin_text(ca, "phase"), "signing") == 0 && *admin_text(ca, "subject_line"))
            line = admin_text(ca, "subject_line");
    }
    (void)snprintf(signing->issuer, sizeof signing->issuer, "%s", line);
    control_free(answer);
    return code;
}

/* --- what to do with it --- */

bool ca_database_sql_text(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (; *text; text++) {
        /* A backslash is doubled only where it escapes, and the mode decides that
         * (NO_BACKSLASH_ESCAPES): none of our names has one. */
        if (*text == '\\' || used + 3 > size)
            return false;
        if (*text == '\'')
            out[used++] = '\'';
        out[used++] = *text;
    }
    if (used >= size)
        return false;
    out[used] = '\0';
    return true;
}

static void say(const struct signing *signing, const char *text)
{
    if (*text)
        admin_say(signing->admin, ADMIN_PLAIN, "%s", text);
    else
        (void)fputc('\n', stdout);
}

static void title(const struct signing *signing, const char *text)
{
    say(signing, "");
    admin_say(signing->admin, ADMIN_HEADING, "%s", text);
}

static void say_files(const struct signing *signing)
{
    const struct admin *admin = signing->admin;
    const char *directory = signing->wanted->directory;
    char time[CLOCK_TIME_SIZE];
    clock_format(signing->certificate.not_after_us, time);
    if (!signing->wanted->csr)
        admin_say(admin, ADMIN_GOOD, "%s/" CA_DATABASE_KEY "     the server's key (mode 0600)",
                  directory);
    admin_say(admin, ADMIN_GOOD,
              "%s/" CA_DATABASE_CERTIFICATE "     its certificate, until %.10s: renew it before",
              directory, time);
    admin_say(admin, ADMIN_GOOD,
              "%s/" CA_DATABASE_CLIENT_CA "  whose certificates it takes: the database-client CA",
              directory);
}

static void say_my_cnf(const struct signing *signing)
{
    title(signing, "On the database's machine: put the files into " CA_DATABASE_DIRECTORY ",");
    say(signing, "owned by the user mysql, and into my.cnf:");
    say(signing, "");
    say(signing, "[mysqld]");
    say(signing, "ssl_cert = " CA_DATABASE_DIRECTORY "/" CA_DATABASE_CERTIFICATE);
    say(signing, signing->wanted->csr ? "ssl_key  = (the key of your request)"
                                      : "ssl_key  = " CA_DATABASE_DIRECTORY "/" CA_DATABASE_KEY);
    say(signing, "ssl_ca   = " CA_DATABASE_DIRECTORY "/" CA_DATABASE_CLIENT_CA);
    say(signing, "require_secure_transport = ON");
    say(signing, "");
    /* MySQL verifies its own certificate against ssl_ca, which is for its clients, and would keep
     * the old files for that (8.0 and later, ER_SSL_LIBRARY_ERROR). */
    say(signing, "Restart the server, or run FLUSH SSL (MariaDB) or ALTER INSTANCE RELOAD TLS");
    say(signing, "NO ROLLBACK ON ERROR (MySQL).");
}

static const char *user_at(const struct signing *signing, size_t i)
{
    const struct admin_values *users = signing->wanted->users;
    return users->count > 0 ? users->items[i] : CA_DATABASE_USER;
}

static size_t user_count(const struct signing *signing)
{
    return signing->wanted->users->count > 0 ? signing->wanted->users->count : 1;
}

/* Both servers compare with what X509_NAME_oneline() prints, letter by letter: MariaDB
 * sql/sql_acl.cc, MySQL sql/auth/sql_authentication.cc, acl_check_ssl(). */
static void say_account(const struct signing *signing, const char *user, bool is_mysql)
{
    char name[ADMIN_TEXT_MAX];
    char issuer[2 * CERTIFICATE_LINE_SIZE];
    const struct admin *admin = signing->admin;
    if (!ca_database_sql_text(user, name, sizeof name) ||
        !ca_database_sql_text(signing->issuer, issuer, sizeof issuer)) {
        admin_say(admin, ADMIN_WARNING, "-- %s cannot be written here: it has a backslash", user);
        return;
    }
    admin_say(admin, ADMIN_PLAIN, "CREATE USER '%s'@'%%'%s", name,
              is_mysql ? " IDENTIFIED WITH caching_sha2_password BY ''" : "");
    admin_say(admin, ADMIN_PLAIN, "  REQUIRE SUBJECT '/CN=%s'", name);
    admin_say(admin, ADMIN_PLAIN, "  AND ISSUER '%s';", issuer);
}

static void say_accounts(const struct signing *signing)
{
    title(signing, "The accounts that bots may use, with grants as you see fit:");
    say(signing, "");
    say(signing, "-- '%' may be your proxies' addresses");
    say(signing, "-- MariaDB");
    for (size_t i = 0; i < user_count(signing); i++)
        say_account(signing, user_at(signing, i), false);
    say(signing, "-- MySQL 8 and later");
    for (size_t i = 0; i < user_count(signing); i++)
        say_account(signing, user_at(signing, i), true);
    if (signing->client_ca.count < 2)
        return;
    say(signing, "");
    admin_say(signing->admin, ADMIN_WARNING,
              "The database-client CA is being rotated: " CA_DATABASE_CLIENT_CA " holds %zu, and",
              signing->client_ca.count);
    admin_say(signing->admin, ADMIN_WARNING,
              "ISSUER above is the one that signs now. See docs/administration.md.");
}

static void say_check(const struct signing *signing)
{
    title(signing, "Then, in the proxy's configuration or for `sallyport role apply`:");
    say(signing, "");
    admin_say(signing->admin, ADMIN_PLAIN,
              "{ \"databases\": [ { \"name\": \"NAME\", \"address\": \"%s:3306\" } ] }",
              signing->wanted->hosts->items[0]);
    title(signing, "and check, on the proxy's machine: sallyport db check NAME -c FILE");
}

static int show(const struct signing *signing)
{
    say_files(signing);
    say_my_cnf(signing);
    say_accounts(signing);
    say_check(signing);
    return admin_finish();
}

/* What was written where: the key stays out of the output (I8). */
static int show_json(const struct signing *signing)
{
    const struct certificate_facts *facts = &signing->certificate;
    const struct ca_database *wanted = signing->wanted;
    cJSON *out = cJSON_CreateObject();
    bool made = out && control_put_text(out, "directory", wanted->directory) &&
                control_put_text(out, "certificate", CA_DATABASE_CERTIFICATE) &&
                (wanted->csr || control_put_text(out, "key", CA_DATABASE_KEY)) &&
                control_put_text(out, "client_ca", CA_DATABASE_CLIENT_CA) &&
                control_put_text(out, "subject", facts->subject) &&
                control_put_text(out, "serial", facts->serial) &&
                control_put_time(out, "not_after", facts->not_after_us) &&
                control_put_text(out, "require_issuer", signing->issuer);
    struct error err = {0};
    if (!made)
        (void)error_set(&err, ERROR_MEMORY, "out of memory");
    int code = made ? admin_print_json(out) : exit_with(&err);
    cJSON_Delete(out);
    return code;
}

static int finish(struct signing *signing, const cJSON *answer)
{
    struct error err = {0};
    if (!read_answer(signing, answer, &err)) {
        (void)error_wrap(&err, "the authority's answer cannot be used");
        return exit_with(&err);
    }
    int code = find_issuer(signing);
    if (code != EXIT_DONE)
        return code;
    if (!write_files(signing, answer, &err))
        return exit_with(&err);
    return signing->admin->json ? show_json(signing) : show(signing);
}

int ca_database_sign(const struct admin *admin, const struct ca_database *wanted)
{
    struct signing signing = {.admin = admin, .wanted = wanted};
    struct error err = {0};
    cJSON *answer;
    int code = check_users(admin, wanted);
    if (code != EXIT_DONE)
        return code;
    if (!open_files(&signing, &err)) {
        int failed = exit_with(&err);
        if (err.code == ERROR_EXISTS)
            (void)fprintf(stderr, "Give another --out DIR, or --replace.\n");
        return failed;
    }
    code = ask(admin, wanted, &answer);
    if (code == EXIT_DONE)
        code = finish(&signing, answer);
    abandon(&signing);
    certificate_facts_release(&signing.certificate);
    certificate_facts_release(&signing.client_ca);
    control_free(answer);
    return code;
}
