"""Rendering of launch scripts from templates/launch.

What a script says depends on the program and the strategy alone: the same files go to every rank, and what differs
from rank to rank comes from variables (see `skyrig.launch.environment`). Values of the user enter a script through one
filter, `quote`; user text is a file of its own, byte for byte.
"""

from __future__ import annotations

from skyrig import places, shell_templates
from skyrig.errors import BadInput
from skyrig.launch import mends, nodeside
from skyrig.launch.job import STRATEGIES, Scripts
from skyrig.launch.mends import Mend
from skyrig.launch.program import Program, UserText

TEMPLATES = places.shipped() / "templates" / "launch"
"""Folder of the launch templates."""

_FALLBACKS = ("sky", "sudo", "uv")
_OF_STRATEGY = {"ray": ("gather.py", "joined.py")}


def render_launch(program: Program, strategy: str, num_nodes: int = 1) -> Scripts:
    """The files of a job's ranks. A user text runs with the strategy "plain" alone, with the mends that it needs on
    `num_nodes` nodes.

    BadInput: an unknown strategy, a strategy for a user text, a NUL in a text or an argument.
    """
    if strategy not in STRATEGIES:
        raise BadInput(f"unknown strategy {strategy!r}", hint="one of: " + ", ".join(STRATEGIES))
    if isinstance(program, UserText):
        if strategy != "plain":
            raise BadInput(f"strategy {strategy!r} starts a script, not the `run` text of a task", hint="use --script")
        return _user_text(program.text, "run", mends.of_run(program.text, num_nodes))
    _refuse_nul("script path", program.path)
    for number, argument in enumerate(program.args, start=1):
        _refuse_nul(f"argument {number}", argument)
    files = {
        "run.sh": _rendered(f"{strategy}.sh.j2"),
        "rank.sh": _rendered("rank.sh.j2", script=_no_option(program.path), arguments=program.args),
        "fabric.py": nodeside.fabric(),
        **_programs(*_OF_STRATEGY.get(strategy, ())),
        **_fallbacks(),
    }
    return Scripts(files=files)


def render_setup(text: str) -> Scripts:
    """The files of a setup: its entry is setup.sh, which runs the text in user.sh."""
    return _user_text(text, "setup")


def _user_text(text: str, what: str, added: tuple[Mend, ...] = ()) -> Scripts:
    _refuse_nul(f"`{what}` text", text)
    entry = f"{what}.sh"
    wrapper = _rendered("user_text.sh.j2", what=what, mends=added, conda=mends.names_conda(text))
    files = {entry: wrapper, "user.sh": text, **_fallbacks()}
    if what == "run":
        files["fabric.py"] = nodeside.fabric()
        files |= _programs(*(["gather.py"] if any(mend.stays for mend in added) else []))
    for mend in added:
        files |= {f"shims/{name}": program for name, program in mend.shims.items()}
    return Scripts(files=files, entry=entry)


def _programs(*names: str) -> dict[str, str]:
    """Our small programs that the scripts call on the node, as they lie among the templates."""
    return {name: (TEMPLATES / name).read_text() for name in names}


def _fallbacks() -> dict[str, str]:
    """Programs that user code finds where a node has none of their name."""
    return {f"fallbacks/{name}": mends.shim(name) for name in _FALLBACKS}


def _no_option(path: str) -> str:
    """`path` such that Python never takes it for an option of its own, nor for its standard input."""
    return f"./{path}" if path.startswith("-") else path


def _refuse_nul(what: str, value: str) -> None:
    if "\0" in value:
        raise BadInput(f"{what}: holds a NUL byte, which no program can be given")


def _rendered(template: str, **values: object) -> str:
    return shell_templates.rendered(TEMPLATES, template, **values)
