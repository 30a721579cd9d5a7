"""Whether a setup text plainly needs the internet, for clusters whose nodes do not reach it. Pure functions.

Only what is sure to fail there counts: an installer that is not told to use files or an index of one's own, a download
or clone from a public host by name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from skyrig.errors import BadInput
from skyrig.launch import commands

_INSTALLERS = (
    ("pip", "install"),
    ("pip3", "install"),
    ("uv", "pip", "install"),
    ("uv", "sync"),
    ("uv", "tool", "install"),
    ("conda", "install"),
    ("conda", "create"),
    ("mamba", "install"),
    ("apt-get", "update"),
    ("apt-get", "install"),
    ("apt", "update"),
    ("apt", "install"),
    ("npm", "install"),
    ("cargo", "install"),
    ("hf", "download"),
    ("huggingface-cli", "download"),
)
_FETCHERS = ("curl", "wget", "git")
_AROUND = ("sudo", "env", "exec", "time", "nice", "python", "python3")
"""Words before the program that is really called."""
_OF_ONES_OWN = re.compile(
    r"--(?:no-index|index-url|index|extra-index-url|find-links|no-download|offline|registry|channel)\b|-[ifcr]$|-o$"
)
"""Options that say where from, or in a file that does: what is there is not known here."""
_URL = re.compile(r"(?:https?|git|ssh|ftp)://(?:[^/@\s]*@)?(?P<host>\[[^\]]*\]|[^/:\s]+)|git@(?P<git>[^:/\s]+):")
_NEAR = re.compile(
    r"localhost$|\.(?:internal|local|localdomain|lan|corp)$|(?:^|[.-])s3[.-].*amazonaws\.com$|\.googleapis\.com$"
)
"""Hosts inside, and those that clouds make reachable from inside."""


def needed(text: str) -> str:
    """The first command of `text` that plainly needs the internet, as far as it says what for; "" where none does."""
    for command in commands.read(text):
        words = _called(command.words)
        if any(words[: len(one)] == one for one in _INSTALLERS) and _is_from_outside(words):
            return " ".join(words[:4])
        if words and words[0] in _FETCHERS and any(_is_public(word) for word in words[1:]):
            return " ".join(words[:4])
    return ""


def refuse(setup: str | None, egress: str, name: str) -> None:
    """BadInput for a setup that plainly needs the internet on nodes that do not reach it."""
    found = needed(setup or "") if egress == "none" else ""
    if found:
        raise BadInput(
            f"setup runs `{found}`, and nodes of {name} have no way to the internet (egress none)",
            hint="`pulumi config set skyrig:egress nat`, an index of your own (--index-url), or --no-setup",
        )


def _called(words: Sequence[str]) -> tuple[str, ...]:
    """The words of the program that is called: without `sudo`, assignments, `python -m` and the program's folder."""
    left = list(words)
    while left and (left[0].rpartition("/")[2] in _AROUND or left[0] in ("-m", "-E", "-n", "-y") or "=" in left[0]):
        left.pop(0)
    return (left[0].rpartition("/")[2], *(word for word in left[1:])) if left else ()


def _is_from_outside(words: Sequence[str]) -> bool:
    """Whether an installer is to get something that is not a file here."""
    if any(_OF_ONES_OWN.match(word) for word in words):
        return False
    things = [word for word in words[2:] if not word.startswith("-")]
    return not things or any(not re.match(r"[./~]|.*\.(?:whl|deb|tar\.gz|tgz)$", thing) for thing in things)


def _is_public(word: str) -> bool:
    """Whether a url names a host that only the internet has."""
    found = _URL.search(word)
    host = (found["host"] or found["git"] or "").strip("[]").lower() if found else ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and "$" not in host and not _NEAR.search(host)
