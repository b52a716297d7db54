# SPDX-License-Identifier: Apache-2.0
"""The steps of scripts/test, which installs what they need and then runs this."""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "test-logs"
PARTS = ("format", "unit", "fuzz", "tidy", "integration")
# What clang-tidy looks at: our sources, by their folders.
SOURCES = r"/(base|protocol|tls|control|identity|authz|audit|authority|proxy|tunnel|cli)/[^/]*\.c$"
FUZZ_SECONDS = 10
FUZZ_MEGABYTES = 2048
HEARTBEAT_SECONDS = 30
STEP_SECONDS = 1800
JOBS = os.cpu_count() or 1
# Each worker of the integration tests has servers of its own, about 2 GiB of memory in all.
WORKERS = min(JOBS, 4)
GUESTS = ("mysql9", "mariadb11")

Build = collections.namedtuple("Build", "name folder setup environment")
RELEASE = Build("release", ROOT / "build", ["--buildtype=release"], {})
ASAN = Build(
    "ASan+UBSan", ROOT / "build-asan",
    ["--buildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false"], {},
)
FUZZ = Build(
    "fuzz", ROOT / "build-fuzz",
    ["--buildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfuzzing=true"],
    {"CC": "clang-14"},
)
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-14",
}


class Summary:
    """What ran and how it ended."""

    def __init__(self):
        self.rows = []
        self.skips = collections.Counter()
        self.failures = []
        self.began = time.monotonic()

    def add(self, name, passed, failed, skipped, seconds):
        self.rows.append((name, passed, failed, skipped, seconds))

    def print(self):
        width = max([len(row[0]) for row in self.rows] + [len("total")])
        print(f"\n{'':{width}}  passed  failed  skipped     time")
        for name, passed, failed, skipped, seconds in self.rows:
            print(f"{name:{width}}  {passed:6}  {failed:6}  {skipped:7}  {seconds:5.0f} s")
        totals = [sum(row[column] for row in self.rows) for column in (1, 2, 3)]
        if self.failures:
            print("\nfailed:")
            for failure in self.failures:
                print(f"  {failure}")
        if self.skips:
            print("\nskipped:")
            for reason, count in self.skips.items():
                print(f"  {count} x {reason}")
        print(f"\n{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
        return totals[1] == 0 and totals[0] > 0


summary = Summary()


def say(text):
    print(f"[{time.monotonic() - summary.began:4.0f} s] {text}", flush=True)


def last_line(log):
    with open(log, "rb") as lines:
        lines.seek(max(0, os.path.getsize(log) - 2000))
        text = lines.read().decode("utf-8", "replace").strip().splitlines()
    return text[-1][:100] if text else ""


def show_end(log, lines=60):
    text = pathlib.Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    for line in text[-lines:]:
        print(f"    {line}")
    print(f"    (whole log: {pathlib.Path(log).relative_to(ROOT)})", flush=True)


def run(step, argv, log_name, environment=None, limit=STEP_SECONDS):
    """Runs a command with its output in a log; says every half minute how far it is. Returns (exit code, log)."""
    log = LOGS / f"{log_name}.log"
    say(f"{step} ...")
    began = beat = time.monotonic()
    with open(log, "wb") as output:
        child = subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        try:
            while True:
                try:
                    code = child.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                    if now - began > limit:
                        output.write(f"\nstopped: not done after {limit} s\n".encode())
                        child.terminate()
                        child.wait(20)
                    if now - beat > HEARTBEAT_SECONDS:
                        beat = now
                        say(f"    {step}: {last_line(log)}")
        except BaseException:
            child.terminate()
            child.wait()
            raise
    return code, log


def build(which):
    """Configures and compiles one build; a failure counts as one failed test."""
    began = time.monotonic()
    slug = which.folder.name
    code, log = 0, None
    if not (which.folder / "build.ninja").exists():
        setup = ["meson", "setup", *(["--wipe"] if (which.folder / "meson-private").exists() else [])]
        code, log = run(f"configure the {which.name} build", [*setup, which.folder, *which.setup], f"{slug}-setup",
                        which.environment)
    if code == 0:
        code, log = run(f"compile the {which.name} build", ["ninja", "-C", which.folder], f"{slug}-compile",
                        which.environment)
    if code != 0:
        show_end(log)
        summary.failures.append(f"the {which.name} build")
        summary.add(f"build ({which.name})", 0, 1, 0, time.monotonic() - began)
    return code == 0


def criterion_counts(record):
    """(passed, failed) of one unit test program, from the TAP lines that Criterion prints."""
    passed = len(re.findall(r"^ok\b", record.get("stdout", ""), re.MULTILINE))
    failed = len(re.findall(r"^not ok\b", record.get("stdout", ""), re.MULTILINE))
    good = record["result"] == "OK"
    if passed + failed == 0:
        return (1, 0) if good else (0, 1)
    # A program that fails without a failed test (a leak found at its end, say) fails once.
    return passed, failed if good or failed else 1


def unit(which):
    began = time.monotonic()
    if not build(which):
        return
    code, log = run(
        f"unit tests ({which.name})",
        # More than there are cores: many of them wait for a clock.
        ["meson", "test", "-C", which.folder, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "4",
         "--num-processes", 2 * JOBS],
        f"{which.folder.name}-unit", SANITIZERS,
    )
    passed = failed = 0
    with open(which.folder / "meson-logs" / "testlog.json", encoding="utf-8") as records:
        for line in records:
            record = json.loads(line)
            good, bad = criterion_counts(record)
            passed, failed = passed + good, failed + bad
            if bad:
                summary.failures.append(f"unit tests ({which.name}): {record['name']}")
    if code != 0:
        show_end(log)
        if failed == 0:
            failed = 1
            summary.failures.append(f"unit tests ({which.name}): meson test exited {code}")
    summary.add(f"unit tests ({which.name})", passed, failed, 0, time.monotonic() - began)


def fuzz_one(program, scratch):
    """Runs one fuzz target on a corpus of its own."""
    name = program.name
    corpus = scratch / name
    corpus.mkdir()
    seeds = ROOT / "tests" / "fuzz" / "corpus" / name.removeprefix("fuzz_")
    log = LOGS / f"{name}.log"
    with open(log, "wb") as output:
        done = subprocess.run(
            [program, f"-max_total_time={FUZZ_SECONDS}", f"-rss_limit_mb={FUZZ_MEGABYTES}", "-timeout=10",
             f"-artifact_prefix={LOGS}/{name}-", corpus, *([seeds] if seeds.is_dir() else [])],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **SANITIZERS},
            timeout=FUZZ_SECONDS * 6,
        )
    found = re.findall(r"#(\d+)\s", log.read_text(encoding="utf-8", errors="replace"))
    return name, done.returncode, log, int(found[-1]) if found else 0


