/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY     65534
#define FILE_LIMIT (64U << 20)

char store_directory_path[64];

void store_support_enter(void)
{
    snprintf(store_directory_path, sizeof store_directory_path, "/tmp/test_store.XXXXXX");
    cr_assert_not_null(mkdtemp(store_directory_path));
}

void store_support_leave(void)
{
    if (geteuid() != getuid())
        cr_assert_eq(seteuid(getuid()), 0);
    chmod(store_directory_path, 0700);
    DIR *directory = opendir(store_directory_path);
    cr_assert_not_null(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            cr_expect_eq(remove(store_path(entry->d_name)), 0, "%s", entry->d_name);
    closedir(directory);
    cr_assert_eq(rmdir(store_directory_path), 0);
}

const char *store_path(const char *name)
{
    static char paths[4][512];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", store_directory_path, name);
    return path;
}

struct store *store_opened(void)
{
    struct store *store;
    struct error err = {0};
    cr_assert(store_open(store_directory_path, &store, &err), "%s", err.message);
    return store;
}

bool store_refuses(const char *directory, enum error_code code, const char *words)
{
    struct store *store;
    struct error err = {0};
    if (store_open(directory, &store, &err)) {
        cr_log_error("%s was opened", directory);
        store_close(store);
        return false;
    }
    if (err.code == code && strstr(err.message, words))
        return true;
    cr_log_error("%s: %s", error_code_name(err.code), err.message);
    return false;
}

void store_become_nobody(void)
{
    if (geteuid() != 0)
        return;
    cr_assert_eq(chown(store_directory_path, NOBODY, (gid_t)-1), 0);
    cr_assert_eq(seteuid(NOBODY), 0);
}

/* Copies a text that has to fit. */
static void set(char *out, size_t size, const char *text)
{
    cr_assert_lt(strlen(text), size);
    memcpy(out, text, strlen(text) + 1);
}

#define SET(field, text) set((field), sizeof(field), (text))

struct store_bot store_a_bot(const char *name)
{
    struct store_bot bot = {.created_us = NOW};
    SET(bot.name, name);
    SET(bot.created_by, "root");
    return bot;
}

struct store_token store_a_token(const char *id, const char *bot)
{
    struct store_token token = {
        .kind = STORE_TOKEN_BOT, .created_us = NOW, .expires_us = NOW + 1000};
    SET(token.id, id);
    SET(token.name, bot);
    SET(token.created_by, "root");
    for (size_t i = 0; i < sizeof token.hash; i++)
        token.hash[i] = (uint8_t)i; /* with a NUL */
    return token;
}

struct store_instance store_an_instance(const char *id, const char *bot, const char *serial)
{
    struct store_instance instance = {
        .generation = 1, .created_us = NOW, .seen_us = NOW, .not_after_us = NOW + 1000};
    SET(instance.id, id);
    SET(instance.bot, bot);
    SET(instance.serial, serial);
    SET(instance.joined_by, "key");
    return instance;
}

struct store_certificate store_a_certificate(const char *serial, const char *instance)
{
    struct store_certificate certificate = {.kind = STORE_CERTIFICATE_BOT,
                                            .generation = 1,
                                            .not_before_us = NOW - 60,
                                            .not_after_us = NOW + 1000,
                                            .issued_us = NOW};
    SET(certificate.serial, serial);
    SET(certificate.instance, instance);
    SET(certificate.subject, "CN=ci-1,O=reader,OU=bots");
    return certificate;
}

struct store_lock store_a_lock(const char *id)
{
    struct store_lock lock = {.kind = STORE_LOCK_BOT, .created_us = NOW, .expires_us = NOW + 1000};
    SET(lock.id, id);
    SET(lock.target, "ci-1");
    SET(lock.reason, "its key was seen on a pastebin");
    SET(lock.created_by, "root");
    return lock;
}

struct store_authority store_an_authority(int64_t number)
{
    struct store_authority authority = {
        .kind = STORE_AUTHORITY_BOT, .number = number, .created_us = NOW, .phase_since_us = NOW};
    SET(authority.phase, "signs");
    SET(authority.certificate, "-----BEGIN CERTIFICATE-----\n");
    SET(authority.key_file, "bot-1.key");
    return authority;
}

struct store_proxy store_a_proxy(const char *name)
{
    struct store_proxy proxy = {.name_count = 2, .seen_us = NOW};
    SET(proxy.name, name);
    SET(proxy.serial, "abc123");
    SET(proxy.names[0], "proxy.internal");
    SET(proxy.names[1], "10.0.0.5");
    return proxy;
}

void store_with_bot(struct store *store, const char *name)
{
    struct store_bot bot = store_a_bot(name);
    struct error err = {0};
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
}

int64_t store_state(struct store *store)
{
    int64_t version;
    struct error err = {0};
    cr_assert(store_version(store, &version, &err), "%s", err.message);
    return version;
}

char *store_file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    char *bytes = malloc(FILE_LIMIT);
    cr_assert_not_null(bytes);
    *length = fread(bytes, 1, FILE_LIMIT, file);
    cr_assert_eq(fclose(file), 0);
    return bytes;
}

void store_file_write(const char *path, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
    cr_assert_eq(close(fd), 0);
}

#define COUNTER(plural, singular)                                                   \
    bool store_count_##plural(const struct store_##singular *singular, void *count) \
    {                                                                               \
        cr_assert_not_null(singular);                                               \
        ++*(size_t *)count;                                                         \
        return true;                                                                \
    }

COUNTER(bots, bot)
COUNTER(tokens, token)
COUNTER(instances, instance)
COUNTER(locks, lock)
COUNTER(documents, document)
COUNTER(authorities, authority)
COUNTER(proxies, proxy)
