"""The Include in the user's config: where it stands, what it does not touch, and that it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyrig import places
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.stack import ssh_files, ssh_include, ssh_names

Come = Callable[..., Any]
Go = Callable[[str], None]


def mode(path: Path) -> int:
    """Permission bits."""
    return path.stat().st_mode & 0o777


def asked(config: Path, host: str) -> dict[str, str]:
    """What the stock client makes of a host."""
    if shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client here")
    told = subprocess.run(["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)


def test_what_was_not_there_is_made_for_its_owner_alone_and_gone_again(
    home: Path, comes: Come, goes: Go, said: list[str]
) -> None:
    config = home / ".ssh" / "config"
    comes("one")
    comes("two")
    assert (mode(config.parent), mode(config)) == (0o700, 0o600)
    assert config.read_bytes().count(b"Include") == 1
    assert len(said) == 1 and said[0].startswith("~/.ssh/config includes Skyrig's clusters now: `ssh ")
    goes("one")
    assert asked(config, "two-worker1")["port"] == "2202"
    assert asked(config, "one")["hostname"] == "one"
    goes("two")
    assert list(home.iterdir()) == []
    assert not (places.stack("two") / "key").exists()


def test_what_the_user_has_written_meanwhile_stays(home: Path, comes: Come, goes: Go) -> None:
    config = home / ".ssh" / "config"
    comes("one")
    config.write_bytes(config.read_bytes() + b"Host mine\n")
    goes("one")
    assert config.read_bytes() == b"Host mine\n"


def test_a_folder_with_keys_and_no_config_stays(home: Path, comes: Come, goes: Go) -> None:
    (home / ".ssh").mkdir(mode=0o755)
    (home / ".ssh" / "id_ed25519").write_text("mine")
    comes("one")
    goes("one")
    assert [file.name for file in (home / ".ssh").iterdir()] == ["id_ed25519"]
    assert mode(home / ".ssh") == 0o755


@pytest.mark.parametrize("there", [True, False], ids=["there", "dangling"])
def test_a_link_is_written_through(home: Path, comes: Come, goes: Go, there: bool) -> None:
    target = home / "dotfiles" / "ssh config"
    target.parent.mkdir()
    if there:
        target.write_text("Host *\n  Port 9\n")
        target.chmod(0o640)
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.symlink_to("../dotfiles/ssh config")
    comes("one")
    assert config.is_symlink() and asked(config, "one")["port"] == "2201"
    assert mode(target) == (0o640 if there else 0o600)
    goes("one")
    assert config.is_symlink() and target.exists() == there
    assert not there or target.read_text() == "Host *\n  Port 9\n"


@given(
    text=st.binary() | st.lists(st.sampled_from([b"Host a\n", b"Include x\r\n", b"\n", b"# \xff", b" "])).map(b"".join)
)
@settings(max_examples=60, deadline=None)
def test_any_file_is_byte_for_byte_what_it_was(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        config = Path(name) / "config"
        patch.setenv("SKYRIG_HOME", f"{name}/sky")
        patch.setenv("SKYRIG_CACHE", f"{name}/cache")
        patch.setenv("SKYRIG_SSH_CONFIG", str(config))
        config.write_bytes(text)
        config.chmod(0o604)
        said: list[str] = []
        ssh_include.add("one", said.append)
        assert config.read_bytes() == ssh_include.line() + text
        ssh_include.add("two", said.append)
        assert config.read_bytes() == ssh_include.line() + text
        ssh_include.remove(said.append)
        assert (config.read_bytes(), mode(config), len(said)) == (text, 0o604, 1)


def test_a_line_that_only_a_block_would_see_comes_once_more_in_front(home: Path, comes: Come, goes: Go) -> None:
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_bytes(b"host other\n" + ssh_include.line())
    comes("one")
    assert asked(config, "one")["port"] == "2201"
    goes("one")
    assert config.read_bytes() == b"host other\n"


def test_a_config_that_cannot_be_written_costs_one_line(home: Path, comes: Come, goes: Go, said: list[str]) -> None:
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_text("Host *\n")
    config.chmod(0o400)
    cluster = comes("one")
    assert said == ["~/.ssh/config cannot be written (it is read-only): plain ssh does not know one, `ssh -c one` does"]
    assert config.read_text() == "Host *\n"
    assert asked(places.stack("one") / "ssh_config", ssh_files.sure_name(cluster, cluster.head))["port"] == "2201"
    goes("one")
    assert len(said) == 1
    shutil.rmtree(config.parent)
    config.parent.write_text("a file where the folder should be")
    comes("one")
    assert len(said) == 2 and "cannot be written (Not a directory)" in said[1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's files")
def test_somebody_elses_file_or_home_is_left_alone(home: Path, comes: Come, said: list[str]) -> None:
    os.chown(home, 12345, 12345)
    comes("one")
    assert list(home.iterdir()) == [] and "somebody else's" in said[0]


def test_the_switch_names_another_file_or_none(home: Path, comes: Come, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_SSH_CONFIG", "")
    comes("one")
    assert list(home.iterdir()) == []
    monkeypatch.setenv("SKYRIG_SSH_CONFIG", "~/clusters")
    comes("one")
    assert [file.name for file in home.iterdir()] == ["clusters"]
    assert asked(home / "clusters", "one")["port"] == "2201"


def test_paths_of_any_spelling(home: Path, comes: Come, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "a b [c] %h $d 'e' *?"))
    comes("one")
    told = asked(home / ".ssh" / "config", "one")
    assert (told["port"], told["userknownhostsfile"]) == ("2201", str(places.stack("one") / "known_hosts"))


def test_two_homes_do_not_disturb_each_other(
    home: Path, comes: Come, goes: Go, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    config, first = home / ".ssh" / "config", os.environ["SKYRIG_HOME"]
    comes("one", ports=(2201,))
    monkeypatch.setenv("SKYRIG_HOME", first + "-other")
    comes("two", ports=(2301,))
    comes("one", ports=(2302,))
    assert f"{first}/stacks/one/ssh_config has a host one of its own, which stays" in said[-1]
    assert [asked(config, name)["port"] for name in ("one", "two")] == ["2201", "2301"]
    monkeypatch.setenv("SKYRIG_HOME", first)
    goes("one")
    assert asked(config, "two")["port"] == "2301"
    monkeypatch.setenv("SKYRIG_HOME", first + "-other")
    goes("two")
    goes("one")
    assert list(home.iterdir()) == []


HOSTS = {
    "Host dev": True,
    "host  other   dev": True,
    "\tHOST=dev": True,
    'Host "dev" # mine': True,
    "Host *": False,
    "Host d?v dev*": False,
    "Host !dev *": False,
    "# Host dev": False,
    "HostName dev": False,
    "Host dev2 # dev": False,
    "Include more": True,
    "Host x\nInclude ~/.ssh/mo*": True,
    "Include config": False,
    'Host "dev': False,
}


@pytest.mark.parametrize(("text", "is_taken"), HOSTS.items(), ids=range(len(HOSTS)))
def test_hosts_of_the_users_own(home: Path, text: str, is_taken: bool) -> None:
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_text(text + "\n")
    (home / ".ssh" / "more").write_text("Host dev\n")
    assert bool(ssh_names.taken(config, ["dev"], but=home / "none")) == is_taken


def test_a_host_of_the_users_keeps_its_name(home: Path, comes: Come, said: list[str]) -> None:
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_text("Host box-worker1\n  HostName there\n")
    comes("box")
    assert (
        said[1] == f"{config} has a host box-worker1 of its own, which stays: `ssh box-worker1.skyrig` is the cluster's"
    )
    ports = [asked(config, name)["port"] for name in ("box", "box.skyrig", "box-worker1.skyrig")]
    assert ports == ["2201", "2201", "2202"]
    assert asked(config, "box-worker1")["hostname"] == "there"
    comes("box", ports=(2301,))
    assert asked(config, "box")["port"] == "2301"


def test_a_node_behind_another_is_reached_through_it(home: Path, said: list[str]) -> None:
    """Also where the user's own config knows another way for all hosts, and another host by the head's name."""
    config = home / ".ssh" / "config"
    config.parent.mkdir()
    config.write_text("Host far\n  Port 9\nHost *\n  ProxyCommand false\n")
    head = Node("n0", 0, "192.0.2.1", 22, "10.0.0.1", "me", "ssh-rsa AAAA", "1")
    behind = Node("n1", 1, "10.0.0.2", 22, "10.0.0.2", "me", "ssh-ed25519 AAAA", "1", jump="n0")
    access = SshAccess("ssh-rsa BBBB", "private")
    ssh_files.publish("far", ClusterDescription("far", "cloud", (head, behind), access, ""), said.append)
    assert asked(config, "far-worker1")["proxyjump"] == "far.skyrig"
    told = asked(config, "far.skyrig")
    assert (told["hostname"], told["hostkeyalgorithms"]) == ("192.0.2.1", "rsa-sha2-512,rsa-sha2-256")
    assert not {"proxyjump", "proxycommand"} & set(told)


WRITER = """
import sys
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.stack import ssh_files, ssh_include
def say(line):
    if "works" not in line:
        sys.exit(line)
