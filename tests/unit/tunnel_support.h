/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tunnel talks to, for its tests: a proxy of our own that shakes hands for real, reads the
 * hello frame and can be told to misbehave, and a program that connects to a local port.
 */
#ifndef SALLYPORT_TESTS_TUNNEL_SUPPORT_H
#define SALLYPORT_TESTS_TUNNEL_SUPPORT_H

#include <stdbool.h>
#include <uv.h>

#include "base/address.h"
#include "tests/unit/tls_support.h"
#include "tls/hello.h"
#include "tls/stream.h"
#include "tunnel/list.h"

/* The greeting of the proxy; what comes after the hello frame it sends back. */
#define GREETING "greeting for "

enum proxy_mode {
    PROXY_ECHO,               /* greeting, then everything back */
    PROXY_CLOSE_AT_HANDSHAKE, /* closes in order when the handshake is done */
    PROXY_CLOSE_AT_HELLO,     /* closes when the hello frame came */
    PROXY_SILENT,             /* never says a thing */
    PROXY_EARLY,              /* speaks before the hello frame */
    PROXY_MUTE_TCP,           /* accepts and does not even shake hands */
    PROXY_STALL,              /* greets, then reads nothing more */
};

struct world {
    uv_loop_t loop;
    struct stream_loop *streams;
    uv_timer_t ticker; /* so that a wait comes to an end */
    uv_tcp_t listener;
    struct tls_context *context;
    struct address proxy; /* where it listens */
    enum proxy_mode mode;
    struct list sessions;
    /* Who gets connections of the control protocol; NULL: the proxy does not speak it. */
    void (*control)(void *owner, struct stream *stream);
    void *control_owner;
    int accepted, handshakes, hellos, failures;
    struct hello last;
    int descriptors; /* open before it all */
};

/* A running proxy. */
void world_open(struct world *world);
/* Stops the proxy: its port refuses, and its connections are closed. Once. */
void world_stop_proxy(struct world *world);
/* Closes each connection that the proxy has. */
void world_drop_sessions(struct world *world);
/* Takes another context, e.g. one that trusts another CA. */
void world_set_context(struct world *world, struct tls_context *context);
/* Runs the loop empty and checks that nothing is left: handles, descriptors. */
void world_close(struct world *world);
/* Runs the loop for that long. */
void world_run_for(struct world *world, int64_t milliseconds);

/* Runs the loop until it is true; fails after ten seconds. */
#define RUN_UNTIL(world, expression)                                                \
    do {                                                                            \
        int64_t until_ = clock_monotonic_us() + 10000000;                           \
        while (!(expression) && clock_monotonic_us() < until_)                      \
            (void)uv_run(&(world)->loop, UV_RUN_ONCE);                              \
        cr_assert(expression, "did not come: %s (line %d)", #expression, __LINE__); \
    } while (0)

/* A program that connects to a local port. */
struct program {
    struct stream *stream; /* NULL once closed */
    char received[1024];   /* the first bytes, NUL-terminated */
    size_t total;
    bool connected, ended, failed, closed;
    size_t kept;
};

void program_connect(struct world *world, struct program *program, const struct address *to);
void program_write(struct program *program, const void *bytes, size_t length);
void program_close(struct world *world, struct program *program);
/* The ERR packet that came instead of a greeting: its code; fails the test if there is none. */
unsigned program_error(const struct program *program);
/* The ERR packet's text, NUL-terminated. */
const char *program_error_text(const struct program *program);

/* A fresh directory, removed with directory_remove(). */
const char *directory_make(char path[64]);
void directory_remove(const char *path);
/* Copies a bot's three files of the test certificates to a directory. */
void identity_install(const char *directory, const char *bot);
void file_copy(const char *from, const char *directory, const char *name);
void file_write(const char *directory, const char *name, const char *text);

#endif
