# SPDX-License-Identifier: Apache-2.0
"""Starts the executable under test and ends it the way an operator would: whatever it leaves behind fails the test."""

import copy
import json
import os
import pathlib
import re
import signal
import subprocess

from . import process
from .audit import AuditLog

BINARY = pathlib.Path(os.environ.get("SALLYPORT_BINARY") or process.ROOT / "build" / "sallyport").resolve()
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer")
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def command(*arguments, timeout=30, check=None, wrapper=(), **more):
    """Runs a subcommand to its end."""
    done = subprocess.run(
        [*wrapper, BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL, **more,
    )
    assert not SANITIZER.search(done.stderr), done.stderr
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


class Service:
    """A running `sallyport serve` or `sallyport tunnel`."""

    name = ""
    wrapper = ()  # a command line that ends up as what follows it, e.g. nsenter

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.process = None

    @property
    def configuration_file(self):
        return self.directory / f"{self.name}.json"

    @property
    def log_file(self):
        return self.directory / f"{self.name}.log"

    def arguments(self):
        return [self.name, "-c", self.configuration_file]

    def write(self, configuration):
        self.configuration = configuration
        text = configuration if isinstance(configuration, str) else json.dumps(configuration, indent=2)
        self.configuration_file.write_text(text, encoding="utf-8")

    def launch(self, environment=None):
        self.log_start = len(self.log())
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, BINARY, *map(str, self.arguments())], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**ENVIRONMENT, **(environment or {})}, preexec_fn=process.die_with_parent, cwd="/",
            )

    def is_listening(self):
        raise NotImplementedError

    def is_ready(self):
        """It listens, and says that it has begun everything that it needs."""
        return self.is_listening() and '"message":"ready"' in self.log()[self.log_start:]

    def start(self, environment=None):
        self.launch(environment)

        def ready():
            assert self.process.poll() is None, f"{self.name} exited {self.process.returncode}:\n{self.log()}"
            return self.is_ready()

        process.wait_until(ready, f"{self.name} to be ready", timeout=30)
        return self

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def wait_log(self, text, after=0, timeout=10.0):
        process.wait_until(lambda: text in self.log()[after:], f"{text!r} in the log of {self.name}", timeout)

    def signal(self, number):
        self.process.send_signal(number)

    def descriptors(self):
        """Of the open files and sockets, all but the audit log's current file, which is opened at its first record."""
        found = process.descriptors(self.process.pid)
        log = [name for name in found if re.search(r"/audit-\d{20}\.jsonl$", name)]
        assert len(log) <= 1, f"more than one file of the audit log is open: {log}"
        return [name for name in found if name not in log]

    def settle(self, baseline, timeout=20.0):
        """Waits for the descriptors to be back where they were."""
        try:
            process.wait_until(lambda: len(self.descriptors()) <= len(baseline), "descriptors", timeout, 0.1)
        except AssertionError:
            raise AssertionError(
                f"{self.name} keeps {len(self.descriptors())} descriptors open, had {len(baseline)}:\n"
                + "\n".join(self.descriptors())
            ) from None

    def stop(self):
        """SIGTERM; a drained stop exits 0 and the sanitizers have nothing to say."""
        if self.process is None:
            return
        running = self.process.poll() is None
        code = process.stop(self.process)
        self.process = None
        log = self.log()
        assert not SANITIZER.search(log), log[-6000:]
        assert running, f"{self.name} had died with {code}:\n{log[-4000:]}"
        assert code == 0, f"{self.name} exited {code} on SIGTERM:\n{log[-4000:]}"


def roles():
    return [
        {
            "name": "shop-reader",
            "allow": {"databases": ["shop"], "mysql_users": ["reader", "reader_pw", "reader_ed", "reader_parsec"],
                      "schemas": ["shop"]},
            "deny": {"schemas": ["mysql"]},
        },
        {
            "name": "shop-writer",
            "allow": {
                "databases": ["shop"],
                "mysql_users": ["reader", "writer"],
                "schemas": ["shop", "secret", "no_such_schema"],
            },
            "deny": {"schemas": ["mysql"]},
        },
    ]


class Proxy(Service):
    """`sallyport serve` with three listeners: TLS first, TLS first with a database for peers without ALPN, STARTTLS."""

    name = "serve"

    def __init__(self, directory, certificates, database_port, change=None):
        super().__init__(directory)
        self.certificates = certificates
        self.port = process.free_port()
        self.plain_port = process.free_port()
        self.starttls_port = process.free_port()
        configuration = self.default(database_port)
        if change is not None:
            change(configuration)
        self.write(configuration)
        self.audit = AuditLog(self.directory / "audit")

    def default(self, database_port):
        certificates = self.certificates
        password_file = self.directory / "reader.pw"
        from .database import READER_PASSWORD

        password_file.write_text(READER_PASSWORD + "\n", encoding="utf-8")
        password_file.chmod(0o600)
        return copy.deepcopy({
            "proxy": {
                "name": "proxy-test",
                "listeners": [
                    {"address": f"127.0.0.1:{self.port}"},
                    {"address": f"127.0.0.1:{self.plain_port}", "database": "shop"},
                    {"address": f"127.0.0.1:{self.starttls_port}", "starttls": True, "database": "shop"},
                ],
                "tls": {
                    "cert": str(certificates["proxy.crt"]),
                    "key": str(certificates["proxy.key"]),
                    "client_ca": str(certificates["bot-ca.crt"]),
                    "crl": str(certificates["bot.crl"]),
                },
                "workers": 2,
            },
            "databases": [
                {
                    "name": "shop",
                    "address": f"127.0.0.1:{database_port}",
                    "labels": {"env": "test"},
                    "tls": {
                        "ca": str(certificates["db-server-ca.crt"]),
                        "server_name": "localhost",
                        "cert": str(certificates["db-client.crt"]),
                        "key": str(certificates["db-client.key"]),
                    },
                    "passwords": [
                        {"mysql_user": user, "file": "reader.pw"}
                        for user in ("reader_pw", "reader_ed", "reader_parsec")
                    ],
                }
            ],
            "roles": roles(),
            "mappings": [{"subject": "OU=bots", "roles_from": "O"}],
            "audit": {"directory": "audit", "durability": "process"},
        })

    def is_listening(self):
        listeners = self.configuration["proxy"]["listeners"]
        return all(process.listening(int(listener["address"].rsplit(":", 1)[1])) for listener in listeners)

    def reload(self, configuration=None):
        """Writes a configuration and sends SIGHUP; returns what the log says after it."""
        before = len(self.log())
        if configuration is not None:
            self.write(configuration)
        self.signal(signal.SIGHUP)
        process.wait_until(lambda: "reload" in self.log()[before:].lower(), "the reload to be logged", 10)
        return self.log()[before:]


class Tunnel(Service):
    """`sallyport tunnel` with any number of local ports."""

    name = "tunnel"

    def __init__(self, directory, tunnels, name="tunnel"):
        super().__init__(directory)
        self.file_name = name
        self.write({"tunnels": tunnels})
        self.listens = [tunnel["listen"] for tunnel in tunnels]

    @property
    def configuration_file(self):
        return self.directory / f"{getattr(self, 'file_name', 'tunnel')}.json"

    @property
    def log_file(self):
        return self.directory / f"{getattr(self, 'file_name', 'tunnel')}.log"

    def is_listening(self):
        return all(
            pathlib.Path(listen[5:]).is_socket() if listen.startswith("unix:")
            else process.listening(int(listen.rsplit(":", 1)[1]))
            for listen in self.listens
        )
