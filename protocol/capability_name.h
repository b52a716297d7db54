/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability flags in words: what each is called, and what a client misses where the proxy masks
 * it. (Names: MySQL's include/mysql_com.h of 9.x and MariaDB's of 11.8, without their CLIENT_ and
 * MARIADB_CLIENT_ prefixes.)
 */
#ifndef SALLYPORT_PROTOCOL_CAPABILITY_NAME_H
#define SALLYPORT_PROTOCOL_CAPABILITY_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define CAPABILITY_BITS      32
#define CAPABILITY_NAME_SIZE 32

struct capability_name {
    char name[CAPABILITY_NAME_SIZE]; /* "COMPRESS"; "bit 6" for a flag without a known name */
    const char *masked;              /* what it means for a client that it is masked */
};

/* `bit`: 0 to 31. `mariadb`: of MariaDB's extended flags, which the whole counts from 32 on. */
struct capability_name capability_name(unsigned bit, bool mariadb);

#endif
