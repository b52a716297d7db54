/* SPDX-License-Identifier: Apache-2.0 */
#include "authz/use_scan_internal.h"

enum {
    IN_CODE = 1,
    IN_EXECUTABLE = 2,
    IN_SINGLE = 4,
    IN_DOUBLE = 8,
    IN_BACKTICK = 16,
    IN_BRACKET = 32,
    IN_COMMENT = 64,
    IN_OTHER = 128,
};

/* Where each byte makes a difference; all do in IN_OTHER. */
static const uint8_t interest[128] = {
    ['\0'] = IN_COMMENT,
    ['\n'] = IN_COMMENT,
    ['\''] = IN_CODE | IN_SINGLE | IN_COMMENT,
    ['"'] = IN_CODE | IN_DOUBLE | IN_COMMENT,
    ['`'] = IN_CODE | IN_BACKTICK | IN_COMMENT,
    ['['] = IN_CODE,
    [']'] = IN_BRACKET,
    ['\\'] = IN_SINGLE | IN_DOUBLE,
    [';'] = IN_CODE,
    ['#'] = IN_CODE,
    ['-'] = IN_CODE,
    ['/'] = IN_CODE | IN_COMMENT,
    ['*'] = IN_EXECUTABLE | IN_COMMENT,
    ['$'] = IN_CODE,
};

static unsigned quoted_interest(const struct use_scan_reader *reader)
{
    if (reader->pending != UNESCAPED || reader->position == NAME_QUOTED)
        return IN_OTHER;
    switch (reader->quote) {
    case '\'':
        return IN_SINGLE;
    case '"':
        return IN_DOUBLE;
    case '`':
        return IN_BACKTICK;
    default:
        return IN_BRACKET;
    }
}

static unsigned reader_interest(const struct use_scan_reader *reader)
{
    switch ((enum use_scan_mode)reader->mode) {
    case CODE:
        if (reader->position != BODY)
            return IN_OTHER;
        return reader->executable ? IN_CODE | IN_EXECUTABLE : IN_CODE;
    case QUOTED:
        return quoted_interest(reader);
    case LINE:
        return IN_COMMENT;
    case BLOCK:
    case HINT:
    case BLANK:
    case NESTED:
        return reader->pending == NOTHING ? IN_COMMENT : IN_OTHER;
    default:
        return IN_OTHER;
    }
}

size_t use_scan_pass_over(const struct use_scan *scan, const uint8_t *bytes, size_t at,
                          size_t length)
{
    unsigned wanted = 0;
    for (size_t i = 0; i < scan->reader_count; i++)
        wanted |= reader_interest(&scan->readers[i]);
    if (wanted & IN_OTHER)
        return at;
    while (at < length && (bytes[at] >= sizeof interest || !(interest[bytes[at]] & wanted)))
        at++;
    return at;
}
