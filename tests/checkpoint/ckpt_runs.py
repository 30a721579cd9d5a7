"""Training runs in processes of their own, which a server forks that has torch loaded: they can be killed."""

from __future__ import annotations

import ctypes
import functools
import logging
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from skyrig.checkpoint import CheckpointManager, FolderStore, ResumableSampler, preemption, saving
from skyrig.checkpoint.store import Block
from skyrig.errors import SkyrigError

PATIENCE_S = 60.0
_WEIGHTS = 9
_NEW_MOUNTS = 0x00020000


@functools.cache
def processes() -> multiprocessing.context.ForkServerContext:
    """Where runs are begun; the first one waits until torch is loaded there."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["ckpt_runs", "torch._dynamo", "numpy.random"])  # FSDP would load these in each run
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # Python 3.11's server looks for modules nowhere else
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return found


@contextmanager
def begun(work: Callable[..., None], *arguments: Any) -> Iterator[tuple[ForkServerProcess, Connection]]:
    """A run, and what it sends. It is killed at the end."""
    ours, theirs = processes().Pipe(duplex=False)
    process = processes().Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def tell(say: Connection, word: Any) -> None:
    """Send by value: torch teaches a pipe's own pickling to share a tensor's memory, which ends with its process."""
    say.send_bytes(pickle.dumps(word))


def hear(run: Connection) -> Any:
    """The next word of a run. EOFError if it is gone."""
    if not run.poll(PATIENCE_S):
        raise TimeoutError("a run says nothing")
    try:
        return pickle.loads(run.recv_bytes())
    except OSError:  # killed amid a word
        raise EOFError from None


def heard(run: Connection) -> list[Any]:
    """All that a run tells until it is gone."""
    found = []
    while True:
        try:
            found.append(hear(run))
        except EOFError:
            return found


def content(step: int) -> dict[str, torch.Tensor]:
    """The state of a step, of many sizes and dtypes; no two steps have the same."""
    made = torch.Generator().manual_seed(step)
    weights = {f"w{n}": torch.rand((n + 1) * 10_000, generator=made) for n in range(_WEIGHTS)}
    return {**weights, "half": weights["w1"].to(torch.bfloat16), "step": torch.tensor(step), "none": torch.empty(0)}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


def save_on_and_on(say: Connection, folder: Path) -> None:
    """Restore, then save step after step; tells each one that is begun, and that is safe."""
    torch.set_num_threads(1)
    state = content(0)
    manager = CheckpointManager(folder, {"weights": state}, keep=2)
    found = manager.restore()
    step = found.step if found else 0
    assert found is None or same(state, content(step))
    tell(say, ("restored", step))
    while True:
        step += 1
        for key, value in content(step).items():
            state[key].copy_(value)
        tell(say, ("begun", step))
        manager.save(step)
        if step % 3:  # else the next one is begun while it runs
            tell(say, ("safe", manager.wait()))


def until_told(say: Connection, folder: Path, grace_s: float) -> None:
    """Train until SIGTERM; tells each step."""
    weight = torch.zeros(3)
    with CheckpointManager(folder, {"weights": {"w": weight}}) as manager:
        manager.on_sigterm(grace_s)
        step = 0
        while True:
            step += 1
            weight.add_(1)
            if manager.after_step(step):
                break
            tell(say, step)
        tell(say, ("ended", step, manager.safe))


def fill_a_disk(say: Connection, folder: Path) -> None:
    """Save more than a small disk can take, and tell what came of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = libc.unshare(_NEW_MOUNTS) == 0
    for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=6m", "none", str(folder)]):
        mounted = mounted and not subprocess.run(["mount", *words], stderr=subprocess.DEVNULL, check=False).returncode
    tell(say, mounted)
    if not mounted:
        return
    state = {"w": torch.ones(500_000)}
    manager = CheckpointManager(folder, {"weights": state})
    manager.save(1, wait=True)
    state["w"].fill_(2)
    state["more"] = torch.rand(2_000_000)
    manager.save(2)
    try:
        manager.wait()
    except SkyrigError as error:
        tell(say, (type(error).__name__, str(error)))
    tell(say, sorted(path.parent.name[:17] for path in folder.rglob("*.shard")))
    fresh: dict[str, Any] = {}
    found = CheckpointManager(folder, {"weights": fresh}, readonly=True).restore()
    tell(say, (found.step if found else None, float(fresh["w"].sum())))


# -- several ranks


def ranks(work: Callable[..., None], count: int, folder: Path, *arguments: Any) -> list[Any]:
    """What `work` returned on each of `count` ranks; None of one that died."""
    meet = folder.parent / f"meet-{random.randrange(1 << 40):x}"
    runs = [begun(_rank, work, rank, count, meet, folder, *arguments) for rank in range(count)]
    entered = [run.__enter__() for run in runs]
    try:
        found = [heard(said) for _, said in entered]
    finally:
        for run in runs:
            run.__exit__(*sys.exc_info())
    assert all(len(each) <= 1 for each in found), found
    return [each[0] if each else None for each in found]


def _rank(say: Connection, work: Callable[..., Any], rank: int, count: int, meet: Path, *arguments: Any) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=count)
    tell(say, work(*arguments))
    dist.barrier()
    dist.destroy_process_group()


