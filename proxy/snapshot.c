/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void database_release(struct database *database)
{
    free(database->labels);
    for (size_t i = 0; i < database->minted_count; i++)
        tls_context_unref(database->minted[i].tls);
    free(database->minted);
    tls_context_unref(database->tls);
}

static void snapshot_destroy(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->database_count; i++)
        database_release(&snapshot->databases[i]);
    free(snapshot->databases);
    tls_context_unref(snapshot->server_tls);
    tls_context_unref(snapshot->bot_tls);
    authz_policy_unref(snapshot->policy);
    provision_unref(snapshot->provision);
    if (!snapshot->base) {
        local_files_free(snapshot->files);
        config_free(snapshot->config);
    }
    snapshot_unref(snapshot->base);
    free(snapshot);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot && atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1)
        snapshot_destroy(snapshot);
}

/* --- the proxy's own TLS --- */

#define CA_FILE_MAX (4u << 20)

/* The CAs of bots: the configuration's own, and the authority's. */
static bool collect_bot_cas(const struct snapshot *snapshot, struct buffer *out, struct error *err)
{
    const struct pem *own = &snapshot->files->client_ca;
    const char *provided = snapshot->provision->state->bot_ca;
    return (!own->bytes || (buffer_append(out, own->bytes, own->length, err) &&
                            buffer_append(out, "\n", 1, err))) &&
           buffer_append(out, provided, strlen(provided) + 1, err);
}

static bool create_server_tls(struct snapshot *snapshot, struct tls_settings *wanted,
                              struct error *err)
{
    struct buffer cas;
    buffer_init(&cas, CA_FILE_MAX);
    bool good = !snapshot->provision || collect_bot_cas(snapshot, &cas, err);
    if (good && snapshot->provision) {
        wanted->ca_file = NULL;
        wanted->ca_pem = (const char *)buffer_bytes(&cas);
    }
    good = good && tls_context_create(wanted, &snapshot->server_tls, err);
    buffer_release(&cas);
    return good;
}

static bool check_client_ca(const struct snapshot *snapshot, struct error *err)
{
    const struct proxy_settings *proxy = &snapshot->settings.proxy;
    const struct tls_settings wanted = {.side = TLS_CLIENT,
                                        .ca_file = proxy->tls.client_ca,
                                        .ca_pem = local_files_text(&snapshot->files->client_ca)};
    struct tls_context *context;
    struct error inner = {0};
    if (!proxy->has_tls)
        return true;
    if (!tls_context_create(&wanted, &context, &inner))
        return config_error(snapshot->config, proxy->tls.place, "client_ca", err, "%s",
                            inner.message);
    tls_context_unref(context);
    return true;
}

static bool load_server_tls(struct snapshot *snapshot, struct error *err)
{
    static const char *const own[] = {TLS_ALPN_MYSQL, NULL};
    static const char *const with_control[] = {TLS_ALPN_MYSQL, TLS_ALPN_CONTROL, NULL};
    const struct proxy_settings *proxy = &snapshot->settings.proxy;
    const struct provision *provision = snapshot->provision;
    const struct local_files *files = snapshot->files;
    struct tls_settings wanted = {
        .side = TLS_SERVER,
        .cert_file = proxy->tls.cert,
        .cert_pem = local_files_text(&files->cert),
        .key_file = proxy->tls.key,
        .key_pem = local_files_text(&files->key),
        .ca_file = proxy->tls.client_ca,
        .ca_pem = local_files_text(&files->client_ca),
        .crl_file = proxy->tls.crl, /* not beside an authority: proxy/settings.c refuses it */
        .alpn = provision ? with_control : own,
        .pem_giver = "the authority",
    };
    if (provision && provision->own && !proxy->tls.cert) {
        wanted.cert_pem = provision->own->cert_pem;
        wanted.key_pem = provision->own->key_pem;
    }
    struct error inner = {0};
    if ((!provision || !provision->own) && !proxy->tls.cert)
        return check_client_ca(snapshot, err); /* a check alone: a server never runs without */
    if (create_server_tls(snapshot, &wanted, &inner))
        return true;
    return config_error(snapshot->config, proxy->has_tls ? proxy->tls.place : proxy->place, NULL,
                        err, "%s", inner.message);
}

