"""State or passphrase lost, and nodes of this machine still there: found, kept from harm, ended."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from user import User, cluster_of

from skyrig import places
from skyrig.cluster.description import ClusterDescription
from skyrig.fleet.connection import Credentials, connect
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import from_description
from skyrig.launch import admission
from skyrig.stack import described, lost

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a cluster of one CPU node."""
    with cluster_of(tmp_path_factory.mktemp("lost"), 1) as made:
        yield made


def state(person: User) -> Path:
    return person.home / "state" / ".pulumi" / "stacks" / "skyrig" / f"{person.stack}.json"


def as_person(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the user."""
    for name in [each for each in os.environ if each.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    for name in ("SKYRIG_HOME", "PULUMI_HOME"):
        monkeypatch.setenv(name, person.env[name])
    monkeypatch.chdir(person.clone)


async def _greets(cluster: ClusterDescription, key: str) -> str:
    connection = await connect(from_description(cluster, cluster.head.id), Credentials(key))
    async with connection:
        return str((await connection.run("echo $SKYRIG_NODE_ID; echo hello")).stdout)


def test_a_key_that_is_let_in_for_a_moment_stays(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    as_person(person, monkeypatch)
    cluster = described.describe(person.stack)
    assert cluster is not None
    new = asyncssh.generate_private_key("ssh-ed25519")
    public = new.export_public_key().decode().strip()
    told = evolve(cluster, ssh=evolve(cluster.ssh, public_key=public))
    assert asyncio.run(admission.keep(told, ["n0"])) == {}
    assert "hello" in asyncio.run(_greets(cluster, new.export_private_key().decode()))
    nobody = evolve(told, nodes=tuple(evolve(node, port=9) for node in told.nodes))
    monkeypatch.setattr(admission, "PATIENCE_S", 0.5)
    assert "does not answer" in asyncio.run(admission.keep(nobody, ["n0"]))[cluster.head.id]


def test_what_is_known_is_left_alone(person: User) -> None:
    seen = person.run("down", "--by-tag", "--infra", "local", "-y")
    assert any(line.startswith(person.stack) and line.endswith("known") for line in seen.lines)
    assert f"left alone: {person.stack}" in seen.told() and person.nodes()["n0"]["status"] == "UP"
    assert "--infra goes with --by-tag" in person.run("down", "--infra", "local", check=2).told()
    refused = person.run("adopt", "-c", person.stack, "--infra", "local", check=2)
    assert "nodes of this machine are made anew in seconds" in refused.told()


def test_a_state_that_nobody_can_use_is_told_from_other_errors(person: User, monkeypatch: pytest.MonkeyPatch) -> None:
    as_person(person, monkeypatch)
    assert lost.reason(person.stack) == ""
    right = places.passphrase().read_text()
    places.passphrase().write_text("another one")
    try:
        assert "passphrase" in lost.reason(person.stack) and lost.hit(person.stack) == [person.stack]
        places.passphrase().unlink()
        assert "is gone" in lost.reason(person.stack)
        assert lost.hit("another") == [person.stack]  # it stands in the way of every stack there
    finally:
        places.passphrase().write_text(right)
    whole = state(person).read_bytes()
    try:
        state(person).write_bytes(b"")  # an engine that was killed while it wrote
        assert "failed to load checkpoint" in lost.reason(person.stack)
    finally:
        state(person).write_bytes(whole)


def test_with_no_state_nothing_goes_without_a_yes_and_the_only_key_is_kept(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_person(person, monkeypatch)
    before = described.describe(person.stack)
    away = (person.home / "state").rename(person.home / "elsewhere")
    refused = person.run("down", "--by-tag", "--infra", "local", check=2)
    assert f"remove {person.stack} on local: 1 machine (-y agrees to that; nothing was removed)" in refused.told()
    nothing = person.run("down", "--by-tag", "--infra", "local", "-c", "another", "-y", check=2)
    assert "nothing is there under the tag of another" in nothing.told()
    assert person.nodes()["n0"]["status"] == "UP"
    assert described.describe(person.stack) is None  # what only looks deletes nothing
    assert before is not None and before.ssh.private_key and described.lost(person.stack) == before
    shutil.rmtree(person.home / "state", ignore_errors=True)
    away.rename(person.home / "state")
    assert described.describe(person.stack) == before


def test_without_a_passphrase_its_state_is_put_aside_and_its_nodes_end(person: User) -> None:
    (person.home / "passphrase").write_text("another one")
    before = state(person).read_bytes()
    done = person.run("down", "--by-tag", "--infra", "local", "-c", person.stack, "-y")
    [aside] = state(person).parent.glob(f"{person.stack}.json.lost-*")
    assert f"is put aside: {aside}" in done.told() and aside.read_bytes() == before and not state(person).exists()
    assert f"{person.stack}: nothing of it is left on local" in done.told() and person.nodes() == {}
    assert not (person.home / "stacks" / person.stack / "cluster.lost.json").exists()
