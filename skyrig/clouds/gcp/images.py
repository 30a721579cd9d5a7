"""Machine images on Google Cloud: what one is made of, whether it is there, and what it costs."""

from __future__ import annotations

from skyrig.catalog import facts
from skyrig.clouds.gcp.door import Door, NotThere
from skyrig.clouds.gcp.machines import instances
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.imagery import EVERYWHERE, MadeImage, Source
from skyrig.errors import BadInput

_OFF = "TERMINATED"


def source(builder: ClusterDescription, account: str) -> Source:
    """What an image of a cluster's head is made of: the link of its boot disk. BadInput where the machine is not there,
    or not stopped: Google refuses the disk of a machine that runs."""
    door, machine = Door(account), builder.nodes[0].incarnation
    there = [each for each in instances(door, builder.name) if str(each["id"]) == machine]
    if not there or there[0]["status"] != _OFF:
        state = there[0]["status"].lower() if there else "not there"
        raise BadInput(f"machine {machine} is {state}: an image is made of a stopped one", hint="stop it first")
    [boot] = [each for each in there[0].get("disks", ()) if each.get("boot")]
    link = "projects/" + str(boot["source"]).partition("/projects/")[2]
    disk = door.call("GET", link.partition(f"projects/{door.project}/")[2])
    arch = {"ARM64": "arm64"}.get(str(disk.get("architecture", "")), "x86_64")
    return Source(link, int(disk["sizeGb"]), (("arch", arch),))


def is_there(made: MadeImage, region: str) -> bool:
    """Whether the project has the image, and machines can be made of it: it is the same in every region."""
    link = made.ids[EVERYWHERE]
    try:
        found = Door(made.account).call("GET", link.partition(f"projects/{made.account}/")[2])
    except NotThere:
        return False
    return found.get("status") == "READY"


def monthly(made: MadeImage) -> float | None:
    """USD a month of its storage at most: as if its disk were full and nothing of it could be compressed. None where
    its size is not known."""
    return float(facts.of("gcp", "imaging")["gb_month"]) * made.size_gb if made.size_gb else None
