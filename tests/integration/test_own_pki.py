# SPDX-License-Identifier: Apache-2.0
"""docs/own-pki.md: certificates in the shape of SPIFFE's SVIDs and of step-ca's, through mappings, without an authority
and beside one. Their makers' rules are cited in harness/own_pki.py."""

import shutil

import pymysql
import pytest

from harness import process
from harness.mariadb import MariaDB
from harness.own_pki import Spiffe, StepCa
from harness.realm import DATABASE, Realm

MAPPINGS = [
    {"san_uri": "spiffe://acme.example/ns/*/sa/ci", "roles": ["shop-reader"]},
    {"subject": "CN=ci-*.acme.example", "roles": ["shop-reader"]},
]
STEP_HOST = "ci-7.acme.example"
SPIFFE_PATH = "/ns/build/sa/ci"
SPIFFE_ID = f"spiffe://acme.example{SPIFFE_PATH}"
SPIRE_SUBJECT = "/C=US/O=SPIRE/2.5.4.45=9f2c1b7c0c2d4a0e8a3f5d6b7e8f9a0b"


class Place:
    """A proxy of either kind, and the two PKIs that it takes bots of."""

    def __init__(self, port, audit, spiffe, step, directory, start):
        self.port, self.audit, self.spiffe, self.step = port, audit, spiffe, step
        self.directory, self.start = directory, start
        self.realm, self.own_certificate = None, True

    def open(self, identity, name):
        """A local port, where the bot with this identity is."""
        port = process.free_port()
        entry = {"name": name, "listen": f"127.0.0.1:{port}", "proxy": f"127.0.0.1:{self.port}",
                 "server_name": "localhost", "database": DATABASE, "identity": str(identity)}
        self.start(entry, name)
        return port


def connect(port):
    return pymysql.connect(host="127.0.0.1", port=port, user="reader", database="shop", connect_timeout=15,
                           read_timeout=15)


def query(port):
    with connect(port) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM items")
        return cursor.fetchall()


def roots(spiffe, step, path):
    path.write_text(spiffe.root.read_text() + step.root.read_text())
    return str(path)


def without_authority(request, certificates):
    directory = process.temporary_directory()
    mariadb = request.getfixturevalue("mariadb")
    from harness.sallyport import Proxy, Tunnel

    service_ca = certificates["service-ca.crt"]
    spiffe, step = Spiffe(directory / "spiffe", service_ca), StepCa(directory / "step", service_ca)
    started = []

    def change(configuration):
        configuration["proxy"]["tls"]["client_ca"] = roots(spiffe, step, directory / "roots.pem")
        del configuration["proxy"]["tls"]["crl"]
        configuration["mappings"] = MAPPINGS

    def start(entry, name):
        started.append(Tunnel(directory, [entry], name=name).start())

    proxy = Proxy(directory, certificates, mariadb.port, change).start()
    yield Place(proxy.port, proxy.audit, spiffe, step, directory, start)
    for service in (*reversed(started), proxy):
        service.stop()
    shutil.rmtree(directory, ignore_errors=True)


def beside_authority(tls, service_ca=None):
    """One proxy for bots of the authority, of SPIRE and of step-ca. `tls` is the rest of its proxy.tls, `service_ca`
    who signed that; without one the proxy shows the authority's certificate to everybody."""
    outside = process.temporary_directory()

    def change(configuration):
        configuration["proxy"]["tls"] = {**tls, "client_ca": str(outside / "roots.pem")}

    realm = Realm(MariaDB, change)
    shown = outside / "service-ca.crt"
    shown.write_text(service_ca.read_text() if service_ca else "")
    spiffe, step = Spiffe(outside / "spiffe", shown), StepCa(outside / "step", shown)
    roots(spiffe, step, outside / "roots.pem")
    realm.start()
    if service_ca is None:
        shown.write_text(realm.authority.admin("ca", "export", "service", output=None))
    realm.apply({"mappings": MAPPINGS})
    place = Place(realm.authority.port, realm.authority.audit, spiffe, step, outside, realm.tunnel_with)
    place.realm, place.own_certificate = realm, bool(service_ca)
    yield place
    realm.stop()
    shutil.rmtree(outside, ignore_errors=True)


ALONE, BESIDE, SHARED = "without an authority", "beside one", "beside one, with its certificate"


@pytest.fixture(scope="module", params=[ALONE, BESIDE, SHARED])
def place(request, certificates):
    if request.param == ALONE:
        yield from without_authority(request, certificates)
    elif request.param == BESIDE:
        tls = {"cert": str(certificates["proxy.crt"]), "key": str(certificates["proxy.key"])}
        yield from beside_authority(tls, certificates["service-ca.crt"])
    else:
        yield from beside_authority({})


