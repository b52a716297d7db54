/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include <criterion/criterion.h>

Test(backoff, doubles_to_its_limit_and_starts_over)
{
    struct backoff backoff = {.least_ms = 100, .most_ms = 1000};
    uint32_t steps[] = {100, 200, 400, 800, 1000, 1000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint32_t pause = backoff_fail(&backoff);
        cr_assert(pause >= steps[i] / 2 && pause <= steps[i], "%zu: %u", i, pause);
    }
    backoff_reset(&backoff);
    cr_assert_leq(backoff_fail(&backoff), 100);
}

Test(backoff, spreads)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t value = backoff_jitter(1000, 200);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    cr_assert(least >= 800 && most <= 1200);
    cr_assert(least < 900 && most > 1100, "%u to %u", least, most);
}
