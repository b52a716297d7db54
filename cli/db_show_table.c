/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For people:
 *
 *     shop  127.0.0.1:3306  good, 1 warning
 *       server        MariaDB 10.11.6-MariaDB
 *       account       reader  good
 *                     reader@%, logged in as reader@10.0.0.7 …
 *
 * A label, and its text beside it, wrapped at the terminal's width. Texts may be a server's, and
 * hostile to the terminal: they pass printable_write(), word by word.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/db_show.h"

#define LABEL_INDENT 2
#define TEXT_INDENT  16
#define TEXT_LEAST   20 /* columns; a terminal that has fewer wraps by itself */

/* The colours of the audit table, and of its outcomes. */
#define COLOUR_OFF     "\x1b[0m"
#define COLOUR_HEADING "\x1b[1m"
#define COLOUR_DIM     "\x1b[2m"
#define COLOUR_GOOD    "\x1b[32m"
#define COLOUR_BAD     "\x1b[31m"
#define COLOUR_WARNING "\x1b[33m"

struct page {
    const struct db_show *show;
    struct byte_writer writer;
    size_t column;
};

static void put_bytes(struct page *page, const char *text)
{
    byte_writer_bytes(&page->writer, text, strlen(text));
}

static void put_colour(struct page *page, const char *colour)
{
    if (page->show->terminal.colour && colour)
        put_bytes(page, colour);
}

static void put_spaces(struct page *page, size_t count)
{
    for (size_t i = 0; i < count; i++)
        byte_writer_u8(&page->writer, ' ');
    page->column += count;
}

static void new_line(struct page *page)
{
    byte_writer_u8(&page->writer, '\n');
    page->column = 0;
}

/* Whether a word of so many columns has to go to the next line. */
static bool must_wrap(const struct page *page, size_t columns)
{
    size_t width = page->show->terminal.width;
    return width >= TEXT_INDENT + TEXT_LEAST && page->column > TEXT_INDENT &&
           page->column + 1 + columns > width;
}

static void put_word(struct page *page, const char *word, size_t length)
{
    /* Each byte becomes an escape of at most 10 bytes. */
    uint8_t shown[10 * PROBE_TEXT_SIZE];
    struct buffer cell;
    buffer_init_fixed(&cell, shown, sizeof shown);
    struct byte_writer into = byte_writer(&cell);
    size_t columns = printable_write(&into, word, length, 0, NULL);
    if (must_wrap(page, columns)) {
        new_line(page);
        put_spaces(page, TEXT_INDENT);
    } else if (page->column > TEXT_INDENT) {
        put_spaces(page, 1);
    }
    byte_writer_bytes(&page->writer, buffer_bytes(&cell), buffer_length(&cell));
    page->column += columns;
}

/* The text of a row, beginning at the column where texts begin; ends the line. */
static void put_text(struct page *page, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, " ");
        if (length > 0)
            put_word(page, text, length < PROBE_TEXT_SIZE ? length : PROBE_TEXT_SIZE);
        text += length;
        text += *text == ' ';
    }
    new_line(page);
}

static void put_row(struct page *page, const char *label, const char *colour, const char *format,
                    ...) PRINTF_LIKE(4, 5);
