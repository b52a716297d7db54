/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a session ended: a closed list, one reason for each session (I12). docs/closing-reasons.md
 * lists them for readers of the log; a test ties that page to this table.
 */
#ifndef SALLYPORT_PROXY_REASON_H
#define SALLYPORT_PROXY_REASON_H

enum reason {
    REASON_NONE, /* it lives */
    REASON_CLIENT_QUIT,
    REASON_CLIENT_CLOSED,
    REASON_CLIENT_LOST,
    REASON_CLIENT_TLS,
    REASON_CLIENT_PROTOCOL,
    REASON_LOGIN_TIMEOUT,
    REASON_UNUSED,
    REASON_DENIED,
    REASON_LIMIT,
    REASON_IDLE_TIMEOUT,
    REASON_LIFETIME,
    REASON_POLICY_CHANGED,
    REASON_CERTIFICATE,
    REASON_LOCKED,
    REASON_UPSTREAM_UNREACHABLE,
    REASON_UPSTREAM_TLS,
    REASON_UPSTREAM_REFUSED,
    REASON_UPSTREAM_CLOSED,
    REASON_UPSTREAM_PROTOCOL,
    REASON_UPSTREAM_TIMEOUT,
    REASON_AUDIT,
    REASON_DRAINING,
    REASON_INTERNAL,
    REASON_COUNT,
};

/* The reason's name in records and logs, e.g. "client_quit". */
const char *reason_name(enum reason reason);

/* What it means, in a sentence. */
const char *reason_meaning(enum reason reason);

#endif
