"""Stacks of the real Pulumi engine on the local cloud, for tests: own data folder, own backend, own project folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from skyrig import places
from skyrig.cluster.description import ClusterDescription, from_json
from skyrig.fleet.local import node

ROOT = Path(__file__).parents[2]
LIMIT_S = 120.0


class LocalEngine:
    """The engine, with everything that it and Skyrig keep below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        (self.home / "state").mkdir(parents=True)
        (self.home / "passphrase").write_text("for tests only")
        self.project.mkdir()
        shutil.copy(ROOT / "Pulumi.yaml", self.project)
        shutil.copytree(ROOT / "stacks", self.project / "stacks", ignore=shutil.ignore_patterns("Pulumi.*.yaml"))
        engines = sorted(path.parent for path in places.cache().glob("engine/*/bin/pulumi"))
        path = [str(Path(sys.prefix) / "bin"), *map(str, engines[-1:]), os.environ["PATH"]]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PULUMI_", "SKYRIG_"))}
        self.env = {
            **inherited,
            "PATH": ":".join(path),
            "SKYRIG_HOME": str(self.home),
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{self.home / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.home / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }

    def run(self, *words: str, check: bool = True) -> str:
        """What `pulumi WORDS` says on both outputs; it must succeed, unless `check` is false."""
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            cwd=self.project,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout

    def stack(self, level: str) -> LocalStack:
        """A new stack whose nodes have isolation `level`."""
        stack = LocalStack(self, f"t-{uuid.uuid4().hex[:8]}")
        self.run("stack", "init", stack.name)
        stack.configure(isolation=level)
        return stack


class LocalStack:
    """One stack of a LocalEngine."""

    def __init__(self, engine: LocalEngine, name: str) -> None:
        self.engine = engine
        self.name = name

    @property
    def nodes_folder(self) -> Path:
        """Where its nodes lie."""
        return self.engine.home / "local" / self.name

    def configure(self, **values: Any) -> None:
        """Set config keys of the project, as a user does who edits the stack's file."""
        file = self.engine.project / "stacks" / f"Pulumi.{self.name}.yaml"
        yaml = YAML()
        document = yaml.load(file.read_text()) if file.exists() else {}
        config = document.setdefault("config", {})
        config.update({f"skyrig:{key}": value for key, value in values.items()})
        with file.open("w") as out:
            yaml.dump(document, out)

    def up(self, nodes: Sequence[str] | None = None, *words: str) -> str:
        """`pulumi up`, where given with these node ids and options."""
        if nodes is not None:
            self.configure(nodes=list(nodes))
        return self._run("up", "--yes", "--skip-preview", *words)

    def refresh(self) -> str:
        """`pulumi refresh`."""
        return self._run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> str:
        """`pulumi destroy`."""
        return self._run("destroy", "--yes", "--skip-preview")

    def preview(self, *words: str, check: bool = True) -> str:
        """`pulumi preview`."""
        return self._run("preview", *words, check=check)

    def output(self, *words: str) -> dict[str, Any]:
        """The stack output `cluster`."""
        told: dict[str, Any] = json.loads(self._run("stack", "output", "cluster", "--json", *words))
        return told

    def describe(self) -> ClusterDescription:
        """The cluster description, with the client's private key."""
        return from_json(self.output("--show-secrets"))

    def state(self) -> dict[str, Any]:
        """The stack's state as the engine exports it."""
        told: dict[str, Any] = json.loads(self._run("stack", "export"))
        return told

    def remove(self) -> None:
        """End what is left of its nodes, without the engine: a test that has something to see in a destroy has its
        own."""
        node.stop_all(self.nodes_folder)

    def forget(self) -> None:
        """Remove the stack; nothing of it may be left but its record in the state."""
        self._run("stack", "rm", "--yes", "--force")

    def _run(self, *words: str, check: bool = True) -> str:
        return self.engine.run(*words, "--stack", self.name, check=check)


def changed(told: str, operation: str) -> set[str]:
    """Ids of the nodes that an engine run has created ("+"), deleted ("-") or replaced, by the marks of its output."""
    return set(
        re.findall(rf"^ {re.escape(operation)}  \S+:LocalNode \S+-(n\d+) (?:created|deleted)", told, re.MULTILINE)
    )