static void put_row(struct page *page, const char *label, const char *colour, const char *format,
                    ...)
{
    char text[4 * PROBE_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    size_t used = LABEL_INDENT + strlen(label);
    put_spaces(page, LABEL_INDENT);
    if (*label) {
        put_colour(page, colour);
        put_bytes(page, label);
        put_colour(page, colour ? COLOUR_OFF : NULL);
    }
    page->column += strlen(label);
    put_spaces(page, TEXT_INDENT > used ? TEXT_INDENT - used : 1);
    put_text(page, text);
}

static void print_end(int64_t until_us, int64_t now_us, char *out, size_t size)
{
    char time[CLOCK_TIME_SIZE];
    int64_t days = preflight_days_left(until_us, now_us);
    clock_format(until_us, time);
    if (until_us == 0)
        out[0] = '\0';
    else if (days < 0)
        (void)snprintf(out, size, "expired on %.10s", time);
    else
        (void)snprintf(out, size, "until %.10s, %" PRId64 " day%s left", time, days,
                       days == 1 ? "" : "s");
}

static void put_heading(struct page *page, const struct preflight_target *target,
                        const struct db_summary *summary)
{
    bool good = db_show_is_good(target);
    put_colour(page, COLOUR_HEADING);
    put_bytes(page, target->database->name);
    put_colour(page, COLOUR_OFF);
    put_bytes(page, "  ");
    put_bytes(page, summary->address);
    put_bytes(page, "  ");
    put_colour(page, good ? COLOUR_GOOD : COLOUR_BAD);
    put_bytes(page, good ? "good" : "FAILED");
    put_colour(page, COLOUR_OFF);
    if (summary->warning_count > 0) {
        char count[48];
        (void)snprintf(count, sizeof count, ", %zu warning%s", summary->warning_count,
                       summary->warning_count == 1 ? "" : "s");
        put_bytes(page, count);
    }
    new_line(page);
}

/* Before 11.0 MariaDB says 5.5.5 first, so that replicas of MySQL take it for one. */
static const char *plain_version(const struct probe_facts *facts)
{
    static const char prefix[] = "5.5.5-";
    bool has_prefix =
        facts->vendor == HANDSHAKE_MARIADB && strncmp(facts->version, prefix, strlen(prefix)) == 0;
    return facts->version + (has_prefix ? strlen(prefix) : 0);
}

static void put_server(struct page *page, const struct db_summary *summary)
{
    const struct probe_facts *facts = summary->server;
    if (facts->connected && strcmp(facts->address, summary->address) != 0)
        put_row(page, "connected to", COLOUR_DIM, "%s", facts->address);
    if (!facts->greeted)
        return;
    /* MySQL's forks name themselves in the comment alone; MariaDB's holds nothing but greetings. */
    bool comment = facts->vendor == HANDSHAKE_MYSQL && facts->version_comment[0];
    put_row(page, "server", COLOUR_DIM, "%s %s%s%s", db_summary_vendor(facts), plain_version(facts),
            comment ? ", " : "", comment ? facts->version_comment : "");
}

static void put_certificates(struct page *page, const struct db_summary *summary)
{
    const struct probe_facts *facts = summary->server;
    const struct probe_certificate *server = &facts->server;
    char until[64];
    if (facts->secured)
        put_row(page, "TLS", COLOUR_DIM, "%s", facts->cipher);
    print_end(server->not_after_us, page->show->now_us, until, sizeof until);
    if (server->subject[0] || server->names[0])
        put_row(page, "server's cert", COLOUR_DIM, "%s%s%s", server->subject,
                server->subject[0] && server->names[0] ? "; " : "", server->names);
    if (until[0])
        put_row(page, "", NULL, "%s", until);
    const char *verdict = "";
    if (facts->fault == PROBE_FAULT_OWN_CERTIFICATE || facts->fault == PROBE_FAULT_OWN_TIME)
        verdict = ", refused";
    else if (facts->accepted)
        verdict = facts->asks_certificate == PROBE_NO ? ", not asked for" : ", accepted";
    if (summary->own_subject[0] == '\0')
        return; /* nothing was minted */
    print_end(summary->own_not_after_us, page->show->now_us, until, sizeof until);
    put_row(page, "our cert", COLOUR_DIM, "%s, issued by %s%s", summary->own_subject,
            summary->own_issuer, verdict);
    put_row(page, "", NULL, "%s",
            summary->minted ? "minted by the authority for this account alone" : until);
}

static void put_clock(struct page *page, const struct probe_facts *facts)
{
    int64_t skew = facts->skew_us < 0 ? -facts->skew_us : facts->skew_us;
    double within_ms = (double)facts->skew_within_us / 1000;
    if (!facts->has_skew)
        return;
    if (skew <= facts->skew_within_us + 1000)
        put_row(page, "clock", COLOUR_DIM, "as ours, within %.0f ms", within_ms + 1);
    else
        put_row(page, "clock", COLOUR_DIM, "%.3f s %s ours, give or take %.0f ms",
                (double)skew / 1000000, facts->skew_us < 0 ? "behind" : "ahead of", within_ms + 1);
}

static void put_settings(struct page *page, const struct probe_facts *facts)
{
    if (facts->secure_transport != PROBE_UNKNOWN)
        put_row(page, "without TLS", COLOUR_DIM,
                facts->secure_transport == PROBE_YES
                    ? "nobody gets in (require_secure_transport is ON)"
                    : "others may get in (require_secure_transport is OFF)");
    put_clock(page, facts);
    if (facts->max_allowed_packet > 0 && facts->max_allowed_packet % (1 << 20) == 0)
        put_row(page, "packets", COLOUR_DIM, "up to %" PRIu64 " MiB (max_allowed_packet)",
                facts->max_allowed_packet >> 20);
    else if (facts->max_allowed_packet > 0)
        put_row(page, "packets", COLOUR_DIM, "up to %" PRIu64 " bytes (max_allowed_packet)",
                facts->max_allowed_packet);
}

struct masked_rows {
    struct page *page;
    size_t count;
};

static void put_masked(void *arg, unsigned bit, const struct capability_name *name)
{
    (void)bit;
    struct masked_rows *rows = arg;
    put_row(rows->page, rows->count++ == 0 ? "masked" : "", COLOUR_DIM, "%s: %s", name->name,
            name->masked);
}

static void put_all_masked(struct page *page, const struct probe_facts *facts)
{
    struct masked_rows rows = {page, 0};
    if (!facts->greeted)
        return;
    db_summary_masked(facts, put_masked, &rows);
    if (rows.count == 0)
        put_row(page, "masked", COLOUR_DIM, "nothing");
}

static void put_fault(struct page *page, const struct preflight_target *target,
                      const struct db_summary *summary, const struct preflight_account *account)
{
    const struct probe_facts *facts = account->facts;
    char advice[PROBE_TEXT_SIZE * 3];
    db_summary_advice(page->show, target, summary, account, advice, sizeof advice);
    if (facts->error_code > 0)
        put_row(page, "FAILED", COLOUR_BAD, "%s: %u (%s) %s", account->user, facts->error_code,
                facts->sqlstate, facts->message);
    else
        put_row(page, "FAILED", COLOUR_BAD, "%s: %s", account->user, facts->message);
    put_row(page, "what to do", COLOUR_HEADING, "%s", advice);
}

static void put_account(struct page *page, const struct preflight_account *account)
{
    const struct probe_facts *facts = account->facts;
    if (!facts->accepted)
        return;
    put_row(page, "account", COLOUR_DIM, "%s is %s, seen as %s, by %s", account->user,
            facts->current_user[0] ? facts->current_user : "(not told)",
            facts->login_user[0] ? facts->login_user : "(not told)", facts->plugin);
    if (facts->require.kind != REQUIRE_UNKNOWN)
        put_row(page, "", NULL, "REQUIRE %s", facts->require.text);
}

static void put_accounts(struct page *page, const struct preflight_target *target,
                         const struct db_summary *summary)
{
    if (target->account_count == 0) {
        put_row(page, "FAILED", COLOUR_BAD, "%s", DB_SHOW_NO_ACCOUNT);
        put_row(page, "what to do", COLOUR_HEADING, "%s", DB_SHOW_NO_ACCOUNT_NEXT);
    }
    for (size_t i = 0; i < target->account_count; i++)
        if (target->accounts[i].facts)
            put_account(page, &target->accounts[i]);
    for (size_t i = 0; i < summary->warning_count; i++)
        put_row(page, "warning", COLOUR_WARNING, "%s", summary->warnings[i].message);
    for (size_t i = 0; i < target->account_count; i++) {
        const struct preflight_account *account = &target->accounts[i];
        if (account->facts && account->facts->fault != PROBE_FAULT_NONE)
            put_fault(page, target, summary, account);
    }
    if (summary->tried < target->account_count)
        put_row(page, "not tried", COLOUR_WARNING, "%zu more account%s: the same would happen",
                target->account_count - summary->tried,
                target->account_count - summary->tried == 1 ? "" : "s");
    if (target->more_users)
        put_row(page, "not tried", COLOUR_WARNING,
                "accounts past the first %d that roles name: give them with --user",
                PREFLIGHT_USERS_MAX);
}

bool db_show_table(const struct db_show *show, const struct preflight_target *target,
                   struct buffer *out, struct error *err)
{
    struct db_summary summary;
    struct page page = {.show = show, .writer = byte_writer(out)};
    db_summary_make(show, target, &summary);
    put_heading(&page, target, &summary);
    if (summary.server) {
        put_server(&page, &summary);
        put_certificates(&page, &summary);
        put_settings(&page, summary.server);
        put_all_masked(&page, summary.server);
    }
    put_accounts(&page, target, &summary);
    return byte_writer_finish(&page.writer, err);
}
