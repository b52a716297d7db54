/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/authority_service_support.h"

#include <ftw.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/ask.h"
#include "tls/request.h"

char home[64];
struct authority_service_settings settings;
struct authority_service *service;
struct audit_log *audit;
struct control_failure refused;

#define TEXTS 8

/* --- the service --- */

void service_prepare(void)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct authority_refusal refusal;
    struct error err = {0};
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    snprintf(home, sizeof home, "/tmp/test_service.XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    memset(&settings, 0, sizeof settings);
    settings.directory = home;
    settings.core = authority_settings_default();
    settings.limits = (struct authority_limits){1000, 900, 60000};
    snprintf(settings.core.trust_domain, sizeof settings.core.trust_domain, "acme.test");
    snprintf(settings.socket_path, sizeof settings.socket_path, "%s/admin.sock", home);
    cr_assert(authority_hosts_read(names, 2, &settings.core.hosts, &refusal));
    cr_assert(address_parse("127.0.0.1:0", &settings.listen, &err), "%s", err.message);
}

static void open_audit(void)
{
    char directory[96];
    struct error err = {0};
    snprintf(directory, sizeof directory, "%s/audit", home);
    const struct audit_settings wanted = {.directory = directory, .file_size = 64 << 20};
    cr_assert(audit_log_open(&wanted, 1, &audit, &err), "%s", err.message);
}

void service_begin(void)
{
    struct error err = {0};
    open_audit();
    cr_assert(authority_service_open(&settings, audit_log_lane(audit, 0), &service, &err), "%s",
              err.message);
    cr_assert(authority_service_start(service, &err), "%s", err.message);
}

void service_end(void)
{
    authority_service_close(service);
    audit_log_close(audit);
    service = NULL;
    audit = NULL;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void service_enter(void)
{
    service_prepare();
    service_begin();
}

void service_leave(void)
{
    service_end();
    cr_assert_eq(nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- JSON --- */

const char *json_text(const char *text)
{
    static char texts[TEXTS][16384];
    static size_t next;
    char *out = texts[next++ % TEXTS];
    cJSON *string = cJSON_CreateString(text);
    cr_assert(cJSON_PrintPreallocated(string, out, sizeof texts[0], false));
    cJSON_Delete(string);
    return out;
}

/* ' for " outside of what was put in is not told apart: texts with ' are not used in requests. */
static cJSON *parse_quoted(const char *format, va_list arguments) PRINTF_LIKE(1, 0);
static cJSON *parse_quoted(const char *format, va_list arguments)
{
    static char text[128 * 1024];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    cJSON *json = cJSON_Parse(text);
    cr_assert_not_null(json, "%s", text);
    return json;
}

static cJSON *ask_admin(cJSON *request)
{
    cJSON *answer = NULL;
    struct error err = {0};
    refused = (struct control_failure){0};
    cJSON_DeleteItemFromObject(request, "id");
    cJSON_AddNumberToObject(request, "id", 1);
    bool granted = control_ask(settings.socket_path, request, 10000, &answer, &refused, &err);
    cr_assert(granted || refused.code != CONTROL_NO_ERROR, "%s", err.message);
    cJSON_Delete(request);
    return granted ? answer : NULL;
}

cJSON *admin(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cJSON *answer = ask_admin(parse_quoted(format, arguments));
    va_end(arguments);
    cr_assert_not_null(answer, "%s: %s", control_code_name(refused.code), refused.message);
    return answer;
}

void admin_does(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cJSON *answer = ask_admin(parse_quoted(format, arguments));
    va_end(arguments);
    cr_assert_not_null(answer, "%s: %s: %s", format, control_code_name(refused.code),
                       refused.message);
    cJSON_Delete(answer);
}

bool admin_may(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cJSON *answer = ask_admin(parse_quoted(format, arguments));
    va_end(arguments);
    cJSON_Delete(answer);
    return answer != NULL;
}

void admin_refused(enum control_code code, const char *words, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cJSON *answer = ask_admin(parse_quoted(format, arguments));
    va_end(arguments);
    cr_assert_null(answer, "it was granted: %s", format);
    cr_assert_eq(refused.code, code, "%s: %s", control_code_name(refused.code), refused.message);
    cr_assert(strstr(refused.message, words), "%s", refused.message);
}

const char *admin_text_of(cJSON *answer, const char *key)
{
    static char texts[TEXTS][16384];
    static size_t next;
    char *out = texts[next++ % TEXTS];
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, key));
    snprintf(out, sizeof texts[0], "%s", text ? text : "");
    cJSON_Delete(answer);
    return out;
}

void apply_reader(void)
{
    admin_does("{'request':'apply','documents':{"
               "'roles':[{'name':'reader','allow':{'databases':['shop'],'mysql_users':['reader'],"
               "'schemas':['shop']}}],"
               "'databases':[{'name':'shop','address':'10.0.0.5:3306'}]}}");
}

const char *add_bot(const char *name)
{
    return admin_text_of(admin("{'request':'bot_add','name':'%s','roles':['reader']}", name),
                         "token");
}

/* --- identities --- */

void who_release(struct who *who)
{
    free(who->certificate);
    free(who->ca);
    free(who->key);
    memset(who, 0, sizeof *who);
}

const char *csr_of(const struct tls_key *key)
{
    static char texts[TEXTS][4096];
    static size_t next;
    char *out = texts[next++ % TEXTS];
    struct buffer pem;
    struct error err = {0};
    buffer_init(&pem, sizeof texts[0]);
    cr_assert(tls_request_create(key, &pem, &err), "%s", err.message);
    snprintf(out, sizeof texts[0], "%.*s", (int)buffer_length(&pem), buffer_bytes(&pem));
    buffer_release(&pem);
    return out;
}

const char *fresh_csr(struct who *who)
{
    struct tls_key *key;
    struct buffer pem;
    struct error err = {0};
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    buffer_init(&pem, 4096);
    cr_assert(tls_key_write(key, &pem, &err), "%s", err.message);
    free(who->key);
    who->key = strndup((const char *)buffer_bytes(&pem), buffer_length(&pem));
    buffer_release(&pem);
    const char *csr = csr_of(key);
    tls_key_free(key);
    return csr;
}

static const char *text_in(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    cr_assert_not_null(text, "an answer has no %s", key);
    return text;
}

void who_take(struct who *who, const cJSON *ok)
{
    free(who->certificate);
    free(who->ca);
    who->certificate = strdup(text_in(ok, "certificate"));
    who->ca = strdup(text_in(ok, "ca"));
    snprintf(who->name, sizeof who->name, "%s", text_in(ok, "name"));
    snprintf(who->instance, sizeof who->instance, "%s", text_in(ok, "instance"));
    who->generation = cJSON_GetObjectItemCaseSensitive(ok, "generation")->valueint;
}

struct who join_bot(const char *name, bool confirmed)
{
    struct who who = {0};
    struct caller caller;
    const char *token = add_bot(name);
    caller_open(&caller, NULL);
    cr_assert(caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token,
                          json_text(fresh_csr(&who))),
              "%s", caller.failure.message);
    who_take(&who, caller.ok);
    caller_close(&caller);
    if (!confirmed)
        return who;
    caller_open(&caller, &who);
    cr_assert(caller_asks(&caller, "{'request':'confirm'}"), "%s", caller.failure.message);
    caller_close(&caller);
    return who;
}

