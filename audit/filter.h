/* SPDX-License-Identifier: Apache-2.0 */
/* Which records a reader of the log wants. Private to audit/. */
#ifndef SALLYPORT_AUDIT_FILTER_H
#define SALLYPORT_AUDIT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/line.h"
#include "base/buffer.h"
#include "base/error.h"

/* All that is set must match; NULL and false ask for nothing. */
struct audit_filter {
    const char *bot;      /* glob */
    const char *database; /* glob */
    const char *outcome;
    const char *event; /* glob */
    const char *session;
    const char *grep; /* text in the statement; ASCII letters in either case */
    bool has_since, has_until;
    int64_t since_us, until_us; /* wall time of arrival: since <= time < until */
};

/* Whether a record is wanted. `scratch` grows to the greatest text looked at. False: no memory. */
bool audit_filter_match(const struct audit_filter *filter, const struct audit_line *line,
                        struct buffer *scratch, bool *matches, struct error *err) MUST_USE;

/* Reads a time for a filter: RFC 3339, or a duration such as "10m", which is that long before
 * `now`.
 */
bool audit_filter_time(const char *text, int64_t now_us, int64_t *wall_us,
                       struct error *err) MUST_USE;

#endif
