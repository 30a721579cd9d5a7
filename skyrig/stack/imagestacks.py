"""Image stacks: the stacks that machine images live in, NAME-image, so that they outlive builders and clusters.

Making, copying and deleting are runs of the engine like any other: one at a time, with the account guarded, with what
a killed run has left settled first, and with a sweep after the end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from attrs import evolve

from skyrig import places
from skyrig.clouds.cloud import ROOM, NotUsable
from skyrig.cluster import clouds, imagery
from skyrig.cluster import shape as shapes
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.imagery import IMAGE, MadeImage, Source, WantedImage
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.stack import backend, config, deployed, described, engine, kinds, ssh_files, stacks

Notify = Callable[[str], None]
"""Takes one line of progress for the reader."""


class CloudImages(Protocol):
    """What a cloud is asked about images: the module `images` in its folder of skyrig.clouds."""

    def source(self, builder: ClusterDescription, account: str) -> Source:
        """What an image of a cluster's head is made of. BadInput where the machine is not there, or not stopped."""

    def is_there(self, made: MadeImage, region: str) -> bool:
        """Whether the cloud has the image in a region now."""

    def monthly(self, made: MadeImage) -> float | None:
        """USD a month that its storage costs at most, in all regions; None where a price is not known."""


def of_cloud(name: str) -> CloudImages | None:
    """What a cloud is asked about images; None where Skyrig makes no images there by the engine and its API."""
    if not clouds.has(ROOM, name, "images"):
        return None
    found: CloudImages = clouds.module(ROOM, name, "images")
    return found


def makes(cloud: str) -> bool:
    """Whether Skyrig makes machine images on a cloud."""
    return clouds.has("components", cloud, "imaging")


def source(builder: ClusterDescription, account: str) -> Source:
    """What an image of a builder's head is made of. The builder is stopped; BadInput where it is not, or not there."""
    asked = of_cloud(builder.cloud)
    if asked is None:
        raise BadInput(f"no machine images are made on {builder.cloud}", hint="a container image works there")
    return asked.source(builder, account)


def make(wanted: WantedImage, notify: Notify, *, owner: str = "") -> MadeImage:
    """Have this image, with its copies. One of another source or digest takes the place of the one that is there, which
    is deleted then: BadInput while a cluster uses that. Asked again after it was cut off, it goes on."""
    if not makes(wanted.cloud):
        raise BadInput(f"no machine images are made on {wanted.cloud}", hint="a container image works there")
    stack = imagery.stack_of(wanted.name)
    before = _before(stack, notify)
    had = before.imaged if before is not None else None
    if had is not None and had.mark == wanted.mark:
        wanted = evolve(wanted.with_regions(*had.regions), made_at=had.made_at)
    elif had is not None:
        refuse_used(wanted.name, "replaced")
    wanted = evolve(wanted, made_at=wanted.made_at or float(int(time.time())))
    stacks.up(stack, shapes.of_image(wanted, owner), notify, before=before)
    return _surely(wanted.name)


def read(name: str, *, fresh: bool = False) -> MadeImage | None:
    """The image of that name as its stack has it; None where there is none. The engine is asked once a deployment."""
    stack = imagery.stack_of(name)
    mark = described.mark(stack)
    if mark is None and backend.folder() is not None:
        _file(stack).unlink(missing_ok=True)
        return None
    kept = None if fresh or mark is None else _kept(stack, mark)
    return _asked(stack, mark) if kept is None else kept


def all_known() -> list[MadeImage]:
    """Every image of this backend, by name."""
    return [each for each in map(read, names()) if each is not None]


def names() -> list[str]:
    """Names of all images of this backend, also of those that were not made to their end, or not deleted to it."""
    named = [stack for stack in stacks.everything() if stack.endswith(IMAGE) and kinds.of(stack) is kinds.IMAGE]
    return [stack.removesuffix(IMAGE) for stack in named]


def refuse_taken(name: str) -> None:
    """BadInput where the stack that the image would have is there, and another's."""
    stacks.refuse_other(imagery.stack_of(name), kinds.IMAGE)


def copy(name: str, region: str, notify: Notify) -> MadeImage:
    """Have the image in a region too, and give it as it is then. BadInput where there is no such image."""
    made = read(name)
    if made is None:
        raise _no_such(name)
    if made.id_in(region) is not None:
        return made
    refuse_gone(made, made.region)
    stack = imagery.stack_of(name)
    before = stacks.settled(stack, notify)
    if before.imaged is None:
        raise _no_such(name)
    notify(f"image {name} is copied from {made.region} to {region}")
    wanted = before.imaged.with_regions(region)
    try:
        stacks.up(stack, evolve(before, imaged=wanted), notify, before=before, refresh=False)
    except EngineError:
        notify(f"image {name}: removing what was made of the copy")
        _uncopied(stack, before, wanted, notify)
        raise
    return _surely(name)


