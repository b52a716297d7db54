/* SPDX-License-Identifier: Apache-2.0 */
#include "control/frame.h"

#include <stdlib.h>
#include <string.h>

/* The first room for what comes or is printed; most messages fit. */
#define FIRST_ROOM 2048

/* Storage that is kept between two frames of one connection. */
#define KEPT_ROOM (16 * 1024)

/* What cJSON wants to have left when it prints (cJSON.h, cJSON_PrintPreallocated()). */
#define PRINT_SLACK 8

void control_frame_release(struct buffer *frame)
{
    buffer_wipe(frame);
    buffer_release(frame);
}

/* Other storage with room for `length` bytes more; the old one is wiped. */
static bool grow_wiping(struct buffer *buffer, size_t length, struct error *err)
{
    struct buffer grown;
    uint8_t *room;
    size_t held = buffer_length(buffer);
    size_t wanted = held + length > 2 * held ? held + length : 2 * held;
    if (wanted < FIRST_ROOM)
        wanted = FIRST_ROOM;
    buffer_init(&grown, buffer->limit);
    if (!buffer_reserve(&grown, wanted < buffer->limit ? wanted : buffer->limit, &room, err))
        return false;
    if (held > 0)
        memcpy(room, buffer_bytes(buffer), held);
    buffer_commit(&grown, held);
    control_frame_release(buffer);
    *buffer = grown;
    return true;
}

bool control_append_wiping(struct buffer *buffer, const void *bytes, size_t length,
                           struct error *err)
{
    bool fits = length <= buffer->limit - buffer_length(buffer);
    if (fits && length > buffer->capacity - buffer->end && !grow_wiping(buffer, length, err))
        return false;
    return buffer_append(buffer, bytes, length, err);
}

/* Reading. */

void control_reader_init(struct control_reader *reader, size_t greatest)
{
    *reader = (struct control_reader){.greatest = greatest};
    buffer_init(&reader->held, CONTROL_HEADER_SIZE + greatest);
}

void control_reader_release(struct control_reader *reader)
{
    control_frame_release(&reader->held);
    reader->whole = false;
}

bool control_reader_amid(const struct control_reader *reader)
{
    return !reader->whole && buffer_length(&reader->held) > 0;
}

/* Forgets the frame that was handed out. */
static void start_over(struct control_reader *reader)
{
    if (!reader->whole)
        return;
    reader->whole = false;
    buffer_wipe(&reader->held);
    buffer_trim(&reader->held, KEPT_ROOM);
}

/* Appends what is there of the next `wanted` bytes that are held in all. */
static bool collect(struct control_reader *reader, struct byte_view bytes, size_t wanted,
                    size_t *taken, struct error *err)
{
    size_t missing = wanted - buffer_length(&reader->held);
    size_t there = bytes.length - *taken;
    size_t part = there < missing ? there : missing;
    if (!control_append_wiping(&reader->held, bytes.data + *taken, part, err))
        return false;
    *taken += part;
    return true;
}

static bool read_length(const struct control_reader *reader, uint32_t *length, struct error *err)
{
    struct byte_reader header =
        byte_reader(buffer_bytes(&reader->held), buffer_length(&reader->held));
    if (!byte_reader_u32be(&header, length))
        return error_set(err, ERROR_STATE, "a frame without its header");
    if (*length == 0)
        return error_set(err, ERROR_MALFORMED, "an empty frame");
    if (*length > reader->greatest)
        return error_set(err, ERROR_LIMIT, "a frame of %u bytes: at most %zu are allowed", *length,
                         reader->greatest);
    return true;
}

enum control_progress control_reader_feed(struct control_reader *reader, struct byte_view bytes,
                                          size_t *taken, struct byte_view *json, struct error *err)
{
    uint32_t length;
    *taken = 0;
    start_over(reader);
    if (buffer_length(&reader->held) < CONTROL_HEADER_SIZE) {
        if (!collect(reader, bytes, CONTROL_HEADER_SIZE, taken, err))
            return CONTROL_REFUSED;
        if (buffer_length(&reader->held) < CONTROL_HEADER_SIZE)
            return CONTROL_NEED_MORE;
    }
    if (!read_length(reader, &length, err) ||
        !collect(reader, bytes, CONTROL_HEADER_SIZE + length, taken, err))
        return CONTROL_REFUSED;
    if (buffer_length(&reader->held) < CONTROL_HEADER_SIZE + length)
        return CONTROL_NEED_MORE;
    reader->whole = true;
    *json = byte_view(buffer_bytes(&reader->held) + CONTROL_HEADER_SIZE, length);
    return CONTROL_FRAME;
}

