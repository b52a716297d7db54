/* SPDX-License-Identifier: Apache-2.0 */
/* What each table of the store takes, gives back and refuses. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/store.h"
#include "tests/unit/store_support.h"

static struct store *store;
static struct error err;

static void open_store(void)
{
    store_support_enter();
    store = store_opened();
}

static void close_store(void)
{
    store_close(store);
    store_support_leave();
}

TestSuite(rows, .init = open_store, .fini = close_store);

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

static void fill(char *out, size_t length)
{
    memset(out, 'x', length);
    out[length] = '\0';
}

/* Whether the last call failed with this code; the next failure starts from nothing. */
static bool failed(bool done, enum error_code code)
{
    bool right = !done && err.code == code && err.message[0] != '\0';
    if (!right)
        cr_log_error("%s: %s", error_code_name(err.code), err.message);
    err = (struct error){0};
    return right;
}

/* --- bots --- */

Test(rows, bot_comes_back_as_it_was)
{
    struct store_bot bot = store_a_bot("ci-1");
    struct store_bot found;
    bot.role_count = STORE_ROLES_MAX;
    for (size_t i = 0; i < STORE_ROLES_MAX; i++)
        snprintf(bot.roles[i], sizeof bot.roles[i], "role-%zu", STORE_ROLES_MAX - i);
    fill(bot.roles[7], STORE_NAME_SIZE - 1);
    fill(bot.public_key, STORE_KEY_SIZE - 1);
    fill(bot.created_by, STORE_ACTOR_SIZE - 1);
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
    store_with_bot(store, "ci-2");
    cr_assert(store_bot_find(store, "ci-1", &found, &err), "%s", err.message);
    cr_expect_str_eq(found.name, "ci-1");
    cr_expect_str_eq(found.public_key, bot.public_key);
    cr_expect_str_eq(found.created_by, bot.created_by);
    cr_expect_eq(found.created_us, NOW);
    cr_assert_eq(found.role_count, STORE_ROLES_MAX);
    for (size_t i = 0; i < STORE_ROLES_MAX; i++)
        cr_expect_str_eq(found.roles[i], bot.roles[i], "in the order given");
    cr_assert(store_bot_find(store, "ci-2", &found, &err), "%s", err.message);
    cr_expect_eq(found.role_count, 0);
}

Test(rows, bot_is_refused)
{
    struct store_bot bot = store_a_bot("ci-1");
    store_with_bot(store, "ci-1");
    cr_expect_not(store_bot_add(store, &bot, &err));
    cr_expect_str_eq(err.message, "there is a bot ci-1 already");
    cr_expect(failed(false, ERROR_EXISTS));
    bot = store_a_bot("");
    cr_expect(failed(store_bot_add(store, &bot, &err), ERROR_LIMIT), "without a name");
    bot = store_a_bot("ci-2");
    bot.role_count = 2;
    SET(bot.roles[0], "reader");
    SET(bot.roles[1], "reader");
    cr_expect(failed(store_bot_add(store, &bot, &err), ERROR_LIMIT), "a role twice");
    bot.role_count = STORE_ROLES_MAX + 1;
    cr_expect(failed(store_bot_add(store, &bot, &err), ERROR_LIMIT), "too many roles");
    bot.role_count = 1;
    bot.roles[0][0] = '\0';
    cr_expect(failed(store_bot_add(store, &bot, &err), ERROR_LIMIT), "a role without a name");
    cr_expect(failed(store_bot_find(store, "ci-2", &bot, &err), ERROR_NOT_FOUND),
              "nothing of it stays");
}

struct seen {
    size_t count;
    char names[8][STORE_NAME_SIZE];
    size_t roles[8];
};

static bool note_bot(const struct store_bot *bot, void *context)
{
    struct seen *seen = context;
    cr_assert_lt(seen->count, 8);
    SET(seen->names[seen->count], bot->name);
    seen->roles[seen->count++] = bot->role_count;
    return true;
}

