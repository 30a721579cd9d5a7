"""Waiting until the files that are dirty now are in their buckets."""

from __future__ import annotations

import re
import time

from skyrig.launch.mounting.mount import amount, plain

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in typing, whose import is saved
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skyrig.launch.mounting.mount import Mount

STUCK_S = 4.0
"""How long nothing may move before the bucket itself is asked."""
DENIED_S = 60.0
"""How long a bucket must refuse us, with nothing moving, before that counts as for good."""
HURRY_S = 2.0
"""rclone waits for up to 5 minutes after a failed upload; while somebody waits for it, it tries this often."""
SAY_S = 10.0
"""Seconds between two lines that say how many files are left."""
NAMED = 5

_REFUSED = re.compile(
    r"StatusCode: 40[0134]\b|Error 40[0134]\b|RESPONSE 40[0134]\b|directory not found|no such bucket|AccessDenied", re.I
)


class Flush:
    """Waits until the files of one mount that are dirty now are in the bucket. `step` is to be called again and again;
    it returns lines for the reader. Over when nothing is `left`, or when `failed` says why that will never be."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.left = mount.dirty()
        self.failed = ""
        self.moved_at = time.monotonic()
        self.moved_wall = time.time()
        self.error = ""
        self._mark: tuple[int, int] = (-1, -1)
        self._hurried = self._asked = self._said = 0.0
        self._denied_at = 0.0
        self._out = self._told = False

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return not self.left or bool(self.failed)

    @property
    def size(self) -> int:
        """Bytes of the files that are left."""
        return sum(self.left.values())

    def step(self) -> list[str]:
        """One look."""
        lines: list[str] = []
        if not self._told and self.left:
            self._told, self._said = True, time.monotonic()
            lines.append(f"waiting for {self._files()} to reach {self.mount.plan['bucket']}")
        self._look(lines)
        if self.over:
            return lines
        trouble = self.mount.trouble()
        if trouble and not self.mount.serves:
            self.failed = f"{self.mount.name} is gone: {trouble}"
            return lines
        now = time.monotonic()
        if now >= self._hurried + HURRY_S:
            self._hurried = now
            self._hurry()
        if now >= max(self.moved_at + STUCK_S, self._asked + HURRY_S):
            self._asked = now
            self._ask(lines)
        elif now >= self._said + SAY_S and not self._out:
            self._said = now
            lines.append(f"{self._files()} still to reach {self.mount.plan['bucket']}")
        return lines

    def named(self) -> str:
        """The files that are left, in words."""
        shown = [f"{self.mount.in_bucket(path)} ({amount(size)})" for path, size in sorted(self.left.items())]
        more = len(shown) - NAMED
        return ", ".join(shown[:NAMED]) + (f" and {more} more" if more > 0 else "")

    def as_json(self) -> dict[str, Any]:
        """How far it is."""
        return {
            "target": self.mount.plan["target"],
            "bucket": self.mount.plan["bucket"],
            "files": len(self.left),
            "bytes": self.size,
            "still_s": round(time.monotonic() - self.moved_at, 1),
            "error": self.error,
            "failed": self.failed,
        }

    def _files(self) -> str:
        count = len(self.left)
        return f"{count} file{'s' if count > 1 else ''} ({amount(self.size)})"

    def _look(self, lines: list[str]) -> None:
        """Forget files that have arrived; note whether anything moved."""
        if not self.left:
            return
        now_dirty = self.mount.dirty()
        self.left = {path: now_dirty[path] for path in self.left if path in now_dirty}
        sent = self.mount.ask("core/stats").get("bytes", 0) if self.mount.serves else 0
        if (len(self.left), sent) != self._mark:
            self._mark = (len(self.left), sent)
            self.moved_at, self.moved_wall, self._denied_at, self.error = time.monotonic(), time.time(), 0.0, ""
            if self._out and self.mount.serves:
                lines.append(f"{self.mount.plan['bucket']} can be reached again")
                self._out = False

    def _hurry(self) -> None:
        """Have rclone try now what it would only try later."""
        for each in self.mount.queue():
            if each["name"] in self.left and not each["uploading"] and each["expiry"] > 0:
                self.mount.ask("vfs/queue-set-expiry", id=each["id"], expiry=-1)

    def _ask(self, lines: list[str]) -> None:
        """Nothing moves: see why."""
        refusal = self.mount.refusal()
        now = time.monotonic()
        if not refusal:
            self._denied_at = 0.0
            self._not_asked_for()
            return
        self.error = plain(refusal)
        if not self._out:
            self._out = True
            since = time.strftime("%H:%M:%S", time.localtime(self.moved_wall))
            what = f"{len(self.left)} file{'s wait' if len(self.left) > 1 else ' waits'}"
            bucket = self.mount.plan["bucket"]
            lines.append(f"{bucket} cannot be reached since {since} ({self.error}); nothing is lost, {what}")
        if not _REFUSED.search(refusal):
            self._denied_at = 0.0
        elif not self._denied_at:
            self._denied_at = now
        elif now >= self._denied_at + DENIED_S:
            self.failed = f"{self.mount.plan['bucket']} refuses them: {self.error}"

    def _not_asked_for(self) -> None:
        """The bucket answers, and still nothing moves: files that rclone is not about to bring there. A program that
        has one open still writes to it, which is its own job's business."""
        known = {each["name"] for each in self.mount.queue()}
        idle = [path for path in self.left if path not in known]
        held = self.mount.open_files() if idle else set()
        for path in [path for path in idle if path in held]:
            del self.left[path]
        if self.left and not known & set(self.left):
            said = plain(self.mount.last_words())
            why = (
                "the disk of its cache is full"
                if self.mount.is_full
                else f"rclone does not bring them up ({said or 'no reason'})"
            )
            self.failed = f"{self.mount.name}: {why}"


def failures(flushes: Iterable[Flush]) -> str:
    """Why files of `flushes` never reach their buckets, and which; "" where all did."""
    return "; ".join(f"{each.failed}; not in the bucket: {each.named()}" for each in flushes if each.failed)


def flush(mounts: Sequence[Mount], deadline_s: float | None, tell: Callable[[dict[str, Any]], None]) -> list[Flush]:
    """Wait until what is dirty now is in its buckets, for `deadline_s` seconds at most (None: without end). `tell`
    takes {"k": "note"} with a line for the reader, and {"k": "progress"} every few seconds. What is not up is in the
    result.
    """
    waiting = [each for each in map(Flush, mounts) if each.left]
    begin = told = time.monotonic()
    pause = 0.02
    while True:
        for each in waiting:
            if not each.over:
                for line in each.step():
                    tell({"k": "note", "text": line})
        now = time.monotonic()
        if all(each.over for each in waiting) or (deadline_s is not None and now >= begin + deadline_s):
            return waiting
        if now >= told + 3.0:
            told = now
            tell({"k": "progress", "mounts": [each.as_json() for each in waiting if not each.over]})
        time.sleep(pause)  # the condition is the loop's
        pause = min(0.25, pause * 1.5)
