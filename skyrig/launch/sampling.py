"""Run on a node (stdlib only, Python 3.8): says every `period_s` seconds what the node is used for. `given` is its JSON
input: `period_s`, and `own` where the node is one of several on a machine and only its own processes count.

Each line is one JSON object with those of skyrig.plots.samples.GAUGES that are known here, `{}` where none is; numbers
alone, nothing of what any process is called or says. The first comes after FIRST_S. It ends with its stdin.

    cpu, memory      /proc/stat, /proc/meminfo; in a container that has a limit, its cgroup's; with `own` the sum over
                     the processes in /proc
    received, sent   /proc/net/dev without lo (where there are devices of hardware, these alone: a bridge counts
                     again what they bring), and the ports of /sys/class/infiniband, whose traffic is not in it
    read, written    /proc/diskstats of whole disks; not known with `own`
    gpu...           libnvidia-ml.so.1, the library of the driver that nvidia-ml-py calls too (packages of the node's
                     Python are not seen here); where it is not there, nvidia-smi, far more seldom
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Numbers = dict[str, float]

FIRST_S = 1.0
SMI_EVERY_S = 30.0
"""nvidia-smi costs much of a core while it runs."""
SMI_PATIENCE_S = 5.0
GPU_PATIENCE_S = 2.0
"""For so long the rest waits for what the GPUs say."""
FAILURES = 3
"""So often nvidia-smi may fail before it is asked no more."""
LIBRARIES = ("libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1")
SECTOR = 512
LANES = 4
"""What InfiniBand's data counters count: words of four bytes."""
RATES = ("cpu", "received", "sent", "read", "written")
"""Numbers that only grow: what is told is how much they grow in a second."""

given = globals()["given"]


def text_of(path: str) -> str:
    """The contents of a small file; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def number_of(path: str) -> float | None:
    """The number that a file holds; None where it holds none."""
    text = text_of(path).strip()
    return float(text) if text.isdigit() else None


def listed(path: str) -> list[str]:
    """Names in a folder; none where there is none."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


TICKS = float(os.sysconf("SC_CLK_TCK"))
PAGE = float(os.sysconf("SC_PAGE_SIZE"))


