"""The cases of the user data: what a node is made from, and what came out of it."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any, cast

import yaml

from components.boot import FOLDER, BootArgs, user_data
from components.keypair import new_key_pair

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.json"))
HOST_PRIVATE, HOST_PUBLIC = new_key_pair()
CLIENT_PRIVATE, CLIENT = new_key_pair()


def args(case: Path, private: str = HOST_PRIVATE, public: str = HOST_PUBLIC, client: str = CLIENT) -> BootArgs:
    """What the node of a case is made from."""
    said = json.loads(case.read_text())
    keys = {"host_private_key": private, "host_public_key": public, "client_key": client}
    return cast(BootArgs, {**said, **keys})


def document(case: Path) -> dict[str, Any]:
    """Its user data, as cloud-init reads it."""
    found: dict[str, Any] = yaml.safe_load(user_data(args(case)))
    return found


def written(case: Path) -> dict[str, str]:
    """Every file that cloud-init writes, by path."""
    return {file["path"]: _content(file) for file in document(case)["write_files"]}


def programs(case: Path) -> dict[str, str]:
    """The node's programs, by name."""
    files = {path: text for path, text in written(case).items() if path.startswith(f"{FOLDER}/")}
    return {Path(path).name: text for path, text in files.items() if not path.endswith(".json")}


def _content(file: dict[str, Any]) -> str:
    if file.get("encoding") == "gz+b64":
        return gzip.decompress(base64.b64decode(file["content"])).decode()
    return str(file["content"])
