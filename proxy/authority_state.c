/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/authority_state.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "control/fields.h"
#include "control/state_limits.h"

_Static_assert(CONTROL_STATE_ROLES_MAX == AUTHZ_CONFIG_ROLES_MAX, "what the policy can hold");
_Static_assert(CONTROL_STATE_MAPPINGS_MAX == AUTHZ_CONFIG_MAPPINGS_MAX, "likewise");
_Static_assert(CONTROL_STATE_DATABASES_MAX == SETTINGS_DATABASES_MAX, "likewise");

/* The parts in the configuration's form, decoded by the configuration's own tables. */
struct documents {
    struct database_settings *databases;
    size_t database_count;
    struct authz_role_config *roles;
    size_t role_count;
    struct authz_mapping_config *mappings;
    size_t mapping_count;
};

static const struct config_field document_fields[] = {
    {CONFIG_OBJECTS_AT(struct documents, databases, database_count), .key = "databases",
     .table = &settings_database_table, .greatest = SETTINGS_DATABASES_MAX},
    {CONFIG_OBJECTS_AT(struct documents, roles, role_count), .key = "roles",
     .table = &authz_role_table, .greatest = AUTHZ_CONFIG_ROLES_MAX},
    {CONFIG_OBJECTS_AT(struct documents, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table, .greatest = AUTHZ_CONFIG_MAPPINGS_MAX},
};

static const struct config_table document_table = {CONFIG_TABLE(struct documents, document_fields)};

/* --- texts and certificates --- */

static bool read_head(struct authority_state *state, struct error *err)
{
    const struct control_field fields[] = {
        {.key = "version", .type = CONTROL_UNSIGNED, .to.number = &state->version},
        {.key = "trust_domain",
         .type = CONTROL_TEXT,
         .least = 1,
         .greatest = CONTROL_STATE_NAME_MAX,
         .to.text = &state->trust_domain},
        {.key = "bot_ca",
         .type = CONTROL_LINES,
         .least = 1,
         .greatest = CONTROL_STATE_PEM_MAX,
         .to.text = &state->bot_ca},
        {.key = "service_ca",
         .type = CONTROL_LINES,
         .least = 1,
         .greatest = CONTROL_STATE_PEM_MAX,
         .to.text = &state->service_ca},
        {.key = "database_ca",
         .type = CONTROL_LINES,
         .least = 1,
         .greatest = CONTROL_STATE_PEM_MAX,
         .to.text = &state->database_ca},
    };
    return control_fields_read(state->tree, CONTROL_KEYS_ANY, fields,
                               sizeof fields / sizeof *fields, err);
}

/* --- roles, databases, mappings --- */

static const char *const document_keys[] = {"databases", "roles", "mappings"};

/* A tree of the three alone, whose members are borrowed. */
static cJSON *documents_of(const cJSON *event)
{
    cJSON *only = cJSON_CreateObject();
    for (size_t i = 0; only && i < sizeof document_keys / sizeof *document_keys; i++) {
        cJSON *list = cJSON_GetObjectItemCaseSensitive(event, document_keys[i]);
        if (list && !cJSON_AddItemReferenceToObject(only, document_keys[i], list)) {
            cJSON_Delete(only);
            only = NULL;
        }
    }
    return only;
}

/* What an authority says must not make a proxy open its own machine's files. */
static bool check_no_files(const struct documents *documents, struct error *err)
{
    for (size_t i = 0; i < documents->database_count; i++) {
        const struct database_settings *database = &documents->databases[i];
        const struct client_tls_settings *tls = &database->tls;
        if (tls->ca || tls->cert || tls->key || database->password_count > 0)
            return error_set(err, ERROR_MALFORMED, "database %s names files", database->name);
    }
    return true;
}

static bool decode_documents(struct authority_state *state, const char *text, struct error *err)
{
    struct documents documents;
    if (!config_load_text("the authority's state", "/", text, strlen(text), &document_table,
                          &documents, &state->config, err))
        return false;
    if (!check_no_files(&documents, err))
        return false;
    state->databases = documents.databases;
    state->database_count = documents.database_count;
    state->roles = documents.roles;
    state->role_count = documents.role_count;
    state->mappings = documents.mappings;
    state->mapping_count = documents.mapping_count;
    return true;
}

static bool read_documents(struct authority_state *state, struct error *err)
{
    cJSON *only = documents_of(state->tree);
    /* Without blanks, as the authority measures it: the reader has a limit. */
    char *text = only ? cJSON_PrintUnformatted(only) : NULL;
    cJSON_Delete(only);
    if (!text)
        return error_set(err, ERROR_MEMORY, "out of memory");
    bool good = decode_documents(state, text, err);
    cJSON_free(text);
    return good;
}

/* --- bots --- */

static int compare_bots(const void *one, const void *other)
{
    const struct authority_bot *a = one, *b = other;
    return strcmp(a->name, b->name);
}

static bool valid_name(const char *name)
{
    size_t length = name ? strnlen(name, CONTROL_STATE_NAME_MAX + 1) : 0;
    return length > 0 && length <= CONTROL_STATE_NAME_MAX;
}

static bool read_roles_of(const cJSON *roles, struct authority_bot *bot, struct error *err)
{
    int count = cJSON_GetArraySize(roles);
    if (!cJSON_IsArray(roles) || count > AUTHZ_ROLES_MAX)
        return error_set(err, ERROR_LIMIT, "the roles of bot %s are no list of at most %d",
                         bot->name, AUTHZ_ROLES_MAX);
    const char **names = calloc((size_t)count + 1, sizeof *names);
    if (!names)
        return error_set(err, ERROR_MEMORY, "out of memory");
    bot->roles = names;
    const cJSON *role;
    cJSON_ArrayForEach(role, roles)
    {
        names[bot->role_count] = cJSON_GetStringValue(role);
        if (!valid_name(names[bot->role_count++]))
            return error_set(err, ERROR_MALFORMED, "a role of bot %s is no name", bot->name);
    }
    return true;
}

static bool read_bots(struct authority_state *state, struct error *err)
{
    const cJSON *bots = cJSON_GetObjectItemCaseSensitive(state->tree, "bots");
    int count = cJSON_GetArraySize(bots);
    if (!cJSON_IsObject(bots) || count > CONTROL_STATE_BOTS_MAX)
        return error_set(err, ERROR_LIMIT, "\"bots\" is no object of at most %d",
                         CONTROL_STATE_BOTS_MAX);
    state->bots = calloc((size_t)count + 1, sizeof *state->bots);
    if (!state->bots)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const cJSON *roles;
    cJSON_ArrayForEach(roles, bots)
    {
        struct authority_bot *bot = &state->bots[state->bot_count++];
        bot->name = roles->string;
        if (!valid_name(bot->name))
            return error_set(err, ERROR_MALFORMED, "a bot has no name");
        if (!read_roles_of(roles, bot, err))
            return false;
    }
    qsort(state->bots, state->bot_count, sizeof *state->bots, compare_bots);
    return true;
}

const struct authority_bot *authority_state_bot(const struct authority_state *state,
                                                const char *name)
{
    const struct authority_bot wanted = {.name = name};
    return bsearch(&wanted, state->bots, state->bot_count, sizeof *state->bots, compare_bots);
}

/* --- locks --- */

/* A lock that cannot be told from others must not be passed over: it is on somebody. */
static bool read_kind(const char *name, enum lock_kind *out, struct error *err)
{
    static const char *const names[] = {
        [LOCK_BOT] = "bot",
        [LOCK_INSTANCE] = "instance",
        [LOCK_ROLE] = "role",
        [LOCK_DATABASE] = "database",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum lock_kind)i;
            return true;
        }
    return error_set(err, ERROR_UNSUPPORTED,
                     "a lock is of the kind \"%s\", which this version does not know", name);
}

