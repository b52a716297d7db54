/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration names is read, or refused with the place that names it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/auth.h"
#include "proxy/authority_state.h"
#include "proxy/snapshot.h"
#include "tests/unit/proxy_support.h"

/* The places of a configuration that tests vary; NULL: what is right. */
struct variant {
    const char *listener, *proxy_key, *client_ca, *crl, *workers, *audit, *ca, *cert, *server_name;
    const char *passwords, *role_database;
};

static const char *or_else(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static const char *write_config(const char *name, const struct variant *variant)
{
    const char *path = files_path(name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fprintf(file,
                  "{\"proxy\":{\"listeners\":[%s],\n\"tls\":{\"cert\":\"proxy.crt\",\"key\":\"%s\","
                  "\"client_ca\":\"%s\"%s},\n\"workers\":%s},\n"
                  "\"databases\":[{\"name\":\"shop\",\"address\":\"127.0.0.1:3306\","
                  "\"labels\":{\"env\":[\"prod\",\"test\"]},\n"
                  "\"tls\":{\"ca\":\"%s\",\"cert\":\"%s\",\"key\":\"db-client.key\"%s}%s}],\n"
                  "\"roles\":[{\"name\":\"r\",\"allow\":{\"databases\":\"%s\"}}],"
                  "\"mappings\":[{\"subject\":\"CN=ci-1\",\"roles\":\"r\"}],\n"
                  "\"audit\":{\"directory\":\"audit\"%s}}",
                  or_else(variant->listener, "{\"address\":\"127.0.0.1:3308\"}"),
                  or_else(variant->proxy_key, "proxy.key"),
                  or_else(variant->client_ca, "bot-ca.crt"), or_else(variant->crl, ""),
                  or_else(variant->workers, "2"), or_else(variant->ca, "db-server-ca.crt"),
                  or_else(variant->cert, "db-client.crt"), or_else(variant->server_name, ""),
                  or_else(variant->passwords, ""), or_else(variant->role_database, "shop"),
                  or_else(variant->audit, ""));
    cr_assert_eq(fclose(file), 0);
    return path;
}

static struct snapshot *make_snapshot(const struct variant *variant)
{
    struct snapshot *snapshot = NULL;
    struct error err = {0};
    cr_assert(snapshot_create(write_config("snapshot.conf", variant), NULL, &snapshot, &err), "%s",
              err.message);
    return snapshot;
}

/* Refused at that place, with these words in the message. */
static void refuses(const struct variant *variant, const char *place, const char *words)
{
    struct snapshot *snapshot = (void *)1;
    struct error err = {0};
    char prefix[300];
    int descriptors = open_descriptors();
    const char *path = write_config("snapshot.conf", variant);
    (void)snprintf(prefix, sizeof prefix, "%s:%s: ", path, place);
    cr_assert_not(snapshot_create(path, NULL, &snapshot, &err));
    cr_assert_null(snapshot);
    cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
    cr_assert_eq(strncmp(err.message, prefix, strlen(prefix)), 0, "%s", err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    cr_assert_eq(open_descriptors(), descriptors);
}

static const char *write_secret(const char *name, const void *text, size_t length, mode_t mode)
{
    const char *path = files_path(name);
    (void)unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, length), (ssize_t)length);
    cr_assert_eq(fchmod(fd, mode), 0);
    cr_assert_eq(close(fd), 0);
    return path;
}

TestSuite(proxy_snapshot, .fini = files_remove);

#define ONE_PASSWORD ",\n\"passwords\":[{\"mysql_user\":\"writer\",\"file\":\"secret\"}]"

Test(proxy_snapshot, holds_what_the_file_names)
{
    const struct variant plain = {0};
    struct snapshot *snapshot = make_snapshot(&plain);
    const struct database *shop = snapshot_database(snapshot, "shop");
    cr_assert_not_null(shop);
    cr_assert_null(snapshot_database(snapshot, "Shop"));
    cr_assert_null(snapshot_database(snapshot, ""));
    cr_assert_eq(shop->address.port, 3306);
    cr_assert_str_eq(shop->server_name, "127.0.0.1");
    cr_assert_eq(shop->label_count, 1);
    cr_assert_str_eq(database_password(shop, "writer"), "");
    cr_assert_not_null(shop->tls);
    cr_assert_not_null(snapshot->server_tls);
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
}

Test(proxy_snapshot, server_name_goes_before_the_address)
{
    const struct variant named = {.server_name = ",\"server_name\":\"db1.internal\""};
    struct snapshot *snapshot = make_snapshot(&named);
    cr_assert_str_eq(snapshot_database(snapshot, "shop")->server_name, "db1.internal");
    snapshot_unref(snapshot);
}

Test(proxy_snapshot, lives_until_the_last_reference_has_gone)
{
    const struct variant plain = {0};
    struct snapshot *snapshot = make_snapshot(&plain);
    cr_assert_eq(snapshot_ref(snapshot), snapshot);
    snapshot_unref(snapshot);
    cr_assert_not_null(snapshot_database(snapshot, "shop"));
    snapshot_unref(snapshot);
}

Test(proxy_snapshot, refuses_files_that_are_missing)
{
    const struct variant no_key = {.proxy_key = "absent.key"};
    const struct variant no_bot_ca = {.client_ca = "absent.crt"};
    const struct variant no_crl = {.crl = ",\"crl\":\"absent.crl\""};
    const struct variant no_db_ca = {.ca = "absent.crt"};
    const struct variant no_db_cert = {.cert = "absent.crt"};
    refuses(&no_key, "2:7", "absent.key");
    refuses(&no_bot_ca, "2:7", "absent.crt");
    refuses(&no_crl, "2:7", "absent.crl");
    refuses(&no_db_ca, "5:7", "absent.crt");
    refuses(&no_db_cert, "5:7", "absent.crt");
}

Test(proxy_snapshot, refuses_a_key_that_others_may_read)
{
    const struct variant plain = {0};
    files_copy("proxy.key");
    files_copy("db-client.key");
    cr_assert_eq(chmod(files_path("proxy.key"), 0640), 0);
    refuses(&plain, "2:7", "proxy.key");
    cr_assert_eq(chmod(files_path("proxy.key"), 0600), 0);
    cr_assert_eq(chmod(files_path("db-client.key"), 0604), 0);
    refuses(&plain, "5:7", "db-client.key");
    cr_assert_eq(chmod(files_path("db-client.key"), 0600), 0);
}

Test(proxy_snapshot, refuses_a_key_of_another_certificate)
{
    const struct variant other = {.proxy_key = "db-server.key"};
    const struct variant wrong_cert = {.cert = "proxy.crt"};
    refuses(&other, "2:7", "proxy.crt");
    refuses(&wrong_cert, "5:7", "proxy.crt");
}

Test(proxy_snapshot, refuses_a_revocation_list_whose_time_is_over)
{
    const struct variant expired = {.crl = ",\"crl\":\"bot-expired.crl\""};
    const struct variant current = {.crl = ",\"crl\":\"bot.crl\""};
    refuses(&expired, "2:7", "bot-expired.crl");
    snapshot_unref(make_snapshot(&current));
}

Test(proxy_snapshot, refuses_a_role_for_a_database_that_does_not_exist)
{
    const struct variant dangling = {.role_database = "shpo"};
    const struct variant glob = {.role_database = "stock-*"};
    refuses(&dangling, "6:43", "shpo");
    snapshot_unref(make_snapshot(&glob));
}

Test(proxy_snapshot, takes_a_password_from_the_first_line)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD};
    static const char *const texts[] = {"sesame", "sesame\n", "sesame\r\n", "sesame\nsecond\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        (void)write_secret("secret", texts[i], strlen(texts[i]), i % 2 ? 0600 : 0400);
        struct snapshot *snapshot = make_snapshot(&with_password);
        const struct database *shop = snapshot_database(snapshot, "shop");
        cr_assert_str_eq(database_password(shop, "writer"), "sesame");
        cr_assert_str_eq(database_password(shop, "Writer"), "");
        cr_assert_str_eq(database_password(shop, ""), "");
        snapshot_unref(snapshot);
    }
}

