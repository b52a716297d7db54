/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/show.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "audit/reader.h"
#include "audit/table.h"

#define SHOW_WINDOW       (256 * 1024) /* first look at a file's end; four times more each time */
#define SHOW_CLOCK_SLACK  1000000      /* microseconds that file times may lag behind the clock */
#define SHOW_PARTIAL_LOOK 5            /* times a record that is being written is waited for */
#define SHOW_OUTPUT_KEEP  (64 * 1024)

struct showing {
    const struct audit_show *show;
    struct audit_shown *shown;
    struct audit_reader reader;
    struct audit_table table;
    struct audit_line line;
    struct buffer scratch;
    struct buffer output;
    uint64_t skip; /* matching records that come before the newest ones asked for */
};

static void sleep_ms(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&left, NULL);
}

static bool emit(struct showing *showing, const void *bytes, size_t length, struct error *err)
{
    if (length > 0 && fwrite(bytes, 1, length, showing->show->out) != length)
        return error_system(err, errno, "cannot print");
    return true;
}

static bool emit_output(struct showing *showing, struct error *err)
{
    bool done = emit(showing, buffer_bytes(&showing->output), buffer_length(&showing->output), err);
    buffer_trim(&showing->output, SHOW_OUTPUT_KEEP);
    return done;
}

static bool print_record(struct showing *showing, const char *line, size_t length,
                         struct error *err)
{
    showing->shown->records++;
    if (showing->show->format == AUDIT_FORMAT_JSON)
        return emit(showing, line, length, err) && emit(showing, "\n", 1, err);
    return audit_table_row(&showing->table, &showing->line, &showing->output, err) &&
           emit_output(showing, err);
}

static void report_unreadable(struct showing *showing, const char *why)
{
    showing->shown->unreadable++;
    fflush(showing->show->out);
    fprintf(showing->show->err, "sallyport: %s/%s:%" PRIu64 ": unreadable: %s\n",
            showing->show->directory, showing->reader.name,
            audit_reader_line_number(&showing->reader), why);
}

/* Whether a line is a record that is wanted; *why is set when it is none at all. */
static bool judge(struct showing *showing, const char *line, size_t length, bool *wanted,
                  struct error *why, struct error *err)
{
    *wanted = false;
    *why = (struct error){0};
    if (!audit_line_read(line, length, &showing->line, why))
        return true;
    return audit_filter_match(&showing->show->filter, &showing->line, &showing->scratch, wanted,
                              err);
}

static bool show_line(struct showing *showing, const char *line, size_t length, struct error *err)
{
    struct error why;
    bool wanted;
    if (!judge(showing, line, length, &wanted, &why, err))
        return false;
    if (why.code != ERROR_NONE && showing->skip == 0)
        report_unreadable(showing, why.message);
    if (!wanted)
        return true;
    if (showing->skip > 0) {
        showing->skip--;
        return true;
    }
    return print_record(showing, line, length, err);
}

/* Shows what the open file holds now. *partial: it ends within a line. */
static bool show_available(struct showing *showing, bool *partial, struct error *err)
{
    const char *line;
    size_t length;
    for (;;) {
        enum audit_read got = audit_reader_line(&showing->reader, &line, &length, err);
        *partial = got == AUDIT_READ_PARTIAL;
        if (got == AUDIT_READ_FAILED)
            return false;
        if (got == AUDIT_READ_END || got == AUDIT_READ_PARTIAL)
            return true;
        if (got == AUDIT_READ_TOO_LONG)
            report_unreadable(showing, "longer than a record can be");
        else if (!show_line(showing, line, length, err))
            return false;
    }
}

/* A file that will not grow any more. The writer may be within its last line just now. */
static bool show_to_end(struct showing *showing, struct error *err)
{
    bool partial;
    for (int looks = 0; looks < SHOW_PARTIAL_LOOK; looks++) {
        if (!show_available(showing, &partial, err))
            return false;
        if (!partial)
            return true;
        sleep_ms(20);
    }
    report_unreadable(showing, "cut off at the end of the file");
    return true;
}

/* Whether all of the open file's records came before the time that is asked for. */
static bool is_too_old(const struct showing *showing)
{
    struct stat status;
    const struct audit_filter *filter = &showing->show->filter;
    if (!filter->has_since || fstat(showing->reader.fd, &status) != 0)
        return false;
    int64_t written = (int64_t)status.st_mtim.tv_sec * 1000000 + status.st_mtim.tv_nsec / 1000;
    return written + SHOW_CLOCK_SLACK < filter->since_us;
}

