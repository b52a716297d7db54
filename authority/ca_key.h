/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CAs' keys as files: DIRECTORY/keys (0700), one file (0600) each.
 *
 * A key and its row in the store must come and go together, and a crash may fall anywhere:
 *
 *     stage   <name>.new is written and synced     (no row yet: a leftover, overwritten later)
 *     commit  the row is in the store              (ca_key_load() finds <name>.new and settles it)
 *     settle  <name>.new becomes <name>, the directory is synced
 *
 * So a file under its final name always had a row: one without is a store that has lost its memory.
 *
 * Errors: ERROR_SYSTEM, ERROR_CONFIG; all name the file.
 */
#ifndef SALLYPORT_AUTHORITY_CA_KEY_H
#define SALLYPORT_AUTHORITY_CA_KEY_H

#include <limits.h>

#include "authority/store.h"
#include "base/error.h"
#include "tls/key.h"

#define CA_KEY_DIRECTORY "keys"
#define CA_KEY_SUFFIX    ".key"

/* A directory of keys, open. */
struct ca_keys {
    int fd;
    char path[PATH_MAX];
};

/* Opens it, and makes it where it is missing. Refused when it is not ours alone. */
bool ca_keys_open(struct ca_keys *keys, const struct store *store, struct error *err) MUST_USE;
/* Safe to call twice. */
void ca_keys_close(struct ca_keys *keys);

/* ERROR_CONFIG when a key is there under its final name; which one, the message says. */
bool ca_keys_check_empty(const struct ca_keys *keys, struct error *err) MUST_USE;

bool ca_key_stage(const struct ca_keys *keys, const char *name, const struct tls_key *key,
                  struct error *err) MUST_USE;
bool ca_key_settle(const struct ca_keys *keys, const char *name, struct error *err) MUST_USE;

/* Reads the key that belongs to a certificate, and settles it where a crash came before. */
bool ca_key_load(const struct ca_keys *keys, const char *name, const char *certificate,
                 struct tls_key **out, struct error *err) MUST_USE;

/* Removes the key, staged or settled; that there is none is no error. */
bool ca_key_remove(const struct ca_keys *keys, const char *name, struct error *err) MUST_USE;

#endif
