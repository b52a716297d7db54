/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "authority/ca_internal.h"
#include "authority/store_outstanding.h"
#include "base/clock.h"

/* What a step works with. */
struct rotating {
    struct authority *authority;
    struct ca_kind *kind;
    enum store_authority_kind name;
    int64_t now_us;
    struct authority_refusal *refusal;
    struct error *err;
};

static const char *const rotation_names[] = {NULL,      "none",    "standby",
                                             "trusted", "signing", "dropped"};

const char *authority_rotation_name(enum authority_rotation rotation)
{
    return rotation_names[rotation];
}

bool authority_rotation_parse(const char *name, enum authority_rotation *rotation)
{
    for (unsigned i = AUTHORITY_ROTATION_NONE; i <= AUTHORITY_ROTATION_DROPPED; i++)
        if (strcmp(name, rotation_names[i]) == 0) {
            *rotation = (enum authority_rotation)i;
            return true;
        }
    return false;
}

enum authority_rotation authority_ca_rotation(const struct authority *authority,
                                              enum store_authority_kind kind)
{
    const struct ca_kind *of = ca_kind_of(authority, kind);
    if (of->count < 2)
        return AUTHORITY_ROTATION_NONE;
    switch (of->list[1].phase) {
    case AUTHORITY_STANDBY:
        return AUTHORITY_ROTATION_STANDBY;
    case AUTHORITY_TRUSTED:
        return AUTHORITY_ROTATION_TRUSTED;
    default:
        return AUTHORITY_ROTATION_SIGNING;
    }
}

/* --- whom it would harm --- */

/* For one, and for any other number of them. */
struct whom {
    const char *one, *many;
};

static bool harms(const struct rotating *rotating, const struct store_outstanding *outstanding,
                  const struct whom *whom)
{
    char until[CLOCK_TIME_SIZE];
    if (outstanding->count == 0)
        return true;
    clock_format(outstanding->until_us, until);
    return authority_refuse(rotating->refusal, CONTROL_CONFLICT,
                            "%" PRId64 " %s: wait until %.19sZ at the latest, or force it",
                            outstanding->count, outstanding->count == 1 ? whom->one : whom->many,
                            until);
}

static bool check_current(const struct rotating *rotating, enum store_certificate_kind kind,
                          const struct whom *whom)
{
    struct store_outstanding outstanding;
    return store_outstanding_since(rotating->authority->store, kind,
                                   rotating->kind->list[1].phase_since_us, rotating->now_us,
                                   &outstanding, rotating->err) &&
           harms(rotating, &outstanding, whom);
}

struct away {
    const struct rotating *rotating;
    struct store_outstanding outstanding;
};

static bool count_away(const struct store_proxy *proxy, void *context)
{
    struct away *away = context;
    const struct authority *authority = away->rotating->authority;
    if (proxy->not_after_us <= away->rotating->now_us ||
        (authority->told && authority->told(authority->told_context, proxy->name)))
        return true;
    away->outstanding.count++;
    if (proxy->not_after_us > away->outstanding.until_us)
        away->outstanding.until_us = proxy->not_after_us;
    return true;
}

/* Proxies learn of these CAs by the state, at once; not those that are away. */
static bool check_told(const struct rotating *rotating)
{
    static const struct whom whom = {
        "proxy that is not connected (proxy ls) may not know the newer CA yet",
        "proxies that are not connected (proxy ls) may not know the newer CA yet"};
    struct away away = {.rotating = rotating};
    return store_proxy_each(rotating->authority->store, count_away, &away, rotating->err) &&
           harms(rotating, &away.outstanding, &whom);
}

/*
 * trusted → signing. Who has to know the newer CA is whoever verifies what it signs:
 *
 *     bot               proxies
 *     service           bots and proxies: it comes with each certificate, so those have it whose
 *                       certificate is younger than the phase "trusted"
 *     database server   proxies
 *     database client   the databases, which cannot be asked
 */
