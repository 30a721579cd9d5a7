"""Images of nodes; the names are data/oci/images.json. Pure functions, but for the one that looks."""

import re
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_oci.core.get_images import get_images_output

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.oci.shapes import of_type

CONTAINER = "docker:"
"""What names a container image begins with."""

_IMAGE = re.compile(r"ocid1\.image\.[a-z0-9.-]+\.[a-z0-9]+")


def container(image: str) -> str:
    """The image of the container that jobs run in; "" where they run on the machine."""
    return image.removeprefix(CONTAINER) if image.startswith(CONTAINER) else ""


def own(image: str) -> str:
    """The image that is named for the machine itself; "" where the newest one that fits is meant."""
    return "" if container(image) else image


def wrong(image: str) -> str:
    """Why `image` names no image; "" where it does."""
    if not own(image) or _IMAGE.fullmatch(image):
        return ""
    return f"{image!r}: an image's OCID (ocid1.image...) or docker:IMAGE is wanted"


def found(account: str, kind: InstanceType, image: str, opts: pulumi.InvokeOptions) -> pulumi.Output[str]:
    """OCID of the image that a machine starts from: the given one, or the newest of Canonical's for the shape."""
    if own(image):
        return pulumi.Output.from_input(own(image))
    family = facts.of("oci", "images")["platform"]
    answer = get_images_output(
        compartment_id=account,
        operating_system=family["operating_system"],
        operating_system_version=family["version"],
        shape=of_type(kind.name).name,
        state="AVAILABLE",
        sort_by="TIMECREATED",
        sort_order="DESC",
        opts=opts,
    )
    id_: pulumi.Output[str] = answer.images.apply(newest)
    return id_


def newest(images: Sequence[Any] | None) -> str:
    """The first of them that is a whole Ubuntu, not a minimal one; "" where nobody was asked."""
    if images is None:
        return ""
    whole = [each for each in images if "Minimal" not in str(each["display_name"])]
    if not whole:
        raise ValueError("Oracle Cloud has no Ubuntu image for this shape in this region: name one (image_id)")
    return str(whole[0]["id"])
