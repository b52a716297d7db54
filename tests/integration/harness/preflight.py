# SPDX-License-Identifier: Apache-2.0
"""`sallyport db check` as tests run it, and certificates with dates of their own choice for it to look at."""

import datetime
import json
import subprocess

from .database import READER_PASSWORD
from .sallyport import command

LONE_USER = ["--user", "reader"]


def check(file, *arguments, code):
    """The objects that it prints as JSON; secrets are never among them."""
    done = command("db", "check", "-c", file, "-o", "json", *arguments)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert READER_PASSWORD not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_reader(file, *arguments, code=0):
    (found,) = check(file, "shop", *LONE_USER, *arguments, code=code)
    return found


def failure(found):
    """The failure of the only account, which says what to do."""
    (account,) = found["accounts"]
    assert found["result"] == account["result"] == "failed"
    assert account["failure"]["message"] and account["failure"]["next"].endswith(".")
    return account["failure"]


def fails(file, kind, *arguments):
    found = failure(check_reader(file, *arguments, code=1))
    assert found["kind"] == kind, found
    return found


def warnings(found):
    return {warning["kind"] for warning in found["warnings"]}


def tls_of(configuration):
    return configuration["databases"][0]["tls"]


def issue(own, kind, extensions, subject, begin, end, selfsign=False):
    """short.crt, by the CA of that kind for its key; or the CA's own certificate."""
    def at(delta):
        moment = datetime.datetime.now(datetime.timezone.utc) + delta
        return moment.strftime("%Y%m%d%H%M%SZ")

    (own.directory / "san").write_text(extensions)
    run = ["openssl", "req", "-new", "-key", f"{kind}.key", "-subj", subject, "-out", "short.req"]
    if selfsign:
        run = ["openssl", "x509", "-x509toreq", "-in", f"{kind}-ca.crt", "-signkey", f"{kind}-ca.key",
               "-out", "short.req"]
    subprocess.run(run, cwd=own.directory, check=True, capture_output=True)
    (own.directory / "short.db").write_text("")
    (own.directory / "short.conf").write_text(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = short.db\nrand_serial = yes\nnew_certs_dir = .\n"
        "default_md = sha256\npolicy = any\npreserve = yes\n[any]\ncommonName = supplied\norganizationName = optional\n"
    )
    run = ["openssl", "ca", "-batch", "-notext", "-config", "short.conf", "-extfile", "san", "-in", "short.req",
           "-cert", own[f"{kind}-ca.crt"], "-keyfile", own[f"{kind}-ca.key"], "-out", "short.crt",
           "-startdate", at(begin), "-enddate", at(end), *(["-selfsign"] if selfsign else [])]
    subprocess.run(run, cwd=own.directory, check=True, capture_output=True)