Test(rows, bots_are_visited_by_name_each_once)
{
    static const char *const roles[] = {"r1", "r2", "r3"};
    struct seen seen = {0};
    cr_assert(store_bot_each(store, note_bot, &seen, &err));
    cr_expect_eq(seen.count, 0);
    store_with_bot(store, "b");
    store_with_bot(store, "C");
    store_with_bot(store, "a");
    cr_assert(store_bot_set_roles(store, "b", roles, 3, NULL, NULL));
    cr_assert(store_bot_set_roles(store, "C", roles, 1, NULL, NULL));
    cr_assert(store_bot_each(store, note_bot, &seen, &err), "%s", err.message);
    cr_assert_eq(seen.count, 3);
    cr_expect_str_eq(seen.names[0], "C");
    cr_expect_str_eq(seen.names[1], "a");
    cr_expect_str_eq(seen.names[2], "b");
    cr_expect_eq(seen.roles[0], 1);
    cr_expect_eq(seen.roles[1], 0);
    cr_expect_eq(seen.roles[2], 3);
}

Test(rows, roles_are_replaced)
{
    static const char *const first[] = {"reader", "writer"};
    static const char *const turned[] = {"writer", "reader"};
    static const char *const twice[] = {"a", "b", "a"};
    struct store_bot bot;
    bool changed = false;
    store_with_bot(store, "ci-1");
    cr_assert(store_bot_set_roles(store, "ci-1", first, 2, &changed, &err), "%s", err.message);
    cr_expect(changed);
    cr_assert(store_bot_set_roles(store, "ci-1", first, 2, &changed, &err));
    cr_expect_not(changed);
    cr_assert(store_bot_set_roles(store, "ci-1", turned, 2, &changed, &err));
    cr_expect(changed, "their order is part of the certificate");
    cr_expect(failed(store_bot_set_roles(store, "ci-1", twice, 3, &changed, &err), ERROR_LIMIT));
    cr_expect(failed(store_bot_set_roles(store, "no", first, 2, &changed, &err), ERROR_NOT_FOUND));
    cr_assert(store_bot_find(store, "ci-1", &bot, NULL));
    cr_assert_eq(bot.role_count, 2);
    cr_expect_str_eq(bot.roles[0], "writer");
    cr_assert(store_bot_set_roles(store, "ci-1", NULL, 0, &changed, &err));
    cr_assert(store_bot_find(store, "ci-1", &bot, NULL));
    cr_expect_eq(bot.role_count, 0);
}

Test(rows, bot_goes_with_what_is_its)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    struct store_token other = store_a_token("0123456789abcdee", "ci-2");
    struct store_token proxy = store_a_token("0123456789abcded", "ci-1");
    struct store_instance instance =
        store_an_instance("0123456789abcdef0123456789abcdef", "ci-1", "aa");
    struct store_certificate certificate = store_a_certificate("aa", instance.id);
    struct store_lock lock = store_a_lock("0123456789abcdef");
    static const char *const roles[] = {"reader"};
    enum store_serial which;
    proxy.kind = STORE_TOKEN_PROXY; /* of a proxy that happens to be called like the bot */
    store_with_bot(store, "ci-1");
    store_with_bot(store, "ci-2");
    cr_assert(store_bot_set_roles(store, "ci-1", roles, 1, NULL, NULL));
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_token_add(store, &other, &err), "%s", err.message);
    cr_assert(store_token_add(store, &proxy, &err), "%s", err.message);
    cr_assert(store_instance_add(store, &instance, &err), "%s", err.message);
    cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);

    cr_assert(store_bot_remove(store, "ci-1", &err), "%s", err.message);
    cr_expect(failed(store_token_find(store, token.id, &token, &err), ERROR_NOT_FOUND));
    cr_expect(failed(store_instance_find(store, instance.id, &instance, &err), ERROR_NOT_FOUND));
    cr_expect(
        failed(store_instance_find_serial(store, "aa", &instance, &which, &err), ERROR_NOT_FOUND));
    cr_expect(store_token_find(store, other.id, &other, NULL));
    cr_expect(store_token_find(store, proxy.id, &proxy, NULL));
    cr_expect(store_certificate_find(store, "aa", &certificate, NULL), "the ledger remembers");
    cr_expect(store_lock_find(store, lock.id, &lock, NULL), "a lock outlives what it is on");
    cr_expect(failed(store_bot_remove(store, "ci-1", &err), ERROR_NOT_FOUND));
}

/* --- tokens --- */

