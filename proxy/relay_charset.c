/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which character set statements come in, so that the record can convert them. The login names a
 * collation; SET NAMES, SET CHARACTER SET and SET character_set_client change it. A statement that
 * is recorded under a wrong guess is still recorded: the audit log falls back to its bytes.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proxy/relay.h"

static bool is_word(uint8_t byte)
{
    return isalnum(byte) || byte == '_';
}

/* The next word of a statement, without what stands between. */
static struct byte_view next_word(struct byte_reader *reader)
{
    const uint8_t *data = reader->data;
    while (reader->offset < reader->length && !is_word(data[reader->offset]))
        reader->offset++;
    size_t start = reader->offset;
    while (reader->offset < reader->length && is_word(data[reader->offset]))
        reader->offset++;
    return byte_view(data + start, reader->offset - start);
}

static bool word_is(struct byte_view word, const char *text)
{
    return word.length == strlen(text) &&
           strncasecmp((const char *)word.data, text, word.length) == 0;
}

static bool names_charset(struct byte_view word, struct byte_reader *reader)
{
    if (word_is(word, "NAMES") || word_is(word, "CHARSET") || word_is(word, "character_set_client"))
        return true;
    return word_is(word, "CHARACTER") && word_is(next_word(reader), "SET");
}

const char *relay_charset_of(struct byte_view text, char *storage, size_t size)
{
    struct byte_reader reader = byte_reader(text.data, text.length < 256 ? text.length : 256);
    if (!word_is(next_word(&reader), "SET"))
        return NULL;
    struct byte_view word = next_word(&reader);
    if (word_is(word, "SESSION") || word_is(word, "LOCAL"))
        word = next_word(&reader);
    if (!names_charset(word, &reader))
        return NULL;
    struct byte_view name = next_word(&reader);
    if (name.length == 0 || name.length >= size)
        return NULL;
    for (size_t i = 0; i < name.length; i++)
        storage[i] = (char)tolower(name.data[i]);
    storage[name.length] = '\0';
    return storage;
}
