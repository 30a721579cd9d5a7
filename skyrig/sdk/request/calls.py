"""What a program does with requests: makes them, asks for their results, watches and cancels them."""

from __future__ import annotations

import asyncio
import atexit
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast, overload

from attrs import frozen

from skyrig.errors import BadInput, RequestCancelled, SkyrigError
from skyrig.sdk.request import folder, trouble
from skyrig.sdk.request.folder import Folder

Value = TypeVar("Value")

_POLL_S = 0.05
_ROOT = Path(__file__).parents[3]
_WORKER = "import sys; sys.path.append(sys.argv[1]); from skyrig.sdk.request.worker import main; main(*sys.argv[2:])"

_ours: dict[str, subprocess.Popen[bytes]] = {}
"""Workers of the requests that this program has made and not yet asked for the result of."""


class RequestId(str, Generic[Value]):
    """Id of a request; a type checker knows by it what `get` returns."""

    __slots__ = ()


class RequestStatus(str, Enum):
    """RUNNING, or how it ended."""

    __str__ = str.__str__

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@frozen
class RequestRecord:
    """A request: `name` is that of the function, `finished_at` None while it runs; times in seconds since the epoch."""

    request_id: str
    name: str
    cluster_name: str
    status: RequestStatus
    created_at: float
    finished_at: float | None = None
    error: str = ""


_then: dict[str, Callable[[Any], Any]] = {}
"""What this program makes of the results of requests of its own."""


def begin(
    name: str, cluster: str = "", *, then: Callable[[Any], Any] | None = None, **arguments: Any
) -> RequestId[Any]:
    """Have a process of its own do the work called `name` with `arguments`, which go through a pipe alone. What it
    gives `get` in this program passes through `then`."""
    made = folder.made()
    with made.held() as running, made.lines.open("xb") as lines:
        said = {"name": name, "cluster": cluster, "created_at": time.time()}
        made.say(**said)
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER, str(_ROOT), str(made.path), str(running)],
            stdin=subprocess.PIPE,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(running,),
        )
        made.say(**said, pid=worker.pid)
    _ours[made.id] = worker
    if then is not None:
        _then[made.id] = then
    with suppress(BrokenPipeError), cast(IO[bytes], worker.stdin) as pipe:  # one that died at once is found out below
        pickle.dump((name, arguments), pipe)
    return RequestId(made.id)


@overload
def get(request_id: RequestId[Value]) -> Value: ...
@overload
def get(request_id: str) -> Any: ...
def get(request_id: str) -> Any:
    """Wait for a request's end, and return what it gives or raise why it failed. Also for a request of another
    program."""
    found = folder.find(request_id)
    found.runs(wait=True)
    return _result(found)


@overload
async def get_async(request_id: RequestId[Value]) -> Value: ...
@overload
async def get_async(request_id: str) -> Any: ...
async def get_async(request_id: str) -> Any:
    """The same, for programs that go on meanwhile."""
    found = folder.find(request_id)
    while found.runs():  # noqa: ASYNC110  the end is another process's: no event of this loop tells of it
        await asyncio.sleep(_POLL_S)
    return _result(found)


@overload
def stream_and_get(
    request_id: RequestId[Value], *, follow: bool = ..., output_stream: IO[str] | None = ...
) -> Value: ...
@overload
def stream_and_get(request_id: str, *, follow: bool = ..., output_stream: IO[str] | None = ...) -> Any: ...
def stream_and_get(request_id: str, *, follow: bool = True, output_stream: IO[str] | None = None) -> Any:
    """Print what a request tells as it comes (to `output_stream`, else to standard output), then as `get`. Ctrl-C ends
    the watching alone. Without `follow` only what is there now is printed."""
    found = folder.find(request_id)
    out = output_stream or sys.stdout
    for text in _told(found, follow):
        out.write(text)
        out.flush()
    return get(request_id)


def api_status(
    request_ids: Sequence[str] | str | None = None, all_status: bool = False, limit: int | None = None
) -> list[RequestRecord]:
    """Requests, the newest first: the given ones, else those that run, with `all_status` also those that ended (the
    last 100 are kept)."""
    if request_ids is not None:
        named = [request_ids] if isinstance(request_ids, str) else request_ids
        return [_record(folder.find(each)) for each in named]
    records = (_record(each) for each in folder.known() if each.said())
    wanted = [each for each in records if all_status or each.status is RequestStatus.RUNNING]
    return wanted[:limit]


def api_cancel(request_ids: Sequence[str] | str | None = None) -> RequestId[list[str]]:
    """Cancel requests, as Ctrl-C would end a command; without ids all that run. What the engine is making is finished
    first. Gives the ids of those that had not ended."""
    if request_ids is None:
        wanted = [each.request_id for each in api_status()]
    else:
        wanted = [request_ids] if isinstance(request_ids, str) else list(request_ids)
    return begin("api_cancel", request_ids=[folder.find(each).id for each in wanted])


def _result(found: Folder) -> Any:
    _reap(found)
    answer = found.answer()
    if answer is None:
        raise _without_answer(found)
    if "error" in answer:
        raise trouble.from_plain(answer["error"])
    from skyrig.sdk.request.work import CONVERTER, WORK

    gives = WORK[found.said()["name"]].gives
    value = None if gives is None else CONVERTER.structure(answer["value"], gives)
    return _then[found.id](value) if found.id in _then else value


def _without_answer(found: Folder) -> SkyrigError:
    """Why there is no answer: its process was ended before it could write one."""
    if found.is_cancelled:
        return RequestCancelled(f"request {found.id} was cancelled")
    name = found.said().get("name", "")
    return SkyrigError(f"request {found.id} ({name}) was killed", hint=f"it can be made again; it told: {found.lines}")


def _told(found: Folder, follow: bool) -> Iterator[str]:
    """What the worker tells, as it comes."""
    with found.lines.open(encoding="utf-8", errors="replace", newline="") as lines:
        goes_on = True
        while goes_on:
            goes_on = follow and found.runs()
            if text := lines.read():
                yield text
            elif goes_on:
                time.sleep(_POLL_S)


def _record(found: Folder) -> RequestRecord:
    said, runs, answer = found.said(), found.runs(), found.answer()
    if not said:
        raise BadInput(f"request {found.id} is only just made")
    base = (found.id, said["name"], said["cluster"])
    if runs and answer is None:
        return RequestRecord(*base, RequestStatus.RUNNING, said["created_at"])
    if answer is None:
        status = RequestStatus.CANCELLED if found.is_cancelled else RequestStatus.FAILED
        return RequestRecord(*base, status, said["created_at"], error=str(_without_answer(found)))
    error = str(trouble.from_plain(answer["error"])) if "error" in answer else ""
    return RequestRecord(*base, RequestStatus(answer["status"]), said["created_at"], answer["ended_at"], error)


def _reap(found: Folder) -> None:
    """Take notice of the end of a worker of ours."""
    worker = _ours.pop(found.id, None)
    if worker is not None:
        worker.wait()


@atexit.register
def _tell_what_is_left() -> None:
    """A program that ends leaves no request silently: those that go on are named, and those that failed unasked."""
    for request_id in _ours:
        with suppress(BadInput, OSError):  # another SKYRIG_HOME by now, or somebody cleaned up
            each = _record(folder.find(request_id))
            what = f"skyrig: request {each.request_id} ({each.name} {each.cluster_name})".replace(" )", ")")
            if each.status is RequestStatus.RUNNING:
                print(f"{what} goes on in the background; sky.api_status() shows it", file=sys.stderr)
            elif each.error:
                print(f"{what} failed: {each.error}", file=sys.stderr)