Test(rows, token_comes_back_as_it_was)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    struct store_token found;
    store_with_bot(store, "ci-1");
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_token_find(store, token.id, &found, &err), "%s", err.message);
    cr_expect_arr_eq(found.hash, token.hash, STORE_HASH_LENGTH);
    cr_expect_str_eq(found.id, token.id);
    cr_expect_str_eq(found.name, "ci-1");
    cr_expect_str_eq(found.created_by, "root");
    cr_expect_str_eq(found.used_by, "");
    cr_expect_eq(found.kind, STORE_TOKEN_BOT);
    cr_expect(found.created_us == NOW && found.expires_us == NOW + 1000 && found.used_us == 0);
}

Test(rows, token_is_refused)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    cr_expect_not(store_token_add(store, &token, &err));
    cr_expect_str_eq(err.message, "there is no bot ci-1");
    cr_expect(failed(false, ERROR_NOT_FOUND));
    token.kind = STORE_TOKEN_PROXY;
    cr_assert(store_token_add(store, &token, &err), "its proxy need not be there: %s", err.message);
    cr_expect(failed(store_token_add(store, &token, &err), ERROR_EXISTS));
    SET(token.id, "0123");
    cr_expect(failed(store_token_add(store, &token, &err), ERROR_LIMIT), "a short id");
    SET(token.id, "0123456789abcdee");
    token.kind = (enum store_token_kind)0;
    cr_expect(failed(store_token_add(store, &token, &err), ERROR_LIMIT), "no kind");
    token.kind = (enum store_token_kind)99;
    cr_expect(failed(store_token_add(store, &token, &err), ERROR_LIMIT), "no kind");
    cr_expect(failed(store_token_find(store, "0123456789abcdee", &token, &err), ERROR_NOT_FOUND));
    cr_expect(failed(store_token_remove(store, "0123456789abcdee", &err), ERROR_NOT_FOUND));
}

Test(rows, token_is_used_once)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    bool used = false;
    store_with_bot(store, "ci-1");
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_token_use(store, token.id, NOW + 1, "10.0.0.9:4711", &used, &err));
    cr_expect(used);
    for (int i = 0; i < 3; i++) {
        cr_assert(store_token_use(store, token.id, NOW + 2, "10.0.0.10:1", &used, &err));
        cr_expect_not(used);
    }
    cr_assert(store_token_find(store, token.id, &token, NULL));
    cr_expect_eq(token.used_us, NOW + 1);
    cr_expect_str_eq(token.used_by, "10.0.0.9:4711");
}

Test(rows, token_is_not_used_late_nor_at_no_time)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    bool used = true;
    store_with_bot(store, "ci-1");
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_token_use(store, token.id, NOW + 1000, "x", &used, &err));
    cr_expect_not(used, "it ends with the microsecond before");
    cr_assert(store_token_note(store, token.id, "", "2b", &err));
    cr_assert(failed(store_token_note(store, "fedcba9876543210", "", "2b", &err), ERROR_NOT_FOUND));
    cr_assert(store_token_use(store, "fedcba9876543210", NOW, "x", &used, &err));
    cr_expect_not(used, "unknown");
    cr_expect(failed(store_token_use(store, token.id, 0, "x", &used, &err), ERROR_LIMIT));
    cr_expect(failed(store_token_use(store, token.id, -1, "x", &used, &err), ERROR_LIMIT));
    cr_assert(store_token_use(store, token.id, NOW + 999, "x", &used, &err));
    cr_expect(used);
}

Test(rows, token_use_is_undone_with_its_group)
{
    struct store_token token = store_a_token("0123456789abcdef", "ci-1");
    bool used = false;
    store_with_bot(store, "ci-1");
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_begin(store, NULL));
    cr_assert(store_token_use(store, token.id, NOW, "x", &used, &err));
    cr_expect(used);
    cr_assert(store_token_use(store, token.id, NOW, "x", &used, &err));
    cr_expect_not(used, "once in the group, too");
    store_rollback(store);
    cr_assert(store_token_use(store, token.id, NOW, "x", &used, &err));
    cr_expect(used);
}

