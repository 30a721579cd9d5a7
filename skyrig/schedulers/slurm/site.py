"""The Slurm clusters that a user may log in to: ~/.slurm/config, an ssh_config with one host a cluster.

Its words are OpenSSH's: Host, HostName, User, Port, IdentityFile, ProxyJump, HostKeyAlias, UserKnownHostsFile. A host
key that is not known is refused: nobody accepts one by the way.
"""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from attrs import frozen

from skyrig.errors import BadInput
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

CONFIG = "SKYRIG_SLURM_CONFIG"
"""Variable that names another file than ~/.slurm/config."""

_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Host keys, the one that is pinned first where several are known."""

_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")


@frozen
class Site:
    """A Slurm cluster as the user's config has it: its login node, with the jump host before it if there is one, and
    the file that holds the user's key."""

    name: str
    login: Target
    identity: Path


def config_file() -> Path:
    """The user's file."""
    return Path(os.environ.get(CONFIG) or "~/.slurm/config").expanduser()


def names() -> list[str]:
    """The clusters that it names; none where there is no such file."""
    return [host for host in _hosts(_lines()) if not set(host) & set("*?!")]


def find(name: str) -> Site:
    """The cluster called `name`. BadInput where there is none, its host key is not known, or no key of the user's can
    be read without a passphrase."""
    lines = _lines()
    if name not in names():
        there = ", ".join(names()) or "none"
        raise BadInput(
            f"no Slurm cluster is called {name}",
            hint=f"{config_file()} names them as ssh_config does (Host, HostName, User, IdentityFile); there: {there}",
        )
    said = _of_host(lines, name)
    return Site(name, _target(name, said, lines), _identity(said))


def _target(name: str, said: Mapping[str, str], lines: list[list[str]]) -> Target:
    host, port = said.get("hostname", name), int(said.get("port", "22"))
    jump = said.get("proxyjump", "none")
    before = None
    if jump.lower() != "none":
        if "," in jump:
            raise BadInput(f"{config_file()}: {name}: one host in ProxyJump is what Skyrig goes through")
        before = _jump(jump, lines)
    user = said.get("user", getpass.getuser())
    return Target("login", host, port, user, _host_key(said, host, port), before)


def _jump(text: str, lines: list[list[str]]) -> Target:
    """The host of ProxyJump: an alias of the same file, or [USER@]HOST[:PORT]."""
    user, _, rest = text.rpartition("@")
    host, _, port = rest.partition(":")
    said = dict(_of_host(lines, host))
    said |= {"user": user} if user else {}
    said |= {"port": port} if port else {}
    target = _target(host, {**said, "proxyjump": "none"}, lines)
    return Target("jump", target.host, target.port, target.user, target.host_key)


def _host_key(said: Mapping[str, str], host: str, port: int) -> str:
    """The key that the user has accepted for this host, one OpenSSH line."""
    given = said.get("userknownhostsfile", "")
    files = [Path(each).expanduser() for each in shlex.split(given)] if given else []
    files += [config_file().parent / "known_hosts", Path("~/.ssh/known_hosts").expanduser()]
    alias = said.get("hostkeyalias", host)
    found: list[str] = []
    for file in files:
        if file.is_file():
            trusted = asyncssh.read_known_hosts(str(file)).match(alias, "", port)[0]
            found += [key.export_public_key().decode().strip() for key in trusted]
    for kind in _KINDS:
        for key in found:
            if key.split()[0] == kind:
                return " ".join(key.split()[:2])
    scan = f"ssh-keyscan -p {port} {host}" if port != 22 else f"ssh-keyscan {host}"
    raise BadInput(
        f"the host key of {alias} is not known, so who answers there cannot be told",
        hint=f"compare what `{scan}` prints with what its administrators say, and put it into {files[-2]}",
    )


def _identity(said: Mapping[str, str]) -> Path:
    """The file with the user's key."""
    given = said.get("identityfile", "")
    files = [Path(given).expanduser()] if given else [Path("~/.ssh").expanduser() / name for name in _IDENTITIES]
    for file in files:
        if file.is_file():
            private_key(file)
            return file
    raise BadInput(
        f"{given or 'no key in ~/.ssh'} is not there, so there is nothing to log in with",
        hint=f"IdentityFile in {config_file()} names it",
    )


def private_key(file: Path) -> str:
    """The text of a key without a passphrase; BadInput where it cannot be had."""
    try:
        text = file.read_text()
        asyncssh.import_private_key(text)
    except OSError as error:
        raise BadInput(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except (asyncssh.KeyImportError, ValueError) as error:
        raise BadInput(
            f"{file} cannot be used: it is no key, or has a passphrase, which nobody is there to type",
            hint=f"name a key without one as IdentityFile in {config_file()}",
        ) from error
    return text


def _lines() -> list[list[str]]:
    """The words of each line; no lines where there is no such file."""
    try:
        text = config_file().read_text()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"{config_file()}: {(error.strerror or 'cannot be read').lower()}") from error
    found = []
    for line in text.splitlines():
        keyword, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if keyword and not keyword.startswith("#"):
            found.append([keyword.lower(), rest.strip()])
    return found


def _hosts(lines: list[list[str]]) -> list[str]:
    return [host for keyword, rest in lines if keyword == "host" for host in rest.split()]


def _of_host(lines: list[list[str]], name: str) -> dict[str, str]:
    """What is said of a host, by keyword: the first value counts, as with OpenSSH."""
    said: dict[str, str] = {}
    applies = True
    for keyword, rest in lines:
        if keyword == "host":
            applies = _fits(name, rest.split())
        elif keyword == "match":
            applies = rest.lower() == "all"
        elif applies:
            said.setdefault(keyword, rest.strip('"') if keyword != "userknownhostsfile" else rest)
    return said


def _fits(name: str, patterns: list[str]) -> bool:
    if any(each.startswith("!") and fnmatchcase(name, each[1:]) for each in patterns):
        return False
    return any(fnmatchcase(name, each) for each in patterns if not each.startswith("!"))
