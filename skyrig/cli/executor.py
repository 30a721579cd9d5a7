"""The executor of both doors: refuses dangerous chains of tasks before the first of them runs."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit
from invoke.executor import Executor as StockExecutor
from invoke.parser.context import ParserContext

from skyrig.cli.words import chain_refusal


class Executor(StockExecutor):
    """Stock invoke's, with a look at the whole chain first."""

    def execute(self, *tasks: Any) -> Any:
        """Run the tasks, or none of them (exit code 2)."""
        reason = chain_refusal([_name(task) for task in tasks])
        if reason is not None:
            raise Exit(reason, 2)
        return super().execute(*tasks)


def _name(task: Any) -> str:
    """The task's name in any of the forms that invoke takes."""
    if isinstance(task, ParserContext):
        return str(task.name)
    return str(task[0] if isinstance(task, tuple) else task)
