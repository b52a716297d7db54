/* SPDX-License-Identifier: Apache-2.0 */
#include "control/message.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "control/fields.h"
#include "control/frame.h"

#define BASE64URL sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* Names. */

static const char *const code_names[CONTROL_CODE_COUNT] = {
    [CONTROL_NO_ERROR] = "none",
    [CONTROL_MALFORMED] = "malformed",
    [CONTROL_UNKNOWN_REQUEST] = "unknown_request",
    [CONTROL_NOT_ALLOWED] = "not_allowed",
    [CONTROL_BUSY] = "busy",
    [CONTROL_TOKEN_UNKNOWN] = "token_unknown",
    [CONTROL_TOKEN_USED] = "token_used",
    [CONTROL_TOKEN_EXPIRED] = "token_expired",
    [CONTROL_BAD_CSR] = "bad_csr",
    [CONTROL_UNKNOWN_BOT] = "unknown_bot",
    [CONTROL_EXISTS] = "exists",
    [CONTROL_NOT_FOUND] = "not_found",
    [CONTROL_INVALID] = "invalid",
    [CONTROL_LOCKED] = "locked",
    [CONTROL_SUPERSEDED] = "superseded",
    [CONTROL_CONFLICT] = "conflict",
    [CONTROL_INTERNAL] = "internal",
    [CONTROL_OTHER] = "other",
};

const char *control_code_name(enum control_code code)
{
    return (unsigned)code < CONTROL_CODE_COUNT ? code_names[code] : code_names[CONTROL_OTHER];
}

enum control_code control_code_of(const char *name)
{
    for (unsigned code = CONTROL_MALFORMED; code < CONTROL_OTHER; code++)
        if (strcmp(name, code_names[code]) == 0)
            return (enum control_code)code;
    return CONTROL_OTHER;
}

enum control_code control_code_of_error(const struct error *err)
{
    if (err->code == ERROR_MALFORMED)
        return CONTROL_MALFORMED;
    return err->code == ERROR_LIMIT ? CONTROL_INVALID : CONTROL_INTERNAL;
}

static const char *const kind_names[CONTROL_PEER_KIND_COUNT] = {
    [CONTROL_NOBODY] = "nobody",    [CONTROL_BOT] = "bot",
    [CONTROL_PROXY] = "proxy",      [CONTROL_ADMINISTRATOR] = "administrator",
    [CONTROL_BOT_AT_PROXY] = "bot",
};

const char *control_peer_kind_name(enum control_peer_kind kind)
{
    return (unsigned)kind < CONTROL_PEER_KIND_COUNT ? kind_names[kind] : "unknown";
}

/* Who may ask what. */

#define BY(kind) (1u << (kind))
#define ADMIN    BY(CONTROL_ADMINISTRATOR)

static const struct {
    const char *name;
    unsigned kinds;
} requests[] = {
    {"hello", BY(CONTROL_PEER_KIND_COUNT) - 1},
    {"join", BY(CONTROL_NOBODY)},
    {"challenge", BY(CONTROL_NOBODY)},
    {"join_key", BY(CONTROL_NOBODY)},
    {"join_proxy", BY(CONTROL_NOBODY)},
    {"renew", BY(CONTROL_BOT)},
    {"confirm", BY(CONTROL_BOT)},
    {"renew_proxy", BY(CONTROL_PROXY)},
    {"subscribe", BY(CONTROL_PROXY)},
    {"state", BY(CONTROL_PROXY) | ADMIN},
    {"mint", BY(CONTROL_PROXY) | ADMIN},
    {"seen", BY(CONTROL_PROXY)},
    {"announce", BY(CONTROL_BOT_AT_PROXY)},
    {"bot_add", ADMIN},
    {"bot_list", ADMIN},
    {"bot_show", ADMIN},
    {"bot_remove", ADMIN},
    {"bot_roles", ADMIN},
    {"token_add", ADMIN},
    {"token_list", ADMIN},
    {"token_remove", ADMIN},
    {"apply", ADMIN},
    {"role_list", ADMIN},
    {"role_show", ADMIN},
    {"role_remove", ADMIN},
    {"role_test", ADMIN},
    {"lock_add", ADMIN},
    {"lock_list", ADMIN},
    {"lock_remove", ADMIN},
    {"database_list", ADMIN},
    {"database_show", ADMIN},
    {"database_remove", ADMIN},
    {"mapping_list", ADMIN},
    {"mapping_remove", ADMIN},
    {"instance_list", ADMIN},
    {"instance_remove", ADMIN},
    {"proxy_list", ADMIN},
    {"proxy_remove", ADMIN},
    {"ca_status", ADMIN},
    {"ca_export", ADMIN},
    {"ca_rotate", ADMIN},
    {"sign_database", ADMIN},
};

