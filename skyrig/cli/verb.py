"""Verbs: invoke tasks whose flags are declared as a table, and whose errors are one line and an exit code.

Stock invoke reads flags off a function's signature and converts values itself, with a traceback for a bad one. Here
every value arrives as text and is checked by us.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import evolve, frozen
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from skyrig.cli.live.screen import Screen
from skyrig.errors import BadInput, SkyrigError

INTERRUPTED = 130
"""Exit code after Ctrl-C outside of following a job (128 + SIGINT)."""


@frozen
class Flag:
    """One option of a verb. `names` without dashes, the long one first; `kind` str (a value), bool (a switch) or list
    (a value, may be repeated); `later` marks one that is known and cannot do anything yet. A positional one may be
    `optional`: the parser knows only required ones, so it is told of these as far as the command line has words.
    `perhaps` is a pattern: the flag may stand alone, and takes the word behind it in SkyPilot's word order only where
    that is a value of this form."""

    names: tuple[str, ...]
    help: str
    kind: type = str
    positional: bool = False
    optional: bool = False
    later: bool = False
    perhaps: str = ""

    @property
    def key(self) -> str:
        """The name under which `Values` holds it."""
        return self.names[0]

    def argument(self) -> Argument:
        """The flag as invoke's parser wants it."""
        made = Argument(
            names=self.names,
            kind=self.kind,
            default=False if self.kind is bool else None,
            help=self.help + (" (not yet)" if self.later else ""),
            positional=self.positional,
            optional=bool(self.perhaps),
            attr_name=self.key.replace("-", "_") if "-" in self.key else None,
        )
        if self.kind is list:
            made.raw_value = None  # else the parser takes a flag without a value for one that has got its value
        return made


def flag(names: str, help: str, **more: Any) -> Flag:
    """A flag from its names in one text, "cluster c"."""
    return Flag(tuple(names.split()), help, **more)


def positional(name: str, help: str, *, optional: bool = False) -> Flag:
    """An argument that stands without a flag."""
    return Flag((name,), help, positional=True, optional=optional)


def repeated(flags: Iterable[Flag], name: str) -> list[Flag]:
    """`flags` with the one called `name` made repeatable."""
    return [evolve(each, kind=list) if each.key == name else each for each in flags]


@frozen
class Values:
    """What was given to one call of a verb."""

    given: dict[str, Any]
    rest: tuple[str, ...] = ()

    def text(self, name: str) -> str | None:
        """The value of a flag; None where it was not given. An empty one is BadInput."""
        value = self.given.get(name.replace("-", "_"))
        if value == "":
            raise BadInput(f"--{name}: a value is wanted")
        return None if value is None else str(value)

    def alone(self, name: str) -> bool:
        """Whether a flag that may have a value was given without one."""
        return self.given.get(name.replace("-", "_")) is True

    def switch(self, name: str) -> bool:
        """Whether a switch was given."""
        return bool(self.given.get(name.replace("-", "_")))

    def many(self, name: str) -> list[str]:
        """All values of a repeated flag."""
        return [str(value) for value in self.given.get(name.replace("-", "_")) or []]

    def whole(self, name: str) -> int | None:
        """A whole number of at least 0; None where it was not given."""
        text = self.text(name)
        return None if text is None else whole(f"--{name}", text)


