"""The controller's table, what it seals, and packages of tasks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from skyrig import places, serving
from skyrig.control import folder, held, package, sealing, surroundings, table
from skyrig.control.services import wards as services
from skyrig.control.ward import Ward, Wish
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.manifest import build
from skyrig.fleet.workdir import select
from skyrig.launch import records
from skyrig.launch.job import JobRecord, JobStatus
from skyrig.serve.spec import Secrets, ServiceSpec
from skyrig.task import reading
from skyrig.task.model import Task

SECRET = "s3cret-value-of-nobody"


def test_a_ward_is_kept_changed_and_dropped(home: Path) -> None:
    assert not table.is_there()
    assert table.wards() == []
    assert table.ward("m") is None
    made = table.enter(Ward("m", "stack", version=1, data={"doing": "up"}))
    assert table.ward("m") == made
    assert made.created_at > 0
    changed = table.change("m", status="READY", data={"doing": None, "head": "i1"})
    assert changed is not None
    assert (changed.status, changed.data) == ("READY", {"head": "i1"})
    again = table.enter(Ward("m", "stack", version=2))
    assert (again.version, again.applied, again.data, again.created_at) == (2, 0, {"head": "i1"}, made.created_at)
    assert table.on_stack("stack") == again
    assert table.change("other", status="READY") is None
    table.drop("m")
    assert table.wards() == []


def test_a_ward_that_was_to_go_is_wished_for_again_by_another_version(home: Path) -> None:
    table.enter(Ward("m", "m", version=1, wish=Wish.GONE))
    table.change("m", failed=1)
    assert table.enter(Ward("m", "m", version=2)).wish is Wish.UP
    found = table.ward("m")
    assert found is not None
    assert not found.gave_up


def test_many_processes_write_at_once_and_nothing_is_lost(home: Path) -> None:
    text = (
        "import sys; from skyrig.control import table; from skyrig.control.ward import Ward\n"
        "for k in range(20): table.enter(Ward(f'{sys.argv[1]}-{k}', 's', version=1)); table.note(sys.argv[1], k)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", text, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(table.wards()) == 80
    assert [found[0] for found in map(table.fact, "0123") if found] == [19] * 4


def test_a_table_of_a_newer_skyrig_is_left_alone(home: Path) -> None:
    import sqlite3

    table.enter(Ward("m", "m"))
    with sqlite3.connect(folder.database()) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(SkyrigError, match="newer"):
        table.wards()


def test_what_is_sealed_opens_in_its_place_alone(home: Path) -> None:
    sealed = sealing.seal(SECRET.encode(), "m v1")
    assert SECRET.encode() not in sealed
    assert sealing.opened(sealed, "m v1").decode() == SECRET
    assert stat.S_IMODE(folder.key().stat().st_mode) == 0o600
    with pytest.raises(SkyrigError):
        sealing.opened(sealed, "m v2")
    with pytest.raises(SkyrigError):
        sealing.opened(sealed[:-1] + bytes([sealed[-1] ^ 1]), "m v1")
    folder.key().unlink()
    with pytest.raises(SkyrigError, match="is gone"):
        sealing.opened(sealed, "m v1")


def test_surroundings_are_sealed_and_come_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_CLOUDS_KEY", SECRET)
    surroundings.keep("service", "m")
    file = folder.surroundings("service", "m")
    assert SECRET.encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = surroundings.of("service", "m")
    assert found.environment["SOME_CLOUDS_KEY"] == SECRET
    assert found.environment["SKYRIG_HOME"] == str(home)
    assert SECRET not in repr(found)


def written(root: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def task_of(work: Path, data: Path) -> Task:
    """A task with everything local that one can have."""
    text = f"""
name: m
workdir: {work}
num_nodes: 2
envs: {{PLAIN: {SECRET}-env}}
secrets: {{TOKEN: {SECRET}-token}}
file_mounts:
  ~/data: {data}
  ~/one.txt: {data}/a.txt
  /bucket: {{name: some-bucket-of-mine, source: {data}}}
service: {{readiness_probe: /health, replicas: 2}}
resources: {{ports: 8080, any_of: [{{infra: local}}, {{infra: aws, use_spot: true}}]}}
setup: pip list
run: |
  cat .env
  python -m http.server 8080   # "quoted" $PLAIN

