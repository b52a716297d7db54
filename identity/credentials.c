/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/credentials.h"

#include <errno.h>
#include <limits.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tls/certificate.h"
#include "tls/identity.h"
#include "tls/pem.h"

enum { FILE_CERT, FILE_KEY, FILE_CA, FILE_COUNT };

static const char *const file_names[FILE_COUNT] = {"cert.pem", "key.pem", "ca.pem"};

/* What tells one state of a file from another. All zero: the file cannot be seen. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

struct file_marks {
    struct file_mark of[FILE_COUNT];
};

struct credentials {
    unsigned references;
    char *directory;
    char *paths[FILE_COUNT];
    struct file_marks tried; /* the state at the last try, taken or not */
    bool settled;            /* that try needs no other: the same files give the same answer */
    struct tls_context *context;
    struct tls_context *control; /* of the same set, for the control protocol */
    uint64_t generation;
    char bot[CREDENTIALS_BOT_SIZE];
    struct error last; /* why the last try gave no set */
    bool managed;
    char remedy[CREDENTIALS_REMEDY_SIZE]; /* "": none was given */
};

static const char *const alpn_mysql[] = {TLS_ALPN_MYSQL, NULL};
static const char *const alpn_control[] = {TLS_ALPN_CONTROL, NULL};

static struct file_mark mark_file(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return (struct file_mark){0};
    return (struct file_mark){info.st_dev, info.st_ino, info.st_size, info.st_mtim, info.st_ctim};
}

static struct file_marks mark_files(const struct credentials *credentials)
{
    struct file_marks marks;
    for (size_t i = 0; i < FILE_COUNT; i++)
        marks.of[i] = mark_file(credentials->paths[i]);
    return marks;
}

static bool is_same_time(struct timespec left, struct timespec right)
{
    return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

static bool is_same_file(const struct file_mark *left, const struct file_mark *right)
{
    return left->device == right->device && left->inode == right->inode &&
           left->size == right->size && is_same_time(left->modified, right->modified) &&
           is_same_time(left->changed, right->changed);
}

static bool is_same_set(const struct file_marks *left, const struct file_marks *right)
{
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (!is_same_file(&left->of[i], &right->of[i]))
            return false;
    return true;
}

/* tls_context keeps its certificate to itself, so its name is read from the file once more; the
 * marks before and after tell when the two readings could differ. */
static bool read_bot(const char *cert_file, char out[CREDENTIALS_BOT_SIZE], struct error *err)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return error_set(err, ERROR_MEMORY, "out of memory");
    mbedtls_x509_crt chain;
    mbedtls_x509_crt_init(&chain);
    bool read = mbedtls_x509_crt_parse_file(&chain, cert_file) == 0 ||
                error_set(err, ERROR_MALFORMED, "cannot read the certificate in %s", cert_file);
    read = read && identity_from_certificate(chain.raw.p, chain.raw.len, identity, err);
    if (read)
        (void)snprintf(out, CREDENTIALS_BOT_SIZE, "%s", identity->bot);
    mbedtls_x509_crt_free(&chain);
    free(identity);
    return read;
}

static bool check_files(const struct credentials *credentials, struct error *err)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        struct stat info;
        if (stat(credentials->paths[i], &info) != 0)
            return error_system(err, errno, "cannot read %s", credentials->paths[i]);
    }
    return true;
}

struct loaded_set {
    struct tls_context *context;
    struct tls_context *control;
    char bot[CREDENTIALS_BOT_SIZE];
};

static bool load_context(const struct credentials *credentials, const char *const *alpn,
                         struct tls_context **out, struct error *err)
{
    const struct tls_settings settings = {
        .side = TLS_CLIENT,
        .cert_file = credentials->paths[FILE_CERT],
        .key_file = credentials->paths[FILE_KEY],
        .ca_file = credentials->paths[FILE_CA],
        .alpn = alpn,
    };
    return tls_context_create(&settings, out, err);
}

static bool load_set(const struct credentials *credentials, struct loaded_set *out,
                     struct error *err)
{
    if (!check_files(credentials, err) || !read_bot(credentials->paths[FILE_CERT], out->bot, err))
        return false;
    if (!load_context(credentials, alpn_mysql, &out->context, err))
        return false;
    if (load_context(credentials, alpn_control, &out->control, err))
        return true;
    tls_context_unref(out->context);
    return false;
}

static void take_set(struct credentials *credentials, const struct loaded_set *set)
{
    bool renewed = credentials->context != NULL;
    tls_context_unref(credentials->context);
    tls_context_unref(credentials->control);
    credentials->context = set->context;
    credentials->control = set->control;
    credentials->generation++;
    credentials->last = (struct error){0};
    memcpy(credentials->bot, set->bot, sizeof credentials->bot);
    char until[CLOCK_TIME_SIZE];
    clock_format(tls_context_not_after_us(set->context), until);
    log_info(renewed ? "identity renewed" : "identity read", "bot", credentials->bot, "directory",
             credentials->directory, "not_after", until, NULL);
}

/* Says each reason once, however often it is tried. */
static void keep_error(struct credentials *credentials, const struct error *why)
{
    if (strcmp(credentials->last.message, why->message) == 0)
        return;
    credentials->last = *why;
    if (credentials->managed && access(credentials->paths[FILE_CERT], F_OK) != 0)
        return; /* whoever manages it says what is going on */
    log_warning(credentials->context ? "the identity's new files are not usable yet; the previous "
                                       "set stays in use"
                                     : "the identity is not usable yet",
                "directory", credentials->directory, "error", why->message, NULL);
}

/* What may go away without a file being touched, e.g. no descriptor left. */
static bool is_passing(enum error_code code)
{
    return code == ERROR_SYSTEM || code == ERROR_MEMORY;
}

