"""A machine of Oracle Cloud ends or stops itself: the node's own program against metadata, token service and API on
loopback, which check its signatures."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_public_key
from cryptography.x509.oid import NameOID
from oracle_cloud import REGION, TENANCY, OracleCloud

from skyrig.clouds.oci import principal, session
from skyrig.clouds.oci.door import Door

PROGRAMS = Path(__file__).parents[3] / "templates" / "cloud-init" / "oci"
MACHINE = "ocid1.instance.oc1..me"


class Identity(ThreadingHTTPServer):
    """Metadata of the machine below /opc/v2, and the service that sells tokens for its certificate at /v1/x509: the key
    that a token belongs to is then one that `oracle` knows."""

    def __init__(self, oracle: OracleCloud) -> None:
        self.oracle, self.status = oracle, 200
        self.key: RSAPrivateKey = generate_private_key(65537, 2048)
        self.leaf = certificate(self.key)
        self.argv: set[bytes] = set()
        self.wrong: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def metadata(self, path: str) -> str | None:
        place = {"regionIdentifier": REGION, "realmDomainComponent": "oraclecloud.com"}
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        known = {
            "instance/": json.dumps({"id": MACHINE, "tenantId": TENANCY, "regionInfo": place}),
            "identity/cert.pem": self.leaf.public_bytes(Encoding.PEM).decode(),
            "identity/key.pem": private,
            "identity/intermediate.pem": self.leaf.public_bytes(Encoding.PEM).decode(),
        }
        return known.get(path)

    def sold(self, target: str, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        digest = ":".join(f"{byte:02X}" for byte in self.leaf.fingerprint(SHA1()))
        checked = OracleCloud.__new__(OracleCloud)
        checked.keys = {f"{TENANCY}/fed-x509/{digest}": self.key.public_key()}
        wrong = checked._unsigned("POST", target, {**headers}, body)
        said = json.loads(body)
        if wrong and "does not cover ['host']" not in wrong:  # the host is not among what it is to cover here
            self.wrong.append(wrong)
        if self.status != 200 or base64.b64decode(said["certificate"]) != self.leaf.public_bytes(Encoding.DER):
            return self.status if self.status != 200 else 401, {
                "code": "NotAuthenticated",
                "message": "no token for you",
            }
        public = load_der_public_key(base64.b64decode(said["publicKey"]))
        assert isinstance(public, RSAPublicKey) and said["intermediateCertificates"]
        self.oracle.keys = {"ST$a-token": public}
        return 200, {"token": "a-token"}


class Handler(BaseHTTPRequestHandler):
    server: Identity

    def do_GET(self) -> None:
        found = self.server.metadata(self.path.removeprefix("/opc/v2/"))
        allowed = self.headers["Authorization"] == "Bearer Oracle" and found is not None
        self._say(200 if allowed else 404, (found or "").encode())

    def do_POST(self) -> None:
        self.server.argv |= {line for line in map(_argv, Path("/proc").glob("[0-9]*/cmdline")) if line}
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, body = self.server.sold(self.path, headers, sent)
        self._say(status, json.dumps(body).encode())

    def _say(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def certificate(key: RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, MACHINE)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(hours=1))
    return made.sign(key, SHA256())


def _argv(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.fixture
def oracle() -> Iterator[OracleCloud]:
    with OracleCloud() as running:
        running.put(f"/instances/{MACHINE}", lifecycleState="RUNNING")
        yield running


@pytest.fixture
def identity(oracle: OracleCloud) -> Iterator[Identity]:
    with Identity(oracle) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(folder: Path, program: str, metadata: str, api: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """What the program did, and with which words it called `shutdown`. It lies on a node without its ending."""
    for name in ("end.py", "stop.sh"):
        shutil.copy(PROGRAMS / name, folder / name.partition(".")[0])
    off = folder / "off"
    (folder / "shutdown").write_text(f'#!/bin/sh\necho "$@" >{off}\n')
    for each in ("end", "stop", "shutdown"):
        (folder / each).chmod(0o755)
    said = {
        "SKYRIG_METADATA": metadata,
        "SKYRIG_OCI_AUTH": metadata,
        "SKYRIG_OCI_API": api,
        "SKYRIG_PATIENCE_S": "0",
        "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run([str(folder / program)], env=said, capture_output=True, text=True, timeout=60, check=False)
    return done, off.read_text().strip() if off.exists() else ""


@pytest.mark.parametrize(("program", "call", "state"), [
    ("end", f"DELETE /instances/{MACHINE}", "TERMINATED"), ("stop", f"SOFTSTOP /instances/{MACHINE}", "STOPPED"),
])  # fmt: skip
def test_the_machine_ends_or_stops_itself_and_no_other(
    oracle: OracleCloud, identity: Identity, tmp_path: Path, program: str, call: str, state: str
) -> None:
    done, off = run(tmp_path, program, identity.address, f"{oracle.url}/iaas/{REGION}")
    assert (done.returncode, off, done.stderr) == (0, "", "")
    assert oracle.calls == [call] and oracle.things[f"/instances/{MACHINE}"]["lifecycleState"] == state
    assert identity.wrong == [] and oracle.unsigned == []
    assert identity.argv and not any(b"PRIVATE KEY" in line or b"a-token" in line for line in identity.argv)


def test_who_gets_no_token_powers_off_and_says_why(oracle: OracleCloud, identity: Identity, tmp_path: Path) -> None:
    identity.status = 401
    done, off = run(tmp_path, "stop", identity.address, f"{oracle.url}/iaas/{REGION}")
    assert (done.returncode, off) == (1, "-P now") and oracle.calls == []
    assert "cannot stop itself, it powers off and is paid for still: HTTP 401" in done.stderr
    assert "PRIVATE KEY" not in done.stderr


def test_where_nobody_answers_it_powers_off(tmp_path: Path) -> None:
    done, off = run(tmp_path, "end", "http://127.0.0.1:9", "http://127.0.0.1:9")
    assert (done.returncode, off) == (1, "-P now") and "cannot terminate itself" in done.stderr


def test_a_machine_of_oracles_calls_as_itself_from_here_too(
    oracle: OracleCloud, identity: Identity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who runs Skyrig on such a machine needs no key: auth InstancePrincipal."""
    monkeypatch.setattr(principal, "_held", [])
    for name, value in oracle.env(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in {
        "OCI_AUTH": "InstancePrincipal",
        "OCI_METADATA_BASE_URL": f"{identity.address}/opc/v2",
        "SKYRIG_OCI_AUTH": identity.address,
    }.items():
        monkeypatch.setenv(name, value)
    assert session.tenancy() == TENANCY
    door = Door(TENANCY, REGION)
    assert [each["regionName"] for each in door.regions] == [REGION] and oracle.unsigned == []
    assert session.caller().who == f"the machine {MACHINE}" and "a-token" not in repr(session.caller())
