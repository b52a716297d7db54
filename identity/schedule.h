/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a certificate is renewed, by two clocks (identity/renewal.h): CLOCK_BOOTTIME, which goes on
 * while the machine sleeps and knows nothing of wrong dates, and wall time, which goes on while a
 * virtual machine is paused.
 */
#ifndef SALLYPORT_IDENTITY_SCHEDULE_H
#define SALLYPORT_IDENTITY_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    int64_t due_boot_us;
    int64_t due_wall_us;
    int64_t least_boot_us; /* by wall time alone, not earlier than this */
};

/*
 * For a certificate with this validity. `renew_at_us` is the authority's word; 0, or none that can
 * be: a third of the validity. `fresh`: it was issued a moment ago, so it has its whole life before
 * it, whatever this machine's clock says: one that is ahead would have it renewed at once, and over
 * and over, and one that is behind when it is too late. The time is spread by a tenth.
 */
struct schedule schedule_make(int64_t not_before_us, int64_t not_after_us, int64_t renew_at_us,
                              bool fresh);

bool schedule_is_due(const struct schedule *schedule);

/* What is left until it is due, in microseconds; not below zero. */
int64_t schedule_left_us(const struct schedule *schedule);

#endif
