/* SPDX-License-Identifier: Apache-2.0 */
/* The map of a session's statements, and their long data. statement_values.c decodes. */
#include "protocol/statement.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/command.h"
#include "protocol/statement_private.h"

/* Statements by ascending id. Servers count ids up, so that adding is appending. */
struct statement_map {
    struct buffer items; /* of struct statement * */
    struct statement *last;
    bool attributes;
    size_t text_total;
    size_t state_total;
};

bool statement_map_create(bool attributes, struct statement_map **out, struct error *err)
{
    struct statement_map *map = calloc(1, sizeof *map);
    if (!map)
        return error_set(err, ERROR_MEMORY, "out of memory for prepared statements");
    buffer_init(&map->items, STATEMENT_COUNT_MAX * sizeof(struct statement *));
    map->attributes = attributes;
    *out = map;
    return true;
}

size_t statement_count(const struct statement_map *map)
{
    return buffer_length(&map->items) / sizeof(struct statement *);
}

/* The array itself: nothing is ever consumed from its start, and realloc() aligned it. */
static struct statement **statement_items(const struct statement_map *map)
{
    return (struct statement **)(void *)map->items.storage;
}

/* The place of the first statement whose id is not less. */
static size_t statement_place(const struct statement_map *map, uint32_t id)
{
    struct statement **items = statement_items(map);
    size_t low = 0, high = statement_count(map);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool statement_at(const struct statement_map *map, size_t place, uint32_t id)
{
    return place < statement_count(map) && statement_items(map)[place]->id == id;
}

bool statement_state_take(struct statement *statement, size_t bytes)
{
    if (bytes > STATEMENT_STATE_MAX - statement->map->state_total)
        return false;
    statement->map->state_total += bytes;
    return true;
}

static void statement_state_give(struct statement *statement, struct buffer *buffer)
{
    statement->map->state_total -= buffer_length(buffer);
    buffer_release(buffer);
}

void statement_reset(struct statement *statement)
{
    struct statement_long entry;
    while (buffer_length(&statement->long_data) >= sizeof entry) {
        size_t last = buffer_length(&statement->long_data) - sizeof entry;
        memcpy(&entry, buffer_bytes(&statement->long_data) + last, sizeof entry);
        statement_state_give(statement, &entry.bytes);
        statement->map->state_total -= sizeof entry;
        buffer_truncate(&statement->long_data, last);
    }
    statement_state_give(statement, &statement->long_slots);
    buffer_release(&statement->long_data);
}

static void statement_free(struct statement *statement)
{
    struct statement_map *map = statement->map;
    statement_reset(statement);
    statement_state_give(statement, &statement->types);
    map->text_total -= buffer_length(&statement->text_bytes);
    buffer_release(&statement->text_bytes);
    if (map->last == statement)
        map->last = NULL;
    free(statement);
}

void statement_clear(struct statement_map *map)
{
    for (size_t i = statement_count(map); i > 0; i--)
        statement_free(statement_items(map)[i - 1]);
    buffer_release(&map->items);
}

void statement_map_destroy(struct statement_map *map)
{
    if (!map)
        return;
    statement_clear(map);
    free(map);
}

bool statement_text_fits(const struct statement_map *map, size_t length)
{
    return length <= STATEMENT_TEXT_TOTAL_MAX - map->text_total;
}

static bool statement_copy_text(struct statement *statement, const struct statement_text *text,
                                struct error *err)
{
    struct statement_map *map = statement->map;
    statement->text = *text;
    statement->text.bytes = "";
    if (!statement_text_fits(map, text->length)) {
        statement->text.length = 0;
        statement->text.truncated = true;
        return true;
    }
    buffer_init(&statement->text_bytes, text->length);
    if (!buffer_append(&statement->text_bytes, text->bytes, text->length, err))
        return false;
    statement->text.bytes = (const char *)buffer_bytes(&statement->text_bytes);
    map->text_total += text->length;
    return true;
}

static bool statement_create(struct statement_map *map, uint32_t id, uint16_t parameters,
                             const struct statement_text *text, struct statement **out,
                             struct error *err)
{
    struct statement *statement = calloc(1, sizeof *statement);
    if (!statement)
        return error_set(err, ERROR_MEMORY, "out of memory for a prepared statement");
    statement->id = id;
    statement->parameters = parameters;
    statement->map = map;
    statement->map_has_attributes = map->attributes;
    buffer_init(&statement->types, (size_t)parameters * PARAMETERS_TYPE_SIZE);
    buffer_init(&statement->long_slots, (size_t)parameters * sizeof(uint32_t));
    buffer_init(&statement->long_data, (size_t)parameters * sizeof(struct statement_long));
    if (!statement_copy_text(statement, text, err)) {
        free(statement);
        return false;
    }
    *out = statement;
    return true;
}

bool statement_add(struct statement_map *map, uint32_t id, uint16_t parameters,
                   const struct statement_text *text, struct error *err)
{
    struct statement *statement = NULL;
    uint8_t *room;
    if (id == STATEMENT_LAST_ID)
        return error_set(err, ERROR_MALFORMED, "a statement was prepared under the id %u", id);
    statement_remove(map, id);
    map->last = NULL;
    if (!statement_create(map, id, parameters, text, &statement, err))
        return false;
    if (!buffer_reserve(&map->items, sizeof statement, &room, err)) {
        statement_free(statement);
        return error_wrap(err, "prepared statements of one session");
    }
    size_t place = statement_place(map, id);
    size_t behind = statement_count(map) - place;
    buffer_commit(&map->items, sizeof statement);
    struct statement **items = statement_items(map);
    memmove(items + place + 1, items + place, behind * sizeof *items);
    items[place] = statement;
    map->last = statement;
    return true;
}

void statement_prepare_failed(struct statement_map *map)
{
    map->last = NULL;
}

struct statement *statement_find(struct statement_map *map, uint32_t id)
{
    if (id == STATEMENT_LAST_ID)
        return map->last;
    size_t place = statement_place(map, id);
    return statement_at(map, place, id) ? statement_items(map)[place] : NULL;
}

void statement_remove(struct statement_map *map, uint32_t id)
{
    if (id == STATEMENT_LAST_ID && map->last)
        id = map->last->id;
    size_t place = statement_place(map, id);
    if (!statement_at(map, place, id))
        return;
    struct statement **items = statement_items(map);
    size_t behind = statement_count(map) - place - 1;
    statement_free(items[place]);
    memmove(items + place, items + place + 1, behind * sizeof *items);
    buffer_truncate(&map->items, buffer_length(&map->items) - sizeof *items);
}

bool statement_id_read(struct byte_view payload, uint32_t *id, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    if (!byte_reader_u8(&reader, &command) || !byte_reader_u32le(&reader, id))
        return error_set(err, ERROR_MALFORMED, "a statement's command without a statement id");
    return true;
}

bool statement_wants_cursor(struct byte_view payload)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command, flags;
    uint32_t id;
    return byte_reader_u8(&reader, &command) && command == COMMAND_STMT_EXECUTE &&
           byte_reader_u32le(&reader, &id) && byte_reader_u8(&reader, &flags) &&
           (flags & EXECUTE_CURSOR_TYPES) != 0;
}

