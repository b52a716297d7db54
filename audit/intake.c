/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/intake.h"

#include <stdlib.h>
#include <string.h>

struct audit_entry {
    struct audit_lane *lane;
    struct audit_entry *next; /* among the spare ones */
    size_t reserved;
    struct audit_draft draft;
};

bool audit_lane_open(struct audit_lane *lane, size_t chunk, struct audit_doorbell *doorbell,
                     struct error *err)
{
    memset(lane, 0, sizeof *lane);
    audit_converter_init(&lane->converter);
    return audit_lane_ring_open(&lane->ring, chunk, doorbell, err);
}

static void entry_free(struct audit_entry *entry)
{
    buffer_release(&entry->draft.json);
    free(entry);
}

void audit_lane_close(struct audit_lane *lane)
{
    while (lane->spare) {
        struct audit_entry *entry = lane->spare;
        lane->spare = entry->next;
        entry_free(entry);
    }
    audit_converter_release(&lane->converter);
    audit_lane_ring_close(&lane->ring);
}

void audit_lane_on_room(struct audit_lane *lane, void (*room)(void *arg), void *arg)
{
    lane->ring.room = room;
    lane->ring.room_arg = arg;
}

static struct audit_entry *entry_get(struct audit_lane *lane, struct error *err)
{
    struct audit_entry *entry = lane->spare;
    if (entry) {
        lane->spare = entry->next;
        lane->spare_count--;
        return entry;
    }
    entry = malloc(sizeof *entry);
    if (!entry) {
        error_set(err, ERROR_MEMORY, "out of memory for an audit record");
        return NULL;
    }
    entry->lane = lane;
    audit_draft_init(&entry->draft);
    return entry;
}

static void entry_put(struct audit_lane *lane, struct audit_entry *entry)
{
    if (lane->spare_count >= AUDIT_SPARE_ENTRIES) {
        entry_free(entry);
        return;
    }
    buffer_trim(&entry->draft.json, AUDIT_SPARE_BYTES);
    entry->next = lane->spare;
    lane->spare = entry;
    lane->spare_count++;
}

/* The least that a record takes, to refuse it before the work of rendering it. */
static size_t least_size(const struct audit_prefix *prefix, const struct audit_intent *intent)
{
    return buffer_length(&prefix->json) + intent->params_length + intent->attributes_length +
           intent->details_length + AUDIT_OUTCOME_ROOM;
}

static bool entry_reserve(struct audit_entry *entry, enum audit_answer *answer, struct error *err)
{
    struct audit_lane *lane = entry->lane;
    entry->reserved = buffer_length(&entry->draft.json) + AUDIT_OUTCOME_ROOM + AUDIT_LANE_HEADER;
    if (entry->reserved > audit_lane_ring_greatest(&lane->ring))
        return error_set(err, ERROR_LIMIT, "a record of %zu bytes is more than a lane takes",
                         entry->reserved);
    *answer = audit_lane_reserve(&lane->ring, entry->reserved) ? AUDIT_READY : AUDIT_WAIT;
    return true;
}

bool audit_begin(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, enum audit_answer *answer,
                 struct audit_entry **entry, struct error *err)
{
    size_t least = least_size(prefix, intent);
    *entry = NULL;
    *answer = AUDIT_WAIT;
    if (least <= audit_lane_ring_greatest(&lane->ring) &&
        !audit_lane_has_room(&lane->ring, least)) {
        if (!audit_lane_reserve(&lane->ring, least))
            return true;
        audit_lane_unreserve(&lane->ring, least);
    }
    struct audit_entry *made = entry_get(lane, err);
    if (!made)
        return false;
    bool done = audit_draft_intent(&made->draft, prefix, intent, &lane->converter, err) &&
                entry_reserve(made, answer, err);
    if (!done || *answer == AUDIT_WAIT) {
        entry_put(lane, made);
        return done || error_wrap(err, "cannot record the command");
    }
    lane->open++;
    *entry = made;
    return true;
}

void audit_finish(struct audit_entry *entry, const struct audit_outcome *outcome)
{
    struct audit_lane *lane = entry->lane;
    struct audit_lane_ring *ring = &lane->ring;
    const struct audit_draft *draft = &entry->draft;
    struct audit_ending *ending = &lane->ending;
    audit_draft_outcome(draft, outcome, &lane->converter, ending);
    const uint8_t *json = buffer_bytes(&draft->json);
    size_t length = buffer_length(&draft->json);
    uint32_t whole = (uint32_t)(length + ending->middle_length + ending->tail_length);
    audit_lane_unreserve(ring, entry->reserved);
    audit_lane_write(ring, &whole, sizeof whole);
    audit_lane_write(ring, json, draft->split);
    audit_lane_write(ring, ending->middle, ending->middle_length);
    audit_lane_write(ring, json + draft->split, length - draft->split);
    audit_lane_write(ring, ending->tail, ending->tail_length);
    audit_lane_publish(ring);
    lane->open--;
    entry_put(lane, entry);
}

bool audit_event(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, const struct audit_outcome *outcome,
                 enum audit_answer *answer, struct error *err)
{
    struct audit_entry *entry;
    if (!audit_begin(lane, prefix, intent, answer, &entry, err))
        return false;
    if (*answer == AUDIT_READY)
        audit_finish(entry, outcome);
    return true;
}