/* A password of that many bytes, and `end` behind it. */
static void write_password(size_t length, const char *end)
{
    char text[AUTH_PASSWORD_MAX + 16];
    memset(text, 'x', sizeof text);
    (void)snprintf(text + length, sizeof text - length, "%s", end);
    (void)write_secret("secret", text, length + strlen(end), 0600);
}

Test(proxy_snapshot, takes_the_longest_password_and_none_longer)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD};
    static const char *const ends[] = {"", "\n", "\r\n", "\r\nmore"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        write_password(AUTH_PASSWORD_MAX, ends[i]);
        struct snapshot *snapshot = make_snapshot(&with_password);
        const struct database *shop = snapshot_database(snapshot, "shop");
        cr_assert_eq(strlen(database_password(shop, "writer")), AUTH_PASSWORD_MAX);
        snapshot_unref(snapshot);
        write_password(AUTH_PASSWORD_MAX + 1, ends[i]);
        refuses(&with_password, "6:44", "its first line is longer than 256 bytes");
        write_password(AUTH_PASSWORD_MAX + 8, ends[i]);
        refuses(&with_password, "6:44", "its first line is longer than 256 bytes");
    }
}

Test(proxy_snapshot, refuses_a_password_file_that_others_may_read)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD};
    static const mode_t modes[] = {0640, 0604, 0660, 0620, 0601, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        (void)write_secret("secret", "sesame", 6, modes[i]);
        refuses(&with_password, "6:44", "others than its owner may read it; run: chmod 600");
    }
}

