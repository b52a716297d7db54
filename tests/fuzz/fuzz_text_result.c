/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile answer to a statement of ours: never out of bounds, and the same however it is cut. */
#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"
#include "protocol/text_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text_result whole, pieces;

/* Adds the bytes of all values up, so that each is read. */
static unsigned sum_of(const struct text_result *result)
{
    unsigned sum = 0;
    for (size_t row = 0; row < TEXT_RESULT_ROWS_MAX; row++)
        for (size_t column = 0; column < TEXT_RESULT_COLUMNS_MAX; column++) {
            struct byte_view value;
            if (!text_result_value(result, row, column, &value))
                continue;
            for (size_t i = 0; i < value.length; i++)
                sum += value.data[i];
        }
    return sum;
}

/* The first byte is how the rest is cut, and whether EOFs are deprecated. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint32_t capabilities = data[0] & 1 ? CAPABILITY_DEPRECATE_EOF : 0;
    size_t cut = (size_t)(data[0] >> 1) + 1;
    data++;
    size--;
    bool done_whole = false, done_pieces = false, good_pieces = true;
    text_result_init(&whole, capabilities);
    text_result_init(&pieces, capabilities);
    bool good_whole = text_result_feed(&whole, byte_view(data, size), &done_whole, NULL);
    for (size_t at = 0; good_pieces && at < size; at += cut)
        good_pieces = text_result_feed(
            &pieces, byte_view(data + at, size - at < cut ? size - at : cut), &done_pieces, NULL);
    if (good_whole != good_pieces || (good_whole && done_whole != done_pieces))
        abort();
    if (good_whole && (whole.rows != pieces.rows || whole.failed != pieces.failed))
        abort();
    if (sum_of(&whole) != sum_of(&pieces) && good_whole)
        abort();
    text_result_release(&whole);
    text_result_release(&pieces);
    return 0;
}
