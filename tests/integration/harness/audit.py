# SPDX-License-Identifier: Apache-2.0
"""Reads the audit log as an auditor would: files by their number, one JSON object a line."""

import collections
import json
import os
import pathlib

from . import process


class _File:
    """One file of the log, of which each line is read once: a log of a long run has 100,000 records."""

    def __init__(self, path):
        self.path = path
        self.records = []
        self.events = collections.Counter()
        self._offset = 0
        self._inode = None

    def read(self):
        with open(self.path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self.__init__(self.path)  # another file of this name
                self._inode = status.st_ino
            file.seek(self._offset)
            data = file.read()
        # The last line may be under way.
        whole = data[:data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            record = json.loads(line.decode("utf-8"))
            self.records.append(record)
            self.events[record.get("event")] += 1
        self._offset += len(whole)
        return self


class AuditLog:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._files = {}

    def _read(self):
        paths = sorted(self.directory.glob("audit-*.jsonl"))
        self._files = {path: self._files.get(path) or _File(path) for path in paths}
        return [file.read() for file in self._files.values()]

    def lines(self):
        """The bytes of each record."""
        for path in sorted(self.directory.glob("audit-*.jsonl")):
            data = path.read_bytes()
            yield from data[:data.rfind(b"\n") + 1].splitlines()

    def _after(self, after):
        """The records behind the first `after` ones."""
        for file in self._read():
            yield from file.records[after:]
            after = max(0, after - len(file.records))

    def records(self, after=0, **wanted):
        """Every record behind the first `after` ones, or those of them whose fields have the wanted values."""
        return [
            dict(record) for record in self._after(after)
            if all(record.get(key) == value for key, value in wanted.items())
        ]

    def count(self):
        """How many records there are, once every session that was started has ended."""

        def settled():
            events = sum((file.events for file in self._read()), collections.Counter())
            return events["session.start"] == events["session.end"]

        process.wait_until(settled, "earlier sessions to have ended")
        return sum(len(file.records) for file in self._read())

    def wait_for(self, what, after=0, timeout=10.0, **wanted):
        """The first record after the `after` first ones that has these values and makes what(record) true."""
        return process.wait_until(
            lambda: next((record for record in self.records(after, **wanted) if what is None or what(record)), None),
            f"an audit record with {wanted}", timeout,
        )
