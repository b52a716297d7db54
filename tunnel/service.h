/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All tunnels of a process: starting, reloading, draining.
 *
 *     tunnel_service_start --> RUNNING --drain--> DRAINING --stop, or its time is over--> STOPPING
 *                                 |                   |                                      |
 *                                 +----- stop --------+----- last connection ended ----------+
 *                                                                                            v
 *                                                                    `stopped`, then destroy
 *
 * Reloading has two phases: everything that can fail for what the configuration says or for want of
 * memory is prepared first, and on failure nothing has changed. What the machine decides (a port
 * that is in use, an identity that cannot be read) is no such failure: the same file would not keep
 * the process from starting, so the tunnel is taken and tries on. A tunnel whose listen address
 * stays keeps its listener, so that no connect fails meanwhile; running connections go on as they
 * are.
 *
 * At the start it is an error if no tunnel at all can listen: a person at the terminal, or the
 * service manager, should see it at once. If some can, the others try on.
 */
#ifndef SALLYPORT_TUNNEL_SERVICE_H
#define SALLYPORT_TUNNEL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"
#include "tunnel/port.h"
#include "tunnel/settings.h"

/* How long a connection that is ended at the end of the drain may take to send what is written. */
#define SERVICE_LAST_LINGER_MS 1000

struct tunnel_service;

struct tunnel_service_events {
    /* All tunnels listen, and no first identity is on its way any more: it came, or why it did not
     * is known. Once; may come from inside start. */
    void (*ready)(void *owner);
    void (*stopped)(void *owner); /* nothing runs any more; once, from the loop or from inside drain
                                     and stop */
    /* No tunnel has an identity, and none will get one before a person does something (a join token
     * that is used up): the owner may as well stop. From the loop; NULL allowed. */
    void (*hopeless)(void *owner, const struct error *err);
};

/* Starts all tunnels; what it needs of the configuration is copied. */
bool tunnel_service_start(uv_loop_t *loop, const struct tunnel_config *config,
                          const struct tunnel_service_events *events, void *owner,
                          struct tunnel_service **out, struct error *err) MUST_USE;

/* Goes over to another configuration. Refused while draining. */
bool tunnel_service_reload(struct tunnel_service *service, const struct tunnel_config *config,
                           struct error *err) MUST_USE;

/* No new connections; those that run may go on for the configured drain time. */
void tunnel_service_drain(struct tunnel_service *service);

/* Ends everything now. */
void tunnel_service_stop(struct tunnel_service *service);

/* Frees it, after `stopped` came and uv_run() has returned; run the loop once more then. */
void tunnel_service_destroy(struct tunnel_service *service);

/* One line for each tunnel in the log. */
void tunnel_service_log_statistics(const struct tunnel_service *service);

struct tunnel_service_summary {
    size_t tunnels;
    size_t listening;
    size_t connections; /* those of tunnels that a reload removed included */
    size_t ready;       /* TLS connections kept ready */
    /* Of the identity to worry about first: one in trouble, or whose certificate ends first. */
    struct shared_status identity;
};

void tunnel_service_summarize(const struct tunnel_service *service,
                              struct tunnel_service_summary *out);

/* The tunnel at an index below summary.tunnels. */
const struct port *tunnel_service_port(const struct tunnel_service *service, size_t index);

#endif
