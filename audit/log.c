/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: lanes in, files out. The writer thread is the only one that numbers records and writes
 * lines. It drains all lanes, writes a batch with one write(2), and naps; only when a whole nap
 * brought nothing does it go to sleep until a producer rings.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/files.h"
#include "audit/intake.h"
#include "audit/store.h"
#include "base/clock.h"
#include "base/log.h"

#define LOG_BATCH_SIZE        (256 * 1024)      /* bytes of one write */
#define LOG_NAP_MS            2                 /* between drains: at most 500 a second */
#define LOG_RETRY_MS          1000              /* between tries when the disk refuses */
#define LOG_CLOSE_PATIENCE_US (5 * 1000 * 1000) /* how long closing waits for such a disk */
#define LOG_SEQ_DIGITS        20
#define LOG_LANES_MAX         1024

struct audit_log {
    struct audit_store store;
    size_t file_size;
    bool sync;
    uint64_t next_seq;
    struct audit_lane *lanes;
    unsigned lane_count;
    struct audit_doorbell doorbell;
    pthread_t thread;
    atomic_bool closing;
    atomic_bool failing;
    _Atomic int64_t close_deadline; /* monotonic; counts once `closing` is set */
    bool gave_up;                   /* writer: the deadline has passed on a disk that refuses */
    bool unsynced;                  /* writer: written since the last sync */
    uint8_t *batch;
    size_t batch_start, batch_end; /* writer: what of the batch is not written yet */
};

struct audit_lane *audit_log_lane(struct audit_log *log, unsigned index)
{
    return index < log->lane_count ? &log->lanes[index] : NULL;
}

bool audit_log_failing(const struct audit_log *log)
{
    return atomic_load_explicit(&log->failing, memory_order_relaxed);
}

static void sleep_ms(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&left, NULL);
}

/* After a refusal: says so once, and waits before the next try. False when closing has run out of
 * patience. */
static bool wait_for_disk(struct audit_log *log, const struct error *cause)
{
    if (!atomic_exchange(&log->failing, true))
        log_error("the audit log cannot be written; sessions wait until it can", "cause",
                  cause->message, NULL);
    for (long waited = 0; waited < LOG_RETRY_MS; waited += 50) {
        if (atomic_load(&log->closing) &&
            clock_monotonic_us() >= atomic_load(&log->close_deadline)) {
            log->gave_up = true;
            return false;
        }
        sleep_ms(50);
    }
    return true;
}

static void disk_works(struct audit_log *log)
{
    if (atomic_load_explicit(&log->failing, memory_order_relaxed)) {
        atomic_store(&log->failing, false);
        log_info("the audit log can be written again", NULL);
    }
}

/* Writes the batch out, however long that takes. */
static bool flush(struct audit_log *log)
{
    while (log->batch_start < log->batch_end) {
        struct error err = {0};
        size_t written;
        if (audit_store_write(&log->store, log->batch + log->batch_start,
                              log->batch_end - log->batch_start, &written, &err)) {
            log->batch_start += written;
            log->unsynced = true;
            disk_works(log);
        } else if (!wait_for_disk(log, &err)) {
            return false;
        }
    }
    log->batch_start = 0;
    log->batch_end = 0;
    return true;
}

static bool sync_file(struct audit_log *log)
{
    struct error err = {0};
    if (!log->sync || !log->unsynced)
        return true;
    while (!audit_store_sync(&log->store, &err))
        if (!wait_for_disk(log, &err))
            return false;
    disk_works(log);
    log->unsynced = false;
    return true;
}

/* Before a record: a file that has room, the one before it complete. */
static bool ensure_file(struct audit_log *log)
{
    struct error err = {0};
    size_t pending = log->batch_end - log->batch_start;
    if (log->store.file_fd >= 0 && log->store.file_bytes + pending < log->file_size)
        return true;
    if (log->store.file_fd >= 0 && (!flush(log) || !sync_file(log)))
        return false;
    while (!audit_store_begin_file(&log->store, log->next_seq, &err))
        if (!wait_for_disk(log, &err))
            return false;
    disk_works(log);
    return true;
}

static bool put(struct audit_log *log, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        size_t room = LOG_BATCH_SIZE - log->batch_end;
        size_t part = length < room ? length : room;
        memcpy(log->batch + log->batch_end, from, part);
        log->batch_end += part;
        from += part;
        length -= part;
        if (log->batch_end == LOG_BATCH_SIZE && !flush(log))
            return false;
    }
    return true;
}

static bool put_seq(struct audit_log *log, uint64_t seq)
{
    char digits[LOG_SEQ_DIGITS];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + seq % 10);
        seq /= 10;
    } while (seq > 0);
    return put(log, AUDIT_LINE_BEGIN, strlen(AUDIT_LINE_BEGIN)) &&
           put(log, digits + at, sizeof digits - at) && put(log, ",", 1);
}

/* The length in front of a record, which may lie across two chunks. */
static uint32_t take_length(struct audit_lane_ring *ring)
{
    uint8_t bytes[AUDIT_LANE_HEADER];
    size_t got = 0;
    while (got < sizeof bytes) {
        size_t part;
        const uint8_t *from = audit_lane_peek(ring, sizeof bytes - got, &part);
        memcpy(bytes + got, from, part);
        audit_lane_take(ring, part);
        got += part;
    }
    uint32_t length;
    memcpy(&length, bytes, sizeof length);
    return length;
}

static bool put_record(struct audit_log *log, struct audit_lane_ring *ring, size_t length)
{
    if (!ensure_file(log) || !put_seq(log, log->next_seq))
        return false;
    log->next_seq++;
    while (length > 0) {
        size_t part;
        const uint8_t *from = audit_lane_peek(ring, length, &part);
        if (!put(log, from, part))
            return false;
        audit_lane_take(ring, part);
        length -= part;
    }
    return put(log, "}\n", 2);
}

