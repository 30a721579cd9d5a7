"""What Azure is asked beside the engine: real HTTP against a Resource Manager on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import azure_stack
import pytest
from azure_stack import ACCOUNT, KIND, fill, home, machine, network
from manager import Manager

from skyrig import renting
from skyrig.catalog import prices
from skyrig.clouds import cloud
from skyrig.clouds.azure import arm, credentials, finding
from skyrig.clouds.cloud import NotUsable
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import EngineError, SkyrigError
from skyrig.stack import guard

GOLDEN = Path(__file__).parent / "golden"
REGION = "eastus"


def azure() -> cloud.Cloud:
    return cloud.of("azure")


def test_machines_are_told_by_what_they_are_now(manager: Manager) -> None:
    fill(manager, "seen", "n0", "n1", "n2", "n3")
    fill(manager, "another", "n0")
    manager.switch(machine("seen", "n1"), "deallocated")
    manager.switch(machine("seen", "n2"), "stopped")
    manager.drop(machine("seen", "n3"))
    seen = {each.node_id: each for each in azure().machines("seen", REGION)}
    assert {node: each.power for node, each in seen.items()} == {"n0": "up", "n1": "stopped", "n2": "stopped"}
    assert (seen["n0"].machine, seen["n0"].public, seen["n0"].private) == ("vmid-seen-n0", "203.0.113.4", "10.77.0.4")
    assert (seen["n1"].public, seen["n1"].private) == ("", "10.77.0.5")
    assert azure().machines("nothing", REGION) == []


def test_a_group_of_somebody_elses_is_left_alone(manager: Manager) -> None:
    manager.put(home("theirs"), tags={})
    manager.put(machine("theirs", "n0"), tags={}, properties={"vmId": "x"})
    assert azure().machines("theirs", REGION) == [] == azure().leftovers("theirs", REGION)


def test_pages_are_followed_on_this_server_alone(manager: Manager) -> None:
    manager.page = 1
    fill(manager, "paged", "n0", "n1", "n2")
    assert [each.node_id for each in azure().machines("paged", REGION)] == ["n0", "n1", "n2"]
    path = f"/subscriptions/{ACCOUNT}/providers/x"
    manager.said[path] = {"value": [1], "nextLink": "http://192.0.2.1/more"}
    manager.page = 100
    with pytest.raises(SkyrigError, match="is not said to be at"):
        arm.of_environment().listed(path, "v")


def test_throttling_is_waited_for(manager: Manager) -> None:
    fill(manager, "slow", "n0")
    for code in (429, 503, 429):
        manager.next.append((code, "TooManyRequests", {"Retry-After": "0"}))
    assert len(azure().machines("slow", REGION)) == 1
    assert len(manager.asked) == 3 + 5


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AuthorizationFailed"), (401, "ExpiredAuthenticationToken"), (400, "Broken")]
)
def test_what_is_denied_never_looks_like_nothing(manager: Manager, status: int, code: str) -> None:
    fill(manager, "held", "n0")
    for ask in (azure().machines, azure().leftovers):
        manager.next.append((status, code, {}))
        with pytest.raises(SkyrigError, match=f"azure: .*{code}") as refused:
            ask("held", REGION)
        assert isinstance(refused.value, NotUsable) == (status != 400) and "\n" not in str(refused.value)


def test_an_unknown_subscription_never_looks_like_nothing(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(manager, "mine", "n0")
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", ACCOUNT.replace("1", "9"))
    inputs = {"resourceGroupName": "skyrig-mine", "vmName": "n0-v1", "tags": {"skyrig-stack": "mine"}}
    for ask in (
        lambda: azure().machines("mine", REGION),
        lambda: azure().leftovers("mine", REGION),
        lambda: azure().find("azure-native:compute:VirtualMachine", inputs, REGION),
    ):
        with pytest.raises(NotUsable, match=r"SubscriptionNotFound.*az account set"):
            ask()


PRICE = prices.hourly("azure", REGION, KIND, spot=False)
SPOT = prices.hourly("azure", REGION, KIND, spot=True)


def test_what_is_left_is_named_with_its_price_and_removed_in_order(manager: Manager) -> None:
    fill(manager, "left", "n0", "n1")
    manager.switch(machine("left", "n1"), "deallocated")
    left = azure().leftovers("left", REGION)
    assert [(each.kind, each.id, each.hourly) for each in left if each.hourly] == [
        ("machine", "skyrig-left/n0-v1", PRICE),
        ("disk", "skyrig-left/n0-v1-boot", pytest.approx(9.6 / 730)),
        ("disk", "skyrig-left/n1-v1-boot", pytest.approx(9.6 / 730)),
        ("NAT gateway", "skyrig-left/gateway", 0.045),
        ("address", "skyrig-left/gateway", 0.005),
        ("address", "skyrig-left/n0-v1", 0.005),
    ]
    assert PRICE and left[-1].id == "skyrig-left" and {each.kind for each in left} >= {"role", "role assignment"}
    azure().remove("left", REGION, left)  # the server refuses to remove what others hang on
    assert azure().leftovers("left", REGION) == [] and manager.things == {}


def test_spot_and_a_machine_that_is_off_but_paid_for(manager: Manager) -> None:
    fill(manager, "spot", "n0", priority="Spot")
    manager.switch(machine("spot", "n0"), "stopped")
    assert SPOT != PRICE and azure().leftovers("spot", REGION)[0].hourly == SPOT


def test_what_stays_is_listed_again_and_what_is_not_ours_stays(manager: Manager) -> None:
    fill(manager, "kept", "n0")
    bucket = f"{home('kept')}/providers/Microsoft.Storage/storageAccounts/skykept"
    manager.put(bucket, tags={"skyrig-stack": "kept"})
    theirs = f"{home('kept')}/providers/Microsoft.Compute/disks/theirs"
    manager.put(theirs, tags={"skyrig-stack": "other"}, sku={}, properties={})
    address = network("kept", "publicIPAddresses/gateway")
    manager.locked.add(address.lower())
    azure().remove("kept", REGION, azure().leftovers("kept", REGION))
    assert [str(each) for each in azure().leftovers("kept", REGION)] == ["address skyrig-kept/gateway ($0.0050/h)"]
    manager.locked.clear()
    azure().remove("kept", REGION, azure().leftovers("kept", REGION))
    assert azure().leftovers("kept", REGION) == []
    assert set(manager.things) == {home("kept").lower(), bucket.lower(), theirs.lower()}


def test_a_role_whose_group_is_gone_is_found(manager: Manager) -> None:
    manager.put(azure_stack.role("lone"))
    left = azure().leftovers("lone", REGION)
    assert [each.kind for each in left] == ["role"]
    azure().remove("lone", REGION, left)
    assert azure().leftovers("lone", REGION) == []


def made() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every resource of every golden cluster that is Azure's."""
    for file in sorted(GOLDEN.glob("*.json")):
        if not file.name.endswith(".cluster.json"):
            for each in json.loads(file.read_text()):
                if each["type"].startswith("azure-native:"):
                    yield each["type"], each["inputs"]


