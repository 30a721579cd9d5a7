"""What is read of stacks and nodes without the engine."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyrig import places
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.errors import EngineError
from skyrig.stack import backend, engine, project, ssh_files, stacks, status


@pytest.fixture(autouse=True)
def _in_the_project(project_folder: Path) -> None:
    """Every test here runs in a project of its own."""


def cluster(*ports: int) -> ClusterDescription:
    """A cluster with one node a port of this machine."""
    nodes = tuple(
        Node(f"n{rank}", rank, "127.0.0.1", port, "127.0.0.1", "me", "ssh-ed25519 AAAA", "1")
        for rank, port in enumerate(ports)
    )
    return ClusterDescription("box", "local", nodes, SshAccess("ssh-ed25519 BBBB", "private"), "file:///nowhere")


def test_nodes_are_up_that_greet_as_ssh_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "PROBE_S", 0.5)

    async def probed() -> list[str]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-test\r\n")
            await writer.drain()
            writer.close()

        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail\r\n")
            writer.close()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (greet, other, silent, other)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        servers[3].close()
        found = await status._cluster("box", cluster(*ports))
        for server in servers:
            server.close()
        assert found.status == "DEGRADED"
        return [node.status for node in found.nodes]

    assert asyncio.run(probed()) == ["UP", "DOWN", "DOWN", "DOWN"]


def test_plain_ssh_understands_the_files(tmp_path: Path) -> None:
    file = ssh_files.write("box", cluster(2201, 2202))
    assert (places.stack("box") / "key").stat().st_mode & 0o777 == 0o600
    if shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client here")
    told = subprocess.run(["ssh", "-G", "-F", str(file), "box-worker1"], capture_output=True, text=True, check=True)
    options = dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)
    assert (options["hostname"], options["port"], options["user"]) == ("127.0.0.1", "2202", "me")
    assert options["stricthostkeychecking"] in ("true", "yes")
    assert options["userknownhostsfile"].strip('"') == str(places.stack("box") / "known_hosts")


def test_a_stack_is_selected_by_variable_then_by_note_then_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stacks.selected() == "dev"
    note = project.selection_file(backend.engine_home())
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"stacks": {backend.url(): "organization/skyrig/mine", "file:///x": "no"}}))
    assert stacks.selected() == "mine"
    monkeypatch.setenv("PULUMI_STACK", "organization/skyrig/other")
    assert stacks.selected() == "other"


def test_the_users_own_backend_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.is_ours()
    backend.engine_home().mkdir()
    (backend.engine_home() / "credentials.json").write_text('{"current": "s3://bucket"}')
    assert (backend.url(), backend.folder()) == ("s3://bucket", None)
    (backend.engine_home() / "credentials.json").unlink()
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-none")
    assert backend.url() == "https://api.pulumi.com"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///data?no_tmp_dir=true")
    assert backend.folder() == Path("/data/.pulumi")
    assert not backend.is_ours()


def test_an_engine_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(EngineError, match=r"run \./rig"):
        engine.query(["version"])


def test_the_passphrase_is_made_once_and_for_its_owner_alone() -> None:
    file = Path(engine.environment()["PULUMI_CONFIG_PASSPHRASE_FILE"])
    first = file.read_text()
    assert len(first) > 30
    assert file.stat().st_mode & 0o777 == 0o600
    engine.environment()
    assert file.read_text() == first
    assert sorted(each.name for each in file.parent.iterdir()) == ["passphrase", "state"]


def test_a_lost_passphrase_is_not_made_anew_under_stacks_that_need_it() -> None:
    file = Path(engine.environment()["PULUMI_CONFIG_PASSPHRASE_FILE"])
    state = backend.state_file("s")
    assert state is not None
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    file.unlink()
    with pytest.raises(EngineError, match="is gone"):
        engine.environment()
