"""Plans and choices from Python."""

from __future__ import annotations

import io

import pytest

import skyrig as sky
from skyrig.errors import BadInput, NoCapacity


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("api")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder / "none"))
    monkeypatch.setenv("SKYRIG_HOME", str(folder / "home"))
    monkeypatch.setenv("SKYRIG_CACHE", str(folder / "cache"))


def test_a_dry_run_shows_the_plan_and_makes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    task = sky.Task(name="it", run="hostname", resources=sky.Resources(infra="aws", accelerators="L4:1"))
    told = io.StringIO()
    assert sky.stream_and_get(sky.launch(task, "it", dryrun=True), output_stream=told) == (None, None)
    assert "Plan of it on it: 1 node, a new cluster" in told.getvalue() and "g6.xlarge" in told.getvalue()
    assert sky.get(sky.status()) == []


def test_the_choice_is_marked_on_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    with sky.Dag() as dag:
        cheap = sky.Task(run="true", resources={"accelerators": {"H100": 8, "L4": 1}, "infra": "aws"})
        cheap.set_time_estimator(lambda each: 3600 if "H100" in (each.accelerators or {}) else 360_000)
    found = sky.get(sky.optimize(dag))
    assert found is dag and cheap.best_resources is not None
    assert cheap.best_resources.instance_type == "p5.48xlarge", "an hour of it is cheaper than a hundred of an L4"
    fast = sky.Task(run="true", resources={"accelerators": {"H100": 8, "L4": 1}, "infra": "aws"})
    fast.set_time_estimator(lambda each: 7200 if "H100" in (each.accelerators or {}) else 3600)
    sky.get(sky.optimize(fast, sky.OptimizeTarget.TIME))
    assert fast.best_resources is not None and fast.best_resources.accelerators == {"L4": 1}


def test_what_cannot_be_chosen_is_said() -> None:
    with pytest.raises(BadInput, match="does not say how long"):
        sky.optimize(sky.Task(run="true"), sky.OptimizeTarget.TIME)
    with pytest.raises(BadInput, match="holds no task"):
        sky.optimize(sky.Dag())
    with pytest.raises(NoCapacity, match="no cloud is usable"):
        sky.get(sky.optimize(sky.Task(run="true", resources={"accelerators": "H100:8"})))
