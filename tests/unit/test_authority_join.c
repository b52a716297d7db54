/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/authority_support.h"

TestSuite(authority_join, .init = home_enter, .fini = home_leave);

static struct authority_identity identity;

static bool join(const char *token)
{
    return authority_join(authority, token, a_csr(), "10.0.0.5", now_us, &identity, WHY);
}

static size_t instances_of(const char *bot);

static bool count_one(const struct store_instance *instance, void *count)
{
    (void)instance;
    ++*(size_t *)count;
    return true;
}

static size_t instances_of(const char *bot)
{
    size_t count = 0;
    ENDS(store_instance_each(store, bot, count_one, &count, &failure));
    return count;
}

/* --- tokens --- */

Test(authority_join, a_token_is_256_bits_that_the_store_does_not_have)
{
    struct authority_token token;
    struct store_token row;
    uint8_t secret[32];
    uint8_t hash[32];
    const struct authority_token_wanted wanted = {STORE_TOKEN_BOT, "ci-1", 0, "uid 0"};
    a_bot("ci-1", "reader");
    ENDS(authority_token_add(authority, &wanted, now_us, &token, WHY));
    cr_assert_eq(strlen(token.text), 77);
    cr_assert_eq(strncmp(token.text, "sallyport-join-1.", 17), 0);
    cr_assert_eq(strncmp(token.text + 17, token.id, 16), 0);
    cr_assert_eq(token.text[33], '.');
    cr_assert_eq(token.expires_us, now_us + AUTHORITY_HOUR);
    cr_assert_eq(sodium_base642bin(secret, 32, token.text + 34, 43, NULL, NULL, NULL,
                                   sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                 0);
    crypto_hash_sha256(hash, secret, 32);
    ENDS(store_token_find(store, token.id, &row, &failure));
    cr_assert_eq(memcmp(row.hash, hash, 32), 0);
    authority_token_wipe(&token);
    cr_assert_eq(token.text[0], '\0');
}

Test(authority_join, a_token_needs_its_bot_and_a_lifetime)
{
    struct authority_token token;
    struct authority_token_wanted wanted = {STORE_TOKEN_BOT, "nobody", 0, "uid 0"};
    REFUSED(authority_token_add(authority, &wanted, now_us, &token, WHY), CONTROL_UNKNOWN_BOT,
            "nobody");
    cr_assert_eq(token.text[0], '\0');
    a_bot("ci-1", "reader");
    wanted = (struct authority_token_wanted){STORE_TOKEN_BOT, "ci-1", 8 * AUTHORITY_DAY, "uid 0"};
    REFUSED(authority_token_add(authority, &wanted, now_us, &token, WHY), CONTROL_INVALID, "to 7d");
    wanted.ttl_us = -1;
    REFUSED(authority_token_add(authority, &wanted, now_us, &token, WHY), CONTROL_INVALID, "to 7d");
    wanted = (struct authority_token_wanted){STORE_TOKEN_PROXY, "../x", 0, "uid 0"};
    REFUSED(authority_token_add(authority, &wanted, now_us, &token, WHY), CONTROL_INVALID,
            "name of a proxy");
}

Test(authority_join, a_token_lets_its_bot_in)
{
    struct store_instance row;
    struct store_token used;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    char id[STORE_ID_SIZE];
    snprintf(id, sizeof id, "%.16s", token + 17);
    ENDS(join(token));
    cr_assert_str_eq(identity.name, "ci-1");
    cr_assert_eq(identity.generation, 1);
    cr_assert_str_eq(identity.ca, authority_ca_bundle(authority, STORE_AUTHORITY_SERVICE));
    ENDS(store_instance_find(store, identity.instance, &row, &failure));
    cr_assert_str_eq(row.bot, "ci-1");
    cr_assert_str_eq(row.serial, identity.certificate.serial);
    cr_assert_not(row.confirmed);
    cr_assert_eq(row.not_after_us, identity.certificate.not_after_us);
    cr_assert_eq(strncmp(row.joined_by, "token ", 6), 0);
    cr_assert_str_eq(row.joined_by + 6, id);
    ENDS(store_token_find(store, id, &used, &failure));
    cr_assert_eq(used.used_us, now_us);
    cr_assert_str_eq(used.used_by, "10.0.0.5");
}

Test(authority_join, a_token_is_used_once)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join(token));
    REFUSED(join(token), CONTROL_TOKEN_USED, "was used on");
    cr_assert_eq(instances_of("ci-1"), 1);
}

