/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/files.h"
#include "audit/line.h"
#include "audit/reader.h"
#include "base/clock.h"
#include "base/log.h"

static char directory[64];
static struct audit_log *log_;
static struct audit_prefix prefix;

static void open_directory(void)
{
    const struct audit_session session = {.bot = "tester"};
    snprintf(directory, sizeof directory, "/tmp/test_audit_log.XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    cr_assert(audit_prefix_render(&prefix, &session, NULL));
}

static void remove_directory(void)
{
    struct audit_reader reader;
    chmod(directory, 0700);
    if (audit_reader_open(&reader, directory, NULL)) {
        for (size_t i = 0; i < reader.count; i++) {
            char name[AUDIT_FILE_NAME_SIZE];
            audit_file_name(reader.first_seqs[i], name);
            unlinkat(reader.directory_fd, name, 0);
        }
        unlinkat(reader.directory_fd, "lock", 0);
        audit_reader_close(&reader);
    }
    rmdir(directory);
    audit_prefix_release(&prefix);
}

TestSuite(audit_log, .init = open_directory, .fini = remove_directory, .timeout = 60);

static bool try_open(size_t file_size, struct error *err)
{
    const struct audit_settings settings = {.directory = directory, .file_size = file_size};
    return audit_log_open(&settings, 2, &log_, err);
}

static void open_log(size_t file_size)
{
    struct error err;
    cr_assert(try_open(file_size, &err), "%s", err.message);
}

static struct audit_entry *begin(unsigned lane, const char *sql, enum audit_answer *answer)
{
    struct audit_intent intent = {.event = "query",
                                  .statement = sql,
                                  .statement_captured = strlen(sql),
                                  .statement_length = strlen(sql)};
    struct audit_entry *entry;
    struct error err;
    cr_assert(audit_begin(audit_log_lane(log_, lane), &prefix, &intent, answer, &entry, &err), "%s",
              err.message);
    cr_assert_eq(*answer == AUDIT_READY, entry != NULL);
    return entry;
}

static const struct audit_outcome ok = {.outcome = "ok", .duration_us = 1};

static void record(unsigned lane, const char *sql)
{
    enum audit_answer answer;
    struct audit_entry *entry = begin(lane, sql, &answer);
    cr_assert_eq(answer, AUDIT_READY);
    audit_finish(entry, &ok);
}

struct found {
    size_t files;
    uint64_t records, bad, last_seq;
};

/* Reads all files strictly: each begins with the seq of its name, seqs have no gap. */
static struct found read_all(void)
{
    static struct audit_line line;
    struct audit_reader reader;
    struct found found = {0};
    const char *text;
    size_t length;
    cr_assert(audit_reader_open(&reader, directory, NULL));
    found.files = reader.count;
    for (size_t i = 0; i < reader.count; i++) {
        bool first = true;
        enum audit_read got;
        cr_assert(audit_reader_file(&reader, i, 0, NULL));
        while ((got = audit_reader_line(&reader, &text, &length, NULL)) == AUDIT_READ_LINE) {
            uint64_t seq;
            if (!audit_line_read(text, length, &line, NULL)) {
                found.bad++;
                continue;
            }
            cr_assert(audit_value_unsigned(audit_line_find(&line, "seq"), &seq));
            cr_assert(!first || seq == reader.first_seqs[i]);
            cr_assert(found.bad > 0 || found.records == 0 || seq == found.last_seq + 1,
                      "a gap before %lu", seq);
            found.last_seq = seq;
            found.records++;
            first = false;
        }
        cr_assert_eq(got, AUDIT_READ_END);
    }
    audit_reader_close(&reader);
    return found;
}

static mode_t mode_of(const char *name)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return status.st_mode & 0777;
}