Test(proxy_snapshot, refuses_a_password_file_that_holds_none)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD};
    (void)unlink(files_path("secret"));
    refuses(&with_password, "6:44", "cannot open it: No such file");
    (void)write_secret("secret", "", 0, 0600);
    refuses(&with_password, "6:44", "its first line is empty");
    (void)write_secret("secret", "\nsesame", 7, 0600);
    refuses(&with_password, "6:44", "its first line is empty");
}

Test(proxy_snapshot, refuses_a_password_file_that_is_no_file)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD};
    (void)unlink(files_path("secret"));
    cr_assert_eq(mkfifo(files_path("secret"), 0600), 0);
    refuses(&with_password, "6:44", "it is not a file"); /* and does not wait for a writer */
    (void)unlink(files_path("secret"));
    cr_assert_eq(mkdir(files_path("secret"), 0700), 0);
    refuses(&with_password, "6:44", "it is not a file");
    (void)rmdir(files_path("secret"));
}

Test(proxy_snapshot, no_error_tells_a_password)
{
    const struct variant with_password = {.passwords = ONE_PASSWORD, .cert = "proxy.crt"};
    struct snapshot *snapshot;
    struct error err = {0};
    (void)write_secret("secret", "sesame", 6, 0640);
    cr_assert_not(
        snapshot_create(write_config("snapshot.conf", &with_password), NULL, &snapshot, &err));
    cr_assert_null(strstr(err.message, "sesame"));
}

/* --- what an authority provides --- */

#define AUTHORITY "},\"authority\":{\"directory\":\"a\",\"trust_domain\":\"acme.example\""
/* A database that has a CA of its own, and certificates that are minted. */
#define MINTED                                                        \
    "},{\"name\":\"minted\",\"address\":\"127.0.0.1:3307\",\"tls\":{" \
    "\"ca\":\"db-server-ca.crt\"}"

static const char *text_of(const char *name)
{
    static struct pem texts[8];
    static size_t next;
    struct pem *text = &texts[next++ % 8];
    struct error err = {0};
    pem_release(text);
    cr_assert(pem_read(files_path(name), PEM_FILE, TLS_FILE_MAX, text, &err), "%s", err.message);
    return (const char *)text->bytes;
}

