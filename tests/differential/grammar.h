/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements out of a weighted grammar: a rule's text stands for itself, but for ~name~, which is
 * replaced by one of the rules of that name, or by a generated value (grammar.c lists them).
 *
 * Nothing in the grammar depends on the clock, on connection ids, on other sessions, or on the
 * order of rows that no ORDER BY decides: two equal servers give the same answers.
 */
#ifndef SALLYPORT_DIFFERENTIAL_GRAMMAR_H
#define SALLYPORT_DIFFERENTIAL_GRAMMAR_H

#include "tests/differential/step.h"
#include "tests/differential/text.h"

#define GRAMMAR_DEPTH 7 /* from here on the first rule of a name is taken: it must end */

struct rule {
    const char *name; /* rules of one name stand together */
    unsigned int weight;
    unsigned int flavours; /* enum flavour, or-ed */
    const char *text;
};

extern const struct rule grammar_rules[];
extern const size_t grammar_rule_count;

/* Checks the table and indexes it; call once. Dies where a name is used that has no rule. */
void grammar_init(void);
/* Appends one expansion of the rules of `name`. */
void grammar_expand(struct random *random, enum flavour flavour, const char *name,
                    struct text *out);

#endif
