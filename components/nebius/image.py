"""Images of nodes, and their boot disks. Pure functions; the names are data/nebius/{images,disks}.json."""

from skyrig.catalog import disks, facts
from skyrig.catalog.instances import InstanceType

CONTAINER = "docker:"
"""What names a container image begins with."""


def container(image: str) -> str:
    """The image of the container that jobs run in; "" where they run on the machine."""
    return image.removeprefix(CONTAINER) if image.startswith(CONTAINER) else ""


def family(kind: InstanceType, image: str) -> str:
    """The public image family that a machine starts from: the given one, or that for the type. A family is its newest
    image at the time a machine is made; machines that exist keep what they were made from."""
    if image and not container(image):
        return image
    return str(facts.of("nebius", "images")["families"]["gpu" if kind.accelerator else "cpu"])


def boot_disk(name: str, kind: InstanceType, image: str, tier: str, size_gb: int) -> dict[str, object]:
    """A boot disk that is made and deleted with its machine. Some types are sold in steps: then it is the next larger
    size."""
    type_ = disks.boot("nebius", kind.name, tier)
    step = int(facts.of("nebius", "disks")["step_gib"][type_])
    spec = {
        "type": type_,
        "size_gibibytes": -(-size_gb // step) * step,
        "source_image_family": {"image_family": family(kind, image)},
    }
    return {"attach_mode": "READ_WRITE", "device_id": "boot", "managed_disk": {"name": f"{name}-boot", "spec": spec}}
