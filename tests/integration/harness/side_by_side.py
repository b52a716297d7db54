# SPDX-License-Identifier: Apache-2.0
"""The same packets to a server directly and through the proxy, and everything that comes back compared: sequence ids
and payloads, byte for byte."""

import contextlib
import hashlib
import re
import socket
import struct

from . import wire

DUE = 60  # seconds, until a packet has come

# Sent right behind each command: what comes before its answer is the command's.
MARKER = b"SELECT 'end of the answer'"
MARKED = wire.lenenc_string(b"end of the answer")

LONG = 4096  # of a payload: a longer one is compared by its length and hash

SESSION_TRACK = 1 << 23
FLAGS = wire.CLIENT_FLAGS | SESSION_TRACK | wire.LOCAL_FILES


def read_packet(connection):
    """(sequence id, payload). The pieces are put together once: a payload may have 16 MiB."""
    header = connection.read_exactly(4)
    left = header[0] | header[1] << 8 | header[2] << 16
    payload = bytearray()
    while len(payload) < left:
        piece = connection.sock.recv(min(left - len(payload), 1 << 18))
        if not piece:
            raise wire.Closed("end of stream within a packet")
        payload += piece
    if len(payload) > LONG:
        return header[3], (bytes(payload[:16]), len(payload), hashlib.sha256(payload).hexdigest())
    return header[3], bytes(payload)


def read_answer(connection):
    """The packets that come before the marker's answer. An end of the stream is a packet too."""
    packets = []
    connection.sock.settimeout(DUE)
    try:
        while not packets or packets[-1][1] != MARKED:
            packets.append(read_packet(connection))
        read_packet(connection)
    except wire.Closed:
        return packets + ["closed"]
    own = 3 if connection.capabilities & wire.DEPRECATE_EOF else 4  # column count, definition, EOF, row
    assert [sequence for sequence, _ in packets[-own:]] == list(range(1, own + 1)), packets[-own:]
    return packets[:-own]


class Conversation:
    """One connection, and the id of the statement that was prepared last on it. The ids depend on what a server did
    before, so answers to prepares, and errors that name a statement, are kept with 0 in their place."""

    def __init__(self, connection):
        self.connection = connection
        self.statement = None

    def ask(self, code, body=b""):
        """Sends a command; `body` may be a function of the statement's id. Returns the packets of the answer."""
        self.send(bytes([code]) + (body(self.statement) if callable(body) else body), wire.packet(b"\x03" + MARKER))
        return self.take(code, read_answer(self.connection))

    def send(self, payload, behind=b""):
        """One logical packet, and what is to follow in the same write."""
        packets = [wire.packet(piece, sequence) for sequence, piece in enumerate(pieces(payload))]
        self.connection.send_raw(b"".join([*packets, behind]))

    def take(self, code, packets):
        if code == wire.PREPARE and packets and packets[0] != "closed" and packets[0][1][:1] == b"\0":
            sequence, first = packets[0]
            (self.statement,) = struct.unpack_from("<I", first, 1)
            packets[0] = (sequence, b"\0" + bytes(4) + first[5:])
        return [
            (p[0], re.sub(rb"The statement \(\d+\)", b"The statement (0)", p[1])) if p[1][:1] == b"\xff" else p
            for p in packets
        ]


def pieces(payload):
    """A logical packet in packets: the last is shorter than 2^24-1 bytes, and empty behind an exact multiple."""
    for at in range(0, len(payload) + 1, wire.LARGEST):
        yield payload[at:at + wire.LARGEST]


@contextlib.contextmanager
def both(stack, user="writer", bot="report-1", flags=FLAGS, extended=0):
    """Yields (direct, proxied), two conversations that have logged in alike."""
    with wire.Connection(socket.create_connection(("127.0.0.1", stack.server.port))) as direct:
        wire.log_in(direct, "direct", flags=flags, extended=extended)
        with wire.dial(stack.proxy.plain_port, stack.certificates, bot=bot) as proxied:
            wire.log_in(proxied, user, flags=flags, extended=extended)
            yield Conversation(direct), Conversation(proxied)


def same(sides, code, body=b"", alike=lambda packets: packets):
    """One command on both sides; returns the answer, which was the same after alike() was applied to both."""
    direct, proxied = sides
    expected = direct.ask(code, body)
    got = proxied.ask(code, body)
    assert alike(got) == alike(expected), (
        f"command {code:#x} {body!r:.200}\ndirectly: {expected}\nproxied:  {got}"
    )
    return expected


def without_names(packets):
    """The accounts differ, so messages that name one do."""
    return [
        p if p == "closed" or not isinstance(p[1], bytes)
        else (p[0], re.sub(rb"'(direct|writer|reader)'@'[^']*'", b"'account'", p[1]))
        for p in packets
    ]


def records(audit, before):
    """Of the session that ended since then, without the markers."""
    audit.wait_for(None, after=before, event="session.end")
    return [record for record in audit.records(before) if record.get("statement", "").encode() != MARKER]


def without_numbers(packets):
    """For what a server counts."""
    return [p if p == "closed" else (p[0], re.sub(rb"\d+", b"0", p[1])) for p in packets]
