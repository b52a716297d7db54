# SPDX-License-Identifier: Apache-2.0
"""Certificates that end within seconds, and revocations, by the CA of a test run's own copy."""

import datetime
import shutil
import subprocess

from .certificates import Certificates


class OwnAuthority(Certificates):
    """A copy of the certificates with the bot CA, so that what is issued or revoked concerns one test alone."""

    @classmethod
    def copy(cls, certificates, directory):
        shutil.copytree(certificates.directory, directory)
        return cls(directory)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def shorten(self, bot, seconds):
        """Gives the bot a new certificate for its key, with the same subject, that ends in whole seconds from now;
        returns that time."""
        folder = f"bots/{bot}"
        end = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=seconds)
        (self.directory / "leaf").write_text(
            "[leaf]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n"
            "extendedKeyUsage = clientAuth\n"
        )
        self._openssl("x509", "-x509toreq", "-in", f"{folder}/cert.pem", "-key", f"{folder}/key.pem",
                      "-out", f"{folder}/request.pem")
        self._openssl("ca", "-batch", "-notext", "-utf8", "-preserveDN", "-config", "ca/bot-ca/config",
                      "-extfile", "leaf", "-extensions", "leaf", "-in", f"{folder}/request.pem",
                      "-out", f"{folder}/cert.pem", "-startdate", "20240101000000Z",
                      "-enddate", end.strftime("%Y%m%d%H%M%SZ"))
        return end.timestamp()

    def revoke(self, bot):
        """Puts the bot's certificate on bot.crl."""
        self._openssl("ca", "-config", "ca/bot-ca/config", "-revoke", f"bots/{bot}/cert.pem")
        self._openssl("ca", "-config", "ca/bot-ca/config", "-gencrl", "-out", "bot.crl")
