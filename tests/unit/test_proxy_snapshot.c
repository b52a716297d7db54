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
    cr_assert(snapshot_create(write_config("snapshot.conf", variant), &snapshot, &err), "%s",
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
    cr_assert_not(snapshot_create(path, &snapshot, &err));
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
    cr_assert_not(snapshot_create(write_config("snapshot.conf", &with_password), &snapshot, &err));
    cr_assert_null(strstr(err.message, "sesame"));
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

Test(proxy_snapshot, a_reload_may_not_change_the_audit_log)
{
    const struct variant durability = {.audit = ",\"durability\":\"fsync\""};
    const struct variant file_size = {.audit = ",\"file_size\":\"1m\""};
    follows(&durability, "7:9", "the audit log cannot change");
    follows(&file_size, "7:9", "the audit log cannot change");
}