/* --- an answer that was lost --- */

static bool join_with(const char *token, struct tls_key **key)
{
    return authority_join(authority, token, csr_of(key), "10.0.0.5", now_us, &identity, WHY);
}

Test(authority_join, a_lost_answer_is_given_again_to_the_same_key)
{
    struct store_instance row;
    struct tls_key *key = NULL;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join_with(token, &key));
    struct authority_identity lost = identity;
    cr_assert_not(lost.again);
    now_us += AUTHORITY_MINUTE;
    ENDS(join_with(token, &key));
    ENDS(join_with(token, &key)); /* lost once more */
    cr_assert(identity.again);
    cr_assert_str_eq(identity.instance, lost.instance);
    cr_assert_eq(identity.generation, 1);
    cr_assert_str_neq(identity.certificate.serial, lost.certificate.serial);
    cr_assert_eq(instances_of("ci-1"), 1);
    ENDS(store_instance_find(store, identity.instance, &row, &failure));
    cr_assert_str_eq(row.serial, identity.certificate.serial);
    ENDS(authority_confirm(authority, shown_now(&identity), now_us, &is_news, WHY));
    tls_key_free(key);
}

Test(authority_join, a_used_token_is_good_for_no_other_key)
{
    struct tls_key *key = NULL, *other = NULL;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join_with(token, &key));
    REFUSED(join_with(token, &other), CONTROL_TOKEN_USED, "by another key");
    ENDS(join_with(token, &key));
    cr_assert_eq(instances_of("ci-1"), 1);
    tls_key_free(key);
    tls_key_free(other);
}

Test(authority_join, nothing_is_given_again_once_it_was_seen)
{
    struct tls_key *key = NULL;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join_with(token, &key));
    ENDS(authority_confirm(authority, shown_now(&identity), now_us, &is_news, WHY));
    REFUSED(join_with(token, &key), CONTROL_TOKEN_USED, "its certificate is in use");
    struct authority_identity second = renewed(&identity);
    (void)second;
    REFUSED(join_with(token, &key), CONTROL_TOKEN_USED, "its certificate is in use");
    tls_key_free(key);
}

Test(authority_join, nothing_is_given_again_by_an_expired_token)
{
    struct tls_key *key = NULL;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join_with(token, &key));
    now_us += AUTHORITY_HOUR;
    REFUSED(join_with(token, &key), CONTROL_TOKEN_USED, "was used on");
    tls_key_free(key);
}

Test(authority_join, nothing_is_given_again_to_who_is_locked_or_gone)
{
    struct store_lock lock;
    struct tls_key *key = NULL;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(join_with(token, &key));
    const struct authority_lock_wanted wanted = {.kind = STORE_LOCK_INSTANCE,
                                                 .target = identity.instance,
                                                 .reason = "why not",
                                                 .created_by = "x"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(join_with(token, &key), CONTROL_LOCKED, "why not");
    ENDS(authority_lock_remove(authority, lock.id, WHY));
    ENDS(store_instance_remove(store, identity.instance, &failure));
    REFUSED(join_with(token, &key), CONTROL_TOKEN_USED, "");
    tls_key_free(key);
}

/* Both have passed the check before either was written: one transaction for both. */
Test(authority_join, two_joins_at_once_with_one_token_are_one)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(authority_begin(authority, &failure));
    ENDS(join(token));
    REFUSED(join(token), CONTROL_TOKEN_USED, "");
    ENDS(authority_commit(authority, &failure));
    cr_assert_eq(instances_of("ci-1"), 1);
}

Test(authority_join, the_last_check_is_the_stores)
{
    struct store_token token;
    a_bot("ci-1", "reader");
    const char *text = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(authority_token_check(authority, text, STORE_TOKEN_BOT, now_us, &token, WHY));
    ENDS(authority_token_use(authority, &token, "a", now_us, WHY));
    REFUSED(authority_token_use(authority, &token, "b", now_us, WHY), CONTROL_TOKEN_USED, "");
}

