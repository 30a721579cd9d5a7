"""Images that were built here, where tasks name them: found in every region where they are, and brought to the one that
a cluster is made in."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from skyrig.cluster.imagery import EVERYWHERE, PREFIX, MadeImage
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.images import containers
from skyrig.stack import imagestacks
from skyrig.task.image import Image, name_of
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def found(name: str) -> MadeImage:
    """The machine image of that name. BadInput, naming those that are there, where there is none."""
    made = imagestacks.read(name)
    if made is None:
        there = ", ".join(each.name for each in imagestacks.all_known())
        raise BadInput(
            f"there is no image {name}", hint=f"there are: {there}" if there else f"`image.build {name}` builds it"
        )
    return made


def resolved(task: Task) -> Task:
    """`task` with the images that it names as skyrig:NAME looked up. BadInput for one that is not there."""
    each = tuple(
        evolve(asked, image=_resolved(asked.image)) if asked.image is not None else asked for asked in task.choice.each
    )
    return evolve(task, choice=evolve(task.choice, each=each)) if each != task.choice.each else task


def lacking(task: Task, shape: Shape, stack: str) -> str:
    """A line that says that a task asks for an image of ours and the nodes of `stack`, which are of `shape`, did not
    begin with it; "" where they did, or it asks for none."""
    asked = [each.image for each in task.choice.each if each.image is not None and each.image.ours is not None]
    ids = {id_ for image in asked for id_ in image.by_region.values()}
    if not asked or shape.machine.image.partition(",")[0] in ids:
        return ""
    return f"{stack} did not begin with image {asked[0].ours} and stays as it is: a new cluster would"


def without(task: Task) -> Task:
    """`task` without images of ours."""
    each = (evolve(one, image=None) if one.image is not None and one.image.ours else one for one in task.choice.each)
    return evolve(task, choice=evolve(task.choice, each=tuple(each)))


def ready(shape: Shape, notify: Notify) -> Shape:
    """`shape` with the id of its image in its region, where that was not there yet: then it is copied there first."""
    image, _, container = shape.machine.image.partition(",")
    if not is_missing(shape):
        return shape
    there = imagestacks.copy(name_of(image), shape.machine.region, notify).id_in(shape.machine.region)
    if there is None:
        raise BadInput(f"image {name_of(image)} cannot be copied to {shape.machine.region}")
    return evolve(shape, machine=evolve(shape.machine, image=",".join(filter(None, (there, container)))))


def refuse_gone(shape: Shape) -> None:
    """BadInput where the image of a shape is one of ours that its cloud does not have there, which is asked."""
    id_, region = shape.machine.image.partition(",")[0], shape.machine.region
    ours = (each for each in imagestacks.all_known() if each.cloud == shape.cloud and each.id_in(region) == id_)
    if id_ and (made := next(ours, None)) is not None:
        imagestacks.refuse_gone(made, region)


def is_missing(shape: Shape) -> bool:
    """Whether the image of a shape is one of ours that its region does not have."""
    return shape.machine.image.startswith(PREFIX) and "/" not in shape.machine.image.partition(",")[0]


def foreseen(shape: Shape) -> Shape:
    """`shape` as it is counted before its image is copied: with an id that the image has elsewhere."""
    if not is_missing(shape):
        return shape
    name, _, container = shape.machine.image.partition(",")
    made = found(name_of(name))
    id_ = made.ids.get(made.region) or next(iter(made.ids.values()))
    return evolve(shape, machine=evolve(shape.machine, image=",".join(filter(None, (id_, container)))))


def _resolved(image: Image) -> Image:
    if image.container is not None and image.container.startswith(PREFIX):
        image = evolve(image, container=containers.pushed(name_of(image.container)))
    named = {region: _container(name) for region, name in image.by_region.items()}
    image = evolve(image, by_region=named)
    if image.ours is None or image.cloud is not None:
        return image
    made = found(image.ours)
    everywhere = made.ids.get(EVERYWHERE)
    by_region: dict[str | None, str] = {None: everywhere or f"{PREFIX}{made.name}"}
    by_region.update((region, id_) for region, id_ in made.ids.items() if region != EVERYWHERE)
    return evolve(image, by_region=by_region, cloud=made.cloud, built=made.name, arch=made.arch)


def _container(name: str) -> str:
    """A container of ours, docker:skyrig:NAME, as registries call it; anything else as it is."""
    ours = name.removeprefix("docker:")
    if ours == name or not ours.startswith(PREFIX):
        return name
    return f"docker:{containers.pushed(name_of(ours))}"
