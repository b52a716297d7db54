/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the authority says no. What it decides ends in one of three ways:
 *
 *   - true: done;
 *   - false and a refusal: the peer may not have that, and is told why. refusal->code is not
 *     CONTROL_NO_ERROR; *err is untouched;
 *   - false and an error: a fault of ours. The peer is answered `internal`, the log has
 * err->message. refusal->code is CONTROL_NO_ERROR.
 *
 * Every function that decides has these as its last two parameters, and sets refusal->code first.
 *
 *     if (!authority_renew(authority, serial, csr, now_us, &identity, &refusal, &err))
 *         return refusal.code ? answer(refusal.code, refusal.message) : answer_fault(&err);
 *
 * A function that can only refuse has no `err`, one that can only fail no refusal.
 */
#ifndef SALLYPORT_AUTHORITY_REFUSAL_H
#define SALLYPORT_AUTHORITY_REFUSAL_H

#include "base/error.h"
#include "control/message.h"

#define AUTHORITY_REFUSAL_SIZE 320 /* a message and its NUL; longer ones are cut */

/* The message is shown to whoever asked: it may name what he named himself or has proven to know.
 */
struct authority_refusal {
    enum control_code code;
    char message[AUTHORITY_REFUSAL_SIZE];
};

/* Fills it; the message stays UTF-8 where it is cut. Returns false. */
bool authority_refuse(struct authority_refusal *refusal, enum control_code code, const char *format,
                      ...) PRINTF_LIKE(3, 4);

/* A store's failure: ERROR_NOT_FOUND and ERROR_EXISTS are refusals in its words, with the code that
 * is given and CONTROL_EXISTS; anything else is put into *err. Returns false. */
bool authority_refuse_store(struct authority_refusal *refusal, enum control_code not_found,
                            const struct error *cause, struct error *err);

#endif
