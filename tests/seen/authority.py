"""A real ACME authority on loopback: pebble, which looks for the challenge itself, with a DNS server of its own."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skyrig import places
from skyrig.fleet.local.files import wait_for

MODULE = Path(__file__).parents[2] / "tools" / "acme"
VERSION = "2.10.1"
PROGRAMS = ("pebble", "pebble-challtestsrv")


@frozen
class Authority:
    """`directory` is its URL, `trust` a file with the certificate of its own server, `root` one with that which it
    signs with. It looks for challenges on `http_port`; `dns` is where its DNS server takes orders."""

    directory: str
    trust: Path
    root: Path
    http_port: int
    dns: str

    def lose(self, domain: str) -> None:
        """Have its DNS server fail for a domain; all others are 127.0.0.1."""
        urllib.request.urlopen(f"{self.dns}/set-servfail", json.dumps({"host": domain}).encode(), timeout=20).close()


def programs() -> Path:
    """The folder with pebble's programs, built once for all from pinned Go modules; skips where that cannot be."""
    folder = places.cache() / "pebble" / VERSION
    if not all((folder / name).exists() for name in PROGRAMS):
        if shutil.which("go") is None:
            pytest.skip("pebble is not here, and there is no Go to build it with")
        fresh = places.made(places.cache() / "pebble") / f"{VERSION}.{os.getpid()}"
        environment = {**os.environ, "CGO_ENABLED": "0"}
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-o={fresh}/", "tool"]
        built = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, env=environment)
        if built.returncode:
            pytest.skip(f"pebble cannot be built: {built.stderr.strip().splitlines()[-1]}")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free at the same time."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, private


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """One that is up, with its files in `folder`."""
    built = programs()
    acme, management, http, tls, dns, dns_management = free_ports(6)
    certificate, key = own_certificate(folder)
    config = folder / "pebble.json"
    profile = {"description": "sixty days", "validityPeriod": 60 * 86400}
    told = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": http,
        "tlsPort": tls,
        "profiles": {"default": profile},
    }
    config.write_text(json.dumps({"pebble": told}))
    names = [str(built / "pebble-challtestsrv"), "-dnsserver", f"127.0.0.1:{dns}", "-defaultIPv4", "127.0.0.1"]
    names += ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
    names += ["-management", f"127.0.0.1:{dns_management}"]
    issues = [str(built / "pebble"), "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}", "-strict"]
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_VA_ALWAYS_VALID": "0"}
    with (folder / "pebble.log").open("w") as log:
        running = [subprocess.Popen(each, stdout=log, stderr=log, env=environment) for each in (names, issues)]
    try:
        context = ssl.create_default_context(cafile=str(certificate))
        root = wait_for(lambda: _get(f"https://localhost:{management}/roots/0", context), patience_s=60)
        assert root, (folder / "pebble.log").read_text()
        assert wait_for(lambda: _get(f"http://localhost:{dns_management}/", context) is not None, patience_s=60)
        (folder / "root.pem").write_bytes(root)
        directory, resolver = f"https://localhost:{acme}/dir", f"http://localhost:{dns_management}"
        yield Authority(directory, certificate, folder / "root.pem", http, resolver)
    finally:
        for each in running:
            each.kill()
            each.wait()


def _get(url: str, context: ssl.SSLContext) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5, context=context if url.startswith("https") else None) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except OSError:
        return None
