/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side for the command line: one request over the authority's Unix socket, with plain
 * system calls, until its answer came.
 */
#ifndef SALLYPORT_CONTROL_ASK_H
#define SALLYPORT_CONTROL_ASK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "control/message.h"

/*
 * Sends `request` (of control_request(), borrowed) and waits for its answer, all within
 * `timeout_ms`. True: *answer is the answer's object, which the caller frees with control_free().
 *
 * False: *answer is NULL. Was it the authority that refused, then failure->code says why and *err
 * has its message; otherwise failure->code is CONTROL_NO_ERROR, and *err says what is wrong with
 * the socket or the answer, and what to do. After a request went out and no answer came, it may
 * have been carried out all the same; the message says so.
 */
bool control_ask(const char *socket_path, const cJSON *request, int64_t timeout_ms, cJSON **answer,
                 struct control_failure *failure, struct error *err) MUST_USE;

#endif
