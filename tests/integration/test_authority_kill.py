# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments while certificates of seconds renew: CI's share of scripts/soak-authority."""

import os
import random

from harness.endurance import Endurance

# Somewhat more with the start and the calm moments in between.
SECONDS = int(os.environ.get("SALLYPORT_KILL_SECONDS") or 24)
SEED = int(os.environ.get("SALLYPORT_KILL_SEED") or random.SystemRandom().randrange(1 << 32))
BOTS = 10


def test_kills_harm_nobody():
    """The authority, one of two proxies, two of three tunnels and half of the bots are killed, later all of them but
    the authority: sessions end with their own processes only, nobody is locked or left without a certificate, and what
    lives does not grow."""
    print(f"SALLYPORT_KILL_SEED={SEED}")
    with Endurance(SEED, BOTS) as run:
        run.rage(SECONDS * 0.6, [run.authority, *run.killed], 1.5)
        run.calm(2)
        run.rage(SECONDS * 0.2, run.killed, 1.0)
        run.calm(2)
        run.rage(SECONDS * 0.2, run.killed, 1.0)
        run.calm(2)
        assert run.problems() == []
        assert all(life.kills for life in (run.authority, *run.killed)), "somebody was never killed"
        renewed = {record.get("bot") for record in run.renewals()}  # proxies renew too
        assert renewed >= run.names(), "some bots never renewed"
