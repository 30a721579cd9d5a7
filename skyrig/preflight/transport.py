"""Which way NCCL sends, out of its own log (NCCL_DEBUG=INFO): one `Transport` for each process that has said so.

A line is `HOST:PID:TID [GPU] NCCL INFO WHAT`, with whatever a launcher puts before it. What counts is `Using network
NAME`, the last word of a process that has tried its plugins one after the other; NET/IB and NET/OFI tell what is
behind that name, `via` how each channel goes, and `Init COMPLETE` or `rank R nranks N` who is speaking.
Words: NVIDIA/nccl src/init.cc, src/transport/net_ib.cc and net_socket.cc; aws/aws-ofi-nccl src/nccl_ofi_net.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

KINDS = ("tcp", "infiniband", "roce", "efa", "tcpx", "tcpxo", "rdma", "unknown")
"""What a process sends over to other nodes; rdma is Google's gIB."""

_FITTING = {
    "efa": ("efa",),
    "infiniband": ("infiniband",),
    "rdma-ib": ("infiniband",),
    "roce": ("roce",),
    "rdma": ("rdma", "roce"),
    "tcpx": ("tcpx",),
    "tcpxo": ("tcpxo",),
}
"""What is as it should be on a fabric of a kind."""

_LINE = re.compile(
    r"(?P<host>[^\s:\[\]()]+):(?P<pid>\d+):\d+ \[(?P<gpu>\d+)\] "
    r"(?:\S+:\d+ (?:\(\S*\) )?)?NCCL (?:INFO|WARN) (?P<what>.*)"
)
_NETWORK = re.compile(r"Using (?:network|internal Network) (.+?)\s*$")
_HCAS = re.compile(r"NET/(?:IB|IBext\w*|gIB) ?: Using (?P<list>\[\d+\].*)")
_HCA = re.compile(r"\[\d+\] ?(?P<name>[^\s\[\]{},;]+:\d+[^\s\[\]{},;]*)")
_PROVIDER = re.compile(r"NET/OFI Selected [Pp]rovider is (?P<name>[^\s,;]+)(?:.*\(found (?P<nics>\d+) nics\))?")
_RANK = re.compile(r"\brank (\d+) n[Rr]anks (\d+)\b")
_VIA = re.compile(r"\bvia (?P<way>P2P|SHM|NET|direct shared memory|COLLNET)(?P<rest>.*)")
_NVLS = re.compile(r"Connected NVLS tree|NVLS comm 0x|\bnvls channels [1-9]|, [1-9]\d* nvls channels")


@frozen
class Transport:
    """How one process sends. `kind` is of KINDS, `network` NCCL's own name of it ("" while it has not said one), `nics`
    how many devices it uses for it (0: not said). `ways` are how its channels go: P2P, SHM, NET, COLLNET. `gdr`:
    whether the network reads and writes the GPU's memory itself; None without a channel that goes over the network.
    `rank` is -1 where it is not said."""

    host: str
    pid: int
    gpu: int
    rank: int = -1
    ranks: int = 0
    network: str = ""
    kind: str = "unknown"
    nics: int = 0
    ways: frozenset[str] = frozenset()
    gdr: bool | None = None
    nvls: bool = False


def read(lines: Iterable[str]) -> tuple[Transport, ...]:
    """All processes that speak in a log, by rank, then host and GPU."""
    found: dict[tuple[str, int, int], _Heard] = {}
    processes: dict[tuple[str, int], _Devices] = {}
    for line in lines:
        match = _LINE.search(line)
        if match:
            host, pid, gpu = match["host"], int(match["pid"]), int(match["gpu"])
            devices = processes.setdefault((host, pid), _Devices())
            found.setdefault((host, pid, gpu), _Heard(Transport(host, pid, gpu), devices)).hear(match["what"])
    made = [heard.transport() for heard in found.values()]
    return tuple(sorted(made, key=lambda each: (each.rank, each.host, each.gpu)))


class _Devices:
    """What a process has found to send over: it says so once, whatever the number of its GPUs."""

    def __init__(self) -> None:
        self.hcas: tuple[str, ...] = ()
        self.provider = ""
        self.provider_nics = 0


