"""The engines as values: versions, ports, paths, and where each fact comes from."""

from __future__ import annotations

import difflib
import importlib.util

from attrs import frozen

from skyrig.cluster.description import Accelerators
from skyrig.errors import BadInput


@frozen
class Engine:
    """A serving engine. `packages` are what its environment is made of, pinned, and `cluster_packages` what it needs
    beside them on several nodes; `modules` are imported by what it serves with. It listens on `port` where it is told
    none, answers at `probe` once its model is loaded, and tells Prometheus at `metrics` what it does; `tokens` counts
    there what it generated. `many_nodes`: one replica can be spread over several."""

    name: str
    version: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    port: int
    tokens: str
    cluster_packages: tuple[str, ...] = ()
    cluster_modules: tuple[str, ...] = ()
    probe: str = "/health"
    metrics: str = "/metrics"
    many_nodes: bool = True
    needs_accelerator: bool = True


TRANSFORMERS = Engine(
    name="transformers",
    version="5.23.0",
    packages=("transformers[serving]==5.23.0",),
    modules=("transformers", "fastapi", "uvicorn", "openai", "torch"),
    port=8000,
    tokens="skyrig_generated_tokens_total",
    many_nodes=False,
    needs_accelerator=False,
)
"""The server of `transformers serve`, on CPUs. Version: that of requirements/serve.txt, which tests run."""

VLLM = Engine(
    name="vllm",
    version="0.32.0",
    packages=("vllm==0.32.0",),
    modules=("vllm",),
    port=8000,
    tokens="vllm:generation_tokens_total",
    cluster_packages=("ray[cgraph]==2.60.0",),
    cluster_modules=("ray",),
)
"""vLLM. Version: the newest on PyPI on 2026-11-22 whose requirements can all be had; Ray is none of them any more
(vLLM's issue 33445), its version is that of requirements/ray.txt. Flags and the way to several nodes: vLLM's pages on
parallelism and scaling. Not run by us: no machine with an accelerator was at hand."""

SGLANG = Engine(
    name="sglang",
    version="0.5.10.post1",
    packages=("sglang==0.5.10.post1",),
    modules=("sglang",),
    port=30000,
    tokens="sglang:generation_tokens_total",
)
"""SGLang. Version: the newest on PyPI on 2026-11-22 that a resolver finds wheels for on x86_64 Linux with Python 3.12.
Flags: SGLang's pages on server arguments and on several nodes. Not run by us, as vLLM."""

ENGINES = {engine.name: engine for engine in (TRANSFORMERS, VLLM, SGLANG)}
"""All engines by name."""


def default(accelerators: Accelerators) -> str:
    """The engine for nodes with these accelerators: vLLM where they are real, else Transformers' own server."""
    return VLLM.name if accelerators.count and not accelerators.declared else TRANSFORMERS.name


def known(name: str) -> Engine:
    """The engine called `name`. BadInput with the nearest one."""
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, n=1)
        hint = f"did you mean {near[0]}?" if near else "one of: " + ", ".join(ENGINES)
        raise BadInput(f"engine {name!r} is not known", hint=hint)
    return ENGINES[name]


def require_packages(engine: str) -> None:
    """BadInput where local nodes could not run the engine: they have the packages of this environment."""
    for module in known(engine).modules:
        if importlib.util.find_spec(module) is None:
            hint = "run ./rig setup serve, or pip install 'skyrig[serve]'" if engine == TRANSFORMERS.name else None
            raise BadInput(f"local nodes have no {engine}: {module} is not installed here", hint=hint)