/* All that a lane had when its turn came. */
static bool drain_lane(struct audit_log *log, struct audit_lane_ring *ring, bool *some)
{
    size_t ready = audit_lane_ready(ring);
    if (ready == 0)
        return true;
    *some = true;
    while (ready > 0) {
        uint32_t length = take_length(ring);
        ready -= AUDIT_LANE_HEADER + length;
        if (!put_record(log, ring, length))
            return false;
    }
    audit_lane_tell_room(ring);
    return true;
}

/* One round over all lanes. False when closing gave up. */
static bool drain(struct audit_log *log, bool *some)
{
    *some = false;
    for (unsigned i = 0; i < log->lane_count; i++)
        if (!drain_lane(log, &log->lanes[i].ring, some))
            return false;
    return flush(log) && sync_file(log);
}

static void sleep_until_rung(struct audit_log *log)
{
    uint64_t rings;
    /* Asleep first, then a last look: a producer publishes first, then looks whether we sleep. */
    atomic_store(&log->doorbell.asleep, true);
    bool wanted = atomic_load(&log->closing);
    for (unsigned i = 0; i < log->lane_count && !wanted; i++)
        wanted = audit_lane_ready(&log->lanes[i].ring) > 0;
    if (wanted) {
        atomic_store(&log->doorbell.asleep, false);
        return;
    }
    while (read(log->doorbell.event_fd, &rings, sizeof rings) < 0 && errno == EINTR)
        continue;
    atomic_store(&log->doorbell.asleep, false);
}

static void *writer_main(void *arg)
{
    struct audit_log *log = arg;
    for (;;) {
        bool some;
        bool closing = atomic_load(&log->closing);
        if (!drain(log, &some))
            break;
        if (some)
            sleep_ms(LOG_NAP_MS);
        else if (closing)
            break;
        else
            sleep_until_rung(log);
    }
    return NULL;
}

/* With all signals blocked: they are the main thread's, and a file limit's SIGXFSZ becomes the
 * EFBIG that is waited out as a full disk is. */
static bool start_writer(struct audit_log *log, struct error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&log->thread, NULL, writer_main, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return error_system(err, failure, "cannot start the audit writer");
    pthread_setname_np(log->thread, "audit");
    return true;
}

static void log_free(struct audit_log *log)
{
    for (unsigned i = 0; i < log->lane_count; i++)
        audit_lane_close(&log->lanes[i]);
    free(log->lanes);
    free(log->batch);
    if (log->doorbell.event_fd >= 0)
        close(log->doorbell.event_fd);
    audit_store_close(&log->store);
    free(log);
}

static bool open_lanes(struct audit_log *log, unsigned lanes, struct error *err)
{
    log->lanes = aligned_alloc(_Alignof(struct audit_lane), lanes * sizeof *log->lanes);
    log->batch = malloc(LOG_BATCH_SIZE);
    if (!log->lanes || !log->batch)
        return error_set(err, ERROR_MEMORY, "out of memory for %u audit lanes", lanes);
    for (unsigned i = 0; i < lanes; i++) {
        if (!audit_lane_open(&log->lanes[i], AUDIT_LANE_SIZE / AUDIT_LANE_CHUNKS, &log->doorbell,
                             err))
            return false;
        log->lane_count++;
    }
    return true;
}

static bool open_doorbell(struct audit_doorbell *doorbell, struct error *err)
{
    atomic_init(&doorbell->asleep, false);
    doorbell->event_fd = eventfd(0, EFD_CLOEXEC);
    return doorbell->event_fd >= 0 || error_system(err, errno, "cannot make an eventfd");
}

bool audit_log_open(const struct audit_settings *settings, unsigned lanes, struct audit_log **out,
                    struct error *err)
{
    *out = NULL;
    if (lanes == 0 || lanes > LOG_LANES_MAX)
        return error_set(err, ERROR_LIMIT, "%u audit lanes: 1 to %d are possible", lanes,
                         LOG_LANES_MAX);
    struct audit_log *log = calloc(1, sizeof *log);
    if (!log)
        return error_set(err, ERROR_MEMORY, "out of memory for the audit log");
    log->file_size = settings->file_size;
    log->sync = settings->fsync;
    log->doorbell.event_fd = -1;
    log->store = (struct audit_store){.directory_fd = -1, .lock_fd = -1, .file_fd = -1};
    if (!audit_store_open(&log->store, settings->directory, settings->fsync, &log->next_seq, err) ||
        !open_doorbell(&log->doorbell, err) || !open_lanes(log, lanes, err) ||
        !start_writer(log, err)) {
        log_free(log);
        return error_wrap(err, "cannot open the audit log");
    }
    *out = log;
    return true;
}

/* Bytes of records that closing had to leave behind. */
static size_t unwritten(struct audit_log *log)
{
    size_t left = log->batch_end - log->batch_start;
    for (unsigned i = 0; i < log->lane_count; i++)
        left += audit_lane_ready(&log->lanes[i].ring);
    return left;
}

void audit_log_close(struct audit_log *log)
{
    if (!log)
        return;
    uint64_t one = 1;
    atomic_store(&log->close_deadline, clock_monotonic_us() + LOG_CLOSE_PATIENCE_US);
    atomic_store(&log->closing, true);
    while (write(log->doorbell.event_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    pthread_join(log->thread, NULL);
    if (log->gave_up) {
        char left[24];
        snprintf(left, sizeof left, "%zu", unwritten(log));
        log_error("the audit log was closed while it could not be written: records are lost",
                  "bytes", left, NULL);
    }
    log_free(log);
}
