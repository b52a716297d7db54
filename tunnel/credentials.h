/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bot's identity: a directory with
 *
 *     cert.pem   the certificate, then intermediates
 *     key.pem    its private key; nobody but the owner may read it
 *     ca.pem     the CAs that sign the proxy's certificate
 *
 * which something else renews (DESIGN.md 8: the authority, or any other issuer). The files are read
 * when the object is made and again when credentials_check() sees that one of them changed: by
 * device, inode, size and time of what the names lead to, so that renaming over, rewriting in place
 * and Kubernetes' switch of a symbolic link are all seen. (A file watch would lose the file at the
 * first rename.) credentials_check() costs three stat(2) calls and is made for every connect.
 *
 * A set is taken only whole: files that do not fit together, or that changed while they were read,
 * leave the previous set in use until the next check. A certificate out of its validity is still
 * loaded, so that the tunnel can say what is wrong with it.
 *
 * Counted by reference; belongs to one loop's thread.
 */
#ifndef SALLYPORT_TUNNEL_CREDENTIALS_H
#define SALLYPORT_TUNNEL_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/context.h"

#define CREDENTIALS_BOT_SIZE 128 /* the bot's name in messages; longer ones are cut */

struct credentials;

/* Never fails for what is in the directory: that is told by credentials_context(), because the
 * files may come later. Only ERROR_MEMORY, and ERROR_LIMIT for a path that is too long. */
bool credentials_create(const char *directory, struct credentials **out,
                        struct error *err) MUST_USE;

struct credentials *credentials_ref(struct credentials *credentials);
void credentials_unref(struct credentials *credentials); /* NULL allowed */

const char *credentials_directory(const struct credentials *credentials);

/* Looks whether the files changed and reads them when they did. True when a new set was taken. */
bool credentials_check(struct credentials *credentials);

/*
 * The context to connect with at the wall time `now_us`; borrowed, valid until the next
 * credentials_check(). Fails while no set was ever read (the reason is that of the last try), and
 * with ERROR_DENIED when the certificate is not valid now: the message says since or until when,
 * and what to do.
 */
bool credentials_context(const struct credentials *credentials, int64_t now_us,
                         struct tls_context **context, struct error *err) MUST_USE;

/* Goes up by one with each set taken; 0 while there is none. */
uint64_t credentials_generation(const struct credentials *credentials);

/* The certificate's CN, else its first SAN URI; "unknown bot" while there is no set. */
const char *credentials_bot(const struct credentials *credentials);

/* When the certificate ends, wall time; 0 while there is no set. */
int64_t credentials_not_after_us(const struct credentials *credentials);

#endif
