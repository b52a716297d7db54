# SPDX-License-Identifier: Apache-2.0
"""A private MySQL 9 out of the guest that scripts/guest prepares."""

import subprocess

from .server import Server, StartFailed


class MySQL9(Server):
    name = "mysql9"
    mysql9 = True
    guest = "mysql9"

    def make_data(self):
        made = subprocess.run(
            [self.place.program("mysqld"), *self.data_options(), "--initialize-insecure"],
            capture_output=True, text=True, **self.place.popen(),
        )
        if made.returncode != 0:
            raise StartFailed(f"mysqld --initialize-insecure failed:\n{made.stdout}{made.stderr}")

    def command(self):
        return [
            self.place.program("mysqld"), *self.options(), "--mysqlx=OFF", "--secure-file-priv=NULL",
            "--performance-schema=OFF", "--innodb-redo-log-capacity=128M", *self.extra_options,
        ]
