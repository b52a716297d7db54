/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authority's answers as JSON: one value a line for programs, or laid out for people.
 *
 * What printable_write() (base/printable.h) would show as an escape, is one here too: \u009b,
 * \u202e. That is the same text for whoever reads JSON, and harmless to a terminal.
 */
#ifndef SALLYPORT_CLI_ADMIN_JSON_H
#define SALLYPORT_CLI_ADMIN_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#define ADMIN_JSON_WIDTH 80 /* columns of what is laid out; a long text goes past it */
#define ADMIN_JSON_DEPTH 32 /* more than an answer can have */

/* Appends the value in one line, and the line's end. */
bool admin_json_line(const cJSON *value, struct buffer *out, struct error *err) MUST_USE;

/*
 * Appends the value laid out in the way of docs/configuration.md: what fits into a line is in one,
 * and what does not is indented by two. Ends in a line's end.
 */
bool admin_json_pretty(const cJSON *value, struct buffer *out, struct error *err) MUST_USE;

#endif