Test(rows, tokens_are_pruned_and_removed)
{
    struct store_token token = store_a_token("0123456789abcdef", "p");
    int64_t removed;
    size_t count = 0;
    token.kind = STORE_TOKEN_PROXY;
    for (int i = 0; i < 5; i++) {
        snprintf(token.id, sizeof token.id, "000000000000000%c", '0' + i);
        token.expires_us = NOW + i;
        cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    }
    cr_assert(store_token_prune(store, NOW + 2, &removed, &err));
    cr_expect_eq(removed, 3);
    cr_assert(store_token_prune(store, NOW + 2, &removed, &err));
    cr_expect_eq(removed, 0);
    cr_assert(store_token_remove(store, "0000000000000004", &err), "%s", err.message);
    cr_assert(store_token_each(store, store_count_tokens, &count, NULL));
    cr_expect_eq(count, 1);
}

/* --- the ledger --- */

Test(rows, certificate_comes_back_as_it_was)
{
    struct store_certificate certificate =
        store_a_certificate("aa", "0123456789abcdef0123456789abcdef");
    struct store_certificate found;
    fill(certificate.subject, STORE_SUBJECT_SIZE - 1);
    fill(certificate.serial, STORE_SERIAL_SIZE - 1);
    certificate.kind = STORE_CERTIFICATE_DATABASE_SERVER;
    certificate.generation = INT64_MAX;
    certificate.authority = 3;
    certificate.not_before_us = INT64_MIN;
    certificate.not_after_us = INT64_MAX;
    cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    cr_assert(store_certificate_find(store, certificate.serial, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.subject, certificate.subject);
    cr_expect_str_eq(found.instance, certificate.instance);
    cr_expect_eq(found.kind, STORE_CERTIFICATE_DATABASE_SERVER);
    cr_expect(found.generation == INT64_MAX && found.not_before_us == INT64_MIN &&
              found.not_after_us == INT64_MAX && found.issued_us == NOW && found.authority == 3);
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_EXISTS));
}

Test(rows, certificate_is_refused)
{
    struct store_certificate certificate = store_a_certificate("aa", "short");
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    certificate = store_a_certificate("", "");
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    certificate = store_a_certificate("aa", "");
    certificate.not_after_us = certificate.not_before_us;
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    certificate = store_a_certificate("aa", "");
    certificate.generation = -1;
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    certificate = store_a_certificate("aa", "");
    certificate.subject[0] = '\0';
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    certificate = store_a_certificate("aa", "");
    certificate.kind = (enum store_certificate_kind)6;
    cr_expect(failed(store_certificate_add(store, &certificate, &err), ERROR_LIMIT));
    cr_expect(failed(store_certificate_find(store, "aa", &certificate, &err), ERROR_NOT_FOUND));
}

Test(rows, ledger_forgets_what_has_ended)
{
    char serial[8];
    int64_t removed;
    struct store_certificate certificate;
    for (int i = 0; i < 5; i++) {
        snprintf(serial, sizeof serial, "a%c", '0' + i);
        certificate = store_a_certificate(serial, "");
        certificate.not_after_us = NOW + i;
        cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    }
    cr_assert(store_certificate_prune(store, NOW + 1, &removed, &err));
    cr_expect_eq(removed, 2);
    cr_expect_not(store_certificate_find(store, "a1", &certificate, NULL));
    cr_expect(store_certificate_find(store, "a2", &certificate, NULL));
}

/* --- locks --- */

Test(rows, lock_comes_back_as_it_was)
{
    struct store_lock lock = store_a_lock("0123456789abcdef");
    struct store_lock found;
    fill(lock.target, STORE_TARGET_SIZE - 1);
    fill(lock.reason, STORE_REASON_SIZE - 1);
    lock.kind = STORE_LOCK_PROXY;
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);
    cr_assert(store_lock_find(store, lock.id, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.target, lock.target);
    cr_expect_str_eq(found.reason, lock.reason);
    cr_expect_str_eq(found.created_by, "root");
    cr_expect(found.kind == STORE_LOCK_PROXY && found.created_us == NOW &&
              found.expires_us == NOW + 1000);
    cr_expect(failed(store_lock_add(store, &lock, &err), ERROR_EXISTS));
    cr_expect(failed(store_lock_remove(store, "fedcba9876543210", &err), ERROR_NOT_FOUND));
    cr_assert(store_lock_remove(store, lock.id, &err), "%s", err.message);
    cr_expect(failed(store_lock_find(store, lock.id, &found, &err), ERROR_NOT_FOUND));
}

