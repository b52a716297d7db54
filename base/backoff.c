/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include <stdlib.h>

uint32_t backoff_jitter(uint32_t middle, uint32_t spread)
{
    return middle - spread + arc4random_uniform(2 * spread + 1);
}

uint32_t backoff_fail(struct backoff *backoff)
{
    uint32_t step = backoff->next_ms ? backoff->next_ms : backoff->least_ms;
    backoff->next_ms = step >= backoff->most_ms / 2 ? backoff->most_ms : 2 * step;
    uint32_t spread = step / 4;
    return backoff_jitter(step - spread, spread);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = 0;
}
