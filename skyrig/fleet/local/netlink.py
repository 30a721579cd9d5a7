"""Bridges, virtual cables and addresses through the kernel's route netlink: no `ip` program is needed.

All functions act in the network namespace that this process is in.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

MTU = 65_000
"""Size of packets between nodes: nothing but memory lies between them."""

_REQUEST, _ACK, _CREATE, _EXCL = 0x1, 0x4, 0x400, 0x200
_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS = 16, 17, 20
_ERROR = 2
_UP = 1
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


def add_bridge(name: str) -> None:
    """A bridge called `name`."""
    info = _attribute(_INFO_KIND, b"bridge")
    _ask(_NEW_LINK, _CREATE | _EXCL, _link() + _name(name) + _mtu() + _attribute(_IFLA_LINKINFO, info))


def add_cable(name: str, bridge: str, peer: str, peer_namespace: int, address: str) -> None:
    """A virtual cable from `bridge` (its end here is `name`) to an interface `peer` in another network namespace,
    given by an open descriptor of it. The hardware address there follows from the IPv4 `address` that it will have: a
    node that comes back is the same to its neighbours, who else would talk to the old one for half a minute."""
    hardware = _attribute(_IFLA_ADDRESS, b"\x02\x00" + socket.inet_aton(address))
    there = _link() + _name(peer) + _mtu() + hardware + _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
    info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, there))
    master = _attribute(_IFLA_MASTER, struct.pack("=I", socket.if_nametoindex(bridge)))
    body = _link(flags=_UP) + _name(name) + _mtu() + master + _attribute(_IFLA_LINKINFO, info)
    _ask(_NEW_LINK, _CREATE | _EXCL, body)


def remove(name: str) -> None:
    """Take the interface `name` away; nothing where there is none."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return
    with contextlib.suppress(OSError):  # gone meanwhile, by itself
        _ask(_DELETE_LINK, 0, _link(index))


def set_master(name: str, bridge: str | None) -> None:
    """Plug the interface `name` into a bridge; None takes it out of the one that it is in."""
    index = socket.if_nametoindex(bridge) if bridge is not None else 0
    _ask(_NEW_LINK, 0, _link(socket.if_nametoindex(name)) + _attribute(_IFLA_MASTER, struct.pack("=I", index)))


def set_up(name: str) -> None:
    """Switch the interface `name` on."""
    _ask(_NEW_LINK, 0, _link(socket.if_nametoindex(name), flags=_UP))


def add_address(name: str, address: str, prefix: int) -> None:
    """Give the interface `name` an IPv4 address in a network of `prefix` bits."""
    packed = socket.inet_aton(address)
    head = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, 0, socket.if_nametoindex(name))
    _ask(_NEW_ADDRESS, _CREATE | _EXCL, head + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed))


def _link(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_NAME, name.encode() + b"\0")


def _mtu() -> bytes:
    return _attribute(_IFLA_MTU, struct.pack("=I", MTU))


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + b"\0" * (-size % 4)


def _ask(kind: int, flags: int, body: bytes) -> None:
    message = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.sendto(message, (0, 0))
        answer = channel.recv(65536)
    _, answer_kind, _, _, _, code = struct.unpack_from("=IHHIIi", answer)
    if answer_kind == _ERROR and code:
        raise OSError(-code, f"netlink: {os.strerror(-code)}")
