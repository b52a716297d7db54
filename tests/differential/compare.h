/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the steps of a sequence on both sides, one step at a time, and finds the first difference.
 */
#ifndef SALLYPORT_DIFFERENTIAL_COMPARE_H
#define SALLYPORT_DIFFERENTIAL_COMPARE_H

#include "tests/differential/client.h"

#define COMPARE_TEXT_SHOWN   400 /* bytes of a statement in a report */
#define COMPARE_ANSWER_SHOWN 600 /* bytes of an answer, from a little before the difference */

/* Print each step before it is taken: for a sequence that hangs. */
extern bool compare_trace;

/*
 * Logs in on both, takes the steps that are not dropped, logs out. Returns whether anything
 * differed; then `report` (NULL for none) has the steps so far and both answers.
 */
bool compare_sequence(struct client *direct, struct client *proxied,
                      const struct sequence *sequence, struct text *report);

#endif
