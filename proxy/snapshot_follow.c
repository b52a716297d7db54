/* SPDX-License-Identifier: Apache-2.0 */
/* What of a configuration cannot change while it runs: refused, or told. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "proxy/snapshot.h"

/* --- refused --- */

/* Threads, connections and certificates hang on which of them there are. */
static bool same_services(const struct settings *old, const struct settings *new,
                          const struct config *config, struct error *err)
{
    const char *key = old->has_proxy != new->has_proxy                       ? "proxy"
                      : old->has_authority != new->has_authority             ? "authority"
                      : old->proxy.has_authority != new->proxy.has_authority ? "proxy.authority"
                                                                             : NULL;
    return !key ||
           config_error(config, (struct config_place){0}, NULL, err,
                        "\"%s\" can neither come nor go in a running process: restart it", key);
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
    if (!same_services(&running->settings, &next->settings, next->config, err))
        return false;
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

/* --- told --- */

#define KEY_SIZE 128

static bool differ_text(const char *a, const char *b)
{
    return a != b && (!a || !b || strcmp(a, b) != 0);
}

static bool differ_strings(const struct config_strings *a, const struct config_strings *b)
{
    bool differ = a->count != b->count;
    for (size_t i = 0; !differ && i < a->count; i++)
        differ = strcmp(a->items[i], b->items[i]) != 0;
    return differ;
}

#define DIFFER(type_, a_, b_) (*(const type_ *)(a_) != *(const type_ *)(b_))

/* Of the types that stand in these sections. */
static bool differ(const struct config_field *field, const void *a, const void *b)
{
    switch (field->type) {
    case CONFIG_STRING:
    case CONFIG_PATH:
        return differ_text(*(const char *const *)a, *(const char *const *)b);
    case CONFIG_STRINGS:
        return differ_strings(a, b);
    case CONFIG_BOOL:
        return DIFFER(bool, a, b);
    case CONFIG_UNSIGNED:
        return DIFFER(uint64_t, a, b);
    case CONFIG_DURATION:
        return DIFFER(int64_t, a, b);
    case CONFIG_SIZE:
        return DIFFER(size_t, a, b);
    case CONFIG_ENUM:
        return DIFFER(int, a, b);
    case CONFIG_MAP:
    case CONFIG_OBJECT:
    case CONFIG_INLINE:
    case CONFIG_OBJECTS:
        break;
    }
    return false;
}

static void tell(const struct config_table *table, const char *prefix, const void *a, const void *b)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct config_field *field = &table->fields[i];
        const char *left = (const char *)a + field->offset;
        const char *right = (const char *)b + field->offset;
        char key[KEY_SIZE];
        (void)snprintf(key, sizeof key, "%s.%s", prefix, field->key);
        if (field->type == CONFIG_INLINE)
            tell(field->table, key, left, right);
        else if (differ(field, left, right))
            log_warning("a change of this key takes effect at the next start", "key", key, NULL);
    }
}

void settings_tell_unfollowed(const struct settings *started, const struct settings *next)
{
    const struct proxy_settings *old = &started->proxy;
    const struct proxy_settings *new = &next->proxy;
    if (started->has_authority && next->has_authority)
        tell(&authority_settings_table, "authority", &started->authority, &next->authority);
    if (old->has_authority && new->has_authority)
        tell(&settings_authority_link_table, "proxy.authority", &old->authority, &new->authority);
    if (settings_follow_authority(next) && differ_strings(&old->names, &new->names))
        log_warning("a change of this key takes effect at the next start", "key", "proxy.names",
                    NULL);
}
