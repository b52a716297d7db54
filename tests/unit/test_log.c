/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than any line, so that a pipe holds what a test prints. */
#define CAPTURE_SIZE (256 * 1024)

/* Standard error, while it goes into a pipe. */
struct capture {
    int saved;
    int read_end;
    size_t length;
    char text[CAPTURE_SIZE];
};

static struct capture capture;

static void capture_begin(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_geq(fcntl(ends[1], F_SETPIPE_SZ, CAPTURE_SIZE), CAPTURE_SIZE);
    capture.saved = dup(STDERR_FILENO);
    capture.read_end = ends[0];
    cr_assert_geq(capture.saved, 0);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
}

/* Gives standard error back and returns what was written to it. */
static const char *capture_end(void)
{
    cr_assert_geq(dup2(capture.saved, STDERR_FILENO), 0);
    close(capture.saved);
    capture.length = 0;
    ssize_t count;
    while ((count = read(capture.read_end, capture.text + capture.length,
                         sizeof capture.text - 1 - capture.length)) > 0)
        capture.length += (size_t)count;
    close(capture.read_end);
    capture.text[capture.length] = '\0';
    return capture.text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t compiled;
    cr_assert_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0, "%s", pattern);
    cr_assert_eq(regexec(&compiled, text, 0, NULL, 0), 0, "%s\ndoes not match %s", text, pattern);
    regfree(&compiled);
}

/* The one line that was captured, as JSON. */
static cJSON *captured_object(void)
{
    const char *text = capture_end();
    cr_assert_gt(capture.length, 0);
    cr_assert_eq(strchr(text, '\n'), text + capture.length - 1, "one line: %s", text);
    cJSON *object = cJSON_Parse(text);
    cr_assert_not_null(object, "not JSON: %s", text);
    return object;
}

static const char *string_of(const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    cr_assert_not_null(value, "no %s", key);
    return value;
}

static void use_json(void)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
}

static void use_text(void)
{
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
}

Test(log_text, has_time_level_message_and_fields)
{
    use_text();
    capture_begin();
    log_info("session started", "database", "shop", "bot", "ci-1", NULL);
    assert_matches(capture_end(), "^[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} info  session started "
                                  "database=shop bot=ci-1\n$");
}

Test(log_text, prefixes_the_session_of_the_thread)
{
    use_text();
    capture_begin();
    const char *before = log_enter("s-1a2b");
    cr_assert_null(before);
    log_warning("slow", NULL);
    const char *outer = log_enter("s-2");
    log_error("broken", NULL);
    log_leave(outer);
    log_info("back", NULL);
    log_leave(before);
    log_info("none", NULL);
    assert_matches(capture_end(), "^[0-9:.]{12} warn  \\[s-1a2b\\] slow\n"
                                  "[0-9:.]{12} error \\[s-2\\] broken\n"
                                  "[0-9:.]{12} info  \\[s-1a2b\\] back\n"
                                  "[0-9:.]{12} info  none\n$");
}

Test(log_text, is_not_coloured_in_a_pipe)
{
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    use_text();
    capture_begin();
    log_error("x", NULL);
    cr_assert_null(strchr(capture_end(), '\x1b'));
}

Test(log_text, leaves_out_fields_without_a_value)
{
    use_text();
    capture_begin();
    log_info("m", "a", NULL, "b", "2", "c", NULL, NULL);
    assert_matches(capture_end(), " m b=2\n$");
}

Test(log_text, quotes_values_that_could_be_misread)
{
    use_text();
    capture_begin();
    log_info("m", "empty", "", "space", "a b", "quote", "a\"b", "equals", "a=b", "backslash",
             "a\\b", "plain", "a-b:c/d,e", "accent", "caf\xC3\xA9", NULL);
    cr_assert_not_null(strstr(capture_end(),
                              " m empty=\"\" space=\"a b\" quote=\"a\\\"b\" equals=\"a=b\" "
                              "backslash=\"a\\\\b\" plain=a-b:c/d,e accent=\"caf\xC3\xA9\"\n"),
                       "%s", capture.text);
}

