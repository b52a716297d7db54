/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity's renewal beside an authority of the test's own, in one loop: what happened is
 * counted, and the directories are gone at the end. Whatever fails in here ends the test.
 */
#ifndef SALLYPORT_TESTS_RENEWAL_BENCH_H
#define SALLYPORT_TESTS_RENEWAL_BENCH_H

#include <stdbool.h>

#include "base/error.h"
#include "identity/credentials.h"
#include "identity/join_token.h"
#include "identity/renewal.h"
#include "tests/unit/authority_peer.h"

struct bench {
    struct world world;
    struct authority authority;
    char directory[64]; /* the identity's */
    char files[64];     /* tokens and keys */
    struct credentials *credentials;
    struct renewal *renewal;
    struct renewal_settings settings;
    struct join_token token;
    int renewed, confirmed, failed, final;
    struct error error; /* the last failure */
};

/* An authority and an empty directory; nothing runs yet. */
void bench_open(struct bench *bench);
/* Starts the renewal with the settings and the token that the bench has by now. */
void bench_start(struct bench *bench);
/* Ends the renewal, as its process would; bench_start() goes on in the same directory. */
void bench_stop(struct bench *bench);
void bench_close(struct bench *bench);

/* The token of the settings, as if it stood in the configuration. */
void use_token(struct bench *bench, const char *text);
/* In a file instead; its path, in a static buffer. Once more: other text in the same file. */
const char *token_file(struct bench *bench, const char *text);
/* Makes a key, registers it with the authority for the bot ci-1, and lets the bot join with it. */
void make_bound_key(struct bench *bench);
/* Starts, joins with a token and waits until the certificate is confirmed. */
void bench_join(struct bench *bench);

/* Whether there is a certificate to connect with; if not, `err` says why as programs are told. */
bool usable(const struct bench *bench, struct error *err);
/* What the status says is wrong, "" for nothing, in a static buffer. */
const char *problem(const struct bench *bench);
/* The serial of the certificate in the directory; "" without one. In a static buffer. */
const char *serial_on_disk(const struct bench *bench);
/* The text must hold these words. */
void expect_told(const char *text, const char *words);

#endif
