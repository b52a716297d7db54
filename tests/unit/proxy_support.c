/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy_support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/command.h"

/* --- files --- */

static char files_directory[64];

static void link_certificates(void)
{
    DIR *directory = opendir(certs_directory());
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char from[512], to[512];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(from, sizeof from, "%s/%s", certs_directory(), entry->d_name);
        (void)snprintf(to, sizeof to, "%s/%s", files_directory, entry->d_name);
        cr_assert_eq(symlink(from, to), 0);
    }
    (void)closedir(directory);
}

const char *files_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    if (!files_directory[0]) {
        (void)snprintf(files_directory, sizeof files_directory, "/tmp/sallyport-stage-XXXXXX");
        cr_assert_not_null(mkdtemp(files_directory));
        link_certificates();
    }
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", files_directory, name);
    return path;
}

void files_copy(const char *name)
{
    static char text[64 * 1024];
    FILE *file = fopen(files_path(name), "r");
    cr_assert_not_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    cr_assert_eq(unlink(files_path(name)), 0);
    files_write(name, text);
}

void files_write(const char *name, const char *text)
{
    mode_t mask = umask(0077);
    FILE *file = fopen(files_path(name), "w");
    (void)umask(mask);
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

void files_remove(void)
{
    char command[128];
    if (!files_directory[0])
        return;
    (void)snprintf(command, sizeof command, "rm -rf -- %s", files_directory);
    cr_assert_eq(system(command), 0);
    files_directory[0] = '\0';
}

/* --- the stage --- */

static struct tls_context *database_context(void)
{
    const struct tls_settings settings = {
        .side = TLS_SERVER,
        .cert_file = files_path("db-server.crt"),
        .key_file = files_path("db-server.key"),
        .ca_file = files_path("db-client-ca.crt"),
    };
    return context_make(&settings);
}

static void on_database_connection(uv_stream_t *listener, int status)
{
    struct stage *stage = listener->data;
    struct peer *peer = stage_add_peer(stage);
    struct error err = {0};
    cr_assert_eq(status, 0);
    peer->context = database_context();
    cr_assert(stream_accept(stage->streams, listener, &peer_events, peer, &peer->stream, &err),
              "%s", err.message);
    peer->connected = true;
    stage->databases[stage->database_count++] = peer;
}

static void open_database(struct stage *stage)
{
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int length = sizeof bound;
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    cr_assert_eq(uv_tcp_init(&stage->loop, &stage->database_listener), 0);
    stage->database_listener.data = stage;
    cr_assert_eq(uv_tcp_bind(&stage->database_listener, (const struct sockaddr *)&address, 0), 0);
    if (!stage->options.no_database)
        cr_assert_eq(
            uv_listen((uv_stream_t *)&stage->database_listener, 16, on_database_connection), 0);
    cr_assert_eq(uv_tcp_getsockname(&stage->database_listener, (struct sockaddr *)&bound, &length),
                 0);
    stage->database_port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
}

#define DATABASE                                                                            \
    "{\"name\":\"shop\",\"address\":\"127.0.0.1:%u\",\"tls\":{\"ca\":\"db-server-ca.crt\"," \
    "\"server_name\":\"%s\",\"cert\":\"db-client.crt\",\"key\":\"db-client.key\"}%s}"
#define ROLES                                                                         \
    "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":[\"reader\"]," \
    "\"schemas\":\"*\"},\"deny\":{\"schemas\":\"secret\"}}"
#define MAPPINGS "{\"subject\":\"CN=ci-1\",\"roles\":\"r\"}"

static const char *or_else(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static struct snapshot *load(const struct stage *stage, const struct stage_options *options)
{
    static char text[8192];
    char databases[2048];
    struct snapshot *snapshot = NULL;
    struct error err = {0};
    (void)snprintf(databases, sizeof databases, DATABASE, stage->database_port,
                   options->other_server_name ? "db.internal" : "localhost",
                   or_else(options->passwords, ""));
    int length = snprintf(
        text, sizeof text,
        "{\"proxy\":{\"listeners\":[{\"address\":\"127.0.0.1:1\"%s}],\"tls\":{\"cert\":"
        "\"proxy.crt\",\"key\":\"proxy.key\",\"client_ca\":\"bot-ca.crt\",\"crl\":\"bot.crl\"},"
        "\"limits\":{%s}},\n\"databases\":[%s],\n\"roles\":[%s],\n\"mappings\":[%s],\n"
        "\"audit\":{\"directory\":\"audit\"%s}}\n",
        options->starttls ? ",\"starttls\":true,\"database\":\"shop\"" : "",
        or_else(options->limits, ""), or_else(options->databases, databases),
        or_else(options->roles, ROLES), or_else(options->mappings, MAPPINGS),
        or_else(options->audit, ""));
    cr_assert(length > 0 && (size_t)length < sizeof text);
    files_write("proxy.conf", text);
    cr_assert(snapshot_create(files_path("proxy.conf"), NULL, &snapshot, &err), "%s", err.message);
    return snapshot;
}

static int bind_proxy(struct stage *stage)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    stage->proxy_port = ntohs(address.sin_port);
    return fd;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void set_file_size(rlim_t size)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Puts records of `length` bytes of text into the lane until it takes no more. */
static void fill_lane(struct audit_lane *lane, struct audit_prefix *prefix, size_t length)
{
    char *text = malloc(length);
    enum audit_answer answer = AUDIT_READY;
    struct error err = {0};
    cr_assert_not_null(text);
    memset(text, 'x', length);
    const struct audit_intent intent = {.event = "filler",
                                        .statement = text,
                                        .statement_captured = length,
                                        .statement_length = length};
    const struct audit_outcome outcome = {.outcome = "ok", .duration_us = -1};
    while (answer == AUDIT_READY)
        cr_assert(audit_event(lane, prefix, &intent, &outcome, &answer, &err), "%s", err.message);
    free(text);
}

void stage_fill_log(struct stage *stage)
{
    struct audit_prefix prefix = {0};
    const struct audit_session facts = {.proxy = "filler"};
    struct audit_lane *lane = audit_log_lane(stage->shared.audit, 0);
    struct error err = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    set_file_size(0);
    cr_assert(audit_prefix_render(&prefix, &facts, &err), "%s", err.message);
    fill_lane(lane, &prefix, 900000);
    fill_lane(lane, &prefix, 4000);
    fill_lane(lane, &prefix, 1);
    audit_prefix_release(&prefix);
}

void stage_empty_log(struct stage *stage)
{
    (void)stage;
    set_file_size(RLIM_INFINITY);
}

static void open_shared(struct stage *stage)
{
    const struct audit_section *section = &stage->snapshot->settings.audit;
    const struct audit_settings settings = {.directory = section->directory,
                                            .file_size = section->file_size};
    struct error err = {0};
    stage->shared.proxy_name = "proxy-test";
    cr_assert(registry_create(&stage->shared.registry, &err), "%s", err.message);
    cr_assert(audit_log_open(&settings, 1, &stage->shared.audit, &err), "%s", err.message);
    if (stage->options.full_log)
        stage_fill_log(stage);
}

void stage_open(struct stage *stage, const struct stage_options *options)
{
    memset(stage, 0, sizeof *stage);
    stage->options = *options;
    struct error err = {0};
    /* The first loop of a process opens descriptors that stay. */
    cr_assert_eq(uv_loop_init(&stage->loop), 0);
    cr_assert_eq(uv_loop_close(&stage->loop), 0);
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    stage->descriptors = open_descriptors();
    cr_assert_eq(uv_loop_init(&stage->loop), 0);
    cr_assert_eq(uv_timer_init(&stage->loop, &stage->ticker), 0);
    cr_assert_eq(uv_timer_start(&stage->ticker, on_tick, 10, 10), 0);
    cr_assert(stream_loop_create(&stage->loop, &stage->streams, &err), "%s", err.message);
    open_database(stage);
    stage->snapshot = load(stage, options);
    open_shared(stage);
    int socket_fd = bind_proxy(stage);
    cr_assert(worker_start(&stage->worker, 0, &stage->shared, stage->snapshot, &socket_fd, &err),
              "%s", err.message);
}

void stage_reload(struct stage *stage, const struct stage_options *options)
{
    struct snapshot *next = load(stage, options);
    struct error err = {0};
    cr_assert(snapshot_can_follow(stage->snapshot, next, &err), "%s", err.message);
    worker_reload(&stage->worker, next);
    snapshot_unref(stage->snapshot);
    stage->snapshot = next;
}

void stage_run_for(struct stage *stage, int64_t milliseconds)
{
    int64_t until = clock_monotonic_us() + milliseconds * 1000;
    while (clock_monotonic_us() < until)
        (void)uv_run(&stage->loop, UV_RUN_ONCE);
}

static bool all_gone(const struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        if (!stage->peers[i].gone && !stage->peers[i].closed)
            return false;
    return true;
}

static bool all_closed(const struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        if (stage->peers[i].stream)
            return false;
    return true;
}

void stage_stop(struct stage *stage)
{
    worker_stop(&stage->worker);
    int64_t until = clock_monotonic_us() + 300000;
    while (!all_gone(stage) && clock_monotonic_us() < until)
        (void)uv_run(&stage->loop, UV_RUN_ONCE);
    stage_join(stage);
}

void stage_join(struct stage *stage)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        stream_close(stage->peers[i].stream, 0);
    STAGE_UNTIL(stage, all_closed(stage));
    worker_join(&stage->worker);
    stage->joined = true;
}

static void check_nothing_is_left(struct stage *stage)
{
    uint64_t sessions, pending;
    registry_counts(stage->shared.registry, &sessions, &pending);
    cr_assert_eq(sessions, 0, "%llu sessions are counted still", (unsigned long long)sessions);
    cr_assert_eq(pending, 0, "%llu are counted as pending", (unsigned long long)pending);
    cr_assert_eq(stage->worker.session_count, 0);
    cr_assert_eq(stage->worker.busy_sessions, 0);
    cr_assert_eq(stage->worker.upstreams.count, 0, "an upstream connection is left");
    cr_assert_eq(atomic_load(&stage->worker.counters.accepted),
                 atomic_load(&stage->worker.counters.ended));
}

static bool is_event(const cJSON *record, const char *event)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, "event"));
    return text && strcmp(text, event) == 0;
}

