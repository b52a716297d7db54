/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/files.h"
#include "audit/line.h"
#include "audit/record.h"
#include "base/utf8.h"

static struct audit_draft draft;
static struct audit_converter converter;
static struct audit_prefix prefix;
static struct audit_ending ending;
static struct buffer whole;
static struct audit_line line;

static void open_all(void)
{
    audit_draft_init(&draft);
    audit_converter_init(&converter);
    buffer_init(&whole, AUDIT_RECORD_MAX + 1024);
}

static void close_all(void)
{
    buffer_release(&draft.json);
    audit_converter_release(&converter);
    audit_prefix_release(&prefix);
    buffer_release(&whole);
}

TestSuite(record, .init = open_all, .fini = close_all);

static void append(const void *bytes, size_t length)
{
    cr_assert(buffer_append(&whole, bytes, length, NULL));
}

/* Puts a record together as the lane and the writer do, and reads it back strictly. */
static void render(const struct audit_intent *intent, const struct audit_outcome *outcome)
{
    static const char front[] = AUDIT_LINE_BEGIN "7,";
    struct error err;
    cr_assert(audit_draft_intent(&draft, &prefix, intent, &converter, &err), "%s", err.message);
    audit_draft_outcome(&draft, outcome, &converter, &ending);
    const uint8_t *json = buffer_bytes(&draft.json);
    buffer_clear(&whole);
    append(front, strlen(front));
    append(json, draft.split);
    append(ending.middle, ending.middle_length);
    append(json + draft.split, buffer_length(&draft.json) - draft.split);
    append(ending.tail, ending.tail_length);
    append("}", 1);
    cr_assert(
        audit_line_read((const char *)buffer_bytes(&whole), buffer_length(&whole), &line, &err),
        "%s: %.*s", err.message, (int)buffer_length(&whole), buffer_bytes(&whole));
}

static const struct audit_outcome ok = {.outcome = "ok", .duration_us = 5};

static struct audit_intent query(const void *sql, size_t length, const char *charset)
{
    return (struct audit_intent){.event = "query",
                                 .command = "query",
                                 .statement = sql,
                                 .statement_captured = length,
                                 .statement_length = length,
                                 .charset = charset,
                                 .arrived_us = 1};
}

static void render_query(const void *sql, size_t length, const char *charset)
{
    struct audit_intent intent = query(sql, length, charset);
    render(&intent, &ok);
}

/* A field as it stands in the line, or "". */
static const char *raw(const char *key)
{
    static char text[8192];
    struct audit_value value = audit_line_find(&line, key);
    snprintf(text, sizeof text, "%.*s", (int)value.length, value.at ? value.at : "");
    return text;
}

static bool has(const char *key)
{
    return audit_line_find(&line, key).at != NULL;
}

static void expect_statement(const char *wanted, size_t length)
{
    struct buffer text;
    struct error err;
    buffer_init(&text, AUDIT_RECORD_MAX);
    cr_assert(audit_value_text(audit_line_find(&line, "statement"), &text, &err), "%s: %s",
              err.message, raw("statement_base64"));
    cr_expect(buffer_length(&text) == length && memcmp(buffer_bytes(&text), wanted, length) == 0,
              "%.*s", (int)buffer_length(&text), buffer_bytes(&text));
    buffer_release(&text);
}

static void expect_bytes(const void *wanted, size_t length)
{
    struct buffer bytes;
    struct error err;
    buffer_init(&bytes, AUDIT_RECORD_MAX);
    cr_assert_not(has("statement"));
    cr_assert(audit_value_base64(audit_line_find(&line, "statement_base64"), &bytes, &err));
    cr_expect(buffer_length(&bytes) == length && memcmp(buffer_bytes(&bytes), wanted, length) == 0);
    buffer_release(&bytes);
}

static void full_prefix(void)
{
    static const char *const roles[] = {"a", "b"};
    const struct audit_session session = {
        .proxy = "p",
        .session = "s",
        .bot = "b",
        .subject = "CN=b",
        .cert_serial = "01",
        .client = "c",
        .local_client = "l",
        .roles = roles,
        .role_count = 2,
        .database = "d",
        .mysql_user = "u",
        .upstream_connection_id = 7,
    };
    struct error err;
    cr_assert(audit_prefix_render(&prefix, &session, &err), "%s", err.message);
}

