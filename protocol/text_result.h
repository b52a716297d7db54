/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer to a COM_QUERY, read whole into memory: for the few small statements that Sallyport
 * itself asks a database (proxy/probe.h). What a client asks is followed by protocol/response.h,
 * which keeps nothing.
 *
 * An OK, an ERR, or one text result set, with or without DEPRECATE_EOF, and from servers that send
 * old EOFs all the same (MySQL source documentation, "Text Resultset"). Several results, a request
 * for a local file, and bytes behind the answer's end are refused: nothing asks for them.
 *
 * Answers may hold a password's hash (SHOW CREATE USER): all memory is wiped when it is released.
 */
#ifndef SALLYPORT_PROTOCOL_TEXT_RESULT_H
#define SALLYPORT_PROTOCOL_TEXT_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "protocol/packet.h"

#define TEXT_RESULT_PACKET_MAX  65536        /* bytes of one packet's payload */
#define TEXT_RESULT_BYTES_MAX   (256 * 1024) /* bytes of the whole answer; more is refused */
#define TEXT_RESULT_COLUMNS_MAX 16           /* more are refused */
#define TEXT_RESULT_ROWS_MAX    64           /* more are counted, and not kept */

struct text_result_cell {
    size_t offset; /* into `store` */
    size_t length;
    bool null;
};

struct text_result {
    bool deprecate_eof;
    unsigned stage;   /* private */
    uint8_t sequence; /* of the next packet */
    size_t bytes;     /* of the answer so far */
    size_t definitions_left;
    struct buffer input; /* a packet that is not whole yet */
    struct buffer store; /* the rows that are kept */
    size_t columns;
    uint64_t rows; /* all of them; the first TEXT_RESULT_ROWS_MAX are kept */
    struct text_result_cell cells[TEXT_RESULT_ROWS_MAX][TEXT_RESULT_COLUMNS_MAX];
    bool failed; /* the answer is an ERR: */
    uint16_t code;
    char sqlstate[6];
    char message[PACKET_ERR_MESSAGE_MAX + 1]; /* the server's bytes, cut; a NUL inside ends it */
};

/* Begins with an answer to a command of one packet. `capabilities`: what both sides agreed on. */
void text_result_init(struct text_result *result, uint32_t capabilities);
/* Wipes and frees what it holds. Safe to call twice. */
void text_result_release(struct text_result *result);

/* Takes the next bytes, all of them. *done: the answer is complete. False: it cannot be read, and
 * the connection is of no use any more. */
bool text_result_feed(struct text_result *result, struct byte_view input, bool *done,
                      struct error *err) MUST_USE;

/* A value of a row that was kept; false where it is NULL or is not there. The view holds until the
 * result is released. */
bool text_result_value(const struct text_result *result, size_t row, size_t column,
                       struct byte_view *value);

#endif
