"""Provider plugins: programs of the engine's, one a cloud, which it downloads at first use where it can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from skyrig.cluster.clouds import registered


def called(cloud: str) -> str:
    """Name of a cloud's plugin; one without a provider has that of dynamic resources."""
    known = registered(cloud)
    return known.plugin or known.package or "pulumi-python"


def there(cloud: str) -> str:
    """The plugin of a cloud that the engine would take, by name; "" where it has to download one."""
    package = called(cloud)
    name = f"pulumi-resource-{package}"
    found = shutil.which(name)
    if found is not None:
        return found
    home = Path(os.environ.get("PULUMI_HOME", "~/.pulumi")).expanduser()
    kept = sorted(home.glob(f"plugins/resource-{package}-v*/{name}"))
    return kept[-1].parent.name if kept else ""
