/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining: how somebody whom nobody knows yet gets a first certificate.
 *
 * By a token (token.h), or, for a bot whose public key was registered beforehand, by a signature
 * over a challenge. Each join of a bot makes a new instance with generation 1.
 *
 * Rates are the caller's (rate.h): he knows what was refused.
 */
#ifndef SALLYPORT_AUTHORITY_JOIN_H
#define SALLYPORT_AUTHORITY_JOIN_H

#include "authority/issue.h"

/* Instances of one bot whose certificates have not expired. A bound key can join again and again.
 */
#define AUTHORITY_INSTANCES_MAX 1000

#define AUTHORITY_NONCE_LENGTH  32
#define AUTHORITY_CHALLENGE_TTL AUTHORITY_MINUTE
/* What is signed begins with this: no signature made for anything else will do. */
#define AUTHORITY_JOIN_KEY_LABEL "sallyport-join-key/1\n"

/* What an answer is made of. `ca`, the service CAs, is good until the next rotation. */
struct authority_identity {
    struct authority_certificate certificate;
    const char *ca;
    char name[STORE_NAME_SIZE];
    char instance[STORE_INSTANCE_SIZE]; /* "" for a proxy */
    int64_t generation;                 /* 0 for a proxy */
    bool again;                         /* a join whose first answer was lost */
};

/*
 * With a bot's token. An answer may be lost on its way, with the token used up: who asks again with
 * the same token and a request of the same key, before the token expires and while the certificate
 * was never seen in use, gets another one for the same instance and generation (out->again). A copy
 * of the token alone gains nothing by that, for the certificate is of no use without the key. The
 * same holds for proxies.
 *
 * Refusals: those of authority_token_check(); CONTROL_TOKEN_USED (by another key, or its
 * certificate was seen), CONTROL_LOCKED (the bot or one of its roles), CONTROL_BAD_CSR,
 * CONTROL_CONFLICT (too many instances or roles), CONTROL_BUSY (the bot, whose name is in out->name
 * then, asks again too often: struct authority, core.h). A refused join has not used up the token.
 */
bool authority_join(struct authority *authority, const char *token, const char *csr,
                    const char *address, int64_t now_us, struct authority_identity *out,
                    struct authority_refusal *refusal, struct error *err) MUST_USE;

/* One challenge of one connection, which keeps it. All zero: there is none. */
struct authority_challenge {
    bool open;
    char bot[STORE_NAME_SIZE];
    uint8_t nonce[AUTHORITY_NONCE_LENGTH];
    int64_t until_us;
};

/* Makes one, in the place of the one that was there. Whether there is such a bot, it does not say.
 * CONTROL_INVALID: no bot can be called that. */
bool authority_challenge_make(struct authority_challenge *challenge, const char *bot,
                              int64_t now_us, struct authority_refusal *refusal) MUST_USE;

struct authority_join_key {
    const char *bot;
    const char *csr;
    const void *signature; /* DER */
    size_t signature_length;
};

/*
 * With a bound key: the signature is over SHA-256 of AUTHORITY_JOIN_KEY_LABEL, the bot's name,
 * "\n", the nonce and the CSR in DER, so that neither another CSR nor another bot can be put in its
 * place. The challenge is used up, whatever comes out. Refusals: CONTROL_NOT_ALLOWED (no challenge,
 * or not a fresh one), CONTROL_BAD_CSR, CONTROL_UNKNOWN_BOT (no such bot, no key, or not the key's
 * signature: one answer for all three), CONTROL_LOCKED, CONTROL_CONFLICT, CONTROL_BUSY.
 */
bool authority_join_key(struct authority *authority, struct authority_challenge *challenge,
                        const struct authority_join_key *join, int64_t now_us,
                        struct authority_identity *out, struct authority_refusal *refusal,
                        struct error *err) MUST_USE;

struct authority_join_proxy {
    const char *token;
    const char *name; /* must be the token's */
    const char *csr;
    const char *const *hosts; /* names that tunnels know it by */
    size_t host_count;
    const char *address;
};

/* With a proxy's token. Its holder says what the proxy's hosts are called; a renewal may ask for no
 * others. Refusals as authority_join(), CONTROL_INVALID, and CONTROL_CONFLICT: a host is somebody
 * else's (authority_proxy_hosts_check()). */
bool authority_join_proxy(struct authority *authority, const struct authority_join_proxy *join,
                          int64_t now_us, struct authority_identity *out,
                          struct authority_refusal *refusal, struct error *err) MUST_USE;

#endif
