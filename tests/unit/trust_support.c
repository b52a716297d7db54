/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/trust_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

void start(struct pair *pair, struct tls_settings server, struct tls_settings client,
           const char *name, enum tls_version version)
{
    server.version = client.version = version;
    pair_open(pair);
    pair->server.anonymous_peer = !client.cert_file && !client.cert_pem;
    pair_start_tls(pair, context_make(&server), context_make(&client), name);
}

struct outcome shake_hands(const struct tls_settings *server, const struct tls_settings *client,
                           const char *name, enum tls_version version, bool wanted)
{
    struct pair pair;
    struct outcome outcome = {0};
    start(&pair, *server, *client, name, version);
    pair_run_until(&pair, wanted ? &pair.server.secured : &pair.server.failed);
    pair_run_until(&pair, wanted ? &pair.client.secured : &pair.client.failed);
    outcome.secured = pair.server.secured && pair.client.secured;
    (void)snprintf(outcome.server, sizeof outcome.server, "%s", pair.server.error.message);
    (void)snprintf(outcome.client, sizeof outcome.client, "%s", pair.client.error.message);
    const struct identity *refused = stream_refused_peer(pair.server.stream);
    (void)snprintf(outcome.refused, sizeof outcome.refused, "%s", refused ? refused->bot : "");
    pair_close(&pair);
    return outcome;
}

void assert_accepted(const struct tls_settings *server, const struct tls_settings *client,
                     const char *name)
{
    for (size_t i = 0; i < COUNT(versions); i++)
        cr_assert(shake_hands(server, client, name, versions[i], true).secured);
}

void assert_server_refused(const struct tls_settings *server, const struct tls_settings *client,
                           const char *name, const char *words)
{
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct outcome outcome = shake_hands(server, client, name, versions[i], false);
        cr_assert_not(outcome.secured);
        cr_assert_not_null(strstr(outcome.client, words), "version %zu said: %s", i,
                           outcome.client);
    }
}

void assert_not_made(const struct tls_settings *settings, enum error_code code, const char *words)
{
    struct error err = {0};
    struct tls_context *context = NULL;
    cr_assert_not(tls_context_create(settings, &context, &err));
    cr_assert_null(context);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
}

void pin_of(const char *pem, uint8_t pin[TLS_PIN_SIZE])
{
    struct error err = {0};
    struct certificate_facts facts;
    cr_assert(certificate_read(pem, strlen(pem), &facts, &err), "%s", err.message);
    memcpy(pin, facts.pin, TLS_PIN_SIZE);
    certificate_facts_release(&facts);
}

void world_make(struct world *world)
{
    pki_ca(&world->services, "service CA");
    pki_ca(&world->bots, "bot CA");
    pki_server(&world->services, &world->server);
    pki_client(&world->bots, "ci-1", &world->client);
    world->chain = pki_chain(world->server.pem, world->services.pem);
    pin_of(world->services.pem, world->pin);
}

void world_release(struct world *world)
{
    pki_release(&world->services);
    pki_release(&world->bots);
    pki_release(&world->server);
    pki_release(&world->client);
    free(world->chain);
}

struct tls_settings world_server(const struct world *world)
{
    return (struct tls_settings){
        .side = TLS_SERVER,
        .cert_pem = world->chain,
        .key_pem = world->server.key_pem,
        .ca_pem = world->bots.pem,
    };
}

struct tls_settings world_client(const struct world *world)
{
    return (struct tls_settings){
        .side = TLS_CLIENT,
        .cert_pem = world->client.pem,
        .key_pem = world->client.key_pem,
        .ca_pem = world->services.pem,
    };
}
