/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport ca sign-database`: what a MySQL or MariaDB server needs to take Sallyport's proxies,
 * and nobody else: its key and certificate, and the CA of the proxies' certificates; with the lines
 * of my.cnf, and the accounts, for both kinds of server.
 */
#ifndef SALLYPORT_CLI_CA_DATABASE_H
#define SALLYPORT_CLI_CA_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/admin.h"

#define CA_DATABASE_KEY         "server.key"
#define CA_DATABASE_CERTIFICATE "server.crt"
#define CA_DATABASE_CLIENT_CA   "client-ca.crt"
#define CA_DATABASE_USER        "reader"               /* of the example, where no user is given */
#define CA_DATABASE_DIRECTORY   "/etc/mysql/sallyport" /* where the files go on its machine */

struct ca_database {
    const struct admin_values *hosts; /* DNS names and IP addresses of the server */
    const struct admin_values *users; /* MySQL accounts to be printed; may be empty */
    const char *directory;            /* where the files are written */
    const char *ttl;                  /* NULL: the authority's own */
    const char *csr;                  /* a file; NULL: the authority makes the key */
    bool replace;                     /* files that are there already */
};

/* Returns an exit code. */
int ca_database_sign(const struct admin *admin, const struct ca_database *wanted);

/* A text within '…' of SQL, of both servers in every mode; false when it does not fit. */
bool ca_database_sql_text(const char *text, char *out, size_t size) MUST_USE;

#endif
