"""What a job finds around it, and what must not leave it: environment, files, secrets, descriptors."""

from __future__ import annotations

import ast
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervised import PROGRAM, Rank, about, pids, until

from skyrig.launch import supervisor

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, ord("=")} & set(name))
VALUES = st.binary(max_size=60).map(lambda value: value.replace(b"\0", b""))


def escaped(data: bytes) -> str:
    """As the keeper holds bytes that may not be text."""
    return data.decode("utf-8", "surrogateescape")


@settings(max_examples=12, deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=40))
def test_environment_survives_byte_for_byte(env: dict[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rank = Rank(Path(folder))
        given_env = {escaped(name): escaped(value) for name, value in env.items()}
        follower = rank.start("/bin/cat /proc/$$/environ", env=given_env, files={"data": escaped(b"\xff\x00\n")})
        follower.end()
        seen = dict(entry.split(b"=", 1) for entry in follower.log.split(b"\0") if entry)
        expected = env | {b"SKYRIG_RANK_DIR": os.fsencode(rank.dir)}
        assert {name: seen.get(name) for name in expected} == expected
        assert (rank.dir / "data").read_bytes() == b"\xff\x00\n"
        rank.close()


def test_the_environment_is_inherited_too_and_the_spec_wins(rank: Rank) -> None:
    rank.popen["env"] = os.environ | {"INHERITED": "1", "BOTH": "ours"}
    rank.popen["env"].pop("PYTHONUNBUFFERED", None)
    follower = rank.start("echo $INHERITED $BOTH $PYTHONUNBUFFERED", env={"BOTH": "theirs"})
    follower.end()
    assert follower.log == b"1 theirs 1\n"


def test_the_users_choice_of_buffering_holds(rank: Rank) -> None:
    follower = rank.start("echo ${PYTHONUNBUFFERED-none}.", env={"PYTHONUNBUFFERED": ""})
    follower.end()
    assert follower.log == b".\n"


def test_session_folder_descriptors_and_signals(rank: Rank) -> None:
    read_end, write_end = os.pipe()
    rank.popen["pass_fds"] = (write_end,)
    follower = rank.start(
        "pwd; [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader; read x || echo eof; echo err >&2\n"
        "yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}; ls /proc/$$/fd; sleep 1000"
    )
    follower.saw(b"255")
    fds = follower.log.splitlines()
    assert fds[:5] == [os.fsencode(rank.cwd), b"leader", b"eof", b"err", b"141"]
    assert fds[5:] == [b"0", b"1", b"2", b"255"]
    os.close(write_end)
    follower.detach()
    assert os.read(read_end, 1) == b"", "the daemon must not hold what `start` inherited"
    os.close(read_end)


def test_files_of_a_folder_can_be_run_and_are_private(rank: Rank) -> None:
    os.umask(os.umask(0o022))
    script = "PATH=$SKYRIG_RANK_DIR/programs:$PATH; hello; exit 0"
    follower = rank.start(script, files={"programs/hello": "#!/bin/sh\necho hello\n"})
    follower.end()
    assert follower.log == b"hello\n"
    program = rank.dir / "programs" / "hello"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (program.parent, program)] == [0o700, 0o700]


@pytest.mark.parametrize("name", ["a/b/c", "../x", "x/..", "/etc", "a/", "proc/0.1", "log", "sock/x", "./run.sh", ""])
def test_no_file_leaves_the_folder_or_replaces_ours(rank: Rank, name: str) -> None:
    follower = rank.start("echo never", files={name: "x"})
    assert follower.process.wait(20) == 1
    assert follower.process.stderr
    assert b"file name" in follower.process.stderr.read()


def test_the_log_is_found_where_it_is_looked_for_too(rank: Rank, tmp_path: Path) -> None:
    link = tmp_path / "sky_logs" / "7-job" / "tasks" / "0-head.log"
    rank.start("echo words; exit 0", log_link=str(link)).end()
    assert link.is_symlink()
    assert link.read_bytes() == b"words\n"


def test_a_link_that_cannot_be_made_ends_nothing(rank: Rank, tmp_path: Path) -> None:
    (tmp_path / "sky_logs").write_text("a file of the user's")
    follower = rank.start("echo words; exit 0", log_link=str(tmp_path / "sky_logs" / "7-job" / "tasks" / "run.log"))
    assert follower.end()["code"] == 0
    assert follower.log == b"words\n"


def test_files_are_private(rank: Rank) -> None:
    os.umask(os.umask(0o022))
    rank.start("echo a; exit 0", files={"more.sh": "", "hosts": ""}).end()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in rank.dir.iterdir()}
    assert stat.S_IMODE(rank.dir.stat().st_mode) == 0o700
    assert modes["run.sh"] == modes["more.sh"] == 0o700
    assert {modes[name] for name in ("hosts", "log", "result", "daemon.lock", "supervisor.err")} == {0o600}


