# SPDX-License-Identifier: Apache-2.0
"""The commands that administer an authority: `sallyport bot|token|role|lock|ca`. Against a real authority, and against
what may stand at its socket's place and is none."""

import contextlib
import datetime
import fcntl
import json
import os
import pty
import re
import socket
import stat
import struct
import subprocess
import termios
import threading

import pytest

from harness import process
from harness.realm import Authority
from harness.sallyport import BINARY, ENVIRONMENT, command

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def authority():
    directory = process.temporary_directory()
    running = Authority(directory, proxy=False).start()
    running.admin("role", "apply", "-f", write(directory, ROLES))
    yield running
    try:
        running.stop()
    finally:
        process.remove(directory)


ROLES = """{
  // what CI may do
  "roles": [
    { "name": "shop-reader", "allow": { "databases": ["shop"], "mysql_users": "reader", "schemas": "shop" } },
    { "name": "shop-writer",
      "allow": { "databases": ["shop"], "mysql_users": ["reader", "writer"], "schemas": "shop" } }
  ],
  "databases": [ { "name": "shop", "address": "127.0.0.1:3306" } ]
}
"""


def write(directory, text, name="documents.json"):
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def text_of(authority, *arguments, code=0):
    """What people read, without a terminal's width and colours."""
    return command(*arguments, "-c", authority.configuration_file, "-o", "table", check=code).stdout


def refusal(authority, *arguments, code=1):
    done = command(*arguments, "-c", authority.configuration_file, check=code)
    assert done.stdout == "", done.stdout
    return done.stderr


