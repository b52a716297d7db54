/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_socket.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "authority/settings.h"
#include "base/address.h"
#include "base/buffer.h"
#include "base/config.h"
#include "base/config_text.h"

#define READ_STEP (64 * 1024)

static bool copy_path(const char *path, char out[ADMIN_SOCKET_SIZE], struct error *err)
{
    int length = snprintf(out, ADMIN_SOCKET_SIZE, "%s", path);
    return (length >= 0 && length < ADMIN_SOCKET_SIZE) ||
           error_set(err, ERROR_LIMIT, "the path of the authority's socket is too long");
}

/* --- the configuration --- */

static bool read_all(FILE *stream, const char *path, struct buffer *text, struct error *err)
{
    uint8_t *room;
    size_t got = 1;
    while (got > 0) {
        if (!buffer_reserve(text, READ_STEP, &room, err))
            return error_wrap(err, "%s", path);
        got = fread(room, 1, READ_STEP, stream);
        buffer_commit(text, got);
    }
    return !ferror(stream) || error_system(err, errno, "cannot read %s", path);
}

static bool read_file(const char *path, struct buffer *text, struct error *err)
{
    FILE *stream = fopen(path, "re");
    if (!stream) {
        (void)error_system(err, errno, "cannot read %s", path);
        err->code = ERROR_CONFIG;
        return false;
    }
    bool read = read_all(stream, path, text, err);
    (void)fclose(stream);
    return read;
}

static bool parse(const char *path, const struct buffer *bytes, cJSON **tree, struct error *err)
{
    size_t length = buffer_length(bytes);
    struct config_text text = {path, (const char *)buffer_bytes(bytes), length};
    char *blanked = malloc(length + 1);
    if (!blanked)
        return error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(blanked, text.bytes, length);
    blanked[length] = '\0';
    bool good = config_text_check(&text, blanked, err);
    if (good) {
        *tree = cJSON_ParseWithLength(blanked, length);
        good = *tree || error_set(err, ERROR_MEMORY, "out of memory");
    }
    free(blanked);
    return good;
}

static const char *text_at(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text && *text ? text : NULL;
}

/* Relative to the configuration's directory, as all of its paths are. */
static bool join(const char *file, const char *directory, const char *path,
                 char out[ADMIN_SOCKET_SIZE], struct error *err)
{
    char copy[ADMIN_SOCKET_SIZE];
    char within[ADMIN_SOCKET_SIZE];
    bool joined = copy_path(file, copy, err) && copy_path(path, within, err);
    if (!joined)
        return false;
    if (directory)
        joined = snprintf(within, sizeof within, "%s/%s", directory, path) < ADMIN_SOCKET_SIZE;
    int length = within[0] == '/'
                     ? snprintf(out, ADMIN_SOCKET_SIZE, "%s", within)
                     : snprintf(out, ADMIN_SOCKET_SIZE, "%s/%s", dirname(copy), within);
    return (joined && length >= 0 && length < ADMIN_SOCKET_SIZE) ||
           error_set(err, ERROR_LIMIT, "the path of the authority's socket is too long");
}

static bool socket_of(const char *file, const cJSON *tree, char out[ADMIN_SOCKET_SIZE],
                      struct error *err)
{
    const cJSON *authority = cJSON_GetObjectItemCaseSensitive(tree, "authority");
    const char *socket = text_at(authority, "admin_socket");
    const char *directory = text_at(authority, "directory");
    if (socket)
        return join(file, NULL, socket, out, err);
    if (directory)
        return join(file, directory, AUTHORITY_DEFAULT_SOCKET, out, err);
    return error_set(err, ERROR_CONFIG,
                     authority
                         ? "%s: its \"authority\" has neither \"admin_socket\" nor "
                           "\"directory\""
                         : "%s: it has no \"authority\" to administer: give the configuration "
                           "of the `sallyport serve` that runs it",
                     file);
}

static bool configured(const char *file, char out[ADMIN_SOCKET_SIZE], struct error *err)
{
    struct buffer text;
    cJSON *tree = NULL;
    buffer_init(&text, CONFIG_TEXT_LIMIT + READ_STEP);
    bool found = read_file(file, &text, err) && parse(file, &text, &tree, err) &&
                 socket_of(file, tree, out, err);
    cJSON_Delete(tree);
    buffer_release(&text);
    return found;
}

bool admin_socket_find(const char *socket, const char *config, char out[ADMIN_SOCKET_SIZE],
                       struct error *err)
{
    if (socket)
        return copy_path(socket, out, err);
    if (config)
        return configured(config, out, err);
    const char *named = getenv(ADMIN_SOCKET_VARIABLE);
    return copy_path(named && *named ? named : ADMIN_SOCKET_DEFAULT, out, err);
}

/* --- whether to believe it --- */

static bool not_there(const char *path, struct error *err)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return error_set(
            err, ERROR_NOT_FOUND,
            "no authority is at %s: either it does not run, or its socket is "
            "elsewhere: name it with -c FILE (the configuration of its `sallyport serve`), "
            "--socket PATH (its log says \"the authority listens\", and which) or %s",
            path, ADMIN_SOCKET_VARIABLE);
    if (errno == EACCES)
        return error_set(err, ERROR_SYSTEM,
                         "may not look at %s: run this as root, or as the user that the authority "
                         "runs as",
                         path);
    return error_system(err, errno, "cannot look at %s", path);
}

static bool nobody_else_could(const char *path, uid_t owner)
{
    char copy[ADMIN_SOCKET_SIZE];
    struct stat directory;
    (void)snprintf(copy, sizeof copy, "%s", path);
    return stat(dirname(copy), &directory) == 0 &&
           (directory.st_uid == owner || directory.st_uid == 0) &&
           (directory.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool admin_socket_check(const char *path, uid_t user, struct error *err)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return not_there(path, err);
    if (strlen(path) >= ADDRESS_PATH_SIZE)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: the path of a Unix socket has at most %d bytes; a shorter one may be "
                         "relative, or a symbolic link",
                         path, ADDRESS_PATH_SIZE - 1);
    if (!S_ISSOCK(found.st_mode))
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s is no socket: name the authority's with -c FILE or --socket PATH",
                         path);
    if (found.st_uid == user || found.st_uid == 0)
        return true;
    if (user == 0 && nobody_else_could(path, found.st_uid))
        return true;
    return error_set(err, ERROR_DENIED,
                     "%s belongs to user %lu, not to root or to you: an authority of somebody else "
                     "is not believed. Run this as root, or as the user that the authority runs as",
                     path, (unsigned long)found.st_uid);
}
