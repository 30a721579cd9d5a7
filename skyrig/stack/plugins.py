"""Provider plugins: programs of the engine's, one a cloud, which it downloads at first use where it can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PACKAGES = {"aws": "aws", "gcp": "gcp", "azure": "azure-native"}
"""The provider's package by cloud."""

SDKS = {"local": "pulumi", "slurm": "pulumi", "aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure": "pulumi_azure_native"}
"""The Python package that the program uses for a cloud."""


def there(cloud: str) -> str:
    """The plugin of a cloud that the engine would take, by name; "" where it has to download one."""
    name = f"pulumi-resource-{PACKAGES[cloud]}"
    found = shutil.which(name)
    if found is not None:
        return found
    home = Path(os.environ.get("PULUMI_HOME", "~/.pulumi")).expanduser()
    kept = sorted(home.glob(f"plugins/resource-{PACKAGES[cloud]}-v*/{name}"))
    return kept[-1].parent.name if kept else ""
