/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the control protocol: frames by hand, and an owner that notes what happens. */
#ifndef SALLYPORT_TESTS_CONTROL_SUPPORT_H
#define SALLYPORT_TESTS_CONTROL_SUPPORT_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/bytes.h"
#include "control/peer.h"
#include "tests/unit/tls_support.h"

/* Appends a frame whose JSON is `text`, whatever that is. */
static inline void append_frame(struct buffer *out, const char *text)
{
    struct byte_writer writer = byte_writer(out);
    struct error err = {0};
    byte_writer_u32be(&writer, (uint32_t)strlen(text));
    byte_writer_bytes(&writer, text, strlen(text));
    cr_assert(byte_writer_finish(&writer, &err), "%s", err.message);
}

/* One side under test, and what happened to it. */
struct owner {
    struct control_peer *peer; /* NULL once closed */
    struct pair *pair;
    bool secured, closed;
    bool quiet; /* does not answer */
    bool close_at_message;
    int messages;
    char last[64]; /* the last request's or event's name */
    uint64_t last_id;
    size_t last_length; /* of the member "pad" */
    struct error reason;
    char address[64]; /* seen in `closed` */
};

/* What an owner's peer is made with: it answers each request with {}, unless it is quiet. */
extern const struct control_peer_events owner_events;

/* Answers the request with {}. */
void owner_answer(struct owner *owner, uint64_t id);
/* The side's stream becomes a peer. */
void owner_adopt(struct owner *owner, struct pair *pair, struct side *side, enum control_side role);
/* Runs the loop until so many messages came in all. */
void owner_run_until(struct owner *owner, int messages);
/* Closes the peer, the client's stream and the pair. */
void owner_finish(struct owner *owner, struct pair *pair);

/* Writes a frame. */
void side_send(struct side *side, const char *text);

#endif
