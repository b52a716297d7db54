/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/auth.h"

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void database_release(struct database *database)
{
    for (size_t i = 0; database->passwords && i < database->password_count; i++)
        wipe(database->passwords[i]);
    free(database->passwords);
    free(database->labels);
    tls_context_unref(database->tls);
}

static void snapshot_destroy(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->database_count; i++)
        database_release(&snapshot->databases[i]);
    free(snapshot->databases);
    tls_context_unref(snapshot->server_tls);
    authz_policy_unref(snapshot->policy);
    config_free(snapshot->config);
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

static bool load_server_tls(struct snapshot *snapshot, struct error *err)
{
    static const char *const alpn[] = {TLS_ALPN_MYSQL, NULL};
    const struct server_tls_settings *tls = &snapshot->settings.proxy.tls;
    struct tls_settings wanted = {
        .side = TLS_SERVER,
        .cert_file = tls->cert,
        .key_file = tls->key,
        .ca_file = tls->client_ca,
        .crl_file = tls->crl,
        .alpn = alpn,
    };
    struct error inner = {0};
    if (tls_context_create(&wanted, &snapshot->server_tls, &inner))
        return true;
    return config_error(snapshot->config, tls->place, NULL, err, "%s", inner.message);
}

static bool load_client_tls(struct snapshot *snapshot, const struct database_settings *settings,
                            struct database *database, struct error *err)
{
    struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .cert_file = settings->tls.cert,
        .key_file = settings->tls.key,
        .ca_file = settings->tls.ca,
    };
    database->server_name =
        settings->tls.server_name ? settings->tls.server_name : database->address.host;
    struct error inner = {0};
    if (tls_context_create(&wanted, &database->tls, &inner))
        return true;
    return config_error(snapshot->config, settings->tls.place, NULL, err, "%s", inner.message);
}

static bool read_first_line(int fd, char *text, size_t size, struct error *err)
{
    ssize_t length = read(fd, text, size);
    if (length < 0)
        return error_system(err, errno, "cannot read it");
    text[(size_t)length < size ? (size_t)length : size - 1] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (strlen(text) > AUTH_PASSWORD_MAX)
        return error_set(err, ERROR_LIMIT, "its first line is longer than %d bytes",
                         AUTH_PASSWORD_MAX);
    if (!*text)
        return error_set(err, ERROR_MALFORMED, "its first line is empty");
    return true;
}

static bool check_private(int fd, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_system(err, errno, "cannot read it");
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_MALFORMED, "it is not a file");
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        return error_set(err, ERROR_DENIED,
                         "others than its owner may read it; run: chmod 600 on it");
    return true;
}

static bool read_password(const char *path, char **out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_system(err, errno, "cannot open it");
    char text[AUTH_PASSWORD_MAX + 2];
    bool read_well = check_private(fd, err) && read_first_line(fd, text, sizeof text, err);
    close(fd);
    if (read_well) {
        *out = strdup(text);
        if (!*out)
            read_well = error_set(err, ERROR_MEMORY, "out of memory");
    }
    explicit_bzero(text, sizeof text);
    return read_well;
}

static bool load_passwords(struct snapshot *snapshot, const struct database_settings *settings,
                           struct database *database, struct error *err)
{
    if (settings->password_count == 0)
        return true;
    database->users = settings->passwords;
    database->passwords = calloc(settings->password_count, sizeof *database->passwords);
    if (!database->passwords)
        return error_set(err, ERROR_MEMORY, "out of memory");
    database->password_count = settings->password_count;
    for (size_t i = 0; i < settings->password_count; i++) {
        const struct password_settings *password = &settings->passwords[i];
        struct error inner = {0};
        if (!read_password(password->file, &database->passwords[i], &inner))
            return config_error(snapshot->config, password->place, "file", err,
                                "password file %s: %s", password->file, inner.message);
    }
    return true;
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

static bool load_database(struct snapshot *snapshot, const struct database_settings *settings,
                          struct database *database, struct error *err)
{
    database->name = settings->name;
    return address_parse(settings->address, &database->address, err) &&
           load_client_tls(snapshot, settings, database, err) &&
           load_labels(settings, database, err) &&
           load_passwords(snapshot, settings, database, err);
}

static bool load_databases(struct snapshot *snapshot, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
    snapshot->databases = calloc(settings->database_count, sizeof *snapshot->databases);
    if (!snapshot->databases)
        return error_set(err, ERROR_MEMORY, "out of memory");
    snapshot->database_count = settings->database_count;
    for (size_t i = 0; i < settings->database_count; i++)
        if (!load_database(snapshot, &settings->databases[i], &snapshot->databases[i], err))
            return false;
    return true;
}

/* A role that names a database which does not exist is a slip of the pen. */
static bool check_role_databases(const struct snapshot *snapshot, struct error *err)
{
    const struct settings *settings = &snapshot->settings;
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

bool snapshot_create(const char *path, struct snapshot **out, struct error *err)
{
    *out = NULL;
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return error_set(err, ERROR_MEMORY, "out of memory");
    snapshot->references = 1;
    const struct settings *settings = &snapshot->settings;
    if (settings_load(path, &snapshot->settings, &snapshot->config, err) &&
        check_role_databases(snapshot, err) &&
        authz_policy_create(snapshot->config, settings->roles, settings->role_count,
                            settings->mappings, settings->mapping_count, &snapshot->policy, err) &&
        load_server_tls(snapshot, err) && load_databases(snapshot, err)) {
        *out = snapshot;
        return true;
    }
    snapshot_destroy(snapshot);
    return false;
}

const struct database *snapshot_database(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->database_count; i++)
        if (strcmp(snapshot->databases[i].name, name) == 0)
            return &snapshot->databases[i];
    return NULL;
}

const char *database_password(const struct database *database, const char *mysql_user)
{
    for (size_t i = 0; i < database->password_count; i++)
        if (strcmp(database->users[i].mysql_user, mysql_user) == 0)
            return database->passwords[i];
    return "";
}

static bool same_listener(const struct listener_settings *a, const struct listener_settings *b)
{
    return strcmp(a->address, b->address) == 0 && a->starttls == b->starttls;
}

bool snapshot_can_follow(const struct snapshot *running, const struct snapshot *next,
                         struct error *err)
{
    const struct proxy_settings *old = &running->settings.proxy;
    const struct proxy_settings *new = &next->settings.proxy;
    if (strcmp(old->name, new->name) != 0)
        return config_error(next->config, new->place, "name", err,
                            "the name cannot change in a running proxy: restart it");
    bool same = old->listener_count == new->listener_count;
    for (size_t i = 0; same && i < old->listener_count; i++)
        same = same_listener(&old->listeners[i], &new->listeners[i]);
    if (!same)
        return config_error(next->config, new->place, "listeners", err,
                            "listeners cannot change in a running proxy: restart it");
    if (old->workers != new->workers)
        return config_error(next->config, new->place, "workers", err,
                            "the number of workers cannot change in a running proxy: restart it");
    const struct audit_section *old_audit = &running->settings.audit;
    const struct audit_section *new_audit = &next->settings.audit;
    if (strcmp(old_audit->directory, new_audit->directory) != 0 ||
        old_audit->durability != new_audit->durability ||
        old_audit->file_size != new_audit->file_size)
        return config_error(next->config, new_audit->place, NULL, err,
                            "the audit log cannot change in a running proxy: restart it");
    return true;
}