Test(rows, lock_is_refused)
{
    struct store_lock lock = store_a_lock("0123456789abcdef");
    lock.target[0] = '\0';
    cr_expect(failed(store_lock_add(store, &lock, &err), ERROR_LIMIT), "on nothing");
    lock = store_a_lock("0123456789abcde");
    cr_expect(failed(store_lock_add(store, &lock, &err), ERROR_LIMIT), "a short id");
    lock = store_a_lock("0123456789abcdef");
    lock.kind = (enum store_lock_kind)7;
    cr_expect(failed(store_lock_add(store, &lock, &err), ERROR_LIMIT), "no kind");
    cr_expect(failed(store_lock_find(store, lock.id, &lock, &err), ERROR_NOT_FOUND));
}

static size_t locks_at(int64_t now_us)
{
    size_t count = 0;
    cr_assert(store_lock_each(store, now_us, store_count_locks, &count, &err), "%s", err.message);
    return count;
}

Test(rows, locks_end_when_they_should)
{
    struct store_lock lock = store_a_lock("0123456789abcde0");
    int64_t removed;
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);
    lock = store_a_lock("0123456789abcde1");
    lock.expires_us = 0;
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);
    cr_expect_eq(locks_at(NOW + 999), 2);
    cr_expect_eq(locks_at(NOW + 1000), 1);
    cr_expect_eq(locks_at(INT64_MAX), 1);
    cr_assert(store_lock_prune(store, NOW + 999, &removed, &err));
    cr_expect_eq(removed, 0);
    cr_assert(store_lock_prune(store, NOW + 1000, &removed, &err));
    cr_expect_eq(removed, 1);
    cr_assert(store_lock_prune(store, INT64_MAX, &removed, &err));
    cr_expect_eq(removed, 0, "what has no end has none");
}

/* As the authority makes them on instances of bots. */
static void add_lock(const char *id, enum store_lock_kind kind, const char *target, const char *by)
{
    struct store_lock lock = store_a_lock(id);
    lock.kind = kind;
    SET(lock.target, target);
    SET(lock.created_by, by);
    lock.expires_us = 0;
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);
}

static int64_t count_of(const char *by, const char *bot)
{
    int64_t count = -1;
    cr_assert(store_lock_count_of_bot(store, by, bot, &count, &err), "%s", err.message);
    return count;
}

Test(rows, locks_on_instances_are_counted_by_bot_and_creator)
{
    static const char one[] = "0123456789abcdef0123456789abcde1";
    static const char gone[] = "0123456789abcdef0123456789abcde2";
    struct store_bot bot = store_a_bot("ci-1");
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
    struct store_instance instance = store_an_instance(one, "ci-1", "s1");
    cr_assert(store_instance_add(store, &instance, &err), "%s", err.message);
    add_lock("0123456789abcde0", STORE_LOCK_INSTANCE, one, "authority");
    add_lock("0123456789abcde1", STORE_LOCK_INSTANCE, one, "uid 0");
    add_lock("0123456789abcde2", STORE_LOCK_INSTANCE, gone, "authority");
    add_lock("0123456789abcde3", STORE_LOCK_BOT, one, "authority");
    cr_expect_eq(count_of("authority", "ci-1"), 1);
    cr_expect_eq(count_of("uid 0", "ci-1"), 1);
    cr_expect_eq(count_of("authority", "ci-2"), 0);
}

Test(rows, locks_on_instances_that_are_gone_are_lost)
{
    static const char gone[] = "0123456789abcdef0123456789abcde2";
    int64_t removed, before, after;
    add_lock("0123456789abcde0", STORE_LOCK_INSTANCE, gone, "authority");
    add_lock("0123456789abcde1", STORE_LOCK_INSTANCE, gone, "uid 0");
    add_lock("0123456789abcde2", STORE_LOCK_BOT, gone, "authority");
    cr_assert(store_version(store, &before, &err));
    cr_assert(store_lock_prune_lost(store, "authority", NOW, &removed, &err), "%s", err.message);
    cr_expect_eq(removed, 0, "not from before that time");
    cr_assert(store_version(store, &after, &err));
    cr_expect_eq(after, before);
    cr_assert(store_lock_prune_lost(store, "authority", NOW + 1, &removed, &err));
    cr_expect_eq(removed, 1);
    cr_expect_eq(locks_at(NOW), 2);
    cr_assert(store_version(store, &after, &err));
    cr_expect_gt(after, before, "proxies learn of it");
}

