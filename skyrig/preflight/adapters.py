"""What the kernel says of a node's network: interfaces, InfiniBand and RoCE ports, Elastic Fabric Adapters.

Runs on nodes, before every job too: standard library only, Python 3.8 or newer, few imports. A folder that looks like a
machine can be read in the place of one (`look_at`).

Layout of /sys/class/infiniband and its texts: Linux, Documentation/ABI/stable/sysfs-class-infiniband.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Port = dict[str, Any]
    Interface = dict[str, Any]

_ADDRESSES = "addresses"
"""File in a folder that looks like a machine, with what only a living kernel says: a line `INTERFACE ADDRESS` each."""

_SIOCGIFADDR = 0xC0206921 if sys.platform == "darwin" else 0x8915
"""The address of one interface (netdevice(7))."""

_SIOCGIFCONF = 0x8912
"""All addresses, on Linux: an interface may have several."""
_IFREQ = 24 + 2 * struct.calcsize("P")
_MOST_ADDRESSES = 4096
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


def linked(link: str) -> str:
    """Name of what a link in /sys leads to; "" where it is no link."""
    try:
        return os.path.basename(os.readlink(at(link)))
    except OSError:
        return ""


def driver(device: str) -> str:
    """Name of the driver of a device's folder in /sys; "" where it has none."""
    return linked(f"{device}/driver")


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
    return next((address for interface, address in _ipv4() if interface == name), "")


def interface_of(wanted: str) -> str:
    """Name of the interface that has the address `wanted`; "" if none of this node has it."""
    try:
        if ":" in wanted:
            packed = socket.inet_pton(socket.AF_INET6, wanted)
            return next((name for address, name in _ipv6() if address == packed), "")
        first = socket.inet_pton(socket.AF_INET, wanted)[0]
    except OSError:  # no address at all
        return ""
    there = list(_ipv4())
    found = [name for name, address in there if address == wanted]
    found += [name for name, address in there if first == 127 and address.startswith("127.")]
    return next(iter(found), "")


def interface_names() -> list[str]:
    """All interfaces of the node. Not what /sys has: a program in a network namespace may see the machine's there."""
    return [name for _, name in socket.if_nameindex()] if is_living() else names("/sys/class/net")


def beneath(name: str) -> set[str]:
    """An interface and those that it is made of: a bond's or bridge's members, the one that a VLAN is on."""
    found, left = set(), [name] if name else []
    while left:
        each = left.pop()
        found.add(each)
        lower = [one[6:] for one in names(f"/sys/class/net/{each}") if one.startswith("lower_")]
        left += [one for one in lower if one not in found]
    return found


def _ipv4() -> Iterator[tuple[str, str]]:
    """Pairs of an interface and an address of it."""
    if not is_living():
        rows = [line.split() for line in text(f"/{_ADDRESSES}").splitlines()]
        yield from ((row[0], row[1]) for row in rows if ":" not in row[1])
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            yield from _listed(asking)
        except OSError:  # a kernel that knows no such thing
            yield from _one_by_one(asking)


def _listed(asking: socket.socket) -> list[tuple[str, str]]:
    if sys.platform == "darwin":  # which answers in another form
        raise OSError
    rows = array.array("B", bytes(_IFREQ * _MOST_ADDRESSES))
    where, size = rows.buffer_info()
    used, _ = struct.unpack("iP", fcntl.ioctl(asking.fileno(), _SIOCGIFCONF, struct.pack("iP", size, where)))
    found = []
    for start in range(0, used, _IFREQ):
        label = rows[start : start + 16].tobytes().partition(b"\0")[0].decode(errors="replace")
        address = socket.inet_ntoa(rows[start + 20 : start + 24].tobytes())
        found.append((label.partition(":")[0], address))  # eth0:1 is of eth0
    return found


def _one_by_one(asking: socket.socket) -> Iterator[tuple[str, str]]:
    for name in interface_names():
        try:
            answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            continue
        yield name, socket.inet_ntoa(answer[20:24])


def _ipv6() -> list[tuple[bytes, str]]:
    """Pairs of an address and its interface, as Linux lists them; nothing on other systems."""
    rows = [line.split() for line in text("/proc/net/if_inet6").splitlines()]
    return [(bytes.fromhex(row[0]), row[5]) for row in rows if len(row) > 5]


def ports() -> list[Port]:
    """The ports of all devices of RDMA, adapters of EFA apart: `name`, `port`, `state` (ACTIVE, DOWN, ...),
    `rate_gbps`, `layer` (InfiniBand or Ethernet), `usable` (whether a program here can open the device), `netdev` (its
    interface, "" without one), `bus` (its place on the PCI bus), `share_of` (that of the device that it is a virtual
    function of, "" where it is none or the machine does not see that)."""
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
        "bus": linked(f"/sys/class/infiniband/{name}/device"),
        "share_of": linked(f"/sys/class/infiniband/{name}/device/physfn"),
    }


def opened() -> set[str]:
    """The devices whose file in /dev/infiniband can be opened: a container sees all in /sys, and may have few of
    these."""
    folder = "/sys/class/infiniband_verbs"
    there = [each for each in names(folder) if os.access(at(f"/dev/infiniband/{each}"), os.R_OK | os.W_OK)]
    return {text(f"{folder}/{each}/ibdev") for each in there}


def gid_indices(name: str, port: int) -> set[int]:
    """The indices of the port's GIDs of RoCE v2 that are made of an IPv4 address."""
    folder = f"/sys/class/infiniband/{name}/ports/{port}"
    return {
        int(index)
        for index in names(f"{folder}/gids")
        if text(f"{folder}/gids/{index}").startswith("0000:0000:0000:0000:0000:ffff:")
        and "v2" in text(f"{folder}/gid_attrs/types/{index}").lower()
    }
