/* SPDX-License-Identifier: Apache-2.0 */
#include "control/message.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "control/frame.h"

/* Heads. */

static cJSON *last_tree;

static bool reads(const char *text, struct control_head *head, struct error *err)
{
    *err = (struct error){0};
    control_free(last_tree);
    cr_assert(control_parse(byte_view_of(text), &last_tree, err), "%s: %s", text, err->message);
    bool good = control_head_read(last_tree, head, err);
    cr_assert_eq(good, err->code == ERROR_NONE);
    return good;
}

static void forget(void)
{
    control_free(last_tree);
    last_tree = NULL;
}

Test(control_message, tells_the_three_forms, .fini = forget)
{
    struct control_head head;
    struct error err;
    cr_assert(reads("{\"id\":7,\"request\":\"renew\",\"csr\":\"x\"}", &head, &err));
    cr_assert(head.form == CONTROL_REQUEST && head.id == 7);
    cr_assert_str_eq(head.name, "renew");
    cr_assert(reads("{\"ok\":{\"a\":1},\"id\":999999999999999,\"new\":1}", &head, &err));
    cr_assert(head.form == CONTROL_ANSWER && head.id == CONTROL_ID_MAX && head.ok);
    cr_assert(reads("{\"event\":\"alive\"}", &head, &err));
    cr_assert_eq(head.form, CONTROL_EVENT);
    cr_assert_str_eq(head.name, "alive");
}

Test(control_message, reads_a_refusal, .fini = forget)
{
    struct control_head head;
    struct error err;
    cr_assert(reads("{\"id\":7,\"error\":{\"code\":\"token_used\",\"message\":\"by\\n1.2.3.4\"}}",
                    &head, &err),
              "%s", err.message);
    cr_assert(head.form == CONTROL_ANSWER && !head.ok);
    cr_assert_eq(head.failure.code, CONTROL_TOKEN_USED);
    cr_assert_str_eq(head.failure.message, "by\n1.2.3.4");
    cr_assert(
        reads("{\"id\":0,\"error\":{\"code\":\"of_tomorrow\",\"message\":\"\"}}", &head, &err));
    cr_assert_eq(head.failure.code, CONTROL_OTHER);
}

Test(control_message, refuses_what_is_none_of_them, .fini = forget)
{
    static const char *const bad[] = {
        "{}",
        "{\"id\":1}",
        "{\"request\":\"renew\"}",
        "{\"id\":0,\"request\":\"renew\"}",
        "{\"id\":-1,\"request\":\"renew\"}",
        "{\"id\":1.5,\"request\":\"renew\"}",
        "{\"id\":\"1\",\"request\":\"renew\"}",
        "{\"id\":1000000000000000,\"request\":\"renew\"}",
        "{\"id\":1,\"request\":7}",
        "{\"id\":1,\"request\":\"\"}",
        "{\"id\":1,\"request\":\"a\\nb\"}",
        "{\"id\":1,\"request\":\"a_name_of_more_than_thirty_two_bytes\"}",
        "{\"id\":1,\"request\":\"renew\",\"ok\":{}}",
        "{\"id\":1,\"request\":\"renew\",\"event\":\"x\"}",
        "{\"id\":1,\"ok\":{},\"error\":{\"code\":\"busy\",\"message\":\"\"}}",
        "{\"id\":1,\"ok\":[]}",
        "{\"id\":1,\"ok\":null}",
        "{\"id\":0,\"ok\":{}}",
        "{\"ok\":{}}",
        "{\"id\":1,\"error\":\"busy\"}",
        "{\"id\":1,\"error\":{\"code\":\"busy\"}}",
        "{\"id\":1,\"error\":{\"message\":\"\"}}",
        "{\"id\":1,\"error\":{\"code\":7,\"message\":\"\"}}",
        "{\"event\":7}",
        "{\"event\":\"\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct control_head head;
        struct error err;
        cr_assert_not(reads(bad[i], &head, &err), "%s", bad[i]);
        cr_assert(err.code == ERROR_MALFORMED || err.code == ERROR_LIMIT, "%s", bad[i]);
    }
}

/* So that a refusal can say what it refuses. */
Test(control_message, tells_the_id_of_what_it_refuses, .fini = forget)
{
    struct control_head head;
    struct error err;
    cr_assert_not(reads("{\"id\":5}", &head, &err));
    cr_assert_eq(head.id, 5);
    cr_assert_not(reads("{\"id\":6,\"request\":\"renew\",\"ok\":{}}", &head, &err));
    cr_assert_eq(head.id, 6);
    cr_assert_not(reads("{\"id\":\"x\"}", &head, &err));
    cr_assert_eq(head.id, 0);
}

