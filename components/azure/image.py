"""Images of machines: which one fits a type, and the user's own. Pure functions over data/azure/images.json."""

import re
from typing import NamedTuple

from components.azure.names import SECURED
from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType

_URN = re.compile(r"(?P<publisher>[\w.-]+):(?P<offer>[\w.-]+):(?P<sku>[\w.-]+):(?P<version>[\w.-]+)")
_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute/[\w./-]+", re.IGNORECASE)
_COMMUNITY = re.compile(r"/communityGalleries/[^/]+/images/[\w./-]+", re.IGNORECASE)
_MADE = re.compile(rf"/galleries/skyrig_[\w.]+/images/image-[0-9a-f]+-({'|'.join(SECURED)})/", re.IGNORECASE)
CONTAINER = "docker:"


class Image(NamedTuple):
    """What a machine boots."""

    reference: dict[str, str]
    """Image reference of the machine's storage profile."""
    trusted_launch: bool
    """Whether it is known to boot under trusted launch."""
    driver_extension: bool
    """Whether the GPU's driver is not in it, and Azure's extension shall install one."""
    secure_boot: bool = True
    """Whether signed code alone may boot under trusted launch."""


def container(wanted: str) -> str:
    """Image of the container that jobs run in, from docker:IMAGE; "" where they run on the machine."""
    return wanted.removeprefix(CONTAINER) if wanted.startswith(CONTAINER) else ""


def find(kind: InstanceType, wanted: str) -> Image | None:
    """The image for machines of a type: `wanted` (a URN, or the id of an image or of a gallery's), or the one for its
    accelerator where that is "" or a container. None where none is known, or `wanted` is neither."""
    if wanted and not container(wanted):
        reference = _reference(wanted)
        return _own(wanted, reference) if reference else None
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
        secure = image.secure_boot and not image.driver_extension
        profile["security_type"] = "TrustedLaunch"
        profile["uefi_settings"] = {"secure_boot_enabled": secure, "v_tpm_enabled": True}
    return profile


def _own(wanted: str, reference: dict[str, str]) -> Image:
    """An image that was named. One that Skyrig made of a machine under trusted launch boots under nothing else."""
    made = _MADE.search(wanted)
    return Image(reference, made is not None, driver_extension=False, secure_boot=made is None or SECURED[made[1]])


def _reference(text: str) -> dict[str, str]:
    urn = _URN.fullmatch(text)
    if urn:
        return urn.groupdict()
    if _COMMUNITY.fullmatch(text):
        return {"community_gallery_image_id": text}
    return {"id": text} if _ID.fullmatch(text) else {}
