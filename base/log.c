/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* The longest line, its newline included; what is longer is cut and ends in "…". */
#define LOG_LINE_LIMIT 16384
/* Kept free behind a cut, for what closes the line: "…", a quote, a brace, a colour, a newline. */
#define LOG_LINE_RESERVE 32

#define LOG_ELLIPSIS "\xE2\x80\xA6"

/* How lines look. UNKNOWN until log_configure() or the first line has looked at standard error. */
enum log_style { LOG_STYLE_UNKNOWN, LOG_STYLE_JSON, LOG_STYLE_TEXT, LOG_STYLE_COLOUR };

static atomic_int log_least = LOG_INFO;
static atomic_int log_style_chosen = LOG_STYLE_UNKNOWN;
static _Thread_local const char *log_session;

struct log_level_look {
    const char *name;
    const char *padded; /* in text, where levels line up */
    const char *colour;
};

static const struct log_level_look log_looks[] = {
    [LOG_DEBUG] = {"debug", "debug", "\x1b[2m"},
    [LOG_INFO] = {"info", "info ", "\x1b[32m"},
    [LOG_WARNING] = {"warning", "warn ", "\x1b[33m"},
    [LOG_ERROR] = {"error", "error", "\x1b[31m"},
};

#define LOG_LEVEL_COUNT (sizeof log_looks / sizeof *log_looks)

static bool environment_has(const char *name)
{
    const char *value = getenv(name);
    return value && *value != '\0';
}

/* Colour only where a terminal shows it and nobody asked for none (no-color.org, and TERM=dumb). */
static enum log_style choose_style(enum log_format format)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    if (format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !terminal))
        return LOG_STYLE_JSON;
    const char *kind = getenv("TERM");
    bool dumb = kind && strcmp(kind, "dumb") == 0;
    return terminal && !dumb && !environment_has("NO_COLOR") ? LOG_STYLE_COLOUR : LOG_STYLE_TEXT;
}

void log_configure(enum log_level least, enum log_format format)
{
    atomic_store(&log_least, (int)least);
    atomic_store(&log_style_chosen, (int)choose_style(format));
}

static enum log_style current_style(void)
{
    enum log_style style = (enum log_style)atomic_load(&log_style_chosen);
    if (style == LOG_STYLE_UNKNOWN) {
        style = choose_style(LOG_FORMAT_AUTO);
        atomic_store(&log_style_chosen, (int)style);
    }
    return style;
}

bool log_level_parse(const char *text, enum log_level *level, struct error *err)
{
    for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(text, log_looks[i].name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return error_set(err, ERROR_MALFORMED,
                     "\"%.64s\" is not a log level: use debug, info, warning or error", text);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_least, memory_order_relaxed);
}

const char *log_enter(const char *session)
{
    const char *previous = log_session;
    log_session = session;
    return previous;
}

void log_leave(const char *previous)
{
    log_session = previous;
}

/* The line that is being made. Once it is cut, only what closes it is added. */
struct log_line {
    size_t length;
    bool cut;
    char text[LOG_LINE_LIMIT];
};

/* Adds bytes that belong together, all or, where the line is full, none. */
static void line_add(struct log_line *line, const char *bytes, size_t length)
{
    if (line->cut)
        return;
    if (line->length + length > LOG_LINE_LIMIT - LOG_LINE_RESERVE) {
        line->cut = true;
        bytes = LOG_ELLIPSIS;
        length = sizeof LOG_ELLIPSIS - 1;
    }
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
}

