"""Texts of setup and run from templates/serve. Values of the user enter them through one filter, `quote`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from skyrig import places, shell_templates
from skyrig.errors import BadInput
from skyrig.serve.engines.engine import Engine
from skyrig.serve.engines.model import Model

TEMPLATES = places.shipped() / "templates" / "serve"
"""Folder of the templates of serving."""

SERVER = "sky_serve/transformers_server.py"
"""Where the program that serves with Transformers lies on the nodes, below the home."""


def setup_text(engine: Engine, num_nodes: int) -> str:
    """What has the engine installed on a node."""
    several = num_nodes > 1
    return _rendered(
        "engine_setup.sh.j2",
        engine=engine,
        packages=engine.packages + (engine.cluster_packages if several else ()),
        modules=engine.modules + (engine.cluster_modules if several else ()),
    )


def run_text(engine: Engine, model: Model, gpus: int, num_nodes: int, arguments: Sequence[str] = ()) -> str:
    """What serves `model` on `num_nodes` nodes with `gpus` accelerators each; `arguments` reach the engine as they
    are. BadInput for a NUL in one."""
    for value in (model.name, model.place, *arguments):
        if "\0" in value:
            raise BadInput(f"{value!r} holds a NUL byte, which no program can be given")
    words = "".join(f" \\\n  {shlex.quote(word)}" for word in arguments)
    return _rendered(
        f"{engine.name}.sh.j2",
        engine=engine,
        model=model,
        name=model.name,
        gpus=max(1, gpus),
        nodes=num_nodes,
        server=SERVER,
        words=words,
    )


def _rendered(template: str, **values: object) -> str:
    return shell_templates.rendered(TEMPLATES, template, **values)
