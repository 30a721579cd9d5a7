"""The field `resources.image_id`: an image of a cloud, by region or for all, a container, or both."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from skyrig.task.infra import Infra
from skyrig.task.node import Node

_CONTAINER = "docker:"


@frozen
class Image:
    """Images by region (None: the one region of the place, or any), and a `container` that stands apart from them. A
    container may also be the image itself, `docker:REPOSITORY/NAME:TAG`."""

    by_region: Mapping[str | None, str] = field(factory=dict)
    container: str | None = None

    def at(self, place: Infra) -> Image:
        """The image for a place: what is for any region is for that of the place; Kubernetes runs containers only."""
        images = dict(self.by_region)
        if None in images:
            images = {place.region: images[None]}
        if place.cloud == "kubernetes":
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


def read(node: Node) -> Image | None:
    """From `ami-...`, `docker:...`, `{REGION: ami-...}`, `{docker: ..., REGION: ...}`; None where there is none."""
    if node.is_null:
        return None
    if not isinstance(node.data, dict):
        return Image({None: node.text().strip()})
    images = {key: each.text().strip() for key, each in node.data.items() if key is None or isinstance(key, str)}
    container = images.pop("docker", None)
    if container is not None and any(name.startswith(_CONTAINER) for name in images.values()):
        raise node.wrong("names containers twice: as docker and by region")
    if None in images:
        images = {None: images[None]}
    return Image(images, container.removeprefix(_CONTAINER) if container is not None else None)
