/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/join_token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX    "sallyport-join-"
#define VERSION   "1."
#define ID_LENGTH 16
/* A file with more than this, white space included, holds no token. */
#define FILE_MAX 4096

bool join_token_looks_like(const char *text)
{
    const char *base = strrchr(text, '/');
    base = base ? base + 1 : text;
    if (strncmp(base, PREFIX, strlen(PREFIX)) != 0)
        return false;
    const char *rest = base + strlen(PREFIX);
    size_t digits = strspn(rest, "0123456789");
    return digits > 0 && rest[digits] == '.';
}

bool join_token_refuse(const char *where, struct error *err)
{
    return error_set(err, ERROR_CONFIG,
                     "%s takes the name of a file, not the token: every user of this machine can "
                     "read command lines, and configurations are copied about. Give this token up "
                     "(sallyport token rm), get another one (sallyport token add), and put it "
                     "into a file of mode 0600, on standard input (--join -) or into the "
                     "environment variable " JOIN_TOKEN_VARIABLE,
                     where);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static const char *const secret_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* `text` has JOIN_TOKEN_LENGTH bytes and the right beginning. */
static bool is_well_formed(const char *text)
{
    const char *id = text + strlen(PREFIX VERSION);
    const char *secret = id + ID_LENGTH + 1;
    return strspn(id, "0123456789abcdef") == ID_LENGTH && id[ID_LENGTH] == '.' &&
           strspn(secret, secret_alphabet) == strlen(secret);
}

static bool check(const char *text, size_t length, const char *source, struct error *err)
{
    if (length == 0)
        return error_set(err, ERROR_CONFIG, "%s is empty", source);
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return error_set(err, ERROR_CONFIG, "%s is no join token: one begins with " PREFIX, source);
    if (strncmp(text + strlen(PREFIX), VERSION, strlen(VERSION)) != 0)
        return error_set(err, ERROR_CONFIG,
                         "%s is of a kind that this version does not know: upgrade it", source);
    if (length != JOIN_TOKEN_LENGTH || !is_well_formed(text))
        return error_set(err, ERROR_CONFIG,
                         "%s is not whole: a token has %d characters; copy it again", source,
                         JOIN_TOKEN_LENGTH);
    return true;
}

bool join_token_parse(const char *bytes, size_t length, const char *source, struct join_token *out,
                      struct error *err)
{
    *out = (struct join_token){0};
    while (length > 0 && is_space(bytes[length - 1]))
        length--;
    while (length > 0 && is_space(*bytes)) {
        bytes++;
        length--;
    }
    size_t taken = length < JOIN_TOKEN_LENGTH ? length : JOIN_TOKEN_LENGTH;
    memcpy(out->text, bytes, taken);
    if (check(out->text, length, source, err))
        return true;
    join_token_wipe(out);
    return false;
}

/* Up to `size` bytes, to the end; false with errno. */
static bool read_to_end(int fd, char *bytes, size_t size, size_t *length)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(fd, bytes + *length, size - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        *length += (size_t)got;
    }
    errno = EFBIG;
    return false;
}

/* What names no file to be read from would block the loop, and a token that others read is theirs.
 */
static bool check_private(int fd, const char *source, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_system(err, errno, "cannot read %s", source);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_CONFIG, "%s: not a regular file (- is standard input)", source);
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        return error_set(err, ERROR_CONFIG,
                         "%s may be read by others than its owner (mode %04o): run chmod 600 on it",
                         source, (unsigned)(status.st_mode & 07777));
    return true;
}

static bool read_source(const char *file, bool standard, const char *source, char *bytes,
                        size_t *length, struct error *err)
{
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_system(err, errno, "cannot read %s", source);
    bool read = standard || check_private(fd, source, err);
    if (read && !read_to_end(fd, bytes, FILE_MAX, length))
        read = error_system(err, errno, "cannot read %s", source);
    if (!standard)
        (void)close(fd);
    return read;
}

bool join_token_read(const char *file, struct join_token *out, struct error *err)
{
    char bytes[FILE_MAX];
    size_t length = 0;
    bool standard = strcmp(file, "-") == 0;
    char source[ERROR_MESSAGE_SIZE / 2];
    struct error naming = {0};
    *out = (struct join_token){0};
    (void)error_set(&naming, ERROR_CONFIG, "the token %s%.180s",
                    standard ? "on standard input" : "in ", standard ? "" : file);
    memcpy(source, naming.message, sizeof source - 1);
    source[sizeof source - 1] = '\0';
    bool read = read_source(file, standard, source, bytes, &length, err) &&
                join_token_parse(bytes, length, source, out, err);
    explicit_bzero(bytes, sizeof bytes);
    return read;
}

bool join_token_from_environment(struct join_token *out, struct error *err)
{
    char *value = getenv(JOIN_TOKEN_VARIABLE);
    *out = (struct join_token){0};
    if (!value)
        return true;
    bool taken =
        join_token_parse(value, strlen(value), "the token in " JOIN_TOKEN_VARIABLE, out, err);
    explicit_bzero(value, strlen(value)); /* /proc/PID/environ shows the original bytes */
    (void)unsetenv(JOIN_TOKEN_VARIABLE);
    return taken;
}

void join_token_wipe(struct join_token *token)
{
    explicit_bzero(token, sizeof *token);
}
