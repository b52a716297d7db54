/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bot's identity: a directory with
 *
 *     cert.pem   the certificate, then intermediates
 *     key.pem    its private key; nobody but the owner may read it
 *     ca.pem     the CAs that sign the proxy's certificate
 *
 * which identity/renewal.h renews with the authority's help, or something else. The files are read
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
#ifndef SALLYPORT_IDENTITY_CREDENTIALS_H
#define SALLYPORT_IDENTITY_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/context.h"

#define CREDENTIALS_BOT_SIZE    128 /* the bot's name in messages; longer ones are cut */
#define CREDENTIALS_REMEDY_SIZE 440 /* what is to be done in messages; longer ones are cut */

struct credentials;

/* Never fails for what is in the directory: that is told by credentials_context(), because the
 * files may come later. Only ERROR_MEMORY, and ERROR_LIMIT for a path that is too long. */
bool credentials_create(const char *directory, struct credentials **out,
                        struct error *err) MUST_USE;

/* The same for an identity that is renewed here (credentials_manage()): it is no trouble that there
 * is no certificate yet. */
bool credentials_create_managed(const char *directory, struct credentials **out,
                                struct error *err) MUST_USE;

/* Whether a directory holds a certificate that has not expired: so that a join token that is not
 * needed is not even read. */
bool credentials_are_current(const char *directory);

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

/* When the certificate begins and ends, wall time; 0 while there is no set. */
int64_t credentials_not_before_us(const struct credentials *credentials);
int64_t credentials_not_after_us(const struct credentials *credentials);

/*
 * A context of the same set for the control protocol (TLS_ALPN_CONTROL), whatever the time is;
 * borrowed, valid until the next credentials_check(). Fails only while no set was ever read.
 */
bool credentials_control_context(const struct credentials *credentials,
                                 struct tls_context **context, struct error *err) MUST_USE;

/*
 * Says that the identity is renewed here. A certificate that begins in the future is good then: it
 * came from the authority a moment ago, so it is this machine's clock that is behind, and the proxy
 * judges by its own. `remedy` (copied; NULL: look at what renews the files) is what
 * credentials_context() says is being done, or is to be done, about an identity that is not usable.
 */
void credentials_manage(struct credentials *credentials, bool managed, const char *remedy);

#endif
