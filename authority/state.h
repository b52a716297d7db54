/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `state` event: all that proxies must know (docs/protocol/control.md). The same state gives
 * the same bytes: its members are sorted.
 */
#ifndef SALLYPORT_AUTHORITY_STATE_H
#define SALLYPORT_AUTHORITY_STATE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "authority/core.h"

/* Of the parts of one state; the event as a whole has at most CONTROL_ANSWER_MAX. */
#define AUTHORITY_STATE_MAX (16 * 1024 * 1024)

/* A change of anything but documents adds at most this to a state. */
#define AUTHORITY_CHANGE_BYTES  4096
#define AUTHORITY_CHANGE_VALUES 64

/* What there is of it, as the limits of control/state_limits.h and of messages count. */
struct authority_state_size {
    size_t bytes, values; /* at most so many */
    size_t bots, locks;
};

struct authority_rendering {
    cJSON *event; /* to be freed with control_free(); its larger parts are cJSON_Raw */
    int64_t version;
    int64_t next_expiry_us; /* when the first of its locks lapses; 0: none does */
    struct authority_state_size size;
};

/* Renders what is stored. */
bool authority_state_render(struct authority *authority, int64_t now_us,
                            struct authority_rendering *out, struct error *err) MUST_USE;

/*
 * Whether proxies could take a state of this size, with room left for locks that the authority
 * makes by itself. If not: CONTROL_CONFLICT, and what there is too much of. *changes: after so many
 * more, of those that AUTHORITY_CHANGE_BYTES tells of, it must be asked again.
 */
bool authority_state_fits(const struct authority_state_size *size, size_t *changes,
                          struct authority_refusal *refusal) MUST_USE;

#endif