@pytest.fixture
def realm(place):
    if place.realm is None:
        pytest.skip("there is no authority")
    return place.realm


def named(place, bot):
    return place.audit.wait_for(None, event="session.start", bot=bot)


def test_svid_of_a_uri_alone(place):
    """An X.509-SVID needs no subject at all: the bot is called by its SPIFFE ID."""
    port = place.open(place.spiffe.svid("bare", SPIFFE_PATH), "bare")
    assert query(port) == ((3,),)
    record = named(place, SPIFFE_ID)
    assert record["roles"] == ["shop-reader"] and "subject" not in record


def test_svid_of_spire(place):
    port = place.open(place.spiffe.svid("spire", "/ns/deploy/sa/ci", SPIRE_SUBJECT), "spire")
    assert query(port) == ((3,),)
    record = named(place, "spiffe://acme.example/ns/deploy/sa/ci")
    assert record["roles"] == ["shop-reader"] and "O=SPIRE" in record["subject"]


def test_svid_of_another_workload_is_refused(place):
    """A `*` stops at a slash, and the path has to match to its end."""
    for number, path in enumerate(("/ns/build/sa/cd", "/ns/build/x/sa/ci", "/ns/build/sa/ci/more")):
        port = place.open(place.spiffe.svid(f"other-{number}", path), f"other-{number}")
        with pytest.raises(pymysql.MySQLError, match="no mapping gives this certificate a role"):
            query(port)


@pytest.mark.parametrize("rsa", [False, True], ids=["ecdsa", "rsa"])
def test_certificate_of_step_ca(place, rsa):
    name = f"step-{'rsa' if rsa else 'ec'}"
    host = f"ci-{name}.acme.example"
    port = place.open(place.step.leaf(name, host, rsa=rsa), name)
    assert query(port) == ((3,),)
    record = named(place, host)
    assert record["roles"] == ["shop-reader"] and record["subject"] == f"CN={host}"


def test_web_server_of_the_same_ca_is_refused(place):
    port = place.open(place.step.leaf("www", "www.acme.example"), "www")
    with pytest.raises(pymysql.MySQLError, match="bot www.acme.example: no mapping gives this certificate a role"):
        query(port)


def test_leaf_without_its_intermediate_is_refused(place):
    """The proxy knows the root alone: what lies between has to be in cert.pem."""
    port = place.open(place.step.leaf("lone", STEP_HOST, chain=False), "lone")
    with pytest.raises(pymysql.MySQLError):
        query(port)


def test_renewed_in_place_as_step_does(place):
    """`step ca renew` writes certificate and key one after the other; sessions begin with whichever fits together."""
    folder = place.step.leaf("renewed", "ci-renewed.acme.example")
    port = place.open(folder, "renewed")
    assert query(port) == ((3,),)
    before = named(place, "ci-renewed.acme.example")["cert_serial"]
    fresh = place.step.leaf("anew", "ci-renewed.acme.example")
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_text((fresh / name).read_text())

    def serial():
        assert query(port) == ((3,),)
        return place.audit.records(event="session.start", bot="ci-renewed.acme.example")[-1]["cert_serial"]

    process.wait_until(lambda: serial() != before, "a session with the new certificate", 15, 0.2)


def test_bots_of_the_authority_beside_them(place, realm):
    """They trust the authority's service CA alone, so a proxy with another certificate is not for them."""
    tunnel = realm.tunnel("ci-own")
    if place.own_certificate:
        realm.refused(tunnel, "unknown CA")
    else:
        assert realm.query(tunnel, "SELECT COUNT(*) FROM items") == ((3,),)


def test_nobody_passes_for_a_bot_of_the_authority(place, realm):
    realm.add_bot("ci-posed")
    port = place.open(place.spiffe.svid("posing", "/bot/ci-posed"), "posing")
    with pytest.raises(pymysql.MySQLError, match="no mapping gives this certificate a role"):
        query(port)
    port = place.open(place.step.leaf("named", "ci-posed"), "named")
    with pytest.raises(pymysql.MySQLError, match="no mapping gives this certificate a role"):
        query(port)


def test_lock_of_their_role(place, realm):
    port = place.open(place.step.leaf("locked", "ci-locked.acme.example"), "locked")
    with connect(port) as connection:
        (lock,) = realm.authority.admin("lock", "add", "--role", "shop-reader", "--reason", "audit", "--ttl", "10m")
        with pytest.raises(pymysql.MySQLError, match="role shop-reader is locked: audit"):
            for _ in range(100):
                connection.cursor().execute("DO SLEEP(0.01)")
        realm.authority.admin("lock", "rm", lock["id"])
