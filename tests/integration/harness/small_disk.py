# SPDX-License-Identifier: Apache-2.0
"""A directory on a file system of its own that can be filled up and made read-only, for processes that run in its mount
namespace. Everybody else sees an empty directory there, and it goes with its holder."""

import os
import pathlib
import subprocess

import pytest

from . import process


class SmallDisk:
    """`wrapper` goes in front of a command line; `inside` is the directory as seen from outside."""

    def __init__(self, directory, kilobytes):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        mount = f'mount -t tmpfs -o size={kilobytes}k,mode=0700 tmpfs "$0" && echo mounted && exec sleep 100000'
        flags = ["-m"] if os.geteuid() == 0 else ["-U", "-r", "-m"]
        self.holder = subprocess.Popen(
            ["unshare", *flags, "--propagation", "private", "sh", "-c", mount, str(self.directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=process.die_with_parent)
        if self.holder.stdout.readline().strip() != "mounted":
            reason = self.holder.stderr.read().strip()
            self.close()
            pytest.skip(f"no mount namespace with a file system of its own: {reason}")
        enter = ["-m"] if os.geteuid() == 0 else ["-U", "--preserve-credentials", "-m"]
        self.wrapper = ("nsenter", "-t", str(self.holder.pid), *enter)
        self.inside = pathlib.Path(f"/proc/{self.holder.pid}/root{self.directory.resolve()}")

    def fill(self):
        """Not a byte more. (A name in a directory takes no room on a tmpfs: what fails is the writing.)"""
        with open(self.inside / "filler", "ab", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                pass

    def empty(self):
        (self.inside / "filler").unlink()

    def remount(self, option):
        """"ro" or "rw"."""
        subprocess.run([*self.wrapper, "mount", "-o", f"remount,{option}", str(self.directory)], check=True,
                       capture_output=True)

    def close(self):
        if self.holder.poll() is None:
            self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()