#define REQUEST_COUNT (sizeof requests / sizeof *requests)

static unsigned kinds_of(const char *request)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++)
        if (strcmp(requests[i].name, request) == 0)
            return requests[i].kinds;
    return 0;
}

bool control_known(const char *request)
{
    return kinds_of(request) != 0;
}

bool control_allowed(enum control_peer_kind kind, const char *request)
{
    return (unsigned)kind < CONTROL_PEER_KIND_COUNT && kinds_of(request) & BY(kind);
}

void control_each_request(void (*visit)(void *context, const char *request), void *context)
{
    for (size_t i = 0; i < REQUEST_COUNT; i++)
        visit(context, requests[i].name);
}

/* Reading. */

static bool read_id(const cJSON *message, uint64_t *id, struct error *err)
{
    const struct control_field fields[] = {
        {.key = "id", .type = CONTROL_UNSIGNED, .to.number = id, .greatest = CONTROL_ID_MAX},
    };
    return control_fields_read(message, CONTROL_KEYS_ANY, fields, 1, err);
}

static bool read_name(const cJSON *message, const char *key, const char **name, struct error *err)
{
    const struct control_field fields[] = {
        {.key = key, .type = CONTROL_TEXT, .to.text = name, .greatest = CONTROL_NAME_MAX},
    };
    return control_fields_read(message, CONTROL_KEYS_ANY, fields, 1, err);
}

static bool read_refusal(const cJSON *error, struct control_failure *failure, struct error *err)
{
    const char *code;
    const char *message;
    const struct control_field fields[] = {
        {.key = "code", .type = CONTROL_TEXT, .to.text = &code, .greatest = CONTROL_NAME_MAX},
        {.key = "message",
         .type = CONTROL_LINES,
         .to.text = &message,
         .empty = true,
         .greatest = sizeof failure->message - 1},
    };
    if (!control_fields_read(error, CONTROL_KEYS_ANY, fields, 2, err))
        return false;
    failure->code = control_code_of(code);
    (void)snprintf(failure->message, sizeof failure->message, "%s", message);
    return true;
}

static bool read_answer(const cJSON *message, struct control_head *head, struct error *err)
{
    const cJSON *error = NULL;
    const struct control_field fields[] = {
        {.key = "ok", .type = CONTROL_OBJECT, .to.value = &head->ok, .optional = true},
        {.key = "error", .type = CONTROL_OBJECT, .to.value = &error, .optional = true},
    };
    head->form = CONTROL_ANSWER;
    if (!read_id(message, &head->id, err) ||
        !control_fields_read(message, CONTROL_KEYS_ANY, fields, 2, err))
        return false;
    if (error)
        return read_refusal(error, &head->failure, err);
    return head->id > 0 || error_set(err, ERROR_MALFORMED, "'id' is 0");
}

static bool read_request(const cJSON *message, struct control_head *head, struct error *err)
{
    head->form = CONTROL_REQUEST;
    if (!read_name(message, "request", &head->name, err) || !read_id(message, &head->id, err))
        return false;
    return head->id > 0 || error_set(err, ERROR_MALFORMED, "'id' is 0: they count from 1");
}

static size_t count_of(const cJSON *message, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(message, key) != NULL;
}

bool control_head_read(const cJSON *message, struct control_head *head, struct error *err)
{
    *head = (struct control_head){0};
    size_t asks = count_of(message, "request");
    size_t answers = count_of(message, "ok") + count_of(message, "error");
    size_t events = count_of(message, "event");
    if (asks + answers + events != 1) {
        (void)read_id(message, &head->id, NULL);
        return error_set(err, ERROR_MALFORMED,
                         "the message has %s of 'request', 'ok', 'error' and 'event'",
                         asks + answers + events == 0 ? "none" : "several");
    }
    if (asks)
        return read_request(message, head, err);
    if (answers)
        return read_answer(message, head, err);
    head->form = CONTROL_EVENT;
    return read_name(message, "event", &head->name, err);
}

