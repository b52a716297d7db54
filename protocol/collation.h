/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a collation's number, as greetings and logins carry it, to its character set's name.
 * (INFORMATION_SCHEMA.COLLATIONS of MySQL 9.x and MariaDB 11.8.)
 */
#ifndef SALLYPORT_PROTOCOL_COLLATION_H
#define SALLYPORT_PROTOCOL_COLLATION_H

#include <stdint.h>

#define COLLATION_UTF8MB4 45 /* utf8mb4_general_ci, which every server knows */

/* "utf8mb4", "latin1", …; "utf8mb4" for numbers that nobody has defined, servers' default today. */
const char *collation_charset(uint16_t collation);

#endif
