/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One login to a configured database, made as the proxy makes it (proxy/upstream.h, the snapshot's
 * TLS context and password), that asks a few questions, leaves in order, and tells what it found.
 *
 *   dial -> greeting -> TLS -> login -> statements, one by one -> COM_QUIT -> done
 *      \________\________\______\___________\_________________________/ (fault)
 *
 * It ends within the snapshot's upstream_timeout for each of: dial to greeting, TLS to the login's
 * end, all statements together. What the server says is hostile: texts are cut, and made valid
 * UTF-8, but may hold control characters, which who prints them has to escape.
 *
 * As with every connection of the proxy, one that is given up before its login is retired: it goes
 * on by itself for a moment after `done` (upstream_home.count tells). A TLS handshake that fails
 * counts once against max_connect_errors on the server (MariaDB 10.11: SUM_CONNECT_ERRORS of
 * performance_schema.host_cache), which a login that succeeds sets back; a login that is refused
 * does not count.
 */
#ifndef SALLYPORT_PROXY_PROBE_H
#define SALLYPORT_PROXY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "protocol/handshake.h"
#include "proxy/probe_fault.h"
#include "proxy/require_clause.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "tls/diagnose.h"

#define PROBE_TEXT_SIZE    1024 /* of one text of the server's, its NUL included */
#define PROBE_ADDRESS_SIZE 72   /* "[IPv6 address]:port" with a scope */
#define PROBE_CIPHER_SIZE  80

/* What is not known: a server that does not tell. */
enum probe_answer { PROBE_UNKNOWN, PROBE_NO, PROBE_YES };

struct probe_certificate {
    char subject[PROBE_TEXT_SIZE];  /* "" where it has none, or it is not known */
    char names[DIAGNOSE_TEXT_SIZE]; /* of a server's: "DNS:db1.internal, IP:10.0.0.5" */
    int64_t not_after_us;           /* 0: not known */
};

/* All that was found out: each group counts only from its flag on. */
struct probe_facts {
    enum probe_fault fault; /* PROBE_FAULT_NONE: nothing is wrong */
    char message[PROBE_TEXT_SIZE];
    uint16_t error_code; /* of the server's ERR packet; 0: it was none */
    char sqlstate[6];

    bool connected;
    char address[PROBE_ADDRESS_SIZE];

    bool greeted;
    enum handshake_vendor vendor;
    char version[HANDSHAKE_VERSION_MAX];
    uint32_t masked; /* capabilities of the server's that the proxy's greeting does not pass on */
    uint32_t masked_mariadb;

    bool secured;
    char cipher[PROBE_CIPHER_SIZE];     /* as stream_cipher() */
    struct probe_certificate server;    /* of a refused one what is known */
    enum probe_answer asks_certificate; /* whether the server asks clients for one at all */

    bool accepted;
    char plugin[HANDSHAKE_PLUGIN_MAX];
    char current_user[PROBE_TEXT_SIZE]; /* the account: "reader@%" */
    char login_user[PROBE_TEXT_SIZE];   /* who logged in from where: "reader@10.0.0.7" */
    struct require_clause require;
    enum probe_answer secure_transport; /* @@require_secure_transport */
    uint64_t max_allowed_packet;        /* 0: not known */
    char version_comment[HANDSHAKE_VERSION_MAX];
    bool has_skew;
    int64_t skew_us;        /* the server's clock minus ours */
    int64_t skew_within_us; /* half a round trip */
};

struct probe;

/*
 * Begins; `done` comes once, from the loop. `facts`, `user` and `schema` ("" for none) are borrowed
 * until then. *facts is cleared first. False: there is not even memory for it.
 */
bool probe_start(struct upstream_home *home, struct snapshot *snapshot,
                 const struct database *database, const char *user, const char *schema,
                 struct probe_facts *facts, void (*done)(void *arg), void *arg,
                 struct error *err) MUST_USE;

#endif
