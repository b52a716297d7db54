/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, section 4, with padding) into a writer: for bytes that are no text. */
#ifndef SALLYPORT_AUDIT_BASE64_H
#define SALLYPORT_AUDIT_BASE64_H

#include <stddef.h>

#include "base/bytes.h"

void audit_base64(struct byte_writer *writer, const void *bytes, size_t length);

#endif
