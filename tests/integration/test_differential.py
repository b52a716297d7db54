# SPDX-License-Identifier: Apache-2.0
"""I7: random sequences of statements have the same answers through tunnel and proxy as directly, on two equal servers of
each kind. The long run is scripts/soak; what is compared is in docs/testing.md."""

import os
import secrets

import pytest

from harness.guest import Unavailable
from harness.mariadb import MariaDB, MariaDB11
from harness.mysql9 import MySQL9
from harness.pair import PROGRAM, Pair, Unequal
from harness.sallyport import BINARY

# Seconds for each server; half with sanitizers, which run beside a release build that takes them all.
SANITIZED = BINARY.exists() and b"__asan_init" in BINARY.read_bytes()
SECONDS = int(os.environ.get("SALLYPORT_DIFFERENTIAL_SECONDS") or (10 if SANITIZED else 20))
# The same sequences in every run; "random" for others, or a number that was printed.
BASE = os.environ.get("SALLYPORT_DIFFERENTIAL_BASE") or "20260101"


@pytest.fixture(scope="module", params=[MariaDB, MariaDB11, MySQL9], ids=lambda kind: kind.name)
def pair(request, certificates):
    if not PROGRAM.exists():
        pytest.fail(f"no program at {PROGRAM}: build it, or set SALLYPORT_DIFFERENTIAL")
    try:
        running = Pair(request.param, certificates)
        running.start()
    except (Unavailable, Unequal) as reason:
        pytest.skip(f"no {request.param.name}: {reason}")
    yield running
    running.stop()


def test_same_answers_as_directly(pair):
    base = secrets.randbits(32) if BASE == "random" else int(BASE, 0)
    code, output = pair.run("--base", base, "--seconds", SECONDS, timeout=SECONDS + 300)
    print(output[-400:])
    assert code == 0, f"base seed {base}:\n{output[-12000:]}"
    done = int(output.strip().splitlines()[-1].split(" ", 1)[0])
    assert done >= 10, f"only {done} sequences in {SECONDS} s"
    pair.stack.settle()
