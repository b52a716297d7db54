/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command phase, server to client: follows each answer without buffering rows.
 *
 * Commands that were sent are put in a FIFO with response_expect(); response_feed() then watches
 * the server's bytes go by and says when the oldest answer is complete and how it ended. Bytes are
 * never changed: what feed() consumed may be relayed as it is, except after RESPONSE_LOGIN and
 * RESPONSE_HELD. Only packets whose content matters (OK, ERR, EOF, the first of an answer, prepare
 * answers) are looked into, over at most RESPONSE_INSPECT_MAX bytes that are kept when they come in
 * pieces. The events do not depend on how the bytes were cut.
 *
 * Followed: text and binary result sets with and without DEPRECATE_EOF (and servers that send old
 * EOFs all the same), multi-results, prepare answers with their definitions, cursors and fetch,
 * LOCAL INFILE, COM_STATISTICS' bare string, COM_FIELD_LIST, ERR in mid-result, rows of more than
 * 16 MiB, unsolicited ERRs, results without definitions (MySQL's optional and MariaDB's cached
 * metadata), MariaDB's progress reports. (MySQL source documentation, "Command Phase";
 * docs/protocol/command-phase.md.)
 *
 * Sequence ids must go on by one. The exceptions are those of real servers: an ERR with sequence id
 * 0, or as the first packet of an answer with any, is the server's farewell (4031, a kill, a
 * shutdown; MySQL 8.0.24 sends it outside of any answer), and replication streams are not checked.
 * With compression none is: there servers set them back to the count of frames whenever they flush
 * (net_flush() of sql-common/net_serv.cc), which happens in the midst of answers, and no client
 * looks at them.
 */
#ifndef SALLYPORT_PROTOCOL_RESPONSE_H
#define SALLYPORT_PROTOCOL_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "protocol/command.h"
#include "protocol/packet.h"

#define RESPONSE_INSPECT_MAX                                                                 \
    (1u << 20)                     /* bytes of one packet that are read; the rest is skipped \
                                    */
#define RESPONSE_KEEP        4096  /* bytes of memory for cut packets that stay between answers */
#define RESPONSE_FIFO_MAX    1024  /* commands sent and not yet answered, for one session */
#define RESPONSE_COLUMNS_MAX 65535 /* of one result set; servers allow 4,096 */
#define RESPONSE_SCHEMA_MAX  256
#define RESPONSE_MESSAGE_MAX PACKET_ERR_MESSAGE_MAX

/* For response_expect(): the first packet of the answer may have any sequence id. */
#define RESPONSE_SEQUENCE_ANY (-1)

/* How an answer ended. */
struct response_outcome {
    bool failed; /* an ERR ended it: code, sqlstate, message are set */
    uint16_t code;
    char sqlstate[6];
    char message[RESPONSE_MESSAGE_MAX + 1]; /* raw bytes in the connection's character set, cut,
                                               NUL-terminated; a NUL inside ends it */
    bool has_rows;                          /* at least one result set */
    uint64_t result_sets;
    uint64_t rows;           /* over all result sets */
    uint64_t affected_rows;  /* sum over the OKs */
    uint64_t last_insert_id; /* of the last OK that had one */
    uint16_t warnings;       /* of the last OK or EOF */
    uint16_t status;         /* server status flags of the last OK or EOF */
    bool has_status;         /* there was one, so `status` and `warnings` mean something */
    uint64_t bytes;          /* of the whole answer, headers included */
    bool schema_changed;     /* session tracking named a new schema: */
    char schema[RESPONSE_SCHEMA_MAX];
    uint32_t statement_id; /* of a prepare answer that did not fail; 0: nothing was prepared */
    uint16_t parameters;   /* likewise */
    uint16_t columns;      /* likewise */
};

enum response_event {
    RESPONSE_MORE,         /* all input consumed, the answer goes on (or nothing is under way) */
    RESPONSE_DONE,         /* the oldest expected answer is complete: response_result(); it has left
                              the FIFO. The input may hold more: feed the rest */
    RESPONSE_LOCAL_INFILE, /* the server asks for a file: the client's packets are data until an
                              empty one. Relay the request and follow them with a struct
                              infile_framer */
    RESPONSE_UNSOLICITED,  /* an ERR came while nothing was expected: response_result(). Relay,
                              record, close. (Anything else unsolicited is malformed.) */
    RESPONSE_LOGIN,        /* a packet of an authentication exchange (COM_CHANGE_USER) stands whole
                              in response_packet(). What was consumed must not be relayed. The caller
                              ends the exchange with response_login_done() */
    RESPONSE_HELD,         /* as RESPONSE_MORE, but what was consumed is the first part of such a
                              packet, and must not be relayed */
    RESPONSE_INJECT,       /* nothing was consumed: the oldest expected answer is one of ours. Write
                              it, call response_injected_done(), and feed again */
};

