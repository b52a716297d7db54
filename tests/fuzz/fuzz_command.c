/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command framer against hostile clients. The input is a byte of hold limit, a byte that cuts,
 * then the client's stream. It is framed twice, as one input and in pieces: the bytes to relay, the
 * payloads and the number of commands must be the same. The same bytes go through the LOCAL INFILE
 * framer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"

#define KEPT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint8_t raw[KEPT_MAX], payload[KEPT_MAX];
    size_t raw_length, payload_length, commands;
    bool refused;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void keep(uint8_t *bytes, size_t *length, struct byte_view view)
{
    check(*length + view.length <= KEPT_MAX);
    if (view.length > 0)
        memcpy(bytes + *length, view.data, view.length);
    *length += view.length;
}

static void note(struct seen *seen, enum command_event event, const struct command_piece *piece,
                 const struct command_framer *framer)
{
    bool ended = event == COMMAND_WHOLE || event == COMMAND_END;
    check((event == COMMAND_MORE) == (piece->raw.length == 0));
    check(event != COMMAND_WHOLE || piece->payload.length > 0);
    check(event != COMMAND_BEGIN || piece->payload.length == framer->hold);
    check(event == COMMAND_MORE || ended == command_framer_idle(framer));
    check(buffer_check(&framer->raw) && buffer_check(&framer->payload));
    seen->commands += ended;
    keep(seen->raw, &seen->raw_length, piece->raw);
    keep(seen->payload, &seen->payload_length, piece->payload);
}

static void feed(struct seen *seen, struct command_framer *framer, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size && !seen->refused;) {
        struct command_piece piece;
        enum command_event event;
        size_t consumed;
        seen->refused = !command_framer_feed(framer, byte_view(data + at, size - at), &consumed,
                                             &event, &piece, NULL);
        if (seen->refused)
            return;
        check(consumed > 0 && consumed <= size - at);
        note(seen, event, &piece, framer);
        at += consumed;
    }
}

static void frame(struct seen *seen, size_t hold, const uint8_t *data, size_t size, size_t piece)
{
    struct command_framer framer;
    command_framer_init(&framer, hold);
    seen->raw_length = seen->payload_length = seen->commands = 0;
    seen->refused = false;
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        uint8_t *copy = malloc(length);
        check(copy != NULL);
        memcpy(copy, data + at, length);
        feed(seen, &framer, copy, length);
        free(copy);
    }
    command_framer_release(&framer);
}

/* How many bytes of a file's stream may be relayed; *done when it ended. */
static size_t follow_file(const uint8_t *data, size_t size, size_t piece, bool *done)
{
    struct infile_framer framer;
    size_t relayed = 0;
    bool ok = true;
    infile_framer_init(&framer, 2);
    for (size_t at = 0; ok && !framer.done && at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece, consumed;
        ok = infile_framer_feed(&framer, byte_view(data + at, length), &consumed, NULL);
        check(consumed <= length && (!ok || framer.done || consumed == length));
        relayed += ok ? consumed : 0;
    }
    *done = framer.done;
    return relayed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen whole, pieces;
    bool whole_done, pieces_done;
    if (size < 2 || size > KEPT_MAX)
        return 0;
    size_t hold = 1 + data[0], piece = 1 + data[1] % 61;
    frame(&whole, hold, data + 2, size - 2, size);
    frame(&pieces, hold, data + 2, size - 2, piece);
    check(whole.refused == pieces.refused && whole.commands == pieces.commands);
    if (!whole.refused) {
        /* How a command that is still held was cut does not show in what was returned. */
        check(memcmp(whole.raw, pieces.raw,
                     whole.raw_length < pieces.raw_length ? whole.raw_length : pieces.raw_length) ==
              0);
        check(whole.payload_length == pieces.payload_length);
        check(memcmp(whole.payload, pieces.payload, whole.payload_length) == 0);
        check(memcmp(whole.raw, data + 2, whole.raw_length) == 0);
    }
    size_t whole_relayed = follow_file(data + 2, size - 2, size, &whole_done);
    size_t pieces_relayed = follow_file(data + 2, size - 2, piece, &pieces_done);
    check(whole_done == pieces_done && (!whole_done || whole_relayed == pieces_relayed));
    return 0;
}