class _Heard:
    """What one process has said so far for one of its GPUs."""

    def __init__(self, nothing: Transport, devices: _Devices) -> None:
        self._said = nothing
        self._devices = devices

    def hear(self, what: str) -> None:
        """One message."""
        if match := _NETWORK.match(what):
            self._said = evolve(self._said, network=match[1])
        elif match := _HCAS.search(what):
            self._devices.hcas = tuple(_HCA.findall(match["list"].partition("; OOB")[0]))
        elif match := _PROVIDER.search(what):
            self._devices.provider, self._devices.provider_nics = match["name"], int(match["nics"] or 0)
        elif match := _VIA.search(what):
            self._channel(match["way"], match["rest"])
        elif _NVLS.search(what):
            self._said = evolve(self._said, nvls=True)
        elif (match := _RANK.search(what)) and int(match[2]) >= self._said.ranks:
            self._said = evolve(self._said, rank=int(match[1]), ranks=int(match[2]))

    def _channel(self, way: str, rest: str) -> None:
        short = "SHM" if way.startswith("direct") else way
        gdr = self._said.gdr
        if short == "NET":
            gdr = "GDRDMA" in rest if gdr is None else gdr and "GDRDMA" in rest
        self._said = evolve(self._said, ways=self._said.ways | {short}, gdr=gdr)

    def transport(self) -> Transport:
        """All of that together."""
        name, there = self._said.network, self._devices
        nics = 0
        if "Libfabric" in name or name.startswith("OFI"):
            kind, nics = _BY_PROVIDER.get(there.provider, "unknown"), there.provider_nics
        elif name.startswith("IB"):
            roce = any("/RoCE" in each for each in there.hcas)
            kind, nics = ("roce" if roce else "infiniband" if there.hcas else "unknown"), len(there.hcas)
        else:
            kind = next((kind for word, kind in _BY_NAME.items() if name.startswith(word)), "unknown")
            nics = len(there.hcas) if kind == "rdma" else 0
        return evolve(self._said, kind=kind, nics=nics)


_BY_NAME: Mapping[str, str] = {
    "Socket": "tcp",
    "FastSocket": "tcp",
    "GPUDirectTCPX": "tcpx",
    "FasTrak": "tcpxo",
    "gIB": "rdma",
    "tcpxo": "tcpxo",
}
"""What is behind a name, by how it begins."""

_BY_PROVIDER: Mapping[str, str] = {"efa": "efa", "tcp": "tcp", "sockets": "tcp", "udp": "tcp"}
"""What is behind a provider of libfabric."""


def fell_back(found: Sequence[Transport], fabric: str) -> tuple[Transport, ...]:
    """Those that send over something less than the fabric of their nodes; none where these have no fabric that NCCL
    uses. A process that has not said what it uses is none of them."""
    fitting = _FITTING.get(fabric, ())
    return tuple(each for each in found if fitting and each.network and each.kind not in (*fitting, "unknown"))


def in_words(found: Sequence[Transport], fabric: str = "") -> str:
    """One line about all of them: what they use, how many devices, whether these read the GPU's memory, and who does
    not do as the fabric has it."""
    spoke = [each for each in found if each.network]
    if not spoke:
        return "NCCL has said nothing of its network"
    names = sorted({_named(each) for each in spoke})
    line = f"{len(spoke)} process{'' if len(spoke) == 1 else 'es'} over {', '.join(names)}"
    if any(each.gdr is False and each.kind not in ("tcp", "unknown") for each in spoke):
        line += ", not from the GPU's memory itself"
    astray = fell_back(found, fabric)
    if astray:
        hosts = sorted({each.host for each in astray})
        line += f"; the fabric is {fabric}, but {len(astray)} on {', '.join(hosts)} do not use it"
    return line


def _named(each: Transport) -> str:
    nics = f" ({each.nics} devices)" if each.nics else ""
    return f"{each.network}{nics}" if each.kind in ("unknown", "tcp") else f"{each.kind}{nics}"
