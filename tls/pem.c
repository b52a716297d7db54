/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/base64.h>
#include <mbedtls/pem.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 7468, 2: lines of 64 characters, which are 48 bytes. */
#define LINE_BYTES 48
#define LINE_TEXT  64
/* "-----BEGIN " and a label and "-----\n". */
#define MARK_SIZE 64

static bool allocate(size_t size, struct pem *out, struct error *err)
{
    out->bytes = calloc(1, size + 1);
    if (!out->bytes)
        return error_set(err, ERROR_MEMORY, "out of memory for %zu bytes of PEM", size);
    out->length = size;
    return true;
}

void pem_release(struct pem *pem)
{
    if (pem->bytes) {
        mbedtls_platform_zeroize(pem->bytes, pem->length);
        free(pem->bytes);
    }
    *pem = (struct pem){0};
}

/* Files. */

static bool read_all(int fd, const char *path, struct pem *out, struct error *err)
{
    for (size_t at = 0; at < out->length;) {
        ssize_t got = read(fd, out->bytes + at, out->length - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(err, errno, "%s", path);
        if (got == 0)
            return error_set(err, ERROR_CONFIG, "%s: was cut while it was read; try again", path);
        at += (size_t)got;
    }
    return true;
}

static bool check_file(int fd, const char *path, enum pem_file kind, size_t max, size_t *size,
                       struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_system(err, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_CONFIG, "%s: not a regular file", path);
    if (kind != PEM_FILE && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set(err, ERROR_CONFIG,
                         "%s: the private key is open to other users (mode %04o); chmod 600 it",
                         path, (unsigned)(status.st_mode & 07777));
    if (status.st_size <= 0 || (uintmax_t)status.st_size > max)
        return error_set(err, ERROR_CONFIG, "%s: has %lld bytes, not 1 to %zu", path,
                         (long long)status.st_size, max);
    *size = (size_t)status.st_size;
    return true;
}

bool pem_read(const char *path, enum pem_file kind, size_t max, struct pem *out, struct error *err)
{
    *out = (struct pem){0};
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    int fd = open(path, kind == PEM_FILE_SECRET_OWNED ? flags | O_NOFOLLOW : flags);
    if (fd < 0 && errno == ELOOP && kind == PEM_FILE_SECRET_OWNED)
        return error_set(err, ERROR_CONFIG, "%s: is a symbolic link; a private key must be a file",
                         path);
    if (fd < 0)
        return error_system(err, errno, "%s", path);
    size_t size = 0;
    bool done = check_file(fd, path, kind, max, &size, err) && allocate(size, out, err) &&
                read_all(fd, path, out, err);
    (void)close(fd);
    if (!done)
        pem_release(out);
    return done;
}

/* Texts. */

bool pem_copy(const char *text, size_t length, size_t max, struct pem *out, struct error *err)
{
    *out = (struct pem){0};
    if (length == 0)
        return error_set(err, ERROR_MALFORMED, "it is empty");
    if (length > max)
        return error_set(err, ERROR_LIMIT, "it has %zu bytes, more than %zu", length, max);
    if (memchr(text, '\0', length))
        return error_set(err, ERROR_MALFORMED, "it is no text: it holds a NUL");
    if (!allocate(length, out, err))
        return false;
    memcpy(out->bytes, text, length);
    return true;
}

static const char *after_space(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

static bool decode(const char *text, const char *label, struct pem *out, struct error *err)
{
    char header[MARK_SIZE];
    char footer[MARK_SIZE];
    size_t used = 0;
    size_t length = 0;
    (void)snprintf(header, sizeof header, "-----BEGIN %s-----", label);
    (void)snprintf(footer, sizeof footer, "-----END %s-----", label);
    mbedtls_pem_context block;
    mbedtls_pem_init(&block);
    int code = mbedtls_pem_read_buffer(&block, header, footer, (const unsigned char *)text, NULL, 0,
                                       &used);
    bool done = false;
    if (code != 0)
        error_set(err, ERROR_MALFORMED, "its PEM block is damaged");
    else if (*after_space(text + used) != '\0')
        error_set(err, ERROR_MALFORMED, "there is more behind its PEM block");
    else
        done = true;
    const unsigned char *bytes = mbedtls_pem_get_buffer(&block, &length);
    done = done && allocate(length, out, err);
    if (done)
        memcpy(out->bytes, bytes, length);
    mbedtls_pem_free(&block); /* zeroes */
    return done;
}

static const char *label_of(const char *text, const char *const *labels)
{
    for (; *labels; labels++) {
        char mark[MARK_SIZE];
        int length = snprintf(mark, sizeof mark, "-----BEGIN %s-----", *labels);
        if (strncmp(text, mark, (size_t)length) == 0)
            return *labels;
    }
    return NULL;
}

bool pem_block(const char *text, size_t length, size_t max, const char *const *labels,
               struct pem *out, struct error *err)
{
    struct pem copy;
    *out = (struct pem){0};
    if (!pem_copy(text, length, max, &copy, err))
        return false;
    const char *start = after_space((const char *)copy.bytes);
    const char *label = label_of(start, labels);
    bool done = label ? decode(start, label, out, err)
                      : error_set(err, ERROR_MALFORMED, "it does not begin with -----BEGIN %s-----",
                                  labels[0]);
    pem_release(&copy);
    return done;
}

bool pem_write(const char *label, const uint8_t *der, size_t length, struct buffer *out,
               struct error *err)
{
    uint8_t *room;
    size_t lines = (length + LINE_BYTES - 1) / LINE_BYTES;
    size_t size = 2 * MARK_SIZE + lines * (LINE_TEXT + 1);
    if (!buffer_reserve(out, size, &room, err))
        return false;
    char *at = (char *)room;
    at += snprintf(at, MARK_SIZE, "-----BEGIN %s-----\n", label);
    for (size_t done = 0; done < length; done += LINE_BYTES) {
        size_t part = length - done < LINE_BYTES ? length - done : LINE_BYTES;
        size_t written = 0;
        /* Its closing NUL is where the line's end goes. */
        int code =
            mbedtls_base64_encode((unsigned char *)at, LINE_TEXT + 1, &written, der + done, part);
        if (code != 0)
            return error_set(err, ERROR_LIMIT, "cannot write PEM");
        at += written;
        *at++ = '\n';
    }
    at += snprintf(at, MARK_SIZE, "-----END %s-----\n", label);
    buffer_commit(out, (size_t)(at - (char *)room));
    return true;
}
