"""From SkyPilot's word order to invoke's: `skyrig logs NAME 3 -f` becomes `logs -c NAME -j 3 -f`.

Works on words alone, by the table below and each verb's own flags (which say whether a flag takes the next word).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skyrig.cli.verb import Verb, sort_words

PLACES: Mapping[str, tuple[str, ...]] = {
    "up": ("cluster",),
    "down": ("cluster*",),
    "stop": ("cluster*",),
    "start": ("cluster*",),
    "autostop": ("cluster*",),
    "status": ("cluster*",),
    "adopt": ("cluster",),
    "preflight": ("cluster",),
    "ssh": ("cluster",),
    "queue": ("cluster",),
    "logs": ("cluster", "job"),
    "cancel": ("cluster", "job*"),
    "exec": ("cluster", "file"),
    "cost": ("cluster*",),
    "image.build": ("image", "file"),
    "image.delete": ("image",),
    "storage.delete": ("bucket", "name*"),
    "gpus": ("accelerator",),
    "jobs.launch": ("file",),
    "jobs.queue": ("job*",),
    "jobs.logs": ("job", "task"),
    "jobs.cancel": ("job*",),
    "serve": ("file",),
    "serve.up": ("file",),
    "serve.update": ("name", "file"),
    "serve.status": ("name*",),
    "serve.logs": ("name", "replica"),
    "serve.down": ("name*",),
}
"""What bare words mean to a verb, in order; `*` takes all that are left. A place whose flag is given is left out."""

_BARE = ("file", "bucket", "accelerator", "image")
"""Places that are the verb's own bare words."""

SPACES = ("catalog", "image", "jobs", "local", "serve", "storage", "task")
"""First halves of two-word verbs."""

DEFAULTS = {"serve": "serve.up"}
"""First halves that are verbs by themselves, before any other word."""

OTHERS = {("gpus", "list"): "gpus", ("show-gpus",): "gpus", ("cost-report",): "cost"}
"""Verbs that SkyPilot has under other words."""


def rewritten(words: Sequence[str], verbs: Mapping[str, Verb]) -> list[str]:
    """`words` (without the program's name) in invoke's order. What is not understood stays as it is, for invoke to
    refuse."""
    cut = words.index("--") if "--" in words else len(words)
    mine, rest = list(words[:cut]), list(words[cut:])
    at = next((index for index, word in enumerate(mine) if not word.startswith("-")), None)
    if at is None:
        return [*mine, *rest]
    for words_of, name in OTHERS.items():
        if tuple(mine[at : at + len(words_of)]) == words_of:
            mine[at : at + len(words_of)] = [name]
    if mine[at] in SPACES and at + 1 < len(mine):
        dotted = f"{mine[at]}.{mine[at + 1]}"
        if dotted in verbs or mine[at] not in DEFAULTS:
            mine[at : at + 2] = [dotted]
    verb = verbs.get(DEFAULTS.get(mine[at], mine[at]))
    if verb is not None and not {"-h", "--help"}.isdisjoint(mine[at + 1 :]):
        return [*mine[:at], "--help", mine[at]]  # behind the verb a task file would be looked for under that name
    if verb is None or mine[at] not in PLACES:
        return [*mine, *rest]
    bare, flagged, used = sort_words(mine[at + 1 :], verb)
    return [*mine[: at + 1], *_placed(bare, PLACES[mine[at]], used), *flagged, *rest]


def engines_own(words: Sequence[str]) -> list[str]:
    """`pulumi up --yes` as `pulumi -- up --yes`: what follows that word is the engine's, to the byte."""
    if list(words[:1]) != ["pulumi"] or list(words[1:2]) in ([], ["--"], ["--env"], ["-h"], ["--help"]):
        return list(words)
    return ["pulumi", "--", *words[1:]]


def _placed(bare: list[str], places: Sequence[str], used: set[str]) -> list[str]:
    """Bare words with the flags that they stand for; the task file and what is left over stay bare."""
    words = list(bare)
    placed: list[str] = []
    for place in places:
        name = place.rstrip("*")
        if name in used:
            continue
        taken, words = (words, []) if place.endswith("*") else (words[:1], words[1:])
        for word in taken:
            placed += [word] if name in _BARE else [f"--{name}={word}"]
    return placed + words
