"""Engines: what a model is served with, and the task that serves it.

`engine` has them as values, `model` reads what a model is named by, `rendering` fills templates/serve, and `task` puts
a task together out of these. All of it is pure but for looks at a local model's folder.
"""

from skyrig.serve.engines.engine import ENGINES, Engine, default, known, require_packages
from skyrig.serve.engines.model import Model
from skyrig.serve.engines.task import task

__all__ = ["ENGINES", "Engine", "Model", "default", "known", "require_packages", "task"]
