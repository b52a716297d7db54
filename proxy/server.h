/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport serve`: the main thread. Reads the configuration, binds the listeners, starts the
 * workers, then handles signals: SIGHUP reloads, SIGTERM and SIGINT drain (a second one stops at
 * once).
 */
#ifndef SALLYPORT_PROXY_SERVER_H
#define SALLYPORT_PROXY_SERVER_H

#include "base/error.h"

/* Runs until it is told to stop. True: a drained stop. */
bool server_run(const char *config_file, struct error *err) MUST_USE;

#endif
