/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/authority_support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char home[64];
struct store *store;
struct authority *authority;
int64_t now_us;
struct authority_settings settings;
struct authority_refusal refusal;
struct error failure;
bool is_news;

void home_open(void)
{
    struct error err = {0};
    cr_assert(store_open(home, &store, &err), "%s", err.message);
    cr_assert(authority_open(&settings, store, now_us, &authority, &err), "%s", err.message);
}

void home_close(void)
{
    authority_close(authority);
    store_close(store);
    authority = NULL;
    store = NULL;
}

void home_enter(void)
{
    static const char *const hosts[] = {"authority.test", "127.0.0.1"};
    snprintf(home, sizeof home, "/tmp/test_authority.XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    now_us = clock_wall_us();
    settings = authority_settings_default();
    snprintf(settings.trust_domain, sizeof settings.trust_domain, "acme.test");
    cr_assert(authority_hosts_read(hosts, 2, &settings.hosts, &refusal));
    home_open();
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void home_leave(void)
{
    home_close();
    cr_assert_eq(nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *home_path(const char *name)
{
    static char paths[4][512];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", home, name);
    return path;
}

const char *csr_for(const struct tls_key *key)
{
    static char texts[8][2048];
    static size_t next;
    char *text = texts[next++ % 8];
    struct buffer pem;
    struct error err = {0};
    buffer_init_fixed(&pem, text, sizeof texts[0] - 1);
    cr_assert(tls_request_create(key, &pem, &err), "%s", err.message);
    text[buffer_length(&pem)] = '\0';
    return text;
}

const char *a_csr(void)
{
    struct tls_key *key = NULL;
    struct error err = {0};
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    const char *csr = csr_for(key);
    tls_key_free(key);
    return csr;
}

const char *csr_of(struct tls_key **key)
{
    struct error err = {0};
    if (!*key)
        cr_assert(tls_key_generate(key, &err), "%s", err.message);
    return csr_for(*key);
}

void bot_with_roles(const char *name, const char *const *roles, size_t count)
{
    struct store_bot bot = {.created_us = now_us, .created_by = "test", .role_count = count};
    struct error err = {0};
    snprintf(bot.name, sizeof bot.name, "%s", name);
    for (size_t i = 0; i < count; i++)
        snprintf(bot.roles[i], sizeof bot.roles[i], "%s", roles[i]);
    cr_assert(store_bot_add(store, &bot, &err), "%s", err.message);
}

void a_bot(const char *name, const char *role)
{
    bot_with_roles(name, &role, 1);
}

const char *a_token(enum store_token_kind kind, const char *name)
{
    static struct authority_token token;
    const struct authority_token_wanted wanted = {
        .kind = kind, .name = name, .created_by = "uid 0"};
    ENDS(authority_token_add(authority, &wanted, now_us, &token, WHY));
    return token.text;
}

const struct authority_shown *shown_serial(const char *serial)
{
    static struct authority_shown shown;
    shown = (struct authority_shown){serial, now_us};
    return &shown;
}

const struct authority_shown *shown_now(const struct authority_identity *identity)
{
    return shown_serial(identity->certificate.serial);
}

struct authority_identity joined(const char *bot)
{
    struct authority_identity identity;
    ENDS(authority_join(authority, a_token(STORE_TOKEN_BOT, bot), a_csr(), "10.0.0.5", now_us,
                        &identity, WHY));
    return identity;
}

struct authority_identity joined_and_confirmed(const char *bot)
{
    struct authority_identity identity = joined(bot);
    ENDS(authority_confirm(authority, shown_now(&identity), now_us, &is_news, WHY));
    return identity;
}

struct authority_identity joined_proxy(const char *name, const char *host)
{
    struct authority_identity identity;
    const struct authority_join_proxy join = {
        .token = a_token(STORE_TOKEN_PROXY, name),
        .name = name,
        .csr = a_csr(),
        .hosts = &host,
        .host_count = 1,
        .address = "10.0.0.6",
    };
    ENDS(authority_join_proxy(authority, &join, now_us, &identity, WHY));
    return identity;
}

struct authority_identity renewed(const struct authority_identity *identity)
{
    struct authority_identity next;
    ENDS(authority_renew(authority, shown_now(identity), a_csr(), now_us, &next, WHY));
    return next;
}

struct authority_identity renewed_and_confirmed(const struct authority_identity *identity)
{
    struct authority_identity next = renewed(identity);
    ENDS(authority_confirm(authority, shown_now(&next), now_us, &is_news, WHY));
    return next;
}

struct lock_count {
    const char *instance;
    size_t count;
};

static bool count_lock(const struct store_lock *lock, void *context)
{
    struct lock_count *count = context;
    if (lock->kind == STORE_LOCK_INSTANCE && strcmp(lock->target, count->instance) == 0)
        count->count++;
    return true;
}

size_t locks_on(const char *instance)
{
    struct lock_count count = {.instance = instance};
    struct error err = {0};
    cr_assert(store_lock_each(store, now_us, count_lock, &count, &err), "%s", err.message);
    return count.count;
}

const struct identity *identity_of(const char *chain)
{
    static struct identity identity;
    struct certificate_facts facts;
    struct error err = {0};
    cr_assert(certificate_read(chain, strlen(chain), &facts, &err), "%s", err.message);
    cr_assert(identity_from_certificate(facts.der, facts.der_length, &identity, &err), "%s",
              err.message);
    certificate_facts_release(&facts);
    return &identity;
}