Test(authority_join, a_token_ends)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    now_us += AUTHORITY_HOUR - 1;
    struct store_token row;
    ENDS(authority_token_check(authority, token, STORE_TOKEN_BOT, now_us, &row, WHY));
    now_us += 1;
    REFUSED(join(token), CONTROL_TOKEN_EXPIRED, "ask for a new one");
    cr_assert_eq(instances_of("ci-1"), 0);
}

Test(authority_join, a_token_that_is_not_whole_is_unknown)
{
    char wrong[128];
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    for (size_t length = 0; length < strlen(token); length++) {
        snprintf(wrong, sizeof wrong, "%.*s", (int)length, token);
        REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, "there is no such token");
    }
    snprintf(wrong, sizeof wrong, "%sA", token);
    REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, "no such token");
    snprintf(wrong, sizeof wrong, " %s", token);
    REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, "no such token");
    ENDS(join(token));
}

Test(authority_join, each_character_of_a_token_counts)
{
    char wrong[AUTHORITY_TOKEN_SIZE];
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    for (size_t i = 0; token[i]; i++) {
        snprintf(wrong, sizeof wrong, "%s", token);
        wrong[i] = token[i] == 'b' ? 'c' : 'b';
        REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, "no such token");
    }
    ENDS(join(token));
}

/* Who has only the id learns nothing: not whether it is there, was used, has expired or is locked.
 */
Test(authority_join, a_wrong_secret_looks_like_an_unknown_token)
{
    char unknown[128];
    char wrong[128];
    char answer[AUTHORITY_REFUSAL_SIZE];
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    snprintf(unknown, sizeof unknown, "sallyport-join-1.0123456789abcdef.%s", token + 34);
    snprintf(wrong, sizeof wrong, "%.34s%.42sA", token,
             "0123456789012345678901234567890123456789012");
    REFUSED(join(unknown), CONTROL_TOKEN_UNKNOWN, "");
    snprintf(answer, sizeof answer, "%s", refusal.message);
    REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, answer);
    ENDS(join(token));
    REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, answer);
    now_us += 2 * AUTHORITY_HOUR;
    REFUSED(join(wrong), CONTROL_TOKEN_UNKNOWN, answer);
}

Test(authority_join, a_locked_token_is_refused_and_not_used_up)
{
    struct store_lock lock;
    char id[STORE_ID_SIZE];
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    snprintf(id, sizeof id, "%.16s", token + 17);
    const struct authority_lock_wanted wanted = {
        .kind = STORE_LOCK_TOKEN, .target = id, .reason = "sent by mail", .created_by = "uid 0"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(join(token), CONTROL_LOCKED, "sent by mail");
    ENDS(authority_lock_remove(authority, lock.id, WHY));
    ENDS(join(token));
}

Test(authority_join, tokens_of_bots_and_proxies_are_not_exchanged)
{
    a_bot("same", "reader");
    const char *host = "p.test";
    struct authority_join_proxy proxy = {
        .name = "same", .csr = a_csr(), .hosts = &host, .host_count = 1, .address = "10.0.0.6"};
    proxy.token = a_token(STORE_TOKEN_BOT, "same");
    REFUSED(authority_join_proxy(authority, &proxy, now_us, &identity, WHY), CONTROL_INVALID,
            "for a bot, not for a proxy");
    REFUSED(join(a_token(STORE_TOKEN_PROXY, "same")), CONTROL_INVALID,
            "for a proxy, not for a bot");
}

Test(authority_join, a_removed_bots_token_is_gone)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    ENDS(store_bot_remove(store, "ci-1", &failure));
    REFUSED(join(token), CONTROL_TOKEN_UNKNOWN, "no such token");
}

Test(authority_join, a_bad_request_does_not_cost_the_token)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    REFUSED(authority_join(authority, token, "nonsense", "10.0.0.5", now_us, &identity, WHY),
            CONTROL_BAD_CSR, "");
    ENDS(join(token));
}