Test(audit_log, makes_a_private_directory_and_files)
{
    cr_assert_eq(rmdir(directory), 0);
    open_log(1 << 20);
    record(0, "SELECT 1");
    audit_log_close(log_);
    cr_expect_eq(mode_of("."), 0700);
    cr_expect_eq(mode_of("audit-00000000000000000001.jsonl"), 0600);
    cr_expect_eq(mode_of("lock"), 0600);
}

Test(audit_log, writes_all_lanes_and_goes_on_after_a_restart)
{
    for (int run = 0; run < 3; run++) {
        open_log(1 << 20);
        for (int i = 0; i < 100; i++)
            record((unsigned)i % 2, "SELECT 1");
        audit_log_close(log_);
    }
    struct found found = read_all();
    cr_expect_eq(found.records, 300);
    cr_expect_eq(found.files, 1);
}

Test(audit_log, numbers_in_the_order_of_the_endings)
{
    enum audit_answer answer;
    open_log(1 << 20);
    struct audit_entry *first = begin(0, "first", &answer);
    struct audit_entry *second = begin(0, "second", &answer);
    audit_finish(second, &ok);
    audit_finish(first, &ok);
    audit_log_close(log_);
    char path[128], text[2048] = "";
    snprintf(path, sizeof path, "%s/audit-%020d.jsonl", directory, 1);
    FILE *file = fopen(path, "r");
    cr_assert(file && fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    cr_expect_lt((void *)strstr(text, "second"), (void *)strstr(text, "first"));
}

Test(audit_log, rotates_at_a_records_end)
{
    open_log(2000);
    for (int i = 0; i < 200; i++)
        record(0, "SELECT 'some text that fills files'");
    audit_log_close(log_);
    struct found found = read_all();
    cr_expect_eq(found.records, 200);
    cr_expect_gt(found.files, 10);
    open_log(2000); /* the last file has room or has not: both go on */
    record(0, "SELECT 1");
    audit_log_close(log_);
    cr_expect_eq(read_all().records, 201);
}

Test(audit_log, refuses_a_second_writer)
{
    struct error err;
    open_log(1 << 20);
    struct audit_log *first = log_;
    char self[24];
    snprintf(self, sizeof self, "process %d)", getpid());
    cr_expect_not(try_open(1 << 20, &err));
    cr_expect_null(log_);
    cr_expect_not_null(strstr(err.message, self), "%s", err.message);
    audit_log_close(first);
    open_log(1 << 20);
    audit_log_close(log_);
}

static void append_to(uint64_t first_seq, const char *text)
{
    char name[AUDIT_FILE_NAME_SIZE], path[128];
    audit_file_name(first_seq, name);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "a");
    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    fclose(file);
}

Test(audit_log, ends_a_cut_line_and_uses_no_seq_twice)
{
    open_log(1 << 20);
    record(0, "SELECT 1");
    audit_log_close(log_);
    append_to(1, "{\"v\":1,\"seq\":2,\"time\":\"2026-01-31T");
    open_log(1 << 20);
    record(0, "SELECT 2");
    audit_log_close(log_);
    struct found found = read_all();
    cr_expect_eq(found.records, 2);
    cr_expect_eq(found.bad, 1);
    cr_expect_eq(found.last_seq, 3);
}

