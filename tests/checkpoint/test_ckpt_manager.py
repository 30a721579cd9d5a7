"""The manager in one process: what is damaged, who may publish, what stays, what training waits for."""

from __future__ import annotations

import json
import logging
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
boto3 = pytest.importorskip("boto3")

from moto.server import ThreadedMotoServer  # noqa: E402

from skyrig.checkpoint import (  # noqa: E402
    CheckpointManager,
    CheckpointsDamaged,
    FolderStore,
    ResumableSampler,
    S3Store,
    SaveFailed,
    Superseded,
    preemption,
)
from skyrig.checkpoint.stopping import Notice  # noqa: E402
from skyrig.checkpoint.store import Block, open_store  # noqa: E402
from skyrig.errors import BadInput  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def saved(where: Any, *steps: int, **options: Any) -> CheckpointManager:
    """A run whose state is its step, after saves of these steps."""
    state = {"w": torch.zeros(1000)}
    manager = CheckpointManager(where, {"weights": state}, **options)
    for step in steps:
        state["w"].fill_(step)
        manager.save(step, wait=True)
    return manager


def loaded(where: Any) -> tuple[int, tuple[str, ...]]:
    """What somebody gets who loads now: the step, and what was rejected."""
    state: dict[str, Any] = {}
    found = CheckpointManager(where, {"weights": state}, readonly=True).restore()
    assert found is not None
    assert torch.equal(state["w"], torch.full((1000,), float(found.step)))
    return found.step, found.rejected


