"""Prints the name of the network interface that carries the address given as the one argument, or nothing.

Runs on nodes: standard library only, Python 3.8 or newer, Linux and macOS; and before every job, hence few imports.
"""

import fcntl
import socket
import struct
import sys

SIOCGIFADDR = 0xC0206921 if sys.platform == "darwin" else 0x8915


def ipv4_of(name):
    """The first IPv4 address of an interface as four bytes, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return answer[20:24]


def ipv6_rows():
    """Pairs of an address as 16 bytes and its interface, as Linux lists them; nothing on other systems."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as listing:  # noqa: PTH123 - pathlib takes longer than the rest
            rows = [line.split() for line in listing]
    except OSError:
        return []
    return [(bytes.fromhex(row[0]), row[5]) for row in rows]


def interface_of(text):
    """Name of the interface whose address `text` is; None if no interface of this machine has it."""
    if ":" in text:
        wanted = socket.inet_pton(socket.AF_INET6, text)
        return next((name for address, name in ipv6_rows() if address == wanted), None)
    wanted = socket.inet_pton(socket.AF_INET, text)
    for _, name in socket.if_nameindex():
        address = ipv4_of(name)
        both_loopback = address is not None and address[0] == wanted[0] == 127
        if address == wanted or both_loopback:
            return name
    return None


if __name__ == "__main__":
    print(interface_of(sys.argv[1]) or "", end="")
