/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/seen.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    pthread_mutex_t mutex;
    char known[SEEN_KNOWN][SEEN_SERIAL_SIZE]; /* by hash; "" where there is none */
    char waiting[SEEN_WAITING_MAX][SEEN_SERIAL_SIZE];
    size_t first, count; /* of waiting, a ring */
};

bool seen_create(struct seen **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "out of memory");
    pthread_mutex_init(&(*out)->mutex, NULL);
    return true;
}

void seen_free(struct seen *seen)
{
    if (seen)
        pthread_mutex_destroy(&seen->mutex);
    free(seen);
}

/* Serials are random: their first digits are hash enough. */
static char *place_of(struct seen *seen, const char *serial)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < 16 && serial[i]; i++)
        hash = hash * 31 + (uint8_t)serial[i];
    return seen->known[hash % SEEN_KNOWN];
}

static bool put(struct seen *seen, const char *serial)
{
    char *place = place_of(seen, serial);
    if (strcmp(place, serial) == 0 || seen->count == SEEN_WAITING_MAX)
        return false;
    size_t length = strlen(serial) + 1;
    memcpy(place, serial, length);
    memcpy(seen->waiting[(seen->first + seen->count++) % SEEN_WAITING_MAX], serial, length);
    return true;
}

bool seen_put(struct seen *seen, const char *serial)
{
    if (strlen(serial) >= SEEN_SERIAL_SIZE)
        return false;
    pthread_mutex_lock(&seen->mutex);
    bool is_new = put(seen, serial);
    pthread_mutex_unlock(&seen->mutex);
    return is_new;
}

size_t seen_take(struct seen *seen, char (*out)[SEEN_SERIAL_SIZE], size_t room)
{
    pthread_mutex_lock(&seen->mutex);
    size_t taken = seen->count < room ? seen->count : room;
    for (size_t i = 0; i < taken; i++)
        memcpy(out[i], seen->waiting[(seen->first + i) % SEEN_WAITING_MAX], SEEN_SERIAL_SIZE);
    seen->first = (seen->first + taken) % SEEN_WAITING_MAX;
    seen->count -= taken;
    pthread_mutex_unlock(&seen->mutex);
    return taken;
}

void seen_forget(struct seen *seen, char (*serials)[SEEN_SERIAL_SIZE], size_t count)
{
    pthread_mutex_lock(&seen->mutex);
    for (size_t i = 0; i < count; i++) {
        char *place = place_of(seen, serials[i]);
        if (strcmp(place, serials[i]) == 0)
            place[0] = '\0';
    }
    pthread_mutex_unlock(&seen->mutex);
}
