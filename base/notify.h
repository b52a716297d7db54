/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how we are: the protocol of sd_notify(3), which is one datagram of
 * "NAME=value" lines to the Unix socket that $NOTIFY_SOCKET names (a leading "@" means Linux's
 * abstract name space). Without that variable nothing is sent and nothing fails. A failure to send
 * is logged at level debug and is no reason to stop: the service works without its manager's ear.
 */
#ifndef SALLYPORT_BASE_NOTIFY_H
#define SALLYPORT_BASE_NOTIFY_H

#include <stdbool.h>

#include "base/error.h"

/* The longest message, its NUL included; a longer status is cut. */
#define NOTIFY_MESSAGE_SIZE 512

/*
 * Sends one message, e.g. "READY=1". True as well where $NOTIFY_SOCKET is not set; *sent (NULL
 * allowed) tells the difference. ERROR_MALFORMED: the variable names no socket; ERROR_SYSTEM: the
 * system refused.
 */
bool notify_send(const char *message, bool *sent, struct error *err) MUST_USE;

/* READY=1: the service does its work. */
void notify_ready(void);

/* RELOADING=1 and the monotonic time, which Type=notify-reload needs; notify_ready() ends it. */
void notify_reloading(void);

/* STOPPING=1: the service drains. */
void notify_stopping(void);

/* STATUS=…: one line for people, shown by `systemctl status`. Line breaks become spaces. */
void notify_status(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
