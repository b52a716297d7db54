/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/hello.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

static bool is_clean_text(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return false;
    return utf8_valid(text, strlen(text));
}

bool hello_database_valid(const char *name)
{
    return name[0] != '\0' && strlen(name) < HELLO_DATABASE_SIZE && is_clean_text(name);
}

static void append_text(struct json_object *object, const char *key, const char *value)
{
    if (value[0] != '\0' && is_clean_text(value))
        json_field_string(object, key, value);
}

static void append_local(struct json_object *hello, const struct hello_local *local)
{
    struct json_object object = json_field_object(hello, "local");
    append_text(&object, "address", local->address);
    if (local->has_uid)
        json_field_unsigned(&object, "uid", local->uid);
    if (local->has_gid)
        json_field_unsigned(&object, "gid", local->gid);
    if (local->has_pid && local->pid != 0)
        json_field_unsigned(&object, "pid", local->pid);
    append_text(&object, "executable", local->executable);
    json_end(&object);
}

static bool append_json(struct buffer *out, const struct hello *hello, struct error *err)
{
    struct byte_writer writer = byte_writer(out);
    struct json_object object = json_begin(&writer);
    json_field_unsigned(&object, "version", HELLO_VERSION);
    json_field_string(&object, "database", hello->database);
    if (hello->has_family) {
        char family[HEX_SIZE(HELLO_FAMILY_SIZE)];
        hex_encode(hello->family, sizeof hello->family, family);
        json_field_string(&object, "family", family);
    }
    append_local(&object, &hello->local);
    json_end(&object);
    return byte_writer_finish(&writer, err);
}

bool hello_append(struct buffer *out, const struct hello *hello, struct error *err)
{
    if (!hello_database_valid(hello->database))
        return error_set(err, ERROR_MALFORMED, "the database's name cannot be sent");
    /* Escaping at most doubles what has no control characters, so the JSON always fits. */
    _Static_assert(2 * (HELLO_DATABASE_SIZE + HELLO_ADDRESS_SIZE + HELLO_PROGRAM_SIZE) + 256 <=
                       HELLO_JSON_MAX,
                   "the longest hello fits its frame");
    uint8_t room[HELLO_JSON_MAX];
    struct buffer json;
    buffer_init_fixed(&json, room, sizeof room);
    if (!append_json(&json, hello, err))
        return false;
    struct byte_writer writer = byte_writer(out);
    byte_writer_u32be(&writer, (uint32_t)buffer_length(&json));
    byte_writer_bytes(&writer, buffer_bytes(&json), buffer_length(&json));
    return byte_writer_finish(&writer, err);
}

static bool malformed(struct error *err, const char *what)
{
    return error_set(err, ERROR_MALFORMED, "malformed hello: %s", what);
}

/* The value of `key`, NULL where it is absent. A key that stands twice could be read in two ways.
 * Keys compare exactly: cJSON_GetObjectItem() would ignore letter case. */
static bool find_once(const cJSON *object, const char *key, const cJSON **found, struct error *err)
{
    *found = NULL;
    for (const cJSON *item = object->child; item; item = item->next) {
        if (!item->string || strcmp(item->string, key) != 0)
            continue;
        if (*found)
            return error_set(err, ERROR_MALFORMED, "malformed hello: '%s' stands twice", key);
        *found = item;
    }
    return true;
}

static bool read_text(const cJSON *object, const char *key, char *out, size_t size,
                      struct error *err)
{
    const cJSON *item;
    if (!find_once(object, key, &item, err))
        return false;
    if (!item)
        return true;
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= size ||
        !is_clean_text(item->valuestring))
        return error_set(err, ERROR_MALFORMED,
                         "malformed hello: '%s' is not a text of at most %zu bytes", key, size - 1);
    memcpy(out, item->valuestring, strlen(item->valuestring) + 1);
    return true;
}

/* JSON has no integers; a number counts as one when nothing is lost. */
static bool to_u32(const cJSON *item, uint32_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= UINT32_MAX))
        return false;
    *value = (uint32_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

static bool read_u32(const cJSON *object, const char *key, uint32_t *value, bool *present,
                     struct error *err)
{
    const cJSON *item;
    if (!find_once(object, key, &item, err))
        return false;
    if (item && !to_u32(item, value))
        return error_set(err, ERROR_MALFORMED, "malformed hello: '%s' is not a 32-bit number", key);
    *present = item != NULL;
    return true;
}

static bool read_local(const cJSON *root, struct hello_local *local, struct error *err)
{
    const cJSON *object;
    if (!find_once(root, "local", &object, err))
        return false;
    if (!object)
        return true;
    if (!cJSON_IsObject(object))
        return malformed(err, "'local' is not an object");
    return read_text(object, "address", local->address, sizeof local->address, err) &&
           read_text(object, "executable", local->executable, sizeof local->executable, err) &&
           read_u32(object, "uid", &local->uid, &local->has_uid, err) &&
           read_u32(object, "gid", &local->gid, &local->has_gid, err) &&
           read_u32(object, "pid", &local->pid, &local->has_pid, err);
}

/* The value of a digit as hex_encode() writes it; -1: it is none. */
static int hex_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = memchr(digits, digit, sizeof digits - 1);
    return at ? (int)(at - digits) : -1;
}