/* --- documents --- */

static enum store_change put(const char *name, const char *text)
{
    enum store_change change;
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, name, text, NOW, &change, &err), "%s",
              err.message);
    return change;
}

static bool has_text(enum store_document_kind kind, const char *name, const char *text)
{
    struct buffer found;
    buffer_init(&found, STORE_DOCUMENT_TEXT_MAX + 1);
    bool same = store_document_find(store, kind, name, &found, &err) &&
                buffer_length(&found) == strlen(text) &&
                memcmp(buffer_bytes(&found), text, strlen(text)) == 0;
    buffer_release(&found);
    return same;
}

Test(rows, document_says_what_became_of_it)
{
    enum store_change change;
    cr_expect_eq(put("reader", "{\"a\":1}"), STORE_ADDED);
    cr_expect_eq(put("reader", "{\"a\":1}"), STORE_UNCHANGED);
    cr_expect_eq(put("reader", "{\"a\":2}"), STORE_CHANGED);
    cr_expect_eq(put("Reader", "{\"a\":2}"), STORE_ADDED);
    cr_assert(
        store_document_put(store, STORE_DOCUMENT_DATABASE, "reader", "{}", NOW, &change, &err));
    cr_expect_eq(change, STORE_ADDED, "each kind has names of its own");
    cr_expect(has_text(STORE_DOCUMENT_ROLE, "reader", "{\"a\":2}"));
    cr_expect(has_text(STORE_DOCUMENT_DATABASE, "reader", "{}"));
    cr_assert(store_document_remove(store, STORE_DOCUMENT_ROLE, "reader", &err));
    cr_expect_not(store_document_remove(store, STORE_DOCUMENT_ROLE, "reader", &err));
    cr_expect_str_eq(err.message, "there is no role reader");
    cr_expect(failed(false, ERROR_NOT_FOUND));
    cr_expect(has_text(STORE_DOCUMENT_DATABASE, "reader", "{}"));
}

Test(rows, document_of_the_greatest_size)
{
    static char text[STORE_DOCUMENT_TEXT_MAX + 2];
    enum store_change change;
    char name[STORE_DOCUMENT_SIZE];
    fill(name, sizeof name - 1);
    fill(text, STORE_DOCUMENT_TEXT_MAX);
    cr_expect_eq(put(name, text), STORE_ADDED);
    cr_expect_eq(put(name, text), STORE_UNCHANGED);
    cr_expect(has_text(STORE_DOCUMENT_ROLE, name, text));
    fill(text, STORE_DOCUMENT_TEXT_MAX + 1);
    cr_expect(failed(store_document_put(store, STORE_DOCUMENT_ROLE, name, text, NOW, &change, &err),
                     ERROR_LIMIT));
    cr_expect(failed(store_document_put(store, STORE_DOCUMENT_ROLE, "x", "", NOW, &change, &err),
                     ERROR_LIMIT));
    cr_expect(failed(store_document_put(store, STORE_DOCUMENT_ROLE, "", "{}", NOW, &change, &err),
                     ERROR_LIMIT));
    cr_expect(failed(
        store_document_put(store, (enum store_document_kind)0, "x", "{}", NOW, &change, &err),
        ERROR_LIMIT));
}

Test(rows, document_that_does_not_fit_the_buffer_is_an_error)
{
    struct buffer small;
    buffer_init(&small, 4);
    put("reader", "{\"a\":1}");
    cr_expect(failed(store_document_find(store, STORE_DOCUMENT_ROLE, "reader", &small, &err),
                     ERROR_LIMIT));
    buffer_release(&small);
    cr_expect(has_text(STORE_DOCUMENT_ROLE, "reader", "{\"a\":1}"));
}

