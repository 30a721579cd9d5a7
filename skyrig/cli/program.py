"""The console script `skyrig`: the same verbs as `invoke`, in any folder, in SkyPilot's word order."""

from __future__ import annotations

import sys
from collections.abc import Callable

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from skyrig import __version__
from skyrig.cli.argv import engines_own, rewritten
from skyrig.cli.collection import namespace
from skyrig.cli.executor import Executor
from skyrig.cli.verb import Verb
from skyrig.cli.words import NAMESPACES, refusal


class Door(Program):
    """An invoke program whose refusals are one line and exit code 2, also for flags that it does not know."""

    def parse_core_args(self) -> None:
        """Parse the words before the first verb."""
        _one_line(super().parse_core_args)

    def parse_tasks(self) -> None:
        """Parse verbs and their flags."""
        _one_line(super().parse_tasks)

    def parse_cleanup(self) -> None:
        """Answer --help and --list."""
        _one_line(super().parse_cleanup)


def main() -> None:
    """Run one `skyrig` command line; never returns."""
    collection = namespace()
    sys.argv[1:] = engines_own(sys.argv[1:])
    reason = refusal(_dotted(sys.argv[1:]))
    if reason is not None:
        print(reason, file=sys.stderr)
        sys.exit(2)
    verbs = {name: task for name in collection.task_names if isinstance(task := collection[name], Verb)}
    argv = [sys.argv[0], *rewritten(sys.argv[1:], verbs)]
    Door(version=__version__, name="skyrig", binary="skyrig", namespace=collection, executor_class=Executor).run(argv)
    sys.exit(0)


def _dotted(words: list[str]) -> list[str]:
    """`local ls` as `local.ls`: here two words are one verb."""
    if len(words) > 1 and words[0] in NAMESPACES and not words[1].startswith("-"):
        return [f"{words[0]}.{words[1]}", *words[2:]]
    return words


def _one_line(parse: Callable[[], None]) -> None:
    try:
        parse()
    except ParseError as error:
        raise Exit(" ".join(str(error).split()), 2) from error
