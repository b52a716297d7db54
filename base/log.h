/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process log, for operators: what Sallyport itself does. It goes to standard error, as text
 * when that is a terminal and as one JSON object a line otherwise. SQL text, private keys, tokens
 * and passwords never go here (DESIGN.md, I8); SQL belongs to the audit log.
 *
 * One function prefixes every line with the session that it is about: a thread names the session it
 * works on with log_enter() and gives the previous one back with log_leave(). Fields are key and
 * value pairs:
 *
 *     log_info("session started", "database", database, "bot", bot, NULL);
 *
 * Values are printed escaped: a peer's bytes can neither start a new line nor move the terminal's
 * cursor. A line is one write(2). Safe to call from any thread.
 */
#ifndef SALLYPORT_BASE_LOG_H
#define SALLYPORT_BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Sets the least level that is printed and the form. Default: LOG_INFO, LOG_FORMAT_AUTO on stderr.
 */
void log_configure(enum log_level least, enum log_format format);

/* Reads "debug", "info", "warning" or "error". */
bool log_level_parse(const char *text, enum log_level *level, struct error *err) MUST_USE;

/* Whether a line of this level would be printed: for fields that are costly to make. */
bool log_enabled(enum log_level level);

/* Names the session that this thread works on (borrowed; NULL for none). Returns the previous one.
 */
const char *log_enter(const char *session);
void log_leave(const char *previous);

/* Prints one line. The variable part is `const char *key, const char *value` pairs and a NULL; a
 * pair whose value is NULL is left out. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_debug(...)   (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)

#endif