/* Building. */

static cJSON *keep_if(cJSON *message, bool good)
{
    if (good)
        return message;
    control_free(message);
    return NULL;
}

cJSON *control_request(const char *name)
{
    cJSON *message = cJSON_CreateObject();
    return keep_if(message, message && control_put_unsigned(message, "id", 1) &&
                                control_put_text(message, "request", name));
}

bool control_request_number(cJSON *request, uint64_t id)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(request, "id");
    if (!cJSON_IsNumber(item) || id == 0 || id > CONTROL_ID_MAX)
        return false;
    (void)cJSON_SetNumberHelper(item, (double)id);
    return true;
}

cJSON *control_answer(uint64_t id, cJSON *ok)
{
    cJSON *message = cJSON_CreateObject();
    if (!ok)
        ok = cJSON_CreateObject();
    bool numbered = message && ok && control_put_unsigned(message, "id", id);
    if (!numbered || !cJSON_AddItemToObjectCS(message, "ok", ok)) {
        control_free(ok);
        return keep_if(message, false);
    }
    return message;
}

/* Error messages may be cut in the middle of a character. */
static void repair(char *text)
{
    size_t length = strlen(text);
    for (size_t at = utf8_prefix(text, length); at < length;
         at += utf8_prefix(text + at, length - at))
        text[at] = '?';
}

cJSON *control_error(uint64_t id, enum control_code code, const char *message)
{
    char text[ERROR_MESSAGE_SIZE];
    (void)snprintf(text, sizeof text, "%s", message);
    repair(text);
    cJSON *answer = cJSON_CreateObject();
    if (!answer || !control_put_unsigned(answer, "id", id))
        return keep_if(answer, false);
    cJSON *error = control_put_object(answer, "error");
    return keep_if(answer, error && control_put_text(error, "code", control_code_name(code)) &&
                               control_put_text(error, "message", text));
}

cJSON *control_event(const char *name)
{
    cJSON *message = cJSON_CreateObject();
    return keep_if(message, message && control_put_text(message, "event", name));
}

bool control_put_text(cJSON *object, const char *key, const char *text)
{
    return utf8_valid(text, strlen(text)) && cJSON_AddStringToObject(object, key, text);
}

bool control_put_unsigned(cJSON *object, const char *key, uint64_t value)
{
    return value <= CONTROL_ID_MAX && cJSON_AddNumberToObject(object, key, (double)value);
}

bool control_put_bool(cJSON *object, const char *key, bool value)
{
    return cJSON_AddBoolToObject(object, key, value);
}

bool control_put_bytes(cJSON *object, const char *key, const void *bytes, size_t length)
{
    size_t size = sodium_base64_encoded_len(length, BASE64URL);
    char *text = malloc(size);
    if (!text)
        return false;
    (void)sodium_bin2base64(text, size, bytes, length, BASE64URL);
    bool put = control_put_text(object, key, text);
    explicit_bzero(text, size);
    free(text);
    return put;
}

bool control_put_time(cJSON *object, const char *key, int64_t wall_us)
{
    char text[CLOCK_TIME_SIZE];
    clock_format(wall_us, text);
    return control_put_text(object, key, text);
}

bool control_put_duration(cJSON *object, const char *key, int64_t milliseconds)
{
    char text[32];
    duration_format(milliseconds, text, sizeof text);
    return control_put_text(object, key, text);
}

bool control_put_texts(cJSON *object, const char *key, const char *const *texts, size_t count)
{
    cJSON *list = control_put_list(object, key);
    for (size_t i = 0; list && i < count; i++) {
        cJSON *item = utf8_valid(texts[i], strlen(texts[i])) ? cJSON_CreateString(texts[i]) : NULL;
        if (!item || !cJSON_AddItemToArray(list, item))
            return false;
    }
    return list != NULL;
}

cJSON *control_put_list(cJSON *object, const char *key)
{
    return cJSON_AddArrayToObject(object, key);
}

cJSON *control_put_object(cJSON *object, const char *key)
{
    return cJSON_AddObjectToObject(object, key);
}