def file_of(folder: Path, step: int, name: str) -> Path:
    return next(folder.glob(f"step-{step:012d}.*/{name}"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a shard cut short": ("00000.shard", cut, r"shard 1 of 1 \(00000.shard\) has \d+ bytes, not \d+$"),
    "a bit of a shard": ("00000.shard", flip, "shard 00000.shard holds other bytes than were saved$"),
    "a shard gone": ("00000.shard", Path.unlink, r"shard 1 of 1 \(00000.shard\) is missing$"),
    "a manifest cut short": ("manifest.json", cut, "its manifest is cut short or was changed$"),
    "a bit of a manifest": ("manifest.json", flip, "its manifest is cut short or was changed$"),
    "an empty manifest": ("manifest.json", lambda path: path.write_bytes(b""), "its manifest is cut short$"),
    "a manifest gone": ("manifest.json", Path.unlink, "it was never completed$"),
}


@pytest.mark.parametrize("name, harm, reason", DAMAGE.values(), ids=list(DAMAGE))
def test_what_is_damaged_is_passed_over_with_its_reason(
    tmp_path: Path, name: str, harm: Callable[[Path], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path, 1, 2, 3)
    harm(file_of(tmp_path, 3, name))
    step, rejected = loaded(tmp_path)
    assert step == 2
    assert len(rejected) == 1
    assert re.search("^step 3 .*is not loaded: " + reason, rejected[0]), rejected
    assert rejected[0] in caplog.messages
    state = {"w": torch.ones(1000)}
    with pytest.raises((CheckpointsDamaged, BadInput), match=r"nothing in .* can be loaded: step 3"):
        CheckpointManager(tmp_path, {"weights": state}, readonly=True).restore(3)
    assert torch.equal(state["w"], torch.ones(1000))


def test_when_all_are_damaged_nothing_is_begun_anew_in_silence(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    flip(file_of(tmp_path, 1, "00000.shard"))
    cut(file_of(tmp_path, 2, "00000.shard"))
    with pytest.raises(CheckpointsDamaged, match=r"step 2 .* bytes, not .*; step 1 .* holds other bytes"):
        loaded(tmp_path)


def test_an_older_incarnation_cannot_publish_over_a_newer_one(tmp_path: Path) -> None:
    old = saved(tmp_path, 1)
    new = saved(tmp_path)
    found = new.restore()
    assert found is not None and found.step == 1
    with pytest.raises(Superseded, match=r"step 9 was not saved: incarnation 000002-.*; step 1 is safe"):
        old.save(9, wait=True)
    new.save(2, wait=True)
    assert not list(tmp_path.glob(f"step-{9:012d}.*"))
    assert file_of(tmp_path, 2, "manifest.json").parent.name.split(".")[1].startswith("000002-")


def test_a_manifest_says_which_run_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_TASK_ID", "sky-2026_run_7")
    monkeypatch.setenv("SKYRIG_INTERNAL_JOB_ID", "7")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    saved(tmp_path, 1)
    said = json.loads(file_of(tmp_path, 1, "manifest.json").read_bytes().partition(b"\n")[2])
    assert said["run"] == {"task": "sky-2026_run_7", "job": "7", "restart": "2"}
    assert said["incarnation"] == file_of(tmp_path, 1, "manifest.json").parent.name.split(".")[1]


class _SeesNoClaims(FolderStore):
    """A mount that shows late what others write."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        return {} if prefix.startswith("claims") else super().sizes(prefix)


def test_what_an_older_incarnation_publishes_unseen_is_older_still(tmp_path: Path) -> None:
    late = saved(_SeesNoClaims(tmp_path), 1)
    saved(tmp_path, 2)
    late.save(9, wait=True)
    assert loaded(tmp_path)[0] == 2
    assert saved(tmp_path).restore().step == 2  # type: ignore[union-attr]


def test_a_reader_takes_nothing_from_the_run(tmp_path: Path) -> None:
    run = saved(tmp_path, 1)
    assert loaded(tmp_path) == (1, ())
    run.save(2, wait=True)
    reader = CheckpointManager(tmp_path, {"weights": {}}, readonly=True)
    with pytest.raises(BadInput, match="readonly"):
        reader.save(3)


def test_the_newest_stay_and_every_tenth(tmp_path: Path) -> None:
    other = tmp_path / "step-by-step" / "mine.shard"
    other.parent.mkdir()
    other.write_text("not ours")
    manager = saved(tmp_path, keep=2, keep_every=10)
    for step in range(5, 36, 5):
        manager.save(step, wait=True)
    left = sorted(int(path.parent.name[5:17]) for path in tmp_path.glob("step-*/manifest.json"))
    assert left == [10, 20, 30, 35]
    assert other.read_text() == "not ours"
    other.unlink()
    assert {path.parent for path in tmp_path.rglob("*.shard")} == {
        path.parent for path in tmp_path.rglob("manifest.json")
    }


def test_the_rest_of_a_killed_save_goes_with_the_next_one(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    file_of(tmp_path, 2, "manifest.json").unlink()
    saved(tmp_path, 3)
    assert sorted(int(path.name[5:17]) for path in tmp_path.glob("step-*")) == [1, 3]


class _Held(FolderStore):
    """A slow store: nothing is written until it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may = threading.Event()
        self.asked = threading.Event()

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        self.asked.set()
        assert self.may.wait(30)
        super().put(name, blocks)


def test_training_waits_for_the_copy_alone(tmp_path: Path) -> None:
    store = _Held(tmp_path)
    weight = torch.full((1000,), 7.0)
    manager = CheckpointManager(store, {"weights": {"w": weight}})
    store.may.set()
    manager.save(6, wait=True)
    store.may.clear()
    store.asked.clear()
    manager.save(7)
    assert store.asked.wait(30)
    weight.fill_(8)  # training goes on while nothing of step 7 is written
    assert (manager.safe, len(list(tmp_path.rglob("manifest.json")))) == (6, 1)
    store.may.set()
    assert manager.wait() == 7
    assert loaded(tmp_path)[0] == 7


def _run(where: Path, steps: int, until: int) -> list[float]:
    """Losses of a run from where it stands to step `until`; it saves after `steps` of them."""
    torch.manual_seed(3)
    random.seed(3)
    layers = torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.3), torch.nn.Linear(5, 1)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    data, sampler, progress = torch.arange(600.0).reshape(100, 6) / 600, ResumableSampler(100), {"epoch": 0}
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "sampler": sampler, "at": progress}
    with CheckpointManager(where, state) as manager:
        found = manager.restore()
        losses = []
        for step in range(found.step + 1 if found else 1, until + 1):
            if len(sampler) < 8:
                progress["epoch"] += 1
                sampler.set_epoch(progress["epoch"])
            rows = [index for index, _ in zip(sampler, range(8), strict=False)]
            loss = model(data[rows] + random.random() * torch.rand(6)).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            sampler.advance(8)
            losses.append(loss.item())
            if step == steps:
                manager.save(step)
        return losses


@pytest.mark.parametrize("steps", [1, 15])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, steps: int) -> None:
    whole = _run(tmp_path, steps, 20)
    assert _run(tmp_path, 0, 20) == whole[steps:]


