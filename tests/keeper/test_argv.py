"""What stands in the command lines of our own processes: a task may end its processes by name, and must not hit us."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from keeper_cluster import KeeperCluster, until

from skyrig.launch.job import CONVERTER
from skyrig.launch.program import UserText
from skyrig.launch.render import render_launch, render_setup

WORDS = ("ray start", "torchrun", "deepspeed", "train.py", "vllm", "a-word-of-the-user")
TEXT = "# ray start; torchrun --nnodes 2 train.py; deepspeed --num_nodes 2 train.py; vllm a-word-of-the-user\n"


def command_lines(cluster: KeeperCluster) -> list[str]:
    """Of everything that lives on the nodes."""
    found = []
    for pid in cluster.processes():
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_no_word_of_a_text_is_in_a_command_line_of_ours(cluster: KeeperCluster) -> None:
    text = TEXT + "if false; then torchrun --nnodes 2 x; ray start; fi\n"
    text += "touch ~/begun; until [ -e ~/go ]; do sleep 0.05; done"
    request = cluster.request("", 2) | {
        "run": CONVERTER.unstructure(render_launch(UserText(text), "plain", 2)),
        "setup": CONVERTER.unstructure(render_setup(TEXT)),
    }
    job = cluster.ask(op="submit", request=request)["record"]["id"]
    until(lambda: all((node.home / "begun").exists() for node in cluster.nodes), "both texts run")
    lines = command_lines(cluster)
    assert sum("/run.sh" in line for line in lines) >= 2
    assert sum("supervisor" in line for line in lines) >= 4
    assert [line for line in lines for word in WORDS if word in line] == []
    for node in cluster.nodes:
        (node.home / "go").touch()
    assert cluster.ended(job)["status"] == "SUCCEEDED"