def test_secrets_lie_nowhere(rank: Rank) -> None:
    """In the environment of the job alone: not on disk, in no argv, in no other process's environment."""
    secret = "s3cr3t-" + os.urandom(8).hex()
    follower = rank.start("echo a; sleep 1000", env={"TOKEN": secret})
    follower.saw(b"a\n")
    mark = secret.encode()
    assert not [pid for pid in pids() if mark in about(pid, "cmdline")]
    holders = {pid for pid in pids() if mark in about(pid, "environ")}
    assert holders == set(rank.processes())
    follower.order(op="end", grace_s=0)
    follower.end()
    files = [path for path in rank.cwd.parent.rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert not [path for path in files if mark in path.read_bytes()]


def test_a_large_spec_is_read_whole(rank: Rank) -> None:
    text = "x" * 8_000_000
    follower = rank.start("wc -c <$SKYRIG_RANK_DIR/big", files={"big": text})
    follower.end()
    assert follower.log.split() == [b"8000000"]


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """A socket's name has room for about 100 bytes; a rank's folder may need more."""
    rank = Rank(tmp_path / ("long" * 30) / ("päth" * 20))
    follower = rank.start("echo a; sleep 1000")
    follower.saw(b"a\n")
    follower.order(op="end", grace_s=5)
    assert follower.end()["why"] == "ended"
    rank.close()


def test_no_bash_is_told_in_the_log(rank: Rank) -> None:
    follower = rank.start("", cwd="/proc/none")
    assert follower.end()["code"] == 126
    assert follower.log.startswith(b"[skyrig] the job could not start: ")


def test_it_needs_python_3_8_and_the_standard_library_alone() -> None:
    tree = ast.parse(PROGRAM.read_text(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_macos_process_lists_are_understood() -> None:
    """There, orphans are known by the rank's folder in their environment."""
    text = (
        "    1     0 Ss   /sbin/launchd\n"
        "  700     1 S    python3 supervisor.py start\n"
        "  701   700 S    python3 supervisor.py start\n"
        "  702   701 S+   /bin/bash run.sh HOME=/x SKYRIG_RANK_DIR=/j/rank-1 A=b\n"
        "  703     1 S    sleep 9 SKYRIG_RANK_DIR=/j/rank-1\n"
        "  704     1 S    sleep 9 SKYRIG_RANK_DIR=/j/rank-10\n"
        "  705     1 Z    (sleep)\n"
    )
    table = supervisor.table_of_ps(text, "SKYRIG_RANK_DIR=/j/rank-1", 700)
    assert {pid for pid, (parent, _, _) in table.items() if parent == 700} == {701, 702, 703}
    assert table[704][0] == 1
    assert table[705][1] == "Z"


APART = """\
mount -t tmpfs tmpfs /mnt && mkdir /mnt/bin && echo "of the image" >/mnt/file
exec env -i PATH=/image/bin:/usr/bin:/bin LD_LIBRARY_PATH=/image LANG=C BOTH=image sleep 300
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Path]:
    """A file that names a process with files, and an environment, of its own."""
    if os.geteuid():
        pytest.skip("files of its own need root")
    keeping = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", APART])
    until(lambda: about(keeping.pid, "cmdline").startswith(b"sleep"), "files of its own")
    began = about(keeping.pid, "stat").rpartition(b")")[2].split()[19].decode()
    (tmp_path / "container").write_text(f"{keeping.pid} {began}\n")
    yield tmp_path / "container"
    keeping.kill()
    keeping.wait()


def test_the_entry_sees_the_files_of_a_container_and_stays_in_the_tree(rank: Rank, container: Path) -> None:
    rank.popen["env"] = os.environ | {"SKYRIG_CONTAINER": str(container), "OF_THE_NODE": "1"}
    env = {"LD_LIBRARY_PATH": "/job", "BOTH": "job"}
    follower = rank.start(
        'cat /mnt/file; echo "$PATH $LD_LIBRARY_PATH $BOTH $USER $PWD.$OF_THE_NODE"; setsid sleep 300 & sleep 300',
        env=env,
    )
    said = f"of the image\n/image/bin:/usr/bin:/bin /job:/image job root {rank.cwd}.\n"
    follower.saw(said.encode())
    assert len(rank.processes()) == 3
    follower.order(op="end", grace_s=1)
    assert (follower.end()["code"], follower.log.decode(), rank.processes()) == (128 + signal.SIGTERM, said, [])


def test_a_container_that_is_not_there_is_told(rank: Rank, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("becoming root needs root")
    rank.popen["env"] = os.environ | {"SKYRIG_CONTAINER": str(tmp_path / "none")}
    follower = rank.start("echo on")
    assert follower.end()["code"] == 126
    assert follower.log.startswith(b"[skyrig] the job could not start: ")
