# SPDX-License-Identifier: Apache-2.0
"""An authority from nothing: the service, a proxy beside it, a database whose certificate it signed, bots that join.
No certificate here is made by hand."""

import json
import pathlib
import shutil
import signal
import subprocess
import time

import pymysql

from . import database, process
from .audit import AuditLog
from .certificates import Certificates
from .sallyport import Service, Tunnel, command

DATABASE = "shop"
# One account for each MySQL user that a role names: it accepts the certificate that is minted for it, and no other.
USERS = ("reader", "writer")


def documents(port):
    """What `sallyport role apply` is given: the database, and who may do what in it."""
    return {
        "databases": [{"name": DATABASE, "address": f"127.0.0.1:{port}", "tls": {"server_name": "localhost"}}],
        "roles": [
            {"name": "shop-reader", "allow": {"databases": [DATABASE], "mysql_users": ["reader"], "schemas": ["shop"]}},
            {"name": "shop-writer",
             "allow": {"databases": [DATABASE], "mysql_users": list(USERS), "schemas": ["shop", "secret"]}},
        ],
    }


class Authority(Service):
    """`sallyport serve` with an authority and, unless told otherwise, a proxy in one process."""

    name = "serve"

    def __init__(self, directory, change=None, proxy=True):
        super().__init__(directory)
        self.authority_port = process.free_port()
        self.port = process.free_port()
        configuration = {
            "authority": {
                "directory": "authority",
                "listen": f"127.0.0.1:{self.authority_port}",
                "trust_domain": "test.example",
                "names": ["localhost", "127.0.0.1"],
            },
            "audit": {"directory": "audit"},
        }
        if proxy:
            configuration["proxy"] = {
                "name": "proxy-1", "workers": 2,
                "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            }
        if change is not None:
            change(configuration)
        self.write(configuration)
        self.audit = AuditLog(self.directory / "audit")

    def is_listening(self):
        listens = [self.configuration["authority"]["listen"]]
        listens += [each["address"] for each in self.configuration.get("proxy", {}).get("listeners", [])]
        return all(process.listening(int(listen.rsplit(":", 1)[1])) for listen in listens)

    def admin(self, *arguments, check=0, output="json"):
        """Runs an administration command; returns its answer, a list of objects or (output=None) text."""
        arguments = [*arguments, "-c", self.configuration_file]
        if output is None:
            return command(*arguments, check=check).stdout
        done = command(*arguments, "-o", output, check=check)
        return [json.loads(line) for line in done.stdout.splitlines()] if check == 0 else done.stderr

    def pin(self):
        return next(row["pin"] for row in self.admin("ca", "status") if row["kind"] == "service")


class RemoteProxy(Service):
    """`sallyport serve` with a proxy alone, in a directory of its own: its authority is in another process."""

    name = "serve"

    def __init__(self, authority, name, change=None, token=True):
        directory = authority.directory / name
        directory.mkdir()
        super().__init__(directory)
        self.authority = authority
        self.proxy_name = name
        self.port = process.free_port()
        self.token_file = directory / "join-token"
        self.identity = directory / "identity"
        configuration = {
            "proxy": {
                "name": name, "names": ["localhost", "127.0.0.1"], "workers": 2,
                "listeners": [{"address": f"127.0.0.1:{self.port}"}],
                "authority": {
                    "address": f"127.0.0.1:{authority.authority_port}", "ca_pin": authority.pin(),
                    "server_name": "localhost", "identity": "identity", "join": "join-token",
                },
            },
            "audit": {"directory": "audit"},
        }
        if change is not None:
            change(configuration)
        self.write(configuration)
        self.audit = AuditLog(directory / "audit")
        if token:
            self.give_token()

    def give_token(self, *options):
        """Puts a new join token in the place of the one that was there."""
        self.token_file.unlink(missing_ok=True)
        return self.authority.admin("token", "add", "--proxy", self.proxy_name, "--token-file", self.token_file,
                                    *options)

    def is_listening(self):
        return process.listening(self.port)

    def reload(self, change=None):
        """SIGHUP; returns what the log says of it."""
        before = len(self.log())
        if change is not None:
            change(self.configuration)
            self.write(self.configuration)
        self.signal(signal.SIGHUP)
        process.wait_until(lambda: "reload" in self.log()[before:], "the reload to be logged", 10)
        return self.log()[before:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def serial(self):
        """Of the certificate that is kept."""
        return subprocess.run(["openssl", "x509", "-in", self.identity / "cert.pem", "-noout", "-serial"],
                              check=True, capture_output=True, text=True).stdout.strip()


class RealmCertificates:
    """The server's files by the names that harness/server.py asks for."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def __getitem__(self, name):
        return self.directory / {
            "db-client-ca.crt": "client-ca.crt", "db-server.crt": "server.crt", "db-server.key": "server.key",
        }[name]


class Realm:
    """Authority, proxy, and a server of the given kind, with accounts for minted certificates. With `remote`, the
    names of proxies: each of them in a process of its own, and none beside the authority."""

    def __init__(self, kind, change=None, remote=(), change_proxy=None):
        self.directory = process.temporary_directory()
        self.kind = kind
        self.authority = Authority(self.directory, change, proxy=not remote)
        self.remote = remote
        self.change_proxy = change_proxy
        self.proxies = []
        self.server = None
        self.tunnels = []

    def start(self):
        try:
            self.authority.start()
            self.sign_database()
            self.apply(documents(self.server.port))
            for name in self.remote:
                self.add_proxy(name, self.change_proxy).start()
        except BaseException as failure:
            self.stop(check=False)
            raise AssertionError(f"the realm did not start: {failure!r}\n{self.authority.log()[-3000:]}") from failure
        return self

    def add_proxy(self, name, change=None, token=True):
        proxy = RemoteProxy(self.authority, name, change, token)
        self.proxies.append(proxy)
        return proxy

    @property
    def proxy(self):
        """The one that tunnels go to where nothing else is said."""
        return self.proxies[0] if self.proxies else self.authority

    def sign_database(self):
        files = self.directory / "database"
        self.authority.admin("ca", "sign-database", "--host", "localhost", "--host", "127.0.0.1", "--out", files,
                             output=None)
        self.server = self.kind(RealmCertificates(files))
        self.server.set_up = self.set_up_database
        self.server.start()

    def client_issuer(self):
        """The database-client CA in the form that REQUIRE ISSUER compares with."""
        return Certificates(self.directory / "database").one_line("client-ca.crt", "subject")

    def set_up_database(self):
        issuer = self.client_issuer()
        with self.server.admin() as connection, connection.cursor() as cursor:
            for statement in database.schema_statements():
                cursor.execute(statement)
            for user in USERS:
                cursor.execute(f"CREATE USER '{user}'@'%' REQUIRE SUBJECT '/CN={user}' AND ISSUER '{issuer}'")
            cursor.execute("GRANT SELECT ON shop.* TO 'reader'@'%'")
            cursor.execute("GRANT ALL ON shop.* TO 'writer'@'%'")

    def apply(self, what, *options):
        path = self.directory / "documents.json"
        path.write_text(json.dumps(what), encoding="utf-8")
        return self.authority.admin("role", "apply", "-f", path, *options)

    def add_bot(self, name, *roles):
        """Returns the file with the join token."""
        token = self.directory / f"{name}.token"
        options = [word for role in roles or ("shop-reader",) for word in ("--role", role)]
        self.authority.admin("bot", "add", name, *options, "--token-file", token)
        return token

    def entry(self, bot, token=None, **more):
        entry = {
            "name": bot,
            "listen": f"127.0.0.1:{process.free_port()}",
            "proxy": f"127.0.0.1:{self.proxy.port}",
            "server_name": "localhost",
            "database": DATABASE,
            "identity": str(self.directory / "bots" / bot),
            "authority": {
                "address": f"127.0.0.1:{self.authority.authority_port}", "ca_pin": self.authority.pin(),
                "server_name": "localhost",
            },
            **more,
        }
        if token is not None:
            entry["join"] = str(token)
        return entry

    def tunnel(self, bot, *roles, name=None, start=True, proxy=None):
        """A bot that is added and joins: its tunnel."""
        entry = self.entry(bot, self.add_bot(bot, *roles))
        if proxy is not None:
            entry["proxy"] = f"127.0.0.1:{proxy.port}"
        return self.tunnel_with(entry, name or f"tunnel-{bot}", start)

    def tunnel_with(self, entry, name, start=True):
        (self.directory / "bots").mkdir(exist_ok=True)
        tunnel = Tunnel(self.directory, [entry], name=name)
        self.tunnels.append(tunnel)
        if start:
            tunnel.start()
            process.wait_until(lambda: (pathlib.Path(entry["identity"]) / "cert.pem").exists(), "the bot to have joined")
            process.wait_until(lambda: self.is_known(tunnel), "the proxy to know the bot", 5)
        return tunnel

    @staticmethod
    def connect(tunnel, user="reader", database="shop", **more):
        port = int(tunnel.listens[0].rsplit(":", 1)[1])
        return pymysql.connect(host="127.0.0.1", port=port, user=user, database=database, autocommit=True,
                               connect_timeout=15, read_timeout=30, **more)

    def query(self, tunnel, statement="SELECT 1", **more):
        with self.connect(tunnel, **more) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def is_known(self, tunnel):
        """A bot that was made a moment ago reaches the proxies a moment later."""
        try:
            self.connect(tunnel, user="nobody").close()
        except pymysql.MySQLError as error:
            return "the authority knows no bot" not in str(error)
        return True

    def refused(self, tunnel, text, timeout=10.0, **more):
        """Waits until a connect is refused with that text; returns the error."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.query(tunnel, **more)
            except pymysql.MySQLError as error:
                if text in str(error):
                    return error
            assert time.monotonic() < deadline, f"never refused with {text!r}"
            time.sleep(0.05)

    def stop(self, check=True):
        failures = []
        for service in (*self.tunnels, *self.proxies, self.authority):
            try:
                service.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        if self.server is not None:
            self.server.stop()
        if check and failures:
            raise AssertionError("\n".join(failures))
        shutil.rmtree(self.directory, ignore_errors=True)