Test(authority_join, a_locked_bot_or_role_does_not_join)
{
    struct store_lock lock;
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    struct authority_lock_wanted wanted = {.kind = STORE_LOCK_BOT,
                                           .target = "ci-1",
                                           .ttl_us = AUTHORITY_HOUR,
                                           .reason = "why not",
                                           .created_by = "x"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(join(token), CONTROL_LOCKED, "bot ci-1 is locked: why not");
    ENDS(authority_lock_remove(authority, lock.id, WHY));
    wanted = (struct authority_lock_wanted){
        .kind = STORE_LOCK_ROLE, .target = "reader", .reason = "audit", .created_by = "x"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    REFUSED(join(token), CONTROL_LOCKED, "role reader is locked: audit");
    ENDS(authority_lock_remove(authority, lock.id, WHY));
    ENDS(join(token));
}

Test(authority_join, each_join_is_another_instance)
{
    a_bot("ci-1", "reader");
    struct authority_identity one = joined("ci-1");
    struct authority_identity two = joined("ci-1");
    cr_assert_str_neq(one.instance, two.instance);
    cr_assert_eq(instances_of("ci-1"), 2);
}

/* A bot that turned bad would fill the store. */
Test(authority_join, instances_of_a_bot_are_bounded)
{
    struct store_instance row = {.generation = 1, .not_after_us = now_us + 1, .joined_by = "key"};
    a_bot("ci-1", "reader");
    snprintf(row.bot, sizeof row.bot, "ci-1");
    ENDS(store_begin(store, &failure));
    for (unsigned i = 0; i < AUTHORITY_INSTANCES_MAX; i++) {
        snprintf(row.id, sizeof row.id, "%032x", i);
        snprintf(row.serial, sizeof row.serial, "%x", i + 1);
        ENDS(store_instance_add(store, &row, &failure));
    }
    ENDS(store_commit(store, &failure));
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    REFUSED(join(token), CONTROL_CONFLICT, "1000 instances");
    now_us += 1;
    ENDS(join(token));
}

Test(authority_join, a_fault_leaves_nothing_behind)
{
    a_bot("ci-1", "reader");
    const char *token = a_token(STORE_TOKEN_BOT, "ci-1");
    const int64_t then = now_us;
    now_us = authority_ca_signing(authority, STORE_AUTHORITY_BOT)->not_after_us + AUTHORITY_DAY;
    struct store_token row;
    ENDS(store_token_find(store,
                          (char[]){token[17], token[18], token[19], token[20], token[21], token[22],
                                   token[23], token[24], token[25], token[26], token[27], token[28],
                                   token[29], token[30], token[31], token[32], '\0'},
                          &row, &failure));
    row.expires_us = INT64_MAX;
    ENDS(store_token_remove(store, row.id, &failure));
    ENDS(store_token_add(store, &row, &failure));
    FAILS(join(token), ERROR_CONFIG, "cannot sign"); /* after the token was used, before the rest */
    ENDS(store_token_find(store, row.id, &row, &failure));
    cr_assert_eq(row.used_us, 0);
    now_us = then;
    ENDS(join(token));
}

/* --- a bot called as something else --- */

Test(authority_join, a_bot_called_proxy_or_authority_is_a_bot)
{
    static const char *const names[] = {"proxy", "authority", "proxies", "bots"};
    for (size_t i = 0; i < 4; i++) {
        struct store_proxy proxy;
        a_bot(names[i], "proxies");
        struct authority_identity bot = joined(names[i]);
        const struct identity *read = identity_of(bot.certificate.chain);
        cr_assert_str_eq(read->attributes[2].type, "OU");
        cr_assert_str_eq(read->attributes[2].value, "bots");
        cr_assert_eq(strncmp(read->san_uris[0], "spiffe://acme.test/bot/", 23), 0);
        REFUSED(authority_proxy_find(authority, bot.certificate.serial, now_us, &proxy, WHY),
                CONTROL_NOT_ALLOWED, "no certificate of a proxy");
    }
}

/* --- by a bound key --- */

static struct tls_key *bound;

/* A bot whose public key is registered. */
static void bound_bot(const char *name)
{
    struct store_bot bot = {.created_us = now_us, .created_by = "test"};
    struct buffer pem;
    ENDS(tls_key_generate(&bound, &failure));
    buffer_init_fixed(&pem, bot.public_key, sizeof bot.public_key - 1);
    ENDS(tls_key_public(bound, &pem, &failure));
    snprintf(bot.name, sizeof bot.name, "%s", name);
    ENDS(store_bot_add(store, &bot, &failure));
}

/* Signs as docs/protocol/control.md says. */
static size_t sign_join(const struct tls_key *key, const char *bot, const uint8_t nonce[32],
                        const char *csr, uint8_t out[TLS_SIGNATURE_MAX])
{
    uint8_t message[4096];
    uint8_t digest[32];
    const uint8_t *der;
    size_t der_length;
    struct tls_request *request;
    struct buffer signature;
    ENDS(authority_read_csr(csr, &request, WHY));
    tls_request_der(request, &der, &der_length);
    int head = snprintf((char *)message, sizeof message, "sallyport-join-key/1\n%s\n", bot);
    memcpy(message + head, nonce, 32);
    memcpy(message + head + 32, der, der_length);
    crypto_hash_sha256(digest, message, (size_t)head + 32 + der_length);
    tls_request_free(request);
    buffer_init_fixed(&signature, out, TLS_SIGNATURE_MAX);
    ENDS(tls_key_sign(key, digest, &signature, &failure));
    return buffer_length(&signature);
}

static struct authority_challenge challenge;

static bool join_key(const char *bot, const char *csr, const uint8_t *signature, size_t length)
{
    const struct authority_join_key join = {bot, csr, signature, length};
    return authority_join_key(authority, &challenge, &join, now_us, &identity, WHY);
}

Test(authority_join, a_bound_key_comes_back_by_itself)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    struct store_instance row;
    bound_bot("ci-1");
    for (unsigned i = 0; i < 2; i++) {
        const char *csr = a_csr();
        ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
        size_t length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
        ENDS(join_key("ci-1", csr, signature, length));
        ENDS(store_instance_find(store, identity.instance, &row, &failure));
        cr_assert_str_eq(row.joined_by, "key");
        cr_assert_eq(row.generation, 1);
    }
    cr_assert_eq(instances_of("ci-1"), 2);
    tls_key_free(bound);
}

static unsigned asked, admitted;

static bool admit_some(void *context, const char *bot)
{
    cr_assert_eq(context, &asked);
    cr_assert_str_eq(bot, "ci-1");
    asked++;
    return asked <= admitted;
}

/* A stranger who knows a bot's name must not be able to use up what the bot may ask. */
Test(authority_join, only_who_has_proven_to_be_the_bot_counts)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    const char *csr = a_csr();
    bound_bot("ci-1");
    authority->admits = admit_some;
    authority->admits_context = &asked;
    admitted = 1;
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    size_t length = sign_join(bound, "ci-1", challenge.nonce, a_csr(), signature);
    REFUSED(join_key("ci-1", csr, signature, length), CONTROL_UNKNOWN_BOT, "with this key");
    cr_assert_eq(asked, 0);
    for (unsigned i = 0; i < 2; i++) {
        ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
        length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
        if (i == 0)
            ENDS(join_key("ci-1", csr, signature, length));
        else
            REFUSED(join_key("ci-1", csr, signature, length), CONTROL_BUSY, "ci-1");
        cr_assert_str_eq(identity.name, "ci-1", "a refusal names it too");
    }
    cr_assert_eq(instances_of("ci-1"), 1);
    /* A token that somebody has made for it is good all the same. */
    ENDS(join(a_token(STORE_TOKEN_BOT, "ci-1")));
    cr_assert_eq(asked, 2);
    tls_key_free(bound);
}

