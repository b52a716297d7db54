# SPDX-License-Identifier: Apache-2.0
"""`sallyport identity` with many directories: bots that do nothing but join and renew."""

import os
import pathlib

from . import process
from .sallyport import Service

# identities[] holds no more.
MOST = 256


def add_bots(realm, names, role="shop-reader"):
    """Adds the bots; returns the files of their join tokens."""
    return [realm.add_bot(name, role) for name in names]


class Identities(Service):
    """One process with an identity directory for each of the bots; directories are made under `place`."""

    name = "identity"

    def __init__(self, realm, place, names, tokens, number=0):
        assert len(names) <= MOST
        super().__init__(realm.directory)
        self.file_name = f"identity-{number}"
        self.place = pathlib.Path(place)
        self.names = names
        self.write({
            "identities": [
                {"directory": str(self.place / name), "join": str(token)} for name, token in zip(names, tokens)
            ],
            "authority": {
                "address": f"127.0.0.1:{realm.authority.authority_port}", "ca_pin": realm.authority.pin(),
                "server_name": "localhost",
            },
            "log": {"level": "warning"},
        })

    @property
    def configuration_file(self):
        return self.directory / f"{self.file_name}.json"

    @property
    def log_file(self):
        return self.directory / f"{self.file_name}.log"

    def is_ready(self):
        return all((self.place / name / "cert.pem").exists() for name in self.names)

    def start(self, environment=None):
        self.launch(environment)
        return self

    def wait(self, timeout=60):
        process.wait_until(self.is_ready, f"{len(self.names)} bots to have joined", timeout, 0.05)
        return self


def start_many(realm, place, names, tokens):
    """As many processes as that takes, each as nice as can be: on one machine the bots' own work would be measured
    otherwise, which in earnest is done elsewhere."""
    started = []
    for number, at in enumerate(range(0, len(names), MOST)):
        service = Identities(realm, place, names[at:at + MOST], tokens[at:at + MOST], number)
        started.append(service.start())
        os.setpriority(os.PRIO_PROCESS, service.process.pid, 19)
    return started
