# SPDX-License-Identifier: Apache-2.0
"""A lock reaches sessions whatever has become of the files that the proxy's configuration names: they are read at the
start and at a reload alone."""

import shutil
import time

import pymysql
import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.realm import Realm


@pytest.fixture(params=["in one process", "remote"])
def realm(request, certificates, tmp_path):
    """With a database password, and certificates of another CA beside the authority's; realm.files are all of these."""
    shutil.copy(certificates["bot-ca.crt"], tmp_path)
    password = tmp_path / "password"
    password.write_text("sesame\n", encoding="utf-8")
    password.chmod(0o600)

    def with_files(configuration):
        configuration["proxy"]["tls"] = {"client_ca": str(tmp_path / "bot-ca.crt")}
        configuration["databases"] = [{
            "name": "other", "address": "127.0.0.1:1",
            "passwords": [{"mysql_user": "reader", "file": str(password)}],
        }]

    if request.param == "remote":
        running = Realm(MariaDB, remote=["proxy-1"], change_proxy=with_files)
    else:
        running = Realm(MariaDB, with_files)
    running.start()
    running.files = [password, tmp_path / "bot-ca.crt"]
    yield running
    running.stop()


def works(realm, tunnel):
    try:
        return realm.query(tunnel) == ((1,),)
    except pymysql.MySQLError:
        return False


def remove(file):
    file.unlink()


def open_to_all(file):
    file.chmod(0o644)


@pytest.mark.parametrize("spoil", [remove, open_to_all])
def test_lock_needs_no_file(realm, spoil):
    tunnel = realm.tunnel("ci-1")
    with realm.connect(tunnel) as connection:
        connection.cursor().execute("SELECT 1")
        for file in realm.files:
            spoil(file)
        began = time.monotonic()
        (lock,) = realm.authority.admin("lock", "add", "--bot", "ci-1", "--reason", "suspicious")
        with pytest.raises(pymysql.MySQLError) as told:
            while time.monotonic() < began + 3:
                connection.cursor().execute("SELECT 1")
                time.sleep(0.01)
        assert time.monotonic() - began < 1.0
        assert "suspicious" in str(told.value)
    realm.refused(tunnel, "suspicious")
    realm.authority.admin("lock", "rm", lock["id"])
    process.wait_until(lambda: works(realm, tunnel), "the bot to be let in again", 5)
