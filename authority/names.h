/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What things may be called. Names end up in subjects of certificates, in SPIFFE ids, in file
 * names, in mappings and in what databases compare, so they are made of characters that mean
 * nothing in any of these; what remains reads the same to all of them and to people.
 *
 * Each function returns true, or refuses with CONTROL_INVALID and words that say what is allowed. A
 * refused name is shown escaped and cut.
 */
#ifndef SALLYPORT_AUTHORITY_NAMES_H
#define SALLYPORT_AUTHORITY_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "authority/refusal.h"
#include "authority/store.h"
#include "tls/certificate.h"
#include "tls/identity.h"

#define AUTHORITY_NAME_MAX         64  /* RFC 5280, ub-common-name, ub-organization-name */
#define AUTHORITY_DATABASE_MAX     255 /* bytes; as STORE_TARGET_SIZE */
#define AUTHORITY_TRUST_DOMAIN_MAX 255 /* the SPIFFE ID standard, 2.1 */
#define AUTHORITY_REASON_MAX       200 /* characters of a lock's reason */
/* A bot's roles: a certificate has its CN and its OU besides. */
#define AUTHORITY_ROLES_MAX (IDENTITY_ATTRIBUTES_MAX - 2)
/* Hosts in one certificate. */
#define AUTHORITY_HOSTS_MAX CERTIFICATE_SANS_MAX

/* A bot, role or proxy (`what`): 1 to 64 letters, digits, '.', '_' and '-', the first one a letter
 * or a digit. */
bool authority_name_check(const char *what, const char *name,
                          struct authority_refusal *refusal) MUST_USE;

/* As authority_name_check(), and up to 255 characters. */
bool authority_database_check(const char *name, struct authority_refusal *refusal) MUST_USE;

/* A bot's name in a certificate of another CA: the last CN, or a URI. */
bool authority_identity_check(const char *name, struct authority_refusal *refusal) MUST_USE;

/* A bot's roles: up to AUTHORITY_ROLES_MAX good names, none twice. None at all is allowed. */
bool authority_roles_check(const char *const *roles, size_t count,
                           struct authority_refusal *refusal) MUST_USE;

/*
 * An account of a database whose subject becomes CN=<user> and nothing else. Databases compare a
 * subject printed in one line, '/CN=reader/O=ops', in which OpenSSL (X509_NAME_oneline) escapes no
 * '/' and prints what is not ASCII as \xC3: so neither '/' nor '\' nor anything but letters, digits
 * and . _ - $ @ % ~ ! : is taken. Accounts of other names need certificate files of their own.
 */
bool authority_mysql_user_check(const char *user, struct authority_refusal *refusal) MUST_USE;

/* 1 to 255 lower-case letters, digits, '.', '-' and '_'. */
bool authority_trust_domain_check(const char *trust_domain,
                                  struct authority_refusal *refusal) MUST_USE;

/* 1 to 200 characters of UTF-8, none of them a control character or one that turns or breaks the
 * line of the text around it. */
bool authority_reason_check(const char *reason, struct authority_refusal *refusal) MUST_USE;

/* Names of hosts for a certificate, as they compare: lower case, addresses in their shortest form.
 */
struct authority_hosts {
    size_t count;
    char names[AUTHORITY_HOSTS_MAX][STORE_HOST_SIZE];
    bool numeric[AUTHORITY_HOSTS_MAX]; /* an IP address */
};

/*
 * Reads 1 to AUTHORITY_HOSTS_MAX DNS names and IP addresses; one that stands twice counts once.
 * Refused: wildcards, a trailing dot, the unspecified addresses (0.0.0.0, ::), IPv4 addresses
 * mapped into IPv6, and names whose last label is a number (RFC 1123, 2.1: they could be read as
 * addresses).
 */
bool authority_hosts_read(const char *const *names, size_t count, struct authority_hosts *out,
                          struct authority_refusal *refusal) MUST_USE;

/* Whether a name, as authority_hosts_read() left it, is among them. */
bool authority_hosts_have(const struct authority_hosts *hosts, const char *name);

#endif