Test(authority_join, a_replayed_join_finds_no_challenge)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    const char *csr = a_csr();
    bound_bot("ci-1");
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    size_t length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
    ENDS(join_key("ci-1", csr, signature, length));
    REFUSED(join_key("ci-1", csr, signature, length), CONTROL_NOT_ALLOWED, "ask for one first");
    /* Another connection has another nonce. */
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    REFUSED(join_key("ci-1", csr, signature, length), CONTROL_UNKNOWN_BOT, "with this key");
    cr_assert_eq(instances_of("ci-1"), 1);
    tls_key_free(bound);
}

Test(authority_join, a_challenge_lasts_a_minute)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    const char *csr = a_csr();
    bound_bot("ci-1");
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    size_t length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
    now_us += AUTHORITY_MINUTE;
    REFUSED(join_key("ci-1", csr, signature, length), CONTROL_NOT_ALLOWED, "older than a minute");
    tls_key_free(bound);
}

/* Who can read and change the messages, but has no key. */
Test(authority_join, the_signature_covers_the_request)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    const char *csr = a_csr();
    bound_bot("ci-1");
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    size_t length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
    REFUSED(join_key("ci-1", a_csr(), signature, length), CONTROL_UNKNOWN_BOT, "with this key");
    cr_assert_eq(instances_of("ci-1"), 0);
    tls_key_free(bound);
}

