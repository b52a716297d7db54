/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/record.h"

#include <string.h>

#include "audit/base64.h"
#include "audit/redact.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

const char *const audit_record_fields[] = {
    "v",
    "seq",
    "time",
    "event",
    "proxy",
    "session",
    "bot",
    "subject",
    "roles",
    "cert_serial",
    "client",
    "local_client",
    "database",
    "mysql_user",
    "schema",
    "command",
    "statement",
    "statement_base64",
    "statement_length",
    "statement_sha256",
    "truncated",
    "redacted",
    "params",
    "attributes",
    "details",
    "outcome",
    "reason",
    "error",
    "rows",
    "affected_rows",
    "last_insert_id",
    "warnings",
    "bytes_in",
    "bytes_out",
    "file_bytes",
    "duration_us",
    "upstream_connection_id",
    NULL,
};

const char *const audit_record_outcomes[] = {"ok", "error", "denied", "unknown", NULL};

/* What stands for bytes that are no UTF-8 in names, where base64 would help nobody: U+FFFD. */
#define RECORD_REPLACEMENT "\xEF\xBF\xBD"

/* Fields without the braces around them. */
static struct json_object bare_object(struct byte_writer *writer)
{
    return (struct json_object){.out = writer};
}

static void write_replacing(struct byte_writer *writer, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t valid = utf8_prefix(bytes, length);
        json_escape(writer, bytes, valid);
        bytes += valid;
        length -= valid;
        if (length > 0) {
            byte_writer_bytes(writer, RECORD_REPLACEMENT, strlen(RECORD_REPLACEMENT));
            bytes++;
            length--;
        }
    }
}

/* A name as a JSON string, cut at `most` bytes. */
static void write_name(struct byte_writer *writer, const char *name, size_t most)
{
    byte_writer_u8(writer, '"');
    write_replacing(writer, (const uint8_t *)name, strnlen(name, most));
    byte_writer_u8(writer, '"');
}

static void put_name(struct json_object *object, const char *key, const char *name, size_t most)
{
    if (!name || name[0] == '\0')
        return;
    json_field_key(object, key);
    write_name(object->out, name, most);
}

static void put_roles(struct json_object *object, const struct audit_session *session)
{
    if (session->role_count == 0)
        return;
    json_field_key(object, "roles");
    for (size_t i = 0; i < session->role_count; i++) {
        byte_writer_u8(object->out, i == 0 ? '[' : ',');
        write_name(object->out, session->roles[i], AUDIT_PREFIX_MAX);
    }
    byte_writer_u8(object->out, ']');
}

bool audit_prefix_render(struct audit_prefix *prefix, const struct audit_session *session,
                         struct error *err)
{
    if (prefix->json.limit == 0)
        buffer_init(&prefix->json, AUDIT_PREFIX_MAX);
    buffer_clear(&prefix->json);
    struct byte_writer writer = byte_writer(&prefix->json);
    struct json_object object = bare_object(&writer);
    put_name(&object, "proxy", session->proxy, AUDIT_PREFIX_MAX);
    put_name(&object, "session", session->session, AUDIT_PREFIX_MAX);
    put_name(&object, "bot", session->bot, AUDIT_PREFIX_MAX);
    put_name(&object, "subject", session->subject, AUDIT_PREFIX_MAX);
    put_roles(&object, session);
    put_name(&object, "cert_serial", session->cert_serial, AUDIT_PREFIX_MAX);
    put_name(&object, "client", session->client, AUDIT_PREFIX_MAX);
    put_name(&object, "local_client", session->local_client, AUDIT_PREFIX_MAX);
    put_name(&object, "database", session->database, AUDIT_PREFIX_MAX);
    put_name(&object, "mysql_user", session->mysql_user, AUDIT_PREFIX_MAX);
    prefix->upstream_connection_id = session->upstream_connection_id;
    if (!byte_writer_finish(&writer, err))
        return error_wrap(err, "cannot render a session for the audit log");
    return true;
}

void audit_prefix_release(struct audit_prefix *prefix)
{
    buffer_release(&prefix->json);
}

void audit_draft_init(struct audit_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    buffer_init(&draft->json, AUDIT_RECORD_MAX - AUDIT_OUTCOME_ROOM);
}

