"""Models of the example, and the server that serves one, as a plain process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "mingpt"
SERVER = ROOT / "templates" / "serve" / "transformers_server.py"
PATIENCE_S = 180
"""Seconds that torch and transformers may take to be imported on a busy machine."""


def quiet(home: Path) -> dict[str, str]:
    """An environment without a hub, a cache of it, or threads that wait by spinning."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "no-cache")}


def roughened(mingpt: SimpleNamespace, text: str, **sizes: int) -> tuple[Any, str]:
    """A model of the example whose weights are all unlike each other, and its vocabulary."""
    import torch

    torch.manual_seed(0)
    vocabulary = mingpt.data.vocabulary_of(text)
    model = mingpt.model.GPT(mingpt.model.Sizes(len(vocabulary), **sizes))
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) / 8
    return model.eval(), vocabulary


def greedy(mingpt: SimpleNamespace, model: Any, vocabulary: str, prompt: str, count: int) -> str:
    """What the example's own model goes on with, taking the likeliest character each time."""
    import torch

    tokens = mingpt.data.encode(prompt, vocabulary).long()[None]
    with torch.no_grad():
        for _ in range(count):
            tokens = torch.cat([tokens, model.logits(tokens)[:, -1].argmax(-1, keepdim=True)], 1)
    return "".join(vocabulary[number] for number in tokens[0, len(prompt) :])


@contextmanager
def served(model: Path, name: str, home: Path) -> Iterator[str]:
    """HOST:PORT of a server of `model` that is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--model", str(model), "--name", name, "--host", "127.0.0.1", "--port", str(port)]
    with (
        (home / "server.log").open("wb") as log,
        subprocess.Popen([sys.executable, str(SERVER), *words], env=quiet(home), stdout=log, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, (home / "server.log").read_text()
                assert time.monotonic() < deadline, (home / "server.log").read_text()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Whether GET says 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def posted(url: str, body: bytes) -> tuple[int, Any]:
    """Status and document of a POST."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
