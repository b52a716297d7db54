# SPDX-License-Identifier: Apache-2.0
"""Where a server or client program runs: on this machine, or in a guest, a chroot that scripts/guest prepares because
Debian 12 does not have the program."""

import functools
import os
import pathlib
import shutil
import subprocess

from . import process

SCRIPT = process.ROOT / "scripts" / "guest"


class Unavailable(Exception):
    """A guest cannot be had on this machine; the message says why."""


@functools.cache
def _prepared(name):
    """(directory, None), or (None, why it cannot be had). Once a run: a machine without network says so only once."""
    if os.getuid() != 0:
        return None, f"the chroot with {name} needs root"
    done = subprocess.run([SCRIPT, name], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 3:
        return None, (done.stderr.strip().splitlines() or [f"scripts/guest {name} exited with 3"])[-1]
    if done.returncode != 0:
        raise RuntimeError(f"scripts/guest {name} failed:\n{done.stderr}")
    return pathlib.Path(done.stdout.strip()), None


class Host:
    """This machine. Root becomes nobody, as which servers agree to run; anyone else stays who he is."""

    owner = process.NOBODY if os.getuid() == 0 else None

    def temporary_directory(self):
        return process.temporary_directory()

    def seen(self, path):
        """The path as programs in this place see it."""
        return path

    def program(self, name):
        return shutil.which(name, path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"]) or name

    def argv(self, program, *arguments):
        """For a client: the program with its arguments, run as we are."""
        return [self.program(program), *arguments]

    def popen(self):
        """For a server: keyword arguments of Popen. It ends with us."""
        identity = {} if self.owner is None else {"user": self.owner, "group": self.owner, "extra_groups": []}
        return {"preexec_fn": process.die_with_parent, "cwd": "/", **identity}


class Guest(Host):
    """A chroot by its name: "mysql9" or "mariadb11". Raises Unavailable."""

    owner = process.NOBODY

    def __init__(self, name):
        self.name = name
        self.root, why = _prepared(name)
        if why is not None:
            raise Unavailable(why)

    def temporary_directory(self):
        return process.temporary_directory("sallyport-", self.root / "var/tmp")

    def seen(self, path):
        return pathlib.Path("/") / pathlib.Path(path).relative_to(self.root)

    def program(self, name):
        return shutil.which(name, path=f"{self.root}/usr/sbin:{self.root}/usr/bin").removeprefix(str(self.root))

    def argv(self, program, *arguments):
        """It sees our /tmp at the same path, sockets included; nothing else of this machine."""
        return [SCRIPT, "--exec", self.name, program, *arguments]

    def popen(self):
        def enter():
            os.chroot(self.root)
            os.chdir("/")
            os.setgroups([])
            os.setgid(self.owner)
            os.setuid(self.owner)
            # Last, because a change of user clears it.
            process.die_with_parent()

        return {"preexec_fn": enter}