/* What tells the authority's own bots from those of another CA that the configuration trusts. */
static bool load_bot_tls(struct snapshot *snapshot, struct error *err)
{
    const struct provision *provision = snapshot->provision;
    const struct proxy_settings *proxy = &snapshot->settings.proxy;
    if (!provision || (!provision->own && !proxy->tls.cert))
        return true; /* likewise */
    const struct tls_settings wanted = {
        .side = TLS_SERVER,
        .cert_file = proxy->tls.cert,
        .key_file = proxy->tls.key,
        .cert_pem =
            proxy->tls.cert ? local_files_text(&snapshot->files->cert) : provision->own->cert_pem,
        .key_pem =
            proxy->tls.cert ? local_files_text(&snapshot->files->key) : provision->own->key_pem,
        .ca_pem = provision->state->bot_ca,
        .pem_giver = "the authority",
    };
    return tls_context_create(&wanted, &snapshot->bot_tls, err);
}

/* --- databases --- */

/* A database that is being made. */
struct draft {
    const struct database_settings *settings;
    const struct local_database *files; /* what its files said */
    const struct database *before; /* the same one in the snapshot that read the files, or NULL */
    struct database *database;
};

static bool mint_tls(const struct snapshot *snapshot, const struct draft *draft,
                     const struct credential *credential, struct minted_tls *out, struct error *err)
{
    const char *ca = draft->settings->tls.ca;
    const struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .cert_pem = credential->cert_pem,
        .key_pem = credential->key_pem,
        .ca_file = ca,
        .ca_pem =
            ca ? local_files_text(&draft->files->ca) : snapshot->provision->state->database_ca,
        .pem_giver = "the authority",
    };
    out->mysql_user = credential->name;
    return tls_context_create(&wanted, &out->tls, err);
}

/* Databases of one CA share the contexts of the first of them. */
static struct tls_context *shared_tls(const struct snapshot *snapshot, size_t user)
{
    for (size_t i = 0; i < snapshot->database_count; i++)
        if (snapshot->databases[i].shares_minted && user < snapshot->databases[i].minted_count)
            return snapshot->databases[i].minted[user].tls;
    return NULL;
}

static bool load_minted(struct snapshot *snapshot, const struct draft *draft, struct error *err)
{
    struct database *database = draft->database;
    const char *ca = draft->settings->tls.ca;
    const struct provision *provision = snapshot->provision;
    database->minted = calloc(provision->minted_count + 1, sizeof *database->minted);
    if (!database->minted)
        return error_set(err, ERROR_MEMORY, "out of memory");
    database->shares_minted = !ca;
    for (size_t i = 0; i < provision->minted_count; i++) {
        struct minted_tls *minted = &database->minted[i];
        struct tls_context *shared = ca ? NULL : shared_tls(snapshot, i);
        if (shared)
            *minted = (struct minted_tls){provision->minted[i]->name, tls_context_ref(shared)};
        else if (!mint_tls(snapshot, draft, provision->minted[i], minted, err))
            return false;
        database->minted_count++;
    }
    return true;
}

/* With the configuration's certificate: one for every MySQL user. */
static bool own_tls(const struct snapshot *snapshot, const struct draft *draft, struct error *err)
{
    const struct client_tls_settings *tls = &draft->settings->tls;
    const struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .cert_file = tls->cert,
        .cert_pem = local_files_text(&draft->files->cert),
        .key_file = tls->key,
        .key_pem = local_files_text(&draft->files->key),
        .ca_file = tls->ca,
        .ca_pem =
            tls->ca ? local_files_text(&draft->files->ca) : snapshot->provision->state->database_ca,
        .pem_giver = "the authority",
    };
    if (tls->ca && draft->before && draft->before->tls) {
        draft->database->tls = tls_context_ref(draft->before->tls);
        return true;
    }
    return tls_context_create(&wanted, &draft->database->tls, err);
}

static bool load_client_tls(struct snapshot *snapshot, const struct draft *draft, struct error *err)
{
    const struct client_tls_settings *tls = &draft->settings->tls;
    struct database *database = draft->database;
    database->server_name = tls->server_name ? tls->server_name : database->address.host;
    struct error inner = {0};
    if (!snapshot->provision && (!tls->cert || !tls->ca))
        return true; /* likewise */
    if (tls->cert ? own_tls(snapshot, draft, &inner) : load_minted(snapshot, draft, &inner))
        return true;
    return config_error(snapshot->config, tls->place, NULL, err, "%s", inner.message);
}

