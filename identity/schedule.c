/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/schedule.h"

#include <time.h>

#include "base/backoff.h"
#include "base/clock.h"

/* How far back the authority puts the beginning of what it issues, for clocks that are behind. */
#define BACKDATED_US 60000000

static int64_t clock_boot_us(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return clock_monotonic_us();
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* A tenth to either side. */
static int64_t spread(int64_t value_us)
{
    int64_t middle_ms = within(value_us / 1000, 0, INT32_MAX);
    return (int64_t)backoff_jitter((uint32_t)middle_ms, (uint32_t)(middle_ms / 10)) * 1000;
}

struct schedule schedule_make(int64_t not_before_us, int64_t not_after_us, int64_t renew_at_us,
                              bool fresh)
{
    int64_t boot_us = clock_boot_us(), wall_us = clock_wall_us();
    if (renew_at_us <= 0 || renew_at_us >= not_after_us)
        renew_at_us = not_before_us + (not_after_us - not_before_us) / 3;
    /* What is left of it when it is renewed. */
    int64_t margin = not_after_us - renew_at_us;
    /* What is meant, by the certificate alone, where that is longer. */
    int64_t meant = renew_at_us - not_before_us - BACKDATED_US;
    int64_t least = fresh ? margin / 8 : 0;
    int64_t pause = within(renew_at_us - wall_us, least, meant > margin ? meant : margin);
    if (fresh)
        pause = spread(pause);
    return (struct schedule){
        .due_boot_us = boot_us + pause,
        .due_wall_us = wall_us + pause,
        .least_boot_us = boot_us + least / 2,
    };
}

bool schedule_is_due(const struct schedule *schedule)
{
    int64_t boot_us = clock_boot_us();
    return boot_us >= schedule->due_boot_us ||
           (boot_us >= schedule->least_boot_us && clock_wall_us() >= schedule->due_wall_us);
}

int64_t schedule_left_us(const struct schedule *schedule)
{
    int64_t left_us = schedule->due_boot_us - clock_boot_us();
    return left_us > 0 ? left_us : 0;
}
