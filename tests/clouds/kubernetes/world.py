"""A real Kubernetes for the suite of all clouds: pods run as processes in namespaces of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml
from worlds import Machine

sys.path.insert(0, str(Path(__file__).with_name("lab")))

import lab_plugin
import lab_programs
from kubernetes_lab import Lab
from lab_nodes import CPU

from skyrig.catalog import facts
from skyrig.clouds.kubernetes.names import CLUSTER, cluster_name

SPACE = "team"
_KINDS = (
    ("batch/v1", "Job"), ("v1", "Pod"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "Secret"),
    ("v1", "ServiceAccount"), ("networking.k8s.io/v1", "NetworkPolicy"),
)  # fmt: skip


class World:
    """Three nodes without accelerators, in the namespace of the context `team`."""

    lands = False
    answers = True
    moves = False
    because: Mapping[str, str] = {"stop": facts.of("kubernetes", "power")["refused"]["on-demand"]}
    infra: Sequence[str] = ["--infra", "k8s/team", "--cpus", "1"]
    accelerators = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        if lacking := lab_programs.missing():
            pytest.skip(lacking)
        self._lab = Lab(self._folder / "lab", [CPU.named(f"cpu-{n}") for n in (1, 2, 3)])
        self._lab.__enter__()
        path = f"{lab_plugin.put(self._folder / 'bin')}:{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
        self.env: Mapping[str, str] = {
            "KUBECONFIG": str(self._lab.kubeconfig), "SKYRIG_KUBE_CONTEXTS": "team", "PATH": path,
        }  # fmt: skip
        self.other: Mapping[str, str] = {"KUBECONFIG": str(self._elsewhere())}
        keys = [
            each["user"].get("client-key-data", "")
            for each in yaml.safe_load(self._lab.kubeconfig.read_text())["users"]
        ]
        self.secrets: Sequence[str] = [key for key in keys if key]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lab.close()

    def machines(self, stack: str) -> Mapping[str, Machine]:
        """The pods of a stack that have not ended."""
        return {
            pod["metadata"]["labels"]["skyrig-node"]: Machine(tags=pod["metadata"]["labels"])
            for pod in self._pods(stack)
        }

    def lose(self, stack: str, node: str) -> None:
        """Kill a pod, and have it gone."""
        [pod] = [pod for pod in self._pods(stack) if pod["metadata"]["labels"]["skyrig-node"] == node]
        self._lab.lose(pod, gone=True)

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("the keeper ends them")

    def left(self, stack: str) -> Sequence[str]:
        """All that has the cluster's label."""
        label = f"{CLUSTER}={cluster_name(stack)}"
        found = [(kind, each) for version, kind in _KINDS for each in self._lab.client.all(version, kind, SPACE, label)]
        return [f"{kind} {each['metadata']['name']}" for kind, each in found]

    def _pods(self, stack: str) -> list[dict[str, Any]]:
        pods = self._lab.pods(SPACE, f"{CLUSTER}={cluster_name(stack)}")
        return [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    def _elsewhere(self) -> Path:
        """A kubeconfig whose context of that name leads into another namespace."""
        said = yaml.safe_load(self._lab.kubeconfig.read_text())
        for each in said["contexts"]:
            each["context"]["namespace"] = "default"
        file = self._folder / "other.kubeconfig"
        file.write_text(yaml.safe_dump(said))
        return file
