/* SPDX-License-Identifier: Apache-2.0 */
/* Pauses that double up to a limit, each with jitter, so that many who failed together do not come
 * back together. */
#ifndef SALLYPORT_BASE_BACKOFF_H
#define SALLYPORT_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t least_ms;
    uint32_t most_ms; /* jitter does not go past it */
    uint32_t next_ms; /* 0: nothing failed yet */
};

/* A value drawn evenly from middle - spread to middle + spread; spread is at most middle. */
uint32_t backoff_jitter(uint32_t middle, uint32_t spread);

/* Another failure: the pause before the next attempt, in milliseconds, between half of the present
 * step and the whole of it. */
uint32_t backoff_fail(struct backoff *backoff);

/* A success: the next failure starts over. */
void backoff_reset(struct backoff *backoff);

#endif
