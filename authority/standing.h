/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether whoever shows a certificate is still somebody. A certificate says who it was made for;
 * what he is now is in the store, and it is asked at each request.
 *
 * A certificate is named by its serial, as tls/identity.h has it, of a peer that TLS has verified.
 */
#ifndef SALLYPORT_AUTHORITY_STANDING_H
#define SALLYPORT_AUTHORITY_STANDING_H

#include "authority/join.h"

/* --- bots --- */

/* The id of the token that an instance joined by; NULL: by its key. */
const char *authority_joined_token(const struct store_instance *instance);

/* Locks on the bot, the instance (NULL: none yet), the token that this joined by, and the roles
 * that the bot has now: CONTROL_LOCKED. Too many roles for a certificate: CONTROL_CONFLICT. */
bool authority_bot_check(struct authority *authority, const struct store_bot *bot,
                         const struct store_instance *instance, int64_t now_us,
                         struct authority_refusal *refusal, struct error *err) MUST_USE;

/* What the store knows about a bot's certificate. */
struct authority_standing {
    struct store_certificate certificate;
    struct store_instance instance;
    enum store_serial which; /* current, previous, older */
    struct store_bot bot;
};

/*
 * Finds the instance of a certificate. No lock is looked at, and not whether it was superseded.
 * CONTROL_NOT_ALLOWED: not one of ours, not a bot's, or expired. CONTROL_NOT_FOUND: the instance
 * was removed. CONTROL_UNKNOWN_BOT: the bot was.
 */
bool authority_standing_find(struct authority *authority, const char *serial, int64_t now_us,
                             struct authority_standing *out, struct authority_refusal *refusal,
                             struct error *err) MUST_USE;

/* --- proxies --- */

/*
 * Finds the proxy of a certificate. CONTROL_NOT_ALLOWED: not one of ours, not a proxy's, expired,
 * or the proxy has joined again since. CONTROL_NOT_FOUND: the proxy was removed. CONTROL_LOCKED.
 */
bool authority_proxy_find(struct authority *authority, const char *serial, int64_t now_us,
                          struct store_proxy *out, struct authority_refusal *refusal,
                          struct error *err) MUST_USE;

/*
 * The same for a request over a connection that was accepted at `since_us`, and by the rules of
 * authority/renew.h: the current certificate is confirmed by this. One that was superseded is
 * refused, and locks the proxy (CONTROL_SUPERSEDED); where its connection is older than what
 * superseded it, that is all right but for a renewal (CONTROL_CONFLICT).
 */
bool authority_proxy_stand(struct authority *authority, const char *serial, int64_t since_us,
                           bool renewal, int64_t now_us, struct store_proxy *out,
                           struct authority_refusal *refusal, struct error *err) MUST_USE;

/*
 * Whether a proxy may be called that: tunnels that look for the authority, or for another proxy,
 * must not find this one. CONTROL_CONFLICT: a host is the authority's own, or one of another
 * proxy's that joined before `before_us`. Names of the loopback are nobody's, and free; so are the
 * settings' shared ones.
 */
bool authority_proxy_hosts_check(struct authority *authority, const char *name,
                                 const struct authority_hosts *hosts, int64_t before_us,
                                 struct authority_refusal *refusal, struct error *err) MUST_USE;

/* Issues the next certificate of a proxy that authority_proxy_stand() has found by this serial. */
bool authority_proxy_reissue(struct authority *authority, const struct store_proxy *proxy,
                             const char *serial, const struct tls_public *key,
                             const struct authority_hosts *hosts, int64_t now_us,
                             struct authority_identity *out, struct error *err) MUST_USE;

/* Issues a joining proxy's certificate for some hosts, and remembers it with all that it may ask
 * for. For join.c, and for a proxy in the authority's own process. */
bool authority_proxy_issue(struct authority *authority, const char *name,
                           const struct tls_public *key, const struct authority_hosts *hosts,
                           const struct authority_hosts *allowed, int64_t now_us,
                           struct authority_identity *out, struct error *err) MUST_USE;

/* The same for a proxy in the authority's own process whose certificate has lapsed while it ran.
 * CONTROL_NOT_FOUND: it was removed meanwhile; CONTROL_LOCKED: it is locked. */
bool authority_proxy_issue_again(struct authority *authority, const char *name,
                                 const struct tls_public *key, const struct authority_hosts *hosts,
                                 int64_t now_us, struct authority_identity *out,
                                 struct authority_refusal *refusal, struct error *err) MUST_USE;

#endif
