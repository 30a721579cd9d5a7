"""The clouds: one line each. All else of a cloud lies in folders that bear its name.

    components/NAME/cloud.py        class NameCloud: the component that makes a cluster there; `imaging.py` beside it:
                                    class NameImaging, which makes a machine image
    skyrig/clouds/NAME/cloud.py     class Name: what is asked of the cloud beside the engine; `pricing.py`, `stock.py`,
                                    `adopter.py` and `images.py` beside it where it has such
    skyrig/catalog/data/NAME/       its facts: power, place, refusals, types, fabric, images, ...
    docs/clouds/NAME.md, tests/clouds/NAME/

A name that is a word of Python (lambda) has an underscore after it where it names a folder of code.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import keyword
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple


class Registered(NamedTuple):
    """What the rest of Skyrig must know of a cloud before it is asked anything. `package` is that of the engine's
    provider ("": there is none, its resources are dynamic ones), `sdk` the Python package that its component needs,
    `plugin` the engine's program that drives the provider where that is not called after the package.

    `is_rented`: its machines are paid for by the hour. `is_offered`: a task gets there by an offer, out of a price
    table or out of what `stock.py` says is there; else it is asked for by name. `is_sized`: a node is as large as the
    task asks for, out of a larger machine. `is_queue`: its own scheduler runs the jobs, on nodes that are not ours.
    `has_key`: a key pair of the cluster's own opens its nodes. `notices` is the service that tells a node that it is
    about to be taken away (skyrig/launch/notices.py); "": none.
    """

    package: str = ""
    sdk: str = "pulumi"
    is_rented: bool = True
    is_offered: bool = True
    is_sized: bool = False
    has_key: bool = True
    is_queue: bool = False
    notices: str = ""
    plugin: str = ""


CLOUDS: Mapping[str, Registered] = {
    "local": Registered(is_rented=False, is_offered=False, notices="file"),
    "aws": Registered("aws", "pulumi_aws", notices="ec2"),
    "gcp": Registered("gcp", "pulumi_gcp", notices="compute-engine"),
    "azure": Registered("azure-native", "pulumi_azure_native", notices="scheduled-events"),
    "slurm": Registered(is_rented=False, is_offered=False, has_key=False, is_queue=True),
    "ssh": Registered(is_rented=False),
    "kubernetes": Registered("kubernetes", "pulumi_kubernetes", is_rented=False, is_sized=True),
    "nebius": Registered("nebius", "pulumi_nebius", plugin="terraform-provider"),
    "oci": Registered("oci", "pulumi_oci"),
    "lambda": Registered(),
    "runpod": Registered(),
    "fluidstack": Registered(),
}
"""Every cloud that Skyrig makes clusters on."""


def registered(name: str) -> Registered:
    """What is known of a cloud; of one that Skyrig makes no clusters on, what most are like."""
    return CLOUDS.get(name, Registered())


def of_package(package: str) -> str:
    """The cloud whose resources are of an engine's package; "" where it is none's."""
    return next((name for name, known in CLOUDS.items() if package and known.package == package), "")


def of_dynamic(kind: str) -> str:
    """The cloud that a dynamic resource is of, by its name, which begins with the cloud's (`LambdaMachine`); "" where
    it is none's."""
    return next((name for name in CLOUDS if kind.startswith(title(name))), "")


def folder(name: str) -> str:
    """Name of a cloud's folder of code."""
    return f"{name}_" if keyword.iskeyword(name) else name


def title(name: str) -> str:
    """How the names of a cloud's classes begin."""
    return name.title()


def module(room: str, name: str, part: str) -> ModuleType:
    """The module `part` of a cloud in `room` (components, skyrig.clouds); ModuleNotFoundError where it has none."""
    return importlib.import_module(f"{room}.{folder(name)}.{part}")


@functools.cache
def has(room: str, name: str, part: str) -> bool:
    """Whether a cloud has that module."""
    try:
        return importlib.util.find_spec(f"{room}.{folder(name)}.{part}") is not None
    except ModuleNotFoundError:
        return False


def with_part(room: str, part: str) -> tuple[str, ...]:
    """All clouds that have a module in `room`."""
    return tuple(name for name in CLOUDS if has(room, name, part))
