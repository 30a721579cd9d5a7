"""Task files: the folders `good` and `bad` hold one case a file."""

import json
from pathlib import Path

import pytest

from skyrig.errors import BadInput
from skyrig.task import normal
from skyrig.task.model import Task
from skyrig.task.reading import load

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted((HERE / "good").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_good_file_reads_as_written_down(file: Path) -> None:
    found = normal.of_task(load(file).only())
    assert {name: value for name, value in found.items() if value != _USUAL[name]} == json.loads(
        file.with_suffix(".json").read_text()
    )


_USUAL = normal.of_task(Task())


@pytest.mark.parametrize("file", sorted((HERE / "bad").glob("*.txt")), ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_every_reason(file: Path) -> None:
    task = file.with_suffix(".yaml")
    with pytest.raises(BadInput) as refused:
        load(task)
    assert str(refused.value).splitlines() == [f"{task}:{line}" for line in file.read_text().splitlines()]


def test_broken_yaml_names_the_place() -> None:
    task = HERE / "bad" / "broken.yaml"
    with pytest.raises(BadInput, match=r"broken\.yaml:[34]:\d+: "):
        load(task)


@pytest.mark.parametrize("text", ["- a\n- b\n", "text", "a: 1\n---\nb: 2\n", "{}\n---\n{}\n"])
def test_what_is_no_single_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"task\.yaml"):
        load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "none.yaml")


def test_the_command_line_wins_and_fills_null_values(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("envs: {A: one, B: }\nsecrets: {S: }\nworkdir: $DIR\nrun: echo\n")
    (tmp_path / "src").mkdir()
    task = load(file, env={"A": "1", "B": "2", "DIR": str(tmp_path / "src")}, secrets={"S": "hidden"}).only()
    assert (task.env["A"], task.env["B"], task.secrets) == ("1", "2", {"S": "hidden"})
    assert task.folder == tmp_path / "src"
    assert "hidden" not in repr(task)


def test_how_long_an_autostop_waits_for_buckets(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("run: echo\nconfig: {skyrig: {flush_timeout: 1200}}\n")
    assert load(file).only().config.flush_s == 1200 and Task().config.flush_s is None
    file.write_text("run: echo\nconfig: {skyrig: {flush_timeout: -1}}\n")
    with pytest.raises(BadInput, match=r"config\.skyrig\.flush_timeout: -1 is out of range"):
        load(file)
