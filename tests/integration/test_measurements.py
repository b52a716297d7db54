# SPDX-License-Identifier: Apache-2.0
"""The measurements of bench/ that say whether something holds, made small: they run, and it does."""

import subprocess

from harness import process
from harness.sallyport import ENVIRONMENT, SANITIZER


def bench(name, *options):
    done = subprocess.run(["/usr/bin/python3", "-B", process.ROOT / "bench" / name, *map(str, options)],
                          capture_output=True, text=True, timeout=120, env=ENVIRONMENT,
                          preexec_fn=process.die_with_parent)
    assert not SANITIZER.search(done.stderr), done.stderr
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_lock_ends_many_sessions_within_a_second():
    """Each of them with the lock's reason: idle, between statements and in the middle of one."""
    text = bench("lock-latency", "--sessions", 150, "--rounds", 1, "--warm-up", 0.3)
    assert "the limit is 1000 ms" in text


def test_storm_of_renewals():
    """None is refused, and programs connect meanwhile."""
    text = bench("renewal-storm", "--bots", 30, "--ttl", 5, "--seconds", 1.5)
    assert ", 0 refused, 0 errors" in text
    (storm,) = [line.split() for line in text.splitlines() if line.startswith("storm ")]
    assert float(storm[1]) > 5