def fuzz():
    began = time.monotonic()
    if not build(FUZZ):
        return
    programs = sorted(
        path for path in (FUZZ.folder / "tests" / "fuzz").glob("fuzz_*") if path.is_file() and os.access(path, os.X_OK)
    )
    passed = failed = 0
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="sp-fuzz-"))
    say(f"{len(programs)} fuzz targets, {FUZZ_SECONDS} s each, {JOBS} at a time ...")
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, code, log, inputs in pool.map(lambda program: fuzz_one(program, scratch), programs):
            say(f"    {name}: {inputs} inputs{'' if code == 0 else ', FAILED'}")
            passed, failed = passed + (code == 0), failed + (code != 0)
            if code != 0:
                show_end(log)
                summary.failures.append(f"fuzz target {name}")
    shutil.rmtree(scratch)
    if not programs:
        failed = 1
        summary.failures.append("no fuzz target was built")
    summary.add("fuzz targets", passed, failed, 0, time.monotonic() - began)


def formatting():
    began = time.monotonic()
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "*.c", "*.h"], cwd=ROOT, check=True,
                            capture_output=True, text=True)
    files = listed.stdout.split()
    code, log = run(f"format of {len(files)} files", ["clang-format-14", "--dry-run", "-Werror", *files], "format")
    if code != 0 or not files:
        show_end(log, 20)
        summary.failures.append("format: run clang-format-14 -i on the files above")
    bad = int(code != 0 or not files)
    summary.add("format check", 1 - bad, bad, 0, time.monotonic() - began)


