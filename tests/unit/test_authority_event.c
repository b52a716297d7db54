/* SPDX-License-Identifier: Apache-2.0 */
/* What the authority's events look like in the log, and that the page has each. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/intake.h"
#include "audit/line.h"
#include "authority/event.h"

static struct audit_lane lane;
static struct audit_doorbell doorbell;
static struct audit_line line;
static char record[65536];

static void open_lane(void)
{
    struct error err = {0};
    doorbell.event_fd = -1;
    cr_assert(audit_lane_open(&lane, 4096, &doorbell, &err), "%s", err.message);
}

static void close_lane(void)
{
    audit_lane_close(&lane);
}

TestSuite(authority_event, .init = open_lane, .fini = close_lane);

/* Takes the next record out of the lane, as the writer would complete it. */
static void take(void)
{
    uint32_t length;
    struct error err = {0};
    size_t at = 0, part;
    cr_assert_gt(audit_lane_ready(&lane.ring), sizeof length);
    const uint8_t *bytes = audit_lane_peek(&lane.ring, sizeof length, &part);
    memcpy(&length, bytes, sizeof length);
    audit_lane_take(&lane.ring, sizeof length);
    at = (size_t)snprintf(record, sizeof record, "{\"v\":1,\"seq\":1,");
    while (length > 0) {
        bytes = audit_lane_peek(&lane.ring, length, &part);
        memcpy(record + at, bytes, part);
        at += part;
        length -= (uint32_t)part;
        audit_lane_take(&lane.ring, part);
    }
    record[at++] = '}';
    record[at] = '\0';
    cr_assert(audit_line_read(record, at, &line, &err), "%s: %s", err.message, record);
}

static const char *raw(const char *key)
{
    static char text[65536];
    struct audit_value value = audit_line_find(&line, key);
    snprintf(text, sizeof text, "%.*s", value.at ? (int)value.length : 0, value.at ? value.at : "");
    return text;
}

Test(authority_event, has_all_that_is_known_and_leaves_out_the_rest)
{
    static const char *const roles[] = {"reader", "writer"};
    static const char *const names[] = {"a\"b", "c"};
    struct error err = {0};
    const struct authority_facts facts = {
        .bot = "ci-1",
        .roles = roles,
        .role_count = 2,
        .client = "10.0.0.5:1234",
        .instance = "0f",
        .generation = 3,
        .issued = "ab",
        .not_after_us = 1000000,
        .token = "t",
        .names = names,
        .name_count = 2,
        .administrator = true,
        .uid = 0,
        .pid = 7,
    };
    cr_assert(
        authority_event_put(&lane, AUTHORITY_EVENT_BOT_JOIN, &facts, "denied", "because", &err),
        "%s", err.message);
    take();
    cr_assert_str_eq(raw("event"), "\"bot.join\"");
    cr_assert_str_eq(raw("bot"), "\"ci-1\"");
    cr_assert_str_eq(raw("roles"), "[\"reader\",\"writer\"]");
    cr_assert_str_eq(raw("details"),
                     "{\"instance\":\"0f\",\"serial\":\"ab\","
                     "\"not_after\":\"1970-01-01T00:00:01.000000Z\",\"token\":\"t\","
                     "\"names\":[\"a\\\"b\",\"c\"],\"generation\":3,\"uid\":0,\"pid\":7}");
    cr_assert_str_eq(raw("outcome"), "\"denied\"");
    cr_assert_str_eq(raw("reason"), "\"because\"");
    cr_assert_str_eq(raw("proxy"), "");
}

Test(authority_event, has_no_details_where_there_are_none)
{
    const struct authority_facts facts = {0};
    cr_assert(authority_event_put(&lane, AUTHORITY_EVENT_STOP, &facts, "ok", NULL, NULL));
    take();
    cr_assert_str_eq(raw("details"), "");
    cr_assert_str_eq(raw("reason"), "");
}

Test(authority_event, keeps_hostile_names_inside_of_their_strings)
{
    const struct authority_facts facts = {
        .target = "\"},\"outcome\":\"ok\",\"x\":{\"y\":\"\n\x1b", .client = "\xff\"x", .why = "\\"};
    cr_assert(
        authority_event_put(&lane, AUTHORITY_EVENT_PEER_REFUSED, &facts, "denied", "r\"", NULL));
    take(); /* it still is one object without a key twice */
    cr_assert_str_eq(raw("outcome"), "\"denied\"");
}

Test(authority_event, is_recorded_only_when_it_is_finished)
{
    struct audit_entry *entry;
    const struct authority_facts facts = {.lock = "l"};
    cr_assert(authority_event_begin(&lane, AUTHORITY_EVENT_LOCK_CREATE, &facts, &entry, NULL));
    cr_assert_eq(audit_lane_ready(&lane.ring), 0);
    authority_event_finish(entry, "error", "undone");
    take();
    cr_assert_str_eq(raw("outcome"), "\"error\"");
}

Test(authority_event, is_refused_when_the_log_is_full)
{
    struct error err = {0};
    const struct authority_facts facts = {.lock = "l"};
    int taken = 0;
    while (taken < 100000 &&
           authority_event_put(&lane, AUTHORITY_EVENT_LOCK_CREATE, &facts, "ok", NULL, &err))
        taken++;
    cr_assert_lt(taken, 100000);
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert(strstr(err.message, "no room"), "%s", err.message);
}

Test(authority_event, is_refused_when_it_is_too_large)
{
    struct error err = {0};
    struct authority_facts facts = {.lock = "l"};
    char *changes = malloc(AUTHORITY_DETAILS_MAX);
    memset(changes, '1', AUTHORITY_DETAILS_MAX);
    facts.changes = changes;
    facts.changes_length = AUTHORITY_DETAILS_MAX;
    cr_assert(!authority_event_put(&lane, AUTHORITY_EVENT_LOCK_CREATE, &facts, "ok", NULL, &err));
    free(changes);
    cr_assert_eq(lane.open, 0);
}

Test(authority_event, page_lists_each_in_order)
{
    static char page[131072];
    FILE *file = fopen("docs/audit-record.md", "r");
    cr_assert_not_null(file, "run from the root of the tree");
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    char *at = strstr(page, "## Events of the authority");
    cr_assert_not_null(at);
    char *end = strstr(at + 1, "\n## ");
    cr_assert_not_null(end);
    *end = '\0';
    size_t i = 0;
    while ((at = strstr(at, "\n| `")) != NULL) {
        at += strlen("\n| `");
        size_t length = strcspn(at, "`");
        cr_assert_not_null(authority_event_names[i], "the page has %.*s", (int)length, at);
        cr_assert(strlen(authority_event_names[i]) == length &&
                      memcmp(authority_event_names[i], at, length) == 0,
                  "the page has %.*s, the code %s", (int)length, at, authority_event_names[i]);
        i++;
    }
    cr_assert_null(authority_event_names[i], "the page lacks %s", authority_event_names[i]);
    cr_assert_eq(i, AUTHORITY_EVENT_COUNT);
}
