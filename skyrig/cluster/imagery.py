"""Machine images as values: what one shall be made of, as its stack's config says, and what was made.

An image has a stack of its own, NAME-image, beside clusters and data stacks: it outlives the builder that it is made
of, and every cluster. All of it is plain and known before the engine runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from skyrig.cluster import sites
from skyrig.errors import BadInput, SkyrigError

IMAGE = "-image"
"""How the name of an image's stack ends."""
PREFIX = "skyrig:"
"""How a name of ours begins where an image's id may stand too: image_id: skyrig:NAME."""
EVERYWHERE = "*"
"""The region of an id that holds in every region: a cloud has such images, and this machine."""

VERSION = 1

_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]|[a-z]")
_WANTED = ("name", "source", "digest", "regions", "size_gb", "facts", "made_at")


class BadImage(SkyrigError):
    """A document that describes no image that this version can read."""


def check_name(name: str) -> str:
    """`name` if it can name an image on every cloud, else BadInput with the rule."""
    if not _NAME.fullmatch(name) or "--" in name:
        raise BadInput(
            f"{name!r} is no name of an image", hint="small letters, digits and single '-', a letter first, 40 at most"
        )
    return name


def stack_of(name: str) -> str:
    """Name of the stack of the image `name`; BadInput where that is no image's name."""
    return f"{check_name(name)}{IMAGE}"


@frozen
class Source:
    """What an image is made of, as its cloud has it: the `id` (an instance on AWS, the boot disk's self link on Google
    Cloud, the machine on Azure, a path on this machine), the size of its boot disk in GiB (0: not known), and `facts`
    that the image is made with, in the cloud's own words (architecture, whether the disk is encrypted, ...)."""

    id: str
    size_gb: int = 0
    facts: tuple[tuple[str, str], ...] = ()


@frozen
class WantedImage:
    """An image that shall be there. `source` is what it is made of, as the cloud calls it (see Source); `digest` is the
    recipe's; `region` is where the source is, `regions` where copies shall be besides; `account` pays; `made_at` is
    when it was first asked for, in seconds since the epoch (0: not yet), `size_gb` the size of the boot disk in GiB."""

    name: str
    cloud: str
    region: str
    source: str
    digest: str
    regions: tuple[str, ...] = ()
    account: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    size_gb: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    made_at: float = 0.0

    @property
    def mark(self) -> str:
        """Eight letters that are others for every source and recipe: an image of another source is another image, while
        one whose source is gone stays what it is."""
        return hashlib.sha256(f"{self.source}\n{self.digest}".encode()).hexdigest()[:8]

    def with_regions(self, *regions: str) -> WantedImage:
        """The same, with copies in these regions too."""
        more = [each for each in dict.fromkeys(regions) if each not in (self.region, *self.regions)]
        return evolve(self, regions=(*self.regions, *more))

    def to_config(self) -> str:
        """The value in the stack's config, a JSON object. Cloud, region, account and labels are keys of their own."""
        document: dict[str, Any] = {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "regions": list(self.regions),
            "size_gb": self.size_gb,
            "facts": dict(self.facts),
            "made_at": self.made_at,
        }
        kept = {key: value for key, value in document.items() if value not in ([], {}, 0)}
        return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def from_config(
    value: Any, *, cloud: str, region: str = "", account: str = "", labels: tuple[tuple[str, str], ...] = ()
) -> WantedImage | None:
    """The image in the config's value, perhaps JSON text; None where it is "". BadInput names what is wrong."""
    try:
        found = json.loads(value) if isinstance(value, str) and value else value
    except json.JSONDecodeError as error:
        raise _bad(f"no JSON: {error}") from error
    if not found:
        return None
    if not isinstance(found, Mapping):
        raise _bad("a JSON object is wanted")
    if unknown := [key for key in found if key not in _WANTED]:
        raise _bad(f"{unknown[0]!r} is not known; there are {', '.join(_WANTED)}")
    if lacking := [key for key in ("name", "source", "digest") if not isinstance(found.get(key), str)]:
        raise _bad(f"{lacking[0]} is wanted")
    facts, regions = found.get("facts", {}), found.get("regions", [])
    if not isinstance(facts, Mapping) or not isinstance(regions, list):
        raise _bad("facts is an object, and regions a list")
    try:
        size, made = int(found.get("size_gb", 0)), float(found.get("made_at", 0))
    except (TypeError, ValueError) as error:
        raise _bad("size_gb and made_at are numbers") from error
    return WantedImage(
        name=check_name(found["name"]),
        cloud=cloud,
        region=region,
        source=found["source"],
        digest=found["digest"],
        regions=tuple(map(str, regions)),
        account=account,
        labels=labels,
        size_gb=size,
        facts=tuple(sorted((str(key), str(value)) for key, value in facts.items())),
        made_at=made,
    )


def _bad(said: str) -> BadInput:
    return BadInput(f"skyrig:machineImage: {said}")


@frozen
class MadeImage:
    """An image that is there. `ids` are its ids by region, EVERYWHERE for one that holds in all; `made_at` is in
    seconds since the epoch, `size_gb` the size of its disk in GiB (what is billed of it may be less); `region` is where
    it was made first, `account` who pays, `arch` the processors that it is for ("": not known)."""

    name: str
    cloud: str
    ids: Mapping[str, str] = field(factory=dict)
    digest: str = ""
    made_at: float = 0.0
    size_gb: int = 0
    region: str = ""
    account: str = ""
    source: str = ""
    arch: str = ""

    def id_in(self, region: str) -> str | None:
        """Its id in a region; None where it is not there, and has to be copied."""
        return self.ids.get(region, self.ids.get(EVERYWHERE))

    @property
    def where(self) -> str:
        """Where it is, in words."""
        if EVERYWHERE in self.ids:
            return "this machine" if self.cloud == sites.CLOUD else "every region"
        return ", ".join(self.ids)

    def to_json(self) -> dict[str, Any]:
        """The stack output `image`."""
        return {
            "version": VERSION,
            "name": self.name,
            "cloud": self.cloud,
            "region": self.region,
            "account": self.account,
            "ids": dict(self.ids),
            "digest": self.digest,
            "made_at": self.made_at,
            "size_gb": self.size_gb,
            "source": self.source,
            "arch": self.arch,
        }


def from_json(document: Mapping[str, Any]) -> MadeImage:
    """What a stack's output says. BadImage for another version's document, or one that is none."""
    if document.get("version") != VERSION:
        raise BadImage(
            f"an image of version {document.get('version')!r}; {VERSION} is known", hint="another Skyrig made it"
        )
    try:
        return MadeImage(
            name=str(document["name"]),
            cloud=str(document["cloud"]),
            ids={str(region): str(each) for region, each in dict(document["ids"]).items()},
            digest=str(document["digest"]),
            made_at=float(document["made_at"]),
            size_gb=int(document["size_gb"]),
            region=str(document["region"]),
            account=str(document["account"]),
            source=str(document["source"]),
            arch=str(document.get("arch", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadImage(f"an image's description that makes no sense: {error!r}") from error