def whole(what: str, text: str) -> int:
    """`text` as a whole number of at least 0, else BadInput that names `what`."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadInput(f"{what} {text!r}: a whole number is wanted")
    return int(text)


class Verb(Task[Any]):
    """A task with its own table of flags. Ends with an exit code: the body's, or the one of its error. `alone` is the
    word that means it by itself, being that of the namespace that it is the default of."""

    def __init__(
        self, body: Callable[[Values], int | None], name: str, flags: Iterable[Flag], takes_rest: bool, alone: str = ""
    ) -> None:
        super().__init__(body, name=name, positional=(), auto_shortflags=False)
        self.flags = tuple(flags)
        self.takes_rest = takes_rest
        self.alone = alone

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """What the parser shall accept."""
        required = sum(each.positional and not each.optional for each in self.flags)
        optional = [each for each in self.flags if each.optional]
        there = optional[: max(len(bare_words(sys.argv, self)) - required, 0)]
        return [each.argument() for each in self.flags if not each.optional or each in there]

    def __call__(self, context: Context, **given: Any) -> None:
        """Run the verb; Exit with its code unless that is 0."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")  # names may hold bytes that are no text
        try:
            code = self.body(self._checked(given))
            sys.stdout.flush()
        except SkyrigError as error:
            if os.environ.get("SKYRIG_DEBUG"):
                raise
            raise Exit(str(error), error.exit_code) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(code=0) from None
        except OSError as error:
            if os.environ.get("SKYRIG_DEBUG"):
                raise
            raise Exit(str(error), SkyrigError.exit_code) from error
        except KeyboardInterrupt:
            raise Exit("interrupted", INTERRUPTED) from None
        finally:
            notify.close()
        if code:
            raise Exit(code=code)

    def _checked(self, given: dict[str, Any]) -> Values:
        """What was given, if all of it can be heeded: a flag that does nothing yet is refused, not passed over."""
        for each in self.flags:
            if each.later and given.get(each.key.replace("-", "_")):
                raise BadInput(f"--{each.key}: not yet in this version of Skyrig")
        if any(given.get(each.key) in ("-h", "--help") for each in self.flags if each.positional):
            raise BadInput(f"stock invoke takes --help for a file here: `invoke --help {self.name}` is what helps")
        rest = after_dashes(sys.argv)
        if rest and not self.takes_rest:
            raise BadInput(f"{self.name} takes no arguments after `--`")
        return Values(given, rest)


def verb(
    name: str, flags: Iterable[Flag] = (), *, takes_rest: bool = False, alone: str = ""
) -> Callable[[Callable[[Values], int | None]], Verb]:
    """Make a function of `Values` the verb called `name`. `takes_rest`: arguments after `--` are the verb's own;
    `alone` as for `Verb`."""

    def made(body: Callable[[Values], int | None]) -> Verb:
        return Verb(body, name, flags, takes_rest, alone)

    return made


def bare_words(argv: list[str], verb: Verb) -> list[str]:
    """The words of a command line that stand behind `verb`'s name and belong to none of its flags."""
    words = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    for at, word in enumerate(words):
        if word == verb.alone and words[at + 1 : at + 2] != [verb.name]:
            return sort_words(words[at + 1 :], verb)[0]
        if word.rpartition(".")[2] == verb.name:
            return sort_words(words[at + 1 :], verb)[0]
    return []


def sort_words(words: Sequence[str], verb: Verb) -> tuple[list[str], list[str], set[str]]:
    """Bare words, words of flags with their values, and the keys of the flags that were given."""
    bare: list[str] = []
    flagged: list[str] = []
    used: set[str] = set()
    waiting = deque(words)
    while waiting:
        word = waiting.popleft()
        if not word.startswith("-") or word == "-":
            bare.append(word)
            continue
        flagged.append(word)
        known = _flag_of(word, verb)
        if known is None:
            continue
        used.add(known.key)
        if known.kind is bool or "=" in word or (len(word) > 2 and not word.startswith("--")) or not waiting:
            continue
        if not known.perhaps or re.fullmatch(known.perhaps, waiting[0]):
            flagged.append(waiting.popleft())
    return bare, flagged, used


def _flag_of(word: str, verb: Verb) -> Flag | None:
    name = word.lstrip("-").partition("=")[0]
    if not word.startswith("--"):
        name = name[:1]
    return next((each for each in verb.flags if name in each.names and not each.positional), None)


def after_dashes(argv: list[str]) -> tuple[str, ...]:
    """What stands after the first `--`, each argument to the byte (invoke would join them with spaces)."""
    return tuple(argv[argv.index("--") + 1 :]) if "--" in argv else ()


notify = Screen()
"""Takes lines for the reader, beside the output proper, and the steps that a terminal shows live."""


def agreed(yes: bool) -> Callable[[str], bool]:
    """How questions are answered: yes by `-y`, by the reader on a terminal, and no where nobody can be asked."""

    def ask(question: str) -> bool:
        if yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        with notify.away():
            print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask
