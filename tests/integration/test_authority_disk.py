# SPDX-License-Identifier: Apache-2.0
"""The authority's state on a disk that is full, or read-only, and a store that is damaged: refused with words that say
what to do, nothing half done, nothing overwritten."""

import hashlib
import json
import pathlib

import pymysql
import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Authority, Realm, documents
from harness.sallyport import command
from harness.small_disk import SmallDisk

ROOM = 4096  # kilobytes


class DiskAuthority(Authority):
    """An authority whose state directory is on a small disk."""

    def __init__(self, directory, change=None, proxy=True):
        super().__init__(directory, change, proxy)
        self.disk = SmallDisk(self.directory / "authority", ROOM)
        self.wrapper = self.disk.wrapper

    def admin(self, *arguments, check=0, output="json"):
        """From inside: the socket is on that disk, too."""
        arguments = [*arguments, "-c", self.configuration_file, *(["-o", output] if output else [])]
        done = command(*arguments, check=check, wrapper=self.wrapper)
        if output is None:
            return done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()] if check == 0 else done.stderr


class DiskRealm(Realm):
    def __init__(self, kind, change=None):
        super().__init__(kind, change)
        self.authority = DiskAuthority(self.directory, change)

    def stop(self, check=True):
        try:
            super().stop(check)
        finally:
            self.authority.disk.close()


@pytest.fixture(scope="module")
def realm():
    running = DiskRealm(MariaDB).start()
    yield running
    running.stop()


def works(realm, tunnel):
    try:
        return realm.query(tunnel) == ((1,),)
    except pymysql.MySQLError:
        return False


def test_full_disk(realm):
    """What needs no room goes on: sessions, new ones, looking. What cannot be kept is refused, whole."""
    authority, disk = realm.authority, realm.authority.disk
    tunnel = realm.tunnel("ci-full")
    late = realm.add_bot("ci-late")
    with realm.connect(tunnel) as session:
        disk.fill()
        told = authority.admin("bot", "add", "ci-none", "--role", "shop-reader", "--token-file",
                               realm.directory / "none.token", check=1)
        assert "its log says more" in told, told
        authority.wait_log("disk is full")
        assert realm.query(tunnel) == ((1,),)
        session.cursor().execute("SELECT 1")
        assert "ci-none" not in str(authority.admin("bot", "ls"))
        joiner = realm.tunnel_with(realm.entry("ci-late", late), "tunnel-ci-late", start=False)
        joiner.start()
        realm.refused(joiner, "joining failed")
        disk.empty()
        process.wait_until(lambda: works(realm, joiner), "the bot to have joined with the same token", 40)
        assert authority.admin("bot", "add", "ci-none", "--role", "shop-reader", "--token-file",
                               realm.directory / "none.token")
        session.cursor().execute("SELECT 1")


def add_bots(authority, count):
    path = authority.directory / "documents.json"
    path.write_text(json.dumps(documents(3306)), encoding="utf-8")
    authority.admin("role", "apply", "-f", path)
    for number in range(count):
        authority.admin("bot", "add", f"ci-{number}", "--role", "shop-reader", "--token-file",
                        authority.directory / f"token-{number}")


def checksums(directory):
    """Of all but the lock with its holder's number, and what SQLite makes anew to read at all: the index of its log in
    shared memory, and an empty log."""
    return {path.relative_to(directory): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(directory).rglob("*"))
            if path.is_file() and path.name not in ("authority.lock", "authority.db-shm") and path.stat().st_size > 0}


def start_refused(authority):
    """What it says when it does not start."""
    done = command(*authority.arguments(), wrapper=authority.wrapper)
    assert done.returncode == 1, done.stderr
    return done.stdout + done.stderr


def test_read_only_state_directory():
    directory = process.temporary_directory()
    authority = DiskAuthority(directory, proxy=False)
    try:
        authority.start()
        add_bots(authority, 2)
        authority.stop()
        before = checksums(authority.disk.inside)
        authority.disk.remount("ro")
        told = start_refused(authority)
        assert "ead-only" in told and str(directory / "authority") in told, told
        assert checksums(authority.disk.inside) == before
        authority.disk.remount("rw")
        authority.start()
        assert "ci-1" in str(authority.admin("bot", "ls"))
        authority.stop()
    finally:
        process.stop(authority.process) if authority.process else None
        authority.disk.close()
        process.remove(directory)


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xde\xad" * 8192)


def cut(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def replace(path):
    path.write_bytes(b"this was a database once\n" * 400)


@pytest.mark.parametrize("damage", [overwrite, cut, replace])
def test_damaged_store(damage):
    """Nobody makes a new one in its place: the keys of the CAs would lie beside a store that does not know them."""
    directory = process.temporary_directory()
    authority = Authority(directory, proxy=False)
    try:
        authority.start()
        add_bots(authority, 40)
        authority.stop()
        damage(directory / "authority" / "authority.db")
        before = checksums(directory / "authority")
        told = start_refused(authority)
        assert "authority.db" in told and "restore a backup" in told, told
        assert checksums(directory / "authority") == before
    finally:
        process.stop(authority.process) if authority.process else None
        process.remove(directory)
