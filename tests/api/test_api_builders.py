"""A task built in Python and the same one written in YAML are the same: `same/` holds one pair of files a case."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import skyrig as sky
from skyrig.task import normal, reading, writing
from skyrig.task.infra import CLOUDS

SAME = sorted((Path(__file__).parent / "same").glob("*.yaml"))


def form(task: sky.Task) -> dict[str, Any]:
    return {**normal.of_task(task.value), "secrets": task.secrets}


@pytest.mark.parametrize("file", SAME, ids=lambda file: file.stem)
def test_a_built_task_is_the_written_one(file: Path) -> None:
    built: sky.Task = runpy.run_path(str(file.with_suffix(".py")))["task"]
    written = reading.load(file).only()
    assert form(built) == {**normal.of_task(written), "secrets": written.secrets}
    again = sky.Task.from_yaml_config(built.to_yaml_config(secrets=True))
    for same in (sky.Task.from_yaml(file), sky.Task.from_yaml_str(file.read_text()), again):
        assert form(same) == form(built)
    assert writing.of_task(built.value) == built.to_yaml_config()


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: sky.Resources(cpus="4-"), "Resources(...): cpus: '4-': a number of cores is wanted"),
    (lambda: sky.Resources(infra="aws", cloud="gcp"), "Resources(...): infra says the same as cloud, region and zone"),
    (lambda: sky.Resources(infra="aws").copy(accelerators="A100:0"), "a count above 0 is wanted"),
    (lambda: sky.Resources.from_yaml_config({"gpu": 1}), "Resources(...): gpu: unknown field; did you mean gpus?"),
    (lambda: sky.Storage(mode="MOUNTED"), "Storage(...): mode: 'MOUNTED' is none of MOUNT, COPY, MOUNT_CACHED"),
    (lambda: sky.Storage(mode="COPY"), "Storage(...): COPY needs a `source`"),
    (lambda: sky.Storage("a", stores=["s3", "gcs"]), "a bucket lies in one store"),
    (lambda: sky.Task("a b"), "Task('a b'): name: 'a b': letters and digits"),
    (lambda: sky.Task("t", num_nodes=0), "Task('t'): num_nodes: 0 is out of range"),
    (lambda: sky.Task(run=object()), "Task(...): run: <object object"),  # type: ignore[arg-type]
    (lambda: sky.Task("t").update_envs({"1": "x"}), "Task('t'): envs.1: no name of a variable"),
    (lambda: sky.Task.from_yaml_str("nam: x\n"), "YAML:1:1: nam: unknown field; did you mean name?"),
    (lambda: sky.Task.from_yaml_str("name: x\n---\nrun: a\n---\nrun: b\n"), "the file holds 2 tasks"),
    (lambda: sky.Task("a") >> sky.Task("b"), "tasks are put in order in a Dag"),
    (lambda: sky.launch(sky.Task(run="x", workdir="/no/such")), "Task(...): workdir: /no/such is no folder"),
    (lambda: sky.launch(sky.Task(run="x"), "../up"), "../up"),
    (lambda: sky.exec(sky.Task(run="x"), "c", down=True), "exec(down=...): not yet"),
    (lambda: sky.jobs.launch(sky.Task(run="x"), pool="p"), "sky.jobs.launch(pool=...): not yet"),
    (lambda: sky.jobs.launch(sky.Dag()), "the Dag holds no task"),
    (lambda: sky.jobs.cancel(), "sky.jobs.cancel: which jobs?"),
    (lambda: sky.jobs.pool_status(), "sky.jobs.pool_status: not yet"),
    (lambda: sky.volumes.ls(), "sky.volumes.ls: not yet"),
    (lambda: sky.autostop("c", 5, wait_for="soon"), "wait_for 'soon' is not known"),
    (lambda: sky.get("../../x"), "is no id of a request"),
    (lambda: sky.get("0123"), "no requests have an id that begins with 0123"),
]


@pytest.mark.parametrize(("wrong", "says"), BAD, ids=[says for _, says in BAD])
def test_what_is_wrong_is_refused_at_once(
    wrong: Callable[[], object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    with pytest.raises(sky.SkyrigError) as refused:
        wrong()
    assert says in str(refused.value)
    assert refused.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_refused_change_changes_nothing() -> None:
    task = sky.Task("t", envs={"A": "1"}, resources=sky.Resources(cpus=2))
    before = form(task)
    with pytest.raises(sky.exceptions.BadInput):
        task.set_resources({"cpus": "many"})
    with pytest.raises(ValueError, match="num_nodes"):
        task.num_nodes = -1
    assert form(task) == before


def test_a_file_may_have_a_header_and_may_be_mended() -> None:
    task = sky.Task.from_yaml_str("name: all\n---\nname: one\nresources: {num_nodes: 2}\n").update_envs({"A": "1"})
    assert (task.name, task.num_nodes, task.envs) == ("one", 2, {"A": "1"})
    assert "stands at the top of a task" in task.file.mends[0]
    assert sky.Task.from_yaml_str("# nothing\n").update_envs({"A": "1"}).envs == {"A": "1"}


def test_properties_are_in_normal_form() -> None:
    it = sky.Resources(infra="AWS/us-east-1", accelerators="L4", memory="64GB+", ports=[9001, 9000], use_spot=True)
    assert (it.cloud, it.region, it.zone, it.infra) == (sky.AWS(), "us-east-1", None, "aws/us-east-1")
    assert (it.accelerators, it.ports, it.use_spot, it.disk_size, it.cpus) == (
        {"L4": 1},
        ["9000-9001"],
        True,
        256,
        None,
    )
    assert it.copy(region="us-west-2").infra == "aws/us-west-2"
    assert sky.Resources(cloud=sky.GCP(), region="x").copy(infra="azure") == sky.Resources(cloud="azure").copy(
        accelerators="L4", memory=it.memory, ports=it.ports, use_spot=True
    ).copy(accelerators=None, memory=None, ports=None, use_spot=None)
    task = sky.Task(secrets={"KEY": "hidden"}, storage_mounts={"/b": sky.Storage("bucket")})
    assert "hidden" not in repr(task) + str(task.to_yaml_config()) + repr(task.file)
    assert task.storage_mounts["/b"].mode is sky.StorageMode.MOUNT


def test_every_cloud_has_an_object() -> None:
    for name in CLOUDS:
        cloud = sky.Resources(cloud=name).cloud
        assert sky.Resources(cloud=cloud).infra == name and getattr(sky, str(cloud))() == cloud


def test_a_dag_orders_the_tasks_of_its_block() -> None:
    with sky.Dag("pipeline") as dag:
        first, second, third = sky.Task("a"), sky.Task("b"), sky.Task("c")
        assert not dag.is_chain()
        first >> second >> third
        with pytest.raises(sky.SkyrigError, match="cannot run after"):
            third >> first
    sky.Task("outside")
    assert dag.tasks == [first, second, third] and dag.is_chain()
    with pytest.raises(sky.exceptions.NotYet, match="a Dag of several tasks"):
        sky.launch(dag)


def test_a_place_for_tasks_that_need_a_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    from skyrig.task.override import placed

    tasks = {"gpu": sky.Task(resources=sky.Resources(accelerators="L4:4", region="x")), "cpu": sky.Task()}
    tasks["here"] = sky.Task(resources=sky.Resources(infra="local", accelerators="L4"))
    monkeypatch.delenv("SKYRIG_INFRA", raising=False)
    assert str(placed(tasks["gpu"].value).resources.infra) == "*/x"
    monkeypatch.setenv("SKYRIG_INFRA", "gcp/r")
    assert {name: str(placed(task.value).resources.infra) for name, task in tasks.items()} == {
        "gpu": "gcp/r",
        "cpu": "",
        "here": "local",
    }
    monkeypatch.setenv("SKYRIG_INFRA", "nowhere")
    with pytest.raises(sky.exceptions.BadInput, match="SKYRIG_INFRA: 'nowhere' is no cloud"):
        placed(tasks["gpu"].value)


def test_the_command_line_minds_the_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skyrig.cli import flags
    from skyrig.cli.verb import Values

    file = tmp_path / "t.yaml"
    file.write_text("resources: {accelerators: L4}\nrun: x\n")
    monkeypatch.setenv("SKYRIG_INFRA", "local")
    for given, infra in (
        ({}, "local"),
        ({"infra": "gcp"}, "gcp"),
        ({"cloud": "aws"}, "aws"),
        ({"gpus": "T4"}, "local"),
    ):
        assert str(flags.task_of(Values(given), str(file)).resources.infra) == infra