def on_terminal(socket_path, *arguments, columns=80):
    """What a terminal of that many columns gets."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    running = subprocess.Popen([BINARY, *map(str, arguments), "--socket", socket_path], stdin=subprocess.DEVNULL,
                               stdout=follower, stderr=subprocess.PIPE, env={**ENVIRONMENT, "NO_COLOR": ""})
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the other end has closed
        while piece := os.read(leader, 65536):
            shown += piece
    os.close(leader)
    assert running.stderr.read() == b""
    assert running.wait(timeout=20) == 0
    return shown.decode().replace("\r\n", "\n")


# --- bots and tokens


def test_a_bot_is_made_with_what_to_paste(authority):
    shown = text_of(authority, "bot", "add", "ci-1", "--role", "shop-reader", "--proxy", "db:3308",
                    "--database", "shop")
    lines = shown.splitlines()
    token = lines[lines.index("(umask 077 && cat >ci-1.token) <<'END'") + 1]
    assert re.fullmatch(r"sallyport-join-1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}", token)
    assert shown.count(token) == 1
    tunnel = shown[shown.index("sallyport tunnel"):].replace("\\\n", " ").splitlines()[0].split()
    assert tunnel == [
        "sallyport", "tunnel", "--authority", f"localhost:{authority.authority_port}", "--ca-pin", authority.pin(),
        "--join", "ci-1.token", "--proxy", "db:3308", "--database", "shop", "--listen", "127.0.0.1:3306",
        "--identity", "ci-1-identity",
    ]
    assert "for 60m: until 20" in shown and "Fill in" not in shown


def test_what_is_pasted_makes_a_file_for_its_owner_alone(authority, workspace):
    shown = text_of(authority, "token", "add", "--bot", named_bot(authority, "ci-paste"))
    script = shown[shown.index("(umask"):shown.index("sallyport tunnel")]
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, cwd=workspace)
    file = workspace / "ci-paste.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.fullmatch(r"sallyport-join-1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}\n", file.read_text())


def named_bot(authority, name, *roles):
    options = [word for role in roles or ("shop-reader",) for word in ("--role", role)]
    authority.admin("bot", "add", name, *options)
    return name


def test_a_token_goes_into_a_file_and_nowhere_else(authority, workspace):
    file = workspace / "ci-2.token"
    shown = text_of(authority, "bot", "add", "ci-2", "--role", "shop-reader", "--token-file", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text().strip()
    assert token.startswith("sallyport-join-1.") and token not in shown
    assert "--join ci-2.token" in shown
    assert [entry.name for entry in workspace.iterdir()] == ["ci-2.token"]


def test_nothing_is_made_when_the_token_has_nowhere_to_go(authority, workspace):
    file = write(workspace, "mine", "here.token")
    assert "here.token is there already" in refusal(authority, "bot", "add", "ci-lost", "--role", "shop-reader",
                                                    "--token-file", file)
    assert "cannot write" in refusal(authority, "bot", "add", "ci-lost", "--role", "shop-reader",
                                     "--token-file", workspace / "none" / "t")
    assert file.read_text() == "mine"
    assert "ci-lost" not in {bot["name"] for bot in authority.admin("bot", "ls")}


def test_a_refused_bot_leaves_no_file(authority, workspace):
    said = refusal(authority, "bot", "add", "ci-3", "--role", "no-such-role", "--token-file", workspace / "t")
    assert "there is no role no-such-role" in said
    assert list(workspace.iterdir()) == []


def test_a_bound_key_has_no_token(authority, workspace):
    key, public = workspace / "bot.key", workspace / "bot.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    arguments = ["bot", "add", "ci-key", "--role", "shop-reader", "--public-key"]
    said = refusal(authority, *arguments, key, code=2)
    assert "this is a private key" in said and "openssl pkey" in said
    assert "with --public-key there is no token" in refusal(authority, *arguments, public, "--token-ttl", "1h", code=2)
    shown = text_of(authority, *arguments, public)
    assert "--bound-key BOT-KEY-FILE --bot ci-key" in shown and "sallyport-join-1" not in shown
    (bot,) = authority.admin("bot", "show", "ci-key")
    assert bot["key"] is True and bot["public_key"] == public.read_text() and bot["instances"] == []


def test_bots_are_listed_changed_and_removed(authority):
    named_bot(authority, "ci-4")
    authority.admin("bot", "roles", "ci-4", "--role", "shop-writer", "--role", "shop-reader")
    (bot,) = [bot for bot in authority.admin("bot", "ls") if bot["name"] == "ci-4"]
    assert bot["roles"] == ["shop-writer", "shop-reader"] and bot["instances"] == 0 and bot["key"] is False
    assert re.search(r"^ci-4 +shop-writer, shop-reader +0 +token +(\d+s ago|now)$",
                     text_of(authority, "bot", "ls"), re.M)
    authority.admin("bot", "roles", "ci-4", "--none")
    assert authority.admin("bot", "show", "ci-4")[0]["roles"] == []
    assert "ci-4 has no role now" in text_of(authority, "bot", "roles", "ci-4", "--none")
    assert "The bot ci-4 has now: shop-reader." in text_of(authority, "bot", "roles", "ci-4", "--role", "shop-reader")
    authority.admin("bot", "rm", "ci-4")
    said = refusal(authority, "bot", "show", "ci-4")
    assert said == "sallyport: there is no bot ci-4\n`sallyport bot ls` lists the bots.\n"


def test_tokens_are_listed_and_removed(authority):
    (made,) = authority.admin("token", "add", "--proxy", "proxy-9", "--ttl", "10m")
    assert made["proxy"] == "proxy-9" and made["token"].split(".")[1] == made["token_id"]
    (row,) = [row for row in authority.admin("token", "ls") if row["id"] == made["token_id"]]
    assert row["kind"] == "proxy" and row["name"] == "proxy-9" and "used" not in row
    left = datetime.datetime.fromisoformat(row["expires"]) - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=9) < left <= datetime.timedelta(minutes=10)
    assert re.search(rf"^{made['token_id']} +proxy +proxy-9 +in (10m|\d+s|9m) +good ",
                     text_of(authority, "token", "ls"), re.M)
    authority.admin("token", "rm", made["token_id"])
    said = refusal(authority, "token", "rm", made["token_id"])
    assert "there is no token" in said and "`sallyport token ls` lists" in said


def test_a_proxys_token_comes_with_its_configuration(authority):
    shown = text_of(authority, "token", "add", "--proxy", "proxy-8")
    configuration = json.loads("{" + shown[shown.index('"proxy": {'):shown.rindex("It is good once")] + "}")
    assert configuration["proxy"]["authority"]["ca_pin"] == authority.pin()
    assert configuration["proxy"]["authority"]["join"] == "proxy-8.token"


def test_values_that_the_authority_refuses(authority):
    assert "cannot be the name of a bot" in refusal(authority, "bot", "add", "a/b", "--role", "shop-reader", code=2)
    assert "--ttl" in refusal(authority, "token", "add", "--proxy", "p", "--ttl", "soon", code=2)
    refusal(authority, "token", "add", "--proxy", "p", "--ttl", "8d", code=2)
    assert "already" in refusal(authority, "bot", "add", named_bot(authority, "twice"), "--role", "shop-reader")


# --- roles


def test_documents_are_applied_once(authority, workspace):
    file = write(workspace, """{
      "roles": [ { "name": "applied", "allow": { "databases": "shop", "mysql_users": "a", "schemas": "s" } } ] }""")
    (would,) = authority.admin("role", "apply", "-f", file, "--dry-run")
    assert would["added"] == [{"kind": "role", "name": "applied"}]
    assert "applied" not in {role["name"] for role in authority.admin("role", "ls")}
    shown = text_of(authority, "role", "apply", "-f", file, "--dry-run")
    assert "  added         role applied\n" in shown and "Nothing was done (--dry-run)" in shown
    (done,) = authority.admin("role", "apply", "-f", file)
    assert done["added"] == would["added"]
    assert "0 added, 0 changed, 0 removed, 1 as before." in text_of(authority, "role", "apply", "-f", file)
    write(workspace, file.read_text().replace('"a"', '"b"'))
    (done,) = authority.admin("role", "apply", "-f", file)
    assert done["changed"] == would["added"]
    authority.admin("role", "rm", "applied")
    assert "`sallyport role ls`" in refusal(authority, "role", "rm", "applied")


def test_a_shown_role_can_be_applied_again(authority, workspace):
    shown = text_of(authority, "role", "show", "shop-writer")
    assert shown.startswith('{\n  "name": "shop-writer",\n') and max(map(len, shown.splitlines())) <= 80
    file = write(workspace, f'{{ "roles": [ {shown} ] }}')
    (done,) = authority.admin("role", "apply", "-f", file)
    assert done["unchanged"] == [{"kind": "role", "name": "shop-writer"}]


@pytest.mark.parametrize("text, said", [
    ('{ "roles": [ { "name": "x", "alow": {} } ] }', ':1:29: unknown key "alow"'),
    ('{ "role": [] }', ':1:3: unknown key "role"'),
    ('{\n  "roles": [ { } ]\n}', ":2:14: "),
    ('{ "roles": [], }', ":1:14: "),
    ("{}", ":1:1: nothing to apply"),
    ('{ "databases": [ { "name": "x", "address": "h:1", "tls": { "cert": "a.crt" } } ] }', ":1:60: "),
    # What only the authority can know is told at the place of the document, too.
    ('{\n  "mappings": [\n    { "subject": "CN=a,OU=b", "roles": "no-such" } ]\n}', ":3:5: mapping CN=a,OU=b: "),
])
def test_a_mistake_in_the_file_is_told_with_its_place(authority, workspace, text, said):
    file = write(workspace, text)
    assert refusal(authority, "role", "apply", "-f", file, code=2).startswith(f"{file}{said}")


def test_thousands_of_documents_at_once(authority, workspace):
    rows = [{"name": f"role-{i}", "allow": {"databases": "shop", "mysql_users": "a"}} for i in range(5000)]
    file = write(workspace, json.dumps({"roles": rows}))
    (answer,) = authority.admin("role", "apply", "-f", file)
    assert len(answer["added"]) == 5000
    (answer,) = authority.admin("role", "apply", "-f", write(workspace, ROLES, "before.json"), "--prune")
    assert len(answer["removed"]) == 5000


def test_more_than_proxies_could_take(authority, workspace):
    """A state that they refuse would keep every later lock from them."""
    rows = [{"name": f"role-{i}", "allow": {"mysql_users": list("abcdefghijklmnopqrst")}} for i in range(8000)]
    file = write(workspace, json.dumps({"roles": rows}))
    assert "would be more than proxies can take" in refusal(authority, "role", "apply", "-f", file)
    assert {role["name"] for role in authority.admin("role", "ls")} == {"shop-reader", "shop-writer"}


def test_databases_and_mappings(authority, workspace):
    mappings = {"mappings": [{"subject": "CN=own-*", "roles": "shop-reader"}, {"subject": "OU=x", "roles_from": "O"}]}
    authority.admin("role", "apply", "-f", write(workspace, json.dumps(mappings)))
    assert re.search(r"^shop +127.0.0.1:3306", text_of(authority, "database", "ls"), re.M)
    assert json.loads(text_of(authority, "database", "show", "shop"))["address"] == "127.0.0.1:3306"
    assert re.search(r"^CN=own-\* +shop-reader$", text_of(authority, "mapping", "ls"), re.M)
    said = refusal(authority, "role", "rm", "shop-reader")
    assert said.startswith("sallyport: role shop-reader is still needed: without it, mapping CN=own-*"), said
    assert "is removed" in text_of(authority, "mapping", "rm", "CN=own-*")
    authority.admin("mapping", "rm", next(row["name"] for row in authority.admin("mapping", "ls")))
    assert "There are no mappings" in text_of(authority, "mapping", "ls")
    assert "`sallyport database ls` lists what there is." in refusal(authority, "database", "show", "none")


def test_a_removed_role_is_told_with_who_had_it(authority, workspace):
    role = {"roles": [{"name": "short-lived", "allow": {"databases": "shop"}}]}
    authority.admin("role", "apply", "-f", write(workspace, json.dumps(role)))
    bot = named_bot(authority, "ci-short", "short-lived")
    said = text_of(authority, "role", "rm", "short-lived")
    assert bot in said and "sallyport bot roles NAME --role ROLE" in said
    authority.admin("role", "apply", "-f", write(workspace, json.dumps(role)))
    authority.admin("bot", "rm", bot)
    assert "No bot had it." in text_of(authority, "role", "rm", "short-lived")


# --- what has joined


def test_proxies_and_instances(authority):
    assert "No proxy has joined yet" in text_of(authority, "proxy", "ls")
    assert "there is no proxy none" in refusal(authority, "proxy", "rm", "none")
    assert "None has joined yet" in text_of(authority, "instance", "ls")
    assert "lists what there is" in refusal(authority, "instance", "rm", "0" * 32)
    assert "there is no bot nobody" in refusal(authority, "instance", "ls", "nobody")


def test_a_decision_is_explained(authority):
    bot = named_bot(authority, "ci-5")
    asked = ["role", "test", "--bot", bot, "--database", "shop", "--schema", "shop", "--user"]
    (allowed,) = authority.admin(*asked, "reader")
    assert allowed["allowed"] is True and "shop-reader" in allowed["reason"] and allowed["rules"]
    assert text_of(authority, *asked, "reader").startswith("allowed\n  who           ci-5\n")
    denied = command(*asked, "writer", "-c", authority.configuration_file, check=1)
    assert json.loads(denied.stdout)["allowed"] is False
    assert text_of(authority, *asked, "writer", code=1).startswith("DENIED\n")
    assert "there is no bot nobody" in refusal(authority, "role", "test", "--bot", "nobody", "--database", "shop",
                                               "--user", "reader")


# --- locks


def test_locks(authority):
    bot = named_bot(authority, "ci-6")
    (made,) = authority.admin("lock", "add", "--bot", bot, "--ttl", "30m", "--reason", "leaked, see INC-42")
    (row,) = [row for row in authority.admin("lock", "ls") if row["id"] == made["id"]]
    assert (row["kind"], row["target"], row["reason"]) == ("bot", bot, "leaked, see INC-42")
    assert re.search(rf"^{made['id']} +bot +ci-6 +in 30m +leaked, see INC-42 ", text_of(authority, "lock", "ls"), re.M)
    assert authority.admin("bot", "show", bot)[0]["lock"] == "leaked, see INC-42"
    assert text_of(authority, "bot", "show", bot).startswith("ci-6  LOCKED\n  locked        leaked, see INC-42\n")
    authority.admin("lock", "rm", made["id"])
    assert "lock" not in authority.admin("bot", "show", bot)[0]
    assert "lists what there is" in refusal(authority, "lock", "rm", made["id"])


def test_a_lock_without_an_end_says_so(authority):
    shown = text_of(authority, "lock", "add", "--database", "shop", "--reason", "restore")
    assert "The database shop is locked until the lock is removed." in shown
    authority.admin("lock", "rm", shown.split()[-1])


@pytest.mark.parametrize("arguments, said", [
    (["--reason", "x"], "say what to lock"),
    (["--bot", "a", "--role", "b", "--reason", "x"], "one thing at a time"),
    (["--bot", "a", "--bot", "b", "--reason", "x"], "--bot is given twice"),
    (["--bot", "a"], "say why, with --reason"),
    (["--bot", "a", "--reason", "x", "--ttl", "10"], "--ttl: "),
])
def test_locks_that_are_not_clear(authority, arguments, said):
    assert said in refusal(authority, "lock", "add", *arguments, code=2)


def test_a_lock_on_what_is_not_there(authority):
    said = refusal(authority, "lock", "add", "--bot", "nobody", "--reason", "x")
    assert said == ("sallyport: there is no bot nobody here (`sallyport bot ls`); where its certificates come from "
                    "another CA, say --other-ca\n")


def test_a_bot_of_another_ca(authority):
    name = "spiffe://acme.example/ns/shop/sa/web"
    (lock,) = authority.admin("lock", "add", "--bot", name, "--other-ca", "--reason", "x")
    assert [row["target"] for row in authority.admin("lock", "ls") if row["id"] == lock["id"]] == [name]
    authority.admin("lock", "rm", lock["id"])
    assert "goes with --bot" in refusal(authority, "lock", "add", "--role", "a", "--other-ca", "--reason", "x", code=2)


# --- certificate authorities


def test_the_four_authorities(authority):
    rows = authority.admin("ca", "status")
    kinds = ["bot", "service", "database-server", "database-client"]
    assert [row["kind"] for row in rows] == kinds
    assert {row["phase"] for row in rows} == {"signing"}
    for kind in kinds:
        done = command("ca", "export", kind, "-c", authority.configuration_file, check=0)
        assert f"CN=Sallyport {kind} CA 1" in subject(done.stdout)


def subject(pem):
    return subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "rfc2253"], input=pem, text=True,
                          check=True, capture_output=True).stdout


def test_export_keeps_the_kinds_apart(authority, workspace):
    assert "vouch for another's kind" in refusal(authority, "ca", "export", code=2)
    authority.admin("ca", "export", "--out", workspace / "cas", output=None)
    assert sorted(file.name for file in (workspace / "cas").iterdir()) == [
        "bot-ca.crt", "database-client-ca.crt", "database-server-ca.crt", "service-ca.crt"]
    assert "--replace" in refusal(authority, "ca", "export", "--out", workspace / "cas")
    authority.admin("ca", "export", "bot", "--out", workspace / "cas", "--replace", output=None)


def test_a_rotation_and_back(authority):
    assert "did you mean" in refusal(authority, "ca", "rotate", "bots", "--to", "standby", code=2)
    assert "the next step is standby" in refusal(authority, "ca", "rotate", "bot", "--to", "trusted")
    rows = authority.admin("ca", "rotate", "bot", "--to", "standby")
    assert [(row["number"], row["phase"]) for row in rows] == [(1, "signing"), (2, "standby")]
    rows = authority.admin("ca", "rotate", "bot", "--to", "none")
    assert [(row["number"], row["phase"]) for row in rows] == [(1, "signing")]


def test_what_a_database_needs(authority, workspace):
    out = workspace / "db"
    arguments = ["ca", "sign-database", "--host", "db1.internal", "--host", "10.0.0.5", "--out", out]
    shown = text_of(authority, *arguments, "--user", "reader", "--user", "writer")
    assert sorted((file.name, stat.S_IMODE(file.stat().st_mode)) for file in out.iterdir()) == [
        ("client-ca.crt", 0o644), ("server.crt", 0o644), ("server.key", 0o600)]
    assert "PRIVATE KEY" not in shown
    key = subprocess.run(["openssl", "pkey", "-in", out / "server.key", "-pubout"], check=True, capture_output=True)
    own = subprocess.run(["openssl", "x509", "-in", out / "server.crt", "-noout", "-pubkey"], check=True,
                         capture_output=True)
    assert key.stdout == own.stdout
    # As the servers compare it: OpenSSL's one-line form.
    printed = subprocess.run(["openssl", "x509", "-in", out / "client-ca.crt", "-noout", "-subject",
                              "-nameopt", "compat"], check=True, capture_output=True, text=True).stdout
    issuer = printed.strip().removeprefix("subject=")
    for user in ("reader", "writer"):
        assert shown.count(f"  REQUIRE SUBJECT '/CN={user}'\n  AND ISSUER '{issuer}';\n") == 2
    assert "--replace" in refusal(authority, *arguments)
    (made,) = authority.admin(*arguments, "--replace")
    assert made["require_issuer"] == issuer and made["subject"] == "CN=db1.internal"


def test_a_request_of_the_databases_own_key(authority, workspace):
    csr = workspace / "server.csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", workspace / "own.key", "-out", csr, "-subj", "/CN=whatever"], check=True,
                   capture_output=True)
    shown = text_of(authority, "ca", "sign-database", "--host", "db2", "--csr", csr, "--out", workspace / "db")
    assert sorted(file.name for file in (workspace / "db").iterdir()) == ["client-ca.crt", "server.crt"]
    assert "(the key of your request)" in shown
    said = refusal(authority, "ca", "sign-database", "--host", "db2", "--csr", workspace / "own.key", "--out",
                   workspace / "other")
    assert "own.key" in said and list((workspace / "other").iterdir()) == []


def test_an_account_that_no_certificate_could_be_made_for(authority, workspace):
    said = refusal(authority, "ca", "sign-database", "--host", "db", "--user", "a/b", "--out", workspace / "db", code=2)
    assert "no certificate is made for the MySQL user" in said
    assert not (workspace / "db").exists()


# --- what may stand at the socket's place


class Impostor:
    """Answers each request with what `answer` makes of it: bytes as they are, anything else as `ok`."""

    def __init__(self, path, answer):
        self.path, self.answer = path, answer
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(8)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                length = struct.unpack(">I", peer.recv(4, socket.MSG_WAITALL))[0]
                request = json.loads(peer.recv(length, socket.MSG_WAITALL))
                made = self.answer(request)
                if not isinstance(made, bytes):
                    body = json.dumps({"id": request["id"], **made}, ensure_ascii=False).encode()
                    made = struct.pack(">I", len(body)) + body
                with contextlib.suppress(OSError):
                    peer.sendall(made)

    def stop(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


@pytest.fixture
def impostor(workspace):
    """impostor(answer): the path of a socket at which that answers."""
    with contextlib.ExitStack() as at_end:

        def start(answer):
            running = Impostor(workspace / "admin.sock", answer)
            at_end.callback(running.stop)
            return running.path

        yield start


HOSTILE = "evil\x1b[2J\u009b31m\u202egnp\n\t\u2066x\x7f"


def hostile_bots(_request):
    return {"ok": {"bots": [{"name": HOSTILE, "roles": [HOSTILE], "created": HOSTILE, "instances": -1,
                             "lock": HOSTILE, "key": HOSTILE}, 7, None, {}]}}


def assert_harmless(shown):
    rest = COLOUR.sub("", shown)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest), ascii(rest)


def test_hostile_names_do_nothing_to_a_terminal(impostor):
    path = impostor(hostile_bots)
    assert_harmless(on_terminal(path, "bot", "ls"))
    shown = on_terminal(path, "bot", "ls", "-o", "json")
    assert_harmless(shown)
    assert json.loads(shown.splitlines()[0])["name"] == HOSTILE


def test_a_hostile_refusal_does_nothing_to_a_terminal(impostor):
    path = impostor(lambda _: {"error": {"code": "not_found", "message": "\u009b31m\u202e no such bot\n\x1b[2J"}})
    done = command("bot", "show", "x", "--socket", path, check=1)
    assert_harmless(done.stderr.replace("\n", ""))


def test_a_hostile_token_is_not_shown(impostor, workspace):
    bad = "x\nEND\nrm -rf ~\ncat <<'END'\n"
    path = impostor(lambda _: {"ok": {"token": bad, "token_id": "1", "expires": "2030-01-01T00:00:00Z",
                                      "ca_pin": "$(reboot)", "authority": "a; reboot"}})
    done = command("bot", "add", "x", "--role", "r", "--socket", path, "-o", "table", check=1)
    assert "holds no token" in done.stderr and "rm -rf" not in done.stdout + done.stderr


def test_what_is_pasted_runs_nothing_else(impostor, workspace):
    path = impostor(lambda _: {"ok": {"token": "sallyport-join-1.0.a", "token_id": "1",
                                      "ca_pin": "$(touch pinned)", "authority": "a'; touch authority; '"}})
    done = command("bot", "add", "x", "--role", "r", "--proxy", "`touch proxy`", "--socket", path, "-o", "table",
                   check=0)
    script = done.stdout[done.stdout.index("(umask"):].split("\n\n")[0]
    assert script.count("touch") == 3
    subprocess.run(["sh"], input="sallyport() { :; }\n" + script, text=True, check=True, cwd=workspace)
    assert sorted(file.name for file in workspace.iterdir()) == ["admin.sock", "x.token"]


@pytest.mark.parametrize("answer, said", [
    (b"", "closed the connection before it answered"),
    (b"J\x00\x00\x00\x0a8.0.36\x00", "Is that the socket of an authority?"),  # a MySQL server's greeting
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Is that the socket of an authority?"),
    (struct.pack(">I", 5) + b"{]}{[", "cannot read the answer"),
    (struct.pack(">I", 2) + b"{}", "cannot read the answer"),
])
def test_what_is_no_authority(impostor, answer, said):
    done = command("bot", "ls", "--socket", impostor(lambda _: answer), check=1)
    assert said in done.stderr and done.stdout == ""


def test_an_authority_of_another_version(impostor):
    path = impostor(lambda _: {"ok": {"robots": []}})
    assert 'has no "bots": it is of another version' in command("bot", "ls", "--socket", path, check=1).stderr
    other = {"error": {"code": "unknown_request", "message": "no such request"}}
    path.unlink()
    path = impostor(lambda _: other)
    assert "of another version than this program" in command("bot", "ls", "--socket", path, check=1).stderr


def test_an_authority_that_is_down(workspace):
    missing = workspace / "admin.sock"
    said = command("bot", "ls", "--socket", missing, check=1).stderr
    assert f"no authority is at {missing}" in said and "SALLYPORT_ADMIN_SOCKET" in said
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(missing))  # one that died left its socket behind
    left.close()
    assert "is it running?" in command("bot", "ls", "--socket", missing, check=1).stderr
    assert "is no socket" in command("bot", "ls", "--socket", write(workspace, "x", "file"), check=1).stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket away")
def test_another_users_socket_is_not_believed(impostor, workspace):
    path = impostor(lambda _: {"ok": {"bots": []}})
    os.chown(path, process.NOBODY, process.NOBODY)
    workspace.chmod(0o1777)
    said = command("bot", "ls", "--socket", path, check=1).stderr
    assert f"belongs to user {process.NOBODY}" in said and "is not believed" in said
    workspace.chmod(0o711)
    command("bot", "ls", "--socket", path, check=0)


# --- how it looks


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_lists_fit_the_terminal(impostor, columns):
    bots = [{"name": f"nightly-{i}", "roles": [f"role-{j}-with-a-long-name" for j in range(i % 9)],
             "instances": i, "lock": "a reason that goes on and on and on and on and on" if i % 3 == 0 else "",
             "created": "2020-01-01T00:00:00Z"} for i in range(30)]
    shown = on_terminal(impostor(lambda _: {"ok": {"bots": bots}}), "bot", "ls", columns=columns)
    lines = COLOUR.sub("", shown).splitlines()
    assert len(lines) == 31 and lines[0].split() == ["BOT", "ROLES", "INSTANCES", "JOINS", "BY", "CREATED", "LOCKED"]
    assert max(map(len, lines)) <= columns
    assert ESCAPE in shown


def test_ten_thousand_bots(impostor):
    bots = [{"name": f"bot-{i:05}", "roles": ["shop-reader"], "instances": 1} for i in range(10000)]
    path = impostor(lambda _: {"ok": {"bots": bots}})
    done = command("bot", "ls", "--socket", path, "-o", "json", check=0, timeout=10)
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == [bot["name"] for bot in bots]
    shown = on_terminal(path, "bot", "ls")
    assert shown.count("\n") == 10001


def test_a_reader_that_goes_away(impostor):
    bots = [{"name": f"bot-{i:05}", "roles": ["shop-reader"] * 9} for i in range(10000)]
    path = impostor(lambda _: {"ok": {"bots": bots}})
    with subprocess.Popen([BINARY, "bot", "ls", "--socket", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=ENVIRONMENT, text=True) as running:
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(timeout=20) == 1
        assert "cannot print" in running.stderr.read()


@pytest.mark.parametrize("name", ["bot", "instance", "proxy", "token", "role", "database", "mapping", "lock", "ca"])
def test_help_is_whole_and_fits(name):
    shown = command(name, "--help", check=0).stdout
    assert command(name, "ls", "-h", check=0).stdout == shown
    assert max(map(len, shown.splitlines())) <= 80 and shown.startswith("usage: sallyport")
    for wanted in ("--socket", "SALLYPORT_ADMIN_SOCKET", "--output", "Examples:", "Exit code"):
        assert wanted in shown
    assert f"  {name} " in command("--help", check=0).stdout
    listed = command(name, check=2).stderr.split("say what to do: ")[1].splitlines()[0].split(", ")
    for verb in listed:
        assert re.search(rf"\bsallyport {name} {verb}\b", shown), verb


def test_where_the_socket_is(authority, monkeypatch):
    path = authority.directory / "authority" / "admin.sock"
    command("bot", "ls", "--socket", path, check=0)
    monkeypatch.setitem(ENVIRONMENT, "SALLYPORT_ADMIN_SOCKET", str(path))
    command("bot", "ls", check=0)
