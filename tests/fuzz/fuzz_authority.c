/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any request of any kind of peer, decided by a real authority: store, CAs, locks, audit lane. The
 * first byte says who asks, the rest is one message after another, each behind a NUL. Nothing is
 * committed, so that each input finds the same authority. What must hold: an answer for each
 * request, no grant to who may not ask, nothing of the transaction left, no secret in the log.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/intake.h"
#include "authority/service_internal.h"
#include "authority/standing.h"
#include "authority/token.h"
#include "base/clock.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct authority_service *service;
static struct audit_lane lane;
static struct audit_doorbell doorbell = {.event_fd = -1};
static char bot_serial[STORE_SERIAL_SIZE], proxy_serial[STORE_SERIAL_SIZE];

static void must(bool done)
{
    if (!done)
        abort();
}

/* One bot with an instance, and one proxy. */
static void populate(void)
{
    struct error err = {0};
    struct authority_refusal refusal;
    struct store_bot bot = {.name = "ci-1", .created_us = 1, .created_by = "fuzz"};
    static struct authority_identity identity;
    struct authority_token token;
    struct authority_hosts hosts;
    struct tls_key *key = NULL;
    struct tls_public *public = NULL;
    struct buffer csr;
    static const char *const names[] = {"proxy.test"};
    const struct authority_token_wanted wanted = {
        .kind = STORE_TOKEN_BOT, .name = "ci-1", .created_by = "fuzz"};
    int64_t now = clock_wall_us();
    must(store_bot_add(service->store, &bot, &err));
    must(authority_token_add(service->core, &wanted, now, &token, &refusal, &err));
    must(tls_key_generate(&key, &err) && tls_public_of(key, &public, &err));
    buffer_init(&csr, 8192);
    must(tls_request_create(key, &csr, &err) && buffer_append(&csr, "", 1, &err));
    must(authority_join(service->core, token.text, (const char *)buffer_bytes(&csr), "10.0.0.1",
                        now, &identity, &refusal, &err));
    memcpy(bot_serial, identity.certificate.serial, sizeof bot_serial);
    must(authority_hosts_read(names, 1, &hosts, &refusal));
    must(authority_proxy_issue(service->core, "proxy-1", public, &hosts, &hosts, now, &identity,
                               &err));
    memcpy(proxy_serial, identity.certificate.serial, sizeof proxy_serial);
    buffer_release(&csr);
    tls_public_free(public);
    tls_key_free(key);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void open_service(void)
{
    static char directory[] = "/tmp/fuzz_authority.XXXXXX";
    static const char *const names[] = {"localhost"};
    static struct authority_service_settings settings;
    struct authority_refusal refusal;
    struct error err = {0};
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    must(mkdtemp(directory) != NULL);
    settings.directory = directory;
    settings.core = authority_settings_default();
    settings.limits = (struct authority_limits){10, 10, 60000};
    memcpy(settings.core.trust_domain, "fuzz.test", sizeof "fuzz.test");
    must(authority_hosts_read(names, 1, &settings.core.hosts, &refusal));
    must(audit_lane_open(&lane, 256 * 1024, &doorbell, &err));
    must(authority_service_open(&settings, &lane, &service, &err));
    service->stopping = true; /* there is no loop */
    populate();
    /* All that is needed is open. libFuzzer ends without calling anybody. */
    must(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Tokens and keys that were handed out, without what all of them share. */
static char secrets[SERVICE_GROUP_MAX][64];
static size_t secret_count;

static void note_secret(const cJSON *ok, const char *key, char behind)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(ok, key));
    const char *from = text ? strrchr(text, behind) : NULL;
    if (behind == '\n' && text) /* the first line of a key that is its own */
        from = strchr(text, behind);
    if (from)
        (void)snprintf(secrets[secret_count++], sizeof secrets[0], "%.60s", from + 1);
}

static bool contains(const uint8_t *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

static void drain_lane(void)
{
    size_t length;
    while (audit_lane_ready(&lane.ring) > 0) {
        const uint8_t *bytes = audit_lane_peek(&lane.ring, audit_lane_ready(&lane.ring), &length);
        for (size_t i = 0; i < secret_count; i++)
            must(!contains(bytes, length, secrets[i]));
        audit_lane_take(&lane.ring, length);
    }
}

static struct connection connect_as(uint8_t kind)
{
    struct connection connection = {.service = service,
                                    .known = true,
                                    .address = "10.0.0.5:1",
                                    .host = "10.0.0.5",
                                    .actor = "fuzz"};
    connection.kind = (enum control_peer_kind)(kind % (CONTROL_ADMINISTRATOR + 1));
    connection.since_us = clock_wall_us();
    if (connection.kind == CONTROL_BOT)
        memcpy(connection.serial, bot_serial, sizeof bot_serial);
    if (connection.kind == CONTROL_PROXY)
        memcpy(connection.serial, proxy_serial, sizeof proxy_serial);
    return connection;
}

static void ask(struct connection *connection, const uint8_t *text, size_t length)
{
    cJSON *message;
    struct control_head head;
    struct error err = {0};
    if (!control_parse(byte_view(text, length), &message, &err))
        return;
    /* A rotation moves files, which nothing takes back. */
    if (control_head_read(message, &head, &err) && head.form == CONTROL_REQUEST &&
        strcmp(head.name, "ca_rotate") != 0 && service->group.count < SERVICE_GROUP_MAX) {
        group_request(connection, message, &head);
        const struct item *item = &service->group.items[service->group.count - 1];
        must(item->answer != NULL);
        const cJSON *ok = cJSON_GetObjectItemCaseSensitive(item->answer, "ok");
        must(!ok || control_allowed(connection->kind, head.name));
        if (secret_count + 2 <= SERVICE_GROUP_MAX) {
            note_secret(ok, "token", '.');
            note_secret(ok, "key", '\n');
        }
    }
    control_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!service)
        open_service();
    if (size == 0)
        return 0;
    struct connection connection = connect_as(data[0]);
    int64_t before, after;
    must(store_version(service->store, &before, NULL));
    for (size_t at = 1; at < size;) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        size_t length = end ? (size_t)(end - (data + at)) : size - at;
        ask(&connection, data + at, length);
        at += length + 1;
    }
    if (service->group.open)
        authority_rollback(service->core);
    service->group.open = false;
    group_forget(service, &connection);
    group_end(service);
    drain_lane();
    secret_count = 0;
    must(lane.open == 0);
    must(store_version(service->store, &after, NULL) && before == after);
    return 0;
}
