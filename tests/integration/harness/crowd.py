# SPDX-License-Identifier: Apache-2.0
"""Many sessions at once in one thread, and the moment at which each of them ends."""

import itertools
import os
import select
import socket
import struct
import time

from . import wire

IDLE, BUSY, WAITING = "idle", "busy", "in a statement"
# Both are answered by one packet.
STATEMENT = wire.packet(bytes([wire.QUERY]) + b"DO 1")
LONG_STATEMENT = wire.packet(bytes([wire.QUERY]) + b"DO SLEEP(60)")
TICK = 0.002  # seconds


class Member:
    """One session. `ended` is when its end of stream was seen, `error` what the server said before."""

    def __init__(self, connection, kind):
        self.sock = connection.sock
        self.sock.setblocking(False)
        self.kind = kind
        self.data = b""
        self.answers = 0
        self.under_way = False
        self.next = 0.0
        self.error = None
        self.ended = None

    def send(self, what):
        try:
            self.sock.send(what)
            self.under_way = True
        except (BlockingIOError, ConnectionError):
            pass  # its end of stream tells the rest

    def receive(self, now):
        """Returns whether that was its end."""
        try:
            more = self.sock.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            more = b""
        self.data += more
        self._packets()
        if not more:
            self.ended = now
        return not more

    def _packets(self):
        while len(self.data) >= 4:
            (length,) = struct.unpack("<I", self.data[:3] + b"\0")
            if len(self.data) < 4 + length:
                return
            payload, self.data = self.data[4:4 + length], self.data[4 + length:]
            if payload[:1] == b"\xff":
                self.error = self.error or wire.ServerError(payload)
            else:
                self.answers += 1
                self.under_way = False


class Crowd:
    """`idle` sessions that say nothing, `busy` ones with a statement every `pause` seconds, `waiting` ones in the
    middle of one. Used by one thread: run() until something has happened."""

    def __init__(self, ports, user, database, idle, busy, waiting, pause=0.05):
        self.members = []
        self.pause = pause
        self.epoll = select.epoll()
        self.by_descriptor = {}
        port = itertools.cycle(ports)
        for kind, count in ((IDLE, idle), (BUSY, busy), (WAITING, waiting)):
            for _ in range(count):
                self._add(self._connect(next(port), user, database), kind)
        self.busy = [member for member in self.members if member.kind == BUSY]
        began = time.monotonic()
        for at, member in enumerate(self.busy):
            member.next = began + pause * at / len(self.busy)
        for member in self.members:
            if member.kind == WAITING:
                member.send(LONG_STATEMENT)

    @staticmethod
    def _connect(port, user, database):
        connection = wire.Connection(socket.create_connection(("127.0.0.1", port), 15))
        wire.log_in(connection, user, database)
        return connection

    def _add(self, connection, kind):
        member = Member(connection, kind)
        self.members.append(member)
        self.by_descriptor[member.sock.fileno()] = member
        self.epoll.register(member.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)

    def alive(self):
        return [member for member in self.members if member.ended is None]

    def run(self, until, seconds):
        """Goes on until until() is true; returns whether that came within so many seconds."""
        deadline = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            if now > deadline:
                return False
            self._ask(now)
            for descriptor, _ in self.epoll.poll(TICK):
                self._hear(descriptor)
        return True

    def _ask(self, now):
        for member in self.busy:
            if member.ended is None and not member.under_way and now >= member.next:
                member.next = now + self.pause
                member.send(STATEMENT)

    def _hear(self, descriptor):
        member = self.by_descriptor.get(descriptor)
        if member is not None and member.receive(time.monotonic()):
            self.epoll.unregister(descriptor)
            del self.by_descriptor[descriptor]

    def close(self):
        for member in self.members:
            member.sock.close()
        self.epoll.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def until_readable(descriptor):
    """A condition for run(): when it became true is in the list that it returns beside it."""
    at = []

    def readable():
        if not at and select.select([descriptor], [], [], 0)[0]:
            at.append(time.monotonic())
        return bool(at)

    os.set_blocking(descriptor, False)
    return readable, at
