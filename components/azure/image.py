"""Images of machines: which one fits a type, and the user's own. Pure functions over data/azure/images.json."""

import re
from typing import NamedTuple

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType

_URN = re.compile(r"(?P<publisher>[\w.-]+):(?P<offer>[\w.-]+):(?P<sku>[\w.-]+):(?P<version>[\w.-]+)")
_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute/[\w./-]+", re.IGNORECASE)
_COMMUNITY = re.compile(r"/communityGalleries/[^/]+/images/[\w./-]+", re.IGNORECASE)
CONTAINER = "docker:"


class Image(NamedTuple):
    """What a machine boots."""

    reference: dict[str, str]
    """Image reference of the machine's storage profile."""
    trusted_launch: bool
    """Whether it is known to boot under trusted launch."""
    driver_extension: bool
    """Whether the GPU's driver is not in it, and Azure's extension shall install one."""


def container(wanted: str) -> str:
    """Image of the container that jobs run in, from docker:IMAGE; "" where they run on the machine."""
    return wanted.removeprefix(CONTAINER) if wanted.startswith(CONTAINER) else ""


def find(kind: InstanceType, wanted: str) -> Image | None:
    """The image for machines of a type: `wanted` (a URN, or the id of an image or of a gallery's), or the one for its
    accelerator where that is "" or a container. None where none is known, or `wanted` is neither."""
    if wanted and not container(wanted):
        reference = _reference(wanted)
        return Image(reference, trusted_launch=False, driver_extension=False) if reference else None
    said = facts.of("azure", "images")
    chosen = said["by_accelerator"].get(kind.accelerator, "") if kind.arch == "x86_64" else ""
    if not chosen:
        return None
    image = said["images"][chosen]
    extension = image["driver"] == "none" and bool(kind.accelerator)
    launch = bool(image["trusted_launch"]) and bool(kind.facts.get("trusted_launch", True))
    return Image(_reference(image["urn"]), trusted_launch=launch, driver_extension=extension)


def security(image: Image) -> dict[str, object]:
    """Security profile of a machine: what its host keeps for it is encrypted, and it boots measured where its image
    does. Secure boot refuses drivers that nobody signed: those that the extension builds."""
    profile: dict[str, object] = {"encryption_at_host": True}
    if image.trusted_launch:
        profile["security_type"] = "TrustedLaunch"
        profile["uefi_settings"] = {"secure_boot_enabled": not image.driver_extension, "v_tpm_enabled": True}
    return profile


def _reference(text: str) -> dict[str, str]:
    urn = _URN.fullmatch(text)
    if urn:
        return urn.groupdict()
    if _COMMUNITY.fullmatch(text):
        return {"community_gallery_image_id": text}
    return {"id": text} if _ID.fullmatch(text) else {}
