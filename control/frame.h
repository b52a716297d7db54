/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the control protocol (docs/protocol/control.md): a length of 4 bytes, big-endian, and
 * that many bytes of one JSON object. No I/O.
 *
 * Frames may hold join tokens and private keys. Whatever is copied here is wiped: the reader's
 * storage, also when it grows, the frame that was printed, and the strings of a tree.
 */
#ifndef SALLYPORT_CONTROL_FRAME_H
#define SALLYPORT_CONTROL_FRAME_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "control/json_check.h"

/* Limits (DESIGN.md, I9); those of the JSON inside are in control/json_check.h. */
#define CONTROL_HEADER_SIZE 4
#define CONTROL_REQUEST_MAX (64 * 1024) /* bytes of JSON that who asks may send */
/* The same over the Unix socket, where administrators apply documents: all that there may be
 * (CONFIG_TEXT_LIMIT), and the words around them. */
#define CONTROL_ADMIN_REQUEST_MAX (4 * 1024 * 1024 + 4096)
#define CONTROL_ANSWER_MAX        (16 * 1024 * 1024) /* bytes of JSON that who answers may send */

/* Takes frames apart that come in any pieces; holds at most one. */
struct control_reader {
    struct buffer held; /* header and JSON, as far as they came */
    size_t greatest;    /* JSON longer than this is refused */
    bool whole;         /* what is held was handed out as a frame */
};

/* Allocates nothing yet. */
void control_reader_init(struct control_reader *reader, size_t greatest);
/* Wipes and frees what is held. The reader may be used again. */
void control_reader_release(struct control_reader *reader);

enum control_progress {
    CONTROL_NEED_MORE, /* all bytes were taken, and no frame is whole yet */
    CONTROL_FRAME,     /* *json is one; the bytes behind it were not taken */
    CONTROL_REFUSED,   /* empty, too long, or no memory: *err says which. The reader is of no use */
};

/*
 * Takes bytes up to the end of the present frame; *taken says how many. A length that is refused is
 * refused before its bytes came, and memory grows as bytes come, not as a header promises. *json
 * holds until the next call with this reader.
 */
enum control_progress control_reader_feed(struct control_reader *reader, struct byte_view bytes,
                                          size_t *taken, struct byte_view *json,
                                          struct error *err) MUST_USE;

/* Whether a frame has begun and is not whole: the peer must not end here. */
bool control_reader_amid(const struct control_reader *reader);

/*
 * A frame's JSON as a tree: strict JSON (control_json_check()), and no key twice in one object. The
 * caller frees *out with control_free().
 */
bool control_parse(struct byte_view json, cJSON **out, struct error *err) MUST_USE;

/* Frees a tree and wipes its strings first. NULL is allowed. */
void control_free(cJSON *tree);

/*
 * Prints a frame into `out`, which this initializes; the caller wipes and releases it with
 * control_frame_release(), on failure nothing is to be done. ERROR_LIMIT: the JSON would be longer
 * than `greatest`.
 */
bool control_frame_print(const cJSON *message, size_t greatest, struct buffer *out,
                         struct error *err) MUST_USE;
void control_frame_release(struct buffer *frame);

/* buffer_append() that leaves no copy of what is held behind when the storage grows. */
bool control_append_wiping(struct buffer *buffer, const void *bytes, size_t length,
                           struct error *err) MUST_USE;

#endif