Test(authority_join, the_signature_covers_the_bot)
{
    uint8_t signature[TLS_SIGNATURE_MAX];
    const char *csr = a_csr();
    bound_bot("ci-1");
    struct tls_key *first = bound;
    bound_bot("ci-2");
    ENDS(authority_challenge_make(&challenge, "ci-2", now_us, &refusal));
    size_t length = sign_join(first, "ci-1", challenge.nonce, csr, signature);
    REFUSED(join_key("ci-1", csr, signature, length), CONTROL_NOT_ALLOWED, "for this bot");
    ENDS(authority_challenge_make(&challenge, "ci-2", now_us, &refusal));
    length = sign_join(first, "ci-2", challenge.nonce, csr, signature);
    REFUSED(join_key("ci-2", csr, signature, length), CONTROL_UNKNOWN_BOT, "with this key");
    tls_key_free(first);
    tls_key_free(bound);
}

/* No bot, one without a key, one with another key: one answer. */
Test(authority_join, bots_without_the_key_look_alike)
{
    static const char *const names[] = {"nobody", "keyless", "other"};
    uint8_t signature[TLS_SIGNATURE_MAX];
    struct tls_key *mine = NULL;
    ENDS(tls_key_generate(&mine, &failure));
    a_bot("keyless", "reader");
    bound_bot("other");
    for (size_t i = 0; i < 3; i++) {
        char words[64];
        const char *csr = a_csr();
        snprintf(words, sizeof words, "there is no bot %s with this key", names[i]);
        ENDS(authority_challenge_make(&challenge, names[i], now_us, &refusal));
        size_t length = sign_join(mine, names[i], challenge.nonce, csr, signature);
        REFUSED(join_key(names[i], csr, signature, length), CONTROL_UNKNOWN_BOT, words);
    }
    tls_key_free(mine);
    tls_key_free(bound);
}

Test(authority_join, signatures_that_are_none)
{
    uint8_t signature[TLS_SIGNATURE_MAX + 1] = {0};
    const char *csr = a_csr();
    bound_bot("ci-1");
    for (size_t length = 0; length < sizeof signature; length += 7) {
        ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
        REFUSED(join_key("ci-1", csr, signature, length), CONTROL_UNKNOWN_BOT, "");
    }
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    size_t length = sign_join(bound, "ci-1", challenge.nonce, csr, signature);
    signature[length] = 0; /* a byte behind it */
    REFUSED(join_key("ci-1", csr, signature, length + 1), CONTROL_UNKNOWN_BOT, "");
    tls_key_free(bound);
}

Test(authority_join, challenges_are_for_names_and_never_the_same)
{
    uint8_t nonce[32];
    REFUSED(authority_challenge_make(&challenge, "a\nb", now_us, &refusal), CONTROL_INVALID,
            "name of a bot");
    cr_assert_not(challenge.open);
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    memcpy(nonce, challenge.nonce, 32);
    ENDS(authority_challenge_make(&challenge, "ci-1", now_us, &refusal));
    cr_assert_neq(memcmp(nonce, challenge.nonce, 32), 0);
}
