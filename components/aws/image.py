"""Which machine image nodes boot from: given, or the newest one that fits their type."""

import hashlib
import re

import pulumi
import pulumi_aws as aws

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType

_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_PARAMETER = re.compile(r"/[A-Za-z0-9_./-]+")
_CONTAINER = "docker:"


def wrong(image: str) -> str:
    """Why `image` names no image; "" where it does."""
    if not image or image.startswith(_CONTAINER) or _AMI.fullmatch(image) or _PARAMETER.fullmatch(image):
        return ""
    return f"{image!r}: ami-..., the path of an SSM parameter or docker:IMAGE is wanted"


def container(image: str) -> str:
    """Image of the container that jobs run in; "" where they run on the machine."""
    return image.removeprefix(_CONTAINER) if image.startswith(_CONTAINER) else ""


def source(kind: InstanceType, image: str) -> str:
    """Where a node's image is from: an image's id, or the SSM parameter that holds it. A container runs on the image
    that fits the type."""
    if image and not image.startswith(_CONTAINER):
        return image
    parameters = facts.of("aws", "images")["parameters"]
    family = facts.of("aws", "images")["families"].get(kind.accelerator, "nvidia") if kind.accelerator else "cpu"
    return str(parameters[family][kind.arch])


def found(where: str, opts: pulumi.InvokeOptions) -> pulumi.Input[str]:
    """The image's id, looked up where `where` is a parameter."""
    if not where.startswith("/"):
        return where
    parameter: pulumi.Output[str] = aws.ssm.get_parameter_output(name=where, opts=opts).value
    return parameter


def mark(where: str) -> str:
    """A short mark of where an image is from. It stands in the name of what must be another one where the image is
    wanted from elsewhere; a newer image from the same place is no reason to replace nodes."""
    return hashlib.sha256(where.encode()).hexdigest()[:6]
