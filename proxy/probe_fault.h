/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a database cannot be used: the closed list of what `sallyport db check` tells apart, each
 * with what to do next. docs/database.md has the table; a test ties the two.
 */
#ifndef SALLYPORT_PROXY_PROBE_FAULT_H
#define SALLYPORT_PROXY_PROBE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum probe_fault {
    PROBE_FAULT_NONE,
    PROBE_FAULT_RESOLVE,            /* the name has no address */
    PROBE_FAULT_REFUSED,            /* nothing listens there */
    PROBE_FAULT_UNREACHABLE,        /* no route, and the like */
    PROBE_FAULT_DIAL_TIMEOUT,       /* nothing answers at that address */
    PROBE_FAULT_SILENT,             /* it accepts the connection and does not greet */
    PROBE_FAULT_NOT_MYSQL,          /* what it says is no greeting */
    PROBE_FAULT_OLD_SERVER,         /* older than MySQL 4.1 */
    PROBE_FAULT_NO_TLS,             /* it does not offer TLS */
    PROBE_FAULT_SERVER_UNTRUSTED,   /* its certificate is of another CA */
    PROBE_FAULT_SERVER_NAME,        /* … is for another host */
    PROBE_FAULT_SERVER_TIME,        /* … has expired, or is not valid yet */
    PROBE_FAULT_SERVER_CERTIFICATE, /* … has another fault */
    PROBE_FAULT_OWN_CERTIFICATE,    /* it refuses our certificate */
    PROBE_FAULT_OWN_TIME,           /* … for its dates */
    PROBE_FAULT_TLS,                /* TLS fails for another reason */
    PROBE_FAULT_NOT_MINTED,         /* the authority refuses it a certificate */
    PROBE_FAULT_PLUGIN,             /* the account's authentication plugin is not supported */
    PROBE_FAULT_ACCESS,             /* 1045, 1698: no such account, or its REQUIRE is not met */
    PROBE_FAULT_HOST_NOT_ALLOWED,   /* 1130: no account at all for our host */
    PROBE_FAULT_HOST_BLOCKED,       /* 1129: max_connect_errors */
    PROBE_FAULT_TOO_MANY,           /* 1040, 1203, 1226 */
    PROBE_FAULT_SCHEMA_UNKNOWN,     /* 1049 */
    PROBE_FAULT_SCHEMA_DENIED,      /* 1044 */
    PROBE_FAULT_LOCKED,             /* 3118, 4151; 3955, 4150 after wrong passwords */
    PROBE_FAULT_PASSWORD_EXPIRED,   /* 1820, 1862 */
    PROBE_FAULT_SERVER_ERROR,       /* another ERR packet */
    PROBE_FAULT_TIMEOUT,            /* it stopped answering on the way */
    PROBE_FAULT_PROTOCOL,           /* it broke the protocol */
    PROBE_FAULT_LOST,               /* it closed the connection on the way */
    PROBE_FAULT_LOCAL,              /* out of memory here */
    PROBE_FAULT_COUNT,
};

/* Its name in JSON and in the documentation: "server_untrusted". "none" for PROBE_FAULT_NONE. */
const char *probe_fault_name(enum probe_fault fault);

/* The fault that a server's ERR packet stands for. */
enum probe_fault probe_fault_of_error(uint16_t code);

/* Whether it may be the account's own: then another account of the same server may do better. */
bool probe_fault_is_of_account(enum probe_fault fault);

/* What the advice names. Texts may be "". */
struct probe_fault_place {
    const char *user;
    const char *schema;
    const char *server_name; /* what its certificate must name */
    const char *subject;     /* of our certificate, as REQUIRE SUBJECT writes it */
    const char *issuer;
    bool minted;       /* it is the authority's, and this account's alone */
    bool authority_ca; /* the authority's database-server CA must have signed the server's */
};

/* What to do next, one sentence or two. Not empty for any fault but PROBE_FAULT_NONE. */
void probe_fault_advice(enum probe_fault fault, const struct probe_fault_place *place, char *out,
                        size_t size);

#endif
