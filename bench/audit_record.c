/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recording a command costs its worker: nanoseconds for audit_begin() and audit_finish()
 * together, the writer draining to a real directory meanwhile.
 *
 *     meson compile -C BUILD bench_audit_record && BUILD/audit/bench_audit_record DIR [RECORDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/audit.h"
#include "audit/params.h"

#define BENCH_RECORDS 1000000

struct bench_case {
    const char *name;
    const char *statement;
    size_t length;
    const char *charset;
    const char *params;
};

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t record(struct audit_lane *lane, const struct audit_prefix *prefix,
                      const struct bench_case *bench)
{
    struct audit_intent intent = {
        .event = "query",
        .command = "query",
        .schema = "shop",
        .statement = bench->statement,
        .statement_captured = bench->length,
        .statement_length = bench->length,
        .charset = bench->charset,
        .params = bench->params,
        .params_length = bench->params ? strlen(bench->params) : 0,
    };
    struct audit_outcome outcome = {
        .outcome = "ok",
        .has_rows = true,
        .rows = 1,
        .has_warnings = true,
        .bytes_in = 40,
        .bytes_out = 200,
        .duration_us = 321,
    };
    struct audit_entry *entry;
    enum audit_answer answer;
    struct error err;
    int64_t waited = 0;
    for (;;) {
        if (!audit_begin(lane, prefix, &intent, &answer, &entry, &err)) {
            fprintf(stderr, "%s\n", err.message);
            exit(1);
        }
        if (answer == AUDIT_READY)
            break;
        struct timespec nap = {0, 1000000};
        nanosleep(&nap, NULL);
        waited++;
    }
    audit_finish(entry, &outcome);
    return waited;
}

static void run(struct audit_lane *lane, const struct audit_prefix *prefix,
                const struct bench_case *bench, long records)
{
    int64_t waits = 0;
    int64_t whole = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t start = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < records; i++)
        waits += record(lane, prefix, bench);
    int64_t mine = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    whole = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - whole;
    printf("%-28s %7.0f ns a record in the worker, %7.0f ns with the writer, %lld waits\n",
           bench->name, (double)mine / (double)records, (double)whole / (double)records,
           (long long)waits);
}

int main(int argc, char **argv)
{
    static char large[65536];
    static char latin[200];
    const char *const roles[] = {"shop-reader"};
    struct error err;
    struct audit_log *log;
    struct audit_prefix prefix = {0};
    long records = argc > 2 ? atol(argv[2]) : BENCH_RECORDS;
    struct audit_session session = {
        .proxy = "proxy-1",
        .session = "01hq3v9x2m",
        .bot = "ci-runner-7",
        .subject = "CN=ci-runner-7,OU=bots,O=acme",
        .cert_serial = "4f3c2b1a09f8e7d6",
        .client = "10.0.0.9:53412",
        .roles = roles,
        .role_count = 1,
        .database = "shop",
        .mysql_user = "reader",
        .upstream_connection_id = 4711,
    };
    if (argc < 2) {
        fprintf(stderr, "usage: bench_audit_record DIRECTORY [RECORDS]\n");
        return 2;
    }
    struct audit_settings settings = {.directory = argv[1], .file_size = 1 << 30};
    if (!audit_log_open(&settings, 1, &log, &err) ||
        !audit_prefix_render(&prefix, &session, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    memset(large, 'x', sizeof large);
    memset(latin, 'e', sizeof latin);
    latin[100] = (char)0xE9;
    const char *select = "SELECT c FROM sbtest1 WHERE id=50134";
    const struct bench_case cases[] = {
        {"point select", select, strlen(select), NULL, NULL},
        {"execute with two values", select, strlen(select), NULL, "[50134,\"abc\"]"},
        {"200 bytes of latin1", latin, sizeof latin, "latin1", NULL},
        {"200 bytes of cp1250", latin, sizeof latin, "cp1250", NULL},
        {"64 KiB statement", large, sizeof large, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(audit_log_lane(log, 0), &prefix, &cases[i],
            cases[i].length > 1000 ? records / 50 : records);
    audit_prefix_release(&prefix);
    audit_log_close(log);
    return 0;
}
