"""One piece of work on a ward, in a process of its own: `python -I -m skyrig.control.work KIND NAME ACT`.

The controller starts it in the ward's surroundings (environment and project), with the ward's lock and a place among
the runs of the engine, both of which it holds for its life. What it is to do stands in the ward, what it did goes to
its output, and how it went is its exit code. It is begun again after it was killed: each piece of work is one that
finds what is there.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping

from skyrig.control import looking, table
from skyrig.control.ward import END, LOOK, SERVICE, Ward, Wish
from skyrig.errors import BadInput, SkyrigError

Work = Callable[[Ward, Callable[[str], None]], None]
"""Does one piece of work on a ward; takes one line for the log at a time."""

_INTERRUPTED = 130


def main(kind: str, name: str, act: str) -> int:
    """Do it; the exit code is that of a command that failed so."""
    ward = table.ward(name, kind)
    if ward is None:
        return 0
    if act == LOOK:
        sys.stdout.write(json.dumps(looking.to_json(looking.look(ward))))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the controller's caller ignored
    if (ward.wish is Wish.GONE) is not (act == END):
        return 0  # the wish has changed since this was begun
    try:
        _works(kind)[act](ward, _log)
    except (SkyrigError, OSError) as error:
        reason = error.message if isinstance(error, SkyrigError) else str(error)
        _log(f"{act}: {error}")
        ward = table.ward(name, kind)
        if ward is not None and not ward.gave_up:  # there the reason is why it failed
            table.change(name, kind, reason=reason)
        return error.exit_code if isinstance(error, SkyrigError) else BadInput.exit_code
    except KeyboardInterrupt:
        _log(f"{act}: interrupted")
        return _INTERRUPTED
    return 0


def _works(kind: str) -> Mapping[str, Work]:
    """What can be done for wards of a kind, by act."""
    if kind == SERVICE:
        from skyrig.control.services.work import WORK

        return WORK
    from skyrig.control.jobs.work import WORK as OF_JOBS

    return OF_JOBS


def _log(line: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), line, flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