def parts(kind: str) -> dict[str, Any]:
    """A model, wrapped as `kind` says, and its optimizer, untrained."""
    torch.manual_seed(1)
    model: Any = nn.Sequential(nn.Linear(9, 16), nn.Linear(16, 3))
    if kind == "fsdp":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in model:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    elif kind == "ddp":
        model = DistributedDataParallel(model)
    return {"model": model, "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-2)}


def train(state: dict[str, Any], seed: int) -> None:
    """One step."""
    given = torch.randn(4, 9, generator=torch.Generator().manual_seed(seed))
    state["model"](given).pow(2).mean().backward()
    state["optimizer"].step()
    state["optimizer"].zero_grad()


def whole(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All weights and what the optimizer has of each, unsharded, by names that no wrapper changes."""
    found: dict[str, torch.Tensor] = {}
    for name, weight in state["model"].named_parameters():
        plain = name.removeprefix("module.")
        found[plain] = _full(weight.detach())
        for key, value in state["optimizer"].state[weight].items():
            found[f"{plain}:{key}"] = _full(value)
    return {key: value.clone() for key, value in found.items()}


def _full(tensor: Any) -> torch.Tensor:
    made: torch.Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return made


def save_from_ranks(folder: Path, kind: str) -> Any:
    """Train and save twice; what the second one holds, this rank's own value, its samples and next random number."""
    state = parts(kind)
    sampler = ResumableSampler(103, seed=5)
    torch.manual_seed(100 + dist.get_rank())
    own = {"rank": torch.tensor(dist.get_rank())}
    with CheckpointManager(folder, {**state, "sampler": sampler}, own={"mine": own}) as manager:
        assert manager.restore() is None
        train(state, 1)
        manager.save(1)
        train(state, 2)
        seen = list(sampler)[:7]
        sampler.advance(7)
        manager.save(2, info={"loss": 0.5})
        expected, drawn = whole(state), torch.rand(1)
        train(state, 3)
    return expected, own["rank"], seen, drawn


def load_in_ranks(folder: Path, kind: str) -> Any:
    """What was restored, as `save_from_ranks` tells it, after a restart."""
    state = parts(kind)
    sampler = ResumableSampler(103, seed=5)
    own = {"rank": torch.tensor(-1)}
    with CheckpointManager(folder, {**state, "sampler": sampler}, own={"mine": own}) as manager:
        found = manager.restore()
        assert found is not None
        result = (found, whole(state), own["rank"], list(sampler), torch.rand(1))
        train(state, 3)
        manager.save(3)
    return result


def fail_on_one_rank(folder: Path) -> str:
    """Each rank's error where rank 1 has a state that cannot be saved."""
    own: dict[str, Any] = {"bad": threading.current_thread} if dist.get_rank() else {}
    manager = CheckpointManager(folder, {"w": torch.ones(3)}, own={"mine": own})
    try:
        manager.save(1, wait=True)
    except SkyrigError as error:
        return str(error)
    return ""


class _Deadly(FolderStore):
    """The second rank dies amid its shard of step 2."""

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        if name.startswith("step-000000000002") and dist.get_rank():
            super().put(name, [b"half"])
            os.kill(os.getpid(), signal.SIGKILL)
        super().put(name, blocks)


def lose_a_rank(folder: Path) -> str:
    """The error of a save whose other rank dies amid it."""
    manager = CheckpointManager(_Deadly(folder), {"w": torch.ones(3)})
    manager.save(1, wait=True)
    try:
        manager.save(2, wait=True)
    except SkyrigError as error:
        return f"{type(error).__name__} {error}"
    return ""


def look_elsewhere(folder: Path) -> str:
    """Each rank's error where every rank has a folder of its own."""
    saving.VISIBLE_S = 0.2
    try:
        CheckpointManager(folder / str(dist.get_rank()), {"w": torch.ones(3)}).save(1, wait=True)
    except SkyrigError as error:
        return str(error)
    return ""


def notice_to_one_first(folder: Path) -> Any:
    """One rank hears of a preemption in its third step, the other much later; what each says is safe in the end."""
    logging.disable()
    preemption.LOOK_EVERY_S = 0.0
    file = folder.with_name(f"notice-{dist.get_rank()}")
    os.environ[preemption.FILE] = str(file)
    weight = torch.zeros(3)
    with CheckpointManager(folder, {"w": weight}) as manager:
        for step in range(1, 40):
            weight.add_(1)
            if step == (3 if dist.get_rank() == 1 else 30):
                file.write_text('{"id": "a", "node": "n1", "kind": "preemption", "deadline": null}')
            assert not manager.after_step(step)
        return manager.safe


def stop_together(folder: Path) -> Any:
    """One rank is told to stop in its third step; each rank's last step and what it says is safe."""
    logging.disable()
    weight = torch.zeros(3)
    with CheckpointManager(folder, {"w": weight}, every=100) as manager:
        for step in range(1, 1000):
            weight.add_(1)
            if step == 3 and dist.get_rank() == 1:
                manager.request_stop(30.0)
            if manager.after_step(step):
                return step, manager.safe
    return None
