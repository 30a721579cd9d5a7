"""Whether Azure can be used: every finding good and bad, by real HTTP against a Resource Manager on loopback."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from azure_stack import ACCOUNT, KIND
from manager import Manager

from skyrig.clouds import cloud
from skyrig.clouds.azure import check
from skyrig.clouds.cloud import Finding, Wanted

REGION = "eastus"


def offered(manager: Manager, **changed: Any) -> None:
    """A subscription in which a cluster can be made, but for what is changed."""
    said = {
        "permissions": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/write"]},
                        {"actions": ["Microsoft.Authorization/*"], "notActions": []}],
        "registered": "Registered",
        "feature": "Registered",
        "sku": {"resourceType": "virtualMachines", "name": KIND, "family": "standardNDSH100v5Family",
                "locationInfo": [{"location": REGION, "zones": ["3", "1"]}], "restrictions": []},
        "usage": {"cores": (500, 4), "standardNDSH100v5Family": (200, 8), "lowPriorityCores": (100, 0)},
        **changed,
    }  # fmt: skip
    top = f"/subscriptions/{ACCOUNT}/providers/"
    usages = [{"name": {"value": name}, "limit": most, "currentValue": used}
              for name, (most, used) in said["usage"].items()]  # fmt: skip
    answers = {
        "Microsoft.Authorization/permissions": {"value": said["permissions"]},
        **{namespace: {"registrationState": said["registered"]} for namespace in check.PROVIDERS},
        "Microsoft.Features/providers/Microsoft.Compute/features/EncryptionAtHost": {
            "properties": {"state": said["feature"]}
        },
        "Microsoft.Compute/skus": {"value": [{"resourceType": "disks", "name": KIND}, said["sku"]]},
        f"Microsoft.Compute/locations/{REGION}/usages": {"value": usages},
    }
    manager.said |= {f"{top}{path}".lower(): answer for path, answer in answers.items()}


def found(wanted: Wanted | None = None) -> dict[str, Finding]:
    return {each.what: each for each in cloud.of("azure").check(REGION, wanted)}


def test_a_subscription_that_will_do(manager: Manager) -> None:
    offered(manager)
    manager.page = 1
    seen = found(Wanted(KIND, nodes=2))
    assert list(seen) == [
        "credentials", "rights of Contributor", "rights of User Access Administrator",
        "Microsoft.Compute", "Microsoft.ManagedIdentity", "Microsoft.Network", "EncryptionAtHost",
        KIND, "quota cores", "quota standardNDSH100v5Family",
    ]  # fmt: skip
    assert all(each.ok for each in seen.values()), seen
    assert seen["credentials"].said == f"subscription {ACCOUNT} (lab)" and seen[KIND].said == "in eastus, zones 1, 3"
    assert seen["quota cores"].said == "500 vCPUs allowed, 4 in use, 192 wanted"
    assert set(found()) == set(seen) - {KIND, "quota cores", "quota standardNDSH100v5Family"}


def away(kind: str, **more: Any) -> dict[str, Any]:
    """A type with a restriction."""
    each = {"type": kind, "reasonCode": "NotAvailableForSubscription", **more}
    return {"resourceType": "virtualMachines", "name": KIND, "restrictions": [each],
            "locationInfo": [{"zones": ["1", "2"]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "wanted", "what", "ok", "said"),
    [
        ({"permissions": [{"actions": ["*/read"]}]}, None, "rights of Contributor", False, "virtualMachines/write"),
        ({"permissions": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}]}, None,
         "rights of User Access Administrator", False, "az role assignment create .*User Access Administrator"),
        ({"registered": "NotRegistered"}, None, "Microsoft.Network", False,
         "is notregistered: `az provider register -n Microsoft.Network --wait`"),
        ({"feature": "Pending"}, None, "EncryptionAtHost", False, "pending: `az feature register"),
        ({"sku": {}}, Wanted(KIND), KIND, False, "eastus does not have it: another --region"),
        ({"sku": away("Location")}, Wanted(KIND), KIND, False, "not sold to this subscription in eastus"),
        ({"sku": away("Zone", restrictionInfo={"zones": ["1"]})}, Wanted(KIND), KIND, True, "zones 2"),
        ({}, Wanted(KIND, 3), "quota standardNDSH100v5Family", False,
         "200 vCPUs allowed, 8 in use, 288 wanted: `az quota update --resource-name standardNDSH100v5Family .*=296`"),
        ({}, Wanted(KIND, 2, spot=True), "quota lowPriorityCores", False, "100 vCPUs allowed, 0 in use, 192 wanted"),
        ({}, Wanted(KIND, 1, spot=True), "quota lowPriorityCores", True, "96 wanted"),
        ({"usage": {}}, Wanted(KIND), "quota cores", None, "not listed in eastus: 96 vCPUs are wanted"),
    ],
)  # fmt: skip
def test_what_would_stop_a_cluster_is_found(
    manager: Manager, changed: dict[str, Any], wanted: Wanted | None, what: str, ok: bool | None, said: str
) -> None:
    offered(manager, **changed)
    seen = found(wanted)
    assert seen[what].ok is ok and re.search(said, seen[what].said), seen[what]


def test_what_cannot_be_asked_is_not_known(manager: Manager) -> None:
    offered(manager)
    manager.denied |= {"permissions", "features", "skus"}
    seen = found(Wanted(KIND))
    unknown = [what for what, each in seen.items() if each.ok is None]
    assert unknown == ["rights", "EncryptionAtHost", KIND] and all(seen[what].said for what in unknown)
    assert seen["rights"].said.startswith("cannot be asked: list of permissions: AuthorizationFailed")


def test_a_subscription_that_is_off_or_not_there(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.said[f"/subscriptions/{ACCOUNT}"] = {"displayName": "lab", "state": "Disabled"}
    assert [(each.ok, each.said) for each in found().values()] == [
        (False, f"subscription {ACCOUNT} (lab) is disabled: `az account set -s NAME`")
    ]
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "00000000-0000-0000-0000-000000000000")
    [only] = found().values()
    assert only.ok is False and "SubscriptionNotFound" in only.said and "az account set" in only.said


def test_who_a_token_is_for() -> None:
    said = base64.urlsafe_b64encode(json.dumps({"oid": "o", "upn": "ada@lab"}).encode()).decode().rstrip("=")
    assert check.who_of(f"x.{said}.y") == "ada@lab" and check.who_of("") == check.who_of("a.b.c") == ""
