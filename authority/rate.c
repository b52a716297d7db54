/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/rate.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS       4096 /* heads of chains; a power of two */
#define NONE          UINT16_MAX
#define KEY_LENGTH    9 /* a family, and 4 or 8 bytes of an address */
#define NETWORK_BYTES 8 /* of an IPv6 address that count */

_Static_assert(AUTHORITY_RATE_ADDRESSES < NONE, "entries are numbered by 16 bits");

struct key {
    uint8_t bytes[KEY_LENGTH];
};

/*
 * A bucket of tokens is kept as the time at which it will be full again: each refusal moves that on
 * by one interval, and there is a token while it is less than a full bucket away.
 */
struct entry {
    struct key key;
    int64_t full_us;
    uint16_t chain;        /* the next of the same hash, or the next free one */
    uint16_t older, newer; /* by the last refusal */
    int64_t record_us;     /* before this, no refusal is recorded */
    uint64_t unrecorded;
};

struct authority_rate {
    uint8_t secret[crypto_shorthash_KEYBYTES]; /* nobody else knows which addresses share a chain */
    int64_t interval_us, full_us;              /* of one token, and of a bucket of them */
    uint16_t heads[BUCKETS];
    uint16_t free;
    uint16_t oldest, newest;
    struct entry entries[AUTHORITY_RATE_ADDRESSES];
};

static bool open_rate(struct authority_rate **out, int64_t at_once, int64_t interval_us,
                      struct error *err)
{
    struct authority_rate *rate = calloc(1, sizeof *rate);
    if (!rate)
        return error_set(err, ERROR_MEMORY, "out of memory for rates");
    rate->interval_us = interval_us;
    rate->full_us = at_once * interval_us;
    crypto_shorthash_keygen(rate->secret);
    for (size_t i = 0; i < BUCKETS; i++)
        rate->heads[i] = NONE;
    for (uint16_t i = 0; i < AUTHORITY_RATE_ADDRESSES; i++)
        rate->entries[i].chain = i + 1 < AUTHORITY_RATE_ADDRESSES ? (uint16_t)(i + 1) : NONE;
    rate->oldest = NONE;
    rate->newest = NONE;
    *out = rate;
    return true;
}

bool authority_rate_open(struct authority_rate **out, struct error *err)
{
    return open_rate(out, AUTHORITY_RATE_AT_ONCE, AUTHORITY_RATE_INTERVAL_US, err);
}

bool authority_rate_open_bots(struct authority_rate **out, struct error *err)
{
    return open_rate(out, AUTHORITY_RATE_BOT_AT_ONCE, AUTHORITY_RATE_BOT_INTERVAL_US, err);
}

void authority_rate_close(struct authority_rate *rate)
{
    free(rate);
}

static struct key key_of(const char *address)
{
    char host[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct key key = {0};
    size_t length = strcspn(address, "%"); /* a zone names a link of ours */
    if (length >= sizeof host)
        return key;
    memcpy(host, address, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, key.bytes + 1) == 1) {
        key.bytes[0] = 4;
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6);
        key.bytes[0] = mapped ? 4 : 6;
        memcpy(key.bytes + 1, v6.s6_addr + (mapped ? 12 : 0), mapped ? 4 : NETWORK_BYTES);
    }
    return key;
}

static size_t bucket_of(const struct authority_rate *rate, const struct key *key)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key->bytes, sizeof key->bytes, rate->secret);
    return (hash[0] | (size_t)hash[1] << 8) % BUCKETS;
}

static uint16_t find(const struct authority_rate *rate, const struct key *key)
{
    uint16_t at = rate->heads[bucket_of(rate, key)];
    while (at != NONE && memcmp(&rate->entries[at].key, key, sizeof *key) != 0)
        at = rate->entries[at].chain;
    return at;
}

/* --- the order of refusals --- */

static void list_remove(struct authority_rate *rate, uint16_t at)
{
    const struct entry *entry = &rate->entries[at];
    if (entry->older == NONE)
        rate->oldest = entry->newer;
    else
        rate->entries[entry->older].newer = entry->newer;
    if (entry->newer == NONE)
        rate->newest = entry->older;
    else
        rate->entries[entry->newer].older = entry->older;
}

