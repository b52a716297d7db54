# SPDX-License-Identifier: Apache-2.0
"""Each kind of mistake in a configuration: FILE:LINE:COL and a message that names it, exit code 2."""

import json
import re

import pytest

from harness import process
from harness.sallyport import Proxy, command


@pytest.fixture
def proxy(certificates, workspace):
    return Proxy(workspace, certificates, process.free_port())


def check(proxy, text, code=2):
    proxy.write(text)
    done = command("check", "-c", proxy.configuration_file)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def position(output, proxy):
    """LINE and COL of the first message."""
    match = re.search(re.escape(str(proxy.configuration_file)) + r":(\d+):(\d+): ", output)
    assert match, f"no FILE:LINE:COL: in {output}"
    return int(match[1]), int(match[2])


def line_of(text, part):
    return text[:text.index(part)].count("\n") + 1


def test_good_configuration(proxy):
    check(proxy, proxy.configuration, code=0)


def test_comments_are_allowed(proxy):
    text = json.dumps(proxy.configuration, indent=2)
    check(proxy, "// first\n" + text.replace('"roles"', '/* here\n are */ "roles"', 1) + "\n// last\n", code=0)


def at(configuration, path):
    for step in path[:-1]:
        configuration = configuration[step]
    return configuration


MISTAKES = {
    "unknown key": (("proxy", "listenerz"), [], "listenerz"),
    "unknown key at the top": (("databasez",), [], "databasez"),
    "unknown key in a role": (("roles", 0, "alow"), {}, "alow"),
    "string where a number is due": (("proxy", "workers"), "two", "workers"),
    "negative number": (("proxy", "workers"), -1, "workers"),
    "fraction": (("proxy", "workers"), 1.5, "workers"),
    "huge number": (("proxy", "workers"), 10**30, "workers"),
    "number where a string is due": (("proxy", "name"), 7, "name"),
    "object where a list is due": (("roles",), {}, "roles"),
    "null": (("proxy", "tls", "cert"), None, "cert"),
    "empty list of listeners": (("proxy", "listeners"), [], "listeners"),
    "bad address": (("proxy", "listeners", 0, "address"), "nowhere", "address|nowhere"),
    "bad port": (("proxy", "listeners", 0, "address"), "127.0.0.1:99999", "99999|port"),
    "listener for a database that does not exist": (("proxy", "listeners", 1, "database"), "shopp", "shopp"),
    "STARTTLS without database": (("proxy", "listeners", 2, "database"), ..., "starttls|STARTTLS"),
    "missing certificate file": (("proxy", "tls", "cert"), "/nonexistent/proxy.crt", "/nonexistent/proxy.crt"),
    "missing key file": (("proxy", "tls", "key"), "nonexistent.key", "nonexistent.key"),
    "key of another certificate": (("proxy", "tls", "key"), "db-client.key", "key"),
    "certificate that is none": (("proxy", "tls", "client_ca"), "reader.pw", "reader.pw|client_ca"),
    "CRL of another CA or none": (("proxy", "tls", "crl"), "reader.pw", "crl|reader.pw"),
    "mapping to a role that does not exist": (
        ("mappings", 0), {"subject": "OU=bots", "roles": ["shop-reder"]}, "shop-reder"
    ),
    "mapping without subject": (("mappings", 0), {"roles": ["shop-reader"]}, "subject|san_uri"),
    "mapping without roles": (("mappings", 0), {"subject": "OU=bots"}, "roles"),
    "mapping of a bad subject": (("mappings", 0), {"subject": "bots", "roles": ["shop-reader"]}, "subject|bots"),
    "bad duration": (("roles", 0, "limits"), {"idle_timeout": "ten minutes"}, "idle_timeout|ten minutes"),
    "bad durability": (("audit", "durability"), "always", "durability|always"),
    "no audit directory": (("audit", "directory"), ..., "directory"),
    "missing password file": (("databases", 0, "passwords", 0, "file"), "no.pw", "no.pw"),
    "database twice": (("databases", 1), "copy", "twice|shop"),
    "role twice": (("roles", 2), "copy", "twice|shop-reader"),
    "no proxy": (("proxy",), ..., "proxy"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(proxy, certificates, name):
    path, value, expected = MISTAKES[name]
    configuration = json.loads(json.dumps(proxy.configuration))
    place = at(configuration, path)
    if value is ...:
        del place[path[-1]]
    elif value == "copy":
        place.append(json.loads(json.dumps(place[0])))
    elif value == "db-client.key":
        place[path[-1]] = str(certificates[value])
    else:
        place[path[-1]] = value
    text = json.dumps(configuration, indent=2)
    output = check(proxy, text)
    line, column = position(output, proxy)
    assert re.search(expected, output), output
    assert 1 <= line <= text.count("\n") + 1 and column >= 1
    if name.startswith("unknown key"):
        assert line == line_of(text, f'"{path[-1]}"')


def test_nearest_name_is_suggested(proxy):
    configuration = json.loads(json.dumps(proxy.configuration))
    configuration["proxy"]["listenerz"] = configuration["proxy"].pop("listeners")
    assert "listeners" in check(proxy, configuration).replace("listenerz", "")


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "{} trailing", '{"proxy": ', '{"proxy": {},}', "{'proxy': {}}", '{"a": "\x01"}', "/* no end",
    '{"proxy": {"name": "\\ud800"}}', "\ufeff{}", "[" * 10000, '{"proxy": "unterminated',
], ids=["empty", "open brace", "array", "null", "trailing text", "cut", "trailing comma", "single quotes",
        "control character", "open comment", "lone surrogate", "byte order mark", "deep nesting", "open string"])