Test(log_text, hostile_bytes_cannot_start_a_line_or_move_the_cursor)
{
    use_text();
    capture_begin();
    log_enter("s\n1\x1b[2J");
    log_info("m\r\n\x1b]0;title\x07", "v",
             "a\nb\tc\x1b[31m\x7F\xC2\x9B"
             "31m",
             "w", "\xFF\xC0\x80\xED\xA0\x80", "bidi", "\xE2\x80\xAE\xE2\x81\xA6\xE2\x80\xA8", NULL);
    log_leave(NULL);
    const char *text = capture_end();
    cr_assert_not_null(strstr(text, "[s\\u000a1\\u001b[2J] m\\u000d\\u000a\\u001b]0;title\\u0007 "
                                    "v=\"a\\u000ab\\u0009c\\u001b[31m\\u007f\\u009b31m\" "
                                    "w=\"\\xff\\xc0\\x80\\xed\\xa0\\x80\" "
                                    "bidi=\"\\u202e\\u2066\\u2028\"\n"),
                       "%s", text);
    for (size_t i = 0; i + 1 < capture.length; i++)
        cr_assert((unsigned char)text[i] >= 0x20 && text[i] != 0x7F);
}

Test(log_json, has_time_level_message_session_then_keys)
{
    use_json();
    capture_begin();
    const char *before = log_enter("s-1");
    log_warning("session ended", "reason", "idle", NULL);
    log_leave(before);
    assert_matches(capture_end(), "^\\{\"time\":\"[0-9T:.-]{26}Z\",\"level\":\"warning\","
                                  "\"message\":\"session ended\",\"session\":\"s-1\","
                                  "\"reason\":\"idle\"\\}\n$");
}

Test(log_json, has_no_session_outside_one)
{
    use_json();
    capture_begin();
    log_info("m", "empty", "", "absent", NULL, NULL);
    assert_matches(capture_end(), "\"message\":\"m\",\"empty\":\"\"\\}\n$");
}

Test(log_json, hostile_values_come_back_as_they_were)
{
    const char *const values[] = {"a\"b\\c/d",
                                  "line\nbreak\r\ttab\b\f",
                                  "\x01\x1f\x7f",
                                  "\",\"level\":\"error",
                                  "caf\xC3\xA9 \xF0\x9F\x98\x80",
                                  "\xE2\x80\xAE\xE2\x80\xA8",
                                  "}\n{"};
    use_json();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        capture_begin();
        log_enter(values[i]);
        log_info(values[i], "value", values[i], NULL);
        log_leave(NULL);
        cJSON *object = captured_object();
        cr_assert_str_eq(string_of(object, "message"), values[i]);
        cr_assert_str_eq(string_of(object, "session"), values[i]);
        cr_assert_str_eq(string_of(object, "value"), values[i]);
        cr_assert_str_eq(string_of(object, "level"), "info");
        cr_assert_eq(cJSON_GetArraySize(object), 5);
        cJSON_Delete(object);
    }
}

Test(log_json, bytes_that_are_no_utf8_become_replacement_characters)
{
    use_json();
    capture_begin();
    log_info("m", "value",
             "a\xFF"
             "b\xC3",
             NULL);
    cJSON *object = captured_object();
    cr_assert_str_eq(string_of(object, "value"), "a\xEF\xBF\xBD"
                                                 "b\xEF\xBF\xBD");
    cJSON_Delete(object);
}

/* A value of `length` bytes made of a repeated piece. */
static char *repeated(const char *piece, size_t length)
{
    char *text = malloc(length + 1);
    cr_assert_not_null(text);
    for (size_t i = 0; i < length; i++)
        text[i] = piece[i % strlen(piece)];
    text[length] = '\0';
    return text;
}

static void assert_cut_line(const char *text)
{
    cr_assert_leq(capture.length, 16384);
    cr_assert_not_null(strstr(text, "\xE2\x80\xA6"), "no mark of the cut");
    cr_assert_eq(strchr(text, '\n'), text + capture.length - 1);
}

/* Each piece makes another kind of escape fall on the edge, wherever the edge is. */
Test(log_json, long_lines_are_cut_and_stay_json)
{
    static const char *const pieces[] = {"x", "\n", "\"", "\xC3\xA9", "\xF0\x9F\x98\x80", "\xFF"};
    use_json();
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (size_t shift = 0; shift < 8; shift++) {
            char *value = repeated(pieces[i], 40000);
            char *before = repeated("y", 1 + shift);
            capture_begin();
            log_info("m", "before", before, "long", value, "after", "z", NULL);
            cJSON *object = captured_object();
            assert_cut_line(capture.text);
            cr_assert_gt(strlen(string_of(object, "long")), 2000);
            cr_assert_null(cJSON_GetObjectItem(object, "after"));
            cJSON_Delete(object);
            free(value);
            free(before);
        }
    }
}

Test(log_json, a_cut_at_any_byte_of_the_next_field_stays_json)
{
    use_json();
    for (size_t length = 16000; length < 16384; length++) {
        char *value = repeated("x", length);
        capture_begin();
        log_info("m", "first", value, "a-key-of-some-length", "value", "k", "v", NULL);
        cJSON *object = captured_object();
        cr_assert_leq(capture.length, 16384);
        if (!cJSON_GetObjectItem(object, "k"))
            assert_cut_line(capture.text);
        cJSON_Delete(object);
        free(value);
    }
}

