# SPDX-License-Identifier: Apache-2.0
"""One server, one proxy, and the tunnels of two bots: what most tests start from."""

import time

import pymysql

from . import process
from .sallyport import Proxy, Tunnel


class Stack:
    """reader is ci-1's local port (role shop-reader), writer is report-1's (role shop-writer)."""

    def __init__(self, server, certificates, change=None):
        self.server = server
        self.certificates = certificates
        self.directory = process.temporary_directory()
        self.proxy = Proxy(self.directory, certificates, server.port, change)
        self.reader = process.free_port()
        self.writer = process.free_port()
        self.tunnel = Tunnel(self.directory, [self.entry(self.reader, "ci-1"), self.entry(self.writer, "report-1")])
        self.baseline = {}

    def entry(self, port, bot, **more):
        return {
            "name": f"{bot}-{port}",
            "max_connections": 2000,
            "listen": f"127.0.0.1:{port}",
            "proxy": f"127.0.0.1:{self.proxy.port}",
            "database": "shop",
            "identity": str(self.certificates.bot(bot)),
            **more,
        }

    @property
    def audit(self):
        return self.proxy.audit

    def start(self):
        try:
            self.proxy.start()
            self.tunnel.start()
            for port, user in ((self.reader, "reader"), (self.writer, "writer")):
                with self.connect(port, user) as connection:
                    connection.ping(reconnect=False)
            time.sleep(0.5)
            self.baseline = {service: service.descriptors() for service in (self.proxy, self.tunnel)}
        except BaseException as failure:
            logs = f"{self.proxy.log()[-3000:]}\n{self.tunnel.log()[-3000:]}"
            self.stop(check=False)
            raise AssertionError(f"the stack did not start: {failure!r}\n{logs}") from failure
        return self

    def connect(self, port=None, user="reader", database="shop", **more):
        """A plain client on a local port of the tunnel, as an application would open it."""
        return pymysql.connect(
            host="127.0.0.1", port=port or self.reader, user=user, database=database, charset="utf8mb4",
            autocommit=True, connect_timeout=15, read_timeout=60, max_allowed_packet=128 << 20, **more,
        )

    def settle(self):
        """No descriptor and no upstream connection is left from the sessions that ended."""
        for service, baseline in self.baseline.items():
            service.settle(baseline)

    def stop(self, check=True):
        failures = []
        for service in (self.tunnel, self.proxy):
            try:
                service.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        if check and failures:
            raise AssertionError("\n".join(failures))
        process.remove(self.directory)
