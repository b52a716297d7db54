/* SPDX-License-Identifier: Apache-2.0 */
/* A lane as producers have it: the ring, the open records and what rendering needs. Private to
 * audit/: the log opens lanes, and drains their rings. */
#ifndef SALLYPORT_AUDIT_INTAKE_H
#define SALLYPORT_AUDIT_INTAKE_H

#include "audit/charset.h"
#include "audit/lane.h"
#include "audit/record.h"

#define AUDIT_SPARE_ENTRIES 64          /* finished entries that a lane keeps for the next ones */
#define AUDIT_SPARE_BYTES   (16 * 1024) /* of JSON that a spare entry keeps allocated */

struct audit_lane {
    struct audit_lane_ring ring;
    /* The rest is the producer's alone. */
    struct audit_converter converter;
    struct audit_entry *spare;
    unsigned spare_count;
    unsigned open;              /* entries that are not finished */
    struct audit_ending ending; /* of the entry that is being finished; here because it is large */
};

/* A lane whose ring has chunks of `chunk` bytes. */
bool audit_lane_open(struct audit_lane *lane, size_t chunk, struct audit_doorbell *doorbell,
                     struct error *err) MUST_USE;
void audit_lane_close(struct audit_lane *lane);

#endif