struct rendering {
    struct audit_draft *draft;
    const struct audit_intent *intent;
    struct audit_converter *converter;
    struct json_object object;
    bool placeholder; /* a bound value is a password */
};

static void put_time(struct rendering *rendering)
{
    char time[CLOCK_TIME_SIZE];
    int64_t arrived = rendering->intent->arrived_us;
    clock_format(arrived ? arrived : clock_wall_us(), time);
    json_field_key(&rendering->object, "time");
    byte_writer_u8(rendering->object.out, '"');
    byte_writer_bytes(rendering->object.out, time, strlen(time));
    byte_writer_u8(rendering->object.out, '"');
}

/* The schema's name came through the protocol, in the connection's character set. */
static bool put_schema(struct rendering *rendering, struct error *err)
{
    struct audit_text text;
    const char *schema = rendering->intent->schema;
    if (!schema || schema[0] == '\0')
        return true;
    size_t length = strnlen(schema, AUDIT_SCHEMA_MAX);
    if (utf8_valid(schema, length))
        text = (struct audit_text){true, (const uint8_t *)schema, length};
    else if (!audit_convert(rendering->converter, rendering->draft->charset, schema, length, true,
                            &text, err))
        return false;
    json_field_key(&rendering->object, "schema");
    byte_writer_u8(rendering->object.out, '"');
    write_replacing(rendering->object.out, text.bytes, text.length);
    byte_writer_u8(rendering->object.out, '"');
    return true;
}

/* Whether bytes of a wide set that is not valid hold a word that makes passwords likely. */
static bool wide_suspect(struct audit_converter *converter, const struct audit_text *text,
                         bool *suspect, struct error *err)
{
    uint8_t *room;
    buffer_clear(&converter->redacted);
    if (!buffer_reserve(&converter->redacted, text->length, &room, err))
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++)
        if (text->bytes[i] != 0)
            room[kept++] = text->bytes[i];
    *suspect = audit_redact_suspect(room, kept);
    return true;
}

static void leave_out(struct rendering *rendering, struct audit_text *text)
{
    *text = (struct audit_text){true, (const uint8_t *)AUDIT_REDACTED, strlen(AUDIT_REDACTED)};
    rendering->draft->redacted = true;
}

/* A statement that no scan can follow and that seems to hold a password is left out whole. Servers
 * take no statement in these sets (MySQL manual, "Impermissible Client Character Sets"). */
static bool redact_wide(struct rendering *rendering, struct audit_text *text, struct error *err)
{
    bool suspect;
    if (!wide_suspect(rendering->converter, text, &suspect, err))
        return false;
    if (suspect)
        leave_out(rendering, text);
    return true;
}

/* What the text is under one meaning of a backslash in a literal. */
static bool redact_reading(struct rendering *rendering, const struct audit_text *text,
                           bool no_backslash_escapes, struct buffer *out, struct error *err)
{
    const struct audit_charset *charset = rendering->draft->charset;
    struct audit_redaction redaction;
    struct audit_redact_dialect dialect = {
        .no_backslash_escapes = no_backslash_escapes,
        .double_byte = !text->is_text && charset->form == AUDIT_CHARSET_DOUBLE_BYTE,
    };
    if (!audit_redact(text->bytes, text->length, dialect, out, &redaction, err))
        return false;
    rendering->placeholder |= redaction.placeholder;
    rendering->draft->redacted |= redaction.redacted || redaction.placeholder;
    if (!redaction.redacted)
        buffer_clear(out);
    return true;
}

static bool same_bytes(const struct buffer *a, const struct buffer *b)
{
    return buffer_length(a) == buffer_length(b) &&
           memcmp(buffer_bytes(a), buffer_bytes(b), buffer_length(a)) == 0;
}

/*
 * Nobody here knows for certain whether the server takes a backslash in a literal for an escape
 * (sql_mode NO_BACKSLASH_ESCAPES): where the two readings differ, the statement is left out whole.
 */