static bool load_labels(const struct database_settings *settings, struct database *database,
                        struct error *err)
{
    if (settings->labels.count == 0)
        return true;
    database->labels = calloc(settings->labels.count, sizeof *database->labels);
    if (!database->labels)
        return error_set(err, ERROR_MEMORY, "out of memory");
    database->label_count = settings->labels.count;
    for (size_t i = 0; i < settings->labels.count; i++) {
        const struct config_map_entry *entry = &settings->labels.entries[i];
        database->labels[i] =
            (struct authz_label){entry->key, entry->values.items, entry->values.count};
    }
    return true;
}

static bool load_database(struct snapshot *snapshot, const struct draft *draft, struct error *err)
{
    const struct database_settings *settings = draft->settings;
    struct database *database = draft->database;
    database->name = settings->name;
    database->users = settings->passwords;
    database->passwords = draft->files->passwords;
    database->password_count = draft->files->password_count;
    return address_parse(settings->address, &database->address, err) &&
           load_client_tls(snapshot, draft, err) && load_labels(settings, database, err);
}

static bool load_own(struct snapshot *snapshot, struct error *err)
{
    for (size_t i = 0; i < snapshot->settings.database_count; i++) {
        const struct draft draft = {
            .settings = &snapshot->settings.databases[i],
            .files = &snapshot->files->databases[i],
            .before = snapshot->base ? &snapshot->base->databases[i] : NULL,
            .database = &snapshot->databases[snapshot->database_count++],
        };
        if (!load_database(snapshot, &draft, err))
            return false;
    }
    return true;
}

/* The authority's, which have no files. Of two of one name the configuration's holds. */
static bool load_provided(struct snapshot *snapshot, struct error *err)
{
    static const struct local_database no_files;
    const struct authority_state *state = snapshot->provision ? snapshot->provision->state : NULL;
    for (size_t i = 0; state && i < state->database_count; i++) {
        if (snapshot_database(snapshot, state->databases[i].name))
            continue;
        const struct draft draft = {
            .settings = &state->databases[i],
            .files = &no_files,
            .database = &snapshot->databases[snapshot->database_count++],
        };
        if (!load_database(snapshot, &draft, err))
            return false;
    }
    return true;
}

static bool load_databases(struct snapshot *snapshot, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
    const struct authority_state *state = snapshot->provision ? snapshot->provision->state : NULL;
    size_t provided = state ? state->database_count : 0;
    snapshot->databases =
        calloc(settings->database_count + provided + 1, sizeof *snapshot->databases);
    if (!snapshot->databases)
        return error_set(err, ERROR_MEMORY, "out of memory");
    return load_own(snapshot, err) && load_provided(snapshot, err);
}

/* A role that names a database which does not exist is a slip of the pen. What the authority
 * provides may change at any time, so a name that it has not is none. */
static bool check_role_databases(const struct snapshot *snapshot, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
    if (snapshot->provision || settings_follow_authority(settings))
        return true;
    const char **names = calloc(settings->database_count, sizeof *names);
    if (!names)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < settings->database_count; i++)
        names[i] = settings->databases[i].name;
    bool good =
        authz_config_check_databases(snapshot->config, settings->roles, settings->role_count, names,
                                     settings->database_count, err);
    free(names);
    return good;
}

/* --- roles and mappings --- */

static bool has_role(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->role_count; i++)
        if (strcmp(settings->roles[i].name, name) == 0)
            return true;
    return false;
}

/* The configuration's roles and mappings, and behind them the authority's; of two roles of one name
 * the configuration's holds. */
static bool merged_policy(struct snapshot *snapshot, struct authz_role_config *roles,
                          struct authz_mapping_config *mappings, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
    const struct authority_state *state = snapshot->provision->state;
    size_t role_count = settings->role_count;
    size_t mapping_count = settings->mapping_count;
    if (role_count > 0)
        memcpy(roles, settings->roles, role_count * sizeof *roles);
    if (mapping_count > 0)
        memcpy(mappings, settings->mappings, mapping_count * sizeof *mappings);
    for (size_t i = 0; i < state->role_count; i++)
        if (!has_role(settings, state->roles[i].name))
            roles[role_count++] = state->roles[i];
    for (size_t i = 0; i < state->mapping_count; i++)
        mappings[mapping_count++] = state->mappings[i];
    return authz_policy_create(snapshot->config, roles, role_count, mappings, mapping_count,
                               &snapshot->policy, err);
}

