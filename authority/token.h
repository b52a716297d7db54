/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join tokens: what lets one bot or proxy in, once.
 *
 *     sallyport-join-1.<id: 16 hexadecimal digits>.<secret: 256 bits, base64url, 43 characters>
 *
 * The text is shown once; the store has the SHA-256 of the secret. (The secret is random and whole:
 * a slow hash would protect nothing.) To somebody without the secret a token that is known, unknown
 * or cut looks the same, and takes the same work; only who holds it whole learns that it was used
 * or has expired.
 */
#ifndef SALLYPORT_AUTHORITY_TOKEN_H
#define SALLYPORT_AUTHORITY_TOKEN_H

#include "authority/core.h"

#define AUTHORITY_TOKEN_PREFIX        "sallyport-join-1."
#define AUTHORITY_TOKEN_SECRET_LENGTH 32
#define AUTHORITY_TOKEN_SECRET_DIGITS 43
/* The whole text and its NUL. */
#define AUTHORITY_TOKEN_SIZE \
    (sizeof AUTHORITY_TOKEN_PREFIX + STORE_ID_SIZE + AUTHORITY_TOKEN_SECRET_DIGITS)

struct authority_token {
    char text[AUTHORITY_TOKEN_SIZE]; /* a secret: authority_token_wipe() */
    char id[STORE_ID_SIZE];
    int64_t expires_us;
};

struct authority_token_wanted {
    enum store_token_kind kind;
    const char *name; /* of a bot, which must be there, or a proxy, which need not */
    int64_t ttl_us;   /* 0: the default */
    const char *created_by;
};

/* CONTROL_INVALID: the name or the lifetime. CONTROL_UNKNOWN_BOT. */
bool authority_token_add(struct authority *authority, const struct authority_token_wanted *wanted,
                         int64_t now_us, struct authority_token *out,
                         struct authority_refusal *refusal, struct error *err) MUST_USE;

void authority_token_wipe(struct authority_token *token);

/*
 * Whether a text is a token that may be used now; it is not used up yet: authority_token_use(). One
 * that was used (out->used_us) and has not expired passes too: its join may be asked for again
 * (authority/join.h), or refused with authority_token_refuse_used(). CONTROL_TOKEN_UNKNOWN; then,
 * for its holder: CONTROL_LOCKED, CONTROL_TOKEN_USED (used, and expired since),
 * CONTROL_TOKEN_EXPIRED, CONTROL_INVALID (it is for the other kind).
 */
bool authority_token_check(struct authority *authority, const char *text,
                           enum store_token_kind kind, int64_t now_us, struct store_token *out,
                           struct authority_refusal *refusal, struct error *err) MUST_USE;

/* CONTROL_TOKEN_USED; `why`: a few words, e.g. " by another key". Always false. */
bool authority_token_refuse_used(const struct store_token *token, const char *why,
                                 struct authority_refusal *refusal);

/* Uses up a token that was checked: true for exactly one caller, else CONTROL_TOKEN_USED. */
bool authority_token_use(struct authority *authority, const struct store_token *token,
                         const char *address, int64_t now_us, struct authority_refusal *refusal,
                         struct error *err) MUST_USE;

#endif
