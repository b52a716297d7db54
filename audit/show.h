/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport audit log` and `tail`: an audit directory's records, filtered and printed. */
#ifndef SALLYPORT_AUDIT_SHOW_H
#define SALLYPORT_AUDIT_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "audit/filter.h"

#define AUDIT_SHOW_FOLLOW_MS 200 /* between looks for more, when following */

enum audit_format { AUDIT_FORMAT_TABLE, AUDIT_FORMAT_JSON };

struct audit_show {
    const char *directory;
    struct audit_filter filter;
    bool has_newest;
    uint64_t newest;         /* only that many of the newest records that match, to begin with */
    bool follow;             /* then wait for more, until `stop` says so */
    bool (*stop)(void *arg); /* asked before each wait; NULL: never */
    void *stop_arg;
    enum audit_format format;
    size_t width; /* see audit/table.h */
    bool colour;
    FILE *out, *err;
};

struct audit_shown {
    uint64_t records;    /* printed */
    uint64_t unreadable; /* lines that were reported on `err` instead */
};

/*
 * Prints records in the order of the log. A line that cannot be read is reported as FILE:LINE on
 * `err` and counted. False: the directory or the output failed; *shown says how far it came.
 *
 * A file last written before `since` is skipped unread: each of its records arrived before that.
 */
bool audit_show_run(const struct audit_show *show, struct audit_shown *shown,
                    struct error *err) MUST_USE;

#endif
