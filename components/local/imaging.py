"""An image of the local cloud: what a node's setup has made, kept as a folder that new nodes begin with."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.imaging import ImagingArgs
from components.local.program import run
from skyrig.cluster.imagery import EVERYWHERE
from skyrig.images import here


class LocalImageProvider(ResourceProvider):
    """Makes and removes versions of images through `python -m skyrig.fleet.local`."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another mark is another version, made before the old one goes. What it was made of may be gone by now."""
        replaces = [key for key in ("image", "mark") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Keep what the node holds whose folder is in `source`, before its incarnation. It is switched off."""
        folder = props["source"].rpartition("@")[0]
        version = here.name_of(props["image"], props["mark"])
        made = run("image-make", {"source": folder, "target": str(here.folder(version))})
        said = {key: made[key] for key in ("level", "python", "binaries", "bytes")}
        return CreateResult(version, {**props, "version": version, "made": said})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Nothing that is said of it changes what it holds."""
        return UpdateResult({**_olds, **{key: value for key, value in _news.items() if key in ("source",)}})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The version, if its folder is there."""
        found = run("image-check", {"target": str(here.folder(id_))})
        return ReadResult(id_, props) if found else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove its folder. Nodes that were made of it have copies."""
        run("image-remove", {"target": str(here.folder(_id))})


class LocalImage(Resource, module="skyrig", name="LocalImage"):
    """One version of an image."""

    version: pulumi.Output[str]
    """What stands in a stack's config for it."""

    def __init__(self, name: str, image: str, mark: str, source: str, opts: pulumi.ResourceOptions) -> None:
        props = {"image": image, "mark": mark, "source": source, "version": None, "made": None}
        super().__init__(LocalImageProvider(), name, props, opts)


class LocalImaging(pulumi.ComponentResource):
    """An image on this machine, which holds for every place of the local cloud."""

    ids: pulumi.Output[dict[str, str]]
    """Its version, under EVERYWHERE."""

    def __init__(self, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("skyrig:index:LocalImaging", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = LocalImage(f"{name}-{args['mark']}", args["name"], args["mark"], args["source"], child)
        self.ids = made.version.apply(lambda version: {EVERYWHERE: version})
        self.register_outputs({"ids": self.ids})
