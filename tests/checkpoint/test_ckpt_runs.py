"""Runs in processes of their own: killed amid saves, of several ranks, told to stop, on a full disk."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import ckpt_runs as runs  # noqa: E402

from bench import record  # noqa: E402
from skyrig.checkpoint import CheckpointManager  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")

_LONGEST_S = 0.25
"""Writers are killed up to so long after they began."""


def test_a_killed_writer_leaves_what_was_saved(tmp_path: Path) -> None:
    _killed(tmp_path, random.randrange(1 << 30), 10)


@pytest.mark.soak
def test_a_hundred_killed_writers_leave_what_was_saved(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    found = _killed(tmp_path, seed, 100)
    assert found["incomplete_saves"] > 5
    record.write("checkpoint-kills", found, counts={"kills": 100}, seed=seed)


def _killed(folder: Path, seed: int, times: int) -> dict[str, Any]:
    """Kill writers of one place at random moments; after each, everybody gets the newest complete state."""
    print(f"seed {seed}")
    moments = random.Random(seed)
    incomplete: set[str] = set()
    last = 0
    for _ in range(times):
        with runs.begun(runs.save_on_and_on, folder) as (process, said):
            assert runs.hear(said) == ("restored", last)
            time.sleep(moments.uniform(0, _LONGEST_S))  # no condition: a random moment is what is wanted
            process.kill()
            heard = runs.heard(said)
        begun = max((step for what, step in heard if what == "begun"), default=last)
        safe = max((step for what, step in heard if what == "safe"), default=last)
        incomplete |= {each.name for each in folder.glob("step-*") if not (each / "manifest.json").exists()}
        state = runs.content(0)
        found = CheckpointManager(folder, {"weights": state}, readonly=True).restore()
        last = found.step if found else 0
        assert safe <= last <= begun
        assert runs.same(state, runs.content(last))
        assert last == _newest_whole(folder)
    assert last > times
    state_bytes = sum(map(_size, runs.content(0).values()))
    return {"incomplete_saves": len(incomplete), "last_step": last, "state_bytes": state_bytes}


def _newest_whole(folder: Path) -> int:
    """As the files themselves tell it: the newest step whose manifest is there to its last byte."""
    found = [(0, 0)]
    for path in folder.glob("step-*/manifest.json"):
        body = path.read_bytes().partition(b"\n")[2]
        if body.endswith(b"}"):
            found.append((int(path.parent.name.split(".")[1].partition("-")[0]), json.loads(body)["step"]))
    return max(found)[1]


def _size(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def test_what_four_ranks_saved_loads_on_two_and_on_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    saved = runs.ranks(runs.save_from_ranks, 4, folder, "fsdp")
    expected = saved[0][0]
    left = set(range(103)) - {index for each in saved for index in each[2]}
    for count, kind in ((2, "fsdp"), (1, "ddp")):
        copied = tmp_path / f"{count}-{kind}"
        _copy(folder, copied)
        loaded = runs.ranks(runs.load_in_ranks, count, copied, kind)
        for rank, (found, state, own, indices, drawn) in enumerate(loaded):
            assert (found.step, found.world_size, dict(found.info)) == (2, 4, {"loss": 0.5})
            assert runs.same(state, expected)
            assert int(own) == rank
            assert set(indices) <= left
            assert len(indices) == len(left) // count
            assert torch.equal(drawn, saved[rank][3])
    state = runs.parts("plain")
    found = CheckpointManager(folder, state).restore()
    assert found is not None and found.step == 2
    assert runs.same(runs.whole(state), expected)


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())


def test_what_one_rank_cannot_do_fails_on_all_and_none_waits(tmp_path: Path) -> None:
    said = runs.ranks(runs.fail_on_one_rank, 2, tmp_path / "run")
    assert all("the state of random numbers, mine cannot be saved so that it loads again" in each for each in said)
    assert not list(tmp_path.rglob("manifest.json"))
    said = runs.ranks(runs.look_elsewhere, 2, tmp_path / "apart")
    assert all("rank 0 does not see" in each and "all ranks must look on one place" in each for each in said), said


def test_a_rank_that_dies_amid_a_save_leaves_the_one_before(tmp_path: Path) -> None:
    said, nothing = runs.ranks(runs.lose_a_rank, 2, tmp_path / "run")
    assert nothing is None
    assert re.match("SaveFailed step 2 was not saved to .*: the ranks lost each other: .*; step 1 is safe", said), said
    found = CheckpointManager(tmp_path / "run", {"w": torch.zeros(3)}, readonly=True).restore()
    assert found is not None and found.step == 1
    assert [reason.rpartition(": ")[2] for reason in found.rejected] == ["it was never completed"]


def test_all_ranks_stop_after_the_same_step_and_save_it(tmp_path: Path) -> None:
    told = runs.ranks(runs.stop_together, 2, tmp_path / "run")
    assert told == [(4, 4)] * 2
    weight = torch.zeros(3)
    CheckpointManager(tmp_path / "run", {"w": weight}).restore()
    assert weight.tolist() == [4.0] * 3


def test_a_notice_that_one_rank_hears_has_all_save_once(tmp_path: Path) -> None:
    assert runs.ranks(runs.notice_to_one_first, 2, tmp_path / "run") == [4, 4]
    assert len(list((tmp_path / "run").glob("step-*"))) == 1


def test_sigterm_saves_the_step_that_it_came_in(tmp_path: Path) -> None:
    with runs.begun(runs.until_told, tmp_path, 30.0) as (process, said):
        while runs.hear(said) != 20:
            pass
        process.terminate()
        *_, (what, step, safe) = runs.heard(said)
        process.join(runs.PATIENCE_S)
        assert (what, safe, process.exitcode) == ("ended", step, 0)
    state = {"w": torch.zeros(3)}
    found = CheckpointManager(tmp_path, {"weights": state}).restore()
    assert found is not None and found.step == step
    assert state["w"].tolist() == [float(step)] * 3


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path: Path) -> None:
    with runs.begun(runs.fill_a_disk, tmp_path) as (_, said):
        if not runs.hear(said):
            pytest.skip("no mount namespace can be had here")
        error, shards, restored = runs.heard(said)
    assert error == ("SaveFailed", f"step 2 was not saved to {tmp_path}: No space left on device; step 1 is safe")
    assert shards == ["step-000000000001"]
    assert restored == (1, 500_000.0)