PATHS = {
    "VirtualMachine": "Microsoft.Compute/virtualMachines/n0-v1",
    "VirtualMachineExtension": "Microsoft.Compute/virtualMachines/the-machine/extensions/nvidia-driver",
    "AvailabilitySet": "Microsoft.Compute/availabilitySets/fabric",
    "VirtualMachineScaleSet": "Microsoft.Compute/virtualMachineScaleSets/fabric",
    "ProximityPlacementGroup": "Microsoft.Compute/proximityPlacementGroups/near",
    "UserAssignedIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities/nodes",
    "ApplicationSecurityGroup": "Microsoft.Network/applicationSecurityGroups/head",
    "LoadBalancer": "Microsoft.Network/loadBalancers/entrance",
    "NatGateway": "Microsoft.Network/natGateways/gateway",
    "NetworkInterface": "Microsoft.Network/networkInterfaces/n0-v1",
    "NetworkSecurityGroup": "Microsoft.Network/networkSecurityGroups/rules",
    "PublicIPAddress": "Microsoft.Network/publicIPAddresses/n0-v1",
    "Subnet": "Microsoft.Network/virtualNetworks/network/subnets/nodes",
    "VirtualNetwork": "Microsoft.Network/virtualNetworks/network",
}


@pytest.mark.parametrize("kind", [*PATHS, "ResourceGroup", "RoleDefinition", "RoleAssignment"])
def test_a_cut_off_create_of_every_type_is_found_under_the_engines_id(manager: Manager, kind: str) -> None:
    """The registrations of golden clusters, put where Azure has such things."""
    found = next((each for each in made() if each[0].endswith(f":{kind}") and _fits(*each)), None)
    assert found is not None
    token, inputs = found
    inputs = {**inputs, "scope": f"/subscriptions/{ACCOUNT}/resourceGroups/skyrig-x"} if "scope" in inputs else inputs
    group = inputs.get("resourceGroupName", "skyrig-x")
    path = f"/subscriptions/{ACCOUNT}/resourceGroups/{group}"
    if kind in PATHS:
        path += f"/providers/{PATHS[kind]}"
    elif kind != "ResourceGroup":
        called = inputs.get("roleAssignmentName") or inputs["roleDefinitionId"]
        path += f"/providers/Microsoft.Authorization/{kind[0].lower()}{kind[1:]}s/{called}"
    assert azure().find(token, inputs, REGION) is None
    manager.put(path, tags=inputs.get("tags", {}))
    if kind == "Subnet":
        assert azure().find(token, inputs, REGION) is None
        manager.put(path.partition("/subnets")[0], tags={"skyrig-stack": "x"})
    assert azure().find(token, inputs, REGION) == path
    if "tags" in inputs:
        manager.put(path, tags={**inputs["tags"], "skyrig-stack": "other"})
        assert azure().find(token, inputs, REGION) is None
        with pytest.raises(SkyrigError, match="without tags"):
            azure().find(token, {**inputs, "tags": {}}, REGION)
        manager.put(path, tags=inputs["tags"], properties={"provisioningState": "Deleting"})
        assert azure().find(token, inputs, REGION) is None


