/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join tokens as they come to a bot's machine: in a file, on standard input, or in the environment.
 * Never on the command line, which every user of the machine can read. A token is good for one
 * join; who holds one may become the bot, so copies are wiped and no message shows any of it.
 *
 *     sallyport-join-1.<id, 16 hexadecimal digits>.<secret, 43 characters of base64url>
 */
#ifndef SALLYPORT_IDENTITY_JOIN_TOKEN_H
#define SALLYPORT_IDENTITY_JOIN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define JOIN_TOKEN_LENGTH   77
#define JOIN_TOKEN_SIZE     (JOIN_TOKEN_LENGTH + 1)
#define JOIN_TOKEN_VARIABLE "SALLYPORT_TOKEN"

struct join_token {
    char text[JOIN_TOKEN_SIZE]; /* "": none */
};

/* Whether a command line's argument is a token, or the beginning of one, where a file is meant. */
bool join_token_looks_like(const char *text);

/* What is said then, and why. ERROR_CONFIG; `where` is "--join" or a key. Returns false. */
bool join_token_refuse(const char *where, struct error *err);

/* Takes a token out of bytes; white space around it does not count. ERROR_CONFIG says what is
 * wrong with it; `source` names it: "the token in FILE". */
bool join_token_parse(const char *bytes, size_t length, const char *source, struct join_token *out,
                      struct error *err) MUST_USE;

/* From a regular file that its owner alone may read; "-" is standard input, read to its end. */
bool join_token_read(const char *file, struct join_token *out, struct error *err) MUST_USE;

/* From SALLYPORT_TOKEN, which is removed from the environment, and wiped there. Without it *out is
 * empty, and that is no error. */
bool join_token_from_environment(struct join_token *out, struct error *err) MUST_USE;

void join_token_wipe(struct join_token *token);

#endif