struct response_tracker;

/* What both legs agreed on, MariaDB's extended flags apart; CAPABILITY_PROTOCOL_41 is assumed. */
bool response_tracker_create(uint32_t capabilities, uint32_t mariadb_capabilities,
                             struct response_tracker **out, struct error *err) MUST_USE;
void response_tracker_destroy(struct response_tracker *tracker);

/* The rows of an answer: text, binary (command_kind's binary_rows), or binary and perhaps kept back
 * in a cursor, which the command asked for (statement_wants_cursor()). */
enum response_rows { RESPONSE_ROWS_TEXT, RESPONSE_ROWS_BINARY, RESPONSE_ROWS_CURSOR };

/*
 * Says that a command is about to be sent, and which rows its answer may have. `sequence`: the id
 * that the answer's first packet must have, one after the last packet of the command (1 for a
 * command of one packet), or RESPONSE_SEQUENCE_ANY for a command whose end is not known yet. `tag`
 * is the caller's and comes back from response_tag(). Fails with ERROR_LIMIT when the FIFO is full
 * (wait and send later), with ERROR_STATE for REPLY_NONE.
 */
bool response_expect(struct response_tracker *tracker, enum command_reply reply,
                     enum response_rows rows, int sequence, void *tag, struct error *err) MUST_USE;

/*
 * Puts an answer of our own at its place in the order: a denied command in a pipeline. When it has
 * become the oldest, response_injected_next() is true (ask after each RESPONSE_DONE and after this
 * call); the caller then writes its ERR, with the sequence id that the client's command asks for,
 * and calls response_injected_done().
 */
bool response_expect_injected(struct response_tracker *tracker, void *tag,
                              struct error *err) MUST_USE;
bool response_injected_next(const struct response_tracker *tracker);
/* Takes the entry out and returns its tag; NULL where none stands next. */
void *response_injected_done(struct response_tracker *tracker);

/* How many answers are expected, injected ones included. */
size_t response_expected(const struct response_tracker *tracker);

/* The oldest expected answer's tag, NULL for none. After RESPONSE_DONE and response_login_done(),
 * until the next feed: the tag of the one that has just ended. */
void *response_tag(const struct response_tracker *tracker);

/* Whether the oldest expected answer is a stream (REPLY_STREAM) that has begun: then response_tag()
 * is its tag. */
bool response_streaming(const struct response_tracker *tracker);

/* Takes out expected entries one by one, oldest first, without an answer: for a session that ends.
 * Returns the tag; NULL when there is none left. The tracker must not be fed afterwards. */
void *response_abandon(struct response_tracker *tracker);

/*
 * Looks at the next bytes; see enum response_event. On false the stream cannot be followed: nothing
 * from *consumed on may be relayed.
 */
bool response_feed(struct response_tracker *tracker, struct byte_view input, size_t *consumed,
                   enum response_event *event, struct error *err) MUST_USE;

/* The outcome so far; whole after RESPONSE_DONE and RESPONSE_UNSOLICITED, until the next feed. */
const struct response_outcome *response_result(const struct response_tracker *tracker);

/* Of RESPONSE_LOGIN: the payload, until the next feed, and the packet's sequence id. */
struct byte_view response_packet(const struct response_tracker *tracker);
uint8_t response_packet_sequence(const struct response_tracker *tracker);

/* The exchange is over with the packet that RESPONSE_LOGIN gave: an OK or ERR, which
 * response_result() then tells. Its entry leaves the FIFO. */
void response_login_done(struct response_tracker *tracker);

/* After RESPONSE_LOCAL_INFILE: the client's file has been relayed whole; the server's OK or ERR
 * follows, with this sequence id (infile_framer_next_sequence()). */
void response_infile_sent(struct response_tracker *tracker, uint8_t sequence);

/* Whether the server stands at a packet's boundary, and the sequence id that its next packet would
 * have: where an ERR of ours may be put in. Where nothing is expected that is 1, which clients take
 * for the answer to their next command. */
bool response_at_boundary(const struct response_tracker *tracker, uint8_t *next_sequence);

#endif
