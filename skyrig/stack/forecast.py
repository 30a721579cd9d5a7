"""What an up would do to a stack, found out without touching it.

The engine's own preview where it can be had: of a stack that is there on its backend, with the wanted config in a file
of its own; of one that is not, on a backend in a temporary folder. Else what the program registers is held against the
state: then updates and replacements are not seen.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.clouds import cloud as clouds
from skyrig.cluster.clouds import CLOUDS, registered
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.stack import agreement, backend, config, engine, plugins, stacks
from skyrig.stack.foreseen import ENGINE, OFFLINE, QUIET, Change, Forecast, changes_in


def of(stack: str, shape: Shape, *, insist: bool = False) -> Forecast:
    """What an up of `stack` with `shape` would do. The engine is asked where its plugin and credentials for the cloud
    are at hand; with `insist` in any case, and then an EngineError is the caller's."""
    lacking = _lacking(shape.cloud)
    if lacking and not insist:
        return _offline(stack, shape, f"the engine was not asked: {lacking}")
    try:
        return Forecast(tuple(_previewed(stack, shape)), ENGINE)
    except EngineError as error:
        if insist:
            raise
        return _offline(stack, shape, f"the engine's preview failed: {error.message}")


def _lacking(cloud: str) -> str:
    """Why the engine cannot be asked about a cloud from here; "" where it can."""
    if cloud not in CLOUDS:
        return f"Skyrig makes no clusters on {cloud} yet"
    if cloud not in clouds.known():
        return ""
    return clouds.of(cloud).missing() or ("" if plugins.there(cloud) else f"its plugin for {cloud} is not here")


def _previewed(stack: str, shape: Shape) -> Iterator[Change]:
    """The changes out of the engine's preview. Of what it writes nothing stays."""
    with tempfile.TemporaryDirectory(prefix="skyrig-plan-") as folder:
        file, there = Path(folder) / f"Pulumi.{stack}.yaml", stacks.is_there(stack)
        file.write_text(config.with_shape(stack, shape, backend.salt(stack) if there else None), encoding="utf-8")
        args = ["preview", "--json", "--config-file", str(file), *(["--refresh"] if there else [])]
        elsewhere = {} if there else _empty_backend(Path(folder) / "state", stack)
        variables = {agreement.PLANNED: "1", **elsewhere}
        yield from changes_in(json.loads(engine.query(args, stack=stack, variables=variables)))


def _empty_backend(folder: Path, stack: str) -> dict[str, str]:
    """A file backend that holds nothing but `stack`, which has nothing; variables that lead the engine there."""
    state = folder / ".pulumi" / "stacks" / NAMESPACE / f"{stack}.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"stack": f"organization/{NAMESPACE}/{stack}"}}))
    (folder / ".pulumi" / "meta.yaml").write_text("version: 1\n")
    return {"PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "nothing of it is kept"}


def _offline(stack: str, shape: Shape, note: str) -> Forecast:
    """The registrations of the program against the state. Only what comes and what goes is seen."""
    if lacking := _unregistered(shape.cloud):
        return Forecast((), OFFLINE, f"{note}; {lacking}")
    wanted = [(each["type"], each["name"]) for each in _registered(stack, shape) if each["custom"]]
    wanted = [(kind, name) for kind, name in wanted if not kind.startswith(QUIET)]
    there = list(_state(stack))
    made = [Change("create", kind, name) for kind, name in wanted if (kind, name) not in there]
    gone = [Change("delete", kind, name) for kind, name in there if (kind, name) not in wanted]
    unseen = "; what would be updated or replaced is not known" if there else ""
    return Forecast((*made, *gone), OFFLINE, note + unseen)


def _unregistered(cloud: str) -> str:
    """Why the program cannot be run for a cloud here; "" where it can."""
    if cloud not in CLOUDS:
        return "what it would make is not known"
    there = importlib.util.find_spec(registered(cloud).sdk)
    return "" if there else f"its SDK is not installed: pip install 'skyrig[{cloud}]'"


def _registered(stack: str, shape: Shape) -> list[dict[str, Any]]:
    """What the program would ask the engine for. BadInput where it refuses its config."""
    values = {f"{NAMESPACE}:{key}": value for key, value in shape.to_config().items()}
    program = places.shipped() / "stacks" / "__main__.py"
    done = subprocess.run(
        [sys.executable, "-m", "components.offline", stack, str(program)],
        env={**os.environ, "PYTHONPATH": str(places.shipped()), agreement.PLANNED: "1"},
        input=json.dumps(values).encode(),
        capture_output=True,
    )
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise BadInput(said[-1] if said else "the program ended without a word", hint="nothing was made")
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def _state(stack: str) -> Iterator[tuple[str, str]]:
    """Type and name of the real resources that a file backend's state of the stack holds."""
    for each in (backend.state(stack) or {}).get("resources") or ():
        kind = str(each["type"])
        if each.get("custom") and not kind.startswith(QUIET):
            yield kind, str(each["urn"]).rpartition("::")[2]