Test(rows, documents_are_visited_by_kind)
{
    enum store_change change;
    size_t all = 0;
    size_t roles = 0;
    size_t none = 0;
    put("a", "{}");
    put("b", "{}");
    cr_assert(store_document_put(store, STORE_DOCUMENT_MAPPING, "a", "{}", NOW, &change, &err));
    cr_assert(store_document_each(store, STORE_DOCUMENT_ROLE, store_count_documents, &roles, &err));
    cr_assert(
        store_document_each(store, (enum store_document_kind)0, store_count_documents, &all, &err));
    cr_assert(store_document_each(store, (enum store_document_kind)9, store_count_documents, &none,
                                  &err));
    cr_expect(roles == 2 && all == 3 && none == 0);
}

/* --- CAs --- */

struct authorities {
    size_t count;
    struct store_authority list[4];
};

static bool note_authority(const struct store_authority *authority, void *context)
{
    struct authorities *seen = context;
    cr_assert_lt(seen->count, 4);
    seen->list[seen->count++] = *authority;
    return true;
}

Test(rows, authorities_move_through_phases)
{
    struct store_authority authority = store_an_authority(10);
    struct authorities seen = {0};
    fill(authority.certificate, STORE_PEM_SIZE - 1);
    cr_assert(store_authority_add(store, &authority, &err), "%s", err.message);
    authority = store_an_authority(9);
    cr_assert(store_authority_add(store, &authority, &err), "%s", err.message);
    authority.kind = STORE_AUTHORITY_SERVICE;
    cr_assert(store_authority_add(store, &authority, &err), "%s", err.message);
    cr_expect_not(store_authority_add(store, &authority, &err));
    cr_expect_str_eq(err.message, "there is a CA service 9 already");
    cr_expect(failed(false, ERROR_EXISTS));
    cr_assert(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 9, "trusted", NOW + 5, &err));
    cr_expect(failed(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 8, "old", NOW, &err),
                     ERROR_NOT_FOUND));
    cr_expect(failed(store_authority_set_phase(store, STORE_AUTHORITY_BOT, 9, "", NOW, &err),
                     ERROR_LIMIT));
    cr_assert(store_authority_each(store, STORE_AUTHORITY_BOT, note_authority, &seen, &err));
    cr_assert_eq(seen.count, 2);
    cr_expect(seen.list[0].number == 9 && seen.list[1].number == 10, "by number, not by text");
    cr_expect_str_eq(seen.list[0].phase, "trusted");
    cr_expect_eq(seen.list[0].phase_since_us, NOW + 5);
    cr_expect_eq(seen.list[0].created_us, NOW);
    cr_expect_str_eq(seen.list[0].key_file, "bot-1.key");
    cr_expect_eq(strlen(seen.list[1].certificate), STORE_PEM_SIZE - 1);
    cr_assert(store_authority_remove(store, STORE_AUTHORITY_BOT, 9, &err), "%s", err.message);
    cr_expect(failed(store_authority_remove(store, STORE_AUTHORITY_BOT, 9, &err), ERROR_NOT_FOUND));
    seen.count = 0;
    cr_assert(
        store_authority_each(store, (enum store_authority_kind)0, note_authority, &seen, &err));
    cr_expect_eq(seen.count, 2);
    authority = store_an_authority(0);
    cr_expect(failed(store_authority_add(store, &authority, &err), ERROR_LIMIT));
}

/* --- proxies --- */

Test(rows, proxy_is_put_in_the_place_of_what_was_there)
{
    struct store_proxy proxy = store_a_proxy("p1");
    struct store_proxy found;
    size_t count = 0;
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    proxy.name_count = STORE_PROXY_NAMES_MAX;
    for (size_t i = 0; i < STORE_PROXY_NAMES_MAX; i++)
        snprintf(proxy.names[i], sizeof proxy.names[i], "p%02zu.internal", 40 - i);
    fill(proxy.names[3], STORE_HOST_SIZE - 1);
    SET(proxy.serial, "def");
    proxy.seen_us = NOW + 7;
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    cr_assert(store_proxy_find(store, "p1", &found, &err), "%s", err.message);
    cr_expect_str_eq(found.serial, "def");
    cr_expect_eq(found.seen_us, NOW + 7);
    cr_assert_eq(found.name_count, STORE_PROXY_NAMES_MAX);
    for (size_t i = 0; i < STORE_PROXY_NAMES_MAX; i++)
        cr_expect_str_eq(found.names[i], proxy.names[i]);
    proxy = store_a_proxy("p0");
    proxy.name_count = 0;
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    cr_assert(store_proxy_each(store, store_count_proxies, &count, NULL));
    cr_expect_eq(count, 2);
    cr_assert(store_proxy_remove(store, "p1", &err), "%s", err.message);
    cr_expect(failed(store_proxy_remove(store, "p1", &err), ERROR_NOT_FOUND));
    cr_expect(failed(store_proxy_find(store, "p1", &found, &err), ERROR_NOT_FOUND));
    cr_expect(store_proxy_find(store, "p0", &found, NULL));
    cr_expect_eq(found.name_count, 0);
}

