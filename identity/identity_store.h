/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity directory as whoever renews it sees it. Other programs read three names:
 *
 *     DIR/cert.pem -> current/cert.pem     the certificate, then intermediates
 *     DIR/key.pem  -> current/key.pem      its private key, mode 0600
 *     DIR/ca.pem   -> current/ca.pem       whom to trust as a service
 *     DIR/current  -> sets/7               the set that is in use
 *     DIR/sets/7/                          cert.pem key.pem ca.pem identity.json
 *     DIR/joining.pem                      the key of a join that was begun and has not come to an
 *                                          end; mode 0600
 *     DIR/lock                             who renews: at most one process at a time
 *
 * A new set is written beside the old one, synced, read back and compared; then one rename(2) of
 * the symbolic link `current` changes all three names together, and is synced before anybody is
 * told. A crash at any byte leaves the whole old set or the whole new one.
 *
 * Plain files (an identity made by hand) are taken over by the first save: what the three names
 * hold is copied into a set, `current` leads to it, and only then each name is replaced by a link
 * to the same bytes. At no moment does a name lead to nothing, or two of them to different sets.
 *
 * The directory is made with mode 0700. One that other users own or may write into is refused:
 * they could put in a key of theirs.
 *
 * Plain system calls that may take long: identity_store_save() is made for a thread of its own, and
 * touches nothing but the store. One caller at a time.
 */
#ifndef SALLYPORT_IDENTITY_STORE_H
#define SALLYPORT_IDENTITY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define IDENTITY_NAME_SIZE     128 /* the bot's name, its NUL included */
#define IDENTITY_INSTANCE_SIZE 65  /* the instance's id, its NUL included */
/* The largest of a set's files. */
#define IDENTITY_FILE_MAX (1024 * 1024)
/* Sets that a crash may have left behind: more entries than these are not looked at. */
#define IDENTITY_SETS_MAX 4096

struct identity_store;

/* What the authority said of a set beside the files, kept in identity.json. */
struct identity_note {
    char name[IDENTITY_NAME_SIZE];
    char instance[IDENTITY_INSTANCE_SIZE];
    uint64_t generation;
    int64_t renew_at_us; /* wall time */
};

/* What is saved; the texts are borrowed. */
struct identity_set {
    const char *certificate; /* PEM */
    const char *key;
    const char *ca;
    struct identity_note note;
};

/*
 * Makes the directory where it is missing, locks it, and removes what a crash left behind.
 * ERROR_EXISTS: another process holds it (the message names it); ERROR_DENIED: others may write
 * into it; ERROR_SYSTEM: as the system says, e.g. a file system that is read-only.
 */
bool identity_store_open(const char *directory, struct identity_store **out,
                         struct error *err) MUST_USE;
void identity_store_close(struct identity_store *store); /* NULL allowed */

/*
 * Puts a set in the place of the one that is in use. When this returns true the new one is on the
 * disk. On failure the old one is in use, whole, and *err says why.
 */
bool identity_store_save(struct identity_store *store, const struct identity_set *set,
                         struct error *err) MUST_USE;

/* What was noted beside the files that are in use. False: nothing, they are somebody else's. */
bool identity_store_note(const struct identity_store *store, struct identity_note *out);

/*
 * The key that joins by a token are made with. It is on the disk before the first attempt, and the
 * same for all of them: the authority may have used up the token while its answer was lost, and
 * gives another certificate to nobody but this key (docs/protocol/control.md). The next set that is
 * saved removes it. Short and in the caller's thread: whoever joins has no sessions to be held up.
 *
 * Reading: *found is false, and nothing appended, where there is none. `pem` gets the text with its
 * NUL; the caller wipes it.
 */
bool identity_store_read_joining(const struct identity_store *store, struct buffer *pem,
                                 bool *found, struct error *err) MUST_USE;
bool identity_store_write_joining(const struct identity_store *store, const char *pem,
                                  struct error *err) MUST_USE;

/* For tests: called at each step of a save with its name, so that a process can die there. NULL
 * ends it. */
void identity_store_observe(void (*observer)(const char *step));

#endif
