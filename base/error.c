/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_code code, const char *format, ...)
{
    if (!err)
        return false;
    va_list arguments;
    va_start(arguments, format);
    err->code = code;
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return false;
}

/* Puts ": " and the text behind the message, whose printed length is `length`; cuts what is too
 * long. */
static void append_text(struct error *err, int length, const char *text)
{
    if (length < 0 || (size_t)length >= sizeof err->message)
        return;
    size_t at = (size_t)length;
    const char *const pieces[] = {": ", text};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t room = sizeof err->message - 1 - at;
        size_t size = strnlen(pieces[i], room);
        memcpy(err->message + at, pieces[i], size);
        at += size;
    }
    err->message[at] = '\0';
}

bool error_wrap(struct error *err, const char *format, ...)
{
    if (!err)
        return false;
    char inner[ERROR_MESSAGE_SIZE];
    memcpy(inner, err->message, sizeof inner);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    append_text(err, length, inner);
    return false;
}

bool error_system(struct error *err, int error_number, const char *format, ...)
{
    if (!err)
        return false;
    va_list arguments;
    va_start(arguments, format);
    err->code = ERROR_SYSTEM;
    int length = vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    char text[128];
    append_text(err, length, strerror_r(error_number, text, sizeof text));
    return false;
}

const char *error_code_name(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return "none";
    case ERROR_MEMORY:
        return "memory";
    case ERROR_LIMIT:
        return "limit";
    case ERROR_MALFORMED:
        return "malformed";
    case ERROR_UNSUPPORTED:
        return "unsupported";
    case ERROR_SYSTEM:
        return "system";
    case ERROR_TLS:
        return "tls";
    case ERROR_CONFIG:
        return "config";
    case ERROR_DENIED:
        return "denied";
    case ERROR_TIMEOUT:
        return "timeout";
    case ERROR_CLOSED:
        return "closed";
    case ERROR_EXISTS:
        return "exists";
    case ERROR_NOT_FOUND:
        return "not_found";
    case ERROR_STATE:
        return "state";
    }
    return "unknown";
}
