/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority's events in the audit log (docs/audit-record.md, "Events of the authority").
 *
 * An event is begun before what it tells of is committed, and finished after: what cannot be
 * recorded is not done (DESIGN.md, I3). Tokens are named by their id; the secret is never here.
 */
#ifndef SALLYPORT_AUTHORITY_EVENT_H
#define SALLYPORT_AUTHORITY_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "audit/audit.h"
#include "base/error.h"

/* Of the details of one event. */
#define AUTHORITY_DETAILS_MAX (128 * 1024)

enum authority_event {
    AUTHORITY_EVENT_START,
    AUTHORITY_EVENT_STOP,
    AUTHORITY_EVENT_BOT_ADD,
    AUTHORITY_EVENT_BOT_REMOVE,
    AUTHORITY_EVENT_BOT_ROLES,
    AUTHORITY_EVENT_BOT_JOIN,
    AUTHORITY_EVENT_INSTANCE_REMOVE,
    AUTHORITY_EVENT_PROXY_JOIN,
    AUTHORITY_EVENT_PROXY_REMOVE,
    AUTHORITY_EVENT_TOKEN_ADD,
    AUTHORITY_EVENT_TOKEN_REMOVE,
    AUTHORITY_EVENT_CERT_ISSUE,
    AUTHORITY_EVENT_CERT_RENEW,
    AUTHORITY_EVENT_CERT_CONFIRM,
    AUTHORITY_EVENT_CERT_CONFLICT,
    AUTHORITY_EVENT_LOCK_CREATE,
    AUTHORITY_EVENT_LOCK_REMOVE,
    AUTHORITY_EVENT_LOCK_EXPIRE,
    AUTHORITY_EVENT_DOCUMENT_APPLY,
    AUTHORITY_EVENT_CA_CREATE,
    AUTHORITY_EVENT_CA_ROTATE,
    AUTHORITY_EVENT_PEER_REFUSED,
    AUTHORITY_EVENT_COUNT,
};

/* The names on the record, in that order, then NULL. A unit test ties them to the page. */
extern const char *const authority_event_names[];

/* What is known of an event. NULL, "" and 0 leave a field out. All borrowed. */
struct authority_facts {
    /* Fields that all records have. */
    const char *bot;
    const char *proxy;
    const char *subject; /* of the certificate that the peer has shown, and its serial */
    const char *serial;
    const char *client; /* address and port */
    const char *mysql_user;
    const char *const *roles;
    size_t role_count;
    /* Those inside of "details". */
    const char *instance;
    int64_t generation;
    const char *issued; /* the serial of the certificate that was made */
    int64_t not_after_us;
    const char *token; /* its id */
    const char *lock;  /* its id */
    const char *kind;  /* of a lock, a token, a CA */
    const char *target;
    const char *why; /* the reason that was given for a lock */
    const char *to;  /* the phase of a rotation */
    const char *const *names;
    size_t name_count;
    const char *changes; /* a JSON object */
    size_t changes_length;
    bool administrator; /* uid and pid are those of who asked */
    uint64_t uid;
    uint64_t pid;
    uint64_t unrecorded; /* refusals of that address before this one that were not recorded */
};

/*
 * Takes an event. On true *entry is to be finished. False: it was not taken, and what it tells of
 * must not be done; ERROR_LIMIT: the log has no room now.
 */
bool authority_event_begin(struct audit_lane *lane, enum authority_event event,
                           const struct authority_facts *facts, struct audit_entry **entry,
                           struct error *err) MUST_USE;

/* Ends it: `outcome` is "ok", "denied" or "error", the reason NULL or why. */
void authority_event_finish(struct audit_entry *entry, const char *outcome, const char *reason);

/* Both at once, for what has happened already. */
bool authority_event_put(struct audit_lane *lane, enum authority_event event,
                         const struct authority_facts *facts, const char *outcome,
                         const char *reason, struct error *err) MUST_USE;

#endif
