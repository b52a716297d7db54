/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the response tracker. response.c cuts the stream into packets and passes rows by;
 * response_answer.c knows what the packets of each answer mean.
 *
 *             ┌───────────── OK + MORE_RESULTS ──┐
 *             │        ┌───── end + MORE_RESULTS ┼──────────────────────────┐
 *             ▼        ▼                         │                          │
 *   IDLE ──► FIRST ────┬── column count ──► DEFINITIONS ──► [DEFINITIONS_END] ──► ROWS
 *    │        ▲        └── 0xFB ──► INFILE ──┐     ▲              ▲
 *    │        └────── file has been sent ────┘     │              │  each group of definitions of a
 *    ├──► PREPARE ─────────────────────────────────┴──────────────┘  prepare answer, then IDLE
 *    ├──► ROWS (of a fetch), OK, FIELD_LIST, STATISTICS, STREAM
 *    └──► LOGIN, until the caller ends it
 *
 * Every phase goes back to IDLE with the packet that ends the answer; ERR is such a packet in each.
 * DEFINITIONS_END is the EOF that DEPRECATE_EOF leaves out. Where the server sends no definitions,
 * DEFINITIONS is left out.
 */
#ifndef SALLYPORT_PROTOCOL_RESPONSE_PRIVATE_H
#define SALLYPORT_PROTOCOL_RESPONSE_PRIVATE_H

#include "protocol/response.h"

enum response_phase {
    PHASE_IDLE, /* between answers; a packet that comes now is unsolicited */
    PHASE_FIRST,
    PHASE_DEFINITIONS,
    PHASE_DEFINITIONS_END,
    PHASE_ROWS,
    PHASE_INFILE,
    PHASE_OK,
    PHASE_PREPARE,
    PHASE_FIELD_LIST,
    PHASE_STATISTICS,
    PHASE_STREAM,
    PHASE_LOGIN,
};

/* Where feeding stands within a packet. */
enum response_stage {
    STAGE_HEADER, /* its header, or nothing yet */
    STAGE_KIND,   /* its first byte comes next */
    STAGE_BODY,
};

struct response_entry {
    void *tag;
    int16_t sequence; /* of the first packet, or RESPONSE_SEQUENCE_ANY */
    uint8_t reply;    /* enum command_reply */
    bool binary;
    bool cursor; /* the command asked for one */
    bool injected;
};

struct response_tracker {
    uint32_t capabilities;
    uint32_t mariadb_capabilities;
    enum response_phase phase;
    enum response_stage stage;

    /* The packet under way. */
    uint32_t length; /* of its payload */
    uint32_t left;   /* of it, bytes that have not come yet */
    uint8_t packet_sequence;
    uint8_t kind; /* its first byte */
    uint8_t header_have;
    uint8_t header[PACKET_HEADER_SIZE];
    bool take;      /* it is read when whole; else it is skipped */
    bool continued; /* it goes on with a payload that began in the packet before */

    /* The answer under way. */
    struct response_entry answer;
    bool begun;           /* a byte of it was seen */
    bool first_packet;    /* its first packet has not been classified yet */
    bool fresh;           /* definitions have just ended: an old EOF may follow all the same */
    uint8_t sequence;     /* the next packet's */
    bool promised;        /* another result follows, whatever the end of this one says */
    bool bare;            /* no definitions come, only the EOFs behind them where there are EOFs */
    uint32_t definitions; /* still to come in this group */
    uint16_t next_group;  /* definitions in the group after it (prepare answers) */

    bool settled; /* `outcome` and `ended` are of an event that was returned */
    void *ended;  /* tag of the answer that has just ended */
    struct byte_view packet;
    struct response_outcome outcome;
    struct buffer kept; /* a packet that is taken and came in pieces */
    struct buffer fifo; /* of struct response_entry */
};

/* Whether this packet ends rows or definitions (both EOF forms), by its first byte and length. */
bool response_is_end(const struct response_tracker *tracker, uint8_t first);

/* A packet that is taken has come whole; at most RESPONSE_INSPECT_MAX bytes of it. */
bool response_complete(struct response_tracker *tracker, struct byte_view payload,
                       enum response_event *event, struct error *err) MUST_USE;

/* A packet that was skipped has passed whole. */
bool response_passed(struct response_tracker *tracker, enum response_event *event,
                     struct error *err) MUST_USE;

/* The answer under way is complete: its entry leaves the FIFO. */
void response_finish(struct response_tracker *tracker, enum response_event *event);

/* The one way to another phase; back to PHASE_IDLE it is response_finish(). Refuses a move that the
 * drawing above does not have. */
bool response_move(struct response_tracker *tracker, enum response_phase to,
                   struct error *err) MUST_USE;

#endif
