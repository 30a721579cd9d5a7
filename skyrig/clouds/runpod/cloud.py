"""RunPod as a cloud."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen

from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.machines_api.asking import ApiError
from skyrig.clouds.machines_api.cloud import RentingCloud
from skyrig.clouds.runpod import api
from skyrig.errors import BadInput, SkyrigError

_MUCH = ("HIGH", "MEDIUM", "LOW")


@frozen
class Runpod(RentingCloud):
    """RunPod, by its API. A key opens one account and no other."""

    name: ClassVar[str] = "runpod"

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return "" if api.key() else api.NO_KEY

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Whether the key works, and whether there is room for what is wanted. RunPod tells no quotas."""
        if reason := self.missing():
            return [Finding("credentials", False, reason)]
        try:
            running = sum(each.is_there for each in api.connect().machines())
        except SkyrigError as error:
            return [Finding("credentials", False, str(error))]
        first = Finding("credentials", True, f"the API key is valid, {running} pods in the account")
        return [first, *([self._room(region, wanted)] if wanted is not None else [])]

    def account(self, region: str) -> str:
        """The account's id. For a key that may not ask for it, what stands for the key itself."""
        account = api.connect()
        try:
            owner = account.owner()
        except ApiError as error:
            if error.status not in (400, 403, 404, 410):
                raise
            owner = ""
        return owner or f"key-{hashlib.sha256(account.api.key.encode()).hexdigest()[:10]}"

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """Data centers of a country that have room for a type, the one with most first. Machines of the community are
        in none of them, so that nothing says where a pod would be: they are not used."""
        gpu, _, tier = api.gpu_of(instance_type)
        stock = api.connect().stock(gpu) if tier == "SECURE" else {}
        there = [center for center, much in stock.items() if api.country(center) == region and much in _MUCH]
        return sorted(there, key=lambda center: (_MUCH.index(stock[center]), center))

    def _room(self, region: str, wanted: Wanted) -> Finding:
        try:
            zones = self.zones(region, wanted.instance_type)
        except BadInput as error:
            return Finding(wanted.instance_type, False, error.message)
        except SkyrigError as error:
            return Finding(wanted.instance_type, None, error.message)
        if zones:
            return Finding(wanted.instance_type, True, f"room in {', '.join(zones)}")
        return Finding(wanted.instance_type, None, f"no data center of {region} has room now")
