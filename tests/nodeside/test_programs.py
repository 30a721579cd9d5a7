"""Programs that a task finds on a node which has none of their name: sky, uv, nvidia-smi; and what is said of conda."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from render import ranks

from skyrig.fleet.local.declared import nvidia_smi
from skyrig.launch import mends
from skyrig.launch.program import UserText
from skyrig.launch.render import render_launch, render_setup

PYTHON = Path(sys.executable).parent


def program(folder: Path, name: str, text: str) -> str:
    """A folder with one program, for PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return str(folder)


def run(text: str, folder: Path, nodes: int = 1, **env: str) -> list[ranks.Rank]:
    """What became of a `run` text."""
    return ranks.run(render_launch(UserText(text), "plain", nodes), folder, nodes=nodes, env=env)


def test_sky_tells_the_nodes_of_the_job_and_nothing_else(tmp_path: Path) -> None:
    text = "sky show ips --internal; sky show ips\n"
    text += "for w in status 'show ipsx' 'show ips --all' ''; do sky $w; echo $?; done"
    for rank in run(text, tmp_path, 2, SKYPILOT_NODE_IPS="mine"):
        refused = "sky: nodes know only 'sky show ips'; run the rest where you launched this job\n2\n"
        assert rank.log == "127.0.0.1\n127.0.0.1\n" * 2 + refused * 4


def test_sky_tells_all_nodes_in_setup(tmp_path: Path) -> None:
    env = {"SKYRIG_SETUP_NODE_IPS": "10.0.0.1\n10.0.0.2"}
    (got,) = ranks.run(render_setup("unset SKYRIG_NODE_IPS; sky show ips --internal"), tmp_path, nodes=1, env=env)
    assert got.log == "10.0.0.1\n10.0.0.2\n"


def test_a_real_program_wins_also_one_that_comes_later(tmp_path: Path) -> None:
    path = program(tmp_path / "real", "sky", "#!/bin/sh\necho real\n")
    later = program(tmp_path / "later", "uv", "#!/bin/sh\necho later\n")
    text = f"sky show ips; export PATH=$PATH:/x; PATH={later}:$PATH; uv pip"
    (got,) = run(text, tmp_path, PATH=f"{path}:{os.defpath}")
    assert got.log == "real\nlater\n"


def test_uv_pip_goes_on_by_pip(tmp_path: Path) -> None:
    path = program(tmp_path / "real", "python3", '#!/bin/sh\nfor w; do printf "%s|" "$w"; done; echo\n')
    text = "uv pip install --system -r 'my requirements.txt'; uv run x; echo $?"
    (got,) = run(text, tmp_path, PATH=f"{path}:{os.defpath}")
    said = "uv: it is not on this node, and only 'uv pip' can be had without it: pip install uv"
    assert got.log.splitlines() == ["-m|pip|install|-r|my requirements.txt|", said, "127"]


def test_a_missing_conda_is_said_once_and_other_programs_as_ever(tmp_path: Path) -> None:
    text = "conda activate base || true\nconda install x; echo $?\nno-such-program\ncommand -v conda; echo $?"
    (got,) = run(text, tmp_path)
    said, *rest = got.log.splitlines()
    assert said.startswith("[skyrig] no conda on this node")
    assert "uv venv" in said
    assert rest == ["127", f"{tmp_path}/rank-0/user.sh: line 3: no-such-program: command not found", "1"]


def test_a_conda_that_is_there_is_used(tmp_path: Path) -> None:
    hook = "#!/bin/sh\ncat <<'E'\nconda() { echo \"conda $*\"; }\nE\n"
    (got,) = run("conda activate base || true", tmp_path, PATH=f"{program(tmp_path / 'c', 'conda', hook)}:{os.defpath}")
    assert got.log == "conda activate base\n"


@pytest.fixture
def smi(tmp_path: Path) -> Path:
    """nvidia-smi of a node that declares two cards."""
    text = nvidia_smi({"name": "A100", "count": 2, "declared": True})
    assert text is not None
    return Path(program(tmp_path, "nvidia-smi", text), "nvidia-smi")