Test(log_text, long_lines_are_cut)
{
    static const char *const pieces[] = {"x", "\n", "\"", "\xC3\xA9", "x y"};
    use_text();
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char *value = repeated(pieces[i], 40000);
        capture_begin();
        log_info("m", "long", value, "after", "z", NULL);
        assert_cut_line(capture_end());
        cr_assert_gt(capture.length, 16000);
        capture_begin();
        log_info(value, "after", "z", NULL);
        assert_cut_line(capture_end());
        free(value);
    }
}

Test(log, prints_only_from_the_configured_level)
{
    for (int least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        log_configure((enum log_level)least, LOG_FORMAT_JSON);
        capture_begin();
        log_debug("debug", NULL);
        log_info("info", NULL);
        log_warning("warning", NULL);
        log_error("error", NULL);
        const char *text = capture_end();
        int lines = 0;
        for (const char *at = text; *at; at++)
            lines += *at == '\n';
        cr_assert_eq(lines, LOG_ERROR - least + 1);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
            cr_assert_eq(log_enabled((enum log_level)level), level >= least);
    }
}

Test(log, is_json_in_a_pipe_without_being_configured)
{
    capture_begin();
    log_debug("not by default", NULL);
    log_info("m", NULL);
    cJSON *object = captured_object();
    cr_assert_str_eq(string_of(object, "message"), "m");
    cJSON_Delete(object);
}

/* What `log_error` prints to a terminal under the environment as it is. */
static const char *printed_to_terminal(void)
{
    int parent;
    int child;
    cr_assert_eq(openpty(&parent, &child, NULL, NULL, NULL), 0);
    int saved = dup(STDERR_FILENO);
    cr_assert_geq(dup2(child, STDERR_FILENO), 0);
    log_configure(LOG_INFO, LOG_FORMAT_AUTO);
    log_error("m", NULL);
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    ssize_t count = read(parent, capture.text, sizeof capture.text - 1);
    cr_assert_gt(count, 0);
    capture.text[count] = '\0';
    close(saved);
    close(child);
    close(parent);
    return capture.text;
}

Test(log, is_coloured_text_on_a_terminal_unless_told_not_to)
{
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    assert_matches(printed_to_terminal(), "^[0-9:.]{12} \x1b\\[31merror\x1b\\[0m m\r\n$");
    setenv("NO_COLOR", "", 1);
    assert_matches(printed_to_terminal(), "\x1b");
    setenv("NO_COLOR", "1", 1);
    assert_matches(printed_to_terminal(), "^[0-9:.]{12} error m\r\n$");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_matches(printed_to_terminal(), "^[0-9:.]{12} error m\r\n$");
}

Test(log, reads_its_levels)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++) {
        enum log_level level;
        cr_assert(log_level_parse(names[i], &level, NULL));
        cr_assert_eq((int)level, i);
    }
    enum log_level level = LOG_ERROR;
    struct error err = {0};
    cr_assert_not(log_level_parse("Info", &level, &err));
    cr_assert_eq(level, LOG_ERROR);
    cr_assert_str_eq(err.message, "\"Info\" is not a log level: use debug, info, warning or error");
}

Test(log, keeps_errno_and_outlives_a_closed_standard_error)
{
    use_json();
    int saved = dup(STDERR_FILENO);
    cr_assert_eq(close(STDERR_FILENO), 0);
    errno = EPROTO;
    log_error("nobody hears this", NULL);
    int kept = errno;
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    close(saved);
    cr_assert_eq(kept, EPROTO);
}

#define THREADS 4
#define LINES   50

static void *write_lines(void *argument)
{
    char *value = repeated(argument, 900);
    log_enter(argument);
    for (int i = 0; i < LINES; i++)
        log_info("m", "value", value, NULL);
    free(value);
    return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    use_json();
    capture_begin();
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    capture_end();
    int lines = 0;
    char *rest = capture.text;
    char *line;
    while ((line = strsep(&rest, "\n")) && *line) {
        cJSON *object = cJSON_Parse(line);
        cr_assert_not_null(object, "%s", line);
        const char *value = string_of(object, "value");
        cr_assert_eq(strlen(value), 900);
        cr_assert_eq(strspn(value, string_of(object, "session")), 900);
        cJSON_Delete(object);
        lines++;
    }
    cr_assert_eq(lines, THREADS * LINES);
}