def test_a_save_before_the_first_step_changes_nothing(tmp_path: Path) -> None:
    def first_losses(where: Path | None) -> list[float]:
        torch.manual_seed(1)
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        if where:
            manager = CheckpointManager(where, {"model": model, "optimizer": optimizer})
            found = manager.restore()
            if not found:
                manager.save(0, wait=True)
        losses = []
        for _ in range(3):
            loss = model(torch.ones(2, 3)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    plain = first_losses(None)
    assert first_losses(tmp_path) == plain
    assert first_losses(tmp_path) == plain  # from the checkpoint of step 0


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    CheckpointManager(tmp_path, {"model": torch.nn.Linear(3, 2)}).save(1, wait=True)
    for state, reason in (
        ({"model": torch.nn.Linear(4, 2)}, r"weight has the shape \[2, 4\], and \[2, 3\] was saved"),
        ({"model": torch.nn.Linear(3, 2, bias=False)}, "it has bias, which the model has not"),
        ({"model": torch.nn.BatchNorm1d(2)}, "it has no running_mean, running_var, num_batches_tracked"),
        ({"models": torch.nn.Linear(3, 2)}, "it has no 'models', only model"),
    ):
        with pytest.raises(BadInput, match=reason):
            CheckpointManager(tmp_path, state, readonly=True).restore()


def test_bad_input_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    where = tmp_path / "run"
    for state, options, reason in (
        ({"epoch": 3}, {}, "state 'epoch' is int, which cannot be put back"),
        ({"a/b": {}}, {}, "names of state have no slash"),
        ({"w": {}}, {"keep": 0}, "keep=0: at least 1"),
        ({"w": {}}, {"every": 0}, "every=0: at least 1"),
    ):
        with pytest.raises(BadInput, match=reason):
            CheckpointManager(where, state, **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"gs:// is not known \(give a folder"):
        open_store("gs://bucket/run")
    with pytest.raises(BadInput, match="names no bucket"):
        open_store("s3://")
    assert not where.exists()
    with pytest.raises(BadInput, match="the state of 'w' cannot be saved so that it loads again"):
        CheckpointManager(where, {"w": {"lock": threading.current_thread}}).save(1)
    assert not list(where.glob("step-*"))


def test_without_time_nothing_is_begun_and_what_is_safe_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weight = torch.zeros(1000)
    manager = CheckpointManager(tmp_path, {"weights": {"w": weight}}, every=10)
    for step in range(1, 13):
        weight.fill_(step)
        assert not manager.after_step(step)
    assert manager.wait() == 10
    manager.request_stop(0.0)
    with caplog.at_level(logging.WARNING, "skyrig.checkpoint"):
        assert manager.after_step(13)
    assert f"told to stop after step 13: step 10 is safe in {tmp_path} (a save takes " in caplog.messages[-1]
    assert caplog.messages[-1].endswith(" s, 0.0 s are left)")
    assert loaded(tmp_path)[0] == 10


def test_a_notice_has_the_run_saved_once_more_and_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "notice"
    monkeypatch.setenv("SKYRIG_NOTICE_FILE", str(file))
    monkeypatch.setattr(preemption, "LOOK_EVERY_S", 0.0)
    where = tmp_path / "saves"
    manager = saved(where, 1)

    def notice(key: str, left_s: float | None) -> None:
        deadline = None if left_s is None else time.time() + left_s
        said = {"id": key, "node": "n1", "kind": "preemption" if left_s else "risk", "deadline": deadline}
        file.with_suffix(".part").write_text(json.dumps(said))
        file.with_suffix(".part").replace(file)

    def told(step: int) -> list[str]:
        caplog.clear()
        assert not manager.after_step(step)
        return [message.replace(str(where), "HERE") for message in caplog.messages]

    caplog.set_level(logging.WARNING, "skyrig.checkpoint")
    assert told(2) == []
    notice("a", 90.4)
    said = told(3)
    assert said[0] == "[skyrig] preemption of n1 in 90 s: step 1 is safe in HERE (saving once more)"
    assert re.fullmatch(r"\[skyrig\] preemption of n1 in \d\d s: step 3 is safe in HERE \(saved in \d.\d s\)", said[1])
    assert told(4) == [] and manager.safe == 3
    notice("a", 60)
    assert told(5) == []
    manager.took_s = 50.0
    notice("b", 10.4)
    safe = "step 3 is safe in HERE (a save takes 50.0 s, "
    assert told(6)[0].startswith(f"[skyrig] preemption of n1 in 10 s: {safe}10.")
    notice("c", None)
    assert told(7)[-1].startswith("[skyrig] preemption of n1 is likely: step 7 is safe in HERE (saved in")
    file.write_text("half of {")
    assert told(8) == []


def test_a_job_says_how_long_it_has_after_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        for said, least, most in ((None, 29, 30), ("7.5", 7, 7.5)):
            if said:
                monkeypatch.setenv("SKYRIG_GRACE_S", said)
            notice = Notice()
            notice.on_sigterm(None)
            signal.raise_signal(signal.SIGTERM)
            assert notice.given and least < notice.left_s <= most
            signal.signal(signal.SIGTERM, before)
    finally:
        signal.signal(signal.SIGTERM, before)


class _Away(FolderStore):
    """A store that cannot be reached when a shard is read."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | bytearray:
        if name.endswith(".shard"):
            raise ConnectionResetError(104, "Connection reset by peer")
        return super().read(name, start, length)


def test_a_store_that_fails_is_no_reason_to_take_an_older_one(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    with pytest.raises(ConnectionResetError):
        loaded(_Away(tmp_path))
    assert loaded(tmp_path) == (2, ())


class _Far(FolderStore):
    """A store like a bucket, which counts the bytes that are read of it."""

    is_near = False
    given = 0

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | bytearray:
        found = super().read(name, start, length)
        self.given += len(found)
        return found


def test_each_byte_is_had_from_afar_once(tmp_path: Path) -> None:
    state = {"odd": torch.tensor([True, False, True]), "w": torch.arange(5000.0), "mode": "train"}
    with CheckpointManager(tmp_path, {"run": state}) as manager:
        manager.save(1, wait=True)
    far, loaded = _Far(tmp_path), dict[str, Any]()
    assert CheckpointManager(far, {"run": loaded}, readonly=True).restore() is not None
    assert torch.equal(loaded["w"], state["w"]) and torch.equal(loaded["odd"], state["odd"])
    assert far.given == sum(far.sizes("step-").values())


class _Full(FolderStore):
    """A store that takes no more than the first save."""

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        if name.startswith("step-000000000002"):
            raise OSError(28, "No space left on device")
        super().put(name, blocks)


def test_a_save_behind_the_training_that_fails_is_not_lost_from_sight(tmp_path: Path) -> None:
    manager = saved(_Full(tmp_path), 1)
    manager.save(2)
    with pytest.raises(SaveFailed, match=r"step 2 was not saved to .*: No space left on device; step 1 is safe"):
        manager.save(3)
    manager.save(3, wait=True)
    with pytest.raises(SaveFailed, match="step 2 "), saved(_Full(tmp_path)) as other:
        other.save(2)


def test_a_bucket_holds_checkpoints_as_a_folder_does(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="runs")
        _in_a_bucket()
    finally:
        server.stop()


def _in_a_bucket() -> None:
    store = S3Store("s3://runs/team/one")
    parts = [bytes([number]) * (3 << 20) for number in range(7)]  # more than one part of an upload
    store.put("large", iter(parts))
    content = b"".join(parts)
    assert store.read("large") == content
    assert store.read("large", 3_000_000, 5_000_000) == content[3_000_000:8_000_000]
    assert store.read("large", len(content) + 5, 10) == b""
    with pytest.raises(FileNotFoundError):
        store.read("none")
    store.delete(["large", "none"])
    assert store.sizes() == {}
    old = saved("s3://runs/team/one", 1, 2, keep=2)
    assert loaded("s3://runs/team/one/") == (2, ())
    newest = next(name for name in store.sizes() if name.startswith("step-000000000002") and name.endswith(".shard"))
    store.put(newest, [store.read(newest)[:-1]])
    assert loaded("s3://runs/team/one")[0] == 1
    saved("s3://runs/team/one", 3, 4, keep=2)
    assert {name[5:17] for name in store.sizes("step-")} == {"000000000003", "000000000004"}
    with pytest.raises(Superseded):
        old.save(5, wait=True)


def test_the_examples_of_the_docs_run_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "checkpoint.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # pytest's own handler stays
    names: dict[str, Any] = {}
    exec(first, names)
    assert (names["found"], names["step"]) == (None, 1000)
    again: dict[str, Any] = {}
    exec(first, again)
    assert again["found"].step == again["step"] == 1000
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path / "own")
    exec(second, names)
    names["save_model"](7, names["model"])
    assert names["load_model"](0, names["model"]) == 7
