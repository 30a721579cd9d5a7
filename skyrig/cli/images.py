"""Images: built, shown, deleted."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, positional, verb
from skyrig.errors import BadInput

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
        flag("force", "build it also where it is there already", kind=bool),
        flags.YES,
    ],
)
def build(values: Values) -> None:
    """Build an image out of a task's setup, or a recipe, on a node of its own that goes afterwards."""
    from skyrig import building

    name, file, recipe = str(values.given["image"]), values.text("file"), values.text("recipe")
    if (file is None) == (recipe is None):
        raise BadInput("image.build: of what?", hint="a TASKFILE, or --recipe FILE")
    if recipe is not None:
        raise BadInput("no recipes yet")
    wanted = building.Wanted(
        name, flags.task_of(values, str(file)), wish=flags.wish(values), again=values.switch("force")
    )
    building.build(wanted, notify.output(), notify, agreed(values.switch("yes")))


@verb("ls", [*flags.JSON])
def ls(values: Values) -> None:
    """Show the images that were built, where they are, and what setup each saves."""
    from skyrig import building
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    found = building.listed()
    if as_json:
        print(json.dumps({"images": [each.to_json() for each in found]}, indent=2))
    else:
        tables.images(found)


@verb("delete", [_IMAGE, flags.YES])
def delete(values: Values) -> None:
    """Delete an image with all its copies. Asks on a terminal; -y answers yes."""
    from skyrig import building

    building.delete(str(values.given["image"]), notify, agreed(values.switch("yes")))
