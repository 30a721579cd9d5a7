"""Instances are switched when that is asked for, and at no other time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oracle_cloud import COMPARTMENT, REGION, OracleCloud

from components.oci.power import MADE, OciPowerProvider
from skyrig.errors import SkyrigError

PROVIDER = OciPowerProvider()
IDS = {"n0": "i0", "n1": "i1"}


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OracleCloud]:
    with OracleCloud() as running:
        for name, value in running.env(tmp_path).items():
            monkeypatch.setenv(name, value)
        for each in IDS.values():
            running.put(f"/instances/{each}", lifecycleState="RUNNING")
        yield running


def props(**changed: Any) -> dict[str, Any]:
    whole = {"account": COMPARTMENT, "region": REGION, "ids": IDS, "power": "up", "starts": 0, "nodes": None}
    return {**whole, **changed}


def created(**changed: Any) -> dict[str, Any]:
    outs: dict[str, Any] = PROVIDER.create(props(**changed)).outs
    return outs


def state(oracle: OracleCloud, id_: str, said: str) -> None:
    oracle.things[f"/instances/{id_}"]["lifecycleState"] = said


def test_a_new_cluster_runs_and_nobody_is_asked(oracle: OracleCloud) -> None:
    outs = created()
    assert outs["nodes"] == dict.fromkeys(IDS, MADE) and oracle.asked == []
    assert PROVIDER.read("", outs).outs == outs and oracle.calls == []


def test_what_stopped_itself_is_no_drift_and_another_start_starts_it(oracle: OracleCloud) -> None:
    outs = created()
    state(oracle, "i1", "STOPPED")
    outs = PROVIDER.read("", outs).outs
    assert outs["nodes"]["n1"]["status"] == "STOPPED" and not PROVIDER.diff("", outs, props()).changes
    wanted = props(starts=1.0)  # the engine has no whole numbers
    assert PROVIDER.diff("", outs, wanted).changes
    outs = PROVIDER.update("", outs, wanted).outs
    assert oracle.calls == ["START /instances/i1"]
    assert outs["nodes"] == {"n0": MADE, "n1": {"status": "RUNNING", "started": "start 1"}}
    assert PROVIDER.read("", outs).outs == outs and not PROVIDER.diff("", outs, wanted).changes


def test_power_stopped_and_up_again(oracle: OracleCloud) -> None:
    outs = PROVIDER.update("", created(), props(power="stopped")).outs
    assert sorted(oracle.calls) == ["SOFTSTOP /instances/i0", "SOFTSTOP /instances/i1"]
    state(oracle, "i0", "RUNNING")  # somebody started it from outside
    outs = PROVIDER.read("", outs).outs
    assert PROVIDER.diff("", outs, props(power="stopped")).changes
    oracle.calls.clear()
    outs = PROVIDER.update("", outs, props(power="stopped")).outs
    assert oracle.calls == ["SOFTSTOP /instances/i0"]
    assert {said["status"] for said in PROVIDER.update("", outs, props()).outs["nodes"].values()} == {"RUNNING"}


def test_a_new_node_starts_no_other_one(oracle: OracleCloud) -> None:
    outs = created()
    state(oracle, "i1", "STOPPED")
    outs = PROVIDER.read("", outs).outs
    outs = PROVIDER.update("", outs, props(ids={**IDS, "n2": "i2"})).outs
    assert oracle.calls == []
    assert [outs["nodes"][node]["status"] for node in ("n0", "n1", "n2")] == ["RUNNING", "STOPPED", "RUNNING"]


def test_one_that_is_gone_is_told_and_not_switched(oracle: OracleCloud) -> None:
    outs = created()
    oracle.end("/instances/i1")
    outs = PROVIDER.read("", outs).outs
    assert outs["nodes"]["n1"]["status"] == "GONE" and not PROVIDER.diff("", outs, props()).changes
    PROVIDER.update("", outs, props(power="stopped"))
    assert oracle.calls == ["SOFTSTOP /instances/i0"]


def test_what_cannot_be_switched_is_named(oracle: OracleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    outs = created()
    monkeypatch.setattr(oracle, "_acted", lambda *_: (409, {"code": "IncorrectState", "message": "it is being moved"}))
    with pytest.raises(SkyrigError, match=r"stop failed: i0: oci: POST /instances/i0: HTTP 409.*it is being moved"):
        PROVIDER.update("", outs, props(power="stopped"))
