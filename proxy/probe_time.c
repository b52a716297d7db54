/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/probe_time.h"

#include <stdio.h>

#define SPAN_SIZE 32

static const struct {
    int64_t seconds;
    const char *name;
} units[] = {{86400, "days"}, {3600, "hours"}, {60, "minutes"}, {1, "seconds"}};

/* In the largest unit of which there are two, rounded down: "59 minutes". */
static void print_span(int64_t us, char out[SPAN_SIZE])
{
    int64_t seconds = us / 1000000;
    size_t i = 0;
    while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
        i++;
    (void)snprintf(out, SPAN_SIZE, "%lld %s", (long long)(seconds / units[i].seconds),
                   units[i].name);
}

bool probe_time_is_it(enum diagnosis diagnosis, const struct probe_time *own)
{
    if (diagnosis == DIAGNOSIS_OWN_EXPIRED)
        return true;
    return diagnosis == DIAGNOSIS_OWN_BAD && own->not_after_us != 0 &&
           own->now_us - own->not_before_us < PROBE_TIME_RECENT_US;
}

void probe_time_of_own(enum diagnosis diagnosis, const struct probe_time *own, const char *words,
                       char *out, size_t size)
{
    char span[SPAN_SIZE];
    if (diagnosis == DIAGNOSIS_OWN_EXPIRED && own->now_us < own->not_after_us) {
        print_span(own->not_after_us - own->now_us, span);
        (void)snprintf(out, size,
                       "%s; by our clock it ends in %s, so the server's clock is ahead of ours by "
                       "that or more",
                       words, span);
    } else if (diagnosis == DIAGNOSIS_OWN_EXPIRED) {
        print_span(own->now_us - own->not_after_us, span);
        (void)snprintf(out, size, "%s; by our clock it ended %s ago", words, span);
    } else if (own->now_us < own->not_before_us) {
        print_span(own->not_before_us - own->now_us, span);
        (void)snprintf(out, size, "%s; by our clock it becomes valid in %s", words, span);
    } else {
        print_span(own->now_us - own->not_before_us, span);
        (void)snprintf(out, size,
                       "%s; by our clock it has been valid for %s: if the server's clock is "
                       "behind ours by more than that, it is not valid there yet",
                       words, span);
    }
}

void probe_time_of_server(const struct probe_time *server, const char *words, char *out,
                          size_t size)
{
    char span[SPAN_SIZE];
    bool early = server->now_us < server->not_before_us;
    bool late = server->now_us >= server->not_after_us;
    if (server->not_after_us == 0 || !(early || late)) {
        (void)snprintf(out, size, "%s", words); /* it is its CA's date */
        return;
    }
    print_span(early ? server->not_before_us - server->now_us
                     : server->now_us - server->not_after_us,
               span);
    if (early)
        (void)snprintf(out, size,
                       "%s, by our clock in %s: our clock is behind by that or more, or the "
                       "certificate was made by a clock that is ahead",
                       words, span);
    else
        (void)snprintf(out, size, "%s, by our clock %s ago", words, span);
}
