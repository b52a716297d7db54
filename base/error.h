/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error type, and the one idiom for failing.
 *
 * A function that can fail returns bool and is marked MUST_USE; its last parameter is a
 * `struct error *err`. On false it has filled *err through error_set(); on true it leaves *err
 * alone. A caller that does not want the text passes NULL. Messages are for people: they name the
 * thing, say what is wrong with it and, where that is not plain, what to do next. They never hold a
 * secret.
 *
 *     struct error err = {0};
 *     if (!config_load(path, &config, &err))
 *         return error_wrap(&err, "cannot start");
 */
#ifndef SALLYPORT_BASE_ERROR_H
#define SALLYPORT_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_USE            __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, of) __attribute__((format(printf, at, of)))

/* The longest message, its terminating NUL included; longer ones are cut. */
#define ERROR_MESSAGE_SIZE 512

/* What kind of failure it is: for decisions in code. The message is for people. */
enum error_code {
    ERROR_NONE = 0,
    ERROR_MEMORY,      /* an allocation failed */
    ERROR_LIMIT,       /* a documented limit was reached */
    ERROR_MALFORMED,   /* bytes that break the rules of their format */
    ERROR_UNSUPPORTED, /* well formed, and not supported */
    ERROR_SYSTEM,      /* the operating system refused; the message has its words */
    ERROR_TLS,         /* the TLS library refused; the message has its words */
    ERROR_CONFIG,      /* a configuration is wrong; the message starts FILE:LINE:COL: */
    ERROR_DENIED,      /* policy refused */
    ERROR_TIMEOUT,     /* a deadline passed */
    ERROR_CLOSED,      /* the peer closed */
    ERROR_EXISTS,      /* a thing of that name is there already */
    ERROR_NOT_FOUND,   /* there is no such thing */
    ERROR_STATE, /* a move that the state machine does not declare: a bug of ours, contained */
};

struct error {
    enum error_code code;
    char message[ERROR_MESSAGE_SIZE];
};

/* Fills *err (NULL allowed). Returns false, so that `return error_set(err, …);` fails in one line.
 */
bool error_set(struct error *err, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "<context>: " before the message that is there (NULL allowed). Returns false. */
bool error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* As error_set with ERROR_SYSTEM, and ": <strerror(error_number)>" at the end. Returns false. */
bool error_system(struct error *err, int error_number, const char *format, ...) PRINTF_LIKE(3, 4);

/* A code's short lower-case name, e.g. "malformed", for structured logs. */
const char *error_code_name(enum error_code code);

#endif
