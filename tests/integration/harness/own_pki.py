# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities of other makers, with certificates of exactly their shape, made by openssl.

SPIFFE: "The X.509 SPIFFE Verifiable Identity Document" (spiffe/spiffe, standards/X509-SVID.md), sections 2 to 4: one
URI in the SAN and nothing else needed, so that the subject may be empty (the SAN is critical then: RFC 5280, 4.2.1.6).
SPIRE writes C=US, O=SPIRE and an x500UniqueIdentifier; its signing certificates have the trust domain as their URI.

step-ca: go.step.sm/crypto, x509util/templates.go, DefaultLeafTemplate (the subject's common name, the same as SAN,
digitalSignature, with RSA keys keyEncipherment too, serverAuth and clientAuth), DefaultIntermediateTemplate and
DefaultRootTemplate (path lengths 0 and 1), and smallstep/certificates' extension 1.3.6.1.4.1.37476.9000.64.1, which
names the provisioner (type 1: JWK)."""

import pathlib
import subprocess

USES = "extendedKeyUsage = serverAuth,clientAuth\n"
LEAF = "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n" + USES
# SEQUENCE { INTEGER 1, OCTET STRING "admin@acme.example", OCTET STRING "key", no pairs }
STEP_PROVISIONER = """
1.3.6.1.4.1.37476.9000.64.1 = ASN1:SEQUENCE:provisioner
[provisioner]
type = INTEGER:1
name = FORMAT:ASCII,OCTETSTRING:admin@acme.example
credential = FORMAT:ASCII,OCTETSTRING:4UELJx8e0aS9m0CH3fZ0EB7D5aUPICb759zALHFejvc
"""


class OwnPki:
    """A root, an intermediate that signs, and bots' identity directories."""

    def __init__(self, directory, service_ca):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=0o755)
        self.service_ca = pathlib.Path(service_ca)
        self.make_authorities()

    def openssl(self, *arguments, text=None):
        done = subprocess.run(["openssl", *map(str, arguments)], cwd=self.directory, input=text, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr

    def _key(self, name, rsa=False):
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self.openssl("genpkey", "-algorithm", *kind, "-out", f"{name}.key")
        (self.directory / f"{name}.key").chmod(0o600)

    def sign(self, name, subject, extensions, issuer=None, rsa=False, days=1):
        """NAME.crt and NAME.key; without an issuer it signs itself."""
        self._key(name, rsa)
        (self.directory / "extensions").write_text(f"[it]\n{extensions}")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", "request")
        by = ["-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key"] if issuer else ["-signkey", f"{name}.key"]
        serial = int.from_bytes(name.encode()[:15].ljust(4, b"-"), "big")
        self.openssl("x509", "-req", "-in", "request", *by, "-days", days, "-set_serial", serial,
                     "-extfile", "extensions", "-extensions", "it", "-out", f"{name}.crt")

    def make_authorities(self):
        raise NotImplementedError

    @property
    def root(self):
        return self.directory / "root.crt"

    def identity(self, name, subject, extensions, chain=True, rsa=False):
        """A directory as the tunnel wants it: the leaf and its intermediate, the key, the CA of the proxy."""
        self.sign(name, subject, extensions, "intermediate", rsa)
        folder = self.directory / f"{name}-identity"
        folder.mkdir(mode=0o755)
        parts = [f"{name}.crt", *(["intermediate.crt"] if chain else [])]
        (folder / "cert.pem").write_text("".join((self.directory / part).read_text() for part in parts))
        key = folder / "key.pem"
        key.write_text((self.directory / f"{name}.key").read_text())
        key.chmod(0o600)
        (folder / "ca.pem").write_text(self.service_ca.read_text())
        return folder


class Spiffe(OwnPki):
    TRUST_DOMAIN = "acme.example"

    def make_authorities(self):
        authority = ("basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n"
                     f"subjectAltName = URI:spiffe://{self.TRUST_DOMAIN}\nsubjectKeyIdentifier = hash\n")
        self.sign("root", "/C=US/O=SPIFFE", authority, days=30)
        self.sign("intermediate", "/C=US/O=SPIRE", authority, "root", days=7)

    def svid(self, name, path, subject="/"):
        critical = "critical," if subject == "/" else ""
        return self.identity(name, subject, (
            f"basicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n{LEAF}"
            f"subjectAltName = {critical}URI:spiffe://{self.TRUST_DOMAIN}{path}\n"))


class StepCa(OwnPki):
    def make_authorities(self):
        authority = "keyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash\n"
        self.sign("root", "/O=ACME/CN=ACME Root CA",
                  authority + "basicConstraints = critical,CA:TRUE,pathlen:1\n", days=3650)
        self.sign("intermediate", "/O=ACME/CN=ACME Intermediate CA",
                  authority + "basicConstraints = critical,CA:TRUE,pathlen:0\nauthorityKeyIdentifier = keyid\n",
                  "root", days=3650)

    def leaf(self, name, host, rsa=False, **more):
        encipher = ",keyEncipherment" if rsa else ""
        return self.identity(name, f"/CN={host}", (
            f"keyUsage = critical,digitalSignature{encipher}\n{LEAF}subjectAltName = DNS:{host}{STEP_PROVISIONER}"),
            rsa=rsa, **more)
