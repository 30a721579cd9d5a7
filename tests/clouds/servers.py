"""A stand-in for AWS on loopback, and provider plugins that reach it: nothing here leaves the machine.

moto answers for AWS. The provider is the real plugin where the engine has it, else a bridge that drives the real
Terraform provider (a folder beside the clone, or SKYRIG_CLOUD_PLUGINS); for other clouds, an echo that takes anything.
Where there is none, tests that need one skip.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BRIDGES = (os.environ.get("SKYRIG_CLOUD_PLUGINS", ""), ROOT.parent / "shared" / "tools" / "aws-bridge")
_START_S = 60.0

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
"""Credentials that moto takes."""


def bridge() -> Path | None:
    """The folder of the bridge's programs; None where there is none."""
    for folder in _BRIDGES:
        if folder and (Path(folder) / "lib" / "aws_provider.py").exists():
            return Path(folder)
    return None


def plugins(folder: Path) -> Path:
    """A folder for PATH with the provider plugins that there are; the test is skipped where there is none."""
    source = bridge()
    if source is None:
        pytest.skip("no provider plugin can be had here: neither a bridge beside the clone nor SKYRIG_CLOUD_PLUGINS")
    library = source / "lib"
    _write(folder / "pulumi-resource-aws", Path(__file__).with_name("bridge_aws.py"), library)
    _write(folder / "pulumi-resource-gcp", Path(__file__).with_name("echo_gcp.py"), library)
    _write(folder / "pulumi-resource-azure-native", Path(__file__).with_name("echo_azure.py"), library)
    _write(folder / "pulumi-resource-oci", Path(__file__).with_name("echo_oci.py"), library)
    return folder


def echo(folder: Path, name: str) -> None:
    """Add a provider of this name to a folder of plugins: an echo that takes anything and keeps nothing."""
    source = bridge()
    assert source is not None, "plugins() has skipped the test"
    _write(folder / f"pulumi-resource-{name}", source / "lib" / "echo_provider.py")


def _write(file: Path, program: Path, echo: Path = Path()) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    named = f'PULUMI_PLUGIN_NAME={file.name} SKYRIG_ECHO="{echo}"'
    file.write_text(f'#!/bin/sh\n{named} exec "{sys.executable}" "{program}" "$@"\n')
    file.chmod(0o755)


@contextmanager
def moto(log: Path, **environment: str) -> Iterator[str]:
    """moto's server on a free port, with what the bridge adds to it where that is there; its url."""
    source = bridge()
    env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "PYTHONUNBUFFERED": "1", **environment}
    env["SKYRIG_ECHO"] = str(source / "lib") if source else ""
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("moto_aws.py")), "-H", "127.0.0.1", "-p", "0"],
            stdout=out,
            stderr=out,
            env=env,
        )
    try:
        yield _url(log, server)
    finally:
        server.terminate()
        server.wait(timeout=20)


def _url(log: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        match = re.search(r"Running on (http://127\.0\.0\.1:[0-9]+)", log.read_text())
        if match:
            return match[1]
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"moto did not start: {log.read_text()}")
