"""Run by each rank's script before anything else (stdlib only, Python 3.8, few imports): what a job's transports are
told of this node's network, as lines that the script acts on.

The fabric's kind comes in SKYRIG_FABRIC, and in SKYRIG_FABRIC_ENV the names of the variables that the kind alone has
set: these may be replaced by what is found here, and what nobody has set may be added. Whatever the user, the node's
shell or NCCL's own file on the node says stays. A kind's values stay too where nothing better is seen.

NCCL's words: docs.nvidia.com/deeplearning/nccl/user-guide, Environment Variables (NCCL_SOCKET_IFNAME and NCCL_IB_HCA
match by prefix; a leading `=` makes it whole names, `^` all but these).
"""

from __future__ import annotations

import os
import sys

from skyrig.preflight.adapters import (
    beneath,
    efa,
    gid_indices,
    interface_names,
    interface_of,
    interfaces,
    linked,
    ports,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from skyrig.preflight.adapters import Port

_LAYERS = {"infiniband": "InfiniBand", "rdma-ib": "InfiniBand", "roce": "Ethernet", "rdma": "Ethernet"}
"""Kinds that are reached by devices of RDMA, and what their ports say of themselves."""

_LISTS = {
    "tcpx": (
        "NCCL_GPUDIRECTTCPX_CTRL_DEV",
        "NCCL_GPUDIRECTTCPX_SOCKET_IFNAME",
        ("NCCL_GPUDIRECTTCPX_TX_BINDINGS", "NCCL_GPUDIRECTTCPX_RX_BINDINGS"),
    ),
    "tcpxo": ("NCCL_FASTRAK_CTRL_DEV", "NCCL_FASTRAK_IFNAME", ()),
}
"""Kinds that are reached by interfaces of their own: variables for the one that controls, those that carry data, and
texts in which each of these is named before a colon, with semicolons between."""

_CONF = "/etc/nccl.conf"
"""Where NCCL reads what its environment does not say, after a file of the user."""


class Telling:
    """What is told, in order; `given` is the environment as it is."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.kind = given.get("SKYRIG_FABRIC", "")
        self.found: dict[str, str] = {}
        self.dropped: list[str] = []
        self.warning = ""
        self._of_kind = set(given.get("SKYRIG_FABRIC_ENV", "").split())
        self._conf = _conf(given)
        for name in self._conf:
            self.drop(name)  # or NCCL would not look there

    def said(self, name: str) -> str:
        """What NCCL goes by if nothing is told: the environment, else its own file."""
        return ("" if name in self.dropped else self.given.get(name, "")) or self._conf.get(name, "")

    def of_kind(self, name: str) -> bool:
        """Whether what a variable says is what the kind has for it."""
        return name in self._of_kind and name not in self._conf

    def may(self, name: str) -> bool:
        """Whether a variable is ours to set: nobody but the fabric's kind has."""
        if name in self._conf:
            return False
        return name in self._of_kind or name not in self.given

    def tell(self, name: str, value: str) -> None:
        """Set a variable, if that is ours to do."""
        if value and self.may(name) and self.given.get(name) != value:
            self.found[name] = value

    def drop(self, name: str) -> None:
        """Take back what the kind alone has set."""
        if name in self._of_kind and name not in self.dropped:
            self.dropped.append(name)

    def count(self, devices: int, gbps: float) -> None:
        """How many devices of the fabric there are, and what they carry together."""
        self.found["SKYRIG_FABRIC_DEVICES"] = str(devices)
        self.found["SKYRIG_FABRIC_GBPS"] = f"{gbps:g}"

    def missing(self, what: str, then: str = "expect the speed of plain TCP") -> None:
        """The fabric is not there: one line, unless the job has chosen to do without."""
        if self.said("NCCL_IB_DISABLE") != "1" and self.said("NCCL_NET").lower() != "socket":
            self.warning = f"the network of this cluster is {self.kind}, and {what}: {then}"

    def lacking(self, good: int, wanted: int, what: str) -> None:
        """A part of the fabric is not there."""
        if good < wanted:
            self.missing(f"only {good} of {wanted} {what}", "expect less than its speed")


def _conf(given: Mapping[str, str]) -> dict[str, str]:
    """What NCCL's own files on this node set; the user's counts before the machine's."""
    home = given.get("HOME", "")
    own = given.get("NCCL_CONF_FILE", "") or (f"{home}/.nccl.conf" if home else "")
    found: dict[str, str] = {}
    for line in (text(own) if own else "").splitlines() + text(_CONF).splitlines():
        name, equals, value = line.partition("=")
        if equals and name.startswith("NCCL_"):
            found.setdefault(name, value)
    return found


def told(given: Mapping[str, str]) -> Telling:
    """All that a job with the environment `given` is told on this node."""
    telling = Telling(given)
    own = interface_of(given.get("SKYRIG_NODE_ADDRESS", ""))
    for name in ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"):
        telling.tell(name, own)
    telling.tell("NCCL_SOCKET_IFNAME", _exact(own))
    if own and ":" in given["SKYRIG_NODE_ADDRESS"]:
        telling.tell("NCCL_SOCKET_FAMILY", "AF_INET6")  # or it takes what of IPv4 the interface has
    if not own and telling.of_kind("NCCL_SOCKET_IFNAME"):
        there, wanted = interface_names(), telling.said("NCCL_SOCKET_IFNAME")
        if there and not any(takes(wanted, {"name": each, "port": 0}) for each in there):
            telling.drop("NCCL_SOCKET_IFNAME")  # NCCL would begin with none, and chooses one where none is named
    by_tcp = given.get("UCX_TLS", "") == "tcp" or ":" not in telling.said("UCX_NET_DEVICES")
    if by_tcp and telling.of_kind("UCX_NET_DEVICES"):
        telling.tell("UCX_NET_DEVICES", own)
    if telling.kind == "efa":
        _efa(telling)
    elif telling.kind in _LAYERS:
        _rdma(telling, own)
    elif telling.kind in _LISTS:
        _tcp(telling, own)
    return telling


def _exact(name: str) -> str:
    """An interface in NCCL's words; marked where it would be taken for the beginning of another one's name."""
    others = [each for each in interface_names() if each != name]
    return f"={name}" if name and any(each.startswith(name) for each in others) else name


def _efa(telling: Telling) -> None:
    there = efa()
    good = [each for each in there if each["usable"] and each["state"] == "ACTIVE"]
    telling.count(len(good), sum(each["rate_gbps"] for each in good))
    if good:
        telling.tell("FI_PROVIDER", "efa")
        telling.lacking(len(good), len(there), "EFA devices of this node can be used here")
        return
    telling.drop("FI_PROVIDER")
    telling.missing("no EFA device can be used here" if there else "this node has no EFA device")


def _rdma(telling: Telling, own: str) -> None:
    everything, layer, wanted = ports(), _LAYERS[telling.kind], telling.said("NCCL_IB_HCA")
    there = [port for port in everything if port["layer"] == layer]
    if telling.of_kind("NCCL_IB_HCA") and not any(takes(wanted, port) for port in there):
        wanted = ""  # the devices of this image have other names
    good = rails(there, wanted, beneath(own))
    what = {"InfiniBand": "InfiniBand", "Ethernet": "RoCE"}[layer]
    telling.count(len(good), sum(port["rate_gbps"] for port in good))
    if not good:
        telling.missing(f"no {what} port of this node can be used ({len(there)} are there)")
        return
    if wanted:  # else nobody says which are for jobs
        meant = _aside([port for port in there if takes(wanted, port)], beneath(own))
        telling.lacking(len(good), len(meant), f"{what} ports of this node work at full rate")
    several = {port["name"] for port in everything if port["port"] > 1}
    named = [f"{port['name']}:{port['port']}" if port["name"] in several else port["name"] for port in good]
    telling.tell("NCCL_IB_HCA", "=" + ",".join(named))
    if layer == "Ethernet":
        indices = set.intersection(*(gid_indices(port["name"], port["port"]) for port in good))
        if telling.said("NCCL_IB_GID_INDEX") not in map(str, indices):
            telling.tell("NCCL_IB_GID_INDEX", str(min(indices)) if indices else "")
    if _wants_ucx(telling):
        telling.tell("UCX_NET_DEVICES", ",".join(f"{port['name']}:{port['port']}" for port in good))


def rails(there: list[Port], wanted: str, own: Collection[str]) -> list[Port]:
    """The ports that carry a job: of those that `wanted` (NCCL_IB_HCA's text) takes, the ones that work, do not carry
    the node's own address (its interfaces are `own`) if there are others, and are as quick as the quickest: what is
    slower is for storage or control."""
    good = _aside([port for port in there if port["state"] == "ACTIVE" and port["usable"] and takes(wanted, port)], own)
    most = max((port["rate_gbps"] for port in good), default=0.0)
    return [port for port in good if port["rate_gbps"] == most]


def _aside(there: list[Port], own: Collection[str]) -> list[Port]:
    """Those that are no virtual function of another one, nor the node's own interface where there are others."""
    whole = {port["bus"] for port in there}
    alone = [port for port in there if not port["share_of"] or port["share_of"] not in whole]
    return [port for port in alone if port["netdev"] not in own] or alone


def takes(wanted: str, port: Port) -> bool:
    """Whether NCCL_IB_HCA takes a port: names by prefix, `=` whole names, `^` all others, `:PORT` one port of them."""
    without = wanted.startswith("^")
    whole = wanted.lstrip("^").startswith("=")
    listed = [each for each in wanted.lstrip("^=").split(",") if each]
    if not listed:
        return True
    matches = False
    for each in listed:
        name, _, number = each.partition(":")
        same = port["name"] == name if whole else port["name"].startswith(name)
        matches = matches or (same and number in ("", str(port["port"])))
    return matches != without


def _wants_ucx(telling: Telling) -> bool:
    """Whether UCX is told of devices: where the kind does so, or there is an MPI and nobody has UCX go over TCP."""
    said = telling.said("UCX_NET_DEVICES")
    if telling.given.get("UCX_TLS", "") == "tcp":
        return False
    if said:
        return ":" in said
    folders = telling.given.get("PATH", "").split(":")
    return any(os.access(f"{each}/mpirun", os.X_OK) for each in folders)


def _tcp(telling: Telling, own: str) -> None:
    control, data, bindings = _LISTS[telling.kind]
    wanted = [each for each in telling.said(data).split(",") if each]
    found = {each["name"]: each for each in interfaces() if each["name"] != own}
    renamed = {each: each for each in wanted}
    if wanted and not any(each in found for each in wanted):
        # This image gives them other names: they are in the order of the bus, as the kind's are.
        cards = sorted((each for each in found if found[each]["driver"] == "gve"), key=_on_the_bus)
        renamed = dict(zip(wanted, cards))  # noqa: B905  (strict is of 3.10)
    there = {name: each for name, each in found.items() if each["up"] and each["address"]}
    renamed = {one: each for one, each in renamed.items() if each in there}
    used = list(renamed.values())
    telling.count(len(used), sum(there[each]["speed_gbps"] for each in used))
    if wanted and not used:
        telling.missing("this node has none of the interfaces that carry its data")
        return
    telling.tell(control, own)
    telling.tell(data, ",".join(used))
    for name in bindings:
        parts = [each.partition(":") for each in telling.given.get(name, "").split(";") if ":" in each]
        telling.tell(name, ";".join(f"{renamed[one]}:{rest}" for one, _, rest in parts if one in renamed))
    telling.lacking(len(used), len(wanted), "interfaces that carry its data are up on this node")
    if telling.kind == "tcpx" and telling.given.get("SKYRIG_NUM_NODES") == "1":
        telling.drop("NCCL_NET")  # NCCL refuses to go without it where it is named, and one node needs no network


def _on_the_bus(name: str) -> str:
    """Where an interface's device is on the PCI bus, as a text that sorts; its name where that is not known."""
    return linked(f"/sys/class/net/{name}/device") or name


def orders(telling: Telling) -> str:
    """The same as lines for the rank's script: what to set, to take back and to say. It looks at each line's first
    word, so that a python3 which says more than it should does no harm."""
    lines = [f"skyrig-set {name} {value}" for name, value in telling.found.items()]
    lines += [f"skyrig-unset {name}" for name in telling.dropped]
    lines += [f"skyrig-say {telling.warning}"] if telling.warning else []
    return "".join(f"{line}\n" for line in lines)


def shell(telling: Telling) -> str:
    """The same for a shell to evaluate, where the python3 that says it is known."""
    lines = [f"export {name}={_quoted(value)}" for name, value in telling.found.items()]
    lines += [f"unset -v {name}" for name in telling.dropped]
    lines += [f"echo {_quoted('[skyrig] ' + telling.warning)} >&2"] if telling.warning else []
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def main() -> None:
    """What the rank's script reads, with the word `orders`; else what a shell evaluates."""
    said = orders if sys.argv[1:] == ["orders"] else shell
    print(said(told(os.environ)), end="")
