/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-flight: probes databases with accounts on a loop of its own, and reports one database after
 * the other. `sallyport db check` is this and its printing.
 *
 * Several databases are probed at once; the accounts of one come one after the other, and when a
 * fault is the server's the rest of them is not tried: they would meet it too, and each broken TLS
 * handshake counts against the server's max_connect_errors.
 */
#ifndef SALLYPORT_PROXY_PREFLIGHT_H
#define SALLYPORT_PROXY_PREFLIGHT_H

#include "base/error.h"
#include "proxy/probe.h"

#define PREFLIGHT_AT_ONCE_MAX 8  /* databases that are probed, or wait to be reported */
#define PREFLIGHT_USERS_MAX   32 /* accounts of one database */

#define PREFLIGHT_EXPIRY_DAYS  14      /* a certificate that ends sooner is worth a warning */
#define PREFLIGHT_SKEW_MAX_US  5000000 /* as is a clock that differs by more */
#define PREFLIGHT_WARNINGS_MAX 8
#define PREFLIGHT_DAY_US       86400000000

struct preflight_account {
    const char *user;          /* borrowed */
    const char *refusal;       /* borrowed: why the authority minted nothing for it; NULL: nothing
                                * was refused, and it is tried */
    struct probe_facts *facts; /* NULL: not tried, or reported already */
};

struct preflight_target {
    const struct database *database;
    struct preflight_account accounts[PREFLIGHT_USERS_MAX];
    size_t account_count;
    bool more_users; /* roles name more than PREFLIGHT_USERS_MAX */
    size_t next;     /* private: the account to try */
    bool done;       /* private */
};

/*
 * The accounts that some role allows on the database by its plain name (no glob), in the roles'
 * order, without doubles, by the roles' own rules; the configuration's roles before those of the
 * snapshot's provision. The names live as long as the snapshot.
 */
void preflight_users(const struct snapshot *snapshot, struct preflight_target *target);

/*
 * Probes all targets (one without accounts is left alone); `report` gets each, in their order, as
 * soon as it and those before it are done, and its facts are freed afterwards. True: it ran,
 * whatever the facts say.
 */
bool preflight_run(struct snapshot *snapshot, struct preflight_target *targets, size_t count,
                   const char *schema,
                   void (*report)(void *arg, const struct preflight_target *target), void *arg,
                   struct error *err) MUST_USE;

/* What is not wrong, and should not stay so. */
struct preflight_warning {
    const char *kind;              /* "certificate_expires": for JSON */
    char message[PROBE_TEXT_SIZE]; /* valid UTF-8; cut where a server's names are long */
};

/* Of one account's facts; `own_until_us` is the end of our certificate. Returns how many. */
size_t preflight_warnings(const struct probe_facts *facts, const char *user, int64_t own_until_us,
                          int64_t now_us, struct preflight_warning out[PREFLIGHT_WARNINGS_MAX]);

/* Whole days until then, rounded down; negative once it is past. */
int64_t preflight_days_left(int64_t until_us, int64_t now_us);

#endif
