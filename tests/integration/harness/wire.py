# SPDX-License-Identifier: Apache-2.0
"""A raw client and a raw server of the MySQL protocol over TLS, for packets that no real peer sends.

Layouts: MySQL manual, "Client/Server Protocol", Protocol::HandshakeV10, HandshakeResponse41, OK_Packet, ERR_Packet."""

import json
import socket
import ssl
import struct
import threading

LONG_PASSWORD = 1
FOUND_ROWS = 1 << 1
LONG_FLAG = 1 << 2
CONNECT_WITH_DB = 1 << 3
LOCAL_FILES = 1 << 7
PROTOCOL_41 = 1 << 9
SSL = 1 << 11
TRANSACTIONS = 1 << 13
SECURE_CONNECTION = 1 << 15
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PS_MULTI_RESULTS = 1 << 18
PLUGIN_AUTH = 1 << 19
CONNECT_ATTRS = 1 << 20
DEPRECATE_EOF = 1 << 24
OPTIONAL_METADATA = 1 << 25
QUERY_ATTRIBUTES = 1 << 27

# MariaDB's extended flags, for which LONG_PASSWORD is left out.
PROGRESS, BULK, CACHE_METADATA, BULK_RESULTS = 1, 1 << 2, 1 << 4, 1 << 5

CLIENT_FLAGS = (
    LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | MULTI_STATEMENTS | MULTI_RESULTS
    | PS_MULTI_RESULTS | PLUGIN_AUTH
)
SERVER_FLAGS = CLIENT_FLAGS | CONNECT_WITH_DB | FOUND_ROWS | LOCAL_FILES | SSL | DEPRECATE_EOF

MORE_RESULTS = 0x0008
AUTOCOMMIT = 0x0002
LARGEST = 0xFFFFFF

QUIT, INIT_DB, QUERY, FIELD_LIST, STATISTICS, PROCESS_KILL, PING = 0x01, 0x02, 0x03, 0x04, 0x09, 0x0C, 0x0E
CHANGE_USER, BINLOG_DUMP, PREPARE, EXECUTE, LONG_DATA, CLOSE = 0x11, 0x12, 0x16, 0x17, 0x18, 0x19
SET_OPTION, FETCH, RESET_CONNECTION = 0x1B, 0x1C, 0x1F

ALPN_MYSQL = "sallyport-mysql/1"

# Who a connection that is given up after its greeting logs in as, without TLS, to be refused (proxy/upstream.h).
RETIRED = b"sallyport_retired"


class ServerError(Exception):
    """An ERR packet."""

    def __init__(self, payload):
        self.code = struct.unpack_from("<H", payload, 1)[0]
        rest = payload[3:]
        self.sqlstate = ""
        if rest[:1] == b"#":
            self.sqlstate, rest = rest[1:6].decode(), rest[6:]
        self.message = rest.decode("utf-8", "replace")
        super().__init__(f"{self.code} {self.sqlstate} {self.message}")


class Closed(Exception):
    """The peer closed the connection, or reset it."""


def packet(payload, sequence=0):
    """Frames a payload below 16 MiB."""
    return struct.pack("<I", len(payload))[:3] + bytes([sequence & 0xFF]) + payload


def lenenc(number):
    if number < 0xFB:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfc" + struct.pack("<H", number)
    if number <= 0xFFFFFF:
        return b"\xfd" + struct.pack("<I", number)[:3]
    return b"\xfe" + struct.pack("<Q", number)


def lenenc_string(text):
    return lenenc(len(text)) + text