static const uint8_t digest[32] = {0xAB, 0xCD};

static const struct audit_outcome full_outcome = {
    .outcome = "error",
    .reason = "r",
    .has_error = true,
    .error_code = 1064,
    .sqlstate = "42000",
    .error_message = "m",
    .has_rows = true,
    .rows = UINT64_MAX,
    .has_affected_rows = true,
    .affected_rows = 1,
    .last_insert_id = 2,
    .has_warnings = true,
    .warnings = 3,
    .bytes_in = 4,
    .bytes_out = 5,
    .has_file = true,
    .file_bytes = 7,
    .duration_us = 6,
};

static void render_full(void)
{
    full_prefix();
    struct audit_intent intent = query("SELECT 1", 8, NULL);
    intent.schema = "x";
    intent.statement_length = 100;
    intent.statement_sha256 = digest;
    intent.params = "[1]";
    intent.params_length = 3;
    intent.attributes = "[2]";
    intent.attributes_length = 3;
    intent.details = "{\"a\":3}";
    intent.details_length = 7;
    render(&intent, &full_outcome);
}

/* statement_base64 stands for statement, redacted excludes statement_sha256. */
static bool is_alternative(const char *field)
{
    return strcmp(field, "statement_base64") == 0 || strcmp(field, "redacted") == 0;
}

Test(record, has_every_field_in_the_documented_order)
{
    render_full();
    size_t at = 0;
    for (size_t i = 0; audit_record_fields[i]; i++) {
        if (is_alternative(audit_record_fields[i]))
            continue;
        const struct audit_field *field = &line.fields[at++];
        cr_assert(strlen(audit_record_fields[i]) == field->key.length &&
                      memcmp(field->key.at, audit_record_fields[i], field->key.length) == 0,
                  "%s is not where %.*s is", audit_record_fields[i], (int)field->key.length,
                  field->key.at);
    }
    cr_assert_eq(at, line.count);
    cr_expect_str_eq(raw("time"), "\"1970-01-01T00:00:00.000001Z\"");
    cr_expect_str_eq(raw("roles"), "[\"a\",\"b\"]");
    cr_expect_str_eq(raw("rows"), "18446744073709551615");
    cr_expect_str_eq(raw("error"), "{\"code\":1064,\"sqlstate\":\"42000\",\"message\":\"m\"}");
}

static char *read_page(void)
{
    static char page[65536];
    FILE *file = fopen("docs/audit-record.md", "r");
    cr_assert_not_null(file, "run from the root of the tree");
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    return page;
}

/* The rows `| `name` |` of the table under a heading, in their order, equal the list. */
static void expect_table(const char *heading, const char *const *names)
{
    char *at = strstr(read_page(), heading);
    cr_assert_not_null(at, "%s is missing", heading);
    char *end = strstr(at + 1, "\n## ");
    if (end)
        *end = '\0';
    size_t i = 0;
    while ((at = strstr(at, "\n| `")) != NULL) {
        at += strlen("\n| `");
        size_t length = strcspn(at, "`");
        cr_assert_not_null(names[i], "the page has %.*s, the writer not", (int)length, at);
        cr_assert(strlen(names[i]) == length && memcmp(names[i], at, length) == 0,
                  "the page has %.*s, the writer %s", (int)length, at, names[i]);
        i++;
    }
    cr_assert_null(names[i], "the page lacks %s", names[i]);
}

Test(record, page_lists_the_writers_fields_and_outcomes)
{
    expect_table("## Fields", audit_record_fields);
    expect_table("## Outcomes", audit_record_outcomes);
}

Test(record, leaves_out_what_is_not_known)
{
    struct audit_intent intent = {.event = "session.start", .schema = ""};
    struct audit_outcome outcome = {.outcome = "ok", .duration_us = -1};
    render(&intent, &outcome);
    cr_expect_eq(line.count, 5, "v, seq, time, event and outcome, not %zu", line.count);
    struct audit_session empty = {.bot = "", .mysql_user = NULL};
    cr_assert(audit_prefix_render(&prefix, &empty, NULL));
    cr_expect_eq(buffer_length(&prefix.json), 0);
}

