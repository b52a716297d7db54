/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several producers and the writer, all of them in a hurry, for ThreadSanitizer to watch (see
 * meson.build for the command): every record that was promised is in the files, whole, numbered
 * without a gap, and those of one producer in its order.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/line.h"
#include "audit/reader.h"

#define RACE_PRODUCERS 4
#define RACE_RECORDS   2000
#define RACE_OPEN      8           /* records that a producer keeps open at once */
#define RACE_MEDIUM    (16 * 1024) /* of every tenth statement; six times that in JSON */
#define RACE_HOGS      13          /* records that stay open all the time, so that room is scarce */
#define RACE_DISK      (64 * 1024) /* what the disk takes at first */
#define RACE_HOG       (200 * 1024) /* their statement */

struct producer {
    pthread_t thread;
    unsigned index;
    struct audit_lane *lane;
    atomic_uint rooms;
    atomic_uint waits;
};

static struct producer producers[RACE_PRODUCERS];

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "race_audit: %s\n", what);
        abort();
    }
}

static void note_room(void *arg)
{
    struct producer *producer = arg;
    atomic_fetch_add(&producer->rooms, 1);
}

static struct audit_entry *begin(struct producer *producer, const struct audit_prefix *prefix,
                                 const char *name, size_t padding)
{
    static char zeros[RACE_HOG];
    struct audit_intent intent = {
        .event = "query",
        .command = name, /* any text will do, and it is not cut */
        .statement = zeros,
        .statement_captured = padding,
        .statement_length = padding,
    };
    struct audit_entry *entry;
    enum audit_answer answer;
    for (;;) {
        unsigned before = atomic_load(&producer->rooms);
        require(audit_begin(producer->lane, prefix, &intent, &answer, &entry, NULL), "begin");
        if (answer == AUDIT_READY)
            return entry;
        atomic_fetch_add(&producer->waits, 1);
        while (atomic_load(&producer->rooms) == before)
            sched_yield(); /* for ever, when a wake-up is lost */
    }
}

static struct audit_entry *begin_record(struct producer *producer,
                                        const struct audit_prefix *prefix, unsigned number)
{
    char name[64];
    snprintf(name, sizeof name, "producer %u record %u", producer->index, number);
    return begin(producer, prefix, name, number % 10 == 9 ? RACE_MEDIUM : 10);
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct audit_prefix prefix = {0};
    struct audit_session session = {.bot = "racer"};
    const struct audit_outcome outcome = {.outcome = "ok", .duration_us = 1};
    struct audit_entry *open[RACE_OPEN] = {0};
    struct audit_entry *hogs[RACE_HOGS];
    require(audit_prefix_render(&prefix, &session, NULL), "prefix");
    audit_lane_on_room(producer->lane, note_room, producer);
    for (unsigned i = 0; i < RACE_HOGS; i++)
        hogs[i] = begin(producer, &prefix, "hog", RACE_HOG);
    for (unsigned i = 0; i < RACE_RECORDS; i++) {
        struct audit_entry **slot = &open[i % RACE_OPEN];
        if (*slot)
            audit_finish(*slot, &outcome);
        *slot = begin_record(producer, &prefix, i);
        if (i % 1000 == 999)
            usleep(5000); /* lets the writer fall asleep now and then */
    }
    for (unsigned i = RACE_RECORDS; i < RACE_RECORDS + RACE_OPEN; i++)
        audit_finish(open[i % RACE_OPEN], &outcome);
    for (unsigned i = 0; i < RACE_HOGS; i++)
        audit_finish(hogs[i], &outcome);
    audit_prefix_release(&prefix);
    return NULL;
}

struct check {
    uint64_t next_seq;
    unsigned next[RACE_PRODUCERS];
    unsigned hogs;
};

static void check_line(struct check *check, const char *text, size_t length)
{
    static struct audit_line line;
    struct error err;
    uint64_t seq;
    unsigned index, number;
    require(audit_line_read(text, length, &line, &err), err.message);
    require(audit_value_unsigned(audit_line_find(&line, "seq"), &seq), "seq");
    require(seq == check->next_seq++, "a seq is missing or out of order");
    struct audit_value command = audit_line_find(&line, "command");
    if (audit_value_is(command, "hog")) {
        check->hogs++;
        return;
    }
    char name[64] = "";
    if (command.at && command.length < sizeof name)
        memcpy(name, command.at, command.length);
    require(sscanf(name, "\"producer %u record %u\"", &index, &number) == 2 &&
                index < RACE_PRODUCERS,
            "a record is damaged");
    require(number == check->next[index]++, "a record is lost or out of order");
}

static void check_directory(const char *directory)
{
    struct audit_reader reader;
    struct check check = {.next_seq = 1};
    const char *line;
    size_t length;
    require(audit_reader_open(&reader, directory, NULL), "open");
    require(reader.count > 1, "no file was rotated: the test shows less than it should");
    for (size_t i = 0; i < reader.count; i++) {
        require(audit_reader_file(&reader, i, 0, NULL), "file");
        enum audit_read got;
        while ((got = audit_reader_line(&reader, &line, &length, NULL)) == AUDIT_READ_LINE)
            check_line(&check, line, length);
        require(got == AUDIT_READ_END, "a file does not end with a line's end");
        unlinkat(reader.directory_fd, reader.name, 0);
    }
    for (unsigned i = 0; i < RACE_PRODUCERS; i++)
        require(check.next[i] == RACE_RECORDS, "records are lost");
    require(check.hogs == RACE_PRODUCERS * RACE_HOGS, "hogs are lost");
    unlinkat(reader.directory_fd, "lock", 0);
    audit_reader_close(&reader);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
}

static unsigned all_waits(void)
{
    unsigned waits = 0;
    for (unsigned i = 0; i < RACE_PRODUCERS; i++)
        waits += atomic_load(&producers[i].waits);
    return waits;
}

/* The disk is full from the start, until producers have met full lanes. */
static void let_producers_wait(const struct audit_log *log)
{
    while (all_waits() == 0 || !audit_log_failing(log))
        usleep(10000);
    limit_files(RLIM_INFINITY);
}

int main(void)
{
    char directory[] = "/tmp/race_audit.XXXXXX";
    struct audit_log *log;
    struct error err;
    require(mkdtemp(directory) != NULL, "mkdtemp");
    struct audit_settings settings = {.directory = directory, .file_size = 4 * 1024 * 1024};
    limit_files(RACE_DISK);
    require(audit_log_open(&settings, RACE_PRODUCERS, &log, &err), err.message);
    for (unsigned i = 0; i < RACE_PRODUCERS; i++) {
        producers[i].index = i;
        producers[i].lane = audit_log_lane(log, i);
        require(pthread_create(&producers[i].thread, NULL, produce, &producers[i]) == 0, "thread");
    }
    let_producers_wait(log);
    for (unsigned i = 0; i < RACE_PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    audit_log_close(log);
    check_directory(directory);
    require(rmdir(directory) == 0, "something is left in the directory");
    printf("race_audit: %d records of %d producers, %u waits for room\n",
           RACE_PRODUCERS * RACE_RECORDS, RACE_PRODUCERS, all_waits());
    return 0;
}
