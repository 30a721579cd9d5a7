"""The client's files on their way to the head: workdir and mounts, each content once.

What is sent is known as values (`Share`, `Progress`) before it is told in any way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from attrs import evolve, field, frozen

from skyrig import places
from skyrig.errors import ProtocolMismatch, SkyrigError
from skyrig.fleet.blobs import frames
from skyrig.fleet.content import Manifest, text
from skyrig.fleet.nesting import Layer, parted
from skyrig.fleet.place import WORKDIR
from skyrig.fleet.progress import Meter, Progress
from skyrig.launch.job import JobRequest, Mount
from skyrig.launch.link import KeeperLink
from skyrig.launch.protocol import Message, receive, send
from skyrig.progress import Kind, Step, is_live, tell

_NAMED_FROM = 16 * 1024
"""Bytes of a manifest from which a round trip more is cheaper than sending it."""

Notify = Callable[[str], None]
"""Takes one line for the user."""


@frozen
class Share:
    """What one sync has to do for `target`: of `of_files` files the head lacks the contents of `files`, `size` bytes,
    which are sent once though several targets want them. `same` says that nothing at all differs from what this client
    had there last. `own` bytes are sent under its name: what a target before it lacks too is sent under that one's."""

    target: str
    files: int
    of_files: int
    size: int
    same: bool
    own: int = 0

    @property
    def what(self) -> str:
        """Whose files these are, in words."""
        return "files" if self.target == WORKDIR.target else f"files of {self.target}"

    def __str__(self) -> str:
        """In words: "files: 3 of 120 changed, 1.2 MB"."""
        what = self.what
        if self.files:
            return f"{what}: {self.files} of {self.of_files} changed, {_size(self.size)}"
        return f"{what}: " + ("nothing changed" if self.same else "nothing to send, the cluster has the contents")


class Watcher(Protocol):
    """Hears of a sync."""

    @property
    def every_s(self) -> float:
        """Seconds between two calls of `moves`, at least."""

    def begins(self, shares: Sequence[Share]) -> None:
        """All that is to be done is known."""

    def moves(self, progress: Progress) -> None:
        """So much of what is sent was sent, one target's share after the other's; called in a long transfer."""


@frozen
class Lines:
    """Tells of a sync in lines."""

    notify: Notify
    every_s: float = 1.0

    def begins(self, shares: Sequence[Share]) -> None:
        """One line a share."""
        for share in shares:
            self.notify(str(share))

    def moves(self, progress: Progress) -> None:
        """A line for what was sent so far."""
        self.notify(f"  {progress}")


class Steps:
    """Tells of a sync in lines, and shows where it is: at the first look at the files, then at one target after the
    other, the last one of which is there until `close`."""

    every_s = 0.1

    def __init__(self, notify: Notify, receiver: str) -> None:
        self._notify = notify
        self._receiver = receiver
        self._due: list[Share] = []
        self._step = Step(Kind.SYNC, f"files to {receiver}", "what is to be sent?")
        tell(notify, self._step)

    def begins(self, shares: Sequence[Share]) -> None:
        """One line a share."""
        Lines(self._notify).begins(shares)
        self._due = [share for share in shares if share.own]
        self._is_at(0)

    def moves(self, progress: Progress) -> None:
        """The step of the target whose files are on their way."""
        self._is_at(progress.size)

    def close(self) -> None:
        """Nothing is on its way any more."""
        tell(self._notify, evolve(self._step, ended=True))

    def _is_at(self, sent: int) -> None:
        if not self._due:
            return
        for share in self._due[:-1]:
            if sent < share.own:
                break
            sent -= share.own
        else:
            share = self._due[-1]
        step = Step(Kind.SYNC, f"{share.what} to {self._receiver}", done=min(sent, share.own), total=share.own)
        if step.name != self._step.name:
            self.close()
        self._step = step
        tell(self._notify, step)


@frozen
class Bundle:
    """A local folder, or one file, as it is here (`root` and the manifest `local`) and as it goes to the nodes."""

    layer: Layer
    root: Path = Path()
    local: Manifest = field(factory=lambda: Manifest(()))


async def bring(
    link: KeeperLink,
    request: JobRequest,
    *,
    workdir: Path | None,
    mounts: Mapping[str, Path | None],
    notify: Notify,
    watcher: Watcher | None = None,
) -> JobRequest:
    """Bring the folder `workdir` and `mounts` (normal target -> local file or folder, None for an empty one) to the
    head; the request with them. Only what the head does not hold yet is sent."""
    if mounts and not link.takes_mounts:
        raise ProtocolMismatch(
            "the cluster's keeper is of an older Skyrig, which knows no file_mounts",
            hint="run this on the clone that made the cluster, once that is updated",
        )
    scripts = [request.run, *([request.setup] if request.setup else [])]
    texts = [text for each in scripts for name, text in each.files.items() if "/" not in name]
    with _shown(notify, link.desc.head.id) as reader:
        bundles = gathered(link.desc.name, workdir, mounts, texts, notify)
        await _send(link, bundles, watcher or reader)
    placed = {bundle.layer.target: bundle.layer for bundle in bundles}
    own = placed.pop(WORKDIR.target, None) if workdir is not None else None
    return evolve(
        request,
        manifest=own.manifest.digest if own is not None else "",
        mounts=tuple(Mount(layer.target, layer.manifest.digest, layer.is_file) for layer in placed.values()),
    )


@contextmanager
def _shown(notify: Notify, receiver: str) -> Iterator[Watcher]:
    """Who tells `notify` of the sync that the block does."""
    if not is_live(notify):
        yield Lines(notify)
        return
    with closing(Steps(notify, receiver)) as steps:
        yield steps


