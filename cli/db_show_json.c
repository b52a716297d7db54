/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line a database. Keys always stand in this order; what is not known is left out. A test holds
 * the form fast (tests/integration/test_db_check.py), docs/database.md describes it.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/db_show.h"

/* An array under a key: its elements are written one by one with json_begin(). */
struct array {
    struct byte_writer *out;
    bool filled;
};

static struct array begin_array(struct json_object *object, const char *key)
{
    json_field_key(object, key);
    byte_writer_u8(object->out, '[');
    return (struct array){object->out, false};
}

static struct json_object next_element(struct array *array)
{
    if (array->filled)
        byte_writer_u8(array->out, ',');
    array->filled = true;
    return json_begin(array->out);
}

static void end_array(struct array *array)
{
    byte_writer_u8(array->out, ']');
}

static void put_text(struct json_object *object, const char *key, const char *text)
{
    json_field_string(object, key, text[0] ? text : NULL);
}

static void put_answer(struct json_object *object, const char *key, enum probe_answer answer)
{
    if (answer != PROBE_UNKNOWN)
        json_field_bool(object, key, answer == PROBE_YES);
}

static void put_end(struct json_object *object, int64_t until_us, int64_t now_us)
{
    char time[CLOCK_TIME_SIZE];
    if (until_us == 0)
        return;
    clock_format(until_us, time);
    json_field_string(object, "not_after", time);
    json_field_int(object, "days_left", preflight_days_left(until_us, now_us));
}

static void put_server(struct json_object *line, const struct probe_facts *facts)
{
    if (!facts->greeted)
        return;
    struct json_object server = json_field_object(line, "server");
    json_field_string(&server, "vendor", db_summary_vendor(facts));
    json_field_string(&server, "version", facts->version);
    put_text(&server, "version_comment", facts->version_comment);
    if (facts->max_allowed_packet > 0)
        json_field_unsigned(&server, "max_allowed_packet", facts->max_allowed_packet);
    put_answer(&server, "require_secure_transport", facts->secure_transport);
    if (facts->has_skew) {
        json_field_int(&server, "clock_skew_us", facts->skew_us);
        json_field_int(&server, "clock_skew_within_us", facts->skew_within_us);
    }
    json_end(&server);
}

/* "TLSv1.3 TLS1-3-AES-128-GCM-SHA256" in its two parts. */
static void put_cipher(struct json_object *tls, const char *cipher)
{
    size_t version = strcspn(cipher, " ");
    if (!cipher[0])
        return;
    json_field_text(tls, "version", cipher, version);
    json_field_string(tls, "cipher", cipher + version + (cipher[version] == ' '));
}

static void put_tls(struct json_object *line, const struct db_show *show,
                    const struct db_summary *summary)
{
    const struct probe_facts *facts = summary->server;
    struct json_object tls = json_field_object(line, "tls");
    put_cipher(&tls, facts->cipher);
    if (facts->server.subject[0] || facts->server.names[0]) {
        struct json_object server = json_field_object(&tls, "server_certificate");
        put_text(&server, "subject", facts->server.subject);
        put_text(&server, "names", facts->server.names);
        put_end(&server, facts->server.not_after_us, show->now_us);
        json_end(&server);
    }
    if (summary->own_subject[0] == '\0') {
        json_end(&tls);
        return;
    }
    struct json_object own = json_field_object(&tls, "own_certificate");
    json_field_string(&own, "subject", summary->own_subject);
    json_field_string(&own, "issuer", summary->own_issuer);
    if (summary->minted)
        json_field_bool(&own, "minted", true);
    put_end(&own, summary->own_not_after_us, show->now_us);
    put_answer(&own, "asked_for", facts->asks_certificate);
    if (facts->accepted || facts->fault == PROBE_FAULT_OWN_CERTIFICATE ||
        facts->fault == PROBE_FAULT_OWN_TIME)
        json_field_bool(&own, "accepted", facts->accepted && facts->asks_certificate != PROBE_NO);
    json_end(&own);
    json_end(&tls);
}