bool hello_family_read(const char *text, uint8_t out[HELLO_FAMILY_SIZE], struct error *err)
{
    uint8_t family[HELLO_FAMILY_SIZE];
    bool good = strlen(text) == 2 * sizeof family;
    for (size_t i = 0; good && i < sizeof family; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        if (good)
            family[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    if (!good)
        return error_set(err, ERROR_MALFORMED, "'family' is not %zu lower-case hexadecimal digits",
                         2 * sizeof family);
    memcpy(out, family, sizeof family);
    return true;
}

static bool read_family(const cJSON *root, struct hello *out, struct error *err)
{
    const cJSON *item;
    struct error inner = {0};
    if (!find_once(root, "family", &item, err))
        return false;
    if (!item)
        return true;
    if (!cJSON_IsString(item))
        return malformed(err, "'family' is not a text");
    if (!hello_family_read(item->valuestring, out->family, &inner))
        return malformed(err, inner.message);
    out->has_family = true;
    return true;
}

static bool read_version(const cJSON *root, struct error *err)
{
    uint32_t version = 0;
    bool present;
    if (!read_u32(root, "version", &version, &present, err))
        return false;
    if (!present)
        return malformed(err, "it has no 'version'");
    if (version != HELLO_VERSION)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the tunnel speaks version %u of the hello frame, this proxy version %u: "
                         "bring both to the same release",
                         version, (unsigned)HELLO_VERSION);
    return true;
}

static bool read_root(const cJSON *root, struct hello *out, struct error *err)
{
    if (!cJSON_IsObject(root))
        return malformed(err, "it is not an object");
    if (!read_version(root, err) ||
        !read_text(root, "database", out->database, sizeof out->database, err))
        return false;
    if (out->database[0] == '\0')
        return malformed(err, "it names no database");
    return read_family(root, out, err) && read_local(root, &out->local, err);
}

/*
 * What cJSON 1.7 would let through: bytes that are not UTF-8, a NUL by its escape, which would cut
 * the string short, and text behind the value.
 */
static bool check_text(struct byte_view json, struct error *err)
{
    static const char nul_escape[] = "\\u0000";
    if (!utf8_valid(json.data, json.length) || memchr(json.data, '\0', json.length))
        return malformed(err, "it is not UTF-8 text");
    if (memmem(json.data, json.length, nul_escape, strlen(nul_escape)))
        return malformed(err, "it holds a NUL");
    return true;
}

static bool is_blank(const char *from, const char *end)
{
    for (; from < end; from++)
        if (*from != ' ' && *from != '\t' && *from != '\r' && *from != '\n')
            return false;
    return true;
}

static bool parse_json(struct byte_view json, struct hello *out, struct error *err)
{
    if (!check_text(json, err))
        return false;
    const char *text = (const char *)json.data;
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, json.length, &end, false);
    if (!root)
        return malformed(err, "it is not JSON");
    bool read = is_blank(end, text + json.length) ? read_root(root, out, err)
                                                  : malformed(err, "text stands behind the JSON");
    cJSON_Delete(root);
    return read;
}

enum hello_result hello_read(struct byte_view bytes, struct hello *out, size_t *consumed,
                             struct error *err)
{
    struct byte_reader reader = byte_reader(bytes.data, bytes.length);
    uint32_t length;
    if (!byte_reader_u32be(&reader, &length))
        return HELLO_NEED_MORE;
    if (length > HELLO_JSON_MAX) {
        (void)error_set(err, ERROR_MALFORMED,
                        "malformed hello: its length is %u, more than the %u bytes allowed", length,
                        (unsigned)HELLO_JSON_MAX);
        return HELLO_MALFORMED;
    }
    struct byte_view json;
    if (!byte_reader_view(&reader, length, &json))
        return HELLO_NEED_MORE;
    struct hello hello = {0};
    if (!parse_json(json, &hello, err))
        return HELLO_MALFORMED;
    *out = hello;
    *consumed = reader.offset;
    return HELLO_COMPLETE;
}
