/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of the comparison: a connection, direct or through Sallyport, that takes steps.
 *
 * What a step's answer was is left in two places: `tap`, every byte that the server sent, and
 * `view`, what the client made of it, in words. Where the bytes may differ by right, the tap is
 * left empty and the view holds what must be equal: the login and COM_CHANGE_USER (each leg has an
 * authentication exchange of its own), COM_STATISTICS (times), and compressed connections (the
 * framing ends at each leg).
 */
#ifndef SALLYPORT_DIFFERENTIAL_CLIENT_H
#define SALLYPORT_DIFFERENTIAL_CLIENT_H

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/differential/step.h"
#include "tests/differential/wire.h"

#define CLIENT_ROW_SHOWN 64 /* bytes of a value that the view shows; the hash covers all */

struct raw_slot {
    bool live;
    const struct step *prepare;
    uint32_t id;
    unsigned int parameters;
    const struct step *last; /* whose types the server has */
    uint32_t long_data;      /* parameters with long data waiting, one bit each */
};

struct client {
    const char *name;
    const char *host;
    unsigned int port;
    const char *user;
    const char *admin_socket;
    MYSQL *admin; /* the administrator's own connection, always direct */

    const struct sequence *sequence;
    struct tap tap;
    struct text view;
    bool gone; /* the connection has ended: later steps are not taken */

    bool silent; /* it waited for bytes that never came */

    MYSQL *mysql; /* the library's client */
    MYSQL_STMT *statements[STEP_SLOTS];
    const struct step *prepares[STEP_SLOTS];
    bool long_data[STEP_SLOTS]; /* sent, and not executed yet */

    struct wire wire; /* the raw client */
    uint32_t capabilities, extended;
    struct raw_slot slots[STEP_SLOTS];
    int last_slot; /* whose prepare was the last one, -1 where it failed or there was none */
};

/* Of both kinds of client. A failed connection is an answer too: the view tells the error. */
void library_connect(struct client *client);
void library_take(struct client *client, const struct step *step);
void library_close(struct client *client);
void raw_connect(struct client *client);
/* The two halves of a step, for pipelines. */
void raw_send(struct client *client, const struct step *step);
void raw_receive(struct client *client, const struct step *step);
void raw_close(struct client *client);

#endif
