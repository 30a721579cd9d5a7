"""The program that says what a node is used for, as it runs on nodes: a process of its own, from stdin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skyrig.launch import nodeside
from skyrig.plots.samples import GAUGES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

NVML = """
#include <stdint.h>
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = (void *)(uintptr_t)(i + 1); return 0; }
int nvmlDeviceGetUtilizationRates(void *h, unsigned *u) { u[0] = 40 * (unsigned)(uintptr_t)h; u[1] = 7; return 0; }
int nvmlDeviceGetMemoryInfo(void *h, uint64_t *m) { m[0] = 80ull << 30; m[1] = 60ull << 30; m[2] = m[1] / 3; return 0; }
int nvmlDeviceGetPowerUsage(void *h, unsigned *w) { *w = 350500; return h == (void *)2 ? 3 : 0; }
int nvmlDeviceGetTemperature(void *h, unsigned kind, unsigned *t) { *t = 50 + (unsigned)(uintptr_t)h; return kind; }
"""
"""As the driver's library (nvml.h of CUDA 12): two GPUs, one of which does not tell its power."""

SMI = "#!/bin/sh\necho \"$@\" >> {told}\necho '90, 1024, 81920, 300.5, 61'\necho '70, 1024, 81920, [N/A], 64'\n"


@contextmanager
def running(env: Mapping[str, str] | None = None, **given: Any) -> Iterator[Iterator[dict[str, float]]]:
    """What the program says; it must end with its stdin."""
    command, stdin = nodeside.program("sampling", {"period_s": 0.2, "own": False, **given})
    with subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(stdin)
        process.stdin.flush()
        yield (json.loads(line) for line in process.stdout)
        process.stdin.close()
        assert process.wait(30) == 0


def test_it_tells_known_numbers_of_this_machine_and_ends_with_its_stdin() -> None:
    with running() as said:
        found = [next(said) for _ in range(3)]
    for each in found:
        assert each.keys() <= GAUGES.keys()
        assert all(isinstance(value, (int, float)) for value in each.values())
    assert found[-1]["cores"] == os.cpu_count()
    assert 0 < found[-1]["memory"] < found[-1]["memory_total"]
    assert found[-1]["cpu"] >= 0


def test_of_a_local_node_only_what_its_own_processes_take_is_told() -> None:
    with running(own=True) as said:
        found = [next(said) for _ in range(2)]
    assert all(each.keys() == {"cpu", "cores", "memory", "received", "sent"} for each in found)
    assert all(each["memory"] > 0 for each in found)


def made_library(folder: Path, text: str) -> None:
    """A driver's library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("not on this machine: cc")
    (folder / "nvml.c").write_text(text)
    library = str(folder / "libnvidia-ml.so.1")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, str(folder / "nvml.c")], check=True)


def test_gpus_are_asked_of_the_drivers_library(tmp_path: Path) -> None:
    made_library(tmp_path, NVML)
    with running({"LD_LIBRARY_PATH": str(tmp_path)}) as said:
        found = next(said)
    gpu = {name: value for name, value in found.items() if name.startswith("gpu")}
    assert gpu == {
        "gpus": 2,
        "gpu": 60,
        "gpu_memory": 40 << 30,
        "gpu_memory_total": 160 << 30,
        "gpu_power": 350.5,
        "gpu_temperature": 52,
    }


def test_a_driver_that_hangs_silences_nothing_but_the_gpus_and_the_program_still_ends(tmp_path: Path) -> None:
    made_library(tmp_path, NVML.replace("{ *w = 350500;", "{ for (;;) sleep(1000);"))
    with running({"LD_LIBRARY_PATH": str(tmp_path)}) as said:
        found = [next(said) for _ in range(3)]
    assert all(each["memory"] > 0 and not any(name.startswith("gpu") for name in each) for each in found)


def test_where_there_is_no_library_nvidia_smi_is_asked_seldom(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(SMI.format(told=tmp_path / "told"))
    (tmp_path / "nvidia-smi").chmod(0o755)
    with running({"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as said:
        first, second = next(said), next(said)
    assert (first["gpu"], first["gpu_memory"], first["gpu_power"]) == (80, 2 << 30, 300.5)
    assert "gpu" not in second
    assert len((tmp_path / "told").read_text().splitlines()) == 1


def test_an_nvidia_smi_that_fails_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    with running({"PATH": f"{tmp_path}:{os.environ['PATH']}"}) as said:
        assert "gpu" not in next(said)


def test_gpus_that_answer_late_bend_no_rates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What grows by one in a second is told so, whatever nvidia-smi takes in between."""
    monkeypatch.setattr(os, "nice", lambda by: 0)
    program: dict[str, Any] = {"given": None}
    exec(nodeside.source("sampling"), program)  # its functions alone: without `given` it does not begin
    clock = [0.0]

    def looked(own: object, cards: object) -> dict[str, float]:
        now = clock[0]
        clock[0] += 0.0 if cards is dict else next(takes)
        return {"cpu": now}

    def wait(read: object, write: object, error: object, seconds: float) -> tuple[list[int], list[int], list[int]]:
        clock[0] += seconds
        return ([0] if clock[0] > 30 else []), [], []

    takes = iter([4.0, 0.0, 3.0, *[0.0] * 20])
    program["time"] = SimpleNamespace(monotonic=lambda: clock[0])
    program["select"] = SimpleNamespace(select=wait)
    program["os"] = SimpleNamespace(read=lambda file, count: b"")
    program["Aside"] = lambda: SimpleNamespace(look=None)
    program["looked"] = looked
    program["watch"](5.0, None)
    assert {json.loads(line)["cpu"] for line in capsys.readouterr().out.splitlines()} == {1.0}
