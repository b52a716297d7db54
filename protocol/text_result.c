/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/text_result.h"

#include <string.h>

#include "protocol/capability.h"

#define NULL_VALUE   0xFB
#define LOCAL_INFILE 0xFB
#define EOF_HEADER   0xFE
#define EOF_SIZE     5 /* the old form: header, warnings, status; the OK form has at least 7 */

enum stage {
    STAGE_FIRST,
    STAGE_DEFINITIONS,
    STAGE_DEFINITIONS_END,
    STAGE_ROWS,
    STAGE_DONE,
};

void text_result_init(struct text_result *result, uint32_t capabilities)
{
    memset(result, 0, sizeof *result);
    result->deprecate_eof = capabilities & CAPABILITY_DEPRECATE_EOF;
    result->stage = STAGE_FIRST;
    result->sequence = 1;
    buffer_init(&result->input, TEXT_RESULT_PACKET_MAX + PACKET_HEADER_SIZE);
    buffer_init(&result->store, TEXT_RESULT_BYTES_MAX);
}

void text_result_release(struct text_result *result)
{
    buffer_wipe(&result->input);
    buffer_release(&result->input);
    buffer_wipe(&result->store);
    buffer_release(&result->store);
    result->rows = 0;
    result->columns = 0;
    explicit_bzero(result->message, sizeof result->message);
}

static bool on_err(struct text_result *result, struct byte_view payload, struct error *err)
{
    struct packet_err refusal;
    if (!packet_err_read(payload, &refusal, err))
        return false;
    size_t length = refusal.message.length < PACKET_ERR_MESSAGE_MAX ? refusal.message.length
                                                                    : PACKET_ERR_MESSAGE_MAX;
    result->failed = true;
    result->code = refusal.code;
    memcpy(result->sqlstate, refusal.sqlstate, sizeof result->sqlstate);
    if (length > 0)
        memcpy(result->message, refusal.message.data, length);
    result->message[length] = '\0';
    result->stage = STAGE_DONE;
    return true;
}

/* The end of an answer: an OK, in whatever form, or an EOF. */
static bool end(struct text_result *result, uint16_t status, struct error *err)
{
    if (status & STATUS_MORE_RESULTS)
        return error_set(err, ERROR_MALFORMED, "more than one result to one statement");
    result->stage = STAGE_DONE;
    return true;
}

static bool on_ok(struct text_result *result, struct byte_view payload, struct error *err)
{
    struct packet_ok ok;
    uint32_t capabilities = result->deprecate_eof ? CAPABILITY_DEPRECATE_EOF : 0;
    return packet_ok_read(payload, capabilities, &ok, err) && end(result, ok.status, err);
}

static bool on_eof(struct text_result *result, struct byte_view payload, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint16_t warnings, status;
    if (!byte_reader_skip(&reader, 1) || !byte_reader_u16le(&reader, &warnings) ||
        !byte_reader_u16le(&reader, &status))
        return error_set(err, ERROR_MALFORMED, "an EOF packet that is cut");
    return end(result, status, err);
}

static bool is_old_eof(struct byte_view payload)
{
    return payload.length == EOF_SIZE && payload.data[0] == EOF_HEADER;
}

static bool on_column_count(struct text_result *result, struct byte_view payload, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint64_t count;
    if (payload.data[0] == LOCAL_INFILE)
        return error_set(err, ERROR_MALFORMED, "the server asked for a file");
    if (!byte_reader_lenenc(&reader, &count) || byte_reader_left(&reader) > 0 || count == 0)
        return error_set(err, ERROR_MALFORMED, "a result set without a count of columns");
    if (count > TEXT_RESULT_COLUMNS_MAX)
        return error_set(err, ERROR_LIMIT, "a result of more than %d columns",
                         TEXT_RESULT_COLUMNS_MAX);
    result->columns = (size_t)count;
    result->definitions_left = result->columns;
    result->stage = STAGE_DEFINITIONS;
    return true;
}

static bool on_first(struct text_result *result, struct byte_view payload, struct error *err)
{
    return payload.data[0] == PACKET_OK ? on_ok(result, payload, err)
                                        : on_column_count(result, payload, err);
}

/* What it defines is known: the statement is ours. */
static bool on_definition(struct text_result *result)
{
    if (--result->definitions_left == 0)
        result->stage = STAGE_DEFINITIONS_END;
    return true;
}

static bool take_cell(struct byte_reader *reader, size_t base, struct text_result_cell *cell)
{
    uint8_t first;
    struct byte_view value;
    if (byte_reader_peek(reader, &first) && first == NULL_VALUE) {
        cell->null = true;
        return byte_reader_skip(reader, 1);
    }
    if (!byte_reader_lenenc_view(reader, &value))
        return false;
    cell->offset = base + reader->offset - value.length;
    cell->length = value.length;
    return true;
}

static bool keep_row(struct text_result *result, struct byte_view payload,
                     const struct text_result_cell row[TEXT_RESULT_COLUMNS_MAX], struct error *err)
{
    uint8_t *room;
    /* All at once: a buffer that grows leaves a copy behind that nobody wipes. */
    if (!buffer_reserve(&result->store, TEXT_RESULT_BYTES_MAX - buffer_length(&result->store),
                        &room, err) ||
        !buffer_append(&result->store, payload.data, payload.length, err))
        return false;
    memcpy(result->cells[result->rows], row, sizeof result->cells[0]);
    return true;
}

