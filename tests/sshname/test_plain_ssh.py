"""The user's own OpenSSH on a real cluster of two, under a config whose `Host *` wants everything otherwise.

One cluster for all tests, in order; the last one takes it down.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import User, cluster_of, until

pytestmark = pytest.mark.e2e

THEIRS = """\
# Mine, and not to be touched.

Host *
  User nobody-here
  Port 9
  HostName 203.0.113.9
  IdentityFile ~/.ssh/none
  IdentitiesOnly no
  PreferredAuthentications password
  PubkeyAuthentication no
  PubkeyAcceptedAlgorithms rsa-sha2-512
  HostKeyAlgorithms rsa-sha2-512
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  HostKeyAlias other
  NoHostAuthenticationForLocalhost yes
  CanonicalizeHostname always
  ProxyCommand false
  ControlMaster auto
  ControlPath ~/.ssh/%C
  RequestTTY force
  AddressFamily inet6
"""


class Plain:
    """A user with a cluster of two who types OpenSSH's own commands. They get their config by -F: ssh itself looks in
    the home folder that the password database says, and a test has another."""

    def __init__(self, person: User, config: Path) -> None:
        self.person = person
        self.config = config
        self.head, self.other = person.stack, f"{person.stack}-worker1"

    def command(self, program: str, *words: str) -> list[str]:
        """Arguments of one of OpenSSH's programs, or of rsync."""
        if program == "rsync":
            return ["rsync", "-e", f"ssh -F '{self.config}'", *words]
        return [program, "-F", str(self.config), *words]

    def run(self, program: str, *words: str, code: int = 0, stdin: str | None = None) -> str:
        """Run it to its end, without a terminal to ask on; what it said on both outputs."""
        said = subprocess.run(
            self.command(program, *words),
            env=self.person.env,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            start_new_session=True,
            check=False,
        )
        assert said.returncode == code, said.stdout
        return said.stdout

    def options(self, host: str) -> dict[str, str]:
        """What `ssh -G` says of a host: of several values of an option, the one that comes first."""
        lines = reversed(self.run("ssh", "-G", host).splitlines())
        return dict(line.split(" ", 1) for line in lines if " " in line)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    """The user, whose config is a link to a file with a mode of its own."""
    missing = [name for name in ("ssh", "scp", "sftp") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not on this machine (Debian: openssh-client): {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("plain ssh")
    config = folder / "me" / ".ssh" / "config"
    config.parent.mkdir(parents=True, mode=0o700)
    target = folder / "dotfiles"
    target.write_text(THEIRS)
    target.chmod(0o640)
    config.symlink_to(target)
    changed = {"HOME": str(folder / "me"), "SKYRIG_SSH_CONFIG": None}
    with cluster_of(folder, 2, changed) as person:
        yield Plain(person, config)


def test_commands_and_their_codes(plain: Plain) -> None:
    ids = [plain.run("ssh", host, "echo $SKYRIG_NODE_ID").strip() for host in (plain.head, plain.other)]
    assert ids == ["n0", "n1"]
    assert plain.run("ssh", plain.other, "cat; exit 7", stdin="given", code=7) == "given"
    assert plain.config.is_symlink()
    assert plain.config.stat().st_mode & 0o777 == 0o640
    first, _, rest = plain.config.read_text().partition("\n")
    assert first.startswith("Include ") and rest == THEIRS


def test_what_an_editor_asks_first(plain: Plain) -> None:
    """`ssh -G` is how VS Code finds out where a host is."""
    told = plain.options(plain.other)
    assert (told["hostname"], told["port"]) == ("127.0.0.1", str(plain.person.nodes()["n1"]["port"]))
    assert told["stricthostkeychecking"] in ("true", "yes")
    assert told["identityfile"] == f"{plain.person.home}/stacks/{plain.head}/key"
    assert (told["controlmaster"], told.get("proxycommand")) == ("false", None)
    assert plain.options("elsewhere")["user"] == "nobody-here"


@pytest.mark.parametrize("legacy", [[], ["-O"]], ids=["by sftp", "by scp"])
def test_scp(plain: Plain, tmp_path: Path, legacy: list[str]) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a b").write_bytes(os.urandom(300_000))
    (tmp_path / "tree" / "a b").chmod(0o741)
    words = [*legacy, "-q", "-r", "-p"]
    assert plain.run("scp", *words, f"{tmp_path}/tree", f"{plain.head}:~/sent") == ""
    assert plain.run("scp", *words, f"{plain.head}:sent", f"{tmp_path}/back") == ""
    back = tmp_path / "back" / "a b"
    assert back.read_bytes() == (tmp_path / "tree" / "a b").read_bytes()
    assert back.stat().st_mode & 0o777 == 0o741
    assert "No such file" in plain.run("scp", *legacy, f"{plain.head}:gone", str(tmp_path), code=1)
    plain.run("ssh", plain.head, "rm -r sent")


def test_sftp(plain: Plain, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("by sftp")
    plain.run("sftp", "-b", "-", plain.other, stdin=f"put {tmp_path}/here there\nrename there moved\n")
    assert plain.run("ssh", plain.other, "cat ~/moved") == "by sftp"
    plain.run("sftp", "-b", "-", plain.other, stdin="get gone\n", code=1)


def test_rsync(plain: Plain, tmp_path: Path) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("no rsync on this machine")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("by rsync")
    plain.run("rsync", "-a", f"{tmp_path}/", f"{plain.other}:synced/")
    assert plain.run("ssh", plain.other, "cat ~/synced/sub/file") == "by rsync"
    assert plain.run("rsync", "-ai", f"{tmp_path}/", f"{plain.other}:synced/") == ""


LISTENER = """python -c '
import socket
with socket.create_server(("127.0.0.1", 0)) as door:
    print(door.getsockname()[1], flush=True)
    door.accept()[0].sendall(b"from the node")
'"""


def test_a_forwarded_port(plain: Plain) -> None:
    with (
        contextlib.ExitStack() as ends,
        tempfile.TemporaryDirectory(prefix="skyrig-") as folder,  # a socket's path must be short
        subprocess.Popen(plain.command("ssh", plain.other, LISTENER), env=plain.person.env, stdout=-1) as listener,
    ):
        ends.callback(listener.terminate)
        assert listener.stdout is not None
        port = listener.stdout.readline().decode().strip()
        door = Path(folder, "door")
        words = plain.command("ssh", "-N", "-L", f"{door}:127.0.0.1:{port}", plain.other)
        with subprocess.Popen(words, env=plain.person.env) as forward, socket.socket(socket.AF_UNIX) as client:
            ends.callback(forward.terminate)
            try:
                until(door.exists, "ssh to listen")
                client.connect(str(door))
                assert client.makefile().read() == "from the node"
            finally:
                forward.terminate()


def test_a_node_with_another_host_key_is_refused(plain: Plain) -> None:
    file = plain.person.home / "stacks" / plain.head / "known_hosts"
    pinned = file.read_text()
    (alias, *key), (other, *others) = (line.split() for line in pinned.splitlines())
    file.write_text(f"{alias} {' '.join(others)}\n{other} {' '.join(key)}\n")
    try:
        said = plain.run("ssh", plain.head, "true", code=255)
        assert "Host key verification failed" in said
    finally:
        file.write_text(pinned)
    plain.run("ssh", plain.head, "true")


def test_one_line_however_often_and_a_host_of_the_users_keeps_its_name(plain: Plain) -> None:
    before = plain.config.read_text()
    plain.config.write_text(f"{before}\nHost {plain.other}\n  IdentityAgent none\n")
    try:
        up = plain.person.run("up", "-c", plain.head).err.decode()
        assert f"has a host {plain.other} of its own, which stays: `ssh {plain.other}.skyrig` is the cluster's" in up
        assert "includes Skyrig's clusters now" not in up
        assert plain.config.read_text().count("Include") == 1
        assert plain.options(plain.other)["user"] == "nobody-here"
        assert plain.run("ssh", f"{plain.other}.skyrig", "echo $SKYRIG_NODE_ID") == "n1\n"
        shell = plain.person.run("ssh", "-c", plain.head, "--node", "1", "--", "echo $SKYRIG_NODE_ID; exit 3", check=3)
        assert shell.out == b"n1\n"
    finally:
        plain.config.write_text(before)


def test_after_down_the_config_is_what_it_was(plain: Plain) -> None:
    plain.person.run("down", "-c", plain.person.stack, "-y")
    assert plain.config.is_symlink()
    assert (plain.config.read_text(), plain.config.stat().st_mode & 0o777) == (THEIRS, 0o640)
    left = {file.name for file in (plain.person.home / "stacks" / plain.head).iterdir()}
    assert not left & {"key", "known_hosts", "ssh_config", "cluster.json"}
    refused = plain.person.run("ssh", "-c", plain.person.stack, check=2)
    assert b"is not up" in refused.err and refused.err.count(b"\n") == 1