def refuse_gone(made: MadeImage, region: str) -> None:
    """BadInput where the cloud does not have an image in a region in which it was made: somebody has removed it, or it
    is not for the account of the credentials here. Who may not look is taken to have it."""
    asked = of_cloud(made.cloud)
    try:
        is_there = asked is None or asked.is_there(made, region)
    except NotUsable:
        return
    if not is_there:
        whose = f" of {made.cloud} account {made.account}" if made.account else ""
        raise BadInput(
            f"image {made.name}{whose} is not in {region} for the credentials here: {made.id_in(region)}",
            hint=f"it was removed there, and `image.build {made.name} --force` builds it again; or use that account's",
        )


def _uncopied(stack: str, before: Shape, wanted: WantedImage, notify: Notify) -> None:
    """Have an image wanted where it is alone: a region that refuses it would else be asked with every further copy, and
    each of those fail. Regions that another process has asked for meanwhile stay."""
    made = _surely(wanted.name)
    regions = tuple(region for region in wanted.regions if made.id_in(region) is not None)
    there, asked = evolve(before, imaged=evolve(wanted, regions=regions)), evolve(before, imaged=wanted)
    try:
        stacks.up(stack, there, notify, before=asked, refresh=False)
    except EngineError as error:
        notify(f"{stack}: {error.message}")


def delete(name: str, notify: Notify) -> None:
    """Delete an image with all its copies, and forget its stack. BadInput while a cluster uses it, and where there is
    none; whoever calls has asked the user."""
    stack = imagery.stack_of(name)
    if not stacks.is_there(stack) or kinds.of(stack) is not kinds.IMAGE:
        raise _no_such(name)
    refuse_used(name, "deleted")
    stacks.end(stack, notify)
    stacks.remove(stack, notify)
    _file(stack).unlink(missing_ok=True)


def used_by(name: str) -> list[str]:
    """The clusters that are up or stopped and were made from the image: their nodes could not be made again without."""
    made = read(name)
    ids = {f"{imagery.PREFIX}{name}", *(made.ids.values() if made is not None else ())}
    return [stack for stack in stacks.known() if backend.has_anything(stack) and _image(stack) in ids]


def refuse_used(name: str, what: str) -> None:
    """BadInput where clusters use an image that is to be `what`: deleted or replaced."""
    users = used_by(name)
    if users:
        raise BadInput(
            f"image {name} is used by {', '.join(users)} and is not {what}: lost nodes could not be made again",
            hint=f"`down -c {users[0]}` first, or choose another name",
        )


def refuse_end(stack: str) -> None:
    """For a plain destroy of any stack: BadInput where that is an image's, and a cluster uses the image."""
    if stack.endswith(IMAGE) and stacks.is_there(stack) and kinds.of(stack) is kinds.IMAGE:
        refuse_used(stack.removesuffix(IMAGE), "deleted")


def _image(stack: str) -> str:
    """The image that a cluster was made from; "" where it is none of a name. A container runs on it, perhaps."""
    last = deployed.last(stack) or config.read_shape(stack)
    return last.machine.image.partition(",")[0] if last.power != "down" else ""


def _before(stack: str, notify: Notify) -> Shape | None:
    """What an image's stack was by its config; None where there is none."""
    if not stacks.is_there(stack):
        return None
    return stacks.settled(stack, notify)


def _surely(name: str) -> MadeImage:
    made = read(name)
    assert made is not None, "the engine's run has succeeded"
    return made


def _no_such(name: str) -> BadInput:
    there = ", ".join(each.name for each in all_known()) or "none"
    return BadInput(f"there is no image {name}", hint=f"there are: {there}")


def _asked(stack: str, mark: list[int] | None) -> MadeImage | None:
    """What the engine says, kept for the next time."""
    if not stacks.is_there(stack):
        return None
    outputs = json.loads(engine.query(["stack", "output", "--json"], stack=stack))
    if not outputs.get("image"):
        return None
    made = imagery.from_json(outputs["image"])
    if mark is not None:
        where = os.fspath(backend.state_file(stack) or "")
        places.made(places.stack(stack))
        ssh_files.replace(_file(stack), json.dumps({"mark": [where, *mark], "image": made.to_json()}))
    return made


def _kept(stack: str, mark: list[int]) -> MadeImage | None:
    try:
        document = json.loads(_file(stack).read_bytes())
        if document["mark"] != [os.fspath(backend.state_file(stack) or ""), *mark]:
            return None
        return imagery.from_json(document["image"])
    except (OSError, ValueError, KeyError, TypeError, imagery.BadImage):
        return None


def _file(stack: str) -> Path:
    return places.stack(stack) / "image.json"