struct who join_proxy(const char *name)
{
    struct who who = {0};
    struct caller caller;
    const char *token = admin_text_of(admin("{'request':'token_add','proxy':'%s'}", name), "token");
    caller_open(&caller, NULL);
    cr_assert(caller_asks(&caller,
                          "{'request':'join_proxy','token':'%s','name':'%s','csr':%s,"
                          "'names':['%s.test']}",
                          token, name, json_text(fresh_csr(&who)), name),
              "%s", caller.failure.message);
    who_take(&who, caller.ok);
    caller_close(&caller);
    return who;
}

/* --- clients --- */

struct tls_context *caller_context(const struct who *who)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    char text[CERTIFICATE_PIN_TEXT_SIZE];
    uint8_t pin[TLS_PIN_SIZE];
    struct tls_context *context;
    struct error err = {0};
    authority_service_pin(service, text);
    cr_assert(certificate_pin_parse(text, pin, &err), "%s", err.message);
    const struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .cert_pem = who ? who->certificate : NULL,
        .key_pem = who ? who->key : NULL,
        .ca_pin = pin,
        .alpn = alpn,
    };
    cr_assert(tls_context_create(&wanted, &context, &err), "%s", err.message);
    return context;
}

static void on_ready(struct control_client *client, void *owner)
{
    (void)client;
    struct caller *caller = owner;
    caller->ready = true;
}

static void on_event(struct control_client *client, void *owner, const char *name,
                     const cJSON *event)
{
    (void)client;
    struct caller *caller = owner;
    if (strcmp(name, "state") == 0) {
        cJSON_Delete(caller->state);
        caller->state = cJSON_Duplicate(event, true);
        caller->states++;
    } else {
        caller->alive++;
    }
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    (void)client;
    struct caller *caller = owner;
    caller->closed = true;
    caller->reason = *reason;
    caller->client = NULL;
}

static const struct control_client_events caller_events = {on_ready, on_event, on_closed};

static bool is_ready_or_closed(const struct caller *caller)
{
    return caller->ready || caller->closed;
}

bool caller_runs(struct caller *caller, bool (*until)(const struct caller *caller))
{
    int64_t end = clock_monotonic_us() + 5000000;
    while (!until(caller) && clock_monotonic_us() < end) {
        (void)uv_run(&caller->loop, UV_RUN_NOWAIT);
        usleep(200);
    }
    return until(caller);
}