bool credentials_check(struct credentials *credentials)
{
    struct file_marks before = mark_files(credentials);
    if (credentials->settled && is_same_set(&before, &credentials->tried))
        return false;
    struct loaded_set set = {0};
    struct error why = {0};
    bool loaded = load_set(credentials, &set, &why);
    struct file_marks after = mark_files(credentials);
    credentials->tried = after;
    bool quiet = is_same_set(&before, &after);
    credentials->settled = quiet && (loaded || !is_passing(why.code));
    if (loaded && quiet) {
        take_set(credentials, &set);
        return true;
    }
    if (loaded) {
        tls_context_unref(set.context);
        tls_context_unref(set.control);
        (void)error_set(&why, ERROR_STATE, "the files in %s changed while they were read",
                        credentials->directory);
    }
    keep_error(credentials, &why);
    return false;
}

static bool make_paths(struct credentials *credentials, struct error *err)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        size_t size = strlen(credentials->directory) + 1 + strlen(file_names[i]) + 1;
        if (size > PATH_MAX)
            return error_set(err, ERROR_LIMIT, "the identity's path is too long");
        credentials->paths[i] = malloc(size);
        if (!credentials->paths[i])
            return error_set(err, ERROR_MEMORY, "out of memory");
        (void)snprintf(credentials->paths[i], size, "%s/%s", credentials->directory, file_names[i]);
    }
    return true;
}

static bool create(const char *directory, bool managed, struct credentials **out, struct error *err)
{
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials)
        return error_set(err, ERROR_MEMORY, "out of memory");
    credentials->references = 1;
    credentials->managed = managed;
    (void)snprintf(credentials->bot, sizeof credentials->bot, "unknown bot");
    credentials->directory = strdup(directory);
    if (!credentials->directory)
        (void)error_set(err, ERROR_MEMORY, "out of memory");
    if (!credentials->directory || !make_paths(credentials, err)) {
        credentials_unref(credentials);
        return false;
    }
    (void)credentials_check(credentials);
    *out = credentials;
    return true;
}

bool credentials_create(const char *directory, struct credentials **out, struct error *err)
{
    return create(directory, false, out, err);
}

bool credentials_create_managed(const char *directory, struct credentials **out, struct error *err)
{
    return create(directory, true, out, err);
}

bool credentials_are_current(const char *directory)
{
    char path[PATH_MAX];
    struct pem text;
    struct certificate_facts facts = {0};
    (void)snprintf(path, sizeof path, "%s/%s", directory, file_names[FILE_CERT]);
    if (!pem_read(path, PEM_FILE, CERTIFICATE_PEM_MAX, &text, NULL))
        return false;
    bool current = certificate_read((const char *)text.bytes, text.length, &facts, NULL) &&
                   clock_wall_us() <= facts.not_after_us;
    certificate_facts_release(&facts);
    pem_release(&text);
    return current;
}

struct credentials *credentials_ref(struct credentials *credentials)
{
    credentials->references++;
    return credentials;
}

void credentials_unref(struct credentials *credentials)
{
    if (!credentials || --credentials->references > 0)
        return;
    tls_context_unref(credentials->context);
    tls_context_unref(credentials->control);
    for (size_t i = 0; i < FILE_COUNT; i++)
        free(credentials->paths[i]);
    free(credentials->directory);
    free(credentials);
}

const char *credentials_directory(const struct credentials *credentials)
{
    return credentials->directory;
}

static bool not_usable(const struct credentials *credentials, struct error *err)
{
    if (credentials->remedy[0])
        return error_set(err, ERROR_DENIED, "%s", credentials->remedy);
    if (err)
        *err = credentials->last;
    return false;
}

static bool has_expired(const struct credentials *credentials, struct error *err)
{
    char when[CLOCK_TIME_SIZE];
    clock_format(tls_context_not_after_us(credentials->context), when);
    if (credentials->remedy[0])
        return error_set(err, ERROR_DENIED, "the certificate expired at %.19sZ: %s", when,
                         credentials->remedy);
    return error_set(err, ERROR_DENIED, "the certificate expired at %.19sZ: renew the files in %s",
                     when, credentials->directory);
}

bool credentials_context(const struct credentials *credentials, int64_t now_us,
                         struct tls_context **context, struct error *err)
{
    char when[CLOCK_TIME_SIZE];
    if (!credentials->context)
        return not_usable(credentials, err);
    if (now_us > tls_context_not_after_us(credentials->context))
        return has_expired(credentials, err);
    if (now_us < tls_context_not_before_us(credentials->context) && !credentials->managed) {
        clock_format(tls_context_not_before_us(credentials->context), when);
        return error_set(err, ERROR_DENIED,
                         "the certificate in %s is not valid before %.19sZ: check this machine's "
                         "clock",
                         credentials->directory, when);
    }
    *context = credentials->context;
    return true;
}

bool credentials_control_context(const struct credentials *credentials,
                                 struct tls_context **context, struct error *err)
{
    if (!credentials->context)
        return not_usable(credentials, err);
    *context = credentials->control;
    return true;
}

void credentials_manage(struct credentials *credentials, bool managed, const char *remedy)
{
    credentials->managed = managed;
    (void)snprintf(credentials->remedy, sizeof credentials->remedy, "%s", remedy ? remedy : "");
}

uint64_t credentials_generation(const struct credentials *credentials)
{
    return credentials->generation;
}

const char *credentials_bot(const struct credentials *credentials)
{
    return credentials->bot;
}

int64_t credentials_not_before_us(const struct credentials *credentials)
{
    return credentials->context ? tls_context_not_before_us(credentials->context) : 0;
}

int64_t credentials_not_after_us(const struct credentials *credentials)
{
    return credentials->context ? tls_context_not_after_us(credentials->context) : 0;
}
