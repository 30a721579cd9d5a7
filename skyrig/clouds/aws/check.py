"""Whether AWS can be used from here: who one is, what one may do, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.catalog import facts, instances
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.aws import session
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.errors import SkyrigError

_TRIED = {
    "ec2:RunInstances": lambda ec2: ec2.run_instances(
        ImageId="ami-00000000000000000", InstanceType="t3.medium", MinCount=1, MaxCount=1, DryRun=True
    ),
    "ec2:CreateVpc": lambda ec2: ec2.create_vpc(CidrBlock="10.0.0.0/16", DryRun=True),
    "ec2:CreateSecurityGroup": lambda ec2: ec2.create_security_group(
        GroupName="skyrig-check", Description="skyrig check", DryRun=True
    ),
    "ec2:AllocateAddress": lambda ec2: ec2.allocate_address(Domain="vpc", DryRun=True),
}
"""Rights that can be tried without doing anything."""

_NO_RIGHT = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


def findings(region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made: credentials first, then the rest at once."""
    if reason := session.missing():
        return [Finding("credentials", False, reason)]
    try:
        with session.asking("who the credentials belong to"):
            me = session.client("sts", region).get_caller_identity()
    except SkyrigError as error:
        return [Finding("credentials", False, str(error))]
    first = Finding("credentials", True, f"account {me['Account']}, {me['Arn']}")
    with ThreadPoolExecutor(max_workers=8) as pool:
        rights = pool.map(lambda each: _right(region, *each), _TRIED.items())
        more = list(pool.map(lambda look: look(), _looks(region, wanted)))
        return [first, *rights, *more]


def _looks(region: str, wanted: Wanted | None) -> Iterator[Callable[[], Finding]]:
    yield lambda: _roles(region)
    if wanted is not None:
        kind = instances.find("aws", wanted.instance_type)
        yield lambda: _quota(region, wanted, kind)
        yield lambda: _offered(region, kind)


def _right(region: str, name: str, attempt: Callable[[Any], Any]) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        attempt(session.client("ec2", region))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        fix = f"have {name} allowed for these credentials"
        return Finding(name, False, fix) if code in _NO_RIGHT else Finding(name, True)
    except BotoCoreError as error:
        return Finding(name, False, f"{region} cannot be asked: {error}")
    return Finding(name, True)


def _roles(region: str) -> Finding:
    """IAM has no dry run: whether roles can be listed tells an administrator from a bare user."""
    try:
        with session.asking("listing roles"):
            session.client("iam", region).list_roles(MaxItems=1)
    except SkyrigError as error:
        return Finding("iam", False, f"nodes get a role of their own: {error.message}")
    return Finding("iam", True)


def _quota(region: str, wanted: Wanted, kind: InstanceType) -> Finding:
    """The vCPUs that the account may run of the type's family, against what is wanted."""
    code = quota_code(kind, spot=wanted.spot)
    needed = kind.cpus * wanted.nodes
    what = f"quota {code or 'of ' + kind.name}"
    if code is None:
        return Finding(what, None, f"look at the vCPU quota of {kind.name}: {needed:g} are wanted")
    try:
        with session.asking(f"quota {code}"):
            quota = session.client("service-quotas", region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
    except SkyrigError as error:
        return Finding(what, None, f"{needed:g} vCPUs are wanted; the quota is not known ({error.message})")
    there = float(quota["Quota"]["Value"])
    told = f"{there:g} vCPUs allowed, {needed:g} wanted"
    return Finding(what, True, told) if there >= needed else Finding(what, False, f"{told}: ask for more in {region}")


def quota_code(kind: InstanceType, *, spot: bool) -> str | None:
    """The quota that a type counts against; None where it is not known."""
    families = facts.of("aws", "quotas")["spot" if spot else "on_demand"]
    family = kind.name.partition(".")[0]
    fitting = [prefix for prefix in families if re.match(rf"{prefix}[0-9]", family)]
    return str(families[fitting[0]]) if fitting else None


def _offered(region: str, kind: InstanceType) -> Finding:
    from skyrig.clouds.aws.cloud import Aws

    try:
        zones = Aws().zones(region, kind.name)
    except SkyrigError as error:
        return Finding(kind.name, None, error.message)
    if zones:
        return Finding(kind.name, True, f"in {', '.join(zones)}")
    return Finding(kind.name, False, f"no zone of {region} has it: another --region")
