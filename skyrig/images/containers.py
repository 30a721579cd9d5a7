"""Container images built here without a daemon: a base, what a setup changes in it as one layer, and what is known of
the result. They lie below SKYRIG_HOME as OCI layouts, which every tool of containers reads; one that clusters shall use
is pushed to a registry, by skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import asdict, evolve, frozen

from skyrig import places
from skyrig.errors import BadInput, JobFailed, SkyrigError
from skyrig.images import unkept
from skyrig.images.oci import inside, layers, layout

HOME, FOLDER = "/root", "/root/sky_workdir"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAYOUT, _RECORD = "layout", "record.json"
_LATEST = "SOURCE_DATE_EPOCH"
_NOT_KEPT = (inside.PLACE, "proc", "sys", "dev", *(f"root/{each}" for each in (*unkept.CREDENTIALS, *unkept.LEFTOVERS)))

Notify = Callable[[str], None]


@frozen
class Brought:
    """What comes to a place: the file `source`, or of the folder `source` what has these `names`, folders before what
    lies in them; nothing but a folder where `source` is None."""

    source: Path | None = None
    names: tuple[str, ...] | None = None


@frozen
class Container:
    """One that is there: the `digest` of its manifest, the `base` that it began with, the `recipe`'s digest, `made_at`
    in seconds since the epoch, `size` of its layers in bytes, `seconds` that its texts took, and where it was pushed
    to, with its digest ("": nowhere)."""

    name: str
    digest: str
    base: str
    recipe: str
    made_at: float
    size: int
    seconds: float = 0.0
    pushed: str = ""

    @property
    def folder(self) -> Path:
        """Its OCI layout."""
        return _folder(self.name) / _LAYOUT

    def to_json(self) -> dict[str, Any]:
        """The object of `image.ls --json`."""
        return {**asdict(self), "kind": "container", "layout": str(self.folder)}


def build(
    name: str,
    base: str,
    texts: Mapping[str, str],
    variables: Mapping[str, str],
    hidden: Mapping[str, str],
    files: Mapping[str, Brought],
    recipe: str,
    out: Callable[[bytes], object],
    notify: Notify,
) -> Container:
    """Build a container image of what `base` is (see `_begin`): files come in, then texts run in their order, with
    `variables`, which stay in the image, and `hidden` ones, which do not. It is there whole or not at all. JobFailed
    with a text's exit code where one fails; BadInput for what cannot be."""
    if why := inside.can():
        raise BadInput(f"container images cannot be built on this machine: {why}", hint="it takes user namespaces")
    latest = _latest()
    hidden = hidden if latest is None else {_LATEST: str(latest), **hidden}
    work = places.made(_folder(name).parent) / f".{name}.{secrets.token_hex(4)}"
    _clear_half_made(name)
    work.mkdir(mode=0o700)
    try:
        root = work / "root"
        image = _begin(base, root, work / _LAYOUT, work, notify)
        before = layers.seen(root)
        for place, brought in {FOLDER: Brought(), **files}.items():
            _bring(root, place, brought)
        began = time.monotonic()
        env = {"PATH": _PATH, "LANG": "C.UTF-8", **_variables(image), "HOME": HOME, **variables, **hidden}
        for step, text in texts.items():
            notify(f"container {name}: {step}")
            code = inside.run(root, text, env, FOLDER, out)
            if code != 0:
                raise JobFailed(f"container {name}: {step} has failed", code=code if 0 < code < 256 else 1)
        layers.packed(root, before, work / "layer.tar", _NOT_KEPT, latest)
        image = image.over(layout.put_layer(work / _LAYOUT, work / "layer.tar"), variables, FOLDER)
        made_at = float(int(time.time()))
        created = made_at if latest is None else latest
        digest = layout.write(work / _LAYOUT, image, f"skyrig image.build {name}", created)
        made = Container(
            name,
            digest,
            base,
            recipe,
            made_at,
            sum(layer.size for layer in image.layers),
            round(time.monotonic() - began, 1),
        )
        _keep(made, work / _LAYOUT)
    finally:
        layers.remove(work)
    notify(f"container {name} is {made.folder} ({digest[:19]})")
    return made


