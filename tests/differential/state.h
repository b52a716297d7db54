/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two servers' schema `differ`, in the same state before each sequence, and compared after it,
 * over the administrator's own direct connections.
 */
#ifndef SALLYPORT_DIFFERENTIAL_STATE_H
#define SALLYPORT_DIFFERENTIAL_STATE_H

#include "tests/differential/client.h"

/* Connects the administrator and makes the schema anew; tells which kind of server it is. */
enum flavour state_create(struct client *client);
/* Puts the schema back: what a sequence left is gone, prepared XA transactions included. */
void state_reset(struct client *client);
/* Appends what the sequence left behind: tables, checksums, prepared XA transactions. */
void state_view(struct client *client, struct text *out);
void state_close(struct client *client);

#endif
