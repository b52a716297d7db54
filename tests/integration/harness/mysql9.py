# SPDX-License-Identifier: Apache-2.0
"""A private MySQL 9 out of the chroot that scripts/mysql9 prepares."""

import os
import pathlib
import shutil
import subprocess

from . import process
from .server import Server, StartFailed


class Unavailable(Exception):
    """MySQL 9 cannot be had on this machine; the message says why."""


def chroot_directory():
    """The chroot, prepared if need be."""
    if os.getuid() != 0:
        raise Unavailable("the chroot with MySQL 9 needs root")
    prepared = subprocess.run(
        [process.ROOT / "scripts" / "mysql9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if prepared.returncode == 3:
        raise Unavailable((prepared.stderr.strip().splitlines() or ["scripts/mysql9 exited with 3"])[-1])
    if prepared.returncode != 0:
        raise StartFailed(f"scripts/mysql9 failed:\n{prepared.stderr}")
    return pathlib.Path(prepared.stdout.strip())


def enter(chroot, user=None):
    """Returns a preexec_fn that goes into the chroot."""

    def inside():
        os.chroot(chroot)
        os.chdir("/")
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        # Last, because a change of user clears it.
        process.die_with_parent()

    return inside


class MySQL9(Server):
    name = "mysql9"
    mysql9 = True

    def __init__(self, certificates):
        super().__init__(certificates)
        self.chroot = chroot_directory()
        self.inside = None
        self.short = None

    @property
    def socket(self):
        return self.short / "d" / "s"

    def prepare(self):
        self.directory = process.temporary_directory("sallyport-", self.chroot / "var/tmp")
        self.inside = "/" + str(self.directory.relative_to(self.chroot))
        # A path to the Unix socket that is short wherever the cache is.
        self.short = process.temporary_directory()
        (self.short / "d").symlink_to(self.directory)
        self.copy_certificates(process.NOBODY)
        shutil.chown(self.directory, process.NOBODY, process.NOBODY)
        made = subprocess.run(
            ["/usr/sbin/mysqld", "--no-defaults", "--initialize-insecure", f"--datadir={self.inside}/data"],
            capture_output=True, text=True, preexec_fn=enter(self.chroot, process.NOBODY),
        )
        if made.returncode != 0:
            raise StartFailed(f"mysqld --initialize-insecure failed:\n{made.stdout}{made.stderr}")

    def command(self):
        argv = ["/usr/sbin/mysqld"] + self.options(self.inside)
        argv += [
            "--mysqlx=OFF", "--secure-file-priv=NULL", "--performance-schema=OFF", "--innodb-redo-log-capacity=128M"
        ]
        return argv, {"preexec_fn": enter(self.chroot, process.NOBODY)}

    def stop(self):
        super().stop()
        if self.short is not None:
            process.remove(self.short)
