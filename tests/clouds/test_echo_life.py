"""The life of clusters on Google Cloud and Azure: plain `pulumi`, the real engine and SDKs, an echo in the cloud's
place that takes anything and keeps nothing, and a power API on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure import manager
from gcp.compute_server import ComputeServer
from servers import plugins
from user import BIN, User

from components.azure.names import machine
from skyrig.clouds.azure.names import resource_group
from skyrig.clouds.gcp import names as gcp_names

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
MOST_PREVIEW_S = 30.0
"""A preview of two nodes takes 5 to 7 s on two cores that have nothing else to do; here it shares them."""

SAID = {"nodes": ["n0", "n1"], "sshFrom": ["203.0.113.7/32"], "owner": "ada", "task": "train", "networkTier": "best"}


class EchoUser(User):
    """A user whose cloud is an echo."""

    def __init__(self, folder: Path, stack: str, **env: str) -> None:
        super().__init__(folder, stack)
        self.log = folder / "echo.jsonl"
        path = f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}"
        self.env |= {"PATH": path, "ECHO_LOG": str(self.log), **env}

    def wants(self, **config: Any) -> None:
        """Write the stack's config."""
        file = self.clone / "stacks" / f"Pulumi.{self.stack}.yaml"
        document = yaml.safe_load(file.read_text()) if file.exists() else {}
        document.setdefault("config", {}).update({f"skyrig:{key}": value for key, value in config.items()})
        file.write_text(yaml.safe_dump(document))

    def pulumi(self, *words: str, code: int = 0) -> str:
        """A plain engine command in the clone; what it said."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        done = subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, timeout=300, check=False)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == code, said
        return said

    def did(self) -> Counter[str]:
        """What the cloud was asked since the last look, by operation: previews are not counted."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.log.write_text("")
        return Counter(call["op"] for call in calls if not call.get("preview"))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Nodes in the stack's description, by id."""
        described = json.loads(self.pulumi("stack", "output", "--json").partition("\n\n")[0])["cluster"]
        return {node["id"]: node for node in described["nodes"]}


UP = ("up", "--yes", "--skip-preview")


def live(person: EchoUser, off: Sequence[str]) -> None:
    """Up, nothing to do, a node that stopped itself (by `off`) stays off, starts, stops, and all goes."""
    person.pulumi("stack", "init")
    started = time.monotonic()
    person.pulumi("preview")
    assert time.monotonic() - started < MOST_PREVIEW_S
    assert person.did()["create"] == 0
    person.pulumi(*UP)
    made = person.did()["create"]
    assert made > 10 and set(person.nodes()) == {"n0", "n1"}
    person.pulumi("preview", "--expect-no-changes")
    assert person.nodes()["n1"]["jump"] == "n0" and not person.nodes()["n0"]["jump"]
    switch(person, off)
    person.wants(power="stopped")
    person.pulumi(*UP)
    assert {node["power"] for node in person.nodes().values()} == {"stopped"}
    person.did()
    person.pulumi("destroy", "--yes", "--skip-preview")
    assert person.did()["delete"] == made


def switch(person: EchoUser, off: Sequence[str]) -> None:
    """A node stopped itself: an up with a look at the cloud leaves it, another number of starts starts it."""
    person.did()
    person.pulumi(*UP, "--refresh")
    assert person.did().keys().isdisjoint({"create", "update", "delete"})
    assert [node for node, said in person.nodes().items() if said["power"] == "stopped"] == list(off)
    person.wants(starts=1)
    person.pulumi(*UP)
    assert {said["power"] for said in person.nodes().values()} == {"up"}


@pytest.fixture
def compute() -> Iterator[ComputeServer]:
    with ComputeServer() as server:
        yield server


def test_google_cloud(tmp_path: Path, compute: ComputeServer) -> None:
    token = {"GOOGLE_OAUTH_ACCESS_TOKEN": "test", "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": compute.endpoint}
    person = EchoUser(tmp_path, "gee", **token)
    cluster = gcp_names.cluster_name("gee")
    machines = {node: gcp_names.machine_name(cluster, node, 1) for node in ("n0", "n1")}
    compute.machines = dict.fromkeys(machines.values(), "RUNNING")
    compute.machines[machines["n1"]] = "TERMINATED"
    kind = {"instanceType": "a3-megagpu-8g", "region": "us-central1", "zone": "us-central1-a"}
    person.wants(cloud="gcp", **SAID, **kind, account="lab-project")
    live(person, ["n1"])
    assert [call.split()[0] for call in compute.calls] == ["start", "stop", "stop"]


def test_azure(tmp_path: Path) -> None:
    power = manager.Manager()
    server = manager.serve(power)
    try:
        person = EchoUser(tmp_path, "zed", SKYRIG_AZURE_LOOPBACK=power.address, ECHO_SUBSCRIPTION=SUBSCRIPTION)
        group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group('zed')}"
        path = f"{group}/providers/Microsoft.Compute/virtualMachines/{{}}".lower()
        machines = {node: path.format(machine(node, 1)) for node in ("n0", "n1")}
        power.machines = {machines["n0"]: "running", machines["n1"]: "deallocated"}
        kind = {"instanceType": "Standard_ND96isr_H100_v5", "region": "eastus2"}
        person.wants(cloud="azure", **SAID, **kind, account=SUBSCRIPTION)
        live(person, ["n1"])
        switched = [asked for asked in power.asked if asked.endswith(("start", "deallocate"))]
        assert switched[-2:] == ["POST deallocate"] * 2 and set(switched[:-2]) == {"POST start"}  # one that runs stays
    finally:
        server.shutdown()
        server.server_close()