static struct authority_state *make_state(unsigned version, const char *bot_ca, const char *locks)
{
    struct authority_state *state;
    struct error err = {0};
    cJSON *event = cJSON_Parse("{\"event\":\"state\",\"trust_domain\":\"acme.example\","
                               "\"bots\":{},\"roles\":[],\"databases\":[],\"mappings\":[]}");
    cr_assert(cJSON_AddNumberToObject(event, "version", version) &&
              cJSON_AddStringToObject(event, "bot_ca", text_of(bot_ca)) &&
              cJSON_AddStringToObject(event, "service_ca", text_of("service-ca.crt")) &&
              cJSON_AddStringToObject(event, "database_ca", text_of("db-server-ca.crt")) &&
              cJSON_AddItemToObject(event, "locks", cJSON_Parse(locks)));
    cr_assert(authority_state_create(event, &state, &err), "%s", err.message);
    cJSON_Delete(event);
    return state;
}

/* That state, a certificate of the proxy's own, and `minted` ones for "reader". */
static struct provision *make_provision(struct authority_state *state, size_t minted)
{
    struct credential *own, *reader;
    struct provision *provision;
    cr_assert(credential_create("proxy-1", text_of("proxy.crt"), text_of("proxy.key"), INT64_MAX,
                                &own, NULL));
    cr_assert(credential_create("reader", text_of("db-client.crt"), text_of("db-client.key"),
                                INT64_MAX, &reader, NULL));
    cr_assert(provision_create(state, own, &reader, minted, false, &provision, NULL));
    credential_unref(own);
    credential_unref(reader);
    authority_state_unref(state);
    return provision;
}

static const char *const local_names[] = {"proxy.crt",     "proxy.key",     "bot-ca.crt",
                                          "db-client.crt", "db-client.key", "db-server-ca.crt",
                                          "secret"};

static void make_local_files_unreadable(bool remove)
{
    for (size_t i = 0; i < sizeof local_names / sizeof *local_names; i++) {
        cr_assert_eq(unlink(files_path(local_names[i])), 0);
        if (!remove)
            (void)write_secret(local_names[i], "garbage", 7, 0666);
    }
}

static void provides_whatever_became_of_files(bool removed)
{
    const struct variant variant = {.passwords = ONE_PASSWORD MINTED, .audit = AUTHORITY};
    struct snapshot *running, *next;
    struct error err = {0};
    (void)write_secret("secret", "sesame", 6, 0600);
    char path[300];
    (void)snprintf(path, sizeof path, "%s", write_config("snapshot.conf", &variant));
    struct provision *first = make_provision(make_state(1, "bot-ca.crt", "[]"), 0);
    struct provision *second = make_provision(
        make_state(2, "foreign-ca.crt", "[{\"kind\":\"bot\",\"target\":\"ci-1\"}]"), 1);
    cr_assert(snapshot_create(path, first, &running, &err), "%s", err.message);
    make_local_files_unreadable(removed);
    cr_assert(snapshot_provide(running, second, &next, &err), "%s", err.message);
    snapshot_unref(running);
    cr_assert_not_null(authority_state_lock(next->provision->state, LOCK_BOT, "ci-1", 0));
    cr_assert_not_null(next->server_tls);
    const struct database *shop = snapshot_database(next, "shop");
    cr_assert_str_eq(database_password(shop, "writer"), "sesame");
    cr_assert_not_null(database_tls(shop, "writer"));
    cr_assert_not_null(database_tls(snapshot_database(next, "minted"), "reader"));
    /* The first one's memory is not needed by one that is made of the second. */
    cr_assert(snapshot_provide(next, first, &running, &err), "%s", err.message);
    snapshot_unref(next);
    cr_assert_str_eq(database_password(snapshot_database(running, "shop"), "writer"), "sesame");
    cr_assert_not(snapshot_create(path, second, &next, &err), "a reload reads them again");
    snapshot_unref(running);
    provision_unref(first);
    provision_unref(second);
}

Test(proxy_snapshot, a_lock_needs_no_file_that_was_removed)
{
    provides_whatever_became_of_files(true);
}

Test(proxy_snapshot, a_lock_needs_no_file_that_holds_something_else_by_now)
{
    provides_whatever_became_of_files(false);
}

