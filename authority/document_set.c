/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/document_internal.h"
#include "authority/names.h"
#include "base/address.h"
#include "base/bytes.h"

/* What stands for the file's name in errors of the reader; it is taken off again. */
#define TEXT_NAME "documents"

static const struct config_field tls_fields[] = {
    {CONFIG_STRING_AT(struct authority_database_tls, server_name), .key = "server_name",
     .help = "the name in the database's certificate; default: the host of `address`"},
};

static const struct config_table tls_table = {
    CONFIG_TABLE(struct authority_database_tls, tls_fields),
    .place = CONFIG_PLACE_AT(struct authority_database_tls, place)};

static const struct config_field database_fields[] = {
    {CONFIG_STRING_AT(struct authority_database, name), .key = "name", .required = true,
     .greatest = STORE_DOCUMENT_SIZE - 1, .help = "what roles, tunnels and records call it"},
    {CONFIG_STRING_AT(struct authority_database, address), .key = "address", .required = true,
     .help = "where the server listens, HOST:PORT"},
    {CONFIG_MAP_AT(struct authority_database, labels), .key = "labels",
     .help = "labels that roles can match"},
    {CONFIG_INLINE_AT(struct authority_database, tls), .key = "tls", .table = &tls_table,
     .help = "mutual TLS with the database"},
};

const struct config_table authority_database_table = {
    CONFIG_TABLE(struct authority_database, database_fields),
    .place = CONFIG_PLACE_AT(struct authority_database, place)};

static const struct config_field fields[] = {
    {CONFIG_OBJECTS_AT(struct authority_documents, roles, role_count), .key = "roles",
     .table = &authz_role_table},
    {CONFIG_OBJECTS_AT(struct authority_documents, databases, database_count), .key = "databases",
     .table = &authority_database_table},
    {CONFIG_OBJECTS_AT(struct authority_documents, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table},
};

static const struct config_table documents_table = {
    CONFIG_TABLE(struct authority_documents, fields)};

/* --- the set --- */

void document_set_release(struct document_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->items[i].text);
    free(set->items);
    *set = (struct document_set){0};
}

static bool make_room(struct document_set *set, struct error *err)
{
    if (set->count < set->room)
        return true;
    size_t room = set->room > 0 ? 2 * set->room : 64;
    struct document *items = reallocarray(set->items, room, sizeof *items);
    if (!items)
        return error_set(err, ERROR_MEMORY, "out of memory for documents");
    set->items = items;
    set->room = room;
    return true;
}

static int compare(const struct document *document, enum store_document_kind kind, const char *name)
{
    if (document->kind != kind)
        return document->kind < kind ? -1 : 1;
    return strcmp(document->name, name);
}

/* The first that is not before it. */
static size_t place_of(const struct document_set *set, enum store_document_kind kind,
                       const char *name)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&set->items[middle], kind, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct document *document_set_find(struct document_set *set, enum store_document_kind kind,
                                   const char *name)
{
    size_t at = place_of(set, kind, name);
    bool found = at < set->count && compare(&set->items[at], kind, name) == 0;
    return found ? &set->items[at] : NULL;
}

bool document_set_add(struct document_set *set, const struct document *document, struct error *err)
{
    size_t at = place_of(set, document->kind, document->name);
    if (!make_room(set, err)) {
        free(document->text);
        return false;
    }
    memmove(&set->items[at + 1], &set->items[at], (set->count - at) * sizeof *set->items);
    set->items[at] = *document;
    set->count++;
    return true;
}

static bool load_one(const struct store_document *stored, void *context)
{
    struct document_set *set = context;
    struct document document = {.kind = stored->kind, .stored = true};
    (void)snprintf(document.name, sizeof document.name, "%s", stored->name);
    document.text = strndup(stored->text, stored->length);
    if (document.text)
        return document_set_add(set, &document, set->err);
    return error_set(set->err, ERROR_MEMORY, "out of memory for documents");
}

bool document_set_load(struct document_set *set, struct store *store, struct error *err)
{
    struct error inner = {0};
    set->err = &inner;
    bool done = store_document_each(store, 0, load_one, set, err);
    set->err = NULL;
    if (done && inner.code != ERROR_NONE) {
        if (err)
            *err = inner;
        done = false;
    }
    return done;
}

const char *document_label(const struct document *document, char out[AUTHORITY_LABEL_SIZE])
{
    (void)snprintf(out, AUTHORITY_LABEL_SIZE, "%s %s", store_document_kind_name(document->kind),
                   document->name);
    return out;
}

/* --- one text of all of them, each in a line of its own --- */

static void write_kind(const struct document_set *set, enum store_document_kind kind,
                       const char *key, struct byte_writer *writer)
{
    bool first = true;
    byte_writer_u8(writer, '"');
    byte_writer_bytes(writer, key, strlen(key));
    byte_writer_bytes(writer, "\":[", 3);
    for (size_t i = 0; i < set->count; i++) {
        const struct document *document = &set->items[i];
        if (document->kind != kind || document->pruned)
            continue;
        byte_writer_bytes(writer, first ? "\n" : ",\n", first ? 1 : 2);
        byte_writer_bytes(writer, document->text, strlen(document->text));
        first = false;
    }
    byte_writer_u8(writer, ']');
}

