# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping processes, and waiting for what they do."""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(
    os.environ.get("SALLYPORT_CACHE")
    or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sallyport")
)
# Database servers refuse to run as root.
NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """For preexec_fn: a test run that is killed leaves no server behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def temporary_directory(prefix="sp-", parent="/tmp"):
    """A directory with a short path (Unix sockets end at 107 bytes) that other users may pass through."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    directory.chmod(0o711)
    return directory


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)


class _Ports:
    """Ports for what will be started in a moment. Below those that the kernel gives to outgoing connections (32768 and
    up), and each process has a block of its own: two runs side by side take no port from each other between choosing
    and listening. (The proxy's listeners share ports by design, so that would go unnoticed.)"""

    FIRST, LAST, BLOCK = 16000, 32000, 500

    def __init__(self):
        self.holder = None
        self.block = self.next = 0

    @staticmethod
    def _bound(port):
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", port))
            return sock
        except OSError:
            sock.close()
            return None

    def _take_block(self):
        """Who has a block's first port bound owns the block, until he ends."""
        for block in range(self.FIRST, self.LAST, self.BLOCK):
            self.holder = self._bound(block)
            if self.holder is not None:
                self.block = block
                return
        raise RuntimeError(f"no free block of ports between {self.FIRST} and {self.LAST}")

    def take(self):
        if self.holder is None:
            self._take_block()
        for _ in range(self.BLOCK):
            self.next = self.next % (self.BLOCK - 1) + 1
            probe = self._bound(self.block + self.next)
            if probe is not None:
                probe.close()
                return self.block + self.next
        raise RuntimeError(f"every port from {self.block} on is taken")


_ports = _Ports()


def free_port():
    return _ports.take()


def listening(port):
    """Whether something listens on the TCP port: read from /proc, since a probe would be a session in the log."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    if fields[3] == "0A" and fields[1].endswith(wanted):
                        return True
        except FileNotFoundError:
            continue
    return False


def wait_until(check, what, timeout=15.0, interval=0.02):
    """Returns the first true value of check()."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


def stop(process, timeout=30.0):
    """Ends a process that we started; returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def descriptors(pid):
    """What the open descriptors of a process point to."""
    folder = f"/proc/{pid}/fd"
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            pass
    return sorted(found)


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
