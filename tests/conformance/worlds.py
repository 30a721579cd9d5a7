"""What a cloud brings so that the one suite can run on it: a `World`, in `tests/clouds/NAME/world.py`.

A world is the stand-in of a cloud (an API on loopback, an echo of the engine's provider, a test kubelet, namespaces of
this machine) together with the *truth* about it: what is there, whatever Skyrig believes. The suite is the user: it
runs our verbs in processes of their own and compares what they say with what the world knows.

The file has a class `World` that is made with a folder, entered before the first step and left after the last one.
`tests/clouds`, `tests/clouds/NAME` and this folder can be imported from. A world that cannot be had here (no bridge, no
Go) skips in `__enter__` with one clear line. The user's own folder is the world's: SKYRIG_HOME is `folder / "home"`,
their clone `folder / "clone"`.

docs/support.md is made from what each cloud says in `docs/support/NAME.json`: which feature it has, and how that was
proven (tools/support.py tells how to fill it, and writes the page). What a world proves is told there.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from attrs import field, frozen

from skyrig.cluster.clouds import CLOUDS

CLOUDS_OF_TESTS = Path(__file__).parents[1] / "clouds"

LEFT_OUT = {"slurm": "it makes no machines: it finds a cluster that is there already (tests/slurm)"}
"""Registered clouds that the suite does not run on, each with its reason."""

STEPS = ("nodes", "stop", "end", "account", "tags")
"""What a cloud may lack: a cluster of several nodes; stopped nodes; nodes that end themselves; accounts (or a way to
tell whose the credentials are); tags."""


@frozen
class Machine:
    """The machine behind a node as the cloud has it: `power` is up or stopped. `host`:`port` is where its node is
    reached from here ("": the world has none that is, for instance behind a gate). `tags` are the cloud's own, by the
    names of components/tags.py, whatever letters the cloud allows."""

    power: str = "up"
    host: str = ""
    port: int = 22
    tags: Mapping[str, str] = field(factory=dict)


class World(Protocol):
    """One cloud, as a stand-in that knows the truth."""

    lands: bool
    """Whether the whole life runs with every test run; else with --soak alone. The lives that land may take two minutes
    of wall time together: one of dynamic resources takes 50 s."""

    answers: bool
    """Whether its machines are real ones that answer by SSH: `status` calls them UP then, a task is launched there, and
    autodown is the keeper's. Else they are DOWN to whoever knocks, and `end` ends them."""

    moves: bool
    """Whether a node has another address (host or port) after a stop and a start."""

    because: Mapping[str, str]
    """Why steps cannot be had, by their names in STEPS. For `nodes` and `stop` it is what Skyrig says when it refuses,
    and stands in the cloud's facts (skyrig/catalog/data/NAME); for others it is for the reader."""

    infra: Sequence[str]
    """Words of `up` that say where and what: ["--infra", "gcp/us-central1", "-t", "g2-standard-4"]. `--nodes`, `-c` and
    `-y` are the suite's."""

    accelerators: str
    """Accelerators of each node as its description tells them, for instance L4:1; "" of CPU nodes."""

    env: Mapping[str, str]
    """What the user's environment has more: endpoints, credentials, PATH with the provider's plugin."""

    other: Mapping[str, str]
    """The same of somebody with another account ({} where `because` tells of `account`)."""

    secrets: Sequence[str]
    """What may be in no state and no config in the clear beside the cluster's own key: the API key, for instance."""

    def __init__(self, folder: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def machines(self, stack: str) -> Mapping[str, Machine]:
        """The machines that are there for the nodes of a stack, by node id: up or stopped, none that is gone."""

    def lose(self, stack: str, node: str) -> None:
        """Take the machine behind a node away, behind everybody's back."""

    def end(self, stack: str, node: str) -> None:
        """The node ends itself: what its end program does with the cloud. Asked only where nothing `answers`."""

    def left(self, stack: str) -> Sequence[str]:
        """All that the cloud has of a stack, in words for a failed test: machines, disks, addresses, keys, groups."""


def load(cloud: str) -> type[Any] | None:
    """The world of a cloud; None where it brings none."""
    folder = CLOUDS_OF_TESTS / cloud
    file = folder / "world.py"
    if not file.exists():
        return None
    for place in (str(folder), str(CLOUDS_OF_TESTS)):
        if place not in sys.path:
            sys.path.insert(0, place)
    name = f"world_of_{cloud}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    found: type[Any] = sys.modules[name].World
    return found


def clouds() -> list[str]:
    """The clouds that the suite runs on."""
    return [cloud for cloud in CLOUDS if cloud not in LEFT_OUT]
