"""Where Skyrig keeps things on the user's machine.

Two roots, each overridable by one variable: SKYRIG_HOME (state, passphrase, local nodes and buckets; default: the
user's data folder) and SKYRIG_CACHE (what was downloaded or built; default: the user's cache folder). Nothing here
creates a folder but `made`.
"""

from __future__ import annotations

import os
from pathlib import Path

_SHIPPED = Path(__file__).resolve().parent / "shipped"


def home() -> Path:
    """Root of everything that must survive a cleaned clone (SKYRIG_HOME)."""
    given = os.environ.get("SKYRIG_HOME")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("skyrig", appauthor=False))


def cache() -> Path:
    """Root of what can be had again: the engine, builds (SKYRIG_CACHE)."""
    given = os.environ.get("SKYRIG_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("skyrig", appauthor=False))


def backend() -> Path:
    """Folder of the file:// Pulumi backend that is used where the user has no login of their own."""
    return home() / "state"


def passphrase() -> Path:
    """File with the passphrase of the file backend's secrets (mode 0600)."""
    return home() / "passphrase"


def stack(name: str) -> Path:
    """Client-side folder of one stack: cached description, client key, engine lock."""
    return home() / "stacks" / name


def records(name: str) -> Path:
    """Folder where the job records and finished logs of a stack outlive its cluster (local cloud)."""
    return stack(name) / "records"


def local_nodes(name: str) -> Path:
    """Folder of the local cloud's nodes of one stack, one sub-folder a node id."""
    return home() / "local" / name


def storage(name: str) -> Path:
    """Folder of the local cloud's buckets of one stack, and of the server that serves them."""
    return home() / "storage" / name


def images() -> Path:
    """Folder of the images that were built here: machines' of the local cloud, and containers'."""
    return home() / "images"


def models(name: str) -> Path:
    """Folder of the models that training on one stack has made and that were brought here; it outlives the stack."""
    return home() / "models" / name


def requests() -> Path:
    """Folder of the requests that Python programs have made, one sub-folder each."""
    return home() / "requests"


def ledger() -> Path:
    """Folder of what stacks have cost; it outlives them."""
    return home() / "ledger"


def limits() -> Path:
    """File with the user's own limits on what may be spent."""
    return home() / "limits.yaml"


def engine(version: str) -> Path:
    """Folder of one Pulumi engine: the `pulumi` binary and its plugins lie in it side by side."""
    return cache() / "engine" / version / "bin"


def is_installed() -> bool:
    """Whether this Skyrig came as a wheel, with no clone around it."""
    return _SHIPPED.is_dir()


def shipped() -> Path:
    """Root of what Skyrig is besides this package: stacks/, components/, templates/, tools/, the example. It is the
    clone, or the folder of this package that a wheel puts them in; perhaps read-only."""
    return _SHIPPED if is_installed() else _SHIPPED.parents[1]


def project() -> Path:
    """Folder of the Pulumi project of a Skyrig without a clone, with the plain config of its stacks."""
    return home() / "project"


def made(path: Path) -> Path:
    """`path`, created with its parents if need be, readable by its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
