"""The example trains on pods by the very words that train it on this machine: what differs is where the cluster is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lab_plugin
import pytest
from kubernetes_lab import Lab
from lab_images import TORCH
from user import BIN, User, end_nodes

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

WHERE = {
    "local": ("--infra", "local"),
    "kubernetes": ("--infra", "k8s/team", "--cpus", "1", "--image-id", f"docker:{TORCH}"),
}
"""What `up` is told of each place; CPU nodes have no torch there unless their image is named."""
STEPS = 40
LONG_S = 1200.0


@contextmanager
def cluster(lab: Lab, folder: Path, cloud: str) -> Iterator[User]:
    """Somebody with a cluster of two nodes there; taken away at the end, and then nothing of it is left."""
    user = User(folder, f"mingpt-{os.getpid()}")
    path = f"{lab_plugin.put(folder / 'bin')}:{BIN}:{os.environ['PATH']}"
    user.env |= {"KUBECONFIG": str(lab.kubeconfig), "SKYRIG_KUBE_CONTEXTS": "team", "PATH": path}
    try:
        user.run("up", "-c", user.stack, "--nodes", "2", *WHERE[cloud], "-y", timeout=LONG_S)
        yield user
    finally:
        user.run("down", "-c", user.stack, "-y", check=None, timeout=LONG_S)
        end_nodes(user.home)
        assert not lab.pods("team")


def losses(said: bytes) -> dict[tuple[str, int], str]:
    """Loss by rank and step, as printed."""
    found = re.findall(r"^\(rank (\d+), \S+\) .*?step (\d+)/\d+ loss (\S+) ", said.decode(), re.M)
    return {(rank, int(step)): loss for rank, step, loss in found}


def test_train_says_the_same_there_as_here(lab: Lab, tmp_path: Path) -> None:
    told = {}
    for cloud in WHERE:
        with cluster(lab, tmp_path / cloud, cloud) as user:
            words = ("train", "-c", user.stack, "--nodes", "2", "--", "--steps", str(STEPS), "--text", "200000")
            done = user.run(*words, timeout=LONG_S)
            for rank in (0, 1):
                assert f"rank {rank} of world size 2 starting".encode() in done.out, done.told()
            told[cloud] = losses(done.out)
    assert told["kubernetes"].keys() == told["local"].keys() and (str(0), STEPS) in told["local"]
    assert told["kubernetes"] == told["local"], "the same numbers out of the same seed"
