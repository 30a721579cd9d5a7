"""OCI image layouts: folders with an index and blobs, each by its hash."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from skyrig.errors import BadInput

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_CHUNK = 1 << 20


@frozen
class Layer:
    """One layer of an image: a blob's `digest`, `size` in bytes and `media` type, and `diff`, the digest of the plain
    archive in it."""

    digest: str
    size: int
    diff: str
    media: str = _LAYER

    def descriptor(self) -> dict[str, Any]:
        """As a manifest names it."""
        return {"mediaType": self.media, "digest": self.digest, "size": self.size}


@frozen
class Image:
    """An image in a layout: its layers, lowest first, and the `config` that programs in it start with."""

    layers: tuple[Layer, ...] = ()
    config: Mapping[str, Any] = field(factory=dict)

    def over(self, layer: Layer, env: Mapping[str, str], folder: str) -> Image:
        """The image with one layer more, further variables, and the folder that programs start in."""
        before = dict(entry.partition("=")[::2] for entry in self.config.get("Env") or ())
        merged = [f"{name}={value}" for name, value in {**before, **env}.items()]
        config = {**self.config, "Env": merged, "WorkingDir": folder}
        return evolve(self, layers=(*self.layers, layer), config=config)


def blob(folder: Path, digest: str) -> Path:
    """Where a blob lies in a layout."""
    kind, _, name = digest.partition(":")
    if kind != "sha256" or len(name) != 64 or not all(letter in "0123456789abcdef" for letter in name):
        raise BadInput(f"{digest!r} is no sha256 digest", hint="the base is no OCI layout that can be read")
    return folder / "blobs" / "sha256" / name


def read(folder: Path) -> Image:
    """The one image of a layout for this machine. BadInput where there is none."""
    try:
        entries = json.loads((folder / "index.json").read_bytes())["manifests"]
        while True:
            entry = _fitting(entries)
            document = json.loads(_whole(folder, entry["digest"]))
            if "manifests" not in document:
                break
            entries = document["manifests"]
        config = json.loads(_whole(folder, document["config"]["digest"]))
        diffs = config["rootfs"]["diff_ids"]
        layers = tuple(
            Layer(each["digest"], int(each["size"]), diff, each["mediaType"])
            for each, diff in zip(document["layers"], diffs, strict=True)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{folder} is no OCI image layout: {error}", hint="`skopeo copy ... oci:DIR` makes one"
        ) from error
    return Image(layers, config.get("config") or {})


def copy_layer(folder: Path, layer: Layer, target: Path) -> Path:
    """Copy a layer from one layout into another; where it is there. BadInput where it is damaged, or not there."""
    place, found = blob(target, layer.digest), hashlib.sha256()
    try:
        with blob(folder, layer.digest).open("rb") as source, place.open("wb") as file:
            while chunk := source.read(_CHUNK):
                found.update(chunk)
                file.write(chunk)
    except FileNotFoundError as error:
        raise BadInput(f"{folder} lacks the layer {layer.digest}", hint="copy the base again") from error
    if f"sha256:{found.hexdigest()}" != layer.digest:
        raise BadInput(f"{folder}: the layer {layer.digest} is damaged", hint="copy the base again")
    return place


def write(folder: Path, image: Image, author: str, made_at: float) -> str:
    """Write index, manifest and config of an image whose layers are in the layout `folder` already, made at `made_at`
    in seconds since the epoch; its digest."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made_at))
    config = {
        "created": now,
        "architecture": _MACHINES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff for layer in image.layers]},
        "history": [{"created": now, "created_by": author} for _ in image.layers],
    }
    described = _put(folder, json.dumps(config, sort_keys=True).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, **described},
        "layers": [layer.descriptor() for layer in image.layers],
    }
    found = _put(folder, json.dumps(manifest, sort_keys=True).encode())
    entry = {"mediaType": _MANIFEST, **found, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(found["digest"])


def put_layer(folder: Path, archive: Path) -> Layer:
    """Put a plain archive into a layout, packed, as a layer. The same archive is the same layer."""
    plain = hashlib.sha256()
    packed = folder / "blobs" / "sha256" / ".packed"
    packed.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("rb") as source,
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as target,
    ):
        while chunk := source.read(_CHUNK):
            plain.update(chunk)
            target.write(chunk)
    digest = _hash(packed)
    size = packed.stat().st_size
    packed.replace(blob(folder, digest))
    return Layer(digest, size, f"sha256:{plain.hexdigest()}")


def opened(path: Path, beside: Path) -> Path:
    """A layout's folder: `path` itself, or what the archive `path` holds, unpacked into the folder `beside`."""
    if path.is_dir():
        return path
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                is_ours = name in ("index.json", "oci-layout") or name.startswith("blobs/sha256/")
                if member.isfile() and is_ours and name.count("/") in (0, 2) and ".." not in name:
                    target = beside / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes((archive.extractfile(member) or io.BytesIO()).read())
    except (OSError, tarfile.TarError) as error:
        raise BadInput(f"{path} is neither an OCI layout nor an archive of one: {error}") from error
    return beside


def _fitting(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The manifest for this machine; one that says nothing of machines fits each."""
    mine = _MACHINES.get(platform.machine(), platform.machine())
    for entry in entries:
        said = entry.get("platform") or {}
        if said.get("architecture", mine) == mine and said.get("os", "linux") == "linux":
            return entry
    raise ValueError(f"no image for {mine}")


def _whole(folder: Path, digest: str) -> bytes:
    """A blob whose content is what its name says."""
    data = blob(folder, digest).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest.partition(":")[2]:
        raise ValueError(f"{digest} is damaged")
    return data


def _put(folder: Path, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    target = blob(folder, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return {"digest": digest, "size": len(data)}


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