/* A row past the limit is read as carefully as one that is kept. */
static bool on_row(struct text_result *result, struct byte_view payload, struct error *err)
{
    struct text_result_cell row[TEXT_RESULT_COLUMNS_MAX] = {0};
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    for (size_t i = 0; i < result->columns; i++)
        if (!take_cell(&reader, buffer_length(&result->store), &row[i]))
            return error_set(err, ERROR_MALFORMED, "a row whose values do not fit into it");
    if (byte_reader_left(&reader) > 0)
        return error_set(err, ERROR_MALFORMED, "a row with bytes behind its last value");
    if (result->rows < TEXT_RESULT_ROWS_MAX && !keep_row(result, payload, row, err))
        return false;
    result->rows++;
    return true;
}

/*
 * A row of at most TEXT_RESULT_PACKET_MAX bytes cannot begin with 0xFE, which announces a value of
 * more than 16 MiB, so that byte tells an end from a row.
 */
static bool on_row_or_end(struct text_result *result, struct byte_view payload, struct error *err)
{
    if (payload.data[0] != EOF_HEADER)
        return on_row(result, payload, err);
    if (is_old_eof(payload))
        return on_eof(result, payload, err);
    if (!result->deprecate_eof)
        return error_set(err, ERROR_MALFORMED, "a result set that ends in no EOF packet");
    return on_ok(result, payload, err);
}

static bool on_definitions_end(struct text_result *result, struct byte_view payload,
                               struct error *err)
{
    result->stage = STAGE_ROWS;
    if (is_old_eof(payload))
        return true;
    if (!result->deprecate_eof)
        return error_set(err, ERROR_MALFORMED, "column definitions that end in no EOF packet");
    return on_row_or_end(result, payload, err);
}

static bool on_packet(struct text_result *result, struct byte_view payload, struct error *err)
{
    if (payload.length == 0)
        return error_set(err, ERROR_MALFORMED, "an empty packet in an answer");
    if (payload.data[0] == PACKET_ERR && result->stage != STAGE_DONE)
        return on_err(result, payload, err);
    switch (result->stage) {
    case STAGE_FIRST:
        return on_first(result, payload, err);
    case STAGE_DEFINITIONS:
        return on_definition(result);
    case STAGE_DEFINITIONS_END:
        return on_definitions_end(result, payload, err);
    case STAGE_ROWS:
        return on_row_or_end(result, payload, err);
    default:
        return error_set(err, ERROR_MALFORMED, "a packet behind the end of an answer");
    }
}

static bool check_length(struct byte_view held, struct error *err)
{
    struct byte_reader reader = byte_reader(held.data, held.length);
    struct packet_header header;
    if (packet_header_read(&reader, &header) && header.length > TEXT_RESULT_PACKET_MAX)
        return error_set(err, ERROR_LIMIT,
                         "a packet of %u bytes in an answer, where %d are allowed", header.length,
                         TEXT_RESULT_PACKET_MAX);
    return true;
}

static bool take_packets(struct text_result *result, struct error *err)
{
    for (;;) {
        struct byte_view held =
            byte_view(buffer_bytes(&result->input), buffer_length(&result->input));
        struct byte_view payload;
        size_t consumed = 0;
        bool found = false;
        if (!check_length(held, err) || !packet_take(held, TEXT_RESULT_PACKET_MAX, result->sequence,
                                                     &found, &payload, &consumed, err))
            return false;
        if (!found)
            return true;
        result->sequence++;
        if (!on_packet(result, payload, err))
            return false;
        buffer_consume(&result->input, consumed);
    }
}

bool text_result_feed(struct text_result *result, struct byte_view input, bool *done,
                      struct error *err)
{
    result->bytes += input.length;
    if (result->bytes > TEXT_RESULT_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "an answer of more than %d bytes",
                         TEXT_RESULT_BYTES_MAX);
    uint8_t *start;
    if (!buffer_reserve(&result->input, result->input.limit - buffer_length(&result->input), &start,
                        err))
        return false;
    while (input.length > 0) {
        /* A packet that is not whole is shorter than the limit, so there is always room. */
        size_t room = result->input.limit - buffer_length(&result->input);
        size_t length = input.length < room ? input.length : room;
        if (!buffer_append(&result->input, input.data, length, err) || !take_packets(result, err))
            return false;
        input = byte_view(input.data + length, input.length - length);
    }
    *done = result->stage == STAGE_DONE;
    if (*done && buffer_length(&result->input) > 0)
        return error_set(err, ERROR_MALFORMED, "bytes behind the end of an answer");
    return true;
}

bool text_result_value(const struct text_result *result, size_t row, size_t column,
                       struct byte_view *value)
{
    if (row >= result->rows || row >= TEXT_RESULT_ROWS_MAX || column >= result->columns)
        return false;
    const struct text_result_cell *cell = &result->cells[row][column];
    if (cell->null)
        return false;
    *value = byte_view(buffer_bytes(&result->store) + cell->offset, cell->length);
    return true;
}