def _fits(token: str, inputs: dict[str, Any]) -> bool:
    """Whether a registration is the one of its type that PATHS has."""
    wanted = PATHS.get(token.rpartition(":")[2])
    return wanted is None or wanted.rpartition("/")[2] in inputs.values()


def test_every_type_that_a_cluster_has_can_be_looked_for(manager: Manager) -> None:
    kinds = {kind.removeprefix("azure-native:") for kind, _ in made()}
    assert kinds <= set(finding._PLACES) and len(kinds) == 17
    with pytest.raises(SkyrigError, match="nobody knows"):
        azure().find("azure-native:sql:Server", {}, REGION)
    assert azure().find("azure-native:storage:BlobServiceProperties", {}, REGION) is None


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Somebody without any account; the folder of their az CLI."""
    for name in (arm.LOOPBACK, "ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID", "ARM_CLIENT_SECRET", "ARM_USE_MSI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    return tmp_path


def logged_in(folder: Path, subscription: str) -> None:
    """What the az CLI writes when somebody logs in."""
    listed = [{"id": "x", "isDefault": False}, {"id": subscription.upper(), "isDefault": True}]
    (folder / "azureProfile.json").write_text(json.dumps({"subscriptions": listed}), encoding="utf-8-sig")


def test_whose_account_it_is(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert azure().account(REGION) == "" and "no credentials: `az login`" in azure().missing()
    with pytest.raises(NotUsable, match="no credentials: `az login`"):
        azure().machines("x", REGION)
    assert [(each.what, each.ok) for each in azure().check(REGION, None)] == [("credentials", False)]
    monkeypatch.setenv("ARM_USE_MSI", "true")
    assert azure().missing() == "" == azure().account(REGION)
    with pytest.raises(NotUsable, match="nothing says which subscription"):
        azure().leftovers("x", REGION)
    monkeypatch.delenv("ARM_USE_MSI")
    other = ACCOUNT.replace("1", "a")
    logged_in(nobody, other)
    assert azure().account(REGION) == other and azure().missing() == ""
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "second")
    assert azure().account(REGION) == "second"
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", ACCOUNT)
    assert azure().account(REGION) == ACCOUNT and list(azure().zones(REGION, KIND)) == [""]


@pytest.mark.usefixtures("nobody")
def test_a_login_that_does_not_work_is_said_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotUsable, match=r"nobody is logged in: .*`az login`") as refused:
        credentials.tokens({})()
    assert "\n" not in str(refused.value)
    with pytest.raises(NotUsable, match="ARM_TENANT_ID or ARM_CLIENT_ID is not set"):
        credentials.tokens({"ARM_CLIENT_SECRET": "s"})


def shape(account: str = ACCOUNT) -> Shape:
    """Two nodes of this type."""
    machine = Machine(instance_type=KIND, region=REGION, account=account, capacity=Capacity())
    return Shape(cloud="azure", machine=machine)


def test_another_subscription_is_refused_before_anything_is_done(manager: Manager) -> None:
    guard.check("mine", shape())
    with pytest.raises(guard.WrongAccount, match=f"azure account 9.*, the credentials here to {ACCOUNT}"):
        guard.check("mine", shape(ACCOUNT.replace("1", "9")))
    assert manager.asked == []


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ('Status=<nil> Code="OverconstrainedZonalAllocationRequest" Message="Allocation failed. VM(s) ...',
         "azure has no .*Overconstrained.*--region"),
        ('Code="SkuNotAvailable" Message="The requested VM size ... is currently not available in location',
         "SkuNotAvailable"),
        ('Code="OperationNotAllowed" Message="Operation could not be completed as it results in exceeding approved '
         'standardNDSH100v5Family Cores quota', "quota does not allow"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_by_its_code(said: str, means: str) -> None:
    refused = renting.refused(shape(), EngineError(said))
    assert refused is not None
    with pytest.raises(SkyrigError, match=means):
        raise refused
    assert renting.refused(shape(), EngineError('Code="OperationNotAllowed" Message="the VM is being deleted"')) is None


def test_nothing_heavy_is_imported_to_know_the_cloud() -> None:
    heavy = "{'requests', 'azure.identity', 'pulumi', 'pulumi_azure_native'}"
    code = f"import sys, skyrig.clouds.azure.cloud; print({heavy} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
