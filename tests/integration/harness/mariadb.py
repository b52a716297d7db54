# SPDX-License-Identifier: Apache-2.0
"""A private MariaDB: its own data directory, a free port, nothing of the system's server touched."""

import os
import pathlib
import shutil
import subprocess

from . import process
from .server import Server, StartFailed

PLUGINS = "/usr/lib/mysql/plugin"


class MariaDB(Server):
    name = "mariadb"

    def __init__(self, certificates):
        super().__init__(certificates)
        # Debian ships the ed25519 plugin with its service; ours is unpacked by scripts/install-dependencies.
        candidates = [pathlib.Path(PLUGINS), pathlib.Path(f"{process.CACHE}/unpacked{PLUGINS}")]
        found = [path for path in candidates if (path / "auth_ed25519.so").exists()]
        self.ed25519 = bool(found)
        self.plugin = found[0] / "auth_ed25519.so" if found else None

    def _identity(self):
        """Root becomes nobody; anyone else stays who he is."""
        return {"user": process.NOBODY, "group": process.NOBODY} if os.getuid() == 0 else {}

    def prepare(self):
        self.directory = process.temporary_directory()
        owner = process.NOBODY if os.getuid() == 0 else None
        # In the server's reach whatever the modes of the folders above the cache.
        (self.directory / "plugins").mkdir(mode=0o755)
        if self.plugin:
            shutil.copyfile(self.plugin, self.directory / "plugins" / self.plugin.name)
        (self.directory / "data").mkdir()
        self.copy_certificates(owner)
        if owner is not None:
            for path in (self.directory, self.directory / "data"):
                shutil.chown(path, owner, owner)
        made = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data", "--skip-test-db",
             # --force: it refuses where the machine's own name has no address, which does not matter here.
             "--auth-root-authentication-method=normal", "--skip-name-resolve", "--force"],
            capture_output=True, text=True, cwd="/", **self._identity(),
        )
        if made.returncode != 0:
            raise StartFailed(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")

    def command(self):
        argv = [shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])]
        argv += self.options(self.directory)
        argv += [f"--plugin-dir={self.directory}/plugins", "--innodb-log-file-size=256M"]
        return argv, {"preexec_fn": process.die_with_parent, "cwd": "/", **self._identity()}

    def set_up(self):
        # mariadb-install-db makes anonymous users, and ''@'localhost' would win over 'x'@'%'.
        self.execute("DELETE FROM mysql.global_priv WHERE User = ''")
        self.execute("FLUSH PRIVILEGES")
        super().set_up()