Test(audit_log, goes_on_behind_a_line_cut_anywhere)
{
    static const char line[] = "{\"v\":1,\"seq\":41,\"time\":\"x\"}\n";
    for (size_t cut = 0; cut <= strlen(line); cut++) {
        char part[sizeof line] = "";
        memcpy(part, line, cut);
        append_to(40, "{\"v\":1,\"seq\":40,\"a\":1}\n");
        append_to(40, part);
        open_log(1 << 20);
        record(0, "SELECT 1");
        audit_log_close(log_);
        bool seen = cut >= strlen("{\"v\":1,\"seq\":41,");
        cr_expect_eq(read_all().last_seq, seen ? 42 : 41, "cut at %zu", cut);
        char path[128];
        snprintf(path, sizeof path, "%s/audit-%020d.jsonl", directory, 40);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(audit_log, takes_the_seq_of_an_empty_or_foreign_file_from_its_name)
{
    append_to(7, "");
    open_log(1 << 20);
    record(0, "SELECT 1");
    audit_log_close(log_);
    cr_expect_eq(read_all().last_seq, 7);
    append_to(100, "this is no record\nnor is this\n");
    open_log(1 << 20);
    record(0, "SELECT 1");
    audit_log_close(log_);
    cr_expect_eq(read_all().last_seq, 100);
}

Test(audit_log, passes_over_names_that_are_not_its_own)
{
    uint64_t seq;
    cr_expect(audit_file_name_read("audit-00000000000000000012.jsonl", &seq) && seq == 12);
    cr_expect(audit_file_name_read("audit-18446744073709551615.jsonl", &seq));
    cr_expect_not(audit_file_name_read("audit-18446744073709551616.jsonl", &seq));
    cr_expect_not(audit_file_name_read("audit-0000000000000000001.jsonl", &seq));
    cr_expect_not(audit_file_name_read("audit-0000000000000000001x.jsonl", &seq));
    cr_expect_not(audit_file_name_read("audit-00000000000000000012.jsonl~", &seq));
    cr_expect_not(audit_file_name_read("", &seq));
}

Test(audit_log, says_what_is_wrong_with_the_directory)
{
    struct error err;
    char good[sizeof directory];
    memcpy(good, directory, sizeof good);
    snprintf(directory, sizeof directory, "/nonexistent/audit");
    cr_expect_not(try_open(1 << 20, &err));
    cr_expect_not_null(strstr(err.message, "/nonexistent/audit"), "%s", err.message);
    snprintf(directory, sizeof directory, "/dev/null");
    cr_expect_not(try_open(1 << 20, &err));
    memcpy(directory, good, sizeof good);
    const struct audit_settings settings = {.directory = directory, .file_size = 1};
    cr_expect_not(audit_log_open(&settings, 0, &log_, &err));
}

Test(audit_log, follows_no_symbolic_link)
{
    char path[128];
    struct error err;
    snprintf(path, sizeof path, "%s/audit-%020d.jsonl", directory, 1);
    cr_assert_eq(symlink("/dev/null", path), 0);
    cr_expect_not(try_open(1 << 20, &err));
    cr_assert_eq(unlink(path), 0);
}

static atomic_int rooms;

static void count_room(void *arg)
{
    (void)arg;
    atomic_fetch_add(&rooms, 1);
}

static bool wait_for(bool (*happened)(void))
{
    for (int i = 0; i < 5000; i++) {
        if (happened())
            return true;
        usleep(2000);
    }
    return false;
}

static bool is_failing(void)
{
    return audit_log_failing(log_);
}

static bool is_not_failing(void)
{
    return !audit_log_failing(log_);
}

static bool room_came(void)
{
    return atomic_load(&rooms) > 0;
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Fills a lane while the disk takes nothing; returns how many records it took. */
static uint64_t fill_lane(void)
{
    static char sql[200001];
    uint64_t taken = 0;
    memset(sql, 'x', sizeof sql - 1);
    for (;;) {
        enum audit_answer answer;
        struct audit_entry *entry = begin(0, sql, &answer);
        if (!entry)
            return taken;
        audit_finish(entry, &ok);
        taken++;
    }
}

Test(audit_log, loses_nothing_when_the_disk_is_full_and_wakes_who_waits)
{
    log_configure(LOG_ERROR, LOG_FORMAT_JSON);
    limit_file_size(100 * 1000); /* the writer's thread meets EFBIG, in the middle of a record */
    open_log(1 << 30);
    audit_lane_on_room(audit_log_lane(log_, 0), count_room, NULL);
    uint64_t taken = fill_lane();
    cr_assert(taken > 50, "only %lu records were taken", taken);
    cr_assert(wait_for(is_failing));
    taken += fill_lane(); /* what the writer has taken out meanwhile */
    cr_expect_eq(atomic_load(&rooms), 0);
    limit_file_size(RLIM_INFINITY);
    cr_assert(wait_for(room_came), "no wake-up came");
    cr_assert(wait_for(is_not_failing));
    record(0, "SELECT 1");
    audit_log_close(log_);
    struct found found = read_all();
    cr_expect_eq(found.records, taken + 1);
    cr_expect_eq(found.bad, 0);
}

Test(audit_log, waits_for_a_file_that_cannot_be_made)
{
    log_configure(LOG_ERROR, LOG_FORMAT_JSON);
    open_log(1 << 20);
    struct rlimit before, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    record(0, "SELECT 1");
    bool failing = wait_for(is_failing);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_expect(failing);
    audit_log_close(log_);
    cr_expect_eq(read_all().records, 1);
}

Test(audit_log, closing_gives_up_on_a_disk_that_stays_full)
{
    log_configure(LOG_ERROR, LOG_FORMAT_JSON);
    limit_file_size(200);
    open_log(1 << 20);
    record(0,
           "SELECT 'a record that is longer than the two hundred bytes that the disk has, surely, "
           "with what stands around it in the line'");
    cr_assert(wait_for(is_failing));
    int64_t start = clock_monotonic_us();
    audit_log_close(log_);
    int64_t took = clock_monotonic_us() - start;
    cr_expect(took < 20 * 1000000, "closing took %ld us", took);
}

Test(audit_log, open_entries_hold_their_room)
{
    static struct audit_entry *entries[4000];
    enum audit_answer answer;
    size_t count = 0;
    open_log(1 << 20);
    audit_lane_on_room(audit_log_lane(log_, 0), count_room, NULL);
    while (count < 4000 && (entries[count] = begin(0, "SELECT 1", &answer)) != NULL)
        count++;
    cr_assert(count > 1000 && count < 4000, "%zu entries fitted", count);
    cr_expect_eq(atomic_load(&rooms), 0);
    audit_finish(entries[--count], &ok);
    cr_assert(wait_for(room_came), "no wake-up came though an entry was finished");
    while (count > 0)
        audit_finish(entries[--count], &ok);
    audit_log_close(log_);
    cr_expect_gt(read_all().records, 1000);
}

Test(audit_log, takes_the_greatest_record)
{
    static char sql[AUDIT_STATEMENT_LIMIT_MAX + 2];
    enum audit_answer answer;
    memset(sql, 1, AUDIT_STATEMENT_LIMIT_MAX);
    open_log(1 << 20);
    struct audit_entry *entry = begin(0, sql, &answer);
    cr_assert_eq(answer, AUDIT_READY);
    audit_finish(entry, &ok);
    struct audit_intent intent = {
        .event = "query", .statement = sql, .statement_captured = AUDIT_STATEMENT_LIMIT_MAX + 1};
    struct error err;
    cr_expect_not(audit_begin(audit_log_lane(log_, 0), &prefix, &intent, &answer, &entry, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    audit_log_close(log_);
    cr_expect_eq(read_all().records, 1);
}

Test(audit_log, syncs_when_asked_to)
{
    const struct audit_settings settings = {
        .directory = directory, .file_size = 2000, .fsync = true};
    struct error err;
    cr_assert(audit_log_open(&settings, 1, &log_, &err), "%s", err.message);
    for (int i = 0; i < 30; i++)
        record(0, "SELECT 'some text that fills files'");
    audit_log_close(log_);
    cr_expect_eq(read_all().records, 30);
}

Test(audit_log, has_only_the_lanes_asked_for)
{
    open_log(1 << 20);
    cr_expect_not_null(audit_log_lane(log_, 1));
    cr_expect_null(audit_log_lane(log_, 2));
    audit_log_close(log_);
    audit_log_close(NULL);
}
