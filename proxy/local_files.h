/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files say that a proxy's configuration names: certificates, keys, CAs, the databases'
 * passwords (the revocation list is not among them: there is none beside an authority). Read once,
 * when the configuration is loaded or reloaded, and kept for as long as that configuration holds:
 * what an authority says later (a lock, above all) is followed without a look at any file, so that
 * none that was removed, or that others may read now, can stand in its way. Immutable; secrets are
 * wiped when it goes.
 */
#ifndef SALLYPORT_PROXY_LOCAL_FILES_H
#define SALLYPORT_PROXY_LOCAL_FILES_H

#include "base/error.h"
#include "proxy/settings.h"
#include "tls/context.h"
#include "tls/pem.h"

/* Of one element of "databases"; what the configuration does not name is empty. */
struct local_database {
    struct pem ca, cert, key;
    char **passwords; /* [password_count], as in the settings */
    size_t password_count;
};

struct local_files {
    struct pem cert, key, client_ca;  /* "proxy.tls" */
    struct local_database *databases; /* as in the settings */
    size_t database_count;
};

/* The errors have the place of the configuration that names the file, and never a secret. */
bool local_files_read(const struct settings *settings, const struct config *config,
                      struct local_files **out, struct error *err) MUST_USE;
void local_files_free(struct local_files *files); /* NULL allowed */

/* A text for tls/context.h; NULL when there is none. Borrowed. */
const char *local_files_text(const struct pem *pem);

#endif
