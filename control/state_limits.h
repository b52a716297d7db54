/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a `state` event may hold (docs/protocol/control.md): proxies refuse a larger one whole,
 * so the authority refuses each change that would make one (authority/state.h). These are the only
 * places where the numbers stand; both sides include them. A state is also one message, with the
 * limits of all messages: CONTROL_ANSWER_MAX (control/frame.h), CONTROL_VALUES_MAX and
 * CONTROL_KEYS_MAX (control/json_check.h).
 */
#ifndef SALLYPORT_CONTROL_STATE_LIMITS_H
#define SALLYPORT_CONTROL_STATE_LIMITS_H

#define CONTROL_STATE_BOTS_MAX      100000 /* as many as one JSON object may have keys */
#define CONTROL_STATE_ROLES_MAX     10000
#define CONTROL_STATE_MAPPINGS_MAX  10000
#define CONTROL_STATE_DATABASES_MAX 4096
#define CONTROL_STATE_LOCKS_MAX     20000
/* Of those, the locks that people may make; the rest is for what the authority locks by itself
 * because a superseded certificate came back. */
#define CONTROL_STATE_PEOPLES_LOCKS_MAX 10000

#define CONTROL_STATE_NAME_MAX   255          /* bytes of a bot, a role, what a lock is on */
#define CONTROL_STATE_REASON_MAX 1200         /* bytes of a lock's reason, a token's named in it */
#define CONTROL_STATE_PEM_MAX    (256 * 1024) /* bytes of one bundle of CAs */

#endif