static bool redact(struct rendering *rendering, struct audit_text *text, struct error *err)
{
    struct audit_converter *converter = rendering->converter;
    if (!text->is_text && rendering->draft->charset->form == AUDIT_CHARSET_WIDE)
        return redact_wide(rendering, text, err);
    if (!audit_redact_suspect(text->bytes, text->length))
        return true;
    if (!redact_reading(rendering, text, false, &converter->redacted, err))
        return false;
    if (memchr(text->bytes, '\\', text->length)) {
        if (!redact_reading(rendering, text, true, &converter->redacted_again, err))
            return false;
        if (!same_bytes(&converter->redacted, &converter->redacted_again)) {
            leave_out(rendering, text);
            return true;
        }
    }
    if (buffer_length(&converter->redacted) > 0) {
        text->bytes = buffer_bytes(&converter->redacted);
        text->length = buffer_length(&converter->redacted);
    }
    return true;
}

static bool put_statement(struct rendering *rendering, struct error *err)
{
    const struct audit_intent *intent = rendering->intent;
    struct audit_draft *draft = rendering->draft;
    struct audit_text text;
    draft->has_statement = intent->statement != NULL;
    if (!draft->has_statement)
        return true;
    draft->captured = intent->statement_captured;
    draft->statement_length = intent->statement_length;
    /* A streamed statement's length is not known yet: then its captured part may be cut. */
    bool cut = intent->statement_length != intent->statement_captured;
    if (!audit_convert(rendering->converter, draft->charset, intent->statement,
                       intent->statement_captured, cut, &text, err) ||
        !redact(rendering, &text, err))
        return false;
    if (text.is_text) {
        json_field_text(&rendering->object, "statement", text.bytes, text.length);
    } else {
        json_field_key(&rendering->object, "statement_base64");
        byte_writer_u8(rendering->object.out, '"');
        audit_base64(rendering->object.out, text.bytes, text.length);
        byte_writer_u8(rendering->object.out, '"');
    }
    return true;
}

static void put_list(struct rendering *rendering, const char *key, const char *json, size_t length)
{
    static const char hidden[] = "[\"" AUDIT_REDACTED "\"]";
    if (json && rendering->placeholder)
        json_field_raw(&rendering->object, key, hidden, strlen(hidden));
    else if (json)
        json_field_raw(&rendering->object, key, json, length);
}

static void draft_reset(struct audit_draft *draft, const struct audit_intent *intent,
                        uint64_t upstream_connection_id)
{
    buffer_clear(&draft->json);
    draft->charset = audit_charset_find(intent->charset);
    draft->upstream_connection_id = upstream_connection_id;
    draft->captured = 0;
    draft->statement_length = 0;
    draft->redacted = false;
    draft->has_sha256 = intent->statement_sha256 != NULL;
    if (draft->has_sha256)
        memcpy(draft->sha256, intent->statement_sha256, sizeof draft->sha256);
}

bool audit_draft_intent(struct audit_draft *draft, const struct audit_prefix *prefix,
                        const struct audit_intent *intent, struct audit_converter *converter,
                        struct error *err)
{
    struct byte_writer writer = byte_writer(&draft->json);
    struct rendering rendering = {draft, intent, converter, bare_object(&writer), false};
    if (intent->statement_captured > AUDIT_STATEMENT_LIMIT_MAX)
        return error_set(err, ERROR_LIMIT, "%zu bytes of statement are more than %d",
                         intent->statement_captured, AUDIT_STATEMENT_LIMIT_MAX);
    draft_reset(draft, intent, prefix->upstream_connection_id);
    put_time(&rendering);
    json_field_string(&rendering.object, "event", intent->event);
    if (buffer_length(&prefix->json) > 0) {
        byte_writer_u8(&writer, ',');
        byte_writer_bytes(&writer, buffer_bytes(&prefix->json), buffer_length(&prefix->json));
    }
    if (!put_schema(&rendering, err))
        return false;
    json_field_string(&rendering.object, "command", intent->command);
    if (!put_statement(&rendering, err))
        return false;
    draft->split = buffer_length(&draft->json);
    put_list(&rendering, "params", intent->params, intent->params_length);
    put_list(&rendering, "attributes", intent->attributes, intent->attributes_length);
    if (intent->details)
        json_field_raw(&rendering.object, "details", intent->details, intent->details_length);
    audit_converter_trim(converter);
    return byte_writer_finish(&writer, err);
}