static bool check_known(const struct rotating *rotating)
{
    static const struct whom bots = {"instance of a bot may not know the newer CA yet",
                                     "instances of bots may not know the newer CA yet"};
    static const struct whom proxies = {"proxy may not know the newer CA yet",
                                        "proxies may not know the newer CA yet"};
    if (rotating->name == STORE_AUTHORITY_DATABASE_CLIENT)
        return authority_refuse(
            rotating->refusal, CONTROL_CONFLICT,
            "whether the databases trust the newer CA cannot be seen from here: give each the new "
            "ssl_ca (ca export database-client), then force it");
    if (rotating->name != STORE_AUTHORITY_SERVICE)
        return check_told(rotating);
    return check_current(rotating, STORE_CERTIFICATE_BOT, &bots) &&
           check_current(rotating, STORE_CERTIFICATE_PROXY, &proxies);
}

static bool check_signed(const struct rotating *rotating, const struct authority_ca *ca,
                         const struct whom *whom)
{
    static const enum store_certificate_kind signs[] = {
        [STORE_AUTHORITY_BOT] = STORE_CERTIFICATE_BOT,
        [STORE_AUTHORITY_SERVICE] = STORE_CERTIFICATE_PROXY,
        [STORE_AUTHORITY_DATABASE_SERVER] = STORE_CERTIFICATE_DATABASE_SERVER,
        [STORE_AUTHORITY_DATABASE_CLIENT] = STORE_CERTIFICATE_DATABASE_CLIENT,
    };
    struct store_outstanding outstanding;
    return store_outstanding_signed(rotating->authority->store, signs[rotating->name], ca->number,
                                    rotating->now_us, &outstanding, rotating->err) &&
           harms(rotating, &outstanding, whom);
}

/* signing → dropped */
static bool check_older(const struct rotating *rotating)
{
    static const struct whom whom = {
        "certificate that the older CA signed is in use and has not expired",
        "certificates that the older CA signed are in use and have not expired"};
    return check_signed(rotating, &rotating->kind->list[0], &whom);
}

/* trusted → standby */
static bool check_newer(const struct rotating *rotating)
{
    static const struct whom whom = {
        "certificate that the newer CA signed is in use and has not expired",
        "certificates that the newer CA signed are in use and have not expired"};
    return check_signed(rotating, &rotating->kind->list[1], &whom);
}

/* --- the steps --- */

static bool store_phase(const struct rotating *rotating, const struct authority_ca *ca,
                        enum authority_phase phase)
{
    return ca->phase == phase ||
           store_authority_set_phase(rotating->authority->store, ca->kind, ca->number,
                                     authority_phase_name(phase), rotating->now_us, rotating->err);
}

static void note_phase(const struct rotating *rotating, struct authority_ca *ca,
                       enum authority_phase phase)
{
    if (ca->phase != phase)
        ca->phase_since_us = rotating->now_us;
    ca->phase = phase;
}

static bool set_phases(const struct rotating *rotating, enum authority_phase older,
                       enum authority_phase newer)
{
    struct authority_ca *list = rotating->kind->list;
    struct store *store = rotating->authority->store;
    if (!store_begin(store, rotating->err))
        return false;
    if (!store_phase(rotating, &list[0], older) || !store_phase(rotating, &list[1], newer)) {
        store_rollback(store);
        return false;
    }
    if (!store_commit(store, rotating->err))
        return false;
    note_phase(rotating, &list[0], older);
    note_phase(rotating, &list[1], newer);
    ca_bundle(rotating->kind);
    return true;
}

/* Takes the dropped one out of memory, and its key from the disk. */
static bool forget(const struct rotating *rotating, size_t which)
{
    struct ca_kind *kind = rotating->kind;
    char key_file[STORE_FILE_SIZE];
    memcpy(key_file, kind->list[which].key_file, sizeof key_file);
    ca_release(&kind->list[which]);
    if (which == 0)
        kind->list[0] = kind->list[1];
    kind->list[1] = (struct authority_ca){0};
    kind->count = 1;
    ca_bundle(kind);
    return ca_key_remove(&rotating->authority->cas->keys, key_file, rotating->err) ||
           error_wrap(rotating->err, "the CA was dropped, but its key is still there");
}

static bool add_newer(const struct rotating *rotating, const struct authority_ca *ca)
{
    struct store *store = rotating->authority->store;
    if (!store_begin(store, rotating->err))
        return false;
    if (ca_add(rotating->authority, ca, rotating->err))
        return store_commit(store, rotating->err);
    store_rollback(store);
    return false;
}

