"""The parts that a recipe may name beside its own setup: drivers and fabric stacks at pinned versions, each a script.

Which there are, and their versions with sources, is the catalog's data/parts.json; scripts are templates/images/parts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from attrs import field, frozen

from skyrig import places, shell_templates
from skyrig.catalog import facts
from skyrig.errors import BadInput

TEMPLATES = places.shipped() / "templates"

_VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z]+){0,3}")


@frozen
class Part:
    """One part: `version` is the pinned one ("": its fabric's, which is pinned with the cloud's own facts), `clouds`
    those that it is for (empty: all), `fabric` the fabric whose facts it is made of."""

    name: str
    what: str
    version: str = ""
    clouds: tuple[str, ...] = ()
    fabric: str = ""
    template: str = ""
    facts: dict[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


def known(cloud: str = "") -> tuple[Part, ...]:
    """All parts, or those for a cloud, in the order in which they are installed."""
    found = (_part(name, said) for name, said in facts.common("parts")["parts"].items())
    return tuple(part for part in found if not cloud or not part.clouds or cloud in part.clouds)


def find(name: str, cloud: str = "") -> Part:
    """The part of that name; BadInput where there is none, or none for that cloud ("": it is not known yet)."""
    there = {part.name: part for part in known()}
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
        raise BadInput(f"there is no part {name}", hint=f"did you mean {near[0]}?" if near else ", ".join(there))
    part = there[name]
    if cloud and part.clouds and cloud not in part.clouds:
        raise BadInput(f"{name} is for {', '.join(part.clouds)}, and not for {cloud}", hint="leave it out there")
    return part


def ordered(names: Iterable[str], cloud: str) -> tuple[Part, ...]:
    """These parts in the order in which they are installed, each once; BadInput as in `find`."""
    wanted = {find(name, cloud).name for name in names}
    return tuple(part for part in known() if part.name in wanted)


def text(name: str, version: str = "", *, cloud: str = "") -> str:
    """The script of a part, run by bash as root; run again it finds what is there. `version` "" is the pinned one, and
    `cloud` "" that of the part, where it is for one alone. BadInput for a part that is not known, or that takes no
    version of one's own."""
    part = find(name, cloud)
    if version and not part.version:
        raise BadInput(f"{name} has the versions of its fabric", hint="leave the version out")
    chosen = version or part.version
    if chosen and not _VERSION.fullmatch(chosen):
        raise BadInput(f"{name}: {chosen!r} is no version", hint=f"for instance {part.version}")
    about = facts.of(cloud or part.clouds[0], "fabric")[part.fabric] if part.fabric else part.facts
    template = f"images/parts/{part.template}.sh.j2"
    return shell_templates.rendered(TEMPLATES, template, part=name, version=chosen, facts={**_ABSENT, **about})


def for_user(script: str) -> str:
    """The same as a text that the builder's user runs, in any shell: what the script's commands read is not the script
    itself."""
    return f"""set -eu
part=$(mktemp)
trap 'rm -f "$part"' EXIT
cat >"$part" <<'{_END}'
{script.rstrip()}
{_END}
if [ "$(id -u)" -eq 0 ]; then bash "$part"; else sudo -n bash "$part"; fi
"""


_END = "SKYRIG_PART_ENDS"
_ABSENT = {"packages": (), "interfaces": (), "dmabuf_version": ""}
"""What only some fabrics have."""


def _part(name: str, said: dict[str, Any]) -> Part:
    return Part(
        name=name,
        what=said["what"],
        version=said.get("version", ""),
        clouds=tuple(said.get("clouds", ())),
        fabric=said.get("fabric", ""),
        template=said["template"],
        facts={key: value for key, value in said.items() if key in ("fingerprint",)},
    )