static size_t end_middle(const struct audit_draft *draft, const struct audit_outcome *outcome,
                         struct audit_ending *ending)
{
    char hex[HEX_SIZE(sizeof draft->sha256)];
    struct buffer buffer;
    buffer_init_fixed(&buffer, ending->middle, sizeof ending->middle);
    struct byte_writer writer = byte_writer(&buffer);
    struct json_object object = {.out = &writer, .filled = true};
    uint64_t length =
        outcome->statement_length ? outcome->statement_length : draft->statement_length;
    if (length < draft->captured)
        length = draft->captured;
    bool truncated = draft->captured < length;
    const uint8_t *sha256 = outcome->statement_sha256;
    if (!sha256 && draft->has_sha256)
        sha256 = draft->sha256;
    if (draft->has_statement)
        json_field_unsigned(&object, "statement_length", length);
    /* A hash of a text whose one unknown part is a password would let it be guessed. */
    if (draft->has_statement && sha256 && truncated && !draft->redacted) {
        hex_encode(sha256, sizeof draft->sha256, hex);
        json_field_string(&object, "statement_sha256", hex);
    }
    if (truncated)
        json_field_bool(&object, "truncated", true);
    if (draft->redacted)
        json_field_bool(&object, "redacted", true);
    return buffer_length(&buffer);
}

/* The server's words may quote the statement, so those of a redacted one are not recorded. */
static void put_message(struct json_object *error, const struct audit_draft *draft,
                        const char *message, struct audit_converter *converter)
{
    struct audit_text text = {0};
    size_t length = strnlen(message, AUDIT_MESSAGE_MAX);
    bool cut = message[length] != '\0';
    if (draft->redacted) {
        json_field_string(error, "message", AUDIT_REDACTED);
        return;
    }
    text.bytes = (const uint8_t *)message;
    text.length = length;
    if (!audit_convert(converter, draft->charset, message, length, cut, &text, NULL) ||
        !text.is_text) {
        json_field_key(error, "message_base64");
        byte_writer_u8(error->out, '"');
        audit_base64(error->out, message, length);
        byte_writer_u8(error->out, '"');
        return;
    }
    json_field_text(error, "message", text.bytes, text.length);
}

static void put_error(struct json_object *object, const struct audit_draft *draft,
                      const struct audit_outcome *outcome, struct audit_converter *converter)
{
    if (!outcome->has_error)
        return;
    struct json_object error = json_field_object(object, "error");
    json_field_unsigned(&error, "code", outcome->error_code);
    put_name(&error, "sqlstate", outcome->sqlstate, AUDIT_WORD_MAX);
    if (outcome->error_message)
        put_message(&error, draft, outcome->error_message, converter);
    json_end(&error);
}

/* A number whose absence means 0. */
static void put_count(struct json_object *object, const char *key, uint64_t value)
{
    if (value > 0)
        json_field_unsigned(object, key, value);
}

static void put_counts(struct json_object *object, const struct audit_outcome *outcome)
{
    if (outcome->has_rows)
        json_field_unsigned(object, "rows", outcome->rows);
    if (outcome->has_affected_rows) {
        json_field_unsigned(object, "affected_rows", outcome->affected_rows);
        put_count(object, "last_insert_id", outcome->last_insert_id);
    }
    if (outcome->has_warnings)
        json_field_unsigned(object, "warnings", outcome->warnings);
    put_count(object, "bytes_in", outcome->bytes_in);
    put_count(object, "bytes_out", outcome->bytes_out);
    if (outcome->has_file)
        json_field_unsigned(object, "file_bytes", outcome->file_bytes);
    if (outcome->duration_us >= 0)
        json_field_int(object, "duration_us", outcome->duration_us);
}

void audit_draft_outcome(const struct audit_draft *draft, const struct audit_outcome *outcome,
                         struct audit_converter *converter, struct audit_ending *ending)
{
    struct buffer buffer;
    ending->middle_length = end_middle(draft, outcome, ending);
    buffer_init_fixed(&buffer, ending->tail, sizeof ending->tail);
    struct byte_writer writer = byte_writer(&buffer);
    struct json_object object = {.out = &writer, .filled = true};
    put_name(&object, "outcome", outcome->outcome, AUDIT_WORD_MAX);
    put_name(&object, "reason", outcome->reason, AUDIT_REASON_MAX);
    put_error(&object, draft, outcome, converter);
    put_counts(&object, outcome);
    put_count(&object, "upstream_connection_id", draft->upstream_connection_id);
    ending->tail_length = buffer_length(&buffer);
}
