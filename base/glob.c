/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <string.h>

#include "base/utf8.h"

/* The bytes of the character at `text`, which is not at its end. */
static size_t character_size(const char *text)
{
    size_t size = utf8_sequence(text, strnlen(text, 4));
    return size ? size : 1;
}

/* Matches one character of the text with one element of the pattern, which is not `*`; on success
 * both move on. */
static bool match_one(const char **pattern, const char **text)
{
    const char *element = *pattern;
    if (*element == '?') {
        *pattern = element + 1;
        *text += character_size(*text);
        return true;
    }
    if (*element == '\\' && element[1] != '\0')
        element++;
    if (*element != **text)
        return false;
    *pattern = element + 1;
    *text += 1;
    return true;
}

bool glob_match(const char *pattern, const char *text)
{
    const char *after_star = NULL; /* the pattern behind the last `*` */
    const char *star_text = NULL;  /* where the text behind that `*` was last tried to begin */
    while (*text != '\0') {
        if (*pattern == '*') {
            after_star = ++pattern;
            star_text = text;
        } else if (*pattern == '\0' || !match_one(&pattern, &text)) {
            if (!after_star)
                return false;
            star_text += character_size(star_text);
            pattern = after_star;
            text = star_text;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Moves past an element that stands for itself, escaped or not. */
static const char *skip_literal(const char *pattern)
{
    return pattern + (*pattern == '\\' && pattern[1] != '\0' ? 2 : 1);
}

bool glob_is_wild(const char *pattern)
{
    while (*pattern != '\0' && *pattern != '*' && *pattern != '?')
        pattern = skip_literal(pattern);
    return *pattern != '\0';
}

bool glob_check(const char *pattern, struct error *err)
{
    for (const char *at = pattern; *at != '\0'; at = skip_literal(at))
        if (*at == '\\' && at[1] == '\0')
            return error_set(err, ERROR_MALFORMED,
                             "the pattern ends in a backslash that escapes nothing: write two");
    return true;
}
