# SPDX-License-Identifier: Apache-2.0
"""The bound values of an execution in the audit log against the statement that the server put together of them, for
completeness.py."""

import base64
import datetime
import decimal
import re
import struct

from .logged_text import WHITE, encoded, short, stripped

# What a question mark in is no parameter. An executable comment is code.
_SKIP = re.compile(
    rb"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'|\"[^\"\\]*(?:(?:\\.|\"\")[^\"\\]*)*\"|`[^`]*`|/\*(?!M?!).*?\*/"
    rb"|--[\s\x00-\x1f][^\n]*|#[^\n]*|(\?)",
    re.DOTALL,
)
_LITERAL = re.compile(
    rb"NULL\b|(?:0x|X')(?P<hex>[0-9A-Fa-f]*)'?|(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
    rb"|(?:_[a-z0-9]+ ?|DATE|TIMESTAMP|TIME|DATETIME)?'(?P<text>[^'\\]*(?:(?:\\.|'')[^'\\]*)*)'",
    re.DOTALL,
)
# Under NO_BACKSLASH_ESCAPES, which no log tells: a backslash is one.
_PLAIN_LITERAL = re.compile(
    rb"NULL\b(?P<hex>\Z)?|(?P<number>-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|'(?P<text>[^']*(?:''[^']*)*)'", re.DOTALL
)
_DECIMAL = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_OMITTED = object()  # in place of a value that the record left out
_ESCAPES = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"Z": b"\x1a", b"t": b"\t", b"b": b"\b"}


def segments(statement):
    """The parts of a statement between its parameters."""
    parts, begin = [], 0
    for match in _SKIP.finditer(statement):
        if match[1]:
            parts.append(statement[begin:match.start()])
            begin = match.end()
    return [*parts, statement[begin:]]


def unescaped(text):
    """What a quoted literal of the log means. By replacing in whole pieces: literals have up to 128 MiB."""
    if b"\\" not in text:
        return text.replace(b"''", b"'")
    pieces = []
    # A run of backslashes is read in pairs from its left, as split() does.
    for piece in text.split(b"\\\\"):
        for escape, meant in _ESCAPES.items():
            piece = piece.replace(b"\\" + escape, meant)
        pieces.append(piece.replace(b"\\", b""))
    return b"\\".join(pieces)


def sent_bytes(value):
    """The most that a value can have had on the wire, with its indicator and length."""
    if isinstance(value, dict) and "length" in value:
        return value["length"] + 10
    if isinstance(value, dict) and "base64" in value:
        return len(base64.b64decode(value["base64"])) + 10
    return len(value.encode()) + 24 if isinstance(value, str) else 24


def _single(number):
    try:
        return struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return number


_DATETIME = re.compile(r"\d+-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?")


def _is_time(text):
    try:
        datetime.datetime.fromisoformat(text)
        return True
    except ValueError:
        return False


def _whole(text):
    """A time without a fraction that is zero."""
    return re.sub(rb"((?:^|[ -])\d\d+:\d\d:\d\d)\.000000\Z", rb"\1", text)


def value_equals(param, literal, charset=None):
    """Whether a value of `params` is what the server put into the statement."""
    number = literal["number"]
    if param is None or literal[0] == b"NULL":
        return param is None and literal[0] == b"NULL"
    if number is not None:
        if isinstance(param, float):
            # A FLOAT is recorded in the digits that make it one; servers print it as a double, or in six digits.
            printed = float(number)
            return printed in (param, _single(param)) or float(f"{param:.6g}") == printed
        if isinstance(param, str):
            # A DECIMAL is text on the wire, in any form that is one, and a number in the statement.
            return bool(_DECIMAL.fullmatch(param)) and decimal.Decimal(param) == decimal.Decimal(number.decode())
        # A DOUBLE that is a whole number may be written as one in JSON.
        return isinstance(param, int) and (str(param).encode() == number or (
            b"e" in number and float(number) == float(param)))
    if literal["hex"] is not None:
        text = bytes.fromhex(literal["hex"].decode())
    elif literal.re is _PLAIN_LITERAL:
        text = literal["text"].replace(b"''", b"'")
    else:
        text = unescaped(literal["text"])
    if isinstance(param, str):
        # MySQL prints each time with a fraction, MariaDB none that is zero; the record has what was sent.
        if encoded(param, charset) == text or _whole(param.encode()) == _whole(text):
            return True
        zeros = literal[0] == b"TIMESTAMP'0000-00-00 00:00:00'"
        return zeros and bool(_DATETIME.fullmatch(param)) and not _is_time(param)
    if isinstance(param, dict) and param.get("truncated"):
        begin = base64.b64decode(param["base64"]) if "base64" in param else encoded(param["text"], charset)
        return param["length"] == len(text) and text.startswith(begin) and len(begin) >= 4090
    return isinstance(param, dict) and "base64" in param and base64.b64decode(param["base64"]) == text


def values_difference(record, logged, charset, summary):
    """The prepared text and the values of an execution against the statement that the server put together of them."""
    wrong = _values_difference_by(_LITERAL, record, logged, charset, summary)
    if wrong and b"\\" in logged and not _values_difference_by(_PLAIN_LITERAL, record, logged, charset, summary):
        return None
    return wrong


def _values_difference_by(reading, record, logged, charset, summary):
    text = base64.b64decode(record["statement_base64"]) if "statement_base64" in record else encoded(
        record.get("statement", ""), charset)
    if text is None:
        return f"cannot have been sent in {charset}"
    params = list(record.get("params", []))
    omitted = params.pop()["omitted"] if params and isinstance(params[-1], dict) and "omitted" in params[-1] else 0
    parts = segments(text.lstrip(WHITE) if record.get("truncated") else stripped(text))
    if record.get("truncated"):
        return None if logged.startswith(parts[0]) else f"was prepared as {short(text)}"
    if len(parts) - 1 != len(params) + omitted:
        return f"has {len(params)} values for {len(parts) - 1} parameters"
    at = 0
    for part, param in zip(parts, [*params, *[_OMITTED] * omitted, None]):
        if not logged.startswith(part, at):
            return f"was prepared as {short(text)}"
        at += len(part)
        if part is parts[-1] and at == len(logged):
            return None
        literal = reading.match(logged, at)
        if not literal:
            return f"was prepared as {short(text)}"
        if param is not _OMITTED and not value_equals(param, literal, charset):
            return f"has the value {str(param)[:100]} for {short(literal[0])}"
        summary.values += param is not _OMITTED
        at = literal.end()
    return f"was prepared as {short(text)}"
