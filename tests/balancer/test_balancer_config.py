"""HAProxy's configuration: compared with files that a person has read (SKYRIG_UPDATE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from skyrig.errors import BadInput
from skyrig.serve.balancer.config import Means, Places, render
from skyrig.serve.balancer.frontage import Frontage, Server, ServerState
from skyrig.serve.spec import ROUND_ROBIN, Entrance, Tls

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1"
KEY = hashlib.sha256(b"key").hexdigest()
SERVERS = (Server("r1", "10.0.0.1:8000"), Server("r2", "[fd00::2]:8000", ServerState.DRAIN))
CASES = {
    "plain": Frontage(Entrance(port=30001), SERVERS),
    "no-replica": Frontage(Entrance(port=30001, policy=ROUND_ROBIN), ()),
    "guarded": Frontage(Entrance(port=30001, keys=(KEY,), max_body=1 << 20, rate=2.5, stream_timeout_s=30), SERVERS),
    "openai": Frontage(Entrance(port=30001, openai=True), SERVERS),
    "small-bodies": Frontage(Entrance(port=30001, max_body=1000, rate=50), SERVERS[:1]),
    "tls": Frontage(
        Entrance(port=443, tls=Tls.ACME), SERVERS[:1], pem="-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
    ),
    "renewing": Frontage(
        Entrance(port=8443, tls=Tls.ACME),
        SERVERS[:1],
        pem="-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
        challenge="127.0.0.1:8089",
    ),
    "before-the-certificate": Frontage(Entrance(port=8443, tls=Tls.ACME), SERVERS[:1], challenge="127.0.0.1:8089"),
}
PLACES = Places(Path("/srv/it's/balancer"), Path("/srv/it's/balancer"))


@pytest.mark.parametrize("name", CASES)
def test_configurations_are_the_golden_ones(name: str) -> None:
    text = render(CASES[name], PLACES, Means()).text
    if UPDATE:
        (GOLDEN / f"{name}.cfg").write_text(text)
    assert (GOLDEN / f"{name}.cfg").read_text() == text


def test_no_golden_file_is_without_its_case() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_haproxy_takes_every_configuration(name: str, haproxy: Path, pem: str, tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    case = CASES[name]
    config = render(evolve(case, pem=pem) if case.pem else case, Places(folder, folder), Means())
    for file, text in config.files.items():
        (folder / file).write_text(text)
    (folder / "haproxy.cfg").write_text(config.text)
    found = subprocess.run([haproxy, "-c", "-f", folder / "haproxy.cfg"], capture_output=True, text=True, check=False)
    assert (found.returncode, "[WARNING]" in found.stderr) == (0, False), found.stderr


def test_servers_alone_do_not_change_the_stamp_and_all_else_does(pem: str) -> None:
    first = CASES["guarded"]
    same = render(evolve(first, servers=()), PLACES, Means())
    assert same.stamp == render(first, PLACES, Means()).stamp and "server r1" not in same.text
    entrance = first.entrance
    others = [
        first,
        evolve(first, servers=(), entrance=evolve(entrance, keys=(KEY, "0" * 64))),
        evolve(first, entrance=evolve(entrance, rate=3)),
        evolve(first, entrance=evolve(entrance, tls=Tls.FILE), pem=pem),
        evolve(first, entrance=evolve(entrance, tls=Tls.FILE), pem=pem + "\n"),
    ]
    assert len({render(each, PLACES, Means()).stamp for each in others}) == len(others)
    fixed = Means(dynamic=False)  # an older HAProxy learns of servers by a new configuration
    assert render(first, PLACES, fixed).stamp != render(evolve(first, servers=()), PLACES, fixed).stamp


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Server("a b", "h:1"), "cannot be called 'a b'"),
        (lambda: Server("r1\nserver x", "h:1"), "cannot be called"),
        (lambda: Server("r1", "10.0.0.1"), "no address"),
        (lambda: Server("r1", "h:1 weight 9"), "no address"),
        (lambda: Server("r1", "h:0"), "no address"),
        (lambda: Frontage(Entrance(port=0), ()), "0 is no port"),
        (lambda: Frontage(Entrance(keys=("key",)), ()), "1 of the API keys' digests"),
        (lambda: Frontage(Entrance(), (SERVERS[0], SERVERS[0])), "same name"),
        (lambda: Frontage(Entrance(), (), pem="key"), "not PEM"),
        (lambda: Frontage(Entrance(), (), challenge="here"), "no address"),
    ],
)
def test_what_haproxy_could_not_be_told_is_refused(made: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        made()  # type: ignore[operator]


def test_secrets_are_in_no_text_that_is_shown(pem: str) -> None:
    shown = Frontage(Entrance(tls=Tls.FILE), (), pem=pem)
    assert "PRIVATE" not in repr(shown)
    assert "PRIVATE" not in repr(render(shown, PLACES, Means())) + render(shown, PLACES, Means()).text
