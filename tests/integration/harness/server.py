# SPDX-License-Identifier: Apache-2.0
"""What private MariaDBs and a private MySQL 9 have in common."""

import contextlib
import shutil
import subprocess

import pymysql

from . import database, process
from .guest import Guest, Host


class StartFailed(Exception):
    """The server did not come up; the message holds the end of its log."""


class Server:
    """A server on 127.0.0.1 with its own data directory and TLS; the base of MariaDB, MariaDB11 and MySQL9. Any number
    of them run side by side. Raises Unavailable when its guest cannot be had."""

    name = ""
    guest = None  # the name of the chroot that it runs in
    mysql9 = False
    ed25519 = False
    parsec = False

    def __init__(self, certificates, binary_log=False, options=()):
        """`binary_log`: it writes one, by rows, as the source of a replication needs. `options`: more of its own."""
        self.certificates = certificates
        self.place = Guest(self.guest) if self.guest else Host()
        self.port = process.free_port()
        self.binary_log = binary_log
        self.extra_options = list(options)
        self.directory = None
        self.short = None
        self.process = None

    # What the kinds differ in.
    def make_data(self):
        """Makes the data directory."""
        raise NotImplementedError

    def command(self):
        """Returns the server's argv."""
        raise NotImplementedError

    @property
    def seen(self):
        """self.directory as the server sees it."""
        return self.place.seen(self.directory)

    @property
    def socket(self):
        return self.short / "d" / "s"

    @property
    def error_log(self):
        return self.directory / "error.log"

    def data_options(self):
        """Where it writes; for the making of its data too. In a common directory for temporary tables a server that
        starts removes those of the others (MariaDB sql/sql_base.cc, mysql_rm_tmp_tables())."""
        return ["--no-defaults", f"--datadir={self.seen}/data", f"--tmpdir={self.seen}/tmp"]

    def options(self):
        """Options of every kind of server."""
        directory = self.seen
        return [
            *self.data_options(),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={directory}/s",
            f"--pid-file={directory}/pid",
            f"--log-error={directory}/error.log",
            f"--ssl-ca={directory}/ca.crt",
            f"--ssl-cert={directory}/server.crt",
            f"--ssl-key={directory}/server.key",
            "--max-allowed-packet=128M",
            "--max-connections=2000",
            "--skip-name-resolve",
            "--default-time-zone=+00:00",
            "--character-set-server=utf8mb4",
            "--local-infile=ON",
            "--log-output=TABLE",
            *(["--log-bin=binlog", "--binlog-format=ROW"] if self.binary_log else ["--skip-log-bin"]),
            f"--server-id={self.port}",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
        ]

    def prepare(self):
        self.directory = self.place.temporary_directory()
        # A path to the Unix socket that is short wherever the cache is.
        self.short = process.temporary_directory()
        (self.short / "d").symlink_to(self.directory)
        self.copy_certificates(self.place.owner)
        (self.directory / "tmp").mkdir()
        if self.place.owner is not None:
            for path in (self.directory, self.directory / "tmp"):
                shutil.chown(path, self.place.owner, self.place.owner)
        self.make_data()

    def copy_certificates(self, owner):
        for source, name, mode in (
            ("db-client-ca.crt", "ca.crt", 0o644),
            ("db-server.crt", "server.crt", 0o644),
            ("db-server.key", "server.key", 0o600),
        ):
            target = self.directory / name
            shutil.copyfile(self.certificates[source], target)
            target.chmod(mode)
            if owner is not None:
                shutil.chown(target, owner, owner)

    def start(self):
        try:
            self.prepare()
            self.run()
            self.set_up()
        except BaseException:
            self.stop()
            raise
        return self

    def run(self):
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **self.place.popen(),
        )
        process.wait_until(self._answers, f"{self.name} to start", timeout=90, interval=0.1)

    def _answers(self):
        if self.process.poll() is not None:
            raise StartFailed(f"{self.name} exited with {self.process.returncode}:\n{self.log_tail()}")
        try:
            self.admin().close()
            return True
        except pymysql.err.OperationalError:
            return False

    def log_tail(self, lines=15):
        try:
            return "\n".join(self.error_log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def set_up(self):
        with self.admin() as connection, connection.cursor() as cursor:
            for statement in database.schema_statements():
                cursor.execute(statement)
            for statement, parameters in database.account_statements(self.certificates, self):
                cursor.execute(statement % () if not parameters else statement, parameters or None)
            cursor.executemany(
                "INSERT INTO shop.blobs VALUES (%s, %s)",
                [(1, bytes(range(256)) * 4), (2, None), (3, b"")],
            )
            connection.commit()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(pymysql.err.Error, OSError):
                self.execute("SHUTDOWN")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            process.stop(self.process)
        for directory in (self.directory, self.short):
            if directory is not None:
                process.remove(directory)
        self.process = None

    def admin(self, **arguments):
        """A connection with every privilege, over the Unix socket."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", charset="utf8mb4", autocommit=True, **arguments
        )

    def execute(self, statement, *parameters):
        """Runs one statement as the administrator; returns its rows."""
        with self.admin() as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall()

    def connections(self, user):
        """Ids of the connections of one account."""
        return [
            row[0]
            for row in self.execute("SELECT id FROM information_schema.processlist WHERE user = %s", user)
        ]

    @contextlib.contextmanager
    def general_log(self):
        """Yields a function that returns what the server ran meanwhile: [(thread, command, text bytes)]."""

        def read():
            return [
                (thread, command, text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
                for thread, command, text in self.execute(
                    "SELECT thread_id, command_type, CAST(argument AS BINARY) FROM mysql.general_log"
                    " WHERE user_host NOT LIKE '%root[root]%'"
                )
            ]

        self.execute("TRUNCATE mysql.general_log")
        self.execute("SET GLOBAL general_log = ON")
        try:
            yield read
        finally:
            self.execute("SET GLOBAL general_log = OFF")

    def cool_password_cache(self):
        """Makes the next login with caching_sha2_password take the full exchange."""
        self.execute("FLUSH PRIVILEGES")