def of_host() -> Numbers:
    """Processor seconds and memory of the whole machine."""
    found = {"cores": float(os.cpu_count() or 0)}
    first = text_of("/proc/stat").partition("\n")[0].split()
    if first[:1] == ["cpu"]:
        user, nice, system, _, _, irq, soft, steal = (*map(float, first[1:9]), *[0.0] * 8)[:8]
        found["cpu"] = (user + nice + system + irq + soft + steal) / TICKS
    about = dict(line.split(":", 1) for line in text_of("/proc/meminfo").splitlines() if ":" in line)
    if "MemTotal" in about and "MemAvailable" in about:
        total, free = (float(about[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        found.update(memory=total - free, memory_total=total)
    return found


def of_container() -> Numbers:
    """The same of the container that this is in; {} where it is in none that has a limit of memory."""
    base = "/sys/fs/cgroup/"
    most, now = number_of(base + "memory.max"), number_of(base + "memory.current")
    if most is None or now is None:
        return {}
    inactive = dict(line.split() for line in text_of(base + "memory.stat").splitlines()).get("inactive_file", "0")
    found = {"memory": max(0.0, now - float(inactive)), "memory_total": most}
    spent = dict(line.split() for line in text_of(base + "cpu.stat").splitlines()).get("usage_usec")
    if spent is not None:
        found["cpu"] = float(spent) / 1e6
    quota = text_of(base + "cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        found["cores"] = float(quota[0]) / float(quota[1])
    return found


class Own:
    """The same of the processes that are seen here. What one that ended has spent since the last look is not known."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.sum = 0.0

    def look(self) -> Numbers:
        """Processor seconds since the beginning, and memory now."""
        pages, spent = 0.0, {}
        for name in listed("/proc"):
            if name.isdigit():
                fields = text_of("/proc/%s/stat" % name).rpartition(")")[2].split()
                if len(fields) > 21:
                    spent[name + " " + fields[19]] = (float(fields[11]) + float(fields[12])) / TICKS
                    pages += float(fields[21])
        if self.spent:
            self.sum += sum(max(0.0, now - self.spent.get(key, 0.0)) for key, now in spent.items())
        self.spent = spent
        return {"cpu": self.sum, "memory": pages * PAGE, "cores": float(os.cpu_count() or 0)}


def of_network(own: bool) -> Numbers:
    """Bytes that came and went."""
    ports: dict[str, tuple[float, float]] = {}
    for line in text_of("/proc/net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != "lo" and len(fields) > 8:
            ports[name.strip()] = (float(fields[0]), float(fields[8]))
    hardware = {name: both for name, both in ports.items() if os.path.exists("/sys/class/net/%s/device" % name)}
    counted = list((hardware if hardware and not own else ports).values())
    counted += [] if own else of_fabric()
    if not counted:
        return {}
    return {"received": sum(each[0] for each in counted), "sent": sum(each[1] for each in counted)}


def of_fabric() -> Iterable[tuple[float, float]]:
    """Bytes that came and went by each port of an InfiniBand or EFA device."""
    base = "/sys/class/infiniband"
    for device in listed(base):
        for port in listed("%s/%s/ports" % (base, device)):
            at = "%s/%s/ports/%s/" % (base, device, port)
            words = [number_of(at + "counters/port_%s_data" % way) for way in ("rcv", "xmit")]
            whole = [number_of(at + "hw_counters/%s_bytes" % way) for way in ("rx", "tx")]
            if None not in words:
                yield LANES * (words[0] or 0.0), LANES * (words[1] or 0.0)
            elif None not in whole:
                yield whole[0] or 0.0, whole[1] or 0.0


def of_disks() -> Numbers:
    """Bytes that whole disks gave and took."""
    disks = {name for name in listed("/sys/block") if not name.startswith(("loop", "ram", "zram", "dm-", "md", "sr"))}
    read = written = 0.0
    for line in text_of("/proc/diskstats").splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[2] in disks:
            read, written = read + float(fields[5]) * SECTOR, written + float(fields[9]) * SECTOR
    return {"read": read, "written": written} if disks else {}


def summed_up(cards: list[list[float | None]]) -> Numbers:
    """Several GPUs as one: of each use in percent, bytes taken, bytes in all, watts, degrees."""
    found = {"gpus": float(len(cards))}
    columns = [[value for value in column if value is not None] for column in zip(*cards)]  # noqa: B905  (3.8)
    names = ("gpu", "gpu_memory", "gpu_memory_total", "gpu_power", "gpu_temperature")
    of_all: dict[str, Callable[[list[float]], float]]
    of_all = {"gpu": lambda column: sum(column) / len(column), "gpu_temperature": max}
    for name, column in zip(names, columns):  # noqa: B905
        if column:
            found[name] = of_all[name](column) if name in of_all else sum(column)
    return found


class Nvml:
    """The driver's library."""

    def __init__(self) -> None:
        import ctypes

        self.c = ctypes
        self.library = next(filter(None, map(self.loaded, LIBRARIES)), None)
        if self.library is None or self.library.nvmlInit_v2():
            raise OSError("no NVIDIA driver")
        count = ctypes.c_uint()
        if self.library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            raise OSError("no NVIDIA device")
        self.handles = []
        for number in range(count.value):
            handle = ctypes.c_void_p()
            if not self.library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)):
                self.handles.append(handle)

    def loaded(self, name: str) -> Any:
        """The library at a place; None where it is not there."""
        try:
            return self.c.CDLL(name)
        except OSError:
            return None

    def asked(self, what: str, handle: Any, kind: Any, count: int = 1, *more: Any) -> list[float] | list[None]:
        """`count` numbers from one of its calls; None for each where it does not say."""
        answer = (kind * count)()
        call = getattr(self.library, what, None)
        if call is None or call(handle, *more, self.c.byref(answer)):
            return [None] * count
        return [float(each) for each in answer]

    def look(self) -> Numbers:
        """All GPUs as they are now."""
        cards: list[list[float | None]] = []
        for handle in self.handles:
            use = self.asked("nvmlDeviceGetUtilizationRates", handle, self.c.c_uint, 2)
            memory = self.asked("nvmlDeviceGetMemoryInfo", handle, self.c.c_ulonglong, 3)
            milliwatts = self.asked("nvmlDeviceGetPowerUsage", handle, self.c.c_uint)[0]
            degrees = self.asked("nvmlDeviceGetTemperature", handle, self.c.c_uint, 1, self.c.c_uint(0))
            watts = None if milliwatts is None else milliwatts / 1000
            cards.append([use[0], memory[2], memory[0], watts, degrees[0]])
        return summed_up(cards) if cards else {}


class Smi:
    """nvidia-smi, now and then."""

    def __init__(self) -> None:
        import shutil

        self.program = shutil.which("nvidia-smi")
        if self.program is None:
            raise OSError("no nvidia-smi")
        self.again = 0.0
        self.failed = 0

    def look(self) -> Numbers:
        """All GPUs as they are now; {} where it is not time yet, or it does not answer."""
        if time.monotonic() < self.again or self.failed >= FAILURES:
            return {}
        import subprocess

        self.again = time.monotonic() + SMI_EVERY_S
        asked = "utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu"
        words = [str(self.program), "--query-gpu=" + asked, "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(words, capture_output=True, timeout=SMI_PATIENCE_S, check=True)
            cards = [[number(each) for each in line.split(b",")] for line in done.stdout.splitlines() if line.strip()]
        except (OSError, subprocess.SubprocessError):
            self.failed += 1
            return {}
        self.failed = 0
        mebibytes = [[each[0], *(None if b is None else b * 2**20 for b in each[1:3]), *each[3:5]] for each in cards]
        return summed_up(mebibytes) if mebibytes else {}


def number(text: bytes) -> float | None:
    """The number in a column; None for "[N/A]"."""
    try:
        return float(text)
    except ValueError:
        return None


def gpus() -> Callable[[], Numbers]:
    """What tells of the GPUs here; it says nothing where there are none."""
    for kind in (Nvml, Smi):
        try:
            return kind().look
        except (OSError, AttributeError, ImportError):
            continue
    return dict


class Aside:
    """What tells of the GPUs, in a thread of its own: where the driver hangs, the rest goes on being told, and nobody
    starts this program again and again beside ones that cannot end."""

    def __init__(self) -> None:
        import threading

        self.due, self.done = threading.Event(), threading.Event()
        self.found: Numbers = {}
        self.busy = False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Look whenever that is due."""
        look = gpus()
        while self.due.wait():
            self.due.clear()
            self.found = look()
            self.done.set()

    def look(self) -> Numbers:
        """All GPUs as they are now, or as they were when they were asked before; {} while there is no answer."""
        if not self.busy:
            self.busy = True
            self.due.set()
            self.done.wait(GPU_PATIENCE_S)
        if not self.done.is_set():
            return {}
        self.done.clear()
        self.busy = False
        return self.found


def looked(own: Own | None, cards: Callable[[], Numbers]) -> Numbers:
    """Everything, as it is now."""
    found = own.look() if own is not None else {**of_host(), **of_container(), **of_disks()}
    found.update(of_network(own is not None))
    found.update(cards())
    return found


def told(before: Numbers, now: Numbers, seconds: float) -> Numbers:
    """What is said: how much what only grows grew in a second, and the rest as it is."""
    found = {name: value for name, value in now.items() if name not in RATES}
    for name in RATES:
        if name in before and name in now and seconds > 0 and now[name] >= before[name]:
            found[name] = (now[name] - before[name]) / seconds
    return {name: round(value, 2) if value < 1000 else round(value) for name, value in found.items()}


def watch(period_s: float, own: Own | None) -> None:
    """Look until stdin ends."""
    cards = Aside().look if own is None else dict
    before_at, before = time.monotonic(), looked(own, dict)
    due = before_at + FIRST_S
    while True:
        if select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
            if not os.read(0, 4096):
                return
            continue
        now_at, now = time.monotonic(), looked(own, cards)  # in this order: nvidia-smi takes seconds
        sys.stdout.write(json.dumps(told(before, now, now_at - before_at), separators=(",", ":")) + "\n")
        sys.stdout.flush()
        before, before_at, due = now, now_at, now_at + period_s


try:  # noqa: SIM105  (contextlib costs start-up time)
    os.nice(10)
except OSError:
    pass  # it goes on as it is
if given:
    watch(given["period_s"], Own() if given["own"] else None)
