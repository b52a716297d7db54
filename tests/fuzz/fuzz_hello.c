/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a hello frame. What is taken must come back the same after it was written again. */
#include <stdlib.h>
#include <string.h>

#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct hello *first)
{
    uint8_t room[HELLO_FRAME_MAX];
    struct buffer out;
    struct hello second;
    size_t consumed;
    buffer_init_fixed(&out, room, sizeof room);
    if (!hello_append(&out, first, NULL) ||
        hello_read(byte_view(buffer_bytes(&out), buffer_length(&out)), &second, &consumed, NULL) !=
            HELLO_COMPLETE ||
        consumed != buffer_length(&out))
        abort();
    if (first->has_family != second.has_family ||
        memcmp(first->family, second.family, sizeof first->family) != 0 ||
        strcmp(first->database, second.database) != 0 ||
        strcmp(first->local.address, second.local.address) != 0 ||
        strcmp(first->local.executable, second.local.executable) != 0 ||
        first->local.has_uid != second.local.has_uid || first->local.uid != second.local.uid ||
        first->local.has_gid != second.local.has_gid || first->local.gid != second.local.gid)
        abort();
}

static void read_frame(const uint8_t *data, size_t size)
{
    struct hello hello;
    size_t consumed = 0;
    if (hello_read(byte_view(data, size), &hello, &consumed, NULL) != HELLO_COMPLETE)
        return;
    if (consumed > size || !hello_database_valid(hello.database))
        abort();
    check_again(&hello);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_frame(data, size);
    /* The same bytes as JSON, with the length that fits, so that the reader gets past it. */
    if (size == 0 || size > HELLO_JSON_MAX)
        return 0;
    uint8_t *whole = malloc(HELLO_HEADER_SIZE + size);
    if (!whole)
        return 0;
    for (size_t i = 0; i < HELLO_HEADER_SIZE; i++)
        whole[i] = (uint8_t)(size >> (8 * (3 - i)));
    memcpy(whole + HELLO_HEADER_SIZE, data, size);
    read_frame(whole, HELLO_HEADER_SIZE + size);
    free(whole);
    return 0;
}
