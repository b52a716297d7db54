/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewals, and how a copied certificate gives itself away.
 *
 * Each renewal of an instance makes the next generation. The bot asks with the certificate that it
 * has, which is the current one, and the thief of a copy cannot renew without making it the
 * previous one: whoever of both comes second shows a certificate that has been superseded. Then the
 * instance is locked: nobody can tell which of the two is the bot. (Or the bot as a whole, where
 * that happens too often: enum authority_shut, authority/lock.h.)
 *
 * But a bot that was killed between the answer and its disk comes second too. So as long as the
 * current certificate was never seen in use (confirmed), the previous one may have it replaced:
 *
 *     who asks with       current       previous         previous         older, or one
 *                                       (current never   (current was     that was replaced
 *                                       confirmed)       confirmed)
 *     renew               next          replaces the     locks            locks
 *                         generation    current one
 *     confirm             confirmed     nothing          locks            locks
 *     seen (by a proxy)   confirmed     nothing          nothing          replaced: locks
 *
 * What was current when its connection was accepted gives no copy away, and is not renewed either:
 * a request may hang in a network while the bot tries again elsewhere. It is refused with
 * CONTROL_CONFLICT, and locks nobody.
 *
 * `seen` is lenient because it is news of the past: a proxy that was cut off tells of a certificate
 * that was current when the bot showed it. One that was replaced never was: its bot had lost it.
 */
#ifndef SALLYPORT_AUTHORITY_RENEW_H
#define SALLYPORT_AUTHORITY_RENEW_H

#include "authority/join.h"

/* A certificate that a peer has proven to own. */
struct authority_shown {
    const char *serial;
    int64_t since_us; /* when its connection was accepted */
};

/*
 * A bot's renewal. CONTROL_SUPERSEDED: the instance is locked now. CONTROL_LOCKED, CONTROL_BAD_CSR,
 * CONTROL_CONFLICT (renewed meanwhile, too many roles), and those of authority_standing_find().
 */
bool authority_renew(struct authority *authority, const struct authority_shown *shown,
                     const char *csr, int64_t now_us, struct authority_identity *out,
                     struct authority_refusal *refusal, struct error *err) MUST_USE;

/* The bot has saved this certificate and uses it; *changed: that is news. Refusals as
 * authority_renew(). */
bool authority_confirm(struct authority *authority, const struct authority_shown *shown,
                       int64_t now_us, bool *changed, struct authority_refusal *refusal,
                       struct error *err) MUST_USE;

/* What became of the serials. */
struct authority_seen {
    size_t confirmed; /* current ones */
    size_t late;      /* not current any more */
    size_t locked;    /* replaced ones: their instances are locked now, if they were not yet */
    size_t unknown;   /* of no instance */
};

/* A proxy, which the caller has checked, has met these certificates of bots for the first time. */
bool authority_seen(struct authority *authority, const char *const *serials, size_t count,
                    int64_t now_us, struct authority_seen *out, struct error *err) MUST_USE;

/* A proxy's renewal. It may ask for hosts that it has joined with, and no others
 * (CONTROL_INVALID); with none, for all of them. CONTROL_CONFLICT: one has become somebody else's.
 * Generations are as those of bots are: refusals as authority_proxy_stand(). */
struct authority_renew_proxy {
    const char *serial;
    const char *csr;
    const char *const *hosts;
    size_t host_count;
    int64_t since_us; /* when its connection was accepted */
};
bool authority_renew_proxy(struct authority *authority, const struct authority_renew_proxy *renewal,
                           int64_t now_us, struct authority_identity *out,
                           struct authority_refusal *refusal, struct error *err) MUST_USE;

/* A certificate for a database, for the proxy of this serial to log in as a MySQL user; without a
 * serial for an administrator, whom the caller has checked. */
struct authority_mint {
    const char *serial; /* NULL: an administrator */
    const char *csr;
    const char *mysql_user;
    int64_t since_us; /* when its connection was accepted */
};
bool authority_mint(struct authority *authority, const struct authority_mint *mint, int64_t now_us,
                    struct authority_certificate *out, struct authority_refusal *refusal,
                    struct error *err) MUST_USE;

#endif