def read(name: str) -> Container | None:
    """The container image of that name; None where there is none."""
    try:
        return Container(**json.loads((_folder(name) / _RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def all_known() -> list[Container]:
    """Every one that is here, by name."""
    records = sorted((places.images() / "containers").glob(f"*/{_RECORD}"))
    return [found for record in records if (found := read(record.parent.name)) is not None]


def delete(name: str) -> bool:
    """Remove one from this machine, and what a build of it that was cut off has left; whether there was any of that.
    What was pushed stays where it is."""
    was_there = _clear_half_made(name) or _folder(name).exists()
    (_folder(name) / _RECORD).unlink(missing_ok=True)
    layers.remove(_folder(name))
    return was_there


def pushed(name: str) -> str:
    """Where one was pushed to, with its digest: what nodes pull. BadInput where it was not."""
    found = read(name)
    if found is None:
        there = ", ".join(each.name for each in all_known()) or "none"
        raise BadInput(f"there is no container image {name}", hint=f"there are: {there}")
    if not found.pushed:
        how = f"`image.build {name} --container ... --push REGISTRY/{name}`"
        raise BadInput(f"container image {name} is on this machine alone, where no node pulls it from", hint=how)
    return found.pushed


def push(made: Container, reference: str, notify: Notify) -> Container:
    """Push one to a registry; as it is then. Who may do that is skopeo's business: it reads the usual files."""
    target = _folder(made.name) / "pushed"
    _skopeo("copy", "--digestfile", str(target), f"oci:{made.folder}:latest", f"docker://{reference}")
    digest = target.read_text().strip()
    target.unlink()
    repository = reference.partition("@")[0]
    head, colon, tag = repository.rpartition(":")
    repository = head if colon and "/" not in tag else repository
    made = evolve(made, pushed=f"{repository}@{digest}")
    _write(made)
    notify(f"container {made.name} is {made.pushed}")
    return made


def require_skopeo() -> None:
    """BadInput where registries cannot be spoken with."""
    if shutil.which("skopeo") is None:
        raise BadInput("skopeo is not on this machine, which speaks with registries", hint="install the package skopeo")


def digest_of(base: str, texts: Mapping[str, str], variables: Mapping[str, str], files: Mapping[str, str]) -> str:
    """A name for a recipe. `files` are hashes by place."""
    whole = json.dumps([base, *(sorted(each.items()) for each in (texts, variables, files))])
    return hashlib.sha256(whole.encode(errors="surrogateescape")).hexdigest()[:32]


def _begin(base: str, root: Path, target: Path, work: Path, notify: Notify) -> layout.Image:
    """The root file system `root` of a base, whose layers are in the layout `target` then. `rootfs:DIR` is a folder,
    `oci:PATH` a layout or an archive of one, `scratch` nothing at all, anything else an image of a registry."""
    kind, _, place = base.partition(":")
    (target / "blobs" / "sha256").mkdir(parents=True)
    root.mkdir()
    if base == "scratch":
        return layout.Image()
    if kind == "rootfs":
        _copy(Path(place), root)
        layers.packed(root, {}, work / "base.tar", ("proc", "sys", "dev"), _latest())
        return layout.Image((layout.put_layer(target, work / "base.tar"),))
    folder = work / "base"
    if kind == "oci":
        folder = layout.opened(Path(place).expanduser(), folder)
    else:
        require_skopeo()
        notify(f"base: fetching {base.removeprefix('docker:')}")
        _skopeo("copy", f"docker://{base.removeprefix('docker:')}", f"oci:{folder}:latest")
    image = layout.read(folder)
    for layer in image.layers:
        layers.lay(root, layout.copy_layer(folder, layer, target))
    return image


def _variables(image: layout.Image) -> dict[str, str]:
    return {name: value for name, _, value in (each.partition("=") for each in image.config.get("Env") or ())}


def _latest() -> int | None:
    """Seconds since the epoch that no time in an image is to be later than, so that what is built again is the same;
    None where nobody asks for that. See reproducible-builds.org."""
    text = os.environ.get(_LATEST, "")
    if text and not text.isdecimal():
        raise BadInput(f"{_LATEST}: {text!r} is no number of seconds since the epoch")
    return int(text) if text else None


def _bring(root: Path, place: str, brought: Brought) -> None:
    """Copy a file or folder to a place of the root file system, as it is for programs in there; ~ is root's home."""
    target = layers.located(root, HOME + place[1:] if place.startswith("~") else place)
    target.parent.mkdir(parents=True, exist_ok=True)
    if brought.source is not None and brought.names is None:
        shutil.copy2(brought.source, target)
        return
    target.mkdir(exist_ok=True)
    for name in brought.names or ():
        assert brought.source is not None
        given, below = brought.source / name, str((target / name).relative_to(root))
        if given.is_dir() and not given.is_symlink():
            made = layers.located(root, below)
            made.mkdir(exist_ok=True)
            shutil.copymode(given, made)
        else:
            made = layers.located(root, str(PurePosixPath(below).parent)) / given.name
            layers.remove(made)
            shutil.copy2(given, made, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    done = subprocess.run(
        ["cp", "-a", "--reflink=auto", f"{source}/.", str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BadInput(f"{source} cannot be copied: {(done.stderr.strip().splitlines() or ['cp fails'])[-1]}")


def _keep(made: Container, built: Path) -> None:
    """Put a finished layout in the place of the one before it. The record, which says that one is there, goes first and
    comes last."""
    folder = places.made(_folder(made.name))
    (folder / _RECORD).unlink(missing_ok=True)
    layers.remove(folder / _LAYOUT)
    built.rename(folder / _LAYOUT)
    _write(made)


def _write(made: Container) -> None:
    fresh = _folder(made.name) / f"{_RECORD}.new"
    fresh.write_text(json.dumps(asdict(made)))
    fresh.replace(_folder(made.name) / _RECORD)


def _skopeo(*words: str) -> None:
    require_skopeo()
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["skopeo fails"])[-1]
        raise SkyrigError(f"skopeo {words[0]}: {said}", hint="`skopeo login` lets it in")


def _clear_half_made(name: str) -> bool:
    """Remove what builds of an image that were cut off have left; whether there was any."""
    found = list((places.images() / "containers").glob(f".{name}.*"))
    for left in found:
        layers.remove(left)
    return bool(found)


def _folder(name: str) -> Path:
    return places.images() / "containers" / name
