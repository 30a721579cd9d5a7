"""Writes requirements/*.txt anew: `.venv/bin/python tools/rig/pin.py [--upgrade] [SET ...]`.

Every file is the closure of one part of pyproject.toml, pinned with hashes for Linux and macOS at once and for every
Python that rig accepts. The set `keeper`, what a head imports, lies in the package instead: a wheel must carry it.
A later file is resolved against the earlier ones, so that installing it never changes what they installed; that is why
torch can be got while the base already works. No file names a registry: the user's own
pip or uv settings say where packages come from.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from limits import ENGINE, OLDEST_PYTHON

ROOT = Path(__file__).resolve().parents[2]
BUILDS_ON: dict[str, tuple[str, ...]] = {
    "base": (),
    "keeper": ("base",),
    "dev": ("base",),
    "torch": ("base", "dev"),
    "accelerate": ("base", "dev", "torch"),
    "deepspeed": ("base", "dev", "torch", "accelerate"),
    "ray": ("base", "dev", "torch", "accelerate", "deepspeed"),
    "aws": ("base", "dev", "torch", "accelerate", "deepspeed", "ray"),
    "gcp": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws"),
    "azure": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp"),
    "oci": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure"),
    "nebius": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure", "oci"),
    "kubernetes": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure", "oci", "nebius"),
    "lora": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure"),
    "lightning": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure", "lora"),
    "serve": ("base", "dev", "torch", "accelerate", "deepspeed", "ray", "aws", "gcp", "azure", "lora", "lightning"),
    "wandb": ("base", "dev", "torch", "accelerate", "ray", "aws", "gcp", "azure", "lora", "lightning", "serve"),
    "postgres": ("base", "dev"),
}
KEEPER = ("asyncssh", "attrs", "cattrs", "jinja2", "tenacity")
"""Those of our dependencies that keeper and steward import on a head; tests/foreign holds them to that."""
NOTE = "# Pinned by tools/rig/pin.py from pyproject.toml; do not edit by hand.\n"


def file_of(name: str) -> Path:
    """Where the pins of set `name` lie."""
    folder = "skyrig/launch/runtime/pins" if name == "keeper" else "requirements"
    return ROOT / folder / f"{name}.txt"


def wanted(name: str) -> list[str]:
    """The requirements of set `name` as pyproject.toml has them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    if name == "base":
        dependencies: list[str] = project["project"]["dependencies"]
        return [*dependencies, f"pulumi=={ENGINE}"]
    if name == "keeper":
        return list(KEEPER)
    parts: dict[str, list[str]] = project["project"]["optional-dependencies"] | project["dependency-groups"]
    return parts[name]


def pin(name: str, upgrade: bool) -> None:
    """Resolve set `name` and write its file; raises CalledProcessError where uv finds no answer.

    Versions that still fit stay, but with `upgrade`.
    """
    file = file_of(name)
    constraints = [f"--constraints=requirements/{other}.txt" for other in BUILDS_ON[name]]
    command = ["uv", "pip", "compile", "-", "--universal", "--generate-hashes", "--no-header", "--quiet"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", f"--python-version={OLDEST_PYTHON}"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.txt")
        if file.exists() and not upgrade:
            shutil.copy(file, out)
        subprocess.run(
            [*command, *constraints, f"--output-file={out}"],
            input="\n".join(wanted(name)).encode(),
            cwd=ROOT,
            check=True,
        )
        file.write_text(NOTE + out.read_text().removeprefix(NOTE))


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if word != "--upgrade"]
    for part in chosen or BUILDS_ON:
        pin(part, upgrade="--upgrade" in sys.argv)
