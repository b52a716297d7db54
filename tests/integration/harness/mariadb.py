# SPDX-License-Identifier: Apache-2.0
"""A private MariaDB: its own data directory, a free port, nothing of the system's server touched. 10.11 is Debian 12's
own, 11.8 comes out of the guest that scripts/guest prepares."""

import pathlib
import shutil
import subprocess

from . import process
from .server import Server, StartFailed

PLUGINS = "/usr/lib/mysql/plugin"


class MariaDB(Server):
    name = "mariadb"

    def make_data(self):
        self.plugins = self.find_plugins()
        self.ed25519 = self.plugins is not None
        made = subprocess.run(
            [self.place.program("mariadb-install-db"), *self.data_options(), "--skip-test-db",
             # --force: it refuses where the machine's own name has no address, which does not matter here.
             "--auth-root-authentication-method=normal", "--skip-name-resolve", "--force"],
            capture_output=True, text=True, **self.place.popen(),
        )
        if made.returncode != 0:
            raise StartFailed(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")

    def find_plugins(self):
        """Debian ships the ed25519 plugin with its service: scripts/install-dependencies unpacks it into our cache, and
        it is copied from there, so that it is in the server's reach whatever the modes of the folders above."""
        if pathlib.Path(PLUGINS, "auth_ed25519.so").exists():
            return PLUGINS
        unpacked = pathlib.Path(f"{process.CACHE}/unpacked{PLUGINS}/auth_ed25519.so")
        if not unpacked.exists():
            return None
        (self.directory / "plugins").mkdir(mode=0o755)
        shutil.copyfile(unpacked, self.directory / "plugins" / unpacked.name)
        return f"{self.seen}/plugins"

    def command(self):
        # A cached thread remembers the character set of the client before. 10.11 resets a connection to it where it does
        # not know the client's own collation (255, of MySQL's library), so that chance would decide what clients see.
        argv = [self.place.program("mariadbd"), *self.options(), "--innodb-log-file-size=256M", "--thread-cache-size=0"]
        return argv + ([f"--plugin-dir={self.plugins}"] if self.plugins else []) + self.extra_options

    def set_up(self):
        # mariadb-install-db makes anonymous users, and ''@'localhost' would win over 'x'@'%'.
        self.execute("DELETE FROM mysql.global_priv WHERE User = ''")
        self.execute("FLUSH PRIVILEGES")
        super().set_up()


class MariaDB11(MariaDB):
    name = "mariadb11"
    guest = "mariadb11"
    parsec = True  # new in 11.6

    def find_plugins(self):
        return PLUGINS
