# SPDX-License-Identifier: Apache-2.0
"""Statements as the audit log and the general log have them, for completeness.py: character sets, and what servers cut
off."""

import base64
import hashlib
import re

WHITE = b" \t\n\v\f\r"
CODECS = {
    "latin1": "cp1252", "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "cp1250": "cp1250",
    "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257", "koi8r": "koi8_r", "koi8u": "koi8_u",
    "greek": "iso8859_7", "hebrew": "iso8859_8", "gbk": "gbk", "gb2312": "gb2312", "gb18030": "gb18030", "big5": "big5",
    "sjis": "cp932",
    "cp932": "cp932", "ujis": "euc_jp", "eucjpms": "euc_jp", "euckr": "cp949", "cp850": "cp850", "cp852": "cp852",
    "cp866": "cp866",
}


def short(text):
    """A text as messages show it."""
    return repr(text if len(text) <= 100 else text[:60] + b" ... " + text[-30:])[1:]


def stripped(text):
    """A statement as the servers keep it. (alloc_query() in sql/sql_parse.cc of both)"""
    text = text.lstrip(WHITE)
    return text.rstrip(WHITE + b";")


def encoded(text, charset):
    """The text in the connection's character set, or None."""
    try:
        if charset is None or charset.startswith("utf8"):
            return text.encode()
        if charset == "latin1":
            # MySQL's latin1 is cp1252 with the C1 controls in its holes.
            return b"".join(
                char.encode("latin-1") if char in "\x81\x8d\x8f\x90\x9d" else char.encode("cp1252") for char in text
            )
        return text.encode(CODECS.get(charset, "utf-8"))
    except UnicodeEncodeError:
        return None


def text_difference(record, logged, charset):
    """What is wrong with the text of a record whose command was logged so; None when nothing is."""
    length = record.get("statement_length", 0)
    if record.get("truncated"):
        begin = record["statement"].encode() if "statement" in record else base64.b64decode(record["statement_base64"])
        if length != len(logged):
            return f"has {length} bytes, the server's {len(logged)}"
        if hashlib.sha256(logged).hexdigest() != record["statement_sha256"]:
            return "has another SHA-256 than the server's"
        return None if logged.startswith(begin) else "begins otherwise than the server's"
    if record.get("redacted"):
        return _redacted_difference(record, logged)
    if "statement_base64" in record:
        text = base64.b64decode(record["statement_base64"])
    else:
        text = encoded(record.get("statement", ""), charset)
        if text is None:
            return f"cannot have been sent in {charset}"
    if len(text) != length:
        return f"has {len(text)} bytes, and statement_length says {length}"
    if stripped(text) != stripped(logged) or logged not in text:
        return f"reads {short(text)}"
    return None


def _redacted_difference(record, logged):
    parts = [re.escape(stripped(part.encode())) if at in (0, -1) else re.escape(part.encode())
             for at, part in enumerate(record["statement"].split("<redacted>"))]
    if not re.fullmatch(rb".*?".join(parts), stripped(logged), re.DOTALL):
        return f"reads {record['statement']!r}"
    return None if record["statement_length"] >= len(logged) else "is shorter than the server's"