def tidy():
    """clang-tidy, with the compile commands of the one build that clang makes."""
    began = time.monotonic()
    if not build(FUZZ):
        return
    code, log = run("clang-tidy", ["run-clang-tidy-14", "-quiet", "-p", FUZZ.folder, "-j", JOBS, SOURCES], "tidy")
    if code != 0:
        show_end(log, 30)
        summary.failures.append("clang-tidy: see .clang-tidy for what is asked, and why")
    summary.add("clang-tidy", int(code == 0), int(code != 0), 0, time.monotonic() - began)


def read_junit(report, name):
    """Counts of a pytest run; remembers failures and the reasons of skips."""
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        # Behind the @ comes the group that pytest-xdist ran it in.
        label = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name').rsplit('@', 1)[0]}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            summary.failures.append(f"{name}: {label}")
        elif case.find("skipped") is not None:
            skipped += 1
            summary.skips[f"{name}: {case.find('skipped').get('message')}"] += 1
        else:
            passed += 1
    return passed, failed, skipped


def prepare_guests():
    """The chroots with the servers that Debian 12 does not have. The tests would do it, but without saying how far."""
    for name in GUESTS:
        began = time.monotonic()
        code, log = run(f"the guest {name}", [ROOT / "scripts" / "guest", name], f"guest-{name}")
        if code == 3:
            say(f"    the tests with it will be skipped: {last_line(log)}")
        elif code != 0:
            show_end(log)
            summary.failures.append(f"scripts/guest {name}")
            summary.add(f"guest {name}", 0, 1, 0, time.monotonic() - began)


def integration(which, pytest_arguments):
    began = time.monotonic()
    if not build(which):
        return
    name = f"integration ({which.name})"
    report = LOGS / f"{which.folder.name}-integration.xml"
    report.unlink(missing_ok=True)
    environment = {
        "SALLYPORT_BINARY": str(which.folder / "sallyport"),
        "SALLYPORT_CACHE": os.environ.get("SALLYPORT_CACHE")
        or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sallyport"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **SANITIZERS,
    }
    argv = ["/usr/bin/python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "--durations=10",
            f"--junitxml={report}", "-n", str(WORKERS), "--dist", "loadgroup", *pytest_arguments, "tests/integration"]
    # Guests need root.
    if os.getuid() != 0 and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        argv = ["sudo", "-n", "env", *(f"{key}={value}" for key, value in environment.items()), *argv]
    code, log = run(name, argv, f"{which.folder.name}-integration", environment)
    passed = failed = skipped = 0
    if report.exists():
        passed, failed, skipped = read_junit(report, name)
    if code != 0:
        show_end(log, 120)
        if failed == 0:
            failed = 1
            summary.failures.append(f"{name}: pytest exited {code}")
    summary.add(name, passed, failed, skipped, time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--pytest", action="append", default=[])
    options = parser.parse_args()
    parts = options.only or PARTS
    builds = [RELEASE] if options.quick else [RELEASE, ASAN]
    extra = [word for given in options.pytest for word in shlex.split(given)]
    LOGS.mkdir(parents=True, exist_ok=True)
    if "format" in parts:
        formatting()
    if "unit" in parts:
        for which in builds:
            unit(which)
    if "fuzz" in parts and not (options.quick and options.only is None):
        fuzz()
    if "tidy" in parts and not (options.quick and options.only is None):
        tidy()
    if "integration" in parts:
        prepare_guests()
        for which in builds:
            integration(which, extra)
    return 0 if summary.print() else 1


if __name__ == "__main__":
    sys.exit(main())
