"""What a model is named by: a folder here, a place on the nodes, or an id on the hub."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

from skyrig.errors import BadInput

NODE_FOLDER = "sky_serve/models"
"""Where a model that is brought lies on the nodes, below the home; what training leaves there lies elsewhere."""

CONFIG = "config.json"
"""The file by which a folder is a model in Hugging Face's form."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@frozen
class Model:
    """A model. On the nodes it is at `place`: a path, below the home where `is_home`, or else an id on the hub
    (`is_folder` false). `source` is the local folder that is brought there, None for none; `name` what clients call
    it."""

    name: str
    place: str
    is_folder: bool = True
    is_home: bool = False
    source: Path | None = None

    @property
    def target(self) -> str:
        """Where the local folder goes, as file_mounts has it."""
        return f"~/{self.place}"


def read(text: str, served_name: str | None = None) -> Model:
    """The model that `text` names: a folder that is here, else an absolute path (or one that begins with ~/) on the
    nodes, else an id on the hub. Paths and ids are what clients call it by, and so is a local folder's own name where
    it is named by a relative path; `served_name` stands above that. BadInput for what is none of these."""
    here = Path(text).expanduser()
    is_path = text.startswith(("/", "~/", "./", "../")) or text in (".", "..")
    if text and _is_folder(here) and ((here / CONFIG).is_file() or is_path):
        return _local(here, served_name or (text if text.startswith("/") else here.resolve().name), text)
    if text.startswith("/"):
        return Model(served_name or text, text)
    if text.startswith("~/"):
        return Model(served_name or text, text.removeprefix("~/"), is_home=True)
    if is_path or not _HUB_ID.fullmatch(text):
        raise BadInput(
            f"--model {text}: {'no such folder is here' if is_path else 'neither a folder nor an id on the hub'}",
            hint="give a folder, an absolute path on the nodes, or an id like Qwen/Qwen3-0.6B",
        )
    return Model(served_name or text, text, is_folder=False)


def _is_folder(path: Path) -> bool:
    """Whether a folder is here. What the system takes for no path at all (too long a name) is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _local(folder: Path, name: str, text: str) -> Model:
    if not (folder / CONFIG).is_file():
        if text.startswith("/"):
            return Model(name, text)
        raise BadInput(f"--model {text}: no model is there, it has no {CONFIG}")
    return Model(name, f"{NODE_FOLDER}/{plain(folder.resolve().name)}", is_home=True, source=folder.resolve())


def plain(name: str) -> str:
    """`name` as a folder on nodes and in shells can be called without quotes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
