/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct suggestion suggestion_for(const char *word)
{
    size_t length = strnlen(word, SUGGEST_LENGTH_LIMIT + 1);
    size_t near_enough = length <= 3 ? 1 : length <= 6 ? 2 : 3;
    return (struct suggestion){.word = word, .name = NULL, .edits = near_enough + 1};
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * The optimal string alignment distance, a row of its table for each letter of `a`. rows[i % 3] is
 * the row of i letters: a swap looks two rows back.
 */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][SUGGEST_LENGTH_LIMIT + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t changed = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = least_of(changed, least_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = least_of(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

void suggestion_try(struct suggestion *nearest, const char *name)
{
    size_t word_length = strnlen(nearest->word, SUGGEST_LENGTH_LIMIT + 1);
    size_t name_length = strnlen(name, SUGGEST_LENGTH_LIMIT + 1);
    if (word_length > SUGGEST_LENGTH_LIMIT || name_length > SUGGEST_LENGTH_LIMIT)
        return;
    size_t edits = edit_distance(nearest->word, word_length, name, name_length);
    if (edits < nearest->edits) {
        nearest->edits = edits;
        nearest->name = name;
    }
}