static void put_fault(struct json_object *account, const struct probe_facts *facts,
                      const char *advice)
{
    struct json_object failure = json_field_object(account, "failure");
    json_field_string(&failure, "kind", probe_fault_name(facts->fault));
    if (facts->error_code > 0) {
        json_field_unsigned(&failure, "code", facts->error_code);
        json_field_string(&failure, "sqlstate", facts->sqlstate);
    }
    json_field_string(&failure, "message", facts->message);
    json_field_string(&failure, "next", advice);
    json_end(&failure);
}

static void put_account(struct json_object *object, const struct db_show *show,
                        const struct preflight_target *target, const struct db_summary *summary,
                        const struct preflight_account *account)
{
    const struct probe_facts *facts = account->facts;
    json_field_string(object, "mysql_user", account->user);
    if (!facts) {
        json_field_string(object, "result", "not_tried");
        return;
    }
    json_field_string(object, "result", facts->fault == PROBE_FAULT_NONE ? "good" : "failed");
    put_text(object, "current_user", facts->current_user);
    put_text(object, "user", facts->login_user);
    put_text(object, "plugin", facts->plugin);
    put_text(object, "require", facts->require.text);
    if (facts->fault == PROBE_FAULT_NONE)
        return;
    char advice[PROBE_TEXT_SIZE * 3];
    db_summary_advice(show, target, summary, account, advice, sizeof advice);
    put_fault(object, facts, advice);
}

static void put_masked(void *arg, unsigned bit, const struct capability_name *name)
{
    struct array *array = arg;
    struct json_object flag = next_element(array);
    json_field_string(&flag, "flag", name->name);
    json_field_unsigned(&flag, "bit", bit);
    json_field_string(&flag, "meaning", name->masked);
    json_end(&flag);
}

static void put_warnings(struct json_object *line, const struct db_summary *summary)
{
    struct array warnings = begin_array(line, "warnings");
    for (size_t i = 0; i < summary->warning_count; i++) {
        struct json_object warning = next_element(&warnings);
        json_field_string(&warning, "kind", summary->warnings[i].kind);
        json_field_string(&warning, "message", summary->warnings[i].message);
        json_end(&warning);
    }
    end_array(&warnings);
}

static void put_accounts(struct json_object *line, const struct db_show *show,
                         const struct preflight_target *target, const struct db_summary *summary)
{
    struct array accounts = begin_array(line, "accounts");
    for (size_t i = 0; i < target->account_count; i++) {
        struct json_object account = next_element(&accounts);
        put_account(&account, show, target, summary, &target->accounts[i]);
        json_end(&account);
    }
    end_array(&accounts);
    if (target->more_users)
        json_field_bool(line, "more_accounts", true);
}

/* A failure of the database itself, in the form of an account's. */
static void put_no_account(struct json_object *line)
{
    struct json_object failure = json_field_object(line, "failure");
    json_field_string(&failure, "kind", "no_account");
    json_field_string(&failure, "message", DB_SHOW_NO_ACCOUNT);
    json_field_string(&failure, "next", DB_SHOW_NO_ACCOUNT_NEXT);
    json_end(&failure);
}

bool db_show_json(const struct db_show *show, const struct preflight_target *target,
                  struct buffer *out, struct error *err)
{
    struct db_summary summary;
    struct byte_writer writer = byte_writer(out);
    struct json_object line = json_begin(&writer);
    db_summary_make(show, target, &summary);
    json_field_string(&line, "database", target->database->name);
    json_field_string(&line, "result", db_show_is_good(target) ? "good" : "failed");
    json_field_string(&line, "address", summary.address);
    if (summary.server) {
        put_text(&line, "connected_to", summary.server->connected ? summary.server->address : "");
        put_server(&line, summary.server);
        put_tls(&line, show, &summary);
        if (summary.server->greeted) {
            struct array masked = begin_array(&line, "masked");
            db_summary_masked(summary.server, put_masked, &masked);
            end_array(&masked);
        }
    }
    if (target->account_count == 0)
        put_no_account(&line);
    put_accounts(&line, show, target, &summary);
    put_warnings(&line, &summary);
    json_end(&line);
    byte_writer_u8(&writer, '\n');
    return byte_writer_finish(&writer, err);
}