/* Counts the matching records from an offset of the open file to its end. */
static bool count_matches(struct showing *showing, uint64_t *matches, struct error *err)
{
    const char *line;
    size_t length;
    *matches = 0;
    for (;;) {
        struct error why;
        bool wanted;
        enum audit_read got = audit_reader_line(&showing->reader, &line, &length, err);
        if (got == AUDIT_READ_FAILED)
            return false;
        if (got == AUDIT_READ_END || got == AUDIT_READ_PARTIAL)
            return true;
        if (got == AUDIT_READ_TOO_LONG)
            continue;
        if (!judge(showing, line, length, &wanted, &why, err))
            return false;
        *matches += wanted;
    }
}

/* Looks at ever more of the open file's end until it holds `wanted` matches, or is all seen. */
static bool search_file(struct showing *showing, uint64_t wanted, off_t *offset, uint64_t *matches,
                        struct error *err)
{
    struct audit_reader *reader = &showing->reader;
    struct stat status;
    if (fstat(reader->fd, &status) != 0)
        return error_system(err, errno, "cannot stat %s", reader->name);
    for (off_t window = SHOW_WINDOW;; window *= 4) {
        if (!audit_file_find_line(reader->fd, status.st_size, window, offset, err) ||
            !audit_reader_file(reader, reader->index, *offset, err) ||
            !count_matches(showing, matches, err))
            return false;
        if (*matches >= wanted || *offset == 0)
            return true;
    }
}

/* Finds where the newest records begin, going backwards through the files. */
static bool find_newest(struct showing *showing, size_t *index, off_t *offset, struct error *err)
{
    uint64_t wanted = showing->show->newest;
    *index = showing->reader.count;
    *offset = 0;
    while (*index > 0) {
        uint64_t matches = 0;
        --*index;
        if (!audit_reader_file(&showing->reader, *index, 0, err))
            return false;
        if (is_too_old(showing)) {
            ++*index;
            *offset = 0;
            return true;
        }
        if (!search_file(showing, wanted, offset, &matches, err))
            return false;
        if (matches >= wanted) {
            showing->skip = matches - wanted;
            return true;
        }
        wanted -= matches;
    }
    return true;
}

static bool show_files(struct showing *showing, struct error *err)
{
    size_t index = 0;
    off_t offset = 0;
    if (showing->show->has_newest && !find_newest(showing, &index, &offset, err))
        return false;
    for (; index < showing->reader.count; index++) {
        bool partial;
        if (!audit_reader_file(&showing->reader, index, offset, err))
            return false;
        offset = 0;
        bool last = index + 1 == showing->reader.count;
        if (last && showing->show->follow) /* stays open, its end is not the end */
            return show_available(showing, &partial, err);
        if (!is_too_old(showing) && !show_to_end(showing, err))
            return false;
    }
    return true;
}

/* When a newer file has been begun, this one is complete: its last bytes, then the next. */
static bool follow_rotation(struct showing *showing, struct error *err)
{
    struct audit_reader *reader = &showing->reader;
    bool partial;
    bool none_open = reader->fd < 0;
    if (!audit_reader_refresh(reader, err))
        return false;
    for (;;) {
        size_t next = none_open ? 0 : reader->index + 1;
        if (next >= reader->count)
            return true;
        if (!none_open && !show_to_end(showing, err))
            return false;
        none_open = false;
        if (!audit_reader_file(reader, next, 0, err) || !show_available(showing, &partial, err))
            return false;
    }
}

static bool follow(struct showing *showing, struct error *err)
{
    const struct audit_show *show = showing->show;
    bool partial;
    for (;;) {
        if (fflush(show->out) != 0)
            return error_system(err, errno, "cannot print");
        if (show->stop && show->stop(show->stop_arg))
            return true;
        sleep_ms(AUDIT_SHOW_FOLLOW_MS);
        if (showing->reader.fd >= 0 && !show_available(showing, &partial, err))
            return false;
        if (!follow_rotation(showing, err))
            return false;
    }
}

static bool show_all(struct showing *showing, struct error *err)
{
    const struct audit_show *show = showing->show;
    if (show->format == AUDIT_FORMAT_TABLE &&
        (!audit_table_heading(&showing->table, &showing->output, err) ||
         !emit_output(showing, err)))
        return false;
    if (!show_files(showing, err) || (show->follow && !follow(showing, err)))
        return false;
    if (fflush(show->out) != 0)
        return error_system(err, errno, "cannot print");
    return true;
}

bool audit_show_run(const struct audit_show *show, struct audit_shown *shown, struct error *err)
{
    struct showing showing = {.show = show, .shown = shown};
    *shown = (struct audit_shown){0};
    if (!audit_reader_open(&showing.reader, show->directory, err))
        return false;
    audit_table_init(&showing.table, show->width, show->colour);
    buffer_init(&showing.scratch, AUDIT_LINE_MAX);
    buffer_init(&showing.output, (size_t)AUDIT_LINE_MAX * 8);
    bool done = show_all(&showing, err);
    buffer_release(&showing.scratch);
    buffer_release(&showing.output);
    audit_table_release(&showing.table);
    audit_reader_close(&showing.reader);
    return done;
}