static int count_of(const cJSON *records, const char *session, const char *event)
{
    int count = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *of = cJSON_GetStringValue(cJSON_GetObjectItem(record, "session"));
        count += of && strcmp(of, session) == 0 && is_event(record, event);
    }
    return count;
}

/* Each session has one closing record, and a start exactly where the closing one is session.end. */
static void check_closing_records(void)
{
    cJSON *records = stage_records();
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *session = cJSON_GetStringValue(cJSON_GetObjectItem(record, "session"));
        if (!session) {
            cr_assert(is_event(record, "filler"));
            continue;
        }
        int ends = count_of(records, session, "session.end");
        int denials = count_of(records, session, "session.denied");
        cr_assert_eq(ends + denials, 1, "session %s has %d closing records", session,
                     ends + denials);
        cr_assert_eq(count_of(records, session, "session.start"), ends);
    }
    cJSON_Delete(records);
}

void stage_close(struct stage *stage)
{
    if (!stage->joined)
        stage_stop(stage);
    check_nothing_is_left(stage);
    worker_release(&stage->worker);
    registry_destroy(stage->shared.registry);
    stage_empty_log(stage);
    audit_log_close(stage->shared.audit);
    snapshot_unref(stage->snapshot);
    for (size_t i = 0; i < stage->peer_count; i++) {
        buffer_release(&stage->peers[i].received);
        tls_context_unref(stage->peers[i].context);
    }
    stream_loop_destroy(stage->streams);
    uv_close((uv_handle_t *)&stage->ticker, NULL);
    uv_close((uv_handle_t *)&stage->database_listener, NULL);
    cr_assert_eq(uv_run(&stage->loop, UV_RUN_DEFAULT), 0);
    cr_assert_eq(uv_loop_close(&stage->loop), 0, "a handle was left open");
    cr_assert_eq(open_descriptors(), stage->descriptors, "a descriptor was left open");
    check_closing_records();
}