static bool load_policy(struct snapshot *snapshot, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
    if (!snapshot->provision)
        return authz_policy_create(snapshot->config, settings->roles, settings->role_count,
                                   settings->mappings, settings->mapping_count, &snapshot->policy,
                                   err);
    const struct authority_state *state = snapshot->provision->state;
    struct authz_role_config *roles =
        calloc(settings->role_count + state->role_count + 1, sizeof *roles);
    struct authz_mapping_config *mappings =
        calloc(settings->mapping_count + state->mapping_count + 1, sizeof *mappings);
    bool good = roles && mappings ? merged_policy(snapshot, roles, mappings, err)
                                  : error_set(err, ERROR_MEMORY, "out of memory");
    free(roles);
    free(mappings);
    return good;
}

/* --- the whole --- */

static struct snapshot *snapshot_begin(struct provision *provision, struct error *err)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        error_set(err, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    snapshot->references = 1;
    snapshot->provision = provision_ref(provision);
    return snapshot;
}

static bool snapshot_fill(struct snapshot *snapshot, struct snapshot **out, struct error *err)
{
    if (check_role_databases(snapshot, err) && load_policy(snapshot, err) &&
        load_server_tls(snapshot, err) && load_bot_tls(snapshot, err) &&
        load_databases(snapshot, err)) {
        *out = snapshot;
        return true;
    }
    snapshot_destroy(snapshot);
    return false;
}

static bool is_shadowed(const struct snapshot *snapshot, const char *name)
{
    const struct authority_state *state = snapshot->provision ? snapshot->provision->state : NULL;
    for (size_t i = 0; state && i < state->role_count; i++)
        if (strcmp(state->roles[i].name, name) == 0)
            return has_role(&snapshot->settings, name);
    return false;
}

/* Roles that the configuration defines although the authority does too: once for each. */
static void warn_shadowed(const struct snapshot *snapshot, const struct snapshot *previous)
{
    const struct settings *settings = &snapshot->settings;
    for (size_t i = 0; i < settings->role_count; i++) {
        const char *name = settings->roles[i].name;
        if (is_shadowed(snapshot, name) && !(previous && is_shadowed(previous, name)))
            log_warning("a role of the configuration stands in the way of the authority's of the "
                        "same name: what `sallyport role` says of it does not hold here",
                        "role", name, NULL);
    }
}

bool snapshot_create(const char *path, struct provision *provision, struct snapshot **out,
                     struct error *err)
{
    *out = NULL;
    struct snapshot *snapshot = snapshot_begin(provision, err);
    if (!snapshot)
        return false;
    if (settings_load(path, &snapshot->settings, &snapshot->config, err) &&
        local_files_read(&snapshot->settings, snapshot->config, &snapshot->files, err)) {
        bool filled = snapshot_fill(snapshot, out, err);
        if (filled)
            warn_shadowed(*out, NULL);
        return filled;
    }
    snapshot_destroy(snapshot);
    return false;
}

bool snapshot_provide(struct snapshot *running, struct provision *provision, struct snapshot **out,
                      struct error *err)
{
    *out = NULL;
    struct snapshot *snapshot = snapshot_begin(provision, err);
    if (!snapshot)
        return false;
    snapshot->settings = running->settings;
    snapshot->config = running->config;
    snapshot->files = running->files;
    snapshot->base = snapshot_ref(running->base ? running->base : running);
    bool filled = snapshot_fill(snapshot, out, err);
    if (filled)
        warn_shadowed(*out, running);
    return filled;
}

const struct database *snapshot_database(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->database_count; i++)
        if (strcmp(snapshot->databases[i].name, name) == 0)
            return &snapshot->databases[i];
    return NULL;
}

struct tls_context *database_tls(const struct database *database, const char *mysql_user)
{
    if (database->tls)
        return database->tls;
    for (size_t i = 0; i < database->minted_count; i++)
        if (strcmp(database->minted[i].mysql_user, mysql_user) == 0)
            return database->minted[i].tls;
    return NULL;
}

const char *database_password(const struct database *database, const char *mysql_user)
{
    for (size_t i = 0; i < database->password_count; i++)
        if (strcmp(database->users[i].mysql_user, mysql_user) == 0)
            return database->passwords[i];
    return "";
}
