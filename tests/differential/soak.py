# SPDX-License-Identifier: Apache-2.0
"""What scripts/soak runs."""

import argparse
import os
import pathlib
import secrets
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--server", action="append", choices=["mariadb", "mariadb11", "mysql9"])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--base", type=lambda text: int(text, 0))
    parser.add_argument("--seed", type=lambda text: int(text, 0))
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    return parser.parse_known_args()


def run(kind, certificates, options):
    """Returns the exit code of one server's run; 0 where there is no such server."""
    from harness import process
    from harness.guest import Unavailable
    from harness.pair import Pair, Unequal

    try:
        pair = Pair(kind, certificates).start()
    except (Unavailable, Unequal) as reason:
        print(f"{kind.name}: skipped: {reason}", flush=True)
        return 0
    try:
        print(f"== {kind.name}", flush=True)
        return subprocess.run([*pair.arguments(), *options], preexec_fn=process.die_with_parent).returncode
    finally:
        pair.stop()


def main():
    wanted, more = arguments()
    # Before the harness is imported: it looks for the executable then.
    os.environ.setdefault("SALLYPORT_BINARY", str(wanted.build.resolve() / "sallyport"))
    from harness import process
    from harness.certificates import Certificates
    from harness.mariadb import MariaDB, MariaDB11
    from harness.mysql9 import MySQL9

    kinds = {kind.name: kind for kind in (MariaDB, MariaDB11, MySQL9)}
    base = wanted.base if wanted.base is not None else secrets.randbits(32)
    options = ["--seed", hex(wanted.seed)] if wanted.seed is not None else ["--base", str(base)]
    options += ["--count", "1" if wanted.seed is not None else str(wanted.count), *more]
    print(f"options: {' '.join(options)}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = process.temporary_directory()
    try:
        certificates = Certificates.make(directory)
        codes = [run(kinds[name], certificates, options) for name in wanted.server or kinds]
    finally:
        process.remove(directory)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
