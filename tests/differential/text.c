/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/differential/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_FIRST 64

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("differential: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_SETUP);
}

void *must_allocate(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static void text_reserve(struct text *text, size_t more)
{
    size_t capacity = text->capacity > 0 ? text->capacity : TEXT_FIRST;
    while (capacity <= text->length + more)
        capacity *= 2;
    if (capacity == text->capacity)
        return;
    char *data = realloc(text->data, capacity);
    if (data == NULL)
        die("out of memory");
    text->data = data;
    text->capacity = capacity;
}

void text_add(struct text *text, const void *bytes, size_t length)
{
    text_reserve(text, length);
    if (length > 0)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add_byte(struct text *text, unsigned int byte)
{
    char single = (char)byte;
    text_add(text, &single, 1);
}

void text_add_integer(struct text *text, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        text_add_byte(text, (unsigned int)(value >> (8 * i) & 0xFF));
}

void text_add_lenenc(struct text *text, uint64_t value)
{
    if (value < 0xFB) {
        text_add_integer(text, value, 1);
    } else if (value <= 0xFFFF) {
        text_add_byte(text, 0xFC);
        text_add_integer(text, value, 2);
    } else if (value <= 0xFFFFFF) {
        text_add_byte(text, 0xFD);
        text_add_integer(text, value, 3);
    } else {
        text_add_byte(text, 0xFE);
        text_add_integer(text, value, 8);
    }
}

void text_add_lenenc_string(struct text *text, const void *bytes, size_t length)
{
    text_add_lenenc(text, length);
    text_add(text, bytes, length);
}

void text_print(struct text *text, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0)
        die("vsnprintf failed");
    text_add(text, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

void text_add_escaped(struct text *text, const void *bytes, size_t length, size_t most)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length && i < most; i++) {
        if (at[i] == '\n')
            text_add(text, "\\n", 2);
        else if (at[i] < 0x20 || at[i] > 0x7E)
            text_print(text, "\\x%02x", at[i]);
        else
            text_add_byte(text, at[i]);
    }
    if (length > most)
        text_print(text, "... (%zu bytes, hash %016llx)", length,
                   (unsigned long long)hash_bytes(bytes, length));
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->data != NULL)
        text->data[0] = '\0';
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

size_t text_first_difference(const struct text *one, const struct text *other)
{
    size_t shorter = one->length < other->length ? one->length : other->length;
    for (size_t i = 0; i < shorter; i++)
        if (one->data[i] != other->data[i])
            return i;
    return shorter;
}

bool text_equal(const struct text *one, const struct text *other)
{
    return one->length == other->length &&
           (one->length == 0 || memcmp(one->data, other->data, one->length) == 0);
}

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

size_t random_below(struct random *random, size_t bound)
{
    return (size_t)(random_next(random) % bound);
}

bool random_percent(struct random *random, unsigned int percent)
{
    return random_below(random, 100) < percent;
}

uint64_t hash_bytes(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}
