# SPDX-License-Identifier: Apache-2.0
"""Runs the client programs of tests/clients."""

import pathlib
import shutil
import subprocess
import sys

from . import process
from .mysql9 import chroot_directory

CLIENTS = process.ROOT / "tests" / "clients"


class Clients:
    """The client programs, built and installed on first use."""

    names = ("c", "python", "node", "mariadb", "mysql")

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._prepared = {}

    def _c(self):
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmariadb"], check=True, capture_output=True, text=True
        ).stdout.split()
        program = self.directory / "cases"
        subprocess.run(
            ["cc", "-std=gnu17", "-O1", "-Wall", "-Wextra", "-o", program, CLIENTS / "c" / "cases.c", *flags,
             "-lpthread"],
            check=True,
        )
        return lambda where: [program, *where]

    def _python(self):
        return lambda where: [sys.executable, CLIENTS / "python" / "cases.py", *where]

    def _node(self):
        # A copy, so that nothing is installed into the source tree.
        folder = self.directory / "node"
        folder.mkdir()
        for name in ("package.json", "package-lock.json", ".npmrc", "cases.js"):
            shutil.copyfile(CLIENTS / "node" / name, folder / name)
        subprocess.run(["npm", "ci", "--no-progress"], check=True, cwd=folder, capture_output=True, timeout=300)
        return lambda where: ["node", folder / "cases.js", *where]

    def _mariadb(self):
        return lambda where: [sys.executable, CLIENTS / "command_line" / "cases.py", *where, "mariadb"]

    def _mysql(self):
        chroot = chroot_directory()
        return lambda where: [
            sys.executable, CLIENTS / "command_line" / "cases.py", *where, "--chroot", chroot, "mysql"
        ]

    def run(self, name, port, user, *cases, timeout=240):
        """Returns what the client printed, as bytes."""
        if name not in self._prepared:
            self._prepared[name] = getattr(self, "_" + name)()
        argv = self._prepared[name](["127.0.0.1", str(port), user]) + list(cases)
        done = subprocess.run(argv, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{name} failed:\n{done.stdout[-2000:]!r}\n{done.stderr.decode()[-4000:]}"
        return done.stdout
