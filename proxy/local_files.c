/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/local_files.h"

#include <errno.h>
#include <fcntl.h>
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

static void database_release(struct local_database *database)
{
    pem_release(&database->ca);
    pem_release(&database->cert);
    pem_release(&database->key);
    for (size_t i = 0; i < database->password_count; i++)
        wipe(database->passwords[i]);
    free(database->passwords);
}

void local_files_free(struct local_files *files)
{
    if (!files)
        return;
    pem_release(&files->cert);
    pem_release(&files->key);
    pem_release(&files->client_ca);
    for (size_t i = 0; i < files->database_count; i++)
        database_release(&files->databases[i]);
    free(files->databases);
    free(files);
}

const char *local_files_text(const struct pem *pem)
{
    return (const char *)pem->bytes;
}

/* --- certificates and keys --- */

static bool read_pem(const char *path, enum pem_file kind, struct pem *out, struct error *err)
{
    return !path || pem_read(path, kind, TLS_FILE_MAX, out, err);
}

static bool read_server_tls(const struct settings *settings, const struct config *config,
                            struct local_files *files, struct error *err)
{
    const struct server_tls_settings *tls = &settings->proxy.tls;
    struct error inner = {0};
    if (!settings->proxy.has_tls)
        return true;
    if (read_pem(tls->cert, PEM_FILE, &files->cert, &inner) &&
        read_pem(tls->key, PEM_FILE_SECRET, &files->key, &inner) &&
        read_pem(tls->client_ca, PEM_FILE, &files->client_ca, &inner))
        return true;
    return config_error(config, tls->place, NULL, err, "%s", inner.message);
}

/* Now, because contexts may be made of it much later: when the first certificate was minted. */
static bool check_ca(const struct client_tls_settings *tls, const struct pem *ca, struct error *err)
{
    const struct tls_settings wanted = {
        .side = TLS_CLIENT, .ca_file = tls->ca, .ca_pem = local_files_text(ca)};
    struct tls_context *context;
    if (!tls->ca)
        return true;
    if (!tls_context_create(&wanted, &context, err))
        return false;
    tls_context_unref(context);
    return true;
}

static bool read_client_tls(const struct database_settings *settings, const struct config *config,
                            struct local_database *database, struct error *err)
{
    const struct client_tls_settings *tls = &settings->tls;
    struct error inner = {0};
    if (read_pem(tls->cert, PEM_FILE, &database->cert, &inner) &&
        read_pem(tls->key, PEM_FILE_SECRET, &database->key, &inner) &&
        read_pem(tls->ca, PEM_FILE, &database->ca, &inner) && check_ca(tls, &database->ca, &inner))
        return true;
    return config_error(config, tls->place, NULL, err, "%s", inner.message);
}

/* --- passwords --- */

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

static bool read_passwords(const struct database_settings *settings, const struct config *config,
                           struct local_database *database, struct error *err)
{
    database->passwords = calloc(settings->password_count + 1, sizeof *database->passwords);
    if (!database->passwords)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < settings->password_count; i++) {
        const struct password_settings *password = &settings->passwords[i];
        struct error inner = {0};
        if (!read_password(password->file, &database->passwords[i], &inner))
            return config_error(config, password->place, "file", err, "password file %s: %s",
                                password->file, inner.message);
        database->password_count++;
    }
    return true;
}

/* --- the whole --- */

static bool read_databases(const struct settings *settings, const struct config *config,
                           struct local_files *files, struct error *err)
{
    files->databases = calloc(settings->database_count + 1, sizeof *files->databases);
    if (!files->databases)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < settings->database_count; i++) {
        struct local_database *database = &files->databases[files->database_count++];
        if (!read_client_tls(&settings->databases[i], config, database, err) ||
            !read_passwords(&settings->databases[i], config, database, err))
            return false;
    }
    return true;
}

bool local_files_read(const struct settings *settings, const struct config *config,
                      struct local_files **out, struct error *err)
{
    *out = NULL;
    struct local_files *files = calloc(1, sizeof *files);
    if (!files)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (read_server_tls(settings, config, files, err) &&
        read_databases(settings, config, files, err)) {
        *out = files;
        return true;
    }
    local_files_free(files);
    return false;
}
