"""How the text of a task runs: in bash as a login to the node has it, and with the job's own variables on top."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ranks

from skyrig.launch.program import Script, UserText
from skyrig.launch.render import render_launch, render_setup

GUARDED_BASHRC = """
[ -z "$PS1" ] && return
case $- in *i*) ;; *) return ;; esac
echo noise; echo noise >&2
export FROM_RC='spaces and "quotes"' CLASH=rc PATH=~/bin:$PATH
shout() { printf '%s!\\n' "$1"; }
alias hello='echo aliased'
cd /
"""


def one_rank(text: str, folder: Path, bashrc: str | None = None, **env: str) -> ranks.Rank:
    """What became of a text on one node whose .bashrc is `bashrc`."""
    if bashrc is not None:
        (folder / "home" / "bin").mkdir(parents=True)
        (folder / "home" / ".bashrc").write_text(bashrc)
    (only,) = ranks.run(render_launch(UserText(text), "plain"), folder, nodes=1, env=env)
    return only


@pytest.mark.parametrize(
    ("text", "code", "log"),
    [
        ("", 0, ""),
        ("false\necho goes on", 0, "goes on\n"),
        ("echo a | grep -q b", 1, ""),
        ("exit 9\necho never", 9, ""),
        ("set -e\nfalse\necho never", 1, ""),
        ("kill -9 $$", -9, ""),
        ('cat; echo "$#"', 0, "0\n"),
        ("echo 'no end of line'", 0, "no end of line\n"),
    ],
)
def test_the_exit_code_is_the_one_of_the_text(tmp_path: Path, text: str, code: int, log: str) -> None:
    assert one_rank(text, tmp_path) == ranks.Rank(code, log, {})


def test_bytes_of_the_text_survive(tmp_path: Path) -> None:
    text = b"printf '%s' '\xff\xfe {{ x }} $HOME \r'"
    assert one_rank(text.decode(errors="surrogateescape"), tmp_path).log.encode(errors="surrogateescape") == (
        b"\xff\xfe {{ x }} $HOME \r"
    )


def test_a_bashrc_for_interactive_shells_counts(tmp_path: Path) -> None:
    (tmp_path / "home" / "bin").mkdir(parents=True)
    (tmp_path / "home" / "bin" / "tool").write_text("#!/bin/sh\necho tool\n")
    (tmp_path / "home" / "bin" / "tool").chmod(0o755)
    (tmp_path / "home" / ".bashrc").write_text(GUARDED_BASHRC)
    text = 'echo "$FROM_RC"; shout hey; hello; tool; echo "$CLASH"; basename "$PWD"; basename "$(/bin/pwd)"'
    got = one_rank(text, tmp_path, CLASH="job")
    assert got.log.splitlines() == ['spaces and "quotes"', "hey!", "aliased", "tool", "job", "workdir", "workdir"]


@pytest.mark.parametrize("bashrc", ["exit 3", "exec /bin/false", "if", "set -e; false", "exec >/dev/null 2>&1"])
def test_a_broken_bashrc_does_not_end_the_job(tmp_path: Path, bashrc: str) -> None:
    assert one_rank("echo fine", tmp_path, bashrc).log == "fine\n"


def test_values_of_the_job_survive_a_bashrc_byte_for_byte(tmp_path: Path) -> None:
    value = "a 'b' \"c\" $d `e` \\ \n\t é 🚀 \udcff"
    got = one_rank("printf '%s' \"$ODD\"", tmp_path, "export ODD=other", ODD=value)
    assert got.log == value


def test_no_secret_is_on_disk_while_a_bashrc_is_read(tmp_path: Path) -> None:
    leak = tmp_path / "leak"
    bashrc = f"trap 'cp {tmp_path}/rank-0/shell.* {leak}' EXIT"
    got = one_rank("printf '%s' \"$TOKEN\"", tmp_path, bashrc, TOKEN="t0p-secret")
    assert got.log == "t0p-secret"
    assert leak.exists()
    assert "t0p-secret" not in leak.read_text()
    assert not list((tmp_path / "rank-0").glob("shell*"))


def test_setup_runs_its_text_in_the_same_shell(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".bashrc").write_text("export FROM_RC=yes")
    (got,) = ranks.run(render_setup("echo $FROM_RC $SKYRIG_RANK_DIR; false"), tmp_path, nodes=1)
    assert got == ranks.Rank(1, f"yes {tmp_path}/rank-0\n", {})


def test_setup_sees_every_gpu_unless_the_task_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".bashrc").write_text("export CUDA_VISIBLE_DEVICES=7")
    text = 'echo "${CUDA_VISIBLE_DEVICES-unset}"'
    for env, seen in (({}, "unset\n"), ({"CUDA_VISIBLE_DEVICES": "1"}, "1\n")):
        folder = tmp_path / seen.strip()
        folder.mkdir()
        (folder / "home").symlink_to(tmp_path / "home")
        assert ranks.run(render_setup(text), folder, nodes=1, env=env) == [ranks.Rank(0, seen, {})]


def test_a_text_sees_its_own_address_and_hostfile(tmp_path: Path) -> None:
    text = 'echo "$GLOO_SOCKET_IFNAME $TP_SOCKET_IFNAME"; cat "$SKYRIG_HOSTFILE"'
    got = ranks.run(render_launch(UserText(text), "plain"), tmp_path, nodes=2)
    loopback = "lo" if os.uname().sysname == "Linux" else "lo0"
    assert [rank.log for rank in got] == [f"{loopback} {loopback}\ntest slots=1\ntest-worker1 slots=1\n"] * 2


def test_the_users_choice_of_interface_stays(tmp_path: Path) -> None:
    assert one_rank('echo "$GLOO_SOCKET_IFNAME"', tmp_path, GLOO_SOCKET_IFNAME="ib0").log == "ib0\n"


def test_a_rank_is_told_that_its_node_has_no_fabric(tmp_path: Path) -> None:
    got = one_rank('echo "$SKYRIG_FABRIC_DEVICES"', tmp_path, SKYRIG_FABRIC="efa")
    assert got.log.startswith("[skyrig] the network of this cluster is efa, and this node has no EFA device")
    assert got.log.endswith("\n0\n")


def test_a_node_without_python_says_so(tmp_path: Path) -> None:
    scripts = render_launch(Script("x.py"), "plain")
    (got,) = ranks.run(scripts, tmp_path, nodes=1, env={"PATH": "/nowhere"})
    assert got.code == 127
    assert "no python on the PATH" in got.log
