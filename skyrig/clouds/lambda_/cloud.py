"""Lambda as a cloud."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from attrs import frozen

from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.lambda_ import api
from skyrig.clouds.machines_api.asking import ApiError
from skyrig.clouds.machines_api.cloud import RentingCloud
from skyrig.errors import SkyrigError


@frozen
class Lambda(RentingCloud):
    """Lambda, by its API. A key opens one account and no other."""

    name: ClassVar[str] = "lambda"

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return "" if api.key() else api.NO_KEY

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Whether the key works, and whether there is room for what is wanted. Lambda does not tell quotas."""
        if reason := self.missing():
            return [Finding("credentials", False, reason)]
        try:
            account = api.connect()
            kinds = account.kinds()
            running = sum(each.is_there for each in account.machines())
        except SkyrigError as error:
            return [Finding("credentials", False, str(error))]
        first = Finding("credentials", True, f"the API key is valid, {running} machines in the account")
        return [first, *(_room(kinds, region, wanted) if wanted is not None else ())]

    def account(self, region: str) -> str:
        """The account as its audit log names it. For a key that may not read that, what stands for the key itself:
        another key of the same account is another account then."""
        account = api.connect()
        try:
            owner = account.owner()
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            owner = ""
        named = re.sub(r"[^A-Za-z0-9._-]+", "-", owner).strip("-._")
        return named or f"key-{hashlib.sha256(account.api.key.encode()).hexdigest()[:10]}"

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """The region alone, which has no zones, where Lambda has the type. Whether there is room is not minded: that
        changes by the minute, and a launch says it."""
        return ("",) if instance_type in api.connect().kinds() else ()


def _room(kinds: Mapping[str, Any], region: str, wanted: Wanted) -> Iterator[Finding]:
    kind = kinds.get(wanted.instance_type)
    if kind is None:
        yield Finding(wanted.instance_type, False, f"no such type: Lambda has {', '.join(sorted(kinds))}")
        return
    rooms = sorted(place["name"] for place in kind["regions_with_capacity_available"])
    if region in rooms:
        yield Finding(wanted.instance_type, True, f"{region} has room now")
    else:
        yield Finding(wanted.instance_type, None, f"{region} has no room now; {', '.join(rooms) or 'no region'} has")
