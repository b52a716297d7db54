# SPDX-License-Identifier: Apache-2.0
"""The compressed protocol on the raw wire, in both roles: what tests say in frames, and every frame that came.

Layout: MySQL manual, "Client/Server Protocol", Compressed Packet. zstd comes from the library that servers link."""

import ctypes
import ctypes.util
import functools
import socket
import struct
import zlib

from . import wire

COMPRESS, ZSTD = 1 << 5, 1 << 26
FLAGS = {"zlib": COMPRESS, "zstd": ZSTD}
SMALLEST = 50
LARGEST = 0xFFFFFF


@functools.cache
def _libzstd():
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    for name in ("ZSTD_compressBound", "ZSTD_compress", "ZSTD_decompress", "ZSTD_isError"):
        getattr(library, name).restype = ctypes.c_size_t
    return library


def _size(number):
    return ctypes.c_size_t(number)


def zstd_pack(content, level=3):
    library = _libzstd()
    room = library.ZSTD_compressBound(_size(len(content)))
    out = ctypes.create_string_buffer(room)
    length = library.ZSTD_compress(out, _size(room), content, _size(len(content)), level)
    assert not library.ZSTD_isError(_size(length))
    return out.raw[:length]


def zstd_unpack(packed, length):
    library = _libzstd()
    out = ctypes.create_string_buffer(length)
    made = library.ZSTD_decompress(out, _size(length), packed, _size(len(packed)))
    assert made == length, f"a zstd frame of {made} bytes says {length}"
    return out.raw


def pack(method, content):
    return zlib.compress(content) if method == "zlib" else zstd_pack(content)


def unpack(method, packed, length):
    if method == "zstd":
        return zstd_unpack(packed, length)
    stream = zlib.decompressobj()
    content = stream.decompress(packed)
    assert stream.eof and not stream.unused_data and len(content) == length, "a zlib frame that lies"
    return content


def header(length, sequence, plain):
    return struct.pack("<I", length)[:3] + bytes([sequence & 0xFF]) + struct.pack("<I", plain)[:3]


def frame(method, content, sequence):
    """As clients make it: short content is stored, and what does not get shorter too."""
    packed = pack(method, content) if len(content) >= SMALLEST else content
    if len(packed) >= len(content):
        return header(len(content), sequence, 0) + content
    return header(len(packed), sequence, len(content)) + packed


class Compressed(wire.Connection):
    """Packets in frames. `cut`: how much content goes into one frame. Frames that come must count on by one from the last
    one sent or come (mysql's own client checks that: net_read_packet_header() of sql-common/net_serv.cc), which
    `strict` turns off."""

    def __init__(self, connection, method, strict=True):
        super().__init__(connection.sock, connection.sock.gettimeout())
        self.capabilities = connection.capabilities
        self.method = method
        self.strict = strict
        self.cut = LARGEST
        self.frame = 0  # the next one's sequence id, in either direction
        self.came = []  # (sequence id, bytes on the wire, bytes of content) of each
        self.content = b""

    def send_raw(self, data):
        for at in range(0, len(data), self.cut):
            super().send_raw(frame(self.method, data[at:at + self.cut], self.frame))
            self.frame = (self.frame + 1) & 0xFF

    def send(self, payload, sequence=None):
        if sequence == 0:
            self.frame = 0
        super().send(payload, sequence)

    def send_frames(self, data):
        """Bytes as they are: whatever a test makes of frames."""
        super().send_raw(data)

    def read_frame(self):
        head = super().read_exactly(7)
        length, sequence, plain = int.from_bytes(head[:3], "little"), head[3], int.from_bytes(head[4:], "little")
        if self.strict:
            assert sequence == self.frame, f"frame {sequence} where {self.frame} is due"
        self.frame = (sequence + 1) & 0xFF
        body = super().read_exactly(length)
        content = unpack(self.method, body, plain) if plain else body
        self.came.append((sequence, length + 7, len(content)))
        return content

    def read_exactly(self, length):
        parts, have = [self.content], len(self.content)
        while have < length:
            parts.append(self.read_frame())
            have += len(parts[-1])
        whole = b"".join(parts)
        self.content = whole[length:]
        return whole[:length]

    def payload_bytes(self, data):
        """Packets of a payload of any length."""
        packets = b""
        for number, at in enumerate(range(0, len(data) + 1, wire.LARGEST)):
            packets += wire.packet(data[at:at + wire.LARGEST], number)
        return packets


def log_in(connection, method, user, schema="shop", flags=wire.CLIENT_FLAGS, level=3):
    """From the greeting to OK; frames follow. Returns (greeting, the compressed connection)."""
    greeting = wire.Greeting(connection.expect())
    flags |= FLAGS[method] if isinstance(method, str) else method
    connection.capabilities = flags
    login = wire.login_response(user, schema, flags, greeting.plugin)
    connection.send(login + (bytes([level]) if flags & ZSTD else b""))
    while (payload := connection.expect())[:1] != b"\0":
        if payload[:1] == b"\xfe":
            connection.send(b"")
    return greeting, Compressed(connection, method if isinstance(method, str) else "zlib")


def open_direct(server, method, user="direct", **more):
    """At the server itself, in the clear."""
    return log_in(wire.Connection(socket.create_connection(("127.0.0.1", server.port))), method, user, **more)[1]


def open_proxy(proxy, method, user="writer", bot="report-1", **more):
    return log_in(wire.dial(proxy.plain_port, proxy.certificates, bot), method, user, **more)[1]
