"""A trained model of the example, and the server that serves it, as plain processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "mingpt"
SERVER = ROOT / "templates" / "serve" / "transformers_server.py"
PATIENCE_S = 180
"""Seconds that torch and transformers may take to be imported on a busy machine."""


def quiet(home: Path) -> dict[str, str]:
    """An environment without a hub, a cache of it, or threads that wait by spinning."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "no-cache")}


def trained(folder: Path) -> Path:
    """A model that the example made in a few steps, in Hugging Face's form."""
    words = ["--text", "60000", "--batch", "2", "--steps", "12", "--save-every", "12", "--out", str(folder / "out")]
    made = folder / "models" / "mingpt"
    environment = quiet(folder) | {"SKYRIG_MODEL_DIR": str(made)}
    subprocess.run([sys.executable, str(EXAMPLE / "train.py"), *words], env=environment, check=True)
    return made


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
