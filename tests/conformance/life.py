"""Somebody with a cluster in a world: our verbs, and what these say beside what the world knows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from user import BIN, Result, User
from worlds import Machine, World

from skyrig.cluster.description import ClusterDescription, from_json

LONG_S = 300.0


class Life:
    """One cluster in one world. `broken` is the step that failed: what comes after it says nothing."""

    def __init__(self, cloud: str, world: World, folder: Path, stack: str) -> None:
        self.cloud = cloud
        self.world = world
        self.broken = ""
        self.user = User(folder, stack)
        self.user.env |= world.env
        self.nodes = ["n0"] if "nodes" in world.because else ["n0", "n1"]
        file = self._file
        file.write_text(yaml.safe_dump({"config": {"skyrig:task": "train", "skyrig:owner": "ada"}}))

    @property
    def stack(self) -> str:
        """Name of the cluster."""
        return self.user.stack

    @property
    def _file(self) -> Path:
        return self.user.clone / "stacks" / f"Pulumi.{self.stack}.yaml"

    def config(self) -> str:
        """The stack's config."""
        return self._file.read_text()

    def lacks(self, step: str) -> str:
        """Why the cloud has no such step; "" where it has it."""
        return self.world.because.get(step, "")

    def run(self, *words: str, check: int | None = 0) -> Result:
        """One verb on the cluster, to its end."""
        return self.user.run(*words, check=check, timeout=LONG_S)

    def up(self, nodes: int, check: int | None = 0) -> Result:
        """`up` with so many nodes, agreed to."""
        return self.run("up", "-c", self.stack, *self.world.infra, "--nodes", str(nodes), "-y", check=check)

    def grown(self, nodes: int) -> Result:
        """`up` of what is there, with another number of nodes."""
        return self.run("up", "-c", self.stack, "--nodes", str(nodes), "-y")

    def engine(self, *words: str) -> str:
        """What a plain engine command says."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.user.clone, env=self.user.env, capture_output=True, timeout=LONG_S, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def described(self) -> ClusterDescription:
        """The stack's description, with the client's key."""
        said = json.loads(self.engine("stack", "output", "--json", "--show-secrets").partition("\n\n")[0])
        return from_json(said["cluster"])

    def incarnations(self) -> dict[str, str]:
        """Which machine is behind each node, as the stack tells it."""
        return {node.id: node.incarnation for node in self.described().nodes}

    def resources(self) -> list[dict[str, Any]]:
        """What the engine has in the stack's state, but for the stack itself."""
        found: list[dict[str, Any]] = json.loads(self.engine("stack", "export"))["deployment"].get("resources") or []
        return [each for each in found if each["type"] != "pulumi:pulumi:Stack"]

    def machines(self) -> Mapping[str, Machine]:
        """The truth."""
        return self.world.machines(self.stack)

    def status(self) -> dict[str, str]:
        """Status of each node, as `status` tells it."""
        [cluster] = self.user.json("status", "-c", self.stack)["clusters"]
        return {node["name"]: node["status"] for node in cluster["nodes"]}

    def whole_status(self) -> str:
        """Status of the cluster; "" where there is none."""
        return next((each["status"] for each in self.user.json("status", "-c", self.stack)["clusters"]), "")

    def is_true(self, *nodes: str) -> None:
        """`status` tells what is the case of `nodes`, and of these alone."""
        there = self.machines()
        assert set(there) <= set(nodes), "machines that nobody asked for"
        assert self.status() == {node: self._word(there.get(node)) for node in nodes}

    def _word(self, machine: Machine | None) -> str:
        if machine is not None and machine.power == "stopped":
            return "STOPPED"
        return "UP" if machine is not None and self.world.answers else "DOWN"


def one_line(result: Result, said: str) -> None:
    """A verb was refused: exit code 2, or 3 where no offer fits, what is wrong in one line with `said` (beside those on
    what was passed over), and nothing of Python's."""
    assert result.code in (2, 3), result.told()
    lines = [line for line in result.err.decode().splitlines() if not line.startswith("passed over: ")]
    assert sum(said in line for line in lines) == 1 and "Traceback" not in result.told(), result.told()
