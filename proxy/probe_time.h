/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that are refused for their dates: whose clock is to blame, and by how much. Neither
 * MySQL nor TLS 1.2 and 1.3 as OpenSSL speaks it tell a client the server's time before a login, so
 * what is known is a bound.
 */
#ifndef SALLYPORT_PROXY_PROBE_TIME_H
#define SALLYPORT_PROXY_PROBE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/diagnose.h"

/* The alert about a certificate that is not valid yet stands for other faults too. One that is
 * valid by our clock for longer than this is not refused for a clock's sake. */
#define PROBE_TIME_RECENT_US INT64_C(86400000000)

/* A certificate's dates and our clock, wall time. */
struct probe_time {
    int64_t not_before_us;
    int64_t not_after_us; /* 0: both are not known */
    int64_t now_us;
};

/* Whether the peer's word about our certificate is about its dates. */
bool probe_time_is_it(enum diagnosis diagnosis, const struct probe_time *own);

/* "<words>; by our clock …, so the server's clock is ahead of ours by 59 minutes or more" */
void probe_time_of_own(enum diagnosis diagnosis, const struct probe_time *own, const char *words,
                       char *out, size_t size);
/* The same of the server's certificate, which we have refused. */
void probe_time_of_server(const struct probe_time *server, const char *words, char *out,
                          size_t size);

#endif
