/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that workers listen on. */
#ifndef SALLYPORT_PROXY_LISTEN_H
#define SALLYPORT_PROXY_LISTEN_H

#include "base/error.h"
#include "proxy/settings.h"

/*
 * Binds one socket for each worker and listener (SO_REUSEPORT), into sockets[worker][listener] of
 * workers * listener_count elements: -1 where there is none, on failure too. The caller closes
 * them. ERROR_SYSTEM names the listener; a port that another process has is one.
 */
bool listen_bind(const struct proxy_settings *proxy, unsigned workers, int *sockets,
                 struct error *err) MUST_USE;

#endif
