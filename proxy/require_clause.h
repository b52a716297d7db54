/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REQUIRE clause in what a server says about an account: the row of SHOW CREATE USER, or the
 * first row of SHOW GRANTS of servers before MySQL 5.7 and MariaDB 10.2. (MySQL manual, "CREATE
 * USER Statement", and MariaDB's page of that name: tls_option.)
 *
 * The text is the server's, so it is read by its tokens: quoted strings are passed over whole, and
 * "PASSWORD REQUIRE CURRENT" is another clause. Nothing of it but the clause itself is kept: it
 * holds the account's password hash.
 */
#ifndef SALLYPORT_PROXY_REQUIRE_CLAUSE_H
#define SALLYPORT_PROXY_REQUIRE_CLAUSE_H

#include <stdbool.h>

#include "base/bytes.h"

#define REQUIRE_CLAUSE_MAX 1024 /* bytes of it as text, its NUL included */

enum require_kind {
    REQUIRE_UNKNOWN, /* it could not be read */
    REQUIRE_NONE,
    REQUIRE_SSL,
    REQUIRE_X509,
    REQUIRE_SPECIFIED, /* SUBJECT, ISSUER, CIPHER: */
};

struct require_clause {
    enum require_kind kind;
    bool subject;
    bool issuer;
    bool cipher;
    char text[REQUIRE_CLAUSE_MAX]; /* "SUBJECT '/CN=a' AND ISSUER '/CN=b'", "X509", "NONE"; valid
                                      UTF-8; "" where it is not known */
};

/* Never fails: what cannot be read is REQUIRE_UNKNOWN. A statement without the clause is
 * REQUIRE_NONE. */
void require_clause_read(struct byte_view statement, struct require_clause *out);

#endif
