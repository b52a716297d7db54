/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/filter.h"

#include <string.h>
#include <strings.h>

#include "audit/audit.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/glob.h"

/* Decodes a string field into the scratch, with a NUL behind it. A missing one is "". */
static bool decode(const struct audit_line *line, const char *key, struct buffer *scratch,
                   struct error *err)
{
    struct audit_value value = audit_line_find(line, key);
    buffer_clear(scratch);
    if (value.at && value.at[0] == '"' && !audit_value_text(value, scratch, err))
        return false;
    return buffer_append(scratch, "", 1, err);
}

static bool match_text(const struct audit_line *line, const char *key, const char *pattern,
                       struct buffer *scratch, bool *matches, struct error *err)
{
    if (!pattern || !*matches)
        return true;
    if (!decode(line, key, scratch, err))
        return false;
    *matches = glob_match(pattern, (const char *)buffer_bytes(scratch));
    return true;
}

static bool match_exact(const struct audit_line *line, const char *key, const char *wanted)
{
    return !wanted || audit_value_is(audit_line_find(line, key), wanted);
}

static bool match_time(const struct audit_filter *filter, const struct audit_line *line)
{
    char text[CLOCK_TIME_SIZE + 8];
    int64_t time;
    struct audit_value value = audit_line_find(line, "time");
    if (!filter->has_since && !filter->has_until)
        return true;
    if (!value.at || value.at[0] != '"' || value.length - 2 >= sizeof text)
        return false;
    memcpy(text, value.at + 1, value.length - 2);
    text[value.length - 2] = '\0';
    if (!clock_parse(text, &time, NULL))
        return false;
    return (!filter->has_since || time >= filter->since_us) &&
           (!filter->has_until || time < filter->until_us);
}

static bool contains(const uint8_t *text, size_t length, const char *wanted)
{
    size_t size = strlen(wanted);
    for (size_t i = 0; size <= length && i <= length - size; i++)
        if (strncasecmp((const char *)text + i, wanted, size) == 0)
            return true;
    return size == 0;
}

static bool match_grep(const struct audit_filter *filter, const struct audit_line *line,
                       struct buffer *scratch, bool *matches, struct error *err)
{
    struct audit_value text = audit_line_find(line, "statement");
    struct audit_value bytes = audit_line_find(line, "statement_base64");
    struct error ignored;
    if (!filter->grep || !*matches)
        return true;
    buffer_clear(scratch);
    /* A field that is no string holds no text; only a lack of memory is an error. */
    if (text.at && !audit_value_text(text, scratch, &ignored) && ignored.code != ERROR_MALFORMED)
        return error_set(err, ignored.code, "%s", ignored.message);
    if (bytes.at && !audit_value_base64(bytes, scratch, &ignored) &&
        ignored.code != ERROR_MALFORMED)
        return error_set(err, ignored.code, "%s", ignored.message);
    *matches = (text.at || bytes.at) &&
               contains(buffer_bytes(scratch), buffer_length(scratch), filter->grep);
    return true;
}

bool audit_filter_match(const struct audit_filter *filter, const struct audit_line *line,
                        struct buffer *scratch, bool *matches, struct error *err)
{
    *matches = match_exact(line, "outcome", filter->outcome) &&
               match_exact(line, "session", filter->session) && match_time(filter, line);
    return match_text(line, "bot", filter->bot, scratch, matches, err) &&
           match_text(line, "database", filter->database, scratch, matches, err) &&
           match_text(line, "event", filter->event, scratch, matches, err) &&
           match_grep(filter, line, scratch, matches, err);
}

bool audit_filter_time(const char *text, int64_t now_us, int64_t *wall_us, struct error *err)
{
    int64_t milliseconds;
    if (duration_parse(text, &milliseconds, NULL)) {
        *wall_us = milliseconds > INT64_MAX / 1000 ? INT64_MIN : now_us - milliseconds * 1000;
        return true;
    }
    if (clock_parse(text, wall_us, NULL))
        return true;
    return error_set(err, ERROR_MALFORMED,
                     "\"%.64s\" is neither a time (2026-01-31T23:59:59Z) nor how long ago (10m)",
                     text);
}