Test(rows, proxy_that_is_refused_leaves_the_old_one)
{
    struct store_proxy proxy = store_a_proxy("p1");
    struct store_proxy found;
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    SET(proxy.serial, "def");
    SET(proxy.names[1], proxy.names[0]);
    cr_expect(failed(store_proxy_put(store, &proxy, &err), ERROR_LIMIT), "a name twice");
    proxy.names[1][0] = '\0';
    cr_expect(failed(store_proxy_put(store, &proxy, &err), ERROR_LIMIT), "an empty name");
    proxy.name_count = STORE_PROXY_NAMES_MAX + 1;
    cr_expect(failed(store_proxy_put(store, &proxy, &err), ERROR_LIMIT), "too many names");
    proxy = store_a_proxy("");
    cr_expect(failed(store_proxy_put(store, &proxy, &err), ERROR_LIMIT), "no name");
    cr_assert(store_proxy_find(store, "p1", &found, &err), "%s", err.message);
    cr_expect_str_eq(found.serial, "abc123");
    cr_expect_eq(found.name_count, 2);
}

/* --- words --- */

Test(rows, kinds_have_words)
{
    enum store_lock_kind lock = 0;
    enum store_certificate_kind certificate = 0;
    enum store_authority_kind authority = 0;
    enum store_document_kind document = 0;
    enum store_token_kind token = 0;
    cr_expect_str_eq(store_lock_kind_name(STORE_LOCK_PROXY), "proxy");
    cr_expect_str_eq(store_certificate_kind_name(STORE_CERTIFICATE_CA), "ca");
    cr_expect_str_eq(store_authority_kind_name(STORE_AUTHORITY_DATABASE_CLIENT), "database-client");
    cr_expect_str_eq(store_document_kind_name(STORE_DOCUMENT_MAPPING), "mapping");
    cr_expect_str_eq(store_token_kind_name(STORE_TOKEN_PROXY), "proxy");
    cr_expect_null(store_lock_kind_name((enum store_lock_kind)0));
    cr_expect_null(store_token_kind_name((enum store_token_kind)3));
    cr_expect(store_lock_kind_parse("database", &lock) && lock == STORE_LOCK_DATABASE);
    cr_expect(store_certificate_kind_parse("database-client", &certificate) &&
              certificate == STORE_CERTIFICATE_DATABASE_CLIENT);
    cr_expect(store_authority_kind_parse("service", &authority) &&
              authority == STORE_AUTHORITY_SERVICE);
    cr_expect(store_document_kind_parse("role", &document) && document == STORE_DOCUMENT_ROLE);
    cr_expect(store_token_kind_parse("bot", &token) && token == STORE_TOKEN_BOT);
    cr_expect_not(store_lock_kind_parse("Bot", &lock));
    cr_expect_not(store_authority_kind_parse("", &authority));
}

Test(rows, proxies_are_found_by_their_hosts)
{
    struct store_proxy proxy = store_a_proxy("p1");
    char name[STORE_NAME_SIZE];
    proxy.name_count = 1;
    SET(proxy.names[0], "p.internal");
    proxy.joined_us = NOW;
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    cr_assert(store_proxy_find_host(store, "p.internal", "p2", NOW + 1, name, &err));
    cr_expect_str_eq(name, "p1");
    cr_assert(store_proxy_find_host(store, "p.internal", "p1", NOW + 1, name, &err));
    cr_expect_str_eq(name, "", "that is its own name");
    cr_assert(store_proxy_find_host(store, "p.internal", "p2", NOW, name, &err));
    cr_expect_str_eq(name, "", "it has joined later");
    cr_assert(store_proxy_find_host(store, "q.internal", "p2", NOW + 1, name, &err));
    cr_expect_str_eq(name, "");
}