/* Building. */

static void check_json(cJSON *message, const char *wanted)
{
    cr_assert_not_null(message);
    char *text = cJSON_PrintUnformatted(message);
    cr_assert_str_eq(text, wanted);
    free(text);
    control_free(message);
}

Test(control_message, builds_what_the_page_shows)
{
    cJSON *request = control_request("renew");
    cr_assert(control_put_text(request, "csr", "…"));
    cr_assert(control_request_number(request, 7));
    check_json(request, "{\"id\":7,\"request\":\"renew\",\"csr\":\"…\"}");
    check_json(control_answer(7, NULL), "{\"id\":7,\"ok\":{}}");
    cJSON *ok = cJSON_CreateObject();
    cr_assert(control_put_unsigned(ok, "sessions", CONTROL_ID_MAX));
    cr_assert(control_put_bool(ok, "new", true));
    cr_assert(control_put_texts(ok, "names", (const char *const[]){"a", "b"}, 2));
    check_json(control_answer(7, ok), "{\"id\":7,\"ok\":{\"sessions\":999999999999999,\"new\":true,"
                                      "\"names\":[\"a\",\"b\"]}}");
    check_json(control_error(7, CONTROL_TOKEN_USED, "used"),
               "{\"id\":7,\"error\":{\"code\":\"token_used\",\"message\":\"used\"}}");
    check_json(control_event("alive"), "{\"event\":\"alive\"}");
}

Test(control_message, does_not_build_what_nobody_would_read)
{
    cJSON *object = cJSON_CreateObject();
    cr_assert_not(control_put_text(object, "a", "\xFF"));
    cr_assert_not(control_put_texts(object, "b", (const char *const[]){"\xC3"}, 1));
    cr_assert_not(control_put_unsigned(object, "c", CONTROL_ID_MAX + 1));
    cr_assert_not(control_request_number(object, 1), "it is no request");
    control_free(object);
    cJSON *request = control_request("hello");
    cr_assert_not(control_request_number(request, 0));
    cr_assert_not(control_request_number(request, CONTROL_ID_MAX + 1));
    control_free(request);
}

/* An error message that was cut in the middle of a character still arrives. */
Test(control_message, repairs_an_error_message)
{
    check_json(control_error(1, CONTROL_INVALID, "caf\xC3"),
               "{\"id\":1,\"error\":{\"code\":\"invalid\",\"message\":\"caf?\"}}");
    check_json(control_error(1, CONTROL_INVALID, "\xFF\xC3\xA9\xFE\xFEz"),
               "{\"id\":1,\"error\":{\"code\":\"invalid\",\"message\":\"?é??z\"}}");
}

static int allocations_left;

