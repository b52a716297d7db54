/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether bytes are exactly one JSON object, looked at before cJSON sees them. cJSON is lenient (it
 * reads "01" as 1, lets line breaks into strings and any bytes below a blank between values, cuts
 * strings at an escaped NUL), and it allocates some hundred bytes for a value that takes two: a
 * peer could turn 16 MiB into hundreds. Nothing is allocated here.
 *
 * The grammar is that of RFC 8259, white space around the object allowed. Refused besides: a byte
 * order mark, bytes that are not UTF-8, NUL in a string, half of a surrogate pair, and what passes
 * the limits below. Duplicate keys are found later, in the tree (control_parse()).
 */
#ifndef SALLYPORT_CONTROL_JSON_CHECK_H
#define SALLYPORT_CONTROL_JSON_CHECK_H

#include "base/bytes.h"
#include "base/error.h"

/* Limits of one message (DESIGN.md, I9). */
#define CONTROL_DEPTH_MAX  16     /* objects and lists inside one another, the outermost counted */
#define CONTROL_VALUES_MAX 250000 /* values of all kinds: 40 MB in cJSON, and their text */
#define CONTROL_KEYS_MAX   100000 /* keys of one object: a state has one for each bot */
#define CONTROL_DIGITS_MAX 60     /* bytes of a number: cJSON reads no more than 63 of one */

/* ERROR_MALFORMED, or ERROR_LIMIT past a limit; the message has the byte's place. */
bool control_json_check(struct byte_view text, struct error *err) MUST_USE;

#endif