"""
    return reading.loads(text, "t.yaml").only()


def manifest_of(root: Path, task: Task) -> object:
    """What a sync of the workdir would send."""
    texts = [text for text in (task.setup, task.run) if text]
    return build(root, select(root, named_in=texts), None).to_bytes()


def test_a_package_is_the_same_task_and_sends_the_same_files_when_the_users_are_gone(
    home: Path, tmp_path: Path
) -> None:
    work = written(
        tmp_path / "work",
        {
            ".gitignore": "*.log\n.env\n/out/\n",
            "a.py": "print(1)",
            "sub/b.txt": "b",
            "x.log": "no",
            ".env": "K=V",
            "out/big": "no",
        },
    )
    (work / "link").symlink_to("a.py")
    (work / "sub" / "b.txt").chmod(0o755)
    data = written(tmp_path / "data", {"a.txt": "A", "deep/c d.txt": "C"})
    task = task_of(work, data)
    before = manifest_of(work, task)
    made = package.pack(task, home / "v1", more={"spec": {"name": "m"}}, secrets={"pem": SECRET + "-pem"})
    for each in (work, data):
        subprocess.run(["rm", "-r", str(each)], check=True)
    opened = package.opened(home / "v1")
    assert opened == made
    assert opened.more == {"spec": {"name": "m"}}
    assert opened.secrets == {"pem": SECRET + "-pem"}
    assert opened.task.folder is not None
    assert manifest_of(opened.task.folder, opened.task) == before
    assert evolve(opened.task, workdir=task.workdir, mounts=task.mounts) == task
    assert Path(opened.task.mounts.copies["~/one.txt"]).read_text() == "A"
    assert Path(opened.task.mounts.copies["~/data"], "deep", "c d.txt").read_text() == "C"
    bucket = opened.task.mounts.buckets["/bucket"]
    assert isinstance(bucket.source, str)
    assert Path(bucket.source).name == "data"
    assert (bucket.name, Path(bucket.source, "a.txt").read_text()) == ("some-bucket-of-mine", "A")


def test_nothing_secret_lies_in_a_package_in_plain(home: Path, tmp_path: Path) -> None:
    work = written(tmp_path / "work", {"a.txt": "A"})
    package.pack(task_of(work, work), home / "v1", more={}, secrets={"pem": SECRET})
    files = [file for file in (home / "v1").rglob("*") if file.is_file()]
    assert len(files) > 3
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


def test_the_next_package_shares_what_did_not_change_and_never_the_users_file(home: Path, tmp_path: Path) -> None:
    work = written(tmp_path / "work", {"same.txt": "same", "other.txt": "one"})
    task = reading.loads(f"workdir: {work}\nrun: 'true'\n", "t.yaml").only()
    package.pack(task, home / "v1", more={}, secrets={})
    (work / "other.txt").write_text("two")
    os.utime(work / "other.txt", ns=(1, 1))
    package.pack(task, home / "v2", more={}, secrets={}, before=home / "v1")
    inodes = [[(home / v / "workdir" / name).stat().st_ino for v in ("v1", "v2")] for name in ("same.txt", "other.txt")]
    assert inodes[0][0] == inodes[0][1]
    assert inodes[1][0] != inodes[1][1]
    (work / "same.txt").write_text("edited in place")
    assert (home / "v1" / "workdir" / "same.txt").read_text() == "same"
    assert (home / "v2" / "workdir" / "other.txt").read_text() == "two"
    package.prune(home, keep=2)
    assert sorted(each.name for each in home.glob("v*")) == ["v2"]
    assert (home / "v2" / "workdir" / "same.txt").read_text() == "same"


def test_a_version_that_was_rolled_back_is_not_deployed_again(home: Path, tmp_path: Path) -> None:
    work = written(tmp_path / "work", {"a.txt": "A"})
    first, second = (
        services.Service(evolve(task_of(work, work), run=run), ServiceSpec("m", 8080), Secrets("pem"), {})
        for run in ("good", "bad")
    )
    ward, made = services.enter("m", "m", first, alone=True)
    assert services.opened(ward) == made
    table.change("m", data={"good": 1})
    ward, _ = services.enter("m", "m", second, alone=True)
    assert services.opened(ward).task.run == "bad"
    rolled_back = table.change("m", data={"rolled_back": 2})
    assert rolled_back is not None
    assert services.opened(rolled_back).task.run == "good"
    ward, _ = services.enter("m", "m", second, alone=True)
    assert services.opened(ward).task.run == "bad"
    assert sorted(each.name for each in folder.of_ward("service", "m").glob("v*")) == ["v1", "v2", "v3"]


def test_who_ends_a_service_has_it_in_hand_and_it_stays_to_be_ended_until_it_is(home: Path, tmp_path: Path) -> None:
    task = task_of(written(tmp_path / "work", {"a.txt": "A"}), tmp_path / "work")
    services.enter("m", "m", services.Service(task, ServiceSpec("m", 8080), Secrets(), {}), alone=True)
    with pytest.raises(RuntimeError), services.ending("m") as ward:
        assert ward is not None
        assert ward.wish is Wish.GONE
        assert held.is_held("service", "m")
        raise RuntimeError("killed")
    assert table.ward("m") == ward
    assert not held.is_held("service", "m")
    with services.ending("m"):
        services.forget("m")
    assert table.wards() == []
    assert not folder.of_ward("service", "m").exists()
    with pytest.raises(SkyrigError, match="no service"), services.ending("m"):
        pass
    assert not folder.of_ward("service", "m").exists()


def test_why_a_service_failed_is_told_when_its_cluster_is_gone_already(home: Path) -> None:
    job = JobRecord(1, "u", "m", JobStatus.FAILED, 1, 1.0, exit_code=3)
    for number, each in ((1, job), (2, evolve(job, id=2, status=JobStatus.CANCELLED, exit_code=143))):
        records.write(places.made(places.records("m") / str(number)), each)
    table.enter(Ward("m", "m", version=1))
    ward = table.change("m", failed=1, reason="no replica became ready", data={"last_lines": ["about to fail"]})
    assert ward is not None
    lines: list[str] = []
    error = serving._given_up(ward, lines.append)
    assert (lines, error.exit_code) == (["    about to fail"], 3)
    assert error.message == "service m FAILED: no replica became ready"


def test_a_package_that_cannot_be_made_leaves_nothing(home: Path, tmp_path: Path) -> None:
    task = reading.loads(f"workdir: {tmp_path}/nowhere\nrun: 'true'\n", "t.yaml").only()
    with pytest.raises(BadInput):
        package.pack(task, home / "v1", more={}, secrets={})
    assert list(home.glob("*")) == []
