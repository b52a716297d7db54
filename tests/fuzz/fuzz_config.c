/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds bytes to the configuration reader with a table that has every type. What must hold: an
 * accepted text fills the structs within their bounds, every string ends and is read to its end, a
 * refused one leaves nothing, says FILE:LINE:COL, and positions can be found afterwards.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

enum mode { MODE_PROCESS, MODE_FSYNC };
static const char *const mode_names[] = {"process", "fsync", NULL};

struct inner {
    const char *address;
    struct config_strings list;
    struct config_map map;
    struct config_place place;
};

struct outer {
    const char *name;
    const char *path;
    bool flag;
    uint64_t number;
    int64_t duration;
    size_t size;
    enum mode mode;
    struct inner *pointer;
    struct inner in_place;
    bool has_in_place;
    struct inner *items;
    size_t item_count;
    struct config_place place;
};

static const struct config_field inner_fields[] = {
    {CONFIG_STRING_AT(struct inner, address), .key = "address", .required = true},
    {CONFIG_STRINGS_AT(struct inner, list), .key = "list", .allow_empty = true, .greatest = 8},
    {CONFIG_MAP_AT(struct inner, map), .key = "map"},
};
static const struct config_table inner_table = {CONFIG_TABLE(struct inner, inner_fields),
                                                .place = CONFIG_PLACE_AT(struct inner, place)};

static const struct config_field outer_fields[] = {
    {CONFIG_STRING_AT(struct outer, name), .key = "name", .fallback = "n", .greatest = 16},
    {CONFIG_PATH_AT(struct outer, path), .key = "path", .fallback = "p"},
    {CONFIG_BOOL_AT(struct outer, flag), .key = "flag", .fallback = "true"},
    {CONFIG_UNSIGNED_AT(struct outer, number), .key = "number", .least = 1, .greatest = 100,
     .fallback = "7"},
    {CONFIG_DURATION_AT(struct outer, duration), .key = "duration", .fallback = "10m"},
    {CONFIG_SIZE_AT(struct outer, size), .key = "size", .fallback = "64k"},
    {CONFIG_ENUM_AT(struct outer, mode), .key = "mode", .names = mode_names, .fallback = "fsync"},
    {CONFIG_OBJECT_AT(struct outer, pointer), .key = "pointer", .table = &inner_table},
    {CONFIG_INLINE_FLAG_AT(struct outer, in_place, has_in_place), .key = "in_place",
     .table = &inner_table},
    {CONFIG_OBJECTS_AT(struct outer, items, item_count), .key = "items", .table = &inner_table,
     .greatest = 16},
};
static const struct config_table outer_table = {CONFIG_TABLE(struct outer, outer_fields),
                                                .place = CONFIG_PLACE_AT(struct outer, place)};

static void require(bool held)
{
    if (!held)
        abort();
}

static size_t total; /* keeps the reads below from being left out */

static void read_strings(const struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        total += strlen(strings->items[i]);
}

static void read_inner(const struct config *config, const struct inner *inner)
{
    struct error err = {0};
    if (inner->address)
        total += strlen(inner->address);
    read_strings(&inner->list);
    require(inner->list.count <= 8);
    for (size_t i = 0; i < inner->map.count; i++) {
        require(*inner->map.entries[i].key != '\0');
        read_strings(&inner->map.entries[i].values);
    }
    require(!config_error_item(config, inner->place, "map", inner->map.count, &err, "x"));
    require(strncmp(err.message, "f:", 2) == 0);
}

static void read_outer(const struct config *config, const struct outer *outer)
{
    require(outer->name && strlen(outer->name) <= 16);
    require(outer->path && outer->path[0] == '/');
    require(outer->number >= 1 && outer->number <= 100);
    require(outer->duration >= 0);
    require(outer->mode == MODE_PROCESS || outer->mode == MODE_FSYNC);
    require(outer->item_count <= 16);
    require(outer->has_in_place == (outer->in_place.place.value != NULL));
    for (size_t i = 0; i < outer->item_count; i++)
        read_inner(config, &outer->items[i]);
    if (outer->pointer)
        read_inner(config, outer->pointer);
    read_inner(config, &outer->in_place);
}

/* "f:LINE:COL: " with numbers from 1. */
static void check_message(const char *message)
{
    char *end;
    require(strncmp(message, "f:", 2) == 0);
    require(strtoul(message + 2, &end, 10) >= 1 && *end == ':');
    require(strtoul(end + 1, &end, 10) >= 1 && strncmp(end, ": ", 2) == 0);
    require(end[2] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outer outer;
    struct config *config;
    struct error err = {0};
    if (config_load_text("f", "/d", (const char *)data, size, &outer_table, &outer, &config,
                         &err)) {
        read_outer(config, &outer);
        config_free(config);
    } else {
        require(config == NULL && outer.name == NULL);
        require(err.code == ERROR_CONFIG);
        check_message(err.message);
    }
    return 0;
}