/* Trees. */

/* Keys of one object that are sorted without asking for memory. */
#define KEYS_FEW 64

static int compare_keys(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool sorted_differ(const char **keys, size_t count, struct error *err)
{
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return error_set(err, ERROR_MALFORMED, "the key '%.64s' stands twice in one object",
                             keys[i]);
    return true;
}

/* A key that stands twice could be read in two ways. Keys compare exactly, escapes resolved. */
static bool keys_differ(const cJSON *object, struct error *err)
{
    const char *few[KEYS_FEW];
    size_t count = 0, at = 0;
    for (const cJSON *item = object->child; item; item = item->next)
        count++;
    const char **keys = count <= KEYS_FEW ? few : reallocarray(NULL, count, sizeof *keys);
    if (!keys)
        return error_set(err, ERROR_MEMORY, "out of memory for a message with %zu keys", count);
    for (const cJSON *item = object->child; item; item = item->next)
        keys[at++] = item->string;
    bool differ = sorted_differ(keys, count, err);
    if (keys != few)
        free(keys);
    return differ;
}

/* As deep as control_json_check() let it be. */
static bool all_keys_differ(const cJSON *value, struct error *err)
{
    if (cJSON_IsObject(value) && !keys_differ(value, err))
        return false;
    for (const cJSON *item = value->child; item; item = item->next)
        if (item->child && !all_keys_differ(item, err))
            return false;
    return true;
}

bool control_parse(struct byte_view json, cJSON **out, struct error *err)
{
    *out = NULL;
    if (!control_json_check(json, err))
        return false;
    cJSON *tree = cJSON_ParseWithLength((const char *)json.data, json.length);
    if (!tree)
        return error_set(err, ERROR_MEMORY, "out of memory for a message of %zu bytes",
                         json.length);
    if (!all_keys_differ(tree, err)) {
        control_free(tree);
        return false;
    }
    *out = tree;
    return true;
}

static void wipe_strings(cJSON *value)
{
    if (value->valuestring && !(value->type & cJSON_IsReference))
        explicit_bzero(value->valuestring, strlen(value->valuestring));
    for (cJSON *item = value->child; item; item = item->next)
        wipe_strings(item);
}

void control_free(cJSON *tree)
{
    if (!tree)
        return;
    wipe_strings(tree);
    cJSON_Delete(tree);
}

/* Printing. */

/* About how long the JSON will be: exact where nothing is escaped. */
static size_t guess_length(const cJSON *value)
{
    size_t length = 32;
    for (const cJSON *item = value->child; item; item = item->next)
        length += guess_length(item);
    if (value->string)
        length += strlen(value->string);
    if (cJSON_IsString(value) && value->valuestring)
        length += strlen(value->valuestring);
    return length;
}

static void put_header(uint8_t *header, size_t length)
{
    for (size_t i = 0; i < CONTROL_HEADER_SIZE; i++)
        header[i] = (uint8_t)(length >> (8 * (CONTROL_HEADER_SIZE - 1 - i)));
}

/* Prints into `size` bytes of fresh storage. *fits says whether they were enough. */
static bool print_within(const cJSON *message, size_t size, struct buffer *out, bool *fits,
                         struct error *err)
{
    uint8_t *room;
    size_t whole = CONTROL_HEADER_SIZE + size + PRINT_SLACK;
    buffer_init(out, whole);
    if (!buffer_reserve(out, whole, &room, err))
        return false;
    char *text = (char *)room + CONTROL_HEADER_SIZE;
    size_t length = 0;
    *fits = cJSON_PrintPreallocated((cJSON *)(uintptr_t)message, text, (int)(size + PRINT_SLACK),
                                    false) &&
            (length = strlen(text)) <= size;
    if (*fits) {
        put_header(room, length);
        buffer_commit(out, CONTROL_HEADER_SIZE + length);
    } else {
        control_frame_release(out);
    }
    return true;
}

/* cJSON would grow its storage by copies that nobody wipes, so it gets all it needs at once. */
bool control_frame_print(const cJSON *message, size_t greatest, struct buffer *out,
                         struct error *err)
{
    size_t size = guess_length(message);
    for (bool last = false; !last; size *= 2) {
        bool fits;
        last = size >= greatest;
        if (!print_within(message, last ? greatest : size, out, &fits, err))
            return false;
        if (fits)
            return true;
    }
    return error_set(err, ERROR_LIMIT, "the message would be longer than %zu bytes", greatest);
}