/* Else it would be found wrong when the first certificate for it is minted, beside some lock. */
Test(proxy_snapshot, refuses_a_ca_that_nothing_is_made_of_yet)
{
    const struct variant variant = {.passwords = MINTED, .audit = AUTHORITY, .ca = "db-server.crt"};
    const struct variant garbage = {.passwords = "},{\"name\":\"minted\",\"address\":"
                                                 "\"127.0.0.1:3307\",\n\"tls\":{\"ca\":\"secret\"}",
                                    .audit = AUTHORITY};
    snapshot_unref(make_snapshot(&variant));
    (void)write_secret("secret", "garbage", 7, 0600);
    refuses(&garbage, "6:7", "secret: holds no certificate in PEM form");
}

/* Whether a running proxy may go from the plain configuration to that one; if not, where not. */
static void follows(const struct variant *variant, const char *refused_at, const char *words)
{
    const struct variant plain = {0};
    struct snapshot *running = make_snapshot(&plain);
    struct snapshot *next = make_snapshot(variant);
    struct error err = {0};
    bool follow = snapshot_can_follow(running, next, &err);
    cr_assert_eq(follow, !refused_at, "%s", err.message);
    if (refused_at) {
        cr_assert_eq(err.code, ERROR_CONFIG);
        char place[64];
        (void)snprintf(place, sizeof place, "snapshot.conf:%s: ", refused_at);
        cr_assert_not_null(strstr(err.message, place), "%s", err.message);
        cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    }
    snapshot_unref(running);
    snapshot_unref(next);
}

Test(proxy_snapshot, a_reload_may_change_what_is_not_bound_to_the_process)
{
    const struct variant same = {0};
    const struct variant crl = {.crl = ",\"crl\":\"bot.crl\""};
    const struct variant database = {.listener =
                                         "{\"address\":\"127.0.0.1:3308\",\"database\":\"shop\"}"};
    const struct variant role = {.role_database = "*"};
    const struct variant statement_limit = {.audit = ",\"statement_limit\":\"2k\""};
    follows(&same, NULL, NULL);
    follows(&crl, NULL, NULL);
    follows(&database, NULL, NULL);
    follows(&role, NULL, NULL);
    follows(&statement_limit, NULL, NULL);
}

Test(proxy_snapshot, a_reload_may_not_change_listeners)
{
    const struct variant address = {.listener = "{\"address\":\"127.0.0.1:3309\"}"};
    const struct variant starttls = {
        .listener = "{\"address\":\"127.0.0.1:3308\",\"starttls\":true,\"database\":\"shop\"}"};
    const struct variant more = {
        .listener = "{\"address\":\"127.0.0.1:3308\"},{\"address\":\"127.0.0.1:3309\"}"};
    follows(&address, "1:23", "listeners cannot change");
    follows(&starttls, "1:23", "listeners cannot change");
    follows(&more, "1:23", "listeners cannot change");
}

Test(proxy_snapshot, a_reload_may_not_change_workers)
{
    const struct variant workers = {.workers = "3"};
    follows(&workers, "3:11", "the number of workers cannot change");
}

Test(proxy_snapshot, a_reload_may_not_bring_an_authority)
{
    const struct variant authority = {
        .audit = "},\"authority\":{\"directory\":\"a\",\"trust_domain\":\"acme.example\""};
    const struct variant remote = {.workers =
                                       "2,\"names\":\"p\",\"authority\":{\"address\":\"a:1\","
                                       "\"identity\":\"i\"}"};
    follows(&authority, "1:1", "\"authority\" can neither come nor go in a running process");
    follows(&remote, "1:1", "\"proxy.authority\" can neither come nor go in a running process");
}

Test(proxy_snapshot, a_reload_may_not_change_the_audit_log)
{
    const struct variant durability = {.audit = ",\"durability\":\"fsync\""};
    const struct variant file_size = {.audit = ",\"file_size\":\"1m\""};
    follows(&durability, "7:9", "the audit log cannot change");
    follows(&file_size, "7:9", "the audit log cannot change");
}
