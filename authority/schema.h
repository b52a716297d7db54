/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's tables, and how they got there: a list of steps, of which the table schema_versions
 * has one row each. A step that has been released is never changed; what comes later is one more
 * step. They only go forward.
 *
 * Private to authority/. The SQL is what SQLite, MySQL 8 and MariaDB have in common. (There, a
 * statement that makes or changes a table cannot be rolled back: their driver will have to make
 * sure that a step is alone, and say so when it was cut.)
 */
#ifndef SALLYPORT_AUTHORITY_SCHEMA_H
#define SALLYPORT_AUTHORITY_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "authority/sql.h"
#include "base/error.h"

/* From one version to the next; the first goes from nothing to version 1. */
struct schema_step {
    const char *const *statements;
    size_t count;
};

/* A list of steps; `count` is the version that they lead to. */
struct schema {
    const struct schema_step *steps;
    size_t count;
};

/* What this program knows. */
extern const struct schema schema_known;

/* Takes an empty database through all steps. */
bool schema_create(struct sql *sql, const struct schema *schema, struct error *err) MUST_USE;

/* Whether it is a store, and of a version that is known; reads only. ERROR_UNSUPPORTED: it is of a
 * newer version; ERROR_MALFORMED: it is no store, or damaged. */
bool schema_check(struct sql *sql, const struct schema *schema, int64_t *version,
                  struct error *err) MUST_USE;

/* Takes a store through the steps that it has not seen, each in a transaction of its own: what was
 * reached stays, what failed has changed nothing. */
bool schema_migrate(struct sql *sql, const struct schema *schema, struct error *err) MUST_USE;

#endif
