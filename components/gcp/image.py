"""Images of nodes. Pure functions; the names are data/gcp/images.json.

An image family is its newest image at the time a machine is made, so nothing is looked up, and machines that exist keep
what they were made from.
"""

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType

CONTAINER = "docker:"
"""What names a container image begins with."""


def container(image: str) -> str:
    """The image of the container that jobs run in; "" where they run on the machine."""
    return image.removeprefix(CONTAINER) if image.startswith(CONTAINER) else ""


def boot_image(kind: InstanceType, image: str) -> str:
    """Image that a machine starts from: the given one, or the family for the type. A TPU VM has a runtime version in
    its place."""
    if image and not container(image):
        return image
    if kind.fabric == "tpu-ici":
        return str(kind.facts["runtime"])
    drivers = "gpu" if kind.accelerator else "cpu"
    return str(facts.of("gcp", "images")["families"][f"{drivers}/{kind.arch}"])


def secure_boot(kind: InstanceType) -> bool:
    """Whether the machine runs signed kernel modules alone: not with accelerators, whose modules are built on it."""
    return not kind.accelerator
