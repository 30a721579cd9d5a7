"""Mended texts as they run: two ranks meet that would each have been alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from render import ranks

from skyrig.launch.program import UserText
from skyrig.launch.render import render_launch

MEET = """\
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total), flush=True)
dist.destroy_process_group()
"""

FAKE = '#!/bin/sh\nfor word; do printf "%s|" "$word"; done\necho "accelerator=${DS_ACCELERATOR-}"\nexit 5\n'

RANK, MASTER = "--no_ssh|--node_rank|{rank}", "--master_addr|{addr}"
CALLS = ["deepspeed", "bash -c 'deepspeed \"$@\"' x", "sh -c 'deepspeed \"$@\"' x", "env deepspeed"]


def run(text: str, folder: Path, **how: object) -> list[ranks.Rank]:
    """What became of a text on two nodes."""
    return ranks.run(render_launch(UserText(text), "plain", 2), folder, nodes=2, **how)


def fake_deepspeed(folder: Path) -> str:
    """A PATH on which a `deepspeed` tells its arguments and ends with code 5."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "deepspeed").write_text(FAKE)
    (programs / "deepspeed").chmod(0o755)
    return f"{programs}:{Path(sys.executable).parent}:{os.defpath}"


@pytest.mark.parametrize(
    "call",
    ["python -m torch.distributed.run --nnodes ${NNODES} --nproc_per_node 1", "torchrun --nnodes=$SKYPILOT_NUM_NODES"],
)
def test_torchrun_without_a_rank_meets_the_others(tmp_path: Path, call: str) -> None:
    pytest.importorskip("torch")
    text = f"cat > meet.$SKYPILOT_NODE_RANK.py <<'E'\n{MEET}E\n"
    text += "cat > l.$SKYPILOT_NODE_RANK.sh <<'E'\nset -eu\nNNODES=$(sky show ips --internal | wc -l)\n"
    text += f"{call} meet.$SKYPILOT_NODE_RANK.py\nE\nbash l.$SKYPILOT_NODE_RANK.sh"
    got = run(text, tmp_path)
    for number, rank in enumerate(got):
        assert rank.code == 0, rank.log
        assert f"rank {number} of 2 sum 3" in rank.log


def test_what_the_user_says_counts(tmp_path: Path) -> None:
    text = "true || torchrun --nnodes 2 x.py\nenv | grep ^PET_ | sort"
    first, second = run(text, tmp_path, env={"PET_NODE_RANK": "7", "MASTER_PORT": "1"})
    told = "PET_MASTER_ADDR=127.0.0.1\nPET_MASTER_PORT=1\nPET_NODE_RANK=7\n"
    assert (first.log, second.log) == (told, told)


@pytest.mark.parametrize(
    ("words", "added"),
    [
        ("--num_nodes 2 --num_gpus 1", f"{RANK}|--hostfile|{{host}}|{MASTER}|--master_port|{{port}}|"),
        ("--hostfile mine", f"{RANK}|{MASTER}|--master_port|{{port}}|"),
        ("--num_nodes=2 --master_port=1", f"{RANK}|--hostfile|{{host}}|{MASTER}|"),
        ("--module --num_nodes 2 --master_addr x", f"{RANK}|--hostfile|{{host}}|"),
        ("--num_nodes 2 --no_ssh --node_rank 9", ""),
        ("--num_nodes 2 --launcher slurm", ""),
        ("--num_gpus 2", ""),
    ],
)  # fmt: skip
def test_deepspeed_gets_what_it_needs_and_no_more(tmp_path: Path, words: str, added: str) -> None:
    text = "if false; then deepspeed --num_nodes 2 x.py; fi\n"
    text += f'deepspeed {words} "my train.py" --num_nodes 3 --launcher x\ncode=$?\n'
    text += 'echo "$SKYRIG_HOSTFILE|$MASTER_ADDR|$MASTER_PORT"; exit $code'
    for number, rank in enumerate(run(text, tmp_path, env={"PATH": fake_deepspeed(tmp_path)})):
        assert rank.code == 5
        told, where = rank.log.splitlines()
        host, addr, port = where.split("|")
        begin = added.format(rank=number, host=host, addr=addr, port=port)
        rest = "".join(f"{word}|" for word in [*words.split(), "my train.py", "--num_nodes", "3", "--launcher", "x"])
        assert told == f"{begin}{rest}accelerator={'cpu' if added else ''}"


@pytest.mark.parametrize("call", CALLS)
def test_deepspeed_is_helped_however_it_is_called(tmp_path: Path, call: str) -> None:
    text = f"if false; then deepspeed --num_nodes 2 x.py; fi\n{call} --num_nodes 2 train.py"
    for rank in run(text, tmp_path, env={"PATH": fake_deepspeed(tmp_path)}):
        assert (rank.code, rank.log.partition("|")[0]) == (5, "--no_ssh")


def test_deepspeed_of_an_environment_that_the_text_activates_is_helped_too(tmp_path: Path) -> None:
    path = fake_deepspeed(tmp_path)
    text = f"export PATH={tmp_path}/programs:$PATH\ndeepspeed --num_nodes 2 train.py"
    for rank in run(text, tmp_path, env={"PATH": path.partition(":")[2]}):
        assert (rank.code, rank.log.partition("|")[0]) == (5, "--no_ssh")


def test_a_missing_deepspeed_is_missed_in_the_usual_way(tmp_path: Path) -> None:
    for rank in run("deepspeed --num_nodes 2 train.py", tmp_path, env={"PATH": os.defpath}):
        assert (rank.code, rank.log) == (127, "deepspeed: command not found\n")


def test_real_deepspeed_meets_the_others(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="deepspeed is not installed here: ./rig setup deepspeed gets it")
    meet = MEET.replace("import os, torch,", "import sys, torch,")
    text = f"cat > meet.py <<'E'\n{meet}E\ndeepspeed --num_nodes 2 --num_gpus 1 meet.py"
    for number, rank in enumerate(run(text, tmp_path)):
        assert rank.code == 0, rank.log
        assert f"rank {number} of 2 sum 3" in rank.log
