/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking passwords out of SQL before it is recorded (DESIGN.md, I8). Private to audit/.
 *
 * What counts as a password (MySQL 9 manual, "CREATE USER", "ALTER USER", "SET PASSWORD", "CHANGE
 * REPLICATION SOURCE TO", "START REPLICA", "CREATE SERVER", "CLONE"; MariaDB manual, the same pages
 * and "IDENTIFIED VIA"): literals
 *   - behind IDENTIFIED BY | WITH | VIA | AS | USING, up to the comma, semicolon or clause that
 * ends that account's authentication (the plugin's name stays);
 *   - behind a word that ends in PASSWORD and then `=`, `:=`, `(`, TO or the literal itself; behind
 *     PASSWORD FOR account, only past its `=`.
 * The same inside a comment, and inside a literal that holds such text (PREPARE … FROM, EXECUTE
 * IMMEDIATE), where everything up to its end goes.
 *
 * It errs towards taking out too much. It cannot see a password that a statement takes from a user
 * variable, or that stands where the words `password` and `identified` do not.
 */
#ifndef SALLYPORT_AUDIT_REDACT_H
#define SALLYPORT_AUDIT_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* What stands for a secret. */
#define AUDIT_REDACTED "<redacted>"

struct audit_redact_dialect {
    bool no_backslash_escapes; /* a backslash in a literal is a character like any other */
    bool
        double_byte; /* a byte from 0x81 up and the one behind it are one character: gbk, sjis, … */
};

struct audit_redaction {
    bool redacted;    /* something was taken out */
    bool placeholder; /* a bound value stands where a password is due */
};

/* Whether the text holds `password` or `identified` in any letter case: nearly none does. */
bool audit_redact_suspect(const void *text, size_t length);

/* Writes the text to `out` (cleared before) with passwords taken out, and says what it did. When
 * nothing was, `out` stays empty. Fails only for want of memory or of room in `out`. */
bool audit_redact(const void *text, size_t length, struct audit_redact_dialect dialect,
                  struct buffer *out, struct audit_redaction *redaction,
                  struct error *err) MUST_USE;

#endif