static struct statement_long *statement_long_entry(const struct statement *statement, size_t index)
{
    return (struct statement_long *)(void *)statement->long_data.storage + index;
}

const struct statement_long *statement_long_find(const struct statement *statement,
                                                 uint16_t parameter)
{
    const uint32_t *slots = (const uint32_t *)(void *)statement->long_slots.storage;
    if (buffer_length(&statement->long_slots) == 0 || slots[parameter] == 0)
        return NULL;
    return statement_long_entry(statement, slots[parameter] - 1);
}

/* Makes the table that finds a parameter's long data. */
static bool statement_long_slots(struct statement *statement, struct error *err)
{
    size_t size = (size_t)statement->parameters * sizeof(uint32_t);
    uint8_t *room;
    if (buffer_length(&statement->long_slots) > 0)
        return true;
    if (!buffer_reserve(&statement->long_slots, size, &room, err))
        return false;
    if (!statement_state_take(statement, size))
        return error_set(err, ERROR_LIMIT, "long data of more parameters than can be followed");
    memset(room, 0, size);
    buffer_commit(&statement->long_slots, size);
    return true;
}

/* The entry of a parameter, which is made where there is none. NULL with *err. */
static struct statement_long *statement_long_make(struct statement *statement, uint16_t parameter,
                                                  struct error *err)
{
    size_t count = buffer_length(&statement->long_data) / sizeof(struct statement_long);
    uint8_t *room;
    if (!statement_long_slots(statement, err))
        return NULL;
    uint32_t *slots = (uint32_t *)(void *)statement->long_slots.storage;
    if (slots[parameter] > 0)
        return statement_long_entry(statement, slots[parameter] - 1);
    if (!buffer_reserve(&statement->long_data, sizeof(struct statement_long), &room, err))
        return NULL;
    if (!statement_state_take(statement, sizeof(struct statement_long))) {
        error_set(err, ERROR_LIMIT, "long data of more parameters than can be followed");
        return NULL;
    }
    buffer_commit(&statement->long_data, sizeof(struct statement_long));
    slots[parameter] = (uint32_t)count + 1;
    struct statement_long *entry = statement_long_entry(statement, count);
    *entry = (struct statement_long){0};
    buffer_init(&entry->bytes, STATEMENT_LONG_VALUE_MAX);
    return entry;
}

/* Values may take half of the room: what cannot be done without must find some. */
static bool statement_value_fits(struct statement *statement, size_t length)
{
    return statement->map->state_total + length <= STATEMENT_STATE_MAX / 2 &&
           statement_state_take(statement, length);
}

bool statement_long_data(struct statement *statement, struct byte_view payload,
                         uint64_t full_length, struct error *err)
{
    struct byte_reader reader = byte_reader(payload.data, payload.length);
    uint8_t command;
    uint32_t id;
    uint16_t parameter;
    if (!byte_reader_u8(&reader, &command) || !byte_reader_u32le(&reader, &id) ||
        !byte_reader_u16le(&reader, &parameter) || parameter >= statement->parameters ||
        full_length < payload.length)
        return error_set(err, ERROR_MALFORMED, "malformed long data of a prepared statement");
    struct statement_long *entry = statement_long_make(statement, parameter, err);
    if (!entry)
        return false;
    size_t length = byte_reader_left(&reader);
    size_t room = STATEMENT_LONG_VALUE_MAX - buffer_length(&entry->bytes);
    entry->full_length += full_length - reader.offset;
    if (length > room)
        length = room;
    /* What was once cut stays cut: later pieces must not close up to it. */
    if (entry->cut || !statement_value_fits(statement, length))
        length = 0;
    if (!buffer_append(&entry->bytes, reader.data + reader.offset, length, err)) {
        statement->map->state_total -= length;
        return false;
    }
    entry->cut = buffer_length(&entry->bytes) < entry->full_length;
    return true;
}