static bool step_make(const struct rotating *rotating)
{
    struct ca_kind *kind = rotating->kind;
    if (!ca_make(rotating->authority, rotating->name, kind->last_number + 1, AUTHORITY_STANDBY,
                 rotating->now_us, &kind->list[1], rotating->err))
        return false;
    if (!add_newer(rotating, &kind->list[1])) {
        ca_release(&kind->list[1]);
        kind->list[1] = (struct authority_ca){0};
        return false;
    }
    kind->count = 2;
    kind->last_number++;
    return ca_key_settle(&rotating->authority->cas->keys, kind->list[1].key_file, rotating->err);
}

static bool step_unmake(const struct rotating *rotating)
{
    return set_phases(rotating, AUTHORITY_SIGNING, AUTHORITY_DROPPED) && forget(rotating, 1);
}

static bool step_standby(const struct rotating *rotating)
{
    return set_phases(rotating, AUTHORITY_SIGNING, AUTHORITY_STANDBY);
}

static bool step_trusted(const struct rotating *rotating)
{
    return set_phases(rotating, AUTHORITY_SIGNING, AUTHORITY_TRUSTED);
}

static bool step_signing(const struct rotating *rotating)
{
    return set_phases(rotating, AUTHORITY_OLD, AUTHORITY_SIGNING);
}

static bool step_drop(const struct rotating *rotating)
{
    return set_phases(rotating, AUTHORITY_DROPPED, AUTHORITY_SIGNING) && forget(rotating, 0);
}

/* The drawing in ca.h. Where there is nothing to check, nobody can be harmed. */
static const struct step {
    enum authority_rotation from, to;
    bool (*check)(const struct rotating *rotating);
    bool (*take)(const struct rotating *rotating);
} steps[] = {
    {AUTHORITY_ROTATION_NONE, AUTHORITY_ROTATION_STANDBY, NULL, step_make},
    {AUTHORITY_ROTATION_STANDBY, AUTHORITY_ROTATION_NONE, NULL, step_unmake},
    {AUTHORITY_ROTATION_STANDBY, AUTHORITY_ROTATION_TRUSTED, NULL, step_trusted},
    {AUTHORITY_ROTATION_TRUSTED, AUTHORITY_ROTATION_STANDBY, check_newer, step_standby},
    {AUTHORITY_ROTATION_TRUSTED, AUTHORITY_ROTATION_SIGNING, check_known, step_signing},
    {AUTHORITY_ROTATION_SIGNING, AUTHORITY_ROTATION_TRUSTED, NULL, step_trusted},
    {AUTHORITY_ROTATION_SIGNING, AUTHORITY_ROTATION_DROPPED, check_older, step_drop},
};

static const struct step *find_step(enum authority_rotation from, enum authority_rotation to)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].from == from && steps[i].to == to)
            return &steps[i];
    return NULL;
}

static bool refuse_step(const struct rotating *rotating, enum authority_rotation from,
                        enum authority_rotation to)
{
    static const char *const next[] = {
        [AUTHORITY_ROTATION_NONE] = "the next step is standby",
        [AUTHORITY_ROTATION_STANDBY] = "the next step is trusted, the one back is none",
        [AUTHORITY_ROTATION_TRUSTED] = "the next step is signing, the one back is standby",
        [AUTHORITY_ROTATION_SIGNING] = "the next step is dropped, the one back is trusted",
    };
    return authority_refuse(rotating->refusal, CONTROL_CONFLICT,
                            "the rotation of the %s CA cannot go from \"%s\" to \"%s\": %s",
                            store_authority_kind_name(rotating->name),
                            authority_rotation_name(from), authority_rotation_name(to), next[from]);
}

bool authority_ca_rotate(struct authority *authority, enum store_authority_kind kind,
                         enum authority_rotation to, bool force, int64_t now_us,
                         struct authority_refusal *refusal, struct error *err)
{
    struct rotating rotating = {
        .authority = authority,
        .kind = ca_kind_of(authority, kind),
        .name = kind,
        .now_us = now_us,
        .refusal = refusal,
        .err = err,
    };
    refusal->code = CONTROL_NO_ERROR;
    if (authority->group)
        return error_set(err, ERROR_STATE, "a CA is not rotated within a group of changes");
    enum authority_rotation from = authority_ca_rotation(authority, kind);
    if (from == to)
        return true;
    const struct step *step = find_step(from, to);
    if (!step)
        return refuse_step(&rotating, from, to);
    return (force || !step->check || step->check(&rotating)) && step->take(&rotating);
}
