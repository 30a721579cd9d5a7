"""What is done with buckets themselves: shown, copied into and out of, deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from attrs import frozen

from skyrig.errors import BadInput
from skyrig.stack import datastacks
from skyrig.storage import rclone, remote
from skyrig.storage import url as urls
from skyrig.storage.owned import OwnedBucket
from skyrig.storage.remote import Remote
from skyrig.task.storage import is_url

Notify = Callable[[str], None]
Confirm = Callable[[str], bool]

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{2,}):(?P<key>[^/].*|/.*|)")


@frozen
class Side:
    """One end of a copy: a `path` of a remote, or one on this machine where there is no remote."""

    path: str
    remote: Remote | None
    shown: str

    def at(self, name: str) -> str:
        """As rclone takes it, where it knows the remote as `name`."""
        return f"{name}:{self.path}" if self.remote is not None else self.path


def buckets() -> list[OwnedBucket]:
    """Every bucket that a stack of this backend has made, by name."""
    return sorted(datastacks.all_known(), key=lambda bucket: bucket.name)


def copy(source: str, target: str, notify: Notify) -> None:
    """Copy a file, a folder, or a bucket, or any part of it; each side is NAME:KEY, a url or a local path. What is
    there already is not copied again, and nothing is removed. NotThere where the source is not, BadInput for what is
    no side."""
    here, there = side(source), side(target)
    if here.remote is None and there.remote is None:
        raise BadInput("both sides are on this machine", hint="one of them is a bucket's: NAME:KEY, or its url")
    folder, into = _is_folder(here), there.path
    if folder is None:
        raise rclone.NotThere(f"{here.shown} is not there")
    if not folder and (target.endswith("/") or _is_folder(there)):
        into = f"{there.path.rstrip('/')}/{here.path.rstrip('/').rpartition('/')[2]}"
    remotes = {name: each.remote for name, each in (("source", here), ("target", there)) if each.remote is not None}
    to = Side(into, there.remote, there.shown)
    words = ["copyto", "--transfers", "8", "--checkers", "16", here.at("source"), to.at("target")]
    rclone.run(words, remotes, what=f"{here.shown} to {there.shown}")
    notify(f"{here.shown} is in {there.shown}")


def delete(names: Sequence[str], confirm: Confirm, notify: Notify) -> None:
    """Delete buckets of ours with all that is in them, each once that was agreed to. BadInput for a name that is not
    known, or without consent."""
    known = {bucket.name: bucket for bucket in datastacks.all_known()}
    for name in names:
        if name not in known:
            raise _unknown(name, known)
    for name in names:
        bucket = known[name]
        if not confirm(f"delete bucket {name} ({bucket.url}) with all that is in it?"):
            raise BadInput(f"bucket {name} stays", hint="answer y, or give -y")
        datastacks.drop(bucket.stack, name, notify)
        notify(f"bucket {name} is gone")


def side(text: str) -> Side:
    """One end of a copy, as it was given."""
    if is_url(text):
        url = urls.read(text)
        return Side(url.path, remote.of_here(url, os.environ), text)
    named = _NAMED.fullmatch(text)
    if named is None or Path(text).exists():
        return Side(str(Path(text).expanduser()), None, text)
    known = {bucket.name: bucket for bucket in datastacks.all_known()}
    bucket = known.get(named["name"])
    if bucket is None:
        raise _unknown(named["name"], known)
    bucket, key = datastacks.ready(bucket), named["key"].strip("/")
    return Side(f"{bucket.path}/{key}" if key else bucket.path, bucket.from_here(), text)


def _is_folder(where: Side) -> bool | None:
    """Whether one end is a folder; None where nothing is there."""
    if where.remote is not None:
        return rclone.is_folder(where.path, where.remote)
    path = Path(where.path)
    return path.is_dir() if path.exists() else None


def _unknown(name: str, known: Iterable[str]) -> BadInput:
    there = ", ".join(sorted(known)) or "none"
    return BadInput(f"no bucket {name} is known here", hint=f"known: {there}; others go by their url")