static bool write_all(const struct document_set *set, struct buffer *out, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    byte_writer_u8(&writer, '{');
    write_kind(set, STORE_DOCUMENT_ROLE, "roles", &writer);
    byte_writer_u8(&writer, ',');
    write_kind(set, STORE_DOCUMENT_DATABASE, "databases", &writer);
    byte_writer_u8(&writer, ',');
    write_kind(set, STORE_DOCUMENT_MAPPING, "mappings", &writer);
    byte_writer_u8(&writer, '}');
    if (byte_writer_finish(&writer, NULL))
        return true;
    return error_set(err, ERROR_CONFIG, "all documents together have more than %u bytes",
                     CONFIG_TEXT_LIMIT);
}

/* The document in line `line` of that text: the first stands in line 2. */
static const struct document *of_line(const struct document_set *set, unsigned long line)
{
    for (size_t i = 0; i < set->count; i++)
        if (!set->items[i].pruned && line-- == 2)
            return &set->items[i];
    return NULL;
}

/* Turns "documents:LINE:COL: message" into "LABEL: message". */
static void point_at_document(const struct document_set *set, bool *given, struct error *err)
{
    char label[AUTHORITY_LABEL_SIZE];
    struct error old = *err;
    char *end;
    const char *at = old.message;
    *given = false;
    if (old.code != ERROR_CONFIG || strncmp(at, TEXT_NAME ":", strlen(TEXT_NAME ":")) != 0)
        return;
    unsigned long line = strtoul(at + strlen(TEXT_NAME ":"), &end, 10);
    const struct document *document = of_line(set, line);
    const char *message = strstr(end, ": ");
    message = message ? message + 2 : end;
    *given = document && document->given;
    if (document)
        (void)error_set(err, ERROR_CONFIG, "%s: %s", document_label(document, label), message);
    else
        (void)error_set(err, ERROR_CONFIG, "%s", message);
}

/* --- what the tables cannot say --- */

static bool check_database(const struct config *config, const struct authority_database *database,
                           struct error *err)
{
    struct address address;
    struct authority_refusal refusal;
    struct error inner = {0};
    if (!authority_database_check(database->name, &refusal))
        return config_error(config, database->place, "name", err, "%s", refusal.message);
    if (!address_parse(database->address, &address, &inner))
        return config_error(config, database->place, "address", err, "%s", inner.message);
    if (address.kind != ADDRESS_HOST || address.port == 0)
        return config_error(config, database->place, "address", err,
                            "a database is reached by TLS over TCP: write HOST:PORT");
    return true;
}

static bool check_role(const struct config *config, const struct authz_role_config *role,
                       struct error *err)
{
    struct authority_refusal refusal;
    return authority_name_check("role", role->name, &refusal) ||
           config_error(config, role->place, "name", err, "%s", refusal.message);
}

static bool check_all(struct authority_documents *documents, struct error *err)
{
    for (size_t i = 0; i < documents->role_count; i++)
        if (!check_role(documents->config, &documents->roles[i], err))
            return false;
    for (size_t i = 0; i < documents->database_count; i++)
        if (!check_database(documents->config, &documents->databases[i], err))
            return false;
    return authz_policy_create(documents->config, documents->roles, documents->role_count,
                               documents->mappings, documents->mapping_count, &documents->policy,
                               err);
}

static bool decode(const struct document_set *set, struct authority_documents *out,
                   struct error *err)
{
    struct buffer text;
    struct config *config = NULL;
    buffer_init(&text, CONFIG_TEXT_LIMIT);
    bool done = write_all(set, &text, err) &&
                config_load_text(TEXT_NAME, "/", (const char *)buffer_bytes(&text),
                                 buffer_length(&text), &documents_table, out, &config, err);
    buffer_release(&text);
    out->config = config;
    return done && check_all(out, err);
}

bool document_set_decode(const struct document_set *set, struct authority_documents *out,
                         bool *given, struct error *err)
{
    struct error inner = {0};
    memset(out, 0, sizeof *out);
    *given = false;
    if (decode(set, out, &inner))
        return true;
    authority_documents_release(out);
    point_at_document(set, given, &inner);
    if (err)
        *err = inner;
    return false;
}

void authority_documents_release(struct authority_documents *documents)
{
    authz_policy_unref(documents->policy);
    config_free(documents->config);
    memset(documents, 0, sizeof *documents);
}

bool authority_documents_load(struct store *store, struct authority_documents *out,
                              struct error *err)
{
    struct document_set set = {0};
    bool given;
    memset(out, 0, sizeof *out);
    bool done = document_set_load(&set, store, err) && document_set_decode(&set, out, &given, err);
    document_set_release(&set);
    return done;
}
