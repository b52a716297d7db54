/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/token.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "authority/lock.h"
#include "authority/random.h"
#include "base/clock.h"

#define PREFIX_LENGTH (sizeof AUTHORITY_TOKEN_PREFIX - 1)
#define ID_LENGTH     (STORE_ID_SIZE - 1)
#define TEXT_LENGTH   (AUTHORITY_TOKEN_SIZE - 1)

static const char unknown[] =
    "there is no such token: check that it was copied whole, or ask for a new one";

_Static_assert(crypto_hash_sha256_BYTES == STORE_HASH_LENGTH, "SHA-256");

/* --- making --- */

static void write_text(const uint8_t secret[AUTHORITY_TOKEN_SECRET_LENGTH],
                       struct authority_token *out)
{
    char digits[AUTHORITY_TOKEN_SECRET_DIGITS + 1];
    sodium_bin2base64(digits, sizeof digits, secret, AUTHORITY_TOKEN_SECRET_LENGTH,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out->text, sizeof out->text, AUTHORITY_TOKEN_PREFIX "%s.%s", out->id, digits);
    sodium_memzero(digits, sizeof digits);
}

static bool check_wanted(const struct authority_token_wanted *wanted,
                         struct authority_refusal *refusal)
{
    char most[32];
    if (!authority_name_check(store_token_kind_name(wanted->kind), wanted->name, refusal))
        return false;
    if (wanted->ttl_us == 0 ||
        (wanted->ttl_us >= AUTHORITY_TTL_MIN && wanted->ttl_us <= AUTHORITY_TOKEN_TTL_MAX))
        return true;
    duration_format(AUTHORITY_TOKEN_TTL_MAX / 1000, most, sizeof most);
    return authority_refuse(refusal, CONTROL_INVALID, "a token lives for 5s to %s", most);
}

bool authority_token_add(struct authority *authority, const struct authority_token_wanted *wanted,
                         int64_t now_us, struct authority_token *out,
                         struct authority_refusal *refusal, struct error *err)
{
    uint8_t secret[AUTHORITY_TOKEN_SECRET_LENGTH];
    struct error cause = {0};
    struct store_token row = {.kind = wanted->kind, .created_us = now_us};
    refusal->code = CONTROL_NO_ERROR;
    if (!check_wanted(wanted, refusal))
        return false;
    random_id(out->id);
    random_bytes(secret, sizeof secret);
    write_text(secret, out);
    out->expires_us = now_us + (wanted->ttl_us ? wanted->ttl_us : authority->settings.token_ttl_us);
    memcpy(row.id, out->id, sizeof row.id);
    crypto_hash_sha256(row.hash, secret, sizeof secret);
    sodium_memzero(secret, sizeof secret);
    snprintf(row.name, sizeof row.name, "%s", wanted->name);
    snprintf(row.created_by, sizeof row.created_by, "%s", wanted->created_by);
    row.expires_us = out->expires_us;
    if (store_token_add(authority->store, &row, &cause))
        return true;
    authority_token_wipe(out);
    return authority_refuse_store(refusal, CONTROL_UNKNOWN_BOT, &cause, err);
}

void authority_token_wipe(struct authority_token *token)
{
    sodium_memzero(token, sizeof *token);
}

/* --- checking --- */

