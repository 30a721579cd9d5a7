"""The power of machines, against a server on loopback that plays Azure Resource Manager."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from manager import Manager, serve

from components.azure.power import AzurePowerProvider
from skyrig.clouds.azure import credentials
from skyrig.clouds.azure.arm import LOOPBACK, Arm, ArmError, of_environment

ACCOUNT = "11111111-2222-3333-4444-555555555555"
MACHINE = f"/subscriptions/{ACCOUNT}/resourceGroups/skyrig-a/providers/Microsoft.Compute/virtualMachines/n0-v1"
PRINCIPAL = {"ARM_TENANT_ID": ACCOUNT, "ARM_CLIENT_ID": ACCOUNT}
NEW = {"vm": MACHINE, "machine": "vmid-1", "account": ACCOUNT, "power": "up", "starts": 0}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    found = Manager()
    found.put(MACHINE)
    server = serve(found)
    monkeypatch.setenv(LOOPBACK, found.address)
    yield found
    server.shutdown()
    server.server_close()


def arm(manager: Manager, limit_s: float = 10.0) -> Arm:
    return Arm(manager.address, lambda: "the-token", limit_s=limit_s, pause_s=0.01)


def test_an_accepted_operation_is_followed_to_its_end(manager: Manager) -> None:
    manager.polls = 3
    arm(manager).act(MACHINE, "deallocate")
    assert manager.machines[MACHINE.lower()] == "deallocated" == arm(manager).power(MACHINE)
    assert manager.asked == ["POST deallocate", *["GET 0"] * 4, "GET instanceView"]
    assert set(manager.tokens) == {"Bearer the-token"}


def test_throttling_and_server_errors_are_asked_again(manager: Manager) -> None:
    for code in (429, 503, 429):
        manager.next.append((code, "TooManyRequests", {"Retry-After": "0"}))
    arm(manager).act(MACHINE, "deallocate")
    assert manager.asked[:4] == ["POST deallocate"] * 4 and manager.machines[MACHINE.lower()] == "deallocated"


def test_a_busy_machine_is_waited_for_until_the_time_is_up(manager: Manager) -> None:
    manager.next.append((409, "AnotherOperationInProgress", {"Retry-After": "0"}))
    arm(manager).act(MACHINE, "start")
    assert manager.asked[:2] == ["POST start"] * 2
    for _ in range(200):
        manager.next.append((409, "AnotherOperationInProgress", {}))
    with pytest.raises(ArmError, match=r"start n0-v1: AnotherOperationInProgress"):
        arm(manager, limit_s=0.2).act(MACHINE, "start")


def test_what_cannot_be_done_is_said_on_one_line(manager: Manager) -> None:
    manager.next.append((409, "SkuNotAvailable", {}))
    with pytest.raises(ArmError) as refused:
        arm(manager).act(MACHINE, "start")
    assert "\n" not in str(refused.value) and "start n0-v1: SkuNotAvailable" in str(refused.value)
    assert refused.value.hint and "capacity" in refused.value.hint
    manager.ends.append("AllocationFailed")
    with pytest.raises(ArmError, match="AllocationFailed") as failed:
        arm(manager).act(MACHINE, "start")
    assert failed.value.hint and "capacity" in failed.value.hint
    manager.polls = 1000
    with pytest.raises(ArmError, match="not done in"):
        arm(manager, limit_s=0.2).act(MACHINE, "start")


def test_a_machine_that_is_gone_is_told_from_a_subscription_that_is_not_ours(manager: Manager) -> None:
    gone = MACHINE.replace("n0-v1", "n9-v1")
    assert arm(manager).power(gone) is None
    with pytest.raises(ArmError, match="ResourceNotFound"):
        arm(manager).act(gone, "start")
    for code, error in (
        (404, "SubscriptionNotFound"),
        (403, "AuthorizationFailed"),
        (401, "InvalidAuthenticationToken"),
    ):
        manager.next.append((code, error, {}))
        with pytest.raises(ArmError, match=error):
            arm(manager).power(MACHINE)


def test_an_operation_is_followed_nowhere_else(manager: Manager) -> None:
    for headers in ({"Azure-AsyncOperation": "http://192.0.2.1/operations/0"}, {}):
        manager.next.append((202, "", headers))
        with pytest.raises(ArmError, match="is not said to be at"):
            arm(manager).act(MACHINE, "start")
    assert manager.asked == ["POST start"] * 2


def test_nobody_answers() -> None:
    with pytest.raises(ArmError, match="does not answer"):
        Arm("http://127.0.0.1:1", lambda: "", pause_s=0.01).power(MACHINE)


@pytest.mark.parametrize("address", ["http://192.0.2.7:80", "http://localhost.example:80", "nonsense"])
def test_only_a_server_on_this_machine_is_asked_without_a_token(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOOPBACK, address)
    with pytest.raises(ArmError, match=LOOPBACK):
        of_environment()


def lived(props: dict[str, Any]) -> dict[str, Any]:
    return dict(AzurePowerProvider().create(props).outs)


def test_a_new_machine_is_up_without_a_question(manager: Manager) -> None:
    outs = lived(NEW)
    assert (outs["seen"], outs["state"], outs["boot"]) == ("up", "running", "")
    assert manager.asked == []
    assert not AzurePowerProvider().diff("id", outs, NEW).changes
    read = AzurePowerProvider().read("id", outs).outs
    assert (read["seen"], read["boot"]) == ("up", "") and set(manager.tokens) == {""}
    assert AzurePowerProvider().read("id", read).outs == read


def test_a_start_from_outside_is_told_once(manager: Manager) -> None:
    provider = AzurePowerProvider()
    first = provider.read("id", lived(NEW)).outs
    for power in ("deallocated", "running"):
        manager.switch(MACHINE, power)
    second = provider.read("id", first).outs
    assert second["boot"] not in ("", first["boot"]) and provider.read("id", second).outs == second
    manager.switch(MACHINE, "deallocated")
    off = provider.read("id", second).outs
    assert (off["seen"], off["boot"]) == ("stopped", second["boot"])
    manager.switch(MACHINE, "starting")
    coming = provider.read("id", off).outs
    manager.machines[MACHINE.lower()] = "running"
    third = provider.read("id", coming).outs
    assert third["boot"] not in (first["boot"], second["boot"]) and not provider.diff("id", third, NEW).changes


def test_a_start_before_the_first_look_is_told_where_it_was_long_after_the_machine_was_made(manager: Manager) -> None:
    for power in ("deallocated", "running"):
        manager.switch(MACHINE, power)
    assert AzurePowerProvider().read("id", lived(NEW)).outs["boot"]


def test_a_new_machine_that_shall_be_off_is_deallocated(manager: Manager) -> None:
    outs = lived({**NEW, "power": "stopped"})
    assert (outs["seen"], outs["state"]) == ("stopped", "deallocated")
    assert not AzurePowerProvider().diff("id", outs, {**NEW, "power": "stopped"}).changes


def test_one_that_stopped_itself_is_no_drift_and_another_start_starts_it(manager: Manager) -> None:
    provider, outs = AzurePowerProvider(), lived(NEW)
    manager.machines[MACHINE.lower()] = "deallocated"
    read = provider.read("id", outs)
    assert read.outs["seen"] == "stopped" and not provider.diff("id", read.outs, NEW).changes
    again = {**NEW, "starts": 1.0}  # numbers come from the engine as floats
    difference = provider.diff("id", read.outs, again)
    assert difference.changes and not difference.replaces
    started = provider.update("id", read.outs, again).outs
    assert started["seen"] == "up" and started["boot"] and manager.machines[MACHINE.lower()] == "running"
    assert not provider.diff("id", started, again).changes


def test_a_start_leaves_one_that_runs_the_same(manager: Manager) -> None:
    outs = lived(NEW)
    assert AzurePowerProvider().update("id", outs, {**NEW, "starts": 1}).outs["boot"] == outs["boot"]


def test_stopped_means_deallocated(manager: Manager) -> None:
    """One that was shut down from inside is off, and still paid for."""
    provider, off = AzurePowerProvider(), {**NEW, "power": "stopped"}
    outs = provider.update("id", lived(NEW), off).outs
    assert outs["state"] == "deallocated"
    manager.machines[MACHINE.lower()] = "stopped"
    read = provider.read("id", outs)
    assert read.outs["seen"] == "stopped" and provider.diff("id", read.outs, off).changes
    assert provider.update("id", read.outs, off).outs["state"] == "deallocated"
    up = provider.update("id", outs, NEW).outs
    assert up["seen"] == "up" and up["boot"] != outs["boot"]


def test_one_that_is_gone_is_dropped_and_another_machine_is_another_resource(manager: Manager) -> None:
    provider, outs = AzurePowerProvider(), lived(NEW)
    assert provider.diff("id", outs, {**NEW, "machine": "vmid-2"}).replaces == ["machine"]
    manager.drop(MACHINE)
    assert provider.read("id", outs).id is None


def test_a_machine_of_another_subscription_is_left_alone(manager: Manager) -> None:
    other = {**NEW, "vm": MACHINE.replace("1111", "9999")}
    with pytest.raises(ArmError, match="left alone"):
        AzurePowerProvider().create(other)
    assert manager.asked == []


def test_the_state_refers_to_the_class_by_name_and_the_sdk_is_not_needed_for_it() -> None:
    text = pickle.dumps(AzurePowerProvider())
    assert len(text) < 100 and b"components.azure.power" in text
    heavy = "{'pulumi_azure_native', 'requests', 'azure.identity'}"
    code = f"import sys, components.azure.power; print({heavy} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({**PRINCIPAL, "ARM_CLIENT_SECRET": "s"}, "ClientSecretCredential"),
        ({"ARM_USE_MSI": "true"}, "ManagedIdentityCredential"),
        (
            {**PRINCIPAL, "ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN_FILE_PATH": "/f"},
            "WorkloadIdentityCredential",
        ),
        ({"ARM_USE_DEFAULT_AZURE_CREDENTIAL": "true"}, "DefaultAzureCredential"),
        ({**PRINCIPAL, "ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN": "t"}, "ClientAssertionCredential"),
        ({}, "AzureCliCredential"),
    ],
)  # fmt: skip
def test_who_asks_is_who_the_provider_is(environment: dict[str, str], kind: str) -> None:
    assert type(credentials._credential(environment)).__name__ == kind


def test_sovereign_clouds_have_managers_of_their_own() -> None:
    assert credentials.audience({}) == "https://management.azure.com"
    assert credentials.audience({"ARM_ENVIRONMENT": "usgovernment"}) == "https://management.usgovcloudapi.net"
