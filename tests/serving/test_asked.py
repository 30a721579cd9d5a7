"""From task files to services: files in, what is asked for out; what cannot be is told in a line."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.serve.client import asked, pem
from skyrig.serve.client.asked import Said
from skyrig.serve.spec import CONVERTER, Tls, Update
from skyrig.task import frontdoor, reading, writing
from skyrig.task.model import Task

CASES = Path(__file__).parent / "asked"


def task_of(file: Path) -> Task:
    """The task of a case."""
    return reading.load(file, env={}, secrets={}).only()


def plain(found: asked.Asked) -> dict[str, Any]:
    """What is asked for, as data."""
    return {
        "spec": CONVERTER.unstructure(found.spec),
        "notes": list(found.notes),
        "keys": list(found.keys),
        "open": [list(each.ports or ()) for each in found.task.choice.each],
        "variables": sorted({**found.task.env, **found.task.secrets}),
    }


@pytest.mark.parametrize("file", sorted((CASES / "good").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_a_file_asks_for(file: Path) -> None:
    wanted = json.loads(file.with_suffix(".json").read_text())
    assert plain(asked.of(task_of(file), "m")) == wanted


@pytest.mark.parametrize("file", sorted((CASES / "bad").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_cannot_be(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "bad")
    with pytest.raises(BadInput) as error:
        asked.of(task_of(Path(file.name)), "m")
    assert str(error.value) == file.with_suffix(".txt").read_text().rstrip("\n")


def test_a_key_leaves_as_its_digest_alone() -> None:
    found = asked.of(task_of(CASES / "good" / "all.yaml"), "m")
    digest = hashlib.sha256(b"another-key-of-many-letters").hexdigest()
    assert digest in found.spec.entrance.keys
    told = json.dumps(plain(found)) + repr(found)
    assert "key-of-many-letters" not in told
    assert asked.OWN_KEY not in found.task.secrets


def test_what_was_said_goes_before_the_file() -> None:
    task = task_of(CASES / "good" / "all.yaml")
    said = Said(3, 9000, "rolling", ("HF_TOKEN_OF_MANY",), 5, 0.5, alone=False)
    secrets = {**task.secrets, "HF_TOKEN_OF_MANY": "hf_0123456789abcdef"}
    spec = asked.of(evolve(task, secrets=secrets), "m", said).spec
    assert (spec.scaling.least, spec.scaling.most, spec.entrance.port, spec.update) == (3, 3, 9000, Update.ROLLING)
    assert (spec.entrance.max_body, spec.entrance.rate, spec.alone, len(spec.entrance.keys)) == (5, 0.5, False, 2)


def test_without_a_balancer() -> None:
    one = asked.direct(asked.of(task_of(CASES / "good" / "plain.yaml"), "m"))
    assert (one.spec.entrance.direct, one.spec.entrance.port, one.task.resources.ports) == (True, 8123, ("8123",))
    for name, what in (("short", "several replicas"), ("all", "several replicas")):
        with pytest.raises(BadInput, match=f"{what} need the balancer HAProxy"):
            asked.direct(asked.of(task_of(CASES / "good" / f"{name}.yaml"), "m"))


def test_the_section_survives_writing() -> None:
    task = task_of(CASES / "good" / "all.yaml")
    again = reading.loads(json.dumps(writing.of_task(task)), "again", env={}, secrets=task.secrets).only()
    assert again.config.front_door == task.config.front_door
    assert asked.of(again, "m").spec == asked.of(task, "m").spec


@given(st.integers(0, 2**40))
def test_sizes(number: int) -> None:
    assert frontdoor.size(str(number)) == number
    assert frontdoor.size(f"{number} KB") == frontdoor.size(f"{number}kib") == number * 1024
    assert frontdoor.size(f"-{number}") is None


NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def certificate(key: EllipticCurvePrivateKey, begins: int, ends: int) -> bytes:
    """A certificate that is good from and until so many days after NOW."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(NOW + datetime.timedelta(begins)).not_valid_after(NOW + datetime.timedelta(ends))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_certificates(tmp_path: Path) -> None:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    here, there = tmp_path / "cert.pem", tmp_path / "key.pem"

    def joined(begins: int, ends: int, of: EllipticCurvePrivateKey, passphrase: bytes = b"") -> str:
        lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        here.write_bytes(certificate(key, begins, ends))
        there.write_bytes(of.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return pem.joined(here, there, NOW)

    assert joined(-1, 1, key) == here.read_text() + there.read_text()
    for wanted, given_ in (
        (r"key\.pem is not the key of .*cert\.pem", (-1, 1, other)),
        (r"is over since 2025-12-31", (-2, -1, key)),
        (r"is valid from 2026-01-02", (1, 2, key)),
        (r"key\.pem is not a private key without a passphrase", (-1, 1, key, b"word")),
    ):
        with pytest.raises(BadInput, match=wanted):
            joined(*given_)
    there.write_text("no key")
    with pytest.raises(BadInput, match="is not a private key"):
        pem.joined(here, there, NOW)


def test_a_certificate_of_ones_own_makes_it_tls(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    days = (datetime.datetime.now(datetime.UTC) - NOW).days
    (tmp_path / "cert.pem").write_bytes(certificate(key, days - 1, days + 1))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    text = f"""
service: {{readiness_probe: /, ports: 8000, tls: {{certfile: {tmp_path}/cert.pem, keyfile: {tmp_path}/key.pem}}}}
run: serve
"""
    found = asked.of(reading.loads(text, "t", env={}, secrets={}).only(), "m")
    assert found.spec.entrance.tls is Tls.FILE
    assert "PRIVATE KEY" in found.secrets.pem
    assert "PRIVATE KEY" not in repr(found)
