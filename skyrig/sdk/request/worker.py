"""The process that does one request: reads what to do from its standard input, tells its progress on its standard
output (the request's `lines`), writes the answer, and ends. It has a session of its own: neither Ctrl-C at the
program that asked nor the end of that program reaches it. SIGINT ends it as Ctrl-C ends a command."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from skyrig.errors import RequestCancelled, SkyrigError
from skyrig.sdk.request import trouble
from skyrig.sdk.request.folder import Folder


def main(path: str, running: str) -> None:
    """Do the request of the folder at `path`; `running` is the inherited descriptor of its lock."""
    os.set_inheritable(int(running), False)  # no process that is started here may hold it longer than this one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Folder(Path(path))
    try:
        name, arguments = pickle.load(sys.stdin.buffer)
        fields = {"status": "SUCCEEDED", "value": _done(name, arguments)}
    except KeyboardInterrupt:
        cancelled = RequestCancelled(f"request {folder.id} was cancelled")
        fields = {"status": "CANCELLED", "error": trouble.to_plain(cancelled)}
    except Exception as error:  # noqa: BLE001  whatever it is, who asked is to hear of it
        fields = {"status": "FAILED", "error": trouble.to_plain(_told(error, folder))}
    folder.give(**fields, ended_at=time.time())


def _done(name: str, arguments: dict[str, Any]) -> Any:
    """The value of the request, as plain data."""
    from skyrig.sdk.request.work import CONVERTER, WORK

    def notify(line: str) -> None:
        print(line, flush=True)

    return CONVERTER.unstructure(WORK[name].do(notify, **arguments))


def _told(error: Exception, folder: Folder) -> SkyrigError:
    if isinstance(error, SkyrigError):
        return error
    if isinstance(error, OSError):
        return SkyrigError(str(error))
    traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    return SkyrigError(f"{type(error).__name__}: {error}", hint=f"the traceback is in {folder.lines}")