static void *run_out(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Each allocation in turn fails: NULL, and nothing leaks (ASan). */
Test(control_message, survives_running_out_of_memory)
{
    cJSON_Hooks hooks = {run_out, free};
    cJSON_InitHooks(&hooks);
    for (int kind = 0; kind < 4; kind++) {
        cJSON *message = NULL;
        for (int allowed = 0; !message; allowed++) {
            cr_assert_lt(allowed, 50);
            allocations_left = allowed;
            message = kind == 0   ? control_request("hello")
                      : kind == 1 ? control_answer(1, NULL)
                      : kind == 2 ? control_error(1, CONTROL_BUSY, "later")
                                  : control_event("state");
        }
        control_free(message);
    }
    cJSON_InitHooks(NULL);
}

/* The page. */

static char page[64 * 1024];

static void read_page(void)
{
    FILE *file = fopen("docs/protocol/control.md", "r");
    cr_assert_not_null(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    (void)fclose(file);
}

/* The text from a heading to the next of any level. */
static char *section(const char *heading)
{
    char *from = strstr(page, heading);
    cr_assert_not_null(from, "%s", heading);
    from = strchr(from + 1, '\n');
    char *to = strstr(from, "\n#");
    return strndup(from, to ? (size_t)(to - from) : strlen(from));
}

/* Calls `visit` with each `name` in backquotes that is in the first column of a table's row. */
static void each_name(const char *text, void (*visit)(const char *name))
{
    for (const char *row = strstr(text, "\n| `"); row; row = strstr(row + 1, "\n| `")) {
        const char *cell_end = strchr(row + 3, '|');
        for (const char *at = strchr(row, '`'); at && at < cell_end;) {
            const char *end = strchr(at + 1, '`');
            char *name = strndup(at + 1, (size_t)(end - at - 1));
            visit(name);
            free(name);
            at = strchr(end + 1, '`');
        }
    }
}

static unsigned seen_codes;

static void see_code(const char *name)
{
    enum control_code code = control_code_of(name);
    cr_assert_neq(code, CONTROL_OTHER, "the page has '%s', the enum does not", name);
    cr_assert_str_eq(control_code_name(code), name);
    cr_assert_not(seen_codes & 1u << code, "'%s' stands twice", name);
    seen_codes |= 1u << code;
}

Test(control_page, has_each_code_of_the_enum, .init = read_page)
{
    char *text = section("\n## Errors");
    each_name(text, see_code);
    for (unsigned code = CONTROL_MALFORMED; code < CONTROL_OTHER; code++)
        cr_assert(seen_codes & 1u << code, "the page lacks '%s'",
                  control_code_name((enum control_code)code));
    free(text);
}

static char administration[2048] = ",";

static void see_administration(const char *name)
{
    cr_assert(control_allowed(CONTROL_ADMINISTRATOR, name), "%s", name);
    for (int kind = 0; kind < CONTROL_PEER_KIND_COUNT; kind++)
        if (kind != CONTROL_ADMINISTRATOR)
            cr_assert_not(control_allowed((enum control_peer_kind)kind, name), "%s", name);
    (void)strcat(strcat(administration, name), ",");
}

/* What is no administration: a proxy may ask it too. */
static bool is_of_proxies_too(const char *request)
{
    return strcmp(request, "hello") == 0 || strcmp(request, "state") == 0 ||
           strcmp(request, "mint") == 0;
}

static void known_to_the_page(void *context, const char *request)
{
    (void)context;
    char cell[64];
    char last[64];
    (void)snprintf(cell, sizeof cell, "`%s`", request);
    (void)snprintf(last, sizeof last, ",%s,", request);
    cr_assert_not_null(strstr(page, cell), "the page does not say what %s is", request);
    cr_assert_eq(control_allowed(CONTROL_ADMINISTRATOR, request),
                 strstr(administration, last) != NULL || is_of_proxies_too(request), "%s", request);
}

Test(control_page, has_each_request_of_administration, .init = read_page)
{
    char *text = section("\n### Administration");
    each_name(text, see_administration);
    cr_assert_gt(strlen(administration), 100);
    control_each_request(known_to_the_page, NULL);
    free(text);
}

struct expectation {
    enum control_peer_kind kind;
    const char *row; /* what the row of "Who may ask what" begins with */
    char names[512]; /* ",hello,join," */
};

static void agrees(void *context, const char *request)
{
    const struct expectation *expected = context;
    char name[64];
    (void)snprintf(name, sizeof name, ",%s,", request);
    cr_assert_eq(control_allowed(expected->kind, request), strstr(expected->names, name) != NULL,
                 "%s asks %s", expected->row, request);
}

/* The names in backquotes of a line, from `from` on. */
static void gather(const char *from, char *names)
{
    const char *line_end = strchr(from, '\n');
    names[0] = '\0';
    for (const char *at = strchr(from, '`'); at && at < line_end;) {
        const char *end = strchr(at + 1, '`');
        (void)strcat(strncat(strcat(names, ","), at + 1, (size_t)(end - at - 1)), ",");
        at = strchr(end + 1, '`');
    }
}

/* Who may ask what, row by row; an administrator's row refers to the other section. */
Test(control_page, agrees_on_who_may_ask_what, .init = read_page)
{
    struct expectation rows[] = {
        {CONTROL_NOBODY, "\n| nobody |", ""},
        {CONTROL_BOT, "\n| a bot |", ""},
        {CONTROL_PROXY, "\n| a proxy |", ""},
        {CONTROL_BOT_AT_PROXY, "\nA tunnel talks to a proxy", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *row = strstr(page, rows[i].row);
        cr_assert_not_null(row, "%s", rows[i].row);
        gather(row + 1, rows[i].names);
        control_each_request(agrees, &rows[i]);
    }
}

Test(control_message, knows_no_other_request)
{
    cr_assert(control_known("hello"));
    static const char *const unknown[] = {"", "Hello", "hello ", "bot_", "bot_add_"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_assert_not(control_known(unknown[i]));
        for (int kind = 0; kind <= CONTROL_PEER_KIND_COUNT; kind++)
            cr_assert_not(control_allowed((enum control_peer_kind)kind, unknown[i]));
    }
    cr_assert_not(control_allowed(CONTROL_PEER_KIND_COUNT, "hello"));
    cr_assert_str_eq(control_peer_kind_name(CONTROL_BOT_AT_PROXY), "bot");
}
