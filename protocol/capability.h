/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability flags of the MySQL and MariaDB protocol, and what Sallyport offers across its two
 * legs. (MySQL: "Capabilities Flags" in the source documentation, include/mysql_com.h of 9.x;
 *  MariaDB: "Connection" in the protocol manual. MariaDB clears CLIENT_MYSQL, bit 0, in its
 * greeting, and then the last 4 filler bytes hold its extended flags.)
 */
#ifndef SALLYPORT_PROTOCOL_CAPABILITY_H
#define SALLYPORT_PROTOCOL_CAPABILITY_H

#include <stdbool.h>
#include <stdint.h>

#define CAPABILITY_LONG_PASSWORD \
    (1u << 0) /* MariaDB: CLIENT_MYSQL, clear where extended flags follow */
#define CAPABILITY_FOUND_ROWS         (1u << 1)
#define CAPABILITY_LONG_FLAG          (1u << 2)
#define CAPABILITY_CONNECT_WITH_DB    (1u << 3)
#define CAPABILITY_NO_SCHEMA          (1u << 4)
#define CAPABILITY_COMPRESS           (1u << 5)
#define CAPABILITY_ODBC               (1u << 6)
#define CAPABILITY_LOCAL_FILES        (1u << 7)
#define CAPABILITY_IGNORE_SPACE       (1u << 8)
#define CAPABILITY_PROTOCOL_41        (1u << 9)
#define CAPABILITY_INTERACTIVE        (1u << 10)
#define CAPABILITY_SSL                (1u << 11)
#define CAPABILITY_IGNORE_SIGPIPE     (1u << 12)
#define CAPABILITY_TRANSACTIONS       (1u << 13)
#define CAPABILITY_RESERVED           (1u << 14)
#define CAPABILITY_SECURE_CONNECTION  (1u << 15)
#define CAPABILITY_MULTI_STATEMENTS   (1u << 16)
#define CAPABILITY_MULTI_RESULTS      (1u << 17)
#define CAPABILITY_PS_MULTI_RESULTS   (1u << 18)
#define CAPABILITY_PLUGIN_AUTH        (1u << 19)
#define CAPABILITY_CONNECT_ATTRS      (1u << 20)
#define CAPABILITY_PLUGIN_AUTH_LENENC (1u << 21)
#define CAPABILITY_EXPIRED_PASSWORDS  (1u << 22)
#define CAPABILITY_SESSION_TRACK      (1u << 23)
#define CAPABILITY_DEPRECATE_EOF      (1u << 24)
#define CAPABILITY_OPTIONAL_METADATA  (1u << 25)
#define CAPABILITY_ZSTD               (1u << 26)
#define CAPABILITY_QUERY_ATTRIBUTES   (1u << 27)
#define CAPABILITY_MULTI_FACTOR       (1u << 28)
#define CAPABILITY_EXTENSION          (1u << 29)
#define CAPABILITY_VERIFY_SERVER_CERT (1u << 30)
#define CAPABILITY_REMEMBER_OPTIONS   (1u << 31)

/*
 * MariaDB's extended flags that go end to end (MariaDB manual, "Connection": bits 32 and 34 to 37
 * of the whole; bit 33, COM_MULTI, never left its beta): progress reports, COM_STMT_BULK_EXECUTE,
 * type names in column definitions (which pass by unread), column definitions that are sent once
 * and then left out, and a result for each row of a bulk.
 */
#define CAPABILITY_MARIADB_PROGRESS     (1u << 0)
#define CAPABILITY_MARIADB_BULK         (1u << 2)
#define CAPABILITY_MARIADB_METADATA     (1u << 3)
#define CAPABILITY_MARIADB_CACHE        (1u << 4)
#define CAPABILITY_MARIADB_BULK_RESULTS (1u << 5)
#define CAPABILITY_MARIADB_END_TO_END                                                      \
    (CAPABILITY_MARIADB_PROGRESS | CAPABILITY_MARIADB_BULK | CAPABILITY_MARIADB_METADATA | \
     CAPABILITY_MARIADB_CACHE | CAPABILITY_MARIADB_BULK_RESULTS)

/* Server status flags in OK and EOF packets (include/mysql_com.h). */
#define STATUS_IN_TRANSACTION        0x0001
#define STATUS_AUTOCOMMIT            0x0002
#define STATUS_MORE_RESULTS          0x0008
#define STATUS_CURSOR_EXISTS         0x0040
#define STATUS_LAST_ROW_SENT         0x0080
#define STATUS_NO_BACKSLASH_ESCAPES  0x0200
#define STATUS_OUT_PARAMETERS        0x1000
#define STATUS_SESSION_STATE_CHANGED 0x4000

/* Flags that the relay understands in the command phase: what both legs must agree on. */
#define CAPABILITY_END_TO_END                                                                    \
    (CAPABILITY_LONG_PASSWORD | CAPABILITY_FOUND_ROWS | CAPABILITY_LONG_FLAG |                   \
     CAPABILITY_NO_SCHEMA | CAPABILITY_ODBC | CAPABILITY_LOCAL_FILES | CAPABILITY_IGNORE_SPACE | \
     CAPABILITY_PROTOCOL_41 | CAPABILITY_INTERACTIVE | CAPABILITY_IGNORE_SIGPIPE |               \
     CAPABILITY_TRANSACTIONS | CAPABILITY_RESERVED | CAPABILITY_MULTI_STATEMENTS |               \
     CAPABILITY_MULTI_RESULTS | CAPABILITY_PS_MULTI_RESULTS | CAPABILITY_EXPIRED_PASSWORDS |     \
     CAPABILITY_SESSION_TRACK | CAPABILITY_DEPRECATE_EOF | CAPABILITY_OPTIONAL_METADATA |        \
     CAPABILITY_QUERY_ATTRIBUTES | CAPABILITY_COMPRESS | CAPABILITY_ZSTD)

/* Flags that concern one leg alone: how it logs in, encrypts, names itself. */
#define CAPABILITY_LEG_LOCAL                                                              \
    (CAPABILITY_CONNECT_WITH_DB | CAPABILITY_SECURE_CONNECTION | CAPABILITY_PLUGIN_AUTH | \
     CAPABILITY_CONNECT_ATTRS | CAPABILITY_PLUGIN_AUTH_LENENC | CAPABILITY_SSL)

/*
 * Everything else is masked: authentication with several factors, and what is for clients alone.
 *
 * Bit 0 goes end to end like the others. MySQL calls it LONG_PASSWORD and always sets it. MariaDB
 * clears it in its greeting to say "extended flags follow in the filler", and a client that answers
 * with it clear has put its own there. Kept as the upstream had it, both sides agree on what
 * follows.
 */

/* What a greeting to a client offers, out of what the upstream offers. SSL only with `starttls`. */
uint32_t capability_offer(uint32_t upstream, bool starttls);

/*
 * What the login to the upstream says: of the flags that go end to end exactly what the client
 * accepted, of the leg's own ones what the upstream has. CONNECT_WITH_DB only with a schema, SSL
 * only where TLS is in use.
 */
uint32_t capability_login(uint32_t upstream, uint32_t accepted, bool tls, bool schema);

#endif