def test_text_that_is_no_configuration(proxy, text):
    position(check(proxy, text), proxy)


def test_bytes_that_are_not_utf8(proxy):
    proxy.configuration_file.write_bytes(b'{"proxy": {"name": "\xff\xfe"}}')
    assert command("check", "-c", proxy.configuration_file).returncode == 2


def test_key_twice(proxy):
    text = json.dumps(proxy.configuration, indent=2)
    twice = text.replace('"workers": 2', '"workers": 2,\n    "workers": 3', 1)
    assert twice != text
    output = check(proxy, twice)
    assert "workers" in output
    assert position(output, proxy)[0] == line_of(twice, '"workers": 3')


def test_file_that_does_not_exist(workspace):
    done = command("check", "-c", workspace / "none.json")
    assert done.returncode == 2 and "none.json" in done.stderr


def test_directory_instead_of_a_file(workspace):
    assert command("check", "-c", workspace).returncode == 2


def test_serve_refuses_a_bad_configuration(proxy):
    proxy.write("{ not JSON")
    done = command("serve", "-c", proxy.configuration_file)
    assert done.returncode == 2
    position(done.stderr, proxy)


def test_password_file_that_everybody_may_read(proxy):
    """I8: secrets on disk are mode 0600."""
    (proxy.directory / "reader.pw").chmod(0o644)
    assert "reader.pw" in check(proxy, proxy.configuration)


def test_private_key_that_everybody_may_read(proxy, certificates, workspace):
    key = workspace / "open.key"
    key.write_bytes(certificates["proxy.key"].read_bytes())
    key.chmod(0o644)
    configuration = json.loads(json.dumps(proxy.configuration))
    configuration["proxy"]["tls"]["key"] = str(key)
    assert "open.key" in check(proxy, configuration)


def test_relative_paths_are_relative_to_the_file(proxy, certificates):
    for name in ("proxy.crt", "proxy.key"):
        target = proxy.directory / name
        target.write_bytes(certificates[name].read_bytes())
        target.chmod(0o600)
    configuration = json.loads(json.dumps(proxy.configuration))
    configuration["proxy"]["tls"].update(cert="proxy.crt", key="./proxy.key")
    proxy.write(configuration)
    assert command("check", "-c", proxy.configuration_file, cwd="/").returncode == 0


TUNNEL_MISTAKES = {
    "no tunnels": {"tunnels": []},
    "unknown key": {"tunnels": [{"listn": "127.0.0.1:0"}]},
    "no proxy": {"tunnels": [{"name": "a", "listen": "127.0.0.1:3306", "database": "shop", "identity": "."}]},
    "bad mode": {"tunnels": [{"name": "a", "listen": "unix:/tmp/x", "mode": "rw", "proxy": "a:1", "database": "shop",
                              "identity": "."}]},
    "two of one name": {"tunnels": [
        {"name": "a", "listen": "127.0.0.1:3306", "proxy": "a:1", "database": "shop", "identity": "."},
        {"name": "a", "listen": "127.0.0.1:3307", "proxy": "a:1", "database": "shop", "identity": "."}]},
}


@pytest.mark.parametrize("name", TUNNEL_MISTAKES)
def test_mistake_in_a_tunnels_file(workspace, name):
    file = workspace / "tunnel.json"
    file.write_text(json.dumps(TUNNEL_MISTAKES[name], indent=2))
    done = command("tunnel", "-c", file)
    assert done.returncode == 2
    assert f"{file}:" in done.stderr
