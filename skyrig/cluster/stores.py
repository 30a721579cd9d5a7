"""The stores that Skyrig makes buckets on: one file each in data/stores, named after the store.

A further one is that file, `components/CLOUD/bucket.py` with a class CloudBuckets (see components/buckets.py), and how
rclone opens it, in storage/data/stores.json. It is there once its cloud is registered (skyrig/cluster/clouds.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from attrs import field, frozen

from skyrig.cluster.clouds import CLOUDS


@frozen
class Keeping:
    """A store's facts. `cloud` keeps it, `source` says where the rules are from. `letters` says in words of what a
    name is made, `signs` are those beside letters and digits; `refused` are patterns of names that it keeps for
    itself, each with the reason. `region`: one is wanted; `account`: what pays is wanted, and what it is called there.

    `identity` are rclone's options by which nodes of the cloud open buckets by what they are, empty where keys are
    wanted; `reached_by` says by what those are named to the cluster's component: "url", or "id" where only
    `skyrig/clouds/CLOUD/reached.py` can tell. `here` are the options by which rclone takes what the user of this
    machine is logged in with; empty where it knows no such thing."""

    cloud: str
    source: str
    letters: str
    signs: str = ".-"
    refused: tuple[tuple[str, str], ...] = ()
    region: bool = True
    account: str = ""
    identity: Mapping[str, str] = field(factory=dict)
    reached_by: str = ""
    here: Mapping[str, str] = field(factory=dict)

    def has_signs(self, name: str) -> bool:
        """Whether a name is of letters, digits and signs that may be there, with neither end a sign."""
        inner = re.escape(self.signs)
        return re.fullmatch(rf"[a-z0-9][a-z0-9{inner}]{{1,61}}[a-z0-9]", name) is not None

    def refuses(self, name: str) -> str:
        """Why a name is kept back; "" where it is not."""
        return next((why for pattern, why in self.refused if re.search(pattern, name)), "")


@cache
def all_known() -> Mapping[str, Keeping]:
    """Every store by its name, in the order of their clouds."""
    read = {}
    for file in resources.files("skyrig.cluster").joinpath("data/stores").iterdir():
        if file.name.endswith(".json"):
            read[file.name.removesuffix(".json")] = _keeping(json.loads(file.read_text(encoding="utf-8")))
    order = list(CLOUDS)
    there = sorted((order.index(each.cloud), name) for name, each in read.items() if each.cloud in CLOUDS)
    return {name: read[name] for _, name in there}


def of_cloud(cloud: str) -> str:
    """The store where clusters of a cloud have their buckets; "" where it has none of ours."""
    return next((name for name, each in all_known().items() if each.cloud == cloud), "")


def is_own(store: str, cloud: str) -> bool:
    """Whether nodes of `cloud` open buckets of `store` by what they are, without keys."""
    known = all_known().get(store)
    return known is not None and known.cloud == cloud and bool(known.identity)


def _keeping(read: dict[str, object]) -> Keeping:
    refused = read.pop("refused", [])
    assert isinstance(refused, list)
    return Keeping(**{**read, "refused": tuple((str(pattern), str(why)) for pattern, why in refused)})  # type: ignore[arg-type]
