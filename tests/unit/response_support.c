/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/response_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"

int tags[TAG_COUNT];

static void say(struct follower *follower, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct follower *follower, const char *format, ...)
{
    size_t have = strlen(follower->trace);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(follower->trace + have, sizeof follower->trace - have, format, arguments);
    va_end(arguments);
}

struct follower follower_make(uint64_t capabilities)
{
    struct follower follower = {0};
    struct error err = {0};
    cr_assert(response_tracker_create((uint32_t)capabilities, (uint32_t)(capabilities >> 32),
                                      &follower.tracker, &err),
              "%s", err.message);
    return follower;
}

static void expect_reply(struct follower *follower, enum command_reply reply,
                         enum response_rows rows)
{
    struct error err = {0};
    size_t place = response_expected(follower->tracker);
    cr_assert(response_expect(follower->tracker, reply, rows, 1, &tags[place], &err), "%s",
              err.message);
}

static enum response_rows rows_of(char letter)
{
    if (letter == 'U')
        return RESPONSE_ROWS_CURSOR;
    return letter == 'E' || letter == 'F' ? RESPONSE_ROWS_BINARY : RESPONSE_ROWS_TEXT;
}

void follower_expect(struct follower *follower, const char *letters)
{
    for (const char *at = letters; *at; at++) {
        static const char known[] = "QEUPFOLSCIB";
        static const enum command_reply replies[] = {
            REPLY_RESULT,     REPLY_RESULT,     REPLY_RESULT, REPLY_PREPARE, REPLY_FETCH, REPLY_OK,
            REPLY_FIELD_LIST, REPLY_STATISTICS, REPLY_LOGIN,  REPLY_RESULT,  REPLY_STREAM};
        const char *found = strchr(known, *at);
        cr_assert(found, "letter %c", *at);
        expect_reply(follower, replies[found - known], rows_of(*at));
    }
}

static void say_outcome(struct follower *follower, const char *word)
{
    const struct response_outcome *outcome = response_result(follower->tracker);
    say(follower, "%s", word);
    if (outcome->failed)
        say(follower, " failed %u/%s %.12s", outcome->code, outcome->sqlstate, outcome->message);
    if (outcome->has_rows)
        say(follower, " sets %d rows %d", (int)outcome->result_sets, (int)outcome->rows);
    if (outcome->affected_rows || outcome->last_insert_id)
        say(follower, " affected %d id %d", (int)outcome->affected_rows,
            (int)outcome->last_insert_id);
    if (outcome->warnings)
        say(follower, " warnings %u", outcome->warnings);
    if (outcome->statement_id)
        say(follower, " statement %u (%u, %u)", outcome->statement_id, outcome->parameters,
            outcome->columns);
    if (outcome->schema_changed)
        say(follower, " schema %s", outcome->schema);
    if (outcome->has_status)
        say(follower, " status %x", outcome->status);
    say(follower, " bytes %d\n", (int)outcome->bytes);
}

static void say_event(struct follower *follower, enum response_event event)
{
    switch (event) {
    case RESPONSE_DONE:
        say_outcome(follower, "done");
        break;
    case RESPONSE_UNSOLICITED:
        say_outcome(follower, "unsolicited");
        break;
    case RESPONSE_LOCAL_INFILE:
        say(follower, "infile\n");
        response_infile_sent(follower->tracker, 4);
        break;
    case RESPONSE_LOGIN:
        say(follower, "login %zu #%u\n", response_packet(follower->tracker).length,
            response_packet_sequence(follower->tracker));
        break;
    case RESPONSE_INJECT:
        cr_assert(response_injected_done(follower->tracker));
        say(follower, "injected\n");
        break;
    case RESPONSE_MORE:
    case RESPONSE_HELD:
        break;
    }
}

void follower_feed(struct follower *follower, const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && !follower->failed) {
        struct error err = {0};
        enum response_event event;
        size_t consumed;
        bool ok = response_feed(follower->tracker, byte_view(bytes + at, length - at), &consumed,
                                &event, &err);
        cr_assert_leq(consumed, length - at);
        if (event != RESPONSE_LOGIN && event != RESPONSE_HELD)
            follower->relayed += consumed;
        if (!ok) {
            cr_assert(err.code == ERROR_MALFORMED || err.code == ERROR_MEMORY, "%s", err.message);
            say(follower, "refused: %s\n", err.message);
            follower->failed = true;
            return;
        }
        cr_assert(consumed > 0 || event == RESPONSE_INJECT);
        if (event == RESPONSE_MORE || event == RESPONSE_HELD)
            cr_assert_eq(consumed, length - at);
        say_event(follower, event);
        at += consumed;
    }
}

void follower_finish(struct follower *follower)
{
    response_tracker_destroy(follower->tracker);
    follower->tracker = NULL;
}

uint8_t *unhex(const char *hex, size_t *length)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    cr_assert(bytes);
    *length = 0;
    for (const char *at = hex; *at; at++) {
        char pair[3] = {at[0], at[1], 0};
        if (*at == ' ')
            continue;
        bytes[(*length)++] = (uint8_t)strtoul(pair, NULL, 16);
        at++;
    }
    return bytes;
}

void follower_feed_hex(struct follower *follower, const char *hex)
{
    size_t length;
    uint8_t *bytes = unhex(hex, &length);
    follower_feed(follower, bytes, length);
    free(bytes);
}

void expect_trace(uint64_t capabilities, const char *letters, const char *hex, const char *trace)
{
    struct follower follower = follower_make(capabilities);
    follower_expect(&follower, letters);
    follower_feed_hex(&follower, hex);
    cr_assert_str_eq(follower.trace, trace, "%s\n%s\nnot\n%s", hex, follower.trace, trace);
    follower_finish(&follower);
}

void expect_refused(uint64_t capabilities, const char *letters, const char *hex, const char *words)
{
    struct follower follower = follower_make(capabilities);
    follower_expect(&follower, letters);
    follower_feed_hex(&follower, hex);
    cr_assert(follower.failed, "%s was followed: %s", hex, follower.trace);
    cr_assert(strstr(follower.trace, words), "%s: %s", words, follower.trace);
    follower_finish(&follower);
}

const struct golden *golden(const char *name)
{
    for (size_t i = 0; i < golden_count; i++) {
        if (strcmp(goldens[i].name, name) == 0)
            return &goldens[i];
    }
    cr_assert_fail("no golden %s", name);
    return NULL;
}

void expect_golden(const char *name, const char *trace)
{
    const struct golden *stream = golden(name);
    expect_trace(stream->capabilities, stream->replies, stream->hex, trace);
}