/* Takes a text apart. What is not one gives an id and a secret that nobody has. */
static bool read_text(const char *text, char id[STORE_ID_SIZE],
                      uint8_t secret[AUTHORITY_TOKEN_SECRET_LENGTH])
{
    const char *at = text + PREFIX_LENGTH;
    size_t length = 0;
    memset(secret, 0, AUTHORITY_TOKEN_SECRET_LENGTH);
    snprintf(id, STORE_ID_SIZE, "%016x", 0U);
    if (strlen(text) != TEXT_LENGTH || memcmp(text, AUTHORITY_TOKEN_PREFIX, PREFIX_LENGTH) != 0 ||
        strspn(at, "0123456789abcdef") != ID_LENGTH || at[ID_LENGTH] != '.')
        return false;
    memcpy(id, at, ID_LENGTH);
    return sodium_base642bin(secret, AUTHORITY_TOKEN_SECRET_LENGTH, at + ID_LENGTH + 1,
                             AUTHORITY_TOKEN_SECRET_DIGITS, NULL, &length, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           length == AUTHORITY_TOKEN_SECRET_LENGTH;
}

/* The row of an id, or one that no secret has. */
static bool find_row(struct store *store, const char *id, struct store_token *out, bool *known,
                     struct error *err)
{
    struct error cause = {0};
    *known = store_token_find(store, id, out, &cause);
    if (*known)
        return true;
    *out = (struct store_token){0};
    random_bytes(out->hash, sizeof out->hash);
    if (cause.code == ERROR_NOT_FOUND)
        return true;
    *err = cause;
    return false;
}

/* The same steps whatever the text is: reading, a row, a hash, a comparison in constant time. */
static bool prove(struct authority *authority, const char *text, struct store_token *out,
                  bool *proven, struct error *err)
{
    char id[STORE_ID_SIZE];
    uint8_t secret[AUTHORITY_TOKEN_SECRET_LENGTH];
    uint8_t hash[STORE_HASH_LENGTH];
    bool known;
    bool whole = read_text(text, id, secret);
    crypto_hash_sha256(hash, secret, sizeof secret);
    sodium_memzero(secret, sizeof secret);
    if (!find_row(authority->store, id, out, &known, err))
        return false;
    bool equal = sodium_memcmp(hash, out->hash, sizeof hash) == 0;
    *proven = whole && known && equal;
    return true;
}

bool authority_token_refuse_used(const struct store_token *token, const char *why,
                                 struct authority_refusal *refusal)
{
    char time[CLOCK_TIME_SIZE];
    clock_format(token->used_us, time);
    return authority_refuse(refusal, CONTROL_TOKEN_USED,
                            "the token was used on %.19sZ%s: if that was not you, lock the %s %s; "
                            "each join needs a token of its own",
                            time, why, store_token_kind_name(token->kind), token->name);
}

/* What only the holder is told. */
static bool check_state(struct authority *authority, const struct store_token *token,
                        enum store_token_kind kind, int64_t now_us,
                        struct authority_refusal *refusal, struct error *err)
{
    const struct authority_lock_query query = {.token = token->id};
    char time[CLOCK_TIME_SIZE];
    if (token->kind != kind)
        return authority_refuse(refusal, CONTROL_INVALID, "this token is for a %s, not for a %s",
                                store_token_kind_name(token->kind), store_token_kind_name(kind));
    if (!authority_lock_check(authority, &query, now_us, refusal, err))
        return false;
    if (token->expires_us > now_us)
        return true;
    if (token->used_us)
        return authority_token_refuse_used(token, "", refusal);
    clock_format(token->expires_us, time);
    return authority_refuse(refusal, CONTROL_TOKEN_EXPIRED,
                            "the token expired on %.19sZ: ask for a new one", time);
}

bool authority_token_check(struct authority *authority, const char *text,
                           enum store_token_kind kind, int64_t now_us, struct store_token *out,
                           struct authority_refusal *refusal, struct error *err)
{
    bool proven;
    refusal->code = CONTROL_NO_ERROR;
    if (!prove(authority, text, out, &proven, err))
        return false;
    if (!proven)
        return authority_refuse(refusal, CONTROL_TOKEN_UNKNOWN, "%s", unknown);
    return check_state(authority, out, kind, now_us, refusal, err);
}

bool authority_token_use(struct authority *authority, const struct store_token *token,
                         const char *address, int64_t now_us, struct authority_refusal *refusal,
                         struct error *err)
{
    bool used;
    refusal->code = CONTROL_NO_ERROR;
    if (!store_token_use(authority->store, token->id, now_us, address, &used, err))
        return false;
    return used || authority_refuse(refusal, CONTROL_TOKEN_USED,
                                    "the token has been used: each join needs one of its own");
}
