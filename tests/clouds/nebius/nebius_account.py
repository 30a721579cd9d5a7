"""Somebody with a project on the Nebius that is on loopback, and the stand-in as the engine's plugin."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nebius_cloud import NebiusCloud
from user import BIN

KIND = "gpu-h100-sxm_1gpu-16vcpu-200gb"
PLUGIN = "pulumi-resource-terraform-provider"
PROVIDER = Path(__file__).with_name("stand_in_provider.py")


def plugins(folder: Path) -> Path:
    """A folder for PATH with the stand-in as the engine's plugin."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PLUGIN
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROVIDER}" "$@"\n')
    file.chmod(0o755)
    return folder


def environment(cloud: NebiusCloud, folder: Path) -> dict[str, str]:
    """The variables of a user of that cloud, who has no other credentials."""
    return cloud.env | {
        "HOME": str(folder),
        "SKYRIG_SSH_FROM": "203.0.113.7/32",
        "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
    }
