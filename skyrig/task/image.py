"""The field `resources.image_id`: an image of a cloud, by region or for all, a container, or both."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from skyrig.cluster.imagery import PREFIX, check_name
from skyrig.errors import BadInput
from skyrig.task.infra import Infra
from skyrig.task.node import Node

_CONTAINER = "docker:"


@frozen
class Image:
    """Images by region (None: the one region of the place, or any), and a `container` that stands apart from them. A
    container may also be the image itself, `docker:REPOSITORY/NAME:TAG`. `skyrig:NAME` is one that was built here; once
    it was looked up, `built` is its name, `cloud` says where it is, `arch` which processors it is for ("": not known),
    and its regions stand beside the name."""

    by_region: Mapping[str | None, str] = field(factory=dict)
    container: str | None = None
    cloud: str | None = None
    built: str | None = None
    arch: str = ""

    @property
    def ours(self) -> str | None:
        """NAME of a machine image that was built here; None for any other."""
        named = (name_of(each) for each in self.by_region.values() if each.startswith(PREFIX))
        return self.built or next(named, None)

    def at(self, place: Infra) -> Image:
        """The image for a place: what is for any region is for that of the place; Kubernetes runs containers only."""
        images = dict(self.by_region)
        if None in images:
            images = {place.region: images[None]}
        if place.cloud == "kubernetes" and self.ours is None:
            images = {
                region: name if name.startswith(_CONTAINER) else _CONTAINER + name for region, name in images.items()
            }
        return evolve(self, by_region=images)

    def docker_image(self, place: Infra) -> str | None:
        """The container that user code runs in; None where it runs on the machine itself."""
        if self.container is not None:
            return self.container
        if len(self.by_region) == 1:
            ((region, name),) = self.by_region.items()
            if region in (None, place.region) and name.startswith(_CONTAINER):
                return name.removeprefix(_CONTAINER)
        return None


def _checked(node: Node, image: str) -> str:
    """An image's name; one of ours is one that an image can have."""
    if image.startswith(PREFIX):
        try:
            check_name(name_of(image))
        except BadInput as error:
            raise node.wrong(f"{image}: {error.hint} is wanted") from error
    return image


def name_of(image: str) -> str:
    """NAME of `skyrig:NAME`, and of a version of it."""
    return image.removeprefix(PREFIX).partition("/")[0].partition(",")[0]


def read(node: Node) -> Image | None:
    """From `ami-...`, `docker:...`, `{REGION: ami-...}`, `{docker: ..., REGION: ...}`; None where there is none."""
    if node.is_null:
        return None
    if not isinstance(node.data, dict):
        return Image({None: _checked(node, node.text().strip())})
    images = {key: each.text().strip() for key, each in node.data.items() if key is None or isinstance(key, str)}
    container = images.pop("docker", None)
    if container is not None and any(name.startswith(_CONTAINER) for name in images.values()):
        raise node.wrong("names containers twice: as docker and by region")
    for region, name in images.items():
        if name.startswith(PREFIX) and region is not None and container is None:
            raise node.wrong(f"{name} is found in every region by itself: image_id: {name}")
    if None in images:
        images = {None: images[None]}
    return Image(images, container.removeprefix(_CONTAINER) if container is not None else None)