static void list_append(struct authority_rate *rate, uint16_t at)
{
    struct entry *entry = &rate->entries[at];
    entry->older = rate->newest;
    entry->newer = NONE;
    if (rate->newest == NONE)
        rate->oldest = at;
    else
        rate->entries[rate->newest].newer = at;
    rate->newest = at;
}

/* --- entries --- */

static void forget_oldest(struct authority_rate *rate)
{
    uint16_t at = rate->oldest;
    uint16_t *link = &rate->heads[bucket_of(rate, &rate->entries[at].key)];
    while (*link != at)
        link = &rate->entries[*link].chain;
    *link = rate->entries[at].chain;
    list_remove(rate, at);
    rate->entries[at].chain = rate->free;
    rate->free = at;
}

static uint16_t add(struct authority_rate *rate, const struct key *key, int64_t now_us)
{
    if (rate->free == NONE)
        forget_oldest(rate);
    uint16_t at = rate->free;
    uint16_t *head = &rate->heads[bucket_of(rate, key)];
    struct entry *entry = &rate->entries[at];
    rate->free = entry->chain;
    *entry = (struct entry){.key = *key, .full_us = now_us, .chain = *head};
    *head = at;
    list_append(rate, at);
    return at;
}

static bool allows(const struct authority_rate *rate, uint16_t at, int64_t now_us)
{
    return at == NONE || rate->entries[at].full_us - now_us <= rate->full_us - rate->interval_us;
}

static uint16_t find_or_add(struct authority_rate *rate, const struct key *key, int64_t now_us)
{
    uint16_t at = find(rate, key);
    return at == NONE ? add(rate, key, now_us) : at;
}

/* Makes it the newest. */
static void touch(struct authority_rate *rate, uint16_t at)
{
    list_remove(rate, at);
    list_append(rate, at);
}

static void count(struct authority_rate *rate, uint16_t at, int64_t now_us)
{
    struct entry *entry = &rate->entries[at];
    if (entry->full_us < now_us)
        entry->full_us = now_us;
    entry->full_us += rate->interval_us;
    if (entry->full_us >
        now_us + rate->full_us) /* several were under way when the last one was allowed */
        entry->full_us = now_us + rate->full_us;
    touch(rate, at);
}

bool authority_rate_allows(const struct authority_rate *rate, const char *address, int64_t now_us)
{
    const struct key key = key_of(address);
    return allows(rate, find(rate, &key), now_us);
}

void authority_rate_refused(struct authority_rate *rate, const char *address, int64_t now_us)
{
    const struct key key = key_of(address);
    count(rate, find_or_add(rate, &key, now_us), now_us);
}

/* --- bots --- */

/* Two names of one hash would share a bucket; nobody can look for them without the secret. */
static struct key key_of_name(const struct authority_rate *rate, const char *name)
{
    struct key key = {0};
    _Static_assert(sizeof key.bytes == 1 + crypto_shorthash_BYTES, "a hash fills a key");
    key.bytes[0] = 'n';
    crypto_shorthash(key.bytes + 1, (const uint8_t *)name, strlen(name), rate->secret);
    return key;
}

bool authority_rate_takes(struct authority_rate *rate, const char *name, int64_t now_us)
{
    const struct key key = key_of_name(rate, name);
    uint16_t at = find_or_add(rate, &key, now_us);
    bool allowed = allows(rate, at, now_us);
    if (allowed)
        count(rate, at, now_us);
    else
        touch(rate, at);
    return allowed;
}

bool authority_rate_may_record(struct authority_rate *rate, const char *name, int64_t now_us,
                               uint64_t *unrecorded)
{
    const struct key key = key_of_name(rate, name);
    struct entry *entry = &rate->entries[find_or_add(rate, &key, now_us)];
    if (now_us < entry->record_us) {
        entry->unrecorded++;
        return false;
    }
    *unrecorded = entry->unrecorded;
    entry->unrecorded = 0;
    entry->record_us = now_us + AUTHORITY_RATE_RECORD_US;
    return true;
}