static void line_add_text(struct log_line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* Adds what the reserve is there for, also after a cut. */
static void line_close(struct log_line *line, const char *text)
{
    size_t length = strlen(text);
    if (line->length + length > LOG_LINE_LIMIT)
        return;
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

/*
 * Characters that could break the line or act on the terminal: C0 and C1 controls, DEL, the line
 * and paragraph separators, and the marks that reorder text on the screen (U+202A–U+202E,
 * U+2066–U+2069).
 */
static bool is_active(uint32_t character)
{
    return character < 0x20 || (character >= 0x7F && character <= 0x9F) ||
           (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

static void put_hex(char *out, size_t digits, uint32_t value)
{
    for (size_t i = digits; i > 0; i--, value >>= 4)
        out[i - 1] = "0123456789abcdef"[value & 15];
}

static void line_add_unicode_escape(struct log_line *line, uint32_t character)
{
    char escape[] = "\\u0000";
    put_hex(escape + 2, 4, character);
    line_add(line, escape, sizeof escape - 1);
}

/* Where escaped text goes to, which decides what else is escaped. */
enum log_escape { LOG_ESCAPE_JSON, LOG_ESCAPE_QUOTED, LOG_ESCAPE_PLAIN };

/* A byte that is no UTF-8: JSON cannot hold it, so the replacement character stands for it there.
 */
static void line_add_invalid(struct log_line *line, uint8_t byte, enum log_escape kind)
{
    char escape[] = "\\x00";
    put_hex(escape + 2, 2, byte);
    line_add_text(line, kind == LOG_ESCAPE_JSON ? "\xEF\xBF\xBD" : escape);
}

static void line_add_escaped(struct log_line *line, const char *value, enum log_escape kind)
{
    size_t left = strlen(value);
    while (left > 0 && !line->cut) {
        size_t size = utf8_sequence(value, left);
        uint32_t character = size ? utf8_decode(value, size) : 0;
        if (size == 0)
            line_add_invalid(line, (uint8_t)*value, kind);
        else if (is_active(character))
            line_add_unicode_escape(line, character);
        else if (kind != LOG_ESCAPE_PLAIN && (character == '"' || character == '\\'))
            line_add(line, (char[]){'\\', *value}, 2);
        else
            line_add(line, value, size);
        value += size ? size : 1;
        left -= size ? size : 1;
    }
}

/* A field whose key does not fit whole would not be JSON: a mark stands for it and what follows. */
static void line_add_json_field(struct log_line *line, const char *key, const char *value)
{
    if (line->cut)
        return;
    if (line->length + strlen(key) + 2 * LOG_LINE_RESERVE > LOG_LINE_LIMIT) {
        line->cut = true;
        line_close(line, ",\"" LOG_ELLIPSIS "\":\"\"");
        return;
    }
    line_add_text(line, line->length > 1 ? ",\"" : "\"");
    line_add_text(line, key);
    line_add_text(line, "\":\"");
    line_add_escaped(line, value, LOG_ESCAPE_JSON);
    line_close(line, "\"");
}

/* Whether a text value needs no quotes: printable ASCII without what separates fields. */
static bool is_bare(const char *value)
{
    if (*value == '\0')
        return false;
    for (; *value; value++)
        if (*value <= ' ' || *value > '~' || *value == '"' || *value == '\\' || *value == '=')
            return false;
    return true;
}

static void line_add_text_field(struct log_line *line, const char *key, const char *value)
{
    line_add_text(line, " ");
    line_add_text(line, key);
    line_add_text(line, "=");
    if (is_bare(value)) {
        line_add_escaped(line, value, LOG_ESCAPE_PLAIN);
        return;
    }
    line_add_text(line, "\"");
    line_add_escaped(line, value, LOG_ESCAPE_QUOTED);
    if (!line->cut)
        line_add_text(line, "\"");
}

static void line_begin_json(struct log_line *line, enum log_level level, const char *message)
{
    char now[CLOCK_TIME_SIZE];
    clock_format(clock_wall_us(), now);
    line_add_text(line, "{");
    line_add_json_field(line, "time", now);
    line_add_json_field(line, "level", log_looks[level].name);
    line_add_json_field(line, "message", message);
    if (log_session)
        line_add_json_field(line, "session", log_session);
}

/* Text shows the time of day only, in UTC as the audit log has it, to the millisecond. */
static void line_begin_text(struct log_line *line, enum log_level level, const char *message,
                            bool colour)
{
    char now[CLOCK_TIME_SIZE];
    clock_format(clock_wall_us(), now);
    line_add(line, now + sizeof "2026-01-31", sizeof "23:59:59.123" - 1);
    line_add_text(line, " ");
    line_add_text(line, colour ? log_looks[level].colour : "");
    line_add_text(line, log_looks[level].padded);
    line_add_text(line, colour ? "\x1b[0m " : " ");
    if (log_session) {
        line_add_text(line, "[");
        line_add_escaped(line, log_session, LOG_ESCAPE_PLAIN);
        line_add_text(line, "] ");
    }
    line_add_escaped(line, message, LOG_ESCAPE_PLAIN);
}

/* A standard error that is gone or full loses the line: logging must not stop the work. */
static void line_write(const struct log_line *line)
{
    size_t written = 0;
    while (written < line->length) {
        ssize_t count = write(STDERR_FILENO, line->text + written, line->length - written);
        if (count > 0)
            written += (size_t)count;
        else if (count == 0 || errno != EINTR)
            return;
    }
}

void log_write(enum log_level level, const char *message, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    enum log_style style = current_style();
    bool json = style == LOG_STYLE_JSON;
    struct log_line line;
    line.length = 0;
    line.cut = false;
    if (json)
        line_begin_json(&line, level, message);
    else
        line_begin_text(&line, level, message, style == LOG_STYLE_COLOUR);

    va_list pairs;
    va_start(pairs, message);
    const char *key;
    while ((key = va_arg(pairs, const char *)) != NULL) {
        const char *value = va_arg(pairs, const char *);
        if (value && json)
            line_add_json_field(&line, key, value);
        else if (value)
            line_add_text_field(&line, key, value);
    }
    va_end(pairs);

    line_close(&line, json ? "}\n" : "\n");
    line_write(&line);
    errno = saved_errno;
}