void caller_run_for(struct caller *caller, unsigned milliseconds)
{
    int64_t end = clock_monotonic_us() + milliseconds * INT64_C(1000);
    while (clock_monotonic_us() < end) {
        (void)uv_run(&caller->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

bool caller_try(struct caller *caller, const struct who *who)
{
    struct error err = {0};
    memset(caller, 0, sizeof *caller);
    uv_loop_init(&caller->loop);
    cr_assert(stream_loop_create(&caller->loop, &caller->shared, &err), "%s", err.message);
    struct control_client_settings wanted = {
        .server_name = "localhost", .context = caller_context(who), .dial_timeout_ms = 5000};
    cr_assert(address_parse(authority_service_address(service), &wanted.address, &err));
    cr_assert(control_client_open(caller->shared, &caller->loop, &wanted, &caller_events, caller,
                                  &caller->client, &err),
              "%s", err.message);
    tls_context_unref(wanted.context);
    cr_assert(caller_runs(caller, is_ready_or_closed));
    return caller->ready && !caller->closed;
}

void caller_open(struct caller *caller, const struct who *who)
{
    cr_assert(caller_try(caller, who), "%s", caller->reason.message);
}

static bool is_closed(const struct caller *caller)
{
    return caller->closed;
}

void caller_close(struct caller *caller)
{
    control_client_close(caller->client, NULL);
    cr_assert(caller_runs(caller, is_closed));
    stream_loop_destroy(caller->shared);
    (void)uv_run(&caller->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&caller->loop), 0);
    cJSON_Delete(caller->ok);
    cJSON_Delete(caller->state);
}

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct caller *caller = context;
    caller->answered = true;
    caller->failure = (struct control_failure){0};
    if (outcome->ok)
        caller->ok = cJSON_Duplicate(outcome->ok, true);
    if (outcome->failure)
        caller->failure = *outcome->failure;
    if (outcome->error) {
        caller->failure.code = CONTROL_OTHER;
        snprintf(caller->failure.message, sizeof caller->failure.message, "%s",
                 outcome->error->message);
    }
}

static bool is_answered(const struct caller *caller)
{
    return caller->answered;
}

bool caller_asks(struct caller *caller, const char *format, ...)
{
    struct error err = {0};
    va_list arguments;
    va_start(arguments, format);
    cJSON *request = parse_quoted(format, arguments);
    va_end(arguments);
    cJSON_AddNumberToObject(request, "id", 1);
    cJSON_Delete(caller->ok);
    caller->ok = NULL;
    caller->answered = false;
    if (!caller->client ||
        !control_client_ask(caller->client, request, 5000, on_answer, caller, &err)) {
        caller->failure.code = CONTROL_OTHER;
        snprintf(caller->failure.message, sizeof caller->failure.message, "%s",
                 caller->client ? err.message : caller->reason.message);
        return false;
    }
    cr_assert(caller_runs(caller, is_answered));
    return caller->ok != NULL;
}

/* --- the audit log --- */

static void read_file(const char *path, const char *event, cJSON *out)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    while (getline(&line, &size, file) > 0) {
        cJSON *record = cJSON_Parse(line);
        cr_assert_not_null(record, "not JSON: %s", line);
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "event"));
        if (!event || strcmp(name, event) == 0)
            cJSON_AddItemToArray(out, record);
        else
            cJSON_Delete(record);
    }
    free(line);
    fclose(file);
}

cJSON *records(const char *event)
{
    char pattern[96];
    glob_t files;
    cJSON *out = cJSON_CreateArray();
    snprintf(pattern, sizeof pattern, "%s/audit/audit-*.jsonl", home);
    if (glob(pattern, 0, NULL, &files) != 0)
        return out;
    for (size_t i = 0; i < files.gl_pathc; i++)
        read_file(files.gl_pathv[i], event, out);
    globfree(&files);
    return out;
}

int count_records(const char *event, int wanted)
{
    int count = 0;
    int64_t end = clock_monotonic_us() + 2000000;
    do {
        cJSON *list = records(event);
        count = cJSON_GetArraySize(list);
        cJSON_Delete(list);
        if (count < wanted)
            usleep(10000);
    } while (count < wanted && clock_monotonic_us() < end);
    return count;
}

const char *record_text(const char *event, int n, const char *path)
{
    static char texts[TEXTS][4096];
    static size_t next;
    char *out = texts[next++ % TEXTS];
    char key[64];
    cr_assert(count_records(event, n + 1) > n, "there is no record %d of %s", n, event);
    cJSON *list = records(event);
    const cJSON *value = cJSON_GetArrayItem(list, n);
    while (*path) {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        value = cJSON_GetObjectItemCaseSensitive(value, key);
        path += length + (path[length] == '.');
    }
    char *printed = value && !cJSON_IsString(value) ? cJSON_PrintUnformatted(value) : NULL;
    snprintf(out, sizeof texts[0], "%s",
             printed                 ? printed
             : cJSON_IsString(value) ? value->valuestring
                                     : "");
    cJSON_free(printed);
    cJSON_Delete(list);
    return out;
}
