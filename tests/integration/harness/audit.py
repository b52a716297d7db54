# SPDX-License-Identifier: Apache-2.0
"""Reads the audit log as an auditor would: files by their number, one JSON object a line."""

import json
import pathlib

from . import process


class AuditLog:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def lines(self):
        for path in sorted(self.directory.glob("audit-*.jsonl")):
            data = path.read_bytes()
            # The last line may be under way.
            yield from data[:data.rfind(b"\n") + 1].splitlines()

    def records(self, **wanted):
        """Every record, or those whose fields have the wanted values."""
        found = []
        for line in self.lines():
            record = json.loads(line.decode("utf-8"))
            if all(record.get(key) == value for key, value in wanted.items()):
                found.append(record)
        return found

    def count(self):
        """How many records there are, once every session that was started has ended."""
        process.wait_until(
            lambda: len(self.records(event="session.start")) == len(self.records(event="session.end")),
            "earlier sessions to have ended",
        )
        return sum(1 for _ in self.lines())

    def wait_for(self, what, after=0, timeout=10.0, **wanted):
        """The first record after the `after` first ones that has these values and makes what(record) true."""

        def find():
            for line in list(self.lines())[after:]:
                record = json.loads(line)
                if all(record.get(key) == value for key, value in wanted.items()) and (what is None or what(record)):
                    return record
            return None

        return process.wait_until(find, f"an audit record with {wanted}", timeout)