Test(record, keeps_every_byte_value_in_every_charset)
{
    static const char *const names[] = {
        "utf8mb4", "utf8mb3", "utf8",        "binary",  "ascii",   "swe7",   "latin1", "armscii8",
        "big5",    "cp1250",  "cp1251",      "cp1256",  "cp1257",  "cp850",  "cp852",  "cp866",
        "cp932",   "dec8",    "eucjpms",     "euckr",   "gb18030", "gb2312", "gbk",    "geostd8",
        "greek",   "hebrew",  "hp8",         "keybcs2", "koi8r",   "koi8u",  "latin2", "latin5",
        "latin7",  "macce",   "macroman",    "sjis",    "tis620",  "ucs2",   "ujis",   "utf16",
        "utf16le", "utf32",   "no such set", NULL};
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        render_query(all, sizeof all, names[i]); /* reads the line back strictly */
        if (has("statement_base64"))
            expect_bytes(all, sizeof all);
        for (size_t byte = 0; byte < sizeof all; byte++)
            render_query(all + byte, 1, names[i]);
    }
}

Test(record, converts_text_of_other_charsets)
{
    static const struct {
        const char *charset, *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        {"latin1", "caf\xE9 \x80", 6, "café €"},
        {"latin1", "\x81", 1, "\xC2\x81"},
        {"gbk", "'\xBF\x5C'", 4, "'縗'"},
        {"sjis", "\x83\x5C\\", 3, "ソ\\"},
        {"cp932", "\x83\x5C", 2, "ソ"},
        {"cp1250", "\xB3", 1, "ł"},
        {"cp1251", "\xE6", 1, "ж"},
        {"koi8r", "\xC1", 1, "а"},
        {"big5", "\xA4\x40", 2, "一"},
        {"ujis", "\xA4\xA2", 2, "あ"},
        {"euckr", "\xB0\xA1", 2, "가"},
        {"gb18030", "\x81\x30\x81\x30", 4, "\xC2\x80"},
        {"ucs2", "\0a\x04\x16", 4, "aЖ"},
        {"utf16", "\0a\xD8\x3D\xDE\x00", 6, "a😀"},
        {"utf16le", "a\0\x3D\xD8\x00\xDE", 6, "a😀"},
        {"utf32", "\0\x01\xF6\x00", 4, "😀"},
        {"utf8mb3", "\xF0\x9F\x98\x80", 4, "😀"},
        {"binary", "\xC3\xA9", 2, "é"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        render_query(cases[i].bytes, cases[i].length, cases[i].charset);
        cr_expect(has("statement"), "%s", cases[i].charset);
        expect_statement(cases[i].text, strlen(cases[i].text));
    }
}

Test(record, keeps_bytes_that_are_no_text)
{
    static const struct {
        const char *charset, *bytes;
        size_t length;
    } cases[] = {
        {NULL, "a\xFFz", 3},        {"utf8mb4", "\xED\xA0\x80", 3},
        {"utf8mb4", "\xC0\xAF", 2}, {"binary", "\x80", 1},
        {"ascii", "\xE9", 1},       {"gbk", "a\xFF", 2},
        {"ucs2", "\xD8\x3D", 2},    {"utf16", "\xDE\x00", 2},
        {"utf16", "a", 1},          {"utf32", "\0\x11\0\0", 4},
        {"sjis", "\x83", 1},        {"utf8mb4", "a\xE2\x82", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        render_query(cases[i].bytes, cases[i].length, cases[i].charset);
        expect_bytes(cases[i].bytes, cases[i].length);
    }
}

Test(record, cuts_at_a_characters_end)
{
    const char *text = "x€y😀";
    size_t ends[] = {0, 1, 1, 1, 4, 5, 5, 5, 5, 9};
    for (size_t captured = 0; captured < sizeof ends / sizeof *ends; captured++) {
        struct audit_intent intent = query(text, captured, NULL);
        intent.statement_length = 1000;
        intent.statement_sha256 = digest;
        render(&intent, &ok);
        expect_statement(text, ends[captured]);
        cr_expect_str_eq(raw("truncated"), "true");
        cr_expect_str_eq(raw("statement_length"), "1000");
        cr_expect_eq(strncmp(raw("statement_sha256"), "\"abcd0000", 9), 0);
    }
    struct audit_intent intent = query("\0a\xD8\x3D", 4, "utf16"); /* half of a pair */
    intent.statement_length = 6;
    render(&intent, &ok);
    expect_statement("a", 1);
    intent = query("\x83\x5C\x83", 3, "sjis");
    intent.statement_length = 4;
    render(&intent, &ok);
    expect_statement("ソ", 3);
}

Test(record, cut_does_not_excuse_other_bad_bytes)
{
    struct audit_intent intent = query("a\xFF\x62\xE2", 4, NULL);
    intent.statement_length = 9;
    render(&intent, &ok);
    expect_bytes("a\xFF\x62\xE2", 4);
    intent = query("ab\xFF", 3, NULL);
    intent.statement_length = 9;
    render(&intent, &ok);
    expect_bytes("ab\xFF", 3);
}

Test(record, takes_length_and_hash_of_a_streamed_command_from_its_outcome)
{
    struct audit_intent intent = query("SELECT", 6, NULL);
    struct audit_outcome outcome = ok;
    intent.statement_length = 0;
    outcome.statement_length = 40000000;
    outcome.statement_sha256 = digest;
    render(&intent, &outcome);
    cr_expect_str_eq(raw("statement_length"), "40000000");
    cr_expect(has("statement_sha256") && has("truncated"));
}

Test(record, whole_statement_has_its_length_and_no_hash)
{
    struct audit_intent intent = query("SELECT 'é'", 11, NULL);
    intent.statement_sha256 = digest;
    render(&intent, &ok);
    cr_expect_str_eq(raw("statement_length"), "11");
    cr_expect_not(has("statement_sha256") || has("truncated") || has("redacted"));
}

static void expect_no_secret(void)
{
    cr_expect_null(memmem(buffer_bytes(&whole), buffer_length(&whole), "Zz9", 3), "%.*s",
                   (int)buffer_length(&whole), buffer_bytes(&whole));
    cr_expect_str_eq(raw("redacted"), "true");
    cr_expect_not(has("statement_sha256"));
}

Test(record, has_no_password_in_any_part)
{
    const char *sql = "CREATE USER a IDENTIFIED BY 'Zz9'";
    struct audit_intent intent = query(sql, strlen(sql), NULL);
    struct audit_outcome outcome = full_outcome;
    outcome.error_message = "syntax error near ''Zz9''";
    intent.statement_length = 1000;
    intent.statement_sha256 = digest;
    render(&intent, &outcome);
    expect_no_secret();
    cr_expect_str_eq(raw("statement_length"), "1000");
    cr_expect_not_null(strstr(raw("error"), "1064"));
    cr_expect_not_null(strstr(raw("error"), "\"message\":\"<redacted>\""));
}

Test(record, has_no_bound_password)
{
    const char *sql = "SET PASSWORD = ?";
    struct audit_intent intent = query(sql, strlen(sql), NULL);
    intent.params = "[\"Zz9\"]";
    intent.params_length = strlen(intent.params);
    render(&intent, &ok);
    expect_no_secret();
    cr_expect_str_eq(raw("params"), "[\"<redacted>\"]");
}

Test(record, has_no_password_of_other_charsets)
{
    static const char utf16[] = "\0P\0A\0S\0S\0W\0O\0R\0D\0=\0'\0Z\0z\09\0'";
    static const char broken[] = "\0P\0A\0S\0S\0W\0O\0R\0D\0=\0'\0Z\0z\09\xDE\x00";
    render_query(utf16, sizeof utf16 - 1, "utf16");
    expect_no_secret();
    expect_statement("PASSWORD='<redacted>'", 21);
    render_query(broken, sizeof broken - 1, "utf16");
    expect_no_secret();
    expect_statement("<redacted>", 10);
    render_query("PASSWORD='Zz9' \xE9", 16, "latin1");
    expect_no_secret();
    render_query("PASSWORD='Zz9' \xFF", 16, NULL);
    cr_expect_str_eq(raw("redacted"), "true");
    expect_bytes("PASSWORD='<redacted>' \xFF", 23);
}

Test(record, names_that_are_no_utf8_are_made_so)
{
    struct audit_session session = {.bot = "a\xFF\"b", .mysql_user = "\xC3"};
    cr_assert(audit_prefix_render(&prefix, &session, NULL));
    struct audit_intent intent = query("x", 1, "latin1");
    intent.schema = "sch\xE9ma";
    render(&intent, &ok);
    cr_expect_str_eq(raw("bot"), "\"a\uFFFD\\\"b\"");
    cr_expect_str_eq(raw("mysql_user"), "\"\uFFFD\"");
    cr_expect_str_eq(raw("schema"), "\"schéma\"");
}

Test(record, ending_fits_its_room_whatever_the_server_says)
{
    char hostile[5000];
    memset(hostile, 1, sizeof hostile - 1);
    hostile[sizeof hostile - 1] = '\0';
    struct audit_outcome outcome = full_outcome;
    outcome.reason = outcome.sqlstate = outcome.outcome = outcome.error_message = hostile;
    outcome.affected_rows = outcome.last_insert_id = outcome.warnings = UINT64_MAX;
    outcome.bytes_in = outcome.bytes_out = outcome.statement_length = UINT64_MAX;
    outcome.duration_us = INT64_MAX;
    outcome.statement_sha256 = digest;
    full_prefix();
    prefix.upstream_connection_id = UINT64_MAX;
    struct audit_intent intent = query("SELECT 1", 8, "latin1");
    render(&intent, &outcome);
    cr_expect_str_eq(raw("upstream_connection_id"), "18446744073709551615");
    cr_assert_leq(ending.tail_length + ending.middle_length, AUDIT_OUTCOME_ROOM);
    cr_assert_lt(ending.tail_length, sizeof ending.tail);
    memset(hostile, 0xFF, sizeof hostile - 1); /* replaced by three bytes each */
    render(&intent, &outcome);
    cr_expect_str_eq(raw("upstream_connection_id"), "18446744073709551615");
}

Test(record, error_message_that_is_no_text_is_kept)
{
    struct audit_outcome outcome = full_outcome;
    outcome.error_message = "\xFF!";
    render_query("x", 1, NULL);
    struct audit_intent intent = query("x", 1, NULL);
    render(&intent, &outcome);
    cr_expect_not_null(strstr(raw("error"), "\"message_base64\":\"/yE=\""));
}

Test(record, greatest_statement_fits)
{
    char *zeros = calloc(1, AUDIT_STATEMENT_LIMIT_MAX);
    cr_assert_not_null(zeros);
    render_query(zeros, AUDIT_STATEMENT_LIMIT_MAX, "latin1");
    cr_expect_gt(buffer_length(&whole), 6u * AUDIT_STATEMENT_LIMIT_MAX);
    struct audit_intent intent = query(zeros, AUDIT_STATEMENT_LIMIT_MAX, NULL);
    intent.statement_captured++;
    struct error err;
    cr_expect_not(audit_draft_intent(&draft, &prefix, &intent, &converter, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    free(zeros);
}

static int allocations_left;

static void *fail_soon(void *memory, size_t size)
{
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

Test(record, says_so_when_memory_is_short)
{
    static const char sql[] = "SET PASSWORD = '\xE9'";
    int failures = 0;
    for (int allowed = 0; allowed < 10; allowed++) {
        struct audit_intent intent = query(sql, sizeof sql - 1, "latin1");
        struct error err;
        buffer_release(&draft.json);
        buffer_release(&converter.text);
        buffer_release(&converter.redacted);
        allocations_left = allowed;
        buffer_set_allocator(fail_soon);
        if (!audit_draft_intent(&draft, &prefix, &intent, &converter, &err)) {
            cr_expect(err.code == ERROR_MEMORY || err.code == ERROR_LIMIT);
            failures++;
        }
        buffer_set_allocator(NULL);
    }
    cr_expect(failures >= 3, "only %d failures were met", failures);
}

Test(record, opens_few_iconv_handles)
{
    static const char *const names[] = {"gbk",   "sjis",  "cp1250", "cp1251", "cp1256", "cp1257",
                                        "cp850", "cp852", "cp866",  "greek",  "hebrew", "koi8r"};
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            render_query("\xC1\xC1", 2, names[i]);
    }
    render_query("\xBF\x5C", 2, "gbk");
    expect_statement("縗", 3);
}
