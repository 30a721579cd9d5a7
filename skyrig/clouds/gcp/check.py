"""Whether Google Cloud can be used from here: who one is, what one may do, which APIs there are, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from skyrig.catalog import instances
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.gcp import offering, quotas, session
from skyrig.clouds.gcp.door import Described, Disabled, Door
from skyrig.errors import SkyrigError

RIGHTS = {
    "roles/compute.admin": (
        "compute.instances.create",
        "compute.instances.delete",
        "compute.instances.start",
        "compute.instances.stop",
        "compute.disks.create",
        "compute.networks.create",
        "compute.subnetworks.create",
        "compute.firewalls.create",
        "compute.routers.create",
        "compute.addresses.create",
        "compute.resourcePolicies.create",
    ),
    "roles/iam.serviceAccountAdmin": ("iam.serviceAccounts.create", "iam.serviceAccounts.delete"),
    "roles/iam.serviceAccountUser": ("iam.serviceAccounts.actAs",),
    "roles/iam.roleAdmin": ("iam.roles.create", "iam.roles.delete"),
    "roles/resourcemanager.projectIamAdmin": ("resourcemanager.projects.setIamPolicy",),
}
"""What whoever makes a cluster must be allowed, by the role that has it."""

SLICE_RIGHTS = {"roles/tpu.admin": ("tpu.nodes.create", "tpu.nodes.delete")}
"""The same for TPU slices, beside those."""

_APIS = ("compute.googleapis.com", "iam.googleapis.com", "cloudresourcemanager.googleapis.com")
_SLICE_API = "tpu.googleapis.com"

Look = Callable[[], list[Finding]]


def findings(project: str, region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made: credentials first, then the rest at once."""
    if reason := session.missing():
        return [Finding("credentials", False, reason)]
    if not project:
        return [Finding("project", False, f"none is named: {session.NAME_ONE}")]
    described: Described = {}
    try:
        door = Door(project)
        described = door.project_there()
    except Disabled:
        pass  # which APIs are there is looked at below
    except SkyrigError as error:
        return [Finding("credentials", False, str(error))]
    first = Finding("credentials", True, f"project {project}, {door.who}")
    with ThreadPoolExecutor(max_workers=8) as pool:
        looked = pool.map(lambda look: look(), _looks(door, described, region, wanted))
        return [first, *(each for found in looked for each in found)]


def _looks(door: Door, described: Described, region: str, wanted: Wanted | None) -> Iterator[Look]:
    kind = instances.find("gcp", wanted.instance_type) if wanted is not None else None
    tpu = kind is not None and kind.fabric == "tpu-ici"
    yield lambda: _apis(door, (*_APIS, _SLICE_API) if tpu else _APIS)
    yield lambda: _rights(door, {**RIGHTS, **SLICE_RIGHTS} if tpu else RIGHTS)
    if wanted is not None and kind is not None:
        yield lambda: quotas.findings(door, described, region, wanted, kind)
        yield lambda: [_offered(door, region, kind)]


def _apis(door: Door, names: tuple[str, ...]) -> list[Finding]:
    """Which APIs are activated in the project."""
    asked = {"names": [f"projects/{door.project}/services/{name}" for name in names]}
    try:
        said = door.call("GET", "services:batchGet", asked, service="serviceusage")
    except SkyrigError as error:
        return [Finding("APIs", None, f"whether {', '.join(names)} are activated is not known: {error.message}")]
    active = {each["name"].rpartition("/")[2] for each in said.get("services", ()) if each.get("state") == "ENABLED"}
    fix = f"not activated: `gcloud services enable {{}} --project {door.project}`"
    return [Finding(name, name in active, "" if name in active else fix.format(name)) for name in names]


def _rights(door: Door, wanted: dict[str, tuple[str, ...]]) -> list[Finding]:
    """What the caller may do in the project, role by role."""
    asked = {"permissions": [right for rights in wanted.values() for right in rights]}
    path = f"/projects/{door.project}:testIamPermissions"
    try:
        may = door.call("POST", path, service="cloudresourcemanager", body=asked).get("permissions", ())
    except SkyrigError as error:
        return [Finding("rights", None, f"they cannot be asked for: {error.message}")]
    return [_right(door, role, [right for right in rights if right not in may]) for role, rights in wanted.items()]


def _right(door: Door, role: str, lacking: list[str]) -> Finding:
    if not lacking:
        return Finding(role, True)
    who = door.who if "@" in door.who else "YOU"
    member = f"serviceAccount:{who}" if who.endswith(".gserviceaccount.com") else f"user:{who}"
    fix = f"`gcloud projects add-iam-policy-binding {door.project} --member={member} --role={role}`"
    return Finding(role, False, f"{', '.join(lacking)} not allowed: {fix}")


def _offered(door: Door, region: str, kind: InstanceType) -> Finding:
    try:
        zones = offering.zones(door, region, kind.name)
    except SkyrigError as error:
        return Finding(kind.name, None, error.message)
    if zones:
        return Finding(kind.name, True, f"in {', '.join(zones)}")
    return Finding(kind.name, False, f"no zone of {region} has it: another --region")
