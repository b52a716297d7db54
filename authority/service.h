/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authority on the network: who asks by TLS (tunnels, proxies) or over the Unix socket
 * (administrators) is answered as docs/protocol/control.md says, what changes is told to the
 * proxies that follow, and everything is recorded.
 *
 *     open ──► start ──► stop ──► close         close may follow open at once
 *
 * One thread of its own, with one loop, does it all; the store is used by that thread alone.
 * Requests that arrive together are decided together: one transaction, one fsync(2), and no answer
 * leaves before it. (docs/decisions/0803-requests-in-groups.md)
 */
#ifndef SALLYPORT_AUTHORITY_SERVICE_H
#define SALLYPORT_AUTHORITY_SERVICE_H

#include <stdint.h>

#include "audit/audit.h"
#include "authority/settings.h"
#include "base/error.h"
#include "tls/certificate.h"

/* Limits (I9). Those that a configuration may change are in authority/settings.h. */
#define SERVICE_GROUP_MAX     256  /* requests of one transaction */
#define SERVICE_DRAIN_LOOK_MS 10   /* between two looks whether all connections have ended */
#define SERVICE_CALL_MS       5000 /* until authority_service_issue_proxy() gives up */
#define SERVICE_ALIVE_MS      1000 /* between two `alive` events */
#define SERVICE_PUBLISH_MS    100  /* the least between two states that are sent */
#define SERVICE_ADMINS_MAX    32   /* connections over the Unix socket at once */
#define SERVICE_PRUNE_MS      3600000
#define SERVICE_BACKLOG       1024 /* connections that wait to be accepted */
#define SERVICE_LOG_LINES     10   /* about refused peers, in one second; the rest is counted */
#define SERVICE_SERIALS_MAX   1000 /* in one `seen` */

struct authority_service;

/*
 * Opens the directory's store (one process at a time), makes the CAs and records them at the first
 * start, and makes the authority's own certificate. `lane` is used by this thread until
 * authority_service_start(), then by the service's own until authority_service_stop() returns.
 * The settings are copied; settings->directory is not looked at afterwards.
 */
bool authority_service_open(const struct authority_service_settings *settings,
                            struct audit_lane *lane, struct authority_service **out,
                            struct error *err) MUST_USE;

/*
 * Begins to listen, and starts the thread. The Unix socket has the mode 0600; a file at its place
 * that is no socket, or a socket that somebody answers at, is an error. Once.
 */
bool authority_service_start(struct authority_service *service, struct error *err) MUST_USE;

/* Ends all connections, once their answers have been sent (for CONTROL_LINGER_MS at most), and the
 * thread. Safe to call twice, and before a start. */
void authority_service_stop(struct authority_service *service);

/* Stops and frees. NULL allowed. */
void authority_service_close(struct authority_service *service);

/* A certificate for a proxy in this process. All three are PEM texts; the caller releases them with
 * authority_issued_release(). */
struct authority_issued {
    char *certificate; /* leaf first */
    char *ca;          /* whom to trust as a service */
    int64_t not_after_us;
    int64_t renew_at_us;
};

/*
 * Lets a proxy join that lives in this process, and so needs no token: from the thread that opened
 * the service, between open and stop. It renews over the network, as all do, and is let in again
 * when its certificate has lapsed, as while the machine slept. While the service runs, its thread
 * does it and the caller waits. ERROR_TIMEOUT: it does not get to it within SERVICE_CALL_MS;
 * ERROR_DENIED: the proxy was removed while it ran, or is locked.
 */
bool authority_service_issue_proxy(struct authority_service *service, const char *name,
                                   const char *csr, const char *const *names, size_t name_count,
                                   struct authority_issued *out, struct error *err) MUST_USE;
void authority_issued_release(struct authority_issued *issued);

/* Where it listens, "0.0.0.0:3309", with the port that was bound; after start. The text lives as
 * long as the service. */
const char *authority_service_address(const struct authority_service *service);
/* The port alone. */
uint16_t authority_service_port(const struct authority_service *service);

/* The pin of the CA that signed the authority's certificate, "sha256:…": what tunnels are given to
 * know it by. From any thread; a rotation changes it. */
void authority_service_pin(const struct authority_service *service,
                           char out[CERTIFICATE_PIN_TEXT_SIZE]);

#endif
