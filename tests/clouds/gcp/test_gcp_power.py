"""Machines are switched when that is asked for, and at no other time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from compute_server import ComputeServer

from components.gcp.power import MADE, GcpPowerProvider
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.gcp.switching import Zone
from skyrig.errors import SkyrigError

PROVIDER = GcpPowerProvider()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ComputeServer]:
    with ComputeServer() as running:
        monkeypatch.setenv("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", running.endpoint)
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
        running.machines = {"c-n0-v1": "RUNNING", "c-n1-v1": "RUNNING"}
        yield running


def props(**changed: Any) -> dict[str, Any]:
    whole = {"project": "p", "zone": "us-central1-a", "machines": {"n0": "c-n0-v1", "n1": "c-n1-v1"}}
    return {**whole, "ids": {"n0": "1", "n1": "2"}, "power": "up", "starts": 0, "nodes": None, **changed}


def created(**changed: Any) -> dict[str, Any]:
    outs: dict[str, Any] = PROVIDER.create(props(**changed)).outs
    return outs


def test_a_new_cluster_runs(server: ComputeServer) -> None:
    outs = created()
    assert outs["nodes"] == dict.fromkeys(("n0", "n1"), MADE)
    assert server.calls == [] and server.tokens == set()  # nobody was asked
    assert PROVIDER.read("p/us-central1-a", outs).outs == outs
    assert server.tokens == {"Bearer a-token"}


def test_a_new_cluster_can_be_stopped(server: ComputeServer) -> None:
    outs = created(power="stopped")
    assert {said["status"] for said in outs["nodes"].values()} == {"TERMINATED"}
    assert sorted(server.calls) == ["stop c-n0-v1 true", "stop c-n1-v1 true"]


@pytest.mark.parametrize("refreshed", [False, True])
def test_what_stopped_itself_is_no_drift(server: ComputeServer, refreshed: bool) -> None:
    outs = created()
    server.machines["c-n1-v1"] = "TERMINATED"
    if refreshed:
        outs = PROVIDER.read("p/us-central1-a", outs).outs
        assert outs["nodes"]["n1"]["status"] == "TERMINATED"
    assert not PROVIDER.diff("", outs, props()).changes
    assert server.calls == []


def test_a_machine_that_was_stopped_and_started_from_outside_is_seen_to_have_restarted(server: ComputeServer) -> None:
    outs = created()
    server.machines["c-n1-v1"] = "TERMINATED"
    Zone("p", "us-central1-a").switch(["c-n1-v1"], "start")
    nodes = PROVIDER.read("", outs).outs["nodes"]
    assert nodes == {"n0": MADE, "n1": {"status": "RUNNING", "started": "start 1"}}


@pytest.mark.parametrize("refreshed", [False, True])
def test_another_start_starts_what_is_off_alone(server: ComputeServer, refreshed: bool) -> None:
    outs = created()
    server.machines["c-n1-v1"] = "TERMINATED"
    if refreshed:
        outs = PROVIDER.read("p/us-central1-a", outs).outs
    wanted = props(starts=1)
    assert PROVIDER.diff("", outs, wanted).changes
    outs = PROVIDER.update("", outs, wanted).outs
    assert server.calls == ["start c-n1-v1"]
    assert outs["nodes"]["n1"] == {"status": "RUNNING", "started": "start 1"}
    assert not PROVIDER.diff("", outs, wanted).changes


def test_power_stopped_and_up_again(server: ComputeServer) -> None:
    outs = created()
    wanted = props(power="stopped")
    assert PROVIDER.diff("", outs, wanted).changes
    outs = PROVIDER.update("", outs, wanted).outs
    assert not PROVIDER.diff("", outs, wanted).changes
    server.machines["c-n0-v1"] = "RUNNING"  # somebody started it from outside
    outs = PROVIDER.read("", outs).outs
    assert PROVIDER.diff("", outs, wanted).changes
    server.calls.clear()
    outs = PROVIDER.update("", outs, wanted).outs
    assert server.calls == ["stop c-n0-v1 true"]
    outs = PROVIDER.update("", outs, props()).outs
    assert sorted(server.calls[1:]) == ["start c-n0-v1", "start c-n1-v1"]
    assert {said["status"] for said in outs["nodes"].values()} == {"RUNNING"}


def test_a_new_node_starts_no_other_one(server: ComputeServer) -> None:
    outs = created()
    server.machines.update({"c-n1-v1": "TERMINATED", "c-n2-v1": "RUNNING"})
    outs = PROVIDER.read("", outs).outs
    machines = {"n0": "c-n0-v1", "n1": "c-n1-v1", "n2": "c-n2-v1"}
    wanted = props(machines=machines, ids={"n0": "1", "n1": "2", "n2": "3"})
    assert PROVIDER.diff("", outs, wanted).changes
    outs = PROVIDER.update("", outs, wanted).outs
    assert server.calls == []
    assert [outs["nodes"][node]["status"] for node in machines] == ["RUNNING", "TERMINATED", "RUNNING"]


def test_who_is_made_and_removed_needs_no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", "http://127.0.0.1:9")
    outs = created()
    wanted = props(machines={"n0": "c-n0-v1", "n2": "c-n2-v1"}, ids={"n0": "7", "n2": "3"})
    outs = PROVIDER.update("", outs, wanted).outs
    assert outs["nodes"] == {node: {"status": "RUNNING", "started": ""} for node in ("n0", "n2")}


def test_a_machine_that_is_gone_is_told(server: ComputeServer) -> None:
    outs = created()
    del server.machines["c-n1-v1"]
    outs = PROVIDER.read("", outs).outs
    assert outs["nodes"]["n1"] == {"status": "GONE", "started": ""}
    assert not PROVIDER.diff("", outs, props()).changes
    PROVIDER.update("", outs, props(power="stopped"))
    assert server.calls == ["stop c-n0-v1 true"]


def test_a_start_without_capacity_names_the_machine(server: ComputeServer) -> None:
    outs = created(power="stopped")
    server.without_capacity = {"c-n1-v1"}
    with pytest.raises(SkyrigError, match="start failed: c-n1-v1: the zone has no such machine left"):
        PROVIDER.update("", outs, props())
    server.without_capacity, server.calls = set(), []
    assert PROVIDER.diff("", outs, props()).changes  # the state is the old one: the next run does the rest
    PROVIDER.update("", outs, props())
    assert server.calls == ["start c-n1-v1"]


def test_an_api_that_refuses_is_quoted(server: ComputeServer) -> None:
    with pytest.raises(SkyrigError, match=r"stop failed: c-n9-v1: .*HTTP 404: c-n9-v1 was not found"):
        Zone("p", "us-central1-a").switch(["c-n9-v1"], "stop")


def test_credentials_that_are_no_file_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN", raising=False)
    monkeypatch.setenv("GOOGLE_CREDENTIALS", "/no/such/file")
    with pytest.raises(NotUsable, match="no credentials of Google Cloud"):
        Zone("p", "us-central1-a")


def test_a_large_cluster_is_looked_at_page_by_page(server: ComputeServer) -> None:
    server.page, names = 3, [f"c-n{number}-v1" for number in range(10)]
    server.machines = {**dict.fromkeys(names, "RUNNING"), "other-n0-v1": "TERMINATED"}
    assert {name: said["status"] for name, said in Zone("p", "z").look(names).items()} == dict.fromkeys(
        names, "RUNNING"
    )


def test_who_is_impersonated_is_asked_for(server: ComputeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of that account is asked for with the caller's own; nobody answers for it here."""
    monkeypatch.setenv("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT", "deployer@p.iam.gserviceaccount.com")
    monkeypatch.setenv("HTTPS_PROXY", server.endpoint)
    with pytest.raises(NotUsable, match="iamcredentials"):
        Zone("p", "us-central1-a").look(["c-n0-v1"])
    assert server.tokens == set()
