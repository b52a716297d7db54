# SPDX-License-Identifier: Apache-2.0
"""The command line as a person and as a script use it."""

import json
import re
import signal
import subprocess
import time

import pytest

from harness import process
from harness.sallyport import BINARY, ENVIRONMENT, command

SUBCOMMANDS = ["serve", "tunnel", "check", "audit", "db", "version"]


def test_version():
    done = command("version", check=0)
    assert re.search(r"\d+\.\d+", done.stdout) and "Mbed TLS" in done.stdout


def test_help_names_every_subcommand():
    for arguments in (["--help"], ["-h"], ["help"]):
        done = command(*arguments, check=0)
        for name in SUBCOMMANDS:
            assert name in done.stdout


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_each_subcommand(name):
    done = command(name, "--help", check=0)
    assert name in done.stdout and "usage" in done.stdout.lower()


@pytest.mark.parametrize("arguments", [
    [], ["no-such-command"], ["serve"], ["serve", "-c"], ["serve", "--no-such-flag"], ["tunnel"],
    ["tunnel", "--proxy", "a:1"], ["check"], ["audit"], ["audit", "no-such-verb"], ["version", "extra"],
])
def test_usage_errors(arguments):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr and not done.stdout


def test_usage_error_suggests_the_nearest_name():
    assert "serve" in command("srve").stderr


@pytest.fixture(scope="module")
def recorded(stack):
    """Some history to look at."""
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'history of the reader'")
        with pytest.raises(Exception, match="1146"):
            cursor.execute("SELECT * FROM history_that_fails")
        with pytest.raises(Exception, match="1044"):
            cursor.execute("USE secret")
    with stack.connect(stack.writer, "writer") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'history of the writer'")
    # Until the log is quiet, so that two looks at it show the same.
    process.wait_until(
        lambda: len(stack.audit.records(event="session.start")) == len(stack.audit.records(event="session.end")),
        "every session to have ended",
    )
    return stack


def audit_log(stack, *arguments):
    done = command("audit", "log", "-c", stack.proxy.configuration_file, "-o", "json", *arguments, check=0)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_audit_log_as_json_is_the_log(recorded):
    assert audit_log(recorded) == recorded.audit.records()


def test_audit_log_by_bot(recorded):
    found = audit_log(recorded, "--bot", "report-1")
    assert found and {record["bot"] for record in found} == {"report-1"}


def test_audit_log_by_outcome(recorded):
    denied = audit_log(recorded, "--outcome", "denied")
    assert denied and {record["outcome"] for record in denied} == {"denied"}
    failed = audit_log(recorded, "--outcome", "error")
    assert any("history_that_fails" in record["statement"] for record in failed)


def test_audit_log_by_text(recorded):
    found = audit_log(recorded, "--grep", "history of the w")
    assert [record["statement"] for record in found] == ["SELECT 'history of the writer'"]


def test_audit_log_by_time(recorded):
    assert audit_log(recorded, "--since", "1h") == audit_log(recorded)
    middle = recorded.audit.records()[len(recorded.audit.records()) // 2]["time"]
    early, late = audit_log(recorded, "--until", middle), audit_log(recorded, "--since", middle)
    assert early and late and early[0]["time"] <= middle <= late[-1]["time"]
    assert {r["seq"] for r in early} | {r["seq"] for r in late} == {r["seq"] for r in audit_log(recorded)}
    assert audit_log(recorded, "--since", "2099-01-01T00:00:00Z") == []


def test_audit_log_by_database(recorded):
    assert audit_log(recorded, "--database", "shop")
    assert audit_log(recorded, "--database", "other") == []


def test_audit_log_as_table(recorded):
    done = command("audit", "log", "-c", recorded.proxy.configuration_file, "-o", "table", "--bot", "ci-1", check=0)
    lines = done.stdout.splitlines()
    assert any("history of the reader" in line and "ci-1" in line for line in lines)
    assert not any("report-1" in line for line in lines)


def test_table_shows_no_control_characters(recorded):
    """A statement cannot move the auditor's cursor or colour his terminal."""
    with recorded.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT '\x1b[2J\x07 escape', '\u202e bidi'")
    recorded.audit.wait_for(lambda r: "escape" in r.get("statement", ""))
    done = command("audit", "log", "-c", recorded.proxy.configuration_file, "-o", "table", "--grep", "escape", check=0)
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--since", "yesterdayish"], ["--outcome", "good"], ["-o", "xml"], ["--no-such-filter", "x"]]
)
def test_audit_log_refuses_bad_arguments(recorded, arguments):
    done = command("audit", "log", "-c", recorded.proxy.configuration_file, *arguments)
    assert done.returncode == 2 and done.stderr


def test_audit_tail_follows(recorded):
    tail = subprocess.Popen(
        [BINARY, "audit", "tail", "-c", recorded.proxy.configuration_file, "-o", "json", "--bot", "ci-1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        # A run in the background of a shell ignores it, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        time.sleep(0.5)
        with recorded.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 'seen by tail'")
        for line in tail.stdout:
            if "seen by tail" in line:
                assert json.loads(line)["bot"] == "ci-1"
                break
        else:
            pytest.fail("tail ended")
    finally:
        tail.send_signal(signal.SIGINT)
        tail.wait(5)


def test_output_to_a_closed_pipe_is_no_crash(recorded):
    done = subprocess.run(
        f"{BINARY} audit log -c {recorded.proxy.configuration_file} -o json | head -n 1", shell=True,
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )
    assert len(done.stdout.splitlines()) == 1 and "Sanitizer" not in done.stderr


def test_audit_directory_is_private(recorded):
    """The SQL text is for auditors only."""
    assert recorded.audit.directory.stat().st_mode & 0o077 == 0
    for path in recorded.audit.directory.glob("audit-*.jsonl"):
        assert path.stat().st_mode & 0o077 == 0
        assert re.fullmatch(r"audit-\d{20}\.jsonl", path.name)


def test_two_proxies_do_not_share_a_directory(recorded):
    """A second writer is refused."""
    configuration = json.loads(json.dumps(recorded.proxy.configuration))
    for listener in configuration["proxy"]["listeners"]:
        listener["address"] = "127.0.0.1:0"
    second = recorded.directory / "second.json"
    second.write_text(json.dumps(configuration))
    done = command("serve", "-c", second)
    assert done.returncode in (1, 2) and "audit" in done.stderr
