"""What the kernel says of a node's network: interfaces, InfiniBand and RoCE ports, Elastic Fabric Adapters.

Runs on nodes, before every job too: standard library only, Python 3.8 or newer, few imports. A folder that looks like a
machine can be read in the place of one (`look_at`).

Layout of /sys/class/infiniband and its texts: Linux, Documentation/ABI/stable/sysfs-class-infiniband.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Port = dict[str, Any]
    Interface = dict[str, Any]

_ADDRESSES = "addresses"
"""File in a folder that looks like a machine, with what only a living kernel says: a line `INTERFACE ADDRESS` each."""

_SIOCGIFADDR = 0xC0206921 if sys.platform == "darwin" else 0x8915
_EFA_DRIVER = "efa"
_AMAZON = "0x1d0f"
_ALWAYS_VIRTUAL = ("lo", "docker", "veth", "virbr", "cni", "flannel", "cali", "ifb", "dummy", "tunl", "sit")


_root = ""


def look_at(root: str) -> None:
    """Read everything below a folder from now on; "" is this machine itself."""
    global _root
    _root = root.rstrip("/")


def is_living() -> bool:
    """Whether this machine itself is read."""
    return not _root


def at(path: str) -> str:
    """Where a path of the node is."""
    return _root + path


def text(path: str) -> str:
    """What a file of the node holds, without blanks around it; "" where it cannot be read."""
    try:
        with open(at(path), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:  # some files of /sys refuse to be read while their device is down
        return ""


def names(folder: str) -> list[str]:
    """What lies in a folder of the node, sorted as people count; nothing where there is none."""
    try:
        return sorted(os.listdir(at(folder)), key=_counted)
    except OSError:
        return []


def _counted(name: str) -> list[tuple[int, int, str]]:
    """mlx5_2 before mlx5_10."""
    parts, digits = [], ""
    for letter in name + "\0":
        if letter.isdigit():
            digits += letter
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, letter))
    return parts


def number(said: str) -> float:
    """The number that a text begins with; 0 where it begins with none."""
    try:
        return float(said.split()[0])
    except (IndexError, ValueError):
        return 0.0


def driver(device: str) -> str:
    """Name of the driver of a device's folder in /sys; "" where it has none."""
    try:
        return os.path.basename(os.readlink(at(f"{device}/driver")))
    except OSError:
        return ""


def interfaces() -> list[Interface]:
    """The interfaces that lead out of the node: `name`, `address` (IPv4, "" without one), `speed_gbps` (0: not said),
    `up`, `driver` ("" on one that is no device of its own, as in a container)."""
    found = []
    for name in names("/sys/class/net"):
        folder = f"/sys/class/net/{name}"
        if not os.path.exists(at(f"{folder}/address")):
            continue
        address, used = address_of(name), driver(f"{folder}/device")
        virtual = name.startswith(_ALWAYS_VIRTUAL) or os.path.isdir(at(f"{folder}/bridge"))
        if not used and (virtual or not address):
            continue
        state = text(f"{folder}/operstate")
        found.append({
            "name": name,
            "address": address,
            "speed_gbps": max(0.0, number(text(f"{folder}/speed")) / 1000),
            "up": state == "up" or (state == "unknown" and bool(address)),
            "driver": used,
        })  # fmt: skip
    return found


def address_of(name: str) -> str:
    """The first IPv4 address of an interface; "" where it has none."""
    if not is_living():
        rows = [line.split() for line in text(f"/{_ADDRESSES}").splitlines()]
        return next((row[1] for row in rows if row[0] == name and ":" not in row[1]), "")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def interface_of(wanted: str) -> str:
    """Name of the interface that has the address `wanted`; "" if none of this node has it."""
    try:
        if ":" in wanted:
            packed = socket.inet_pton(socket.AF_INET6, wanted)
            return next((name for address, name in _ipv6() if address == packed), "")
        first = socket.inet_pton(socket.AF_INET, wanted)[0]
    except OSError:  # no address at all
        return ""
    known = names("/sys/class/net") if not is_living() else [name for _, name in socket.if_nameindex()]
    for name in known:
        address = address_of(name)
        if address == wanted or (first == 127 and address.startswith("127.")):
            return name
    return ""


def _ipv6() -> list[tuple[bytes, str]]:
    """Pairs of an address and its interface, as Linux lists them; nothing on other systems."""
    rows = [line.split() for line in text("/proc/net/if_inet6").splitlines()]
    return [(bytes.fromhex(row[0]), row[5]) for row in rows]


def ports() -> list[Port]:
    """The ports of all devices of RDMA, adapters of EFA apart: `name`, `port`, `state` (ACTIVE, DOWN, ...),
    `rate_gbps`, `layer` (InfiniBand or Ethernet), `usable` (whether a program here can open the device), `netdev` (its
    interface, "" without one)."""
    found, files = [], opened()
    for name in names("/sys/class/infiniband"):
        if not is_efa(name):
            found += [
                _port(name, each, files) for each in names(f"/sys/class/infiniband/{name}/ports") if each.isdigit()
            ]
    return found


def efa() -> list[Port]:
    """The Elastic Fabric Adapters: `name`, `state`, `rate_gbps`, `usable`."""
    found, files = [], opened()
    for name in names("/sys/class/infiniband"):
        if is_efa(name):
            port = _port(name, "1", files)
            found.append({key: port[key] for key in ("name", "state", "rate_gbps", "usable")})
    return found


def is_efa(name: str) -> bool:
    """Whether a device of RDMA is an Elastic Fabric Adapter: by its driver, or by who made it where that is hidden."""
    device = f"/sys/class/infiniband/{name}/device"
    return driver(device) == _EFA_DRIVER or (
        text(f"{device}/vendor") == _AMAZON and text(f"{device}/device").startswith("0xefa")
    )


def _port(name: str, port: str, files: set[str]) -> Port:
    folder = f"/sys/class/infiniband/{name}/ports/{port}"
    return {
        "name": name,
        "port": int(port),
        "state": text(f"{folder}/state").partition(":")[2].strip(),  # "4: ACTIVE"
        "rate_gbps": number(text(f"{folder}/rate")),  # "400 Gb/sec (4X NDR)"
        "layer": text(f"{folder}/link_layer"),
        "usable": name in files,
        "netdev": next(iter(names(f"/sys/class/infiniband/{name}/device/net")), ""),
    }


def opened() -> set[str]:
    """The devices that have their file in /dev/infiniband: a container sees all in /sys, and may have few of these."""
    folder = "/sys/class/infiniband_verbs"
    there = [each for each in names(folder) if os.path.exists(at(f"/dev/infiniband/{each}"))]
    return {text(f"{folder}/{each}/ibdev") for each in there}


def gid_index(name: str, port: int) -> int:
    """The index of the port's first GID of RoCE v2 that is made of an IPv4 address; -1 where it has none."""
    folder = f"/sys/class/infiniband/{name}/ports/{port}"
    for index in names(f"{folder}/gids"):
        gid = text(f"{folder}/gids/{index}")
        kind = text(f"{folder}/gid_attrs/types/{index}").lower()
        if gid.startswith("0000:0000:0000:0000:0000:ffff:") and "v2" in kind:
            return int(index)
    return -1