class Connection:
    """Packets over a socket, in either role."""

    def __init__(self, sock, timeout=15.0):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.sequence = 0
        self.capabilities = 0

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise Closed(str(error)) from error

    def send(self, payload, sequence=None):
        """Sends one payload as a packet; the sequence id goes on from the last packet unless it is given."""
        if sequence is not None:
            self.sequence = sequence
        self.send_raw(packet(payload, self.sequence))
        self.sequence = (self.sequence + 1) & 0xFF

    def command(self, code, body=b""):
        self.send(bytes([code]) + body, sequence=0)

    def read_exactly(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.sock.recv(min(length - len(data), 1 << 18))
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed(str(error)) from error
            if not more:
                raise Closed(f"end of stream after {len(data)} of {length} bytes")
            data += more
        return data

    def read(self):
        """Returns the payload of one packet; self.sequence is then the id that follows."""
        header = self.read_exactly(4)
        length = header[0] | header[1] << 8 | header[2] << 16
        self.sequence = (header[3] + 1) & 0xFF
        return self.read_exactly(length)

    def expect(self):
        """Reads a packet and raises ServerError when it is an ERR."""
        payload = self.read()
        if payload[:1] == b"\xff":
            raise ServerError(payload)
        return payload

    def at_end(self):
        """Reads until the peer closes; returns what came before."""
        data = b""
        while True:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return data
            if not more:
                return data
            data += more


class Greeting:
    def __init__(self, payload):
        end = payload.index(b"\0", 1)
        self.protocol = payload[0]
        self.version = payload[1:end].decode()
        at = end + 1
        (self.connection_id,) = struct.unpack_from("<I", payload, at)
        low, self.charset, self.status, high, length = struct.unpack_from("<HBHHB", payload, at + 13)
        self.capabilities = low | high << 16
        self.nonce = payload[at + 4:at + 12] + payload[at + 31:at + 31 + max(13, length - 8)].rstrip(b"\0")
        self.plugin = payload[at + 31 + max(13, length - 8):].split(b"\0")[0].decode()


def login_response(user, database=None, flags=CLIENT_FLAGS, plugin="mysql_native_password", answer=b"", extended=0):
    if database is not None:
        flags |= CONNECT_WITH_DB
    if extended:
        flags &= ~LONG_PASSWORD
    payload = struct.pack("<IIB19xI", flags, 1 << 24, 45, extended) + user.encode() + b"\0"
    payload += bytes([len(answer)]) + answer
    if database is not None:
        payload += database.encode() + b"\0"
    if flags & PLUGIN_AUTH:
        payload += plugin.encode() + b"\0"
    return payload


def hello_frame(database, **more):
    body = json.dumps({"version": 1, "database": database, **more}).encode()
    return struct.pack(">I", len(body)) + body


def client_context(certificates, bot="ci-1", alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(certificates["service-ca.crt"])
    if bot is not None:
        folder = certificates.bot(bot)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


def dial(port, certificates, bot="ci-1", alpn=None, timeout=15.0, receive_buffer=None):
    """A TLS connection to a TLS-first listener, before any packet."""
    plain = socket.socket()
    if receive_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.settimeout(timeout)
    plain.connect(("127.0.0.1", port))
    try:
        return Connection(client_context(certificates, bot, alpn).wrap_socket(plain), timeout)
    except BaseException:
        plain.close()
        raise


def log_in(
    connection, user="reader", database="shop", flags=CLIENT_FLAGS, plugin="mysql_native_password", extended=0
):
    """From the greeting to OK; returns the greeting."""
    greeting = Greeting(connection.expect())
    connection.capabilities = flags
    connection.send(login_response(user, database, flags, plugin, extended=extended))
    while True:
        payload = connection.expect()
        if payload[:1] == b"\0":
            return greeting
        if payload[:1] == b"\xfe":
            connection.send(b"")
        elif payload[:1] != b"\x01":
            raise AssertionError(f"unexpected packet in the login: {payload!r}")


def read_result(connection):
    """Reads one answer to a query without DEPRECATE_EOF: the rows as raw payloads, or the OK packet."""
    first = connection.expect()
    if first[:1] == b"\0":
        return first
    for _ in range(first[0]):
        connection.expect()
    connection.expect()
    rows = []
    while True:
        row = connection.expect()
        if row[:1] == b"\xfe" and len(row) < 9:
            return rows
        rows.append(row)


def query(connection, statement):
    connection.command(QUERY, statement.encode() if isinstance(statement, str) else statement)
    return read_result(connection)


# As a server.


def ok_packet(affected=0, insert_id=0, status=AUTOCOMMIT, warnings=0, header=0, info=b""):
    return bytes([header]) + lenenc(affected) + lenenc(insert_id) + struct.pack("<HH", status, warnings) + info


def err_packet(code, message, sqlstate="HY000"):
    return b"\xff" + struct.pack("<H", code) + b"#" + sqlstate.encode() + message.encode()


def eof_packet(status=AUTOCOMMIT, warnings=0):
    return b"\xfe" + struct.pack("<HH", warnings, status)


def column_definition(name, kind=253, charset=45, length=1024):
    text = b"".join(lenenc_string(part) for part in (b"def", b"", b"", b"", name.encode(), b""))
    return text + b"\x0c" + struct.pack("<HIBHB2x", charset, length, kind, 0, 0)


def greeting_packet(version="8.0.99-fake", connection_id=4242, flags=SERVER_FLAGS, plugin="mysql_native_password"):
    nonce = b"abcdefgh" + b"ijklmnopqrst"
    return (
        b"\x0a" + version.encode() + b"\0" + struct.pack("<I", connection_id) + nonce[:8] + b"\0"
        + struct.pack("<HBHHB", flags & 0xFFFF, 45, AUTOCOMMIT, flags >> 16, 21) + bytes(10)
        + nonce[8:] + b"\0" + (plugin.encode() + b"\0" if flags & PLUGIN_AUTH else b"")
    )


class FakeUpstream:
    """A database server whose every byte a test decides: `script(peer)` runs for each connection in a thread."""

    def __init__(self, certificates, script, certificate=("db-server.crt", "db-server.key"), accept=True):
        self.certificates = certificates
        self.script = script
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*(certificates[name] for name in certificate))
        self.context.load_verify_locations(certificates["db-client-ca.crt"])
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.connections = 0
        self.commands = []
        self.errors = []
        self._peers = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        if accept:
            self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            peer = FakePeer(sock, self)
            self._peers.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        try:
            self.script(peer)
        except (Closed, OSError) as error:
            self.errors.append(error)
        finally:
            peer.close()

    def close(self):
        self._listener.close()
        for peer in self._peers:
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakePeer(Connection):
    """One connection of a FakeUpstream."""

    def __init__(self, sock, upstream):
        super().__init__(sock)
        self.upstream = upstream
        self.user = None
        self.subject = None

    def greet(self, **arguments):
        self.send(greeting_packet(**arguments), sequence=0)

    def start_tls(self):
        request = self.read()
        if RETIRED in request:
            raise Closed("given up after its greeting")
        assert len(request) == 32 and struct.unpack_from("<I", request)[0] & SSL, "no SSLRequest"
        self.sock = self.upstream.context.wrap_socket(self.sock, server_side=True)
        self.subject = self.sock.getpeercert()["subject"]

    def read_login(self):
        login = self.read()
        (self.capabilities,) = struct.unpack_from("<I", login)
        self.user = login[32:login.index(b"\0", 32)].decode()

    def log_in(self, **arguments):
        """Everything up to the OK of the login."""
        self.greet(**arguments)
        self.start_tls()
        self.read_login()
        self.send(ok_packet())

    def next_command(self):
        command = self.read()
        self.upstream.commands.append(command)
        if command[:1] == bytes([QUIT]):
            raise Closed("COM_QUIT")
        return command

    def result_set(self, rows, columns=("a",), end=True, more=False):
        """A text result set in the form that the client asked for."""
        modern = self.capabilities & DEPRECATE_EOF
        status = AUTOCOMMIT | (MORE_RESULTS if more else 0)
        self.send(lenenc(len(columns)))
        for name in columns:
            self.send(column_definition(name))
        if not modern:
            self.send(eof_packet())
        for row in rows:
            self.send(b"".join(b"\xfb" if value is None else lenenc_string(value) for value in row))
        if end:
            self.send(ok_packet(header=0xFE, status=status) if modern else eof_packet(status))

    def serve(self, answer=None):
        """Answers each command with OK, or by answer(peer, command)."""
        while True:
            command = self.next_command()
            if answer is not None:
                answer(self, command)
            else:
                self.send(ok_packet())
