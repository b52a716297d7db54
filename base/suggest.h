/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "did you mean …?": the nearest of a set of known names to a word that is not one of them.
 *
 *     struct suggestion nearest = suggestion_for("listners");
 *     suggestion_try(&nearest, "listeners");
 *     suggestion_try(&nearest, "name");
 *     if (nearest.name) …                       "listeners"
 *
 * Near is counted in edits (a letter added, left out or changed, two neighbours swapped; upper and
 * lower case are the same letter): one for words of up to 3 bytes, two up to 6, three above. Of
 * equally near names the first one tried wins.
 */
#ifndef SALLYPORT_BASE_SUGGEST_H
#define SALLYPORT_BASE_SUGGEST_H

#include <stddef.h>

/* Words and names longer than this are never near anything. */
#define SUGGEST_LENGTH_LIMIT 64

struct suggestion {
    const char *word; /* borrowed */
    const char *name; /* the nearest so far, or NULL; borrowed from what was tried */
    size_t edits;     /* how far that is; before any, one more than is near enough */
};

struct suggestion suggestion_for(const char *word);
void suggestion_try(struct suggestion *nearest, const char *name);

#endif
