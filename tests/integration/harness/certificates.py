# SPDX-License-Identifier: Apache-2.0
"""The certificates of one test run."""

import pathlib
import subprocess

from . import process


class Certificates:
    """What scripts/make-test-certs writes, by name."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    @classmethod
    def make(cls, directory):
        subprocess.run(
            [process.ROOT / "scripts" / "make-test-certs", directory],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return cls(directory)

    def __getitem__(self, name):
        path = self.directory / name
        assert path.exists(), f"make-test-certs made no {name}"
        return path

    def bot(self, name):
        """The identity directory of a bot: cert.pem, key.pem, ca.pem."""
        return self["bots"] / name

    def one_line(self, name, field):
        """The subject or the issuer in the form that REQUIRE SUBJECT compares with."""
        output = subprocess.run(
            ["openssl", "x509", "-in", self[name], "-noout", f"-{field}", "-nameopt", "compat"],
            check=True, capture_output=True, text=True,
        ).stdout
        return output.split("=", 1)[1].strip()