MARK = "(declared by Skyrig, not present)"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("-L", [f"GPU 0: A100 {MARK} (UUID: GPU-declared-0)", f"GPU 1: A100 {MARK} (UUID: GPU-declared-1)"]),
        ("--list-gpus -i 1", [f"GPU 1: A100 {MARK} (UUID: GPU-declared-1)"]),
        (
            "--query-gpu=index,memory.total,memory.used --format=csv",
            ["index, memory.total [MiB], memory.used [MiB]", "0, 40960 MiB, 0 MiB", "1, 40960 MiB, 0 MiB"],
        ),
        ("--query-gpu=name --format=csv,noheader", [f"A100 {MARK}"] * 2),
        ("--query-gpu memory.total --format csv,noheader,nounits", ["40960"] * 2),
        ("--query-gpu=memory.free,count --format=csv,nounits --id=0", ["memory.free [MiB], count", "40960, 2"]),
        ("--query-gpu=driver_version,uuid --format=csv,noheader -i 1", ["[N/A], GPU-declared-1"]),
    ],
)
def test_declared_cards_are_listed(smi: Path, words: str, lines: list[str]) -> None:
    done = subprocess.run([smi, *words.split()], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, lines, "")


@pytest.mark.parametrize(
    ("hides", "lost"), [("1\n", [1]), ("2\n", [0, 1]), ("7\n", [0, 1]), ("0\n", []), ("x\n", []), ("", [])]
)
def test_hidden_cards_have_fallen_off(tmp_path: Path, hides: str, lost: list[int]) -> None:
    hidden = tmp_path / "it's hidden"
    hidden.write_text(hides)
    text = nvidia_smi({"name": "A100", "count": 2, "declared": True}, hidden)
    command = Path(program(tmp_path, "nvidia-smi", text or ""), "nvidia-smi")
    words = ["--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run([command, *words], capture_output=True, text=True, timeout=10)
    assert [int(line) for line in done.stdout.split()] == [index for index in (0, 1) if index not in lost]
    assert done.returncode == (15 if lost else 0) and done.stderr.count("Unable to determine") == len(lost)


@pytest.mark.parametrize("words", ["", "topo -m", "-q -d MEMORY", "-L --unknown", "--query-gpu=name", "-i", "--format"])
def test_what_a_driver_would_have_to_say_is_refused(smi: Path, words: str) -> None:
    done = subprocess.run([smi, *words.split()], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (9, "", 1)
    assert "not present" in done.stderr


@pytest.mark.parametrize(("count", "declared"), [(0, True), (2, False), (0, False)])
def test_nodes_without_declared_cards_have_no_such_program(count: int, declared: bool) -> None:
    assert nvidia_smi({"name": "A100" if count else "", "count": count, "declared": declared}) is None


def test_the_program_is_sound_shell(smi: Path) -> None:
    done = subprocess.run([PYTHON / "shellcheck", smi], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


SUDO = {
    "a command": ("sudo printf x", "x"),
    "options before it": ("sudo -n -E -H --preserve-env=A -u root -- printf '%s|' -n 'two words'", "-n|two words|"),
    "a variable": ("sudo -n A='b c' sh -c 'printf \"$A\"'", "b c"),
    "a shell": ("echo printf x | sudo -s", "x"),
    "its code": ("sudo sh -c 'exit 7'; printf $?", "7"),
    "another user": ("sudo -u daemon id 2>&1; printf $?", "sudo: there is none here, so only root can be had\n1"),
}


@pytest.mark.parametrize(("text", "said"), SUDO.values(), ids=list(SUDO))
def test_root_does_without_sudo(text: str, said: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("this is for who is root")
    env = {"PATH": f"{program(tmp_path / 'fallbacks', 'sudo', mends.shim('sudo'))}:{os.defpath}"}
    assert subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True).stdout == said


def test_who_is_not_root_has_no_sudo() -> None:
    argv = ["sh", "-c", mends.shim("sudo"), "sudo", "id"]
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    done = subprocess.run(argv, capture_output=True, text=True, **user)  # type: ignore[call-overload]
    assert (done.returncode, done.stderr) == (127, "sudo: command not found\n")