/* --- the audit log
 * --------------------------------------------------------------------------------
 */

static void read_lines(const char *path, cJSON *records)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    while ((length = getline(&line, &size, file)) > 0) {
        cr_assert_eq(line[length - 1], '\n');
        cJSON *record = cJSON_ParseWithLength(line, (size_t)length);
        cr_assert_not_null(record, "not JSON: %.200s", line);
        (void)cJSON_AddItemToArray(records, record);
    }
    free(line);
    (void)fclose(file);
}

cJSON *stage_records(void)
{
    cJSON *records = cJSON_CreateArray();
    struct dirent **entries;
    char path[512];
    int count = scandir(files_path("audit"), &entries, NULL, alphasort);
    cr_assert_geq(count, 0);
    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", files_path("audit"), entries[i]->d_name);
        if (strncmp(entries[i]->d_name, "audit-", 6) == 0)
            read_lines(path, records);
        free(entries[i]);
    }
    free(entries);
    return records;
}

int records_with(const cJSON *records, const char *key, const char *value)
{
    int count = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, key));
        count += text && strcmp(text, value) == 0;
    }
    return count;
}

static const char *text_in(const cJSON *record, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(record, key));
    return text ? text : "";
}

void expect_closing(const char *event, const char *reason, const char *words)
{
    cJSON *records = stage_records();
    const cJSON *record, *closing = NULL;
    cJSON_ArrayForEach(record, records)
    {
        if (!is_event(record, "session.end") && !is_event(record, "session.denied"))
            continue;
        cr_assert_null(closing, "there was more than one session");
        closing = record;
    }
    cr_assert_not_null(closing, "there is no closing record");
    char *shown = cJSON_PrintUnformatted(closing);
    cr_assert_str_eq(text_in(closing, "event"), event, "%s", shown);
    cr_assert_str_eq(text_in(closing, "reason"), reason, "%s", shown);
    cr_assert_not_null(strstr(text_in(cJSON_GetObjectItem(closing, "error"), "message"), words),
                       "%s", shown);
    free(shown);
    cJSON_Delete(records);
}

void expect_statement(const char *statement, const char *outcome)
{
    cJSON *records = stage_records();
    const cJSON *record, *found = NULL;
    cJSON_ArrayForEach(record, records)
    {
        if (strcmp(text_in(record, "statement"), statement) != 0)
            continue;
        cr_assert_null(found, "'%s' was recorded twice", statement);
        found = record;
    }
    cr_assert(found || !outcome, "'%s' was not recorded", statement);
    if (outcome)
        cr_assert_str_eq(text_in(found, "outcome"), outcome, "%s", statement);
    cJSON_Delete(records);
}