def gathered(
    stack: str, workdir: Path | None, mounts: Mapping[str, Path | None], named_in: Sequence[str], notify: Notify
) -> list[Bundle]:
    """What goes to the nodes, in the order in which it does. BadInput where something cannot be read."""
    bundles = [_bundle(stack, WORKDIR.target, workdir, "workdir", named_in, notify)] if workdir is not None else []
    for target, source in mounts.items():
        if source is None:
            bundles.append(Bundle(Layer(target)))
        elif source.is_dir():
            bundles.append(_bundle(stack, target, source, f"file_mounts.{target}", (), notify))
        else:
            bundles.append(_file(stack, target, source))
    by_target = {bundle.layer.target: bundle for bundle in bundles}
    return [evolve(by_target[layer.target], layer=layer) for layer in parted([bundle.layer for bundle in bundles])]


def _bundle(stack: str, target: str, root: Path, what: str, named_in: Sequence[str], notify: Notify) -> Bundle:
    from skyrig.fleet.manifest import build
    from skyrig.fleet.workdir import select

    selection = select(root, named_in=named_in, what=what)
    for note in selection.notes:
        notify(note if what == "workdir" else f"{what}: {note}")
    if not selection.picked and what != "workdir" and any(root.iterdir()):
        notify(f"{what}: all of {root} is ignored (.gitignore, .skyignore): nothing is sent")
    manifest = build(root, selection, _hashes(stack, root if what != "workdir" else None), what=what)
    return Bundle(Layer(target, manifest), root, manifest)


def _file(stack: str, target: str, source: Path) -> Bundle:
    """One file, which has the target's name on the nodes; a link that is named itself is followed."""
    from skyrig.fleet.manifest import build
    from skyrig.fleet.workdir import Picked, Selection

    real = source.resolve()
    selection = Selection((Picked(text(os.fsencode(real.name)), "file"),))
    local = build(real.parent, selection, _hashes(stack, real), what=f"file_mounts.{target}")
    named = Manifest([local.entries[0]._replace(path=target.rpartition("/")[2])])
    return Bundle(Layer(target, named, is_file=True), real.parent, local)


def _hashes(stack: str, source: Path | None) -> Path:
    """The file that remembers hashes of a mount's source, or of the workdir."""
    folder = places.made(places.stack(stack))
    if source is None:
        return folder / "hashes"
    return folder / f"hashes-{hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]}"


async def _send(link: KeeperLink, bundles: Sequence[Bundle], watcher: Watcher) -> None:
    """Send what the head lacks of all `bundles`, each content once."""
    lacking: dict[str, int] = {}
    shares, sending = [], []
    had = _had(link.desc.name)
    for bundle in bundles:
        manifest = bundle.layer.manifest
        missing = dict.fromkeys(await _need(link, manifest))
        mine = [sha for sha in missing if sha not in lacking]
        sizes = manifest.blobs()
        lacking |= {sha: sizes[sha] for sha in mine}
        files = [entry for entry in manifest.entries if entry.kind == "file"]
        shares.append(
            Share(
                bundle.layer.target,
                sum(entry.sha256 in missing for entry in files),
                len(files),
                sum(sizes[sha] for sha in missing),
                had.get(bundle.layer.target) == manifest.digest,
                sum(sizes[sha] for sha in mine),
            )
        )
        sending.append((bundle, mine))
    watcher.begins([share for share, bundle in zip(shares, bundles, strict=True) if bundle.local.entries])
    if lacking:
        meter = Meter(watcher.moves, every_s=watcher.every_s)
        meter.expect(len(lacking), sum(lacking.values()))
        await _upload(link, list(lacking), _blocks(sending, meter))
        meter.finish()
    _remember(link.desc.name, had | {bundle.layer.target: bundle.layer.manifest.digest for bundle in bundles})


def _blocks(sending: Iterable[tuple[Bundle, list[str]]], meter: Meter) -> Iterator[bytes]:
    for bundle, shas in sending:
        if shas:
            yield from frames(bundle.root, bundle.local, shas, meter)


async def _need(link: KeeperLink, manifest: Manifest) -> list[str]:
    """Hashes of what the head does not hold. A long manifest that it has seen before is named, not sent."""
    body = manifest.to_bytes()
    answer: Message = (
        {"unknown": True} if len(body) < _NAMED_FROM else await link.ask({"op": "need", "digest": manifest.digest})
    )
    if "unknown" in answer:
        answer = await link.ask({"op": "need"}, body)
    missing: list[str] = answer["missing"]
    return missing


async def _upload(link: KeeperLink, shas: list[str], blocks: Iterator[bytes]) -> None:
    await send(link.writer, {"op": "blobs", "shas": shas})
    for block in blocks:
        link.writer.write(block)
        await link.writer.drain()
    answered = await receive(link.reader)
    if answered is None or "error" in answered[0]:
        reason = answered[0]["error"] if answered else "the connection closed"
        raise SkyrigError(f"the head did not take the files: {reason}", hint="run the same command again")


def _had(stack: str) -> dict[str, str]:
    """Digests of what this client last had at each target of the cluster."""
    try:
        known = json.loads(_synced(stack).read_text())
        return {str(target): str(digest) for target, digest in known.items()}
    except (OSError, ValueError, AttributeError):  # none yet: it only decides what is said
        return {}


def _remember(stack: str, synced: Mapping[str, str]) -> None:
    file = _synced(stack)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        places.made(file.parent)
        fresh.write_text(json.dumps(synced))
        fresh.replace(file)


def _synced(stack: str) -> Path:
    return places.stack(stack) / "synced.json"


def _size(count: int) -> str:
    """Bytes in words: "812 B", "1.2 MB"."""
    if count < 1000:
        return f"{count} B"
    amount = count / 1000
    for unit in ("kB", "MB"):
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