name, rounds = sys.argv[1], int(sys.argv[2])
node = Node("n0", 0, "127.0.0.1", 2201, "127.0.0.1", "me", "ssh-ed25519 AAAA", "1")
cluster = ClusterDescription(name, "local", (node,), SshAccess("ssh-ed25519 BBBB", "private"), "file:///nowhere")
for _ in range(rounds):
    ssh_files.remove(name, say)
    ssh_files.publish(name, cluster, say)
    assert ssh_include.line() in ssh_include.users_file().read_bytes()
"""


def test_writers_at_once_lose_nothing(home: Path, goes: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two SKYRIG_HOMEs, two clusters each, coming and going; in the end each is there."""
    config, base = home / ".ssh" / "config", os.environ["SKYRIG_HOME"]
    config.parent.mkdir()
    config.write_bytes(b"Host mine\n")
    homes = [base, base + "-other"]
    writers = [
        (
            where,
            name,
            subprocess.Popen([sys.executable, "-c", WRITER, name, "150"], env={**os.environ, "SKYRIG_HOME": where}),
        )
        for number, where in enumerate(homes)
        for name in (f"a{number}", f"b{number}")
    ]
    assert [process.wait(60) for _, _, process in writers] == [0] * 4
    assert set(ssh_names.taken(config, ["a0", "b0", "a1", "b1"], but=home)) == {"a0", "b0", "a1", "b1"}
    assert config.read_bytes().count(b"Include") == 2
    for where, name, _ in writers:
        monkeypatch.setenv("SKYRIG_HOME", where)
        goes(name)
    assert config.read_bytes() == b"Host mine\n"