static bool read_lock(const cJSON *object, struct authority_lock *lock, struct error *err)
{
    const char *kind;
    const struct control_field fields[] = {
        {.key = "kind", .type = CONTROL_TEXT, .least = 1, .greatest = 32, .to.text = &kind},
        {.key = "target",
         .type = CONTROL_TEXT,
         .least = 1,
         .greatest = CONTROL_STATE_NAME_MAX,
         .to.text = &lock->target},
        {.key = "reason",
         .type = CONTROL_TEXT,
         .empty = true,
         .optional = true,
         .greatest = CONTROL_STATE_REASON_MAX,
         .to.text = &lock->reason},
        {.key = "expires", .type = CONTROL_TIME, .optional = true, .to.time = &lock->expires_us},
    };
    if (!control_fields_read(object, CONTROL_KEYS_ANY, fields, sizeof fields / sizeof *fields, err))
        return error_wrap(err, "a lock");
    if (!read_kind(kind, &lock->kind, err))
        return false;
    if (!lock->reason || !*lock->reason)
        lock->reason = "no reason was given";
    return true;
}

static bool read_locks(struct authority_state *state, struct error *err)
{
    const cJSON *locks = cJSON_GetObjectItemCaseSensitive(state->tree, "locks");
    int count = cJSON_GetArraySize(locks);
    if (!cJSON_IsArray(locks) || count > CONTROL_STATE_LOCKS_MAX)
        return error_set(err, ERROR_LIMIT, "\"locks\" is no list of at most %d",
                         CONTROL_STATE_LOCKS_MAX);
    state->locks = calloc((size_t)count + 1, sizeof *state->locks);
    if (!state->locks)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const cJSON *object;
    cJSON_ArrayForEach(object, locks)
    {
        if (!read_lock(object, &state->locks[state->lock_count++], err))
            return false;
    }
    return true;
}

