"""Folders that look like a machine to the probe, made out of cases.

A case is YAML: `source` says where names and texts of its kind are from; `net` and `rdma` are interfaces and devices;
`programs` are what a program of the node prints, by a pattern of its arguments; `files` are other files, `{n}` in a
name stands for 0 to `count` - 1. `has` is what the probe shall find, `given` an environment and `told` what a job with
that is told.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def read(case: Path) -> dict[str, Any]:
    """The case of a file."""
    said: dict[str, Any] = yaml.safe_load(case.read_text())
    return said


def build(root: Path, case: dict[str, Any]) -> None:
    """Make the folder of a case."""
    _write(root, "proc/sys/kernel/hostname", "node-7")
    _write(root, "proc/sys/kernel/osrelease", "6.8.0-1021-cloud")
    for each in case.get("net", ()):
        _interface(root, **each)
    for each in case.get("rdma", ()):
        _devices(root, **each)
    for each in case.get("files", ()):
        for number in range(each.get("count", 1)):
            _write(root, each["name"].format(n=number), each.get("text", ""))
    for name, answers in case.get("programs", {}).items():
        _program(root, name, answers)


def _write(root: Path, name: str, text: str) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")
    return file


def _link(link: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _interface(
    root: Path, name: str, address: str = "", driver: str = "", bus: str = "", speed: int = -1, state: str = "up",
    lower: Sequence[str] = (),
) -> None:  # fmt: skip
    folder = f"sys/class/net/{name}"
    _write(root, f"{folder}/address", "02:00:00:00:00:01")
    _write(root, f"{folder}/operstate", state)
    _write(root, f"{folder}/speed", str(speed))
    if driver:
        device = root / "sys/devices" / (bus or f"0000:{name}")
        _link(root / folder / "device", device)
        _link(device / "driver", root / "sys/drivers" / driver)
    for each in lower:
        _link(root / folder / f"lower_{each}", root / "sys/class/net" / each)
    if address:
        with (root / "addresses").open("a") as file:
            file.write(f"{name} {address}\n")


def _devices(
    root: Path,
    names: list[str],
    driver: str = "mlx5_core",
    state: str = "4: ACTIVE",
    rate: str = "400 Gb/sec (4X NDR)",
    layer: str = "InfiniBand",
    netdevs: list[str] | None = None,
    gids: dict[int, list[str]] | None = None,
    opened: bool = True,
    port: int = 1,
    share_of: str = "",
) -> None:
    for at, name in enumerate(names):
        device = root / "sys/devices/rdma" / name
        folder = f"sys/class/infiniband/{name}/ports/{port}"
        for what, text in (("state", state), ("rate", rate), ("link_layer", layer)):
            _write(root, f"{folder}/{what}", text)
        for index, (gid, kind) in (gids or {}).items():
            _write(root, f"{folder}/gids/{index}", gid.format(n=at + 10))
            _write(root, f"{folder}/gid_attrs/types/{index}", kind)
        if port > 1:
            continue  # the first one has made the device
        _link(root / f"sys/class/infiniband/{name}/device", device)
        _link(device / "driver", root / "sys/drivers" / driver)
        if share_of:
            _link(device / "physfn", root / "sys/devices/rdma" / share_of)
        if netdevs:
            (device / "net" / netdevs[at]).mkdir(parents=True)
        verbs = f"uverbs{len(list((root / 'sys/class').glob('infiniband_verbs/*')))}"
        _write(root, f"sys/class/infiniband_verbs/{verbs}/ibdev", name)
        if opened:
            _write(root, f"dev/infiniband/{verbs}", "")


def _program(root: Path, name: str, answers: list[dict[str, Any]]) -> None:
    cases = []
    for number, answer in enumerate(answers):
        file = _write(root, f"said/{name}-{number}", answer.get("says", "").rstrip("\n"))
        wait = f"sleep {answer['waits']}; " if "waits" in answer else ""
        pattern = f"*{shlex.quote(answer['asked'])}*" if answer["asked"] else "*"
        cases.append(f"  {pattern}) {wait}cat {shlex.quote(str(file))}; exit {answer.get('code', 0)} ;;")
    text = '#!/bin/sh\nPATH=/usr/bin:/bin\ncase "$*" in\n' + "\n".join(cases) + "\nesac\nexit 2"
    _write(root, f"bin/{name}", text).chmod(0o755)
