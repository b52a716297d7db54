/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of every sort in every column of the store that takes one. */
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

TestSuite(texts, .init = open_store, .fini = close_store);

/* Quotes, comments, placeholders, wildcards, control characters, the longest characters, and what
 * looks like other types. All of it has to come back as it went in, and to harm nothing. */
static const char *const texts[] = {
    "'; DROP TABLE bots; --",
    "' OR '1'='1",
    "\"name\"",
    "`name`",
    "a\\'b\\\\",
    "/* */ ; -- #",
    "?1 :name @name $name",
    "%_*",
    "NULL",
    "0x41",
    "1e3",
    "007",
    " leading and trailing ",
    "\t\r\n\x01\x1b[2J\x7f",
    "gr\xc3\xbc\xc3\x9fig",
    "e\xcc\x81", /* not the same as the next, although they look it */
    "\xc3\xa9",
    "\xf0\x9f\x94\x92\xf4\x8f\xbf\xbf",
    "\xe2\x80\xae\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
    "Name",
    "name",  /* case tells them apart */
    "name ", /* and so does a blank, which MySQL's older collations pad */
};
#define TEXTS (sizeof texts / sizeof *texts)

static const char *const not_utf8[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80"};
#define NOT_UTF8 (sizeof not_utf8 / sizeof *not_utf8)

#define SET(field, text) snprintf((field), sizeof(field), "%s", (text))

/* Whether the last call failed with this code; the next failure starts from nothing. */
static bool failed(bool done, enum error_code code)
{
    bool right = !done && err.code == code && err.message[0] != '\0';
    if (!right)
        cr_log_error("%s: %s", error_code_name(err.code), err.message);
    err = (struct error){0};
    return right;
}

static void put_bot(const char *text)
{
    struct store_bot bot = store_a_bot(text);
    struct store_bot found;
    bot.role_count = 1;
    SET(bot.roles[0], text);
    SET(bot.public_key, text);
    SET(bot.created_by, text);
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
    cr_assert(store_bot_find(store, text, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.name, text);
    cr_expect_str_eq(found.roles[0], text);
    cr_expect_str_eq(found.public_key, text);
    cr_expect_str_eq(found.created_by, text);
}

static void put_token(const char *text, unsigned number)
{
    struct store_token token = store_a_token("", text);
    struct store_token found;
    bool used = false;
    snprintf(token.id, sizeof token.id, "%016u", number);
    SET(token.created_by, text);
    cr_assert(store_token_add(store, &token, &err), "%s", err.message);
    cr_assert(store_token_use(store, token.id, NOW, text, &used, &err) && used);
    cr_assert(store_token_find(store, token.id, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.name, text);
    cr_expect_str_eq(found.created_by, text);
    cr_expect_str_eq(found.used_by, text);
}

static void put_instance(const char *text, unsigned number)
{
    struct store_instance instance = store_an_instance("", text, text);
    struct store_instance found;
    enum store_serial which;
    snprintf(instance.id, sizeof instance.id, "%032u", number);
    SET(instance.joined_by, text);
    cr_assert(store_instance_add(store, &instance, &err), "%s", err.message);
    cr_assert(store_instance_find_serial(store, text, &found, &which, &err), "%s", err.message);
    cr_expect_str_eq(found.id, instance.id);
    cr_expect_str_eq(found.bot, text);
    cr_expect_str_eq(found.joined_by, text);
    struct store_certificate certificate = store_a_certificate(text, instance.id);
    SET(certificate.subject, text);
    cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    cr_assert(store_certificate_find(store, text, &certificate, &err), "%s", err.message);
    cr_expect_str_eq(certificate.subject, text);
}

static void put_lock(const char *text, unsigned number)
{
    struct store_lock lock = store_a_lock("");
    struct store_lock found;
    snprintf(lock.id, sizeof lock.id, "%016u", number);
    SET(lock.target, text);
    SET(lock.reason, text);
    SET(lock.created_by, text);
    cr_assert(store_lock_add(store, &lock, &err), "%s", err.message);
    cr_assert(store_lock_find(store, lock.id, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.target, text);
    cr_expect_str_eq(found.reason, text);
    cr_expect_str_eq(found.created_by, text);
}

static bool note_authority(const struct store_authority *authority, void *context)
{
    *(struct store_authority *)context = *authority;
    return true;
}

static void put_authority(const char *text, unsigned number)
{
    struct store_authority authority = store_an_authority(number + 1);
    struct store_authority seen = {0};
    SET(authority.phase, text);
    SET(authority.certificate, text);
    SET(authority.key_file, text);
    cr_assert(store_authority_add(store, &authority, &err), "%s", err.message);
    cr_assert(store_authority_each(store, STORE_AUTHORITY_BOT, note_authority, &seen, &err));
    cr_expect_str_eq(seen.phase, text);
    cr_expect_str_eq(seen.certificate, text);
    cr_expect_str_eq(seen.key_file, text);
    cr_assert(store_authority_remove(store, STORE_AUTHORITY_BOT, number + 1, &err));
}

static void put_proxy(const char *text)
{
    struct store_proxy proxy = store_a_proxy(text);
    struct store_proxy found;
    SET(proxy.serial, text);
    SET(proxy.names[1], text);
    cr_assert(store_proxy_put(store, &proxy, &err), "%s", err.message);
    cr_assert(store_proxy_find(store, text, &found, &err), "%s", err.message);
    cr_expect_str_eq(found.serial, text);
    cr_expect_str_eq(found.names[1], text);
}

static void put_document(const char *text)
{
    struct buffer found;
    enum store_change change;
    buffer_init(&found, STORE_DOCUMENT_TEXT_MAX);
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, text, text, NOW, &change, &err), "%s",
              err.message);
    cr_expect_eq(change, STORE_ADDED);
    cr_assert(store_document_find(store, STORE_DOCUMENT_ROLE, text, &found, &err), "%s",
              err.message);
    cr_expect_eq(buffer_length(&found), strlen(text));
    cr_expect_arr_eq(buffer_bytes(&found), text, strlen(text));
    buffer_release(&found);
}

Test(texts, any_text_is_a_value)
{
    size_t bots = 0;
    size_t documents = 0;
    for (unsigned i = 0; i < TEXTS; i++) {
        put_bot(texts[i]);
        put_token(texts[i], i);
        put_instance(texts[i], i);
        put_lock(texts[i], i);
        put_authority(texts[i], i);
        put_proxy(texts[i]);
        put_document(texts[i]);
    }
    cr_assert(store_bot_each(store, store_count_bots, &bots, NULL));
    cr_assert(
        store_document_each(store, STORE_DOCUMENT_ROLE, store_count_documents, &documents, NULL));
    cr_expect(bots == TEXTS && documents == TEXTS, "they are all different");
    for (unsigned i = 0; i < TEXTS; i++)
        cr_expect(store_bot_remove(store, texts[i], &err), "%s", err.message);
    bots = 0;
    cr_assert(store_bot_each(store, store_count_bots, &bots, NULL));
    cr_expect_eq(bots, 0);
}

Test(texts, what_is_not_utf8_is_refused)
{
    struct store_bot bot = store_a_bot("x");
    struct store_lock lock = store_a_lock("0123456789abcdef");
    enum store_change change;
    for (size_t i = 0; i < NOT_UTF8; i++) {
        SET(bot.name, not_utf8[i]);
        cr_expect(failed(store_bot_add(store, &bot, &err), ERROR_LIMIT));
        cr_expect(failed(store_bot_find(store, not_utf8[i], &bot, &err), ERROR_LIMIT));
        SET(lock.reason, not_utf8[i]);
        cr_expect_not(store_lock_add(store, &lock, &err));
        cr_expect_str_eq(err.message, "the reason is not valid UTF-8");
        cr_expect(failed(false, ERROR_LIMIT));
        cr_expect(failed(
            store_document_put(store, STORE_DOCUMENT_ROLE, "r", not_utf8[i], NOW, &change, &err),
            ERROR_LIMIT));
    }
}

Test(texts, a_name_that_is_too_long_is_refused_and_not_cut)
{
    char name[STORE_NAME_SIZE + 1];
    struct store_bot bot;
    int64_t version = store_state(store);
    memset(name, 'x', sizeof name);
    name[STORE_NAME_SIZE - 1] = '\0';
    store_with_bot(store, name);
    name[STORE_NAME_SIZE - 1] = 'x';
    name[STORE_NAME_SIZE] = '\0';
    cr_expect_not(store_bot_find(store, name, &bot, &err));
    cr_expect_str_eq(err.message, "the bot's name is longer than 64 bytes");
    cr_expect(failed(false, ERROR_LIMIT));
    cr_expect(failed(store_bot_remove(store, name, &err), ERROR_LIMIT));
    cr_expect_eq(store_state(store), version + 1);
}
