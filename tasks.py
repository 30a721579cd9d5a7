"""The entry point of stock invoke: `invoke --list` shows the verbs, `invoke --help VERB` its flags."""

import sys
from pathlib import Path

from invoke.exceptions import Exit

try:
    from skyrig.cli.collection import namespace
    from skyrig.cli.words import refusal
except ModuleNotFoundError as error:
    raise Exit(f"{error.name} is not installed for this invoke: run `. .venv/bin/activate` or ./rig first", 2) from None

_started = Path(sys.argv[0])
if "invoke" in (_started.stem, _started.parent.name) or _started.stem == "inv":
    _reason = refusal(sys.argv[1:])
    if _reason is not None:
        raise Exit(_reason, 2)

ns = namespace()
