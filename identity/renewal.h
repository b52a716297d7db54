/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps one identity directory supplied with a certificate by the authority: joins where there is
 * none that is usable, renews ahead of its end, confirms what was saved, for ever.
 *
 *                      something is to be done
 *     RESTING <--------------------------------------> ASKING --- an identity came ---> SAVING
 *        ^                  answered, or failed                                            |
 *        +---------------------------------------------------------------------------------+
 *
 * What is to be done, in this order:
 *     join      no certificate, one that has lapsed, or one that the authority no longer knows:
 *               with the bound key where there is one, else with a token
 *     renew     it is due: at the time that the authority named, give or take a tenth; a new key
 *     confirm   a set was read whose certificate was not confirmed by this process yet (so a crash
 *               between saving and confirming is made good at the next start)
 *
 * Due is judged by two clocks. CLOCK_BOOTTIME counts from the moment the certificate came, also
 * while the machine sleeps, and does not care whether this machine's clock is right; wall time
 * catches what stops that clock too, such as a virtual machine that was paused. renewal_look() asks
 * both, and is called at each connect.
 *
 * Whatever fails is tried again after a jittered pause that doubles to RENEWAL_PAUSE_MOST_MS, but
 * is never longer than an eighth of what is left of the certificate; meanwhile that goes on being
 * used. Three kinds of refusal are different:
 *     locked and the like   asked again each RENEWAL_LOCKED_MS: locks end
 *     superseded            never again by itself: the authority has locked this instance because a
 *                           copy of its key seems to be about, and asking again would do it again
 *     a token that was used, has expired or is unknown: not again before there is another token
 * The last two end when other files, or another token, are put in place.
 *
 * The files are written by a thread of libuv's pool: the loop, and with it sessions, do not wait
 * for a disk.
 */
#ifndef SALLYPORT_IDENTITY_RENEWAL_H
#define SALLYPORT_IDENTITY_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "identity/credentials.h"
#include "identity/join_token.h"
#include "tls/key.h"
#include "tls/stream.h"

#define RENEWAL_PAUSE_LEAST_MS 500
#define RENEWAL_PAUSE_MOST_MS  30000
#define RENEWAL_LOCKED_MS      60000 /* between two questions of a bot that is locked, ± a tenth */
#define RENEWAL_LOOK_MS        5000  /* how often files and clocks are looked at */
#define RENEWAL_LOG_MS         60000 /* the log tells of a trouble that lasts once in this time */

struct renewal;

struct renewal_settings {
    struct address authority;
    const char *server_name; /* whom the authority's certificate must name; copied, as all text */
    const uint8_t *pin;      /* TLS_PIN_SIZE bytes of the CA's key; NULL: only DIR/ca.pem counts */
    const char *join_file;   /* a join token's file, or NULL */
    const char *bound_key;   /* the bot's registered key's file, or NULL */
    const char *bot;         /* the bot's name; required with bound_key, else it may be NULL */
};

struct renewal_events {
    /* Another set is in use. NULL allowed, as for the others. */
    void (*renewed)(void *owner);
    /* The authority knows that the set is in use. */
    void (*confirmed)(void *owner);
    /* An attempt failed. `final`: there never was a usable certificate, and trying again is of no
     * use; said once. */
    void (*failed)(void *owner, const struct error *err, bool final);
};

/*
 * Begins, in the loop. `credentials` (a reference is taken) are those of the directory that is
 * renewed; from now on what they say of an unusable identity is what is being done about it.
 * `token` (NULL allowed; copied) came by standard input or the environment, and counts before
 * join_file. Fails only without memory.
 */
bool renewal_create(uv_loop_t *loop, struct stream_loop *streams, struct credentials *credentials,
                    const struct renewal_settings *settings, const struct join_token *token,
                    const struct renewal_events *events, void *owner, struct renewal **out,
                    struct error *err) MUST_USE;

/* No event comes any more; the memory goes in the loop, and the directory's lock with it. NULL
 * allowed. */
void renewal_destroy(struct renewal *renewal);

/* Whether it does what these settings ask for. */
bool renewal_matches(const struct renewal *renewal, const struct renewal_settings *settings);

/* Does now what is due. Cheap, for each connect. */
void renewal_look(struct renewal *renewal);

/* Whether a usable identity may come any moment: there is none, and the first attempt at it is
 * under way. False once an attempt has failed: then there is a reason to tell. */
bool renewal_is_pending(const struct renewal *renewal);

struct renewal_status {
    int64_t renew_at_us; /* wall time; 0: there is no certificate */
    bool confirmed;
    char problem[ERROR_MESSAGE_SIZE]; /* "": none */
};

void renewal_read_status(const struct renewal *renewal, struct renewal_status *out);

#endif
