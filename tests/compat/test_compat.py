"""Task files beside SkyPilot: `cases`, `seeds` and `asked` hold what SkyPilot 0.14.1 itself makes of them.

Where Skyrig differs on purpose, `differs.json` says how and why. It may refuse earlier what SkyPilot refuses later, and
it mends what has one clear meaning.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skyrig.errors import BadInput
from skyrig.task import normal, reading
from skyrig.task.model import TaskFile

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.yaml"))
SEEDS = sorted((HERE / "seeds").glob("*.yaml"))
ASKED = [json.loads(line) for line in (HERE / "asked" / "asked.jsonl").read_text().splitlines()]
DIFFERS: dict[str, Any] = json.loads((HERE / "differs.json").read_text())
MENDED = {"x02_num_nodes_in_res", "x15_acc_multiline", "w05_storage_noname", "w10_storage_null"}


def form(file: TaskFile) -> dict[str, Any]:
    """The normal form without what is ours alone."""
    found = json.loads(json.dumps(normal.of_file(file)))
    del found["skyrig"], found["later_rejected"]
    for task in found.get("tasks", ()):
        del task["skyrig"], task["later_errors"]
    return found


def theirs(file: Path) -> dict[str, Any]:
    """SkyPilot's answer without what it says of later checks, and without its leak of labels between candidates."""
    found = json.loads(file.read_text())
    found.pop("later_rejected", None)
    for task in found.get("tasks", ()):
        task.pop("later_errors", None)
    return found


def places(error: BadInput, name: str) -> Iterator[bool]:
    """Of each line of an error, whether it begins with file, line and column."""
    for line in str(error).splitlines():
        where = line.removeprefix(name).split(":")
        yield line.startswith(name) and where[1].isdigit() and where[2].isdigit()


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_case_is_what_skypilot_makes_of_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    expected, later = theirs(file.with_suffix(".json")), json.loads(file.with_suffix(".json").read_text())
    if file.stem in MENDED:
        assert reading.load(Path(file.name)).mends
    elif expected["ok"] and not (later.get("later_rejected") and _refused(file.name)):
        assert normal.of_file(reading.load(Path(file.name)))["later_rejected"] == later["later_rejected"]
        found = form(reading.load(Path(file.name)))
        if file.stem == "v17_any_of":
            assert [each.pop("labels") for each in found["resources"]] == [{"team": "ml"}, _SPOT, {"team": "ml"}]
            for each in expected["resources"]:
                each.pop("labels")
        assert found == expected
    else:
        with pytest.raises(BadInput) as refused:
            reading.load(Path(file.name))
        assert all(places(refused.value, file.name))


_SPOT = {"team": "ml", "tier": "spot"}


def _refused(name: str) -> bool:
    try:
        reading.load(Path(name))
    except BadInput:
        return True
    return False


@pytest.mark.parametrize("file", SEEDS, ids=lambda file: file.stem)
def test_a_seed_is_what_skypilot_makes_of_it_once_mended(file: Path) -> None:
    mended = file.with_name(f"{file.stem}_repaired.json")
    expected = theirs(mended if mended.exists() else file.with_suffix(".json"))
    read = reading.load(file, env={"WANDB_API_KEY": "key"} if file.stem == "seed002_08" else {})
    found = form(read)
    assert bool(read.mends) == (mended.exists() or file.stem in ("seed000_01", "seed002_03"))
    if file.stem == "seed002_08":  # the repaired text names a bucket; ours gets its name when it is made
        found["storage_mounts"]["/checkpoint"]["name"] = "my-bucket"
    if mended.exists() and "<<" in (found["run"] or ""):  # theirs was repaired by hand, with other indentation
        found["run"], expected["run"] = (_unindented(each["run"]) for each in (found, expected))
    assert found == expected


def _unindented(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_what_skypilot_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "asked")
    assert [told for told in map(_difference, ASKED) if told] == []


def _difference(asked: dict[str, Any]) -> str:
    """How we differ from SkyPilot's answer, "" where we do not but on purpose."""
    differs = DIFFERS.get(asked["yaml"])
    takes = differs["skyrig"] == "takes" if differs else asked["ok"]
    try:
        found = form(reading.loads(asked["yaml"], "f.yaml"))
    except BadInput as refused:
        return "" if not takes and all(places(refused, "f.yaml")) else f"{asked['yaml']!r} was refused: {refused}"
    if not takes:
        return f"{asked['yaml']!r} was taken"
    same = bool(differs) or found == _complete({"ok": True, "kind": "task", **asked["normal"]})
    return "" if same else f"{asked['yaml']!r} was taken as {found}"


def _complete(told: dict[str, Any]) -> dict[str, Any]:
    """An answer with the fields of an empty task where it says nothing."""
    usual = theirs(HERE / "cases" / "v02_empty_map.json")
    if told["kind"] == "pipeline":
        tasks = [_complete({"kind": "task", **each}) for each in told["tasks"]]
        for each in tasks:
            del each["ok"], each["kind"]
        return {**told, "tasks": tasks}
    resources = [{**usual["resources"][0], **each} for each in told.get("resources", [{}])]
    return {**usual, **told, "resources": resources}
