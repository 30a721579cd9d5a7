"""Images: built, shown, deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, positional, verb
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.building import Wanted
    from skyrig.task.model import Task

_IMAGE = positional("image", "name of the image")


@verb(
    "build",
    [
        _IMAGE,
        positional("file", "task file, whose setup is done", optional=True),
        flag("recipe", "a recipe in its place: base, driver, cuda, fabric, python, setup"),
        flag("workdir", "folder to sync to the builder"),
        flag("env e", "K=V, or K for your own value; may be repeated", kind=list),
        flag("env-file", "file of K=V lines; may be repeated", kind=list),
        flag("secret", "like --env, never shown or written down; may be repeated", kind=list),
        flag("secret-file", "like --env-file for secrets; may be repeated", kind=list),
        flags.GPUS,
        *flags.RESOURCES,
        *flags.POLICY,
        flag("container", "a container image, built on this machine without a daemon", kind=bool),
        flag("base", "what a container begins with: an image of a registry, or oci:PATH"),
        flag("rootfs", "the same: a folder with a root file system"),
        flag("push", "registry and name that the container is pushed to, by skopeo"),
        flag("force", "build it also where it is there already", kind=bool),
        flags.YES,
    ],
)
def build(values: Values) -> None:
    """Build an image out of a task's setup, or a recipe, on a node of its own that goes afterwards."""
    from skyrig import building
    from skyrig.images import recipe as recipes

    name, file, recipe = str(values.given["image"]), values.text("file"), values.text("recipe")
    if (file is None) == (recipe is None):
        raise BadInput("image.build: of what?", hint="a TASKFILE, or --recipe FILE")
    if values.switch("container"):
        _container(values, name, file, recipe)
        return
    if any(values.text(each) for each in ("base", "rootfs", "push")):
        raise BadInput("--base, --rootfs and --push are for containers", hint="--container")
    if recipe is None:
        wanted = _wanted(values, name, flags.task_of(values, str(file)))
    else:
        env, secrets = flags.variables(values)
        found, notes = recipes.read(Path(recipe), env=env, secrets=secrets)
        for line in notes:
            notify(line)
        wanted = building.of_recipe(_wanted(values, name, flags.laid_over(values, found.builder())), found, notify)
    building.build(wanted, notify.output(), notify, agreed(values.switch("yes")))


def _container(values: Values, name: str, file: str | None, recipe: str | None) -> None:
    from skyrig import containing
    from skyrig.images import recipe as recipes

    base, rootfs = values.text("base"), values.text("rootfs")
    if base is not None and rootfs is not None:
        raise BadInput("--base and --rootfs say the same thing", hint="give one of them")
    if recipe is None:
        task, before, named = flags.task_of(values, str(file)), {}, ""
    else:
        env, secrets = flags.variables(values)
        found, notes = recipes.read(Path(recipe), env=env, secrets=secrets)
        for line in notes:
            notify(line)
        if found.devices:
            notify(f"in a container these say nothing: {', '.join(found.devices)}")
        task, before, named = found.builder(), found.texts(devices=False), found.container()
    base = f"rootfs:{Path(rootfs).expanduser().resolve()}" if rootfs is not None else base or named
    if not base:
        raise BadInput("image.build --container: on what?", hint="--base IMAGE, --base oci:PATH or --rootfs DIR")
    wanted = containing.WantedContainer(
        name, base, task, before, values.text("push") or "", again=values.switch("force")
    )
    containing.build(wanted, notify.output(), notify)


def _wanted(values: Values, name: str, task: Task) -> Wanted:
    from skyrig.building import Wanted

    return Wanted(name, task, wish=flags.wish(values), again=values.switch("force"))


@verb("ls", [*flags.JSON])
def ls(values: Values) -> None:
    """Show the images that were built, where they are, and what setup each saves."""
    from skyrig import listing
    from skyrig.cli import tables
    from skyrig.images import containers

    as_json = flags.wants_json(values)
    found, held = listing.listed(), containers.all_known()
    if as_json:
        print(
            json.dumps({"images": [*(each.to_json() for each in found), *(each.to_json() for each in held)]}, indent=2)
        )
    else:
        tables.images(found, held)


@verb("delete", [_IMAGE, flag("container", "a container image", kind=bool), flags.YES])
def delete(values: Values) -> None:
    """Delete an image with all its copies. Asks on a terminal; -y answers yes."""
    from skyrig import building, containing

    if values.switch("container"):
        containing.delete(str(values.given["image"]), notify, agreed(values.switch("yes")))
        return
    building.delete(str(values.given["image"]), notify, agreed(values.switch("yes")))
