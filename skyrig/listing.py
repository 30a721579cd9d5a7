"""Machine images as they are shown: what each is, what it saves, and who uses it."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from skyrig.cluster.imagery import MadeImage
from skyrig.images import building
from skyrig.images.prepared import Prepared
from skyrig.planning import setups
from skyrig.stack import imagestacks


@frozen
class Listed:
    """One image as it is shown: what was `made` of it, what it `saves` (None: not known), the clusters `used_by`,
    USD a month for its storage (None: not known, or nothing), and whether a build of it, or its deletion, is
    `unfinished`."""

    name: str
    made: MadeImage | None
    saves: Prepared | None = None
    used_by: tuple[str, ...] = ()
    monthly: float | None = None
    unfinished: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object of `image.ls --json`."""
        shown = self.made.to_json() if self.made is not None else {"name": self.name}
        return {
            **{key: value for key, value in shown.items() if key != "version"},
            "kind": "machine",
            "setup_s": self.saves.seconds if self.saves is not None else None,
            "used_by": list(self.used_by),
            "monthly": self.monthly,
            "unfinished": self.unfinished,
        }


def listed() -> list[Listed]:
    """Every machine image of this backend, and every build that was begun and not ended, by name."""
    unfinished = building.unfinished()
    known = sorted({*imagestacks.names(), *unfinished})
    return [_listed(name, imagestacks.read(name), name in unfinished) for name in known]


def _listed(name: str, made: MadeImage | None, unfinished: bool) -> Listed:
    if made is None:
        return Listed(name, None, unfinished=True)
    cloud = imagestacks.of_cloud(made.cloud)
    return Listed(
        name,
        made,
        setups.of_image(name),
        tuple(imagestacks.used_by(name)),
        cloud.monthly(made) if cloud is not None else None,
        unfinished,
    )
