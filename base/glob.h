/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Globs, as roles and mappings write them: `*` stands for any number of characters, `?` for exactly
 * one (a UTF-8 character; a byte that is none counts as one), and a backslash makes the next
 * character stand for itself. Everything else stands for itself, letter case included, and the
 * whole text must match.
 *
 * The time is at most proportional to pattern × text, whatever both are: only the last `*` is ever
 * tried again, so a hostile text cannot make it explode.
 */
#ifndef SALLYPORT_BASE_GLOB_H
#define SALLYPORT_BASE_GLOB_H

#include <stdbool.h>

#include "base/error.h"

/* Whether the pattern can mean something: a backslash at its end escapes nothing, so a rule with it
 * is refused when it is read. */
bool glob_check(const char *pattern, struct error *err) MUST_USE;

/* Whether the text matches. A backslash at the end of the pattern matches a backslash. */
bool glob_match(const char *pattern, const char *text);

/* Whether the pattern holds an unescaped `*` or `?`, so that it can match more than one text. */
bool glob_is_wild(const char *pattern);

#endif
