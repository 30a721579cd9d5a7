"""Words that mean something only together: `serve.down`, never `serve` and then `down`.

Stock invoke runs `invoke serve down -y` as two tasks, and the second one would take the selected cluster away.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

NAMESPACES = {
    "serve": ("up", "down", "status", "logs", "update"),
    "jobs": ("launch", "queue", "logs", "cancel"),
    "storage": ("ls", "cp", "delete"),
    "catalog": ("refresh",),
    "local": ("ls", "preempt", "partition", "capacity", "hide", "clock"),
    "task": ("show",),
}
"""Verbs that have a dot, by the word before it."""

DEFAULTS = {"serve.up": "serve"}
"""Verbs that the word before their dot means by itself."""

ALONE = ("adopt", "down", "stop")
"""Verbs that may not stand in a chain, besides those of NAMESPACES."""


def refusal(argv: Sequence[str]) -> str | None:
    """Why the words of an invoke command line may not run, before they are parsed; None where they may."""
    words = list(argv[: argv.index("--")] if "--" in argv else argv)
    first = next((index for index, word in enumerate(words) if not word.startswith("-")), None)
    if first is None:
        return None
    space, dot, _ = words[first].partition(".")
    if space not in NAMESPACES:
        return None
    follower = next((word for word in words[first + 1 :] if not word.startswith("-")), "")
    if not dot and follower in NAMESPACES[space]:
        return f"`{space} {follower}` would be two tasks: did you mean {space}.{follower}?"
    return None


def chain_refusal(names: Sequence[str]) -> str | None:
    """Why these tasks may not run one after another; None where they may, or where there is only one."""
    if len(names) < 2:
        return None
    for before, name in itertools.pairwise(names):
        before = DEFAULTS.get(before, before)
        if before in NAMESPACES and name in NAMESPACES[before]:
            return f"`{before} {name}` would be two tasks: did you mean {before}.{name}?"
    for name in names:
        if name in ALONE or name.partition(".")[0] in NAMESPACES:
            named = {"serve": "-n", "jobs": "-n"}.get(name.partition(".")[0], "-c")
            return f"{name} runs alone, not in a chain ({' '.join(names)}): did you mean {name} {named} NAME?"
    return None
