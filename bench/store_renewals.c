/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What renewals cost the authority's store: a renewal is store_instance_advance() and a row of the
 * ledger. One at a time (each its own fsync(2)) and in groups.
 *
 *     meson compile -C BUILD bench_store_renewals && BUILD/authority/bench_store_renewals DIR [N]
 *
 * DIR must not be there, or be a store of an earlier run; put it on the disk that is meant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authority/store.h"

#define BENCH_INSTANCES 500
#define BENCH_RENEWALS  20000
#define BENCH_ALONE     1000 /* renewals that wait for the disk one by one */

static struct store *store;
static unsigned serial; /* the last one that was given out */

struct bench_instance {
    char id[STORE_INSTANCE_SIZE];
    char current[STORE_SERIAL_SIZE];
};

static struct bench_instance instances[BENCH_INSTANCES];

static void check(bool done, const struct error *err)
{
    if (done)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Serials are random in earnest: the index has them in no order. */
static void next_serial(char out[STORE_SERIAL_SIZE])
{
    uint64_t mixed = (uint64_t)++serial * 0x9E3779B97F4A7C15;
    snprintf(out, STORE_SERIAL_SIZE, "%016llx%016x", (unsigned long long)mixed, serial);
}

static void note(const char *number, const char *id, int64_t now)
{
    struct error err = {0};
    struct store_certificate row = {.kind = STORE_CERTIFICATE_BOT,
                                    .generation = 1,
                                    .not_before_us = now - 60000000,
                                    .not_after_us = now + 3600000000,
                                    .issued_us = now};
    memcpy(row.serial, number, sizeof row.serial);
    memcpy(row.instance, id, sizeof row.instance);
    snprintf(row.subject, sizeof row.subject, "CN=ci-1,O=shop-reader,O=shop-writer,OU=bots");
    check(store_certificate_add(store, &row, &err), &err);
}

static void add_instance(struct bench_instance *instance, unsigned number, int64_t now)
{
    struct error err = {0};
    struct store_instance row = {.generation = 1, .created_us = now, .not_after_us = now};
    snprintf(instance->id, sizeof instance->id, "%032llx", (unsigned long long)now + number);
    next_serial(instance->current);
    memcpy(row.id, instance->id, sizeof row.id);
    memcpy(row.serial, instance->current, sizeof row.serial);
    snprintf(row.bot, sizeof row.bot, "bench");
    snprintf(row.joined_by, sizeof row.joined_by, "key");
    check(store_instance_add(store, &row, &err), &err);
    note(instance->current, instance->id, now);
}

static void renew(struct bench_instance *instance, int64_t now)
{
    struct error err = {0};
    char number[STORE_SERIAL_SIZE];
    const struct store_next next = {number, now + 3600000000, now};
    bool done;
    next_serial(number);
    check(store_instance_advance(store, instance->id, instance->current, &next, &done, &err), &err);
    if (!done) {
        fprintf(stderr, "another renewal came first\n");
        exit(1);
    }
    note(number, instance->id, now);
    memcpy(instance->current, number, sizeof number);
}

/* Each renewal in a group of its own within the batch, as a request would be. */
static void run(unsigned renewals, unsigned batch)
{
    struct error err = {0};
    int64_t now = clock_us(CLOCK_REALTIME);
    int64_t wall = clock_us(CLOCK_MONOTONIC);
    int64_t cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < renewals; i += batch) {
        if (batch > 1)
            check(store_begin(store, &err), &err);
        for (unsigned j = 0; j < batch; j++) {
            check(store_begin(store, &err), &err);
            renew(&instances[(i + j) % BENCH_INSTANCES], now);
            check(store_commit(store, &err), &err);
        }
        if (batch > 1)
            check(store_commit(store, &err), &err);
    }
    wall = clock_us(CLOCK_MONOTONIC) - wall;
    cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("groups of %4u: %8.0f renewals/s, %6.1f us each, of which %5.1f us are CPU\n", batch,
           renewals * 1e6 / (double)wall, (double)wall / renewals, (double)cpu / renewals);
}

static void set_up(const char *directory)
{
    struct error err = {0};
    struct store_bot bot = {.name = "bench"};
    int64_t now = clock_us(CLOCK_REALTIME);
    check(store_open(directory, &store, &err), &err);
    serial = (unsigned)now; /* not those of an earlier run */
    check(store_bot_add(store, &bot, &err) || err.code == ERROR_EXISTS, &err);
    check(store_begin(store, &err), &err);
    for (unsigned i = 0; i < BENCH_INSTANCES; i++)
        add_instance(&instances[i], i, now);
    check(store_commit(store, &err), &err);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_store_renewals DIR [RENEWALS]\n");
        return 2;
    }
    unsigned renewals = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : BENCH_RENEWALS;
    set_up(argv[1]);
    run(BENCH_ALONE, 1);
    run(renewals, 10);
    run(renewals, 50);
    run(renewals, 500);
    store_close(store);
    return 0;
}
