"""Provider plugins: programs of the engine's, one a cloud, which it downloads at first use where it can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from skyrig.cluster.clouds import registered


def there(cloud: str) -> str:
    """The plugin of a cloud that the engine would take, by name; "" where it has to download one. A cloud without a
    provider has that of dynamic resources."""
    package = registered(cloud).package or "pulumi-python"
    name = f"pulumi-resource-{package}"
    found = shutil.which(name)
    if found is not None:
        return found
    home = Path(os.environ.get("PULUMI_HOME", "~/.pulumi")).expanduser()
    kept = sorted(home.glob(f"plugins/resource-{package}-v*/{name}"))
    return kept[-1].parent.name if kept else ""
