/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The response tracker against hostile servers. The input is a byte of capabilities, a byte that
 * cuts, a count of commands with their reply forms, then the server's stream. It is followed twice,
 * as one input and in pieces: both must say the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"
#include "protocol/response.h"

#define COMMANDS_MAX 8
#define EVENTS_MAX   4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint8_t events[EVENTS_MAX];
    struct response_outcome outcomes[COMMANDS_MAX + 1];
    size_t event_count;
    size_t outcome_count;
    bool refused;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void note_outcome(struct seen *seen, const struct response_tracker *tracker)
{
    if (seen->outcome_count < COMMANDS_MAX + 1)
        memcpy(&seen->outcomes[seen->outcome_count++], response_result(tracker),
               sizeof *seen->outcomes);
}

/* Does what the proxy would do with an event. */
static void note(struct seen *seen, struct response_tracker *tracker, enum response_event event)
{
    uint8_t next;
    if (event == RESPONSE_MORE || event == RESPONSE_HELD)
        return;
    if (seen->event_count < EVENTS_MAX)
        seen->events[seen->event_count++] = (uint8_t)event;
    if (event == RESPONSE_DONE || event == RESPONSE_UNSOLICITED) {
        check(response_at_boundary(tracker, &next));
        note_outcome(seen, tracker);
    }
    if (event == RESPONSE_LOCAL_INFILE)
        response_infile_sent(tracker, 9);
    if (event == RESPONSE_INJECT)
        check(response_injected_done(tracker) != NULL);
    if (event == RESPONSE_LOGIN) {
        struct byte_view packet = response_packet(tracker);
        check(packet.length > 0 && packet.length <= PACKET_LOGIN_MAX);
        if (packet.data[0] == 0x00 || packet.data[0] == 0xFF)
            response_login_done(tracker);
    }
}

static void feed(struct seen *seen, struct response_tracker *tracker, const uint8_t *data,
                 size_t size)
{
    for (size_t at = 0; at < size && !seen->refused;) {
        enum response_event event;
        size_t consumed;
        bool ok = response_feed(tracker, byte_view(data + at, size - at), &consumed, &event, NULL);
        check(consumed <= size - at);
        seen->refused = !ok;
        if (!ok)
            break;
        check(consumed > 0 || event == RESPONSE_INJECT);
        check((event != RESPONSE_MORE && event != RESPONSE_HELD) || consumed == size - at);
        at += consumed;
        note(seen, tracker, event);
    }
}

static void follow(struct seen *seen, const uint32_t capabilities[2], const uint8_t *forms,
                   size_t count, const uint8_t *data, size_t size, size_t piece)
{
    static int tag;
    struct response_tracker *tracker;
    check(response_tracker_create(capabilities[0], capabilities[1], &tracker, NULL));
    memset(seen, 0, sizeof *seen);
    for (size_t i = 0; i < count; i++) {
        enum command_reply reply = 1 + (forms[i] & 7);
        int sequence = forms[i] & 16 ? RESPONSE_SEQUENCE_ANY : 1;
        check(forms[i] & 64
                  ? response_expect_injected(tracker, &tag, NULL)
                  : response_expect(tracker, reply, (forms[i] >> 3 & 1) + (forms[i] >> 5 & 1),
                                    sequence, &tag, NULL));
    }
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, data + at, length);
        feed(seen, tracker, copy, length);
        free(copy);
    }
    while (response_abandon(tracker) != NULL)
        continue;
    response_tracker_destroy(tracker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen whole, pieces;
    if (size < 3)
        return 0;
    const uint32_t capabilities[2] = {
        (data[0] & 1 ? CAPABILITY_DEPRECATE_EOF : 0) |
            (data[0] & 2 ? CAPABILITY_SESSION_TRACK : 0) |
            (data[0] & 4 ? CAPABILITY_LOCAL_FILES : 0) |
            (data[0] & 8 ? CAPABILITY_OPTIONAL_METADATA : 0),
        (data[0] & 16 ? CAPABILITY_MARIADB_PROGRESS : 0) |
            (data[0] & 32 ? CAPABILITY_MARIADB_CACHE : 0),
    };
    size_t piece = 1 + data[1] % 61;
    size_t count = data[2] % (COMMANDS_MAX + 1);
    if (size < 3 + count)
        return 0;
    const uint8_t *stream = data + 3 + count;
    size_t length = size - 3 - count;
    follow(&whole, capabilities, data + 3, count, stream, length, length ? length : 1);
    follow(&pieces, capabilities, data + 3, count, stream, length, piece);
    check(whole.event_count == pieces.event_count && whole.refused == pieces.refused);
    check(memcmp(whole.events, pieces.events, whole.event_count) == 0);
    check(whole.outcome_count == pieces.outcome_count);
    check(memcmp(whole.outcomes, pieces.outcomes, whole.outcome_count * sizeof *whole.outcomes) ==
          0);
    return 0;
}
