/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as frames of the control protocol, in pieces of a size that the first byte gives, and
 * as one JSON text. The size of the pieces must make no difference; what is taken must come back
 * the same after it was printed again; what the strict check lets through cJSON must read, so that
 * the two never disagree about where a value ends.
 */
#include <stdlib.h>
#include <string.h>

#include "control/fields.h"
#include "control/frame.h"
#include "control/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(const cJSON *message)
{
    const char *text;
    const char *items[4];
    uint8_t room[64];
    uint64_t number;
    int64_t time;
    int64_t duration;
    bool flag;
    const cJSON *value;
    struct control_texts texts = {items, 4, 0};
    struct control_bytes bytes = {room, sizeof room, 0};
    const struct control_field fields[] = {
        {.key = "name", .type = CONTROL_TEXT, .to.text = &text, .greatest = 64, .optional = true},
        {.key = "roles",
         .type = CONTROL_TEXTS,
         .to.texts = &texts,
         .greatest = 64,
         .optional = true},
        {.key = "version", .type = CONTROL_UNSIGNED, .to.number = &number, .optional = true},
        {.key = "prune", .type = CONTROL_BOOL, .to.flag = &flag, .optional = true},
        {.key = "documents", .type = CONTROL_OBJECT, .to.value = &value, .optional = true},
        {.key = "signature", .type = CONTROL_BYTES, .to.bytes = &bytes, .optional = true},
        {.key = "expires", .type = CONTROL_TIME, .to.time = &time, .optional = true},
        {.key = "ttl", .type = CONTROL_DURATION, .to.time = &duration, .optional = true},
    };
    size_t count = sizeof fields / sizeof *fields;
    if (!control_fields_read(message, CONTROL_KEYS_REQUEST, fields, count, NULL))
        return;
    if ((text && strlen(text) > 64) || texts.count > 4 || bytes.length > sizeof room ||
        number > CONTROL_ID_MAX || duration < 0)
        abort();
}

static void check_again(const cJSON *message)
{
    struct buffer frame;
    cJSON *again = NULL;
    if (!control_frame_print(message, CONTROL_ANSWER_MAX, &frame, NULL))
        abort();
    const struct byte_view json = byte_view(buffer_bytes(&frame) + CONTROL_HEADER_SIZE,
                                            buffer_length(&frame) - CONTROL_HEADER_SIZE);
    /* A number past the greatest double is infinite, which prints as null. */
    if (!control_parse(json, &again, NULL))
        abort();
    struct control_head first = {0};
    struct control_head second = {0};
    if (control_head_read(message, &first, NULL) &&
        (!control_head_read(again, &second, NULL) || first.form != second.form ||
         first.id != second.id || first.failure.code != second.failure.code))
        abort();
    control_free(again);
    control_frame_release(&frame);
}

static bool take_json(struct byte_view json)
{
    cJSON *message = NULL;
    struct error err = {0};
    if (!control_parse(json, &message, &err)) {
        if (message || err.code == ERROR_MEMORY) /* cJSON refused what the check let through */
            abort();
        return false;
    }
    read_fields(message);
    check_again(message);
    control_free(message);
    return true;
}

/* A number that tells what was found: frames, their lengths, and how it ended. */
static uint64_t read_stream(const uint8_t *data, size_t size, size_t piece, bool look)
{
    struct control_reader reader;
    uint64_t found = 0;
    enum control_progress progress = CONTROL_NEED_MORE;
    control_reader_init(&reader, CONTROL_REQUEST_MAX);
    for (size_t at = 0; at < size && progress != CONTROL_REFUSED;) {
        struct byte_view json;
        size_t taken;
        size_t length = size - at < piece ? size - at : piece;
        progress = control_reader_feed(&reader, byte_view(data + at, length), &taken, &json, NULL);
        if (taken > length || !buffer_check(&reader.held) ||
            (progress == CONTROL_NEED_MORE && taken != length))
            abort();
        at += taken;
        if (progress == CONTROL_FRAME)
            found = found * 31 + json.length;
        if (progress == CONTROL_FRAME && look)
            (void)take_json(json);
    }
    found = found * 31 + (progress == CONTROL_REFUSED) * 2 + control_reader_amid(&reader);
    control_reader_release(&reader);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = data[0] ? data[0] : 1;
    if (read_stream(data + 1, size - 1, piece, true) !=
        read_stream(data + 1, size - 1, size, false))
        abort();
    (void)take_json(byte_view(data + 1, size - 1));
    return 0;
}