const struct authority_lock *authority_state_lock(const struct authority_state *state,
                                                  enum lock_kind kind, const char *target,
                                                  int64_t now_us)
{
    for (size_t i = 0; i < state->lock_count; i++) {
        const struct authority_lock *lock = &state->locks[i];
        bool in_force = lock->expires_us == 0 || now_us < lock->expires_us;
        if (lock->kind == kind && in_force && strcmp(lock->target, target) == 0)
            return lock;
    }
    return NULL;
}

/* --- the whole --- */

static void destroy(struct authority_state *state)
{
    for (size_t i = 0; i < state->bot_count; i++)
        free((void *)state->bots[i].roles);
    free(state->bots);
    free(state->locks);
    config_free(state->config);
    cJSON_Delete(state->tree);
    free(state);
}

bool authority_state_create(const cJSON *event, struct authority_state **out, struct error *err)
{
    *out = NULL;
    struct authority_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "out of memory");
    state->references = 1;
    state->tree = cJSON_Duplicate(event, true);
    bool good = state->tree || error_set(err, ERROR_MEMORY, "out of memory");
    good = good && read_head(state, err) && read_bots(state, err) && read_locks(state, err) &&
           read_documents(state, err);
    if (good)
        *out = state;
    else
        destroy(state);
    return good;
}

struct authority_state *authority_state_ref(struct authority_state *state)
{
    if (state)
        atomic_fetch_add_explicit(&state->references, 1, memory_order_relaxed);
    return state;
}

void authority_state_unref(struct authority_state *state)
{
    if (state && atomic_fetch_sub_explicit(&state->references, 1, memory_order_acq_rel) == 1)
        destroy(state);
}

/* What follows the prefix; NULL when the text does not begin with it. */
static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static const char *bot_of(const struct authority_state *state, const char *uri)
{
    const char *rest = behind(uri, "spiffe://");
    rest = rest ? behind(rest, state->trust_domain) : NULL;
    return rest ? behind(rest, "/bot/") : NULL;
}

bool authority_state_names(const struct authority_state *state, const struct identity *identity,
                           const char **bot, const char **instance)
{
    *bot = *instance = NULL;
    for (size_t i = 0; i < identity->san_uri_count; i++) {
        const char *name = bot_of(state, identity->san_uris[i]);
        const char *id = behind(identity->san_uris[i], "sallyport:instance:");
        if ((name && *bot) || (id && *instance))
            return false; /* two names: none of our authority's certificates has that */
        *bot = name ? name : *bot;
        *instance = id ? id : *instance;
    }
    return *bot != NULL && **bot != '\0';
}
