"""The components of Azure one by one: their schema, and those that a cluster does not have."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer
from registrations import Registration, record

from components.azure.aliases import dropped
from components.azure.balancer import AzureBalancer
from components.azure.bucket import AzureBucket
from components.azure.cloud import AzureCloud
from components.azure.group import AzureNodeGroup
from components.azure.identity import BLOBS, AzureIdentity
from components.azure.network import AzureNetwork
from components.azure.node import AzureNode
from components.azure.placement import AzurePlacement
from components.wanted import ClusterArgs

ALL = [AzureBalancer, AzureBucket, AzureCloud, AzureIdentity, AzureNetwork, AzureNode, AzureNodeGroup, AzurePlacement]
ACCOUNT = "11111111-2222-3333-4444-555555555555"


def test_components_have_a_schema() -> None:
    found: Any = Analyzer("skyrig").analyze(list(ALL))
    definitions = found["component_definitions"]
    assert set(definitions) == {component.__name__ for component in ALL}
    for definition in [*definitions.values(), *found["type_definitions"].values()]:
        assert definition.description
        described = {**getattr(definition, "inputs", {}), **getattr(definition, "properties", {})}
        # The analyzer does not look into classes that are inherited: ClusterArgs describes its own.
        own = definition is not definitions["AzureCloud"]
        inherited = {name.replace("_", "") for name in ([] if own else ClusterArgs.__annotations__)}
        missing = [name for name, one in described.items() if not one.description]
        assert {name.lower() for name in missing} <= inherited


def bucket(**changed: Any) -> list[Registration]:
    args: Any = {
        "stack": "My.Data",
        "bucket": "runs",
        "account": ACCOUNT,
        "region": "eastus",
        "resource_group": "data",
        "persistent": False,
        "tags": {"skyrig-stack": "My.Data"},
        **changed,
    }
    outputs = {
        "azure-native:storage:StorageAccount": {"name": "the-account", "primaryEndpoints": {"blob": "https://x/"}}
    }
    made, url = record(lambda: AzureBucket("b", args).url, outputs=outputs)
    assert url == "https://x/runs"
    return made


def test_a_bucket_is_private_versioned_and_cleaned_up() -> None:
    made = {one.type.rpartition(":")[2]: one.inputs for one in bucket()}
    account = made["StorageAccount"]
    assert account["accountName"].startswith("skymydatarun") and len(account["accountName"]) == 24
    assert account["allowBlobPublicAccess"] is account["allowSharedKeyAccess"] is account["isLocalUserEnabled"] is False
    assert account["minimumTlsVersion"] == "TLS1_2" and account["enableHttpsTrafficOnly"] is True
    assert account["encryption"]["services"]["blob"]["enabled"] is True
    assert made["BlobContainer"]["publicAccess"] == "None" and made["BlobContainer"]["containerName"] == "runs"
    assert made["BlobServiceProperties"]["isVersioningEnabled"] is True
    assert made["BlobServiceProperties"]["deleteRetentionPolicy"] == {"enabled": True, "days": 7}
    rule = made["ManagementPolicy"]["policy"]["rules"][0]
    assert rule["definition"]["actions"]["version"]["delete"] == {"daysAfterCreationGreaterThan": 30}
    assert made["ManagementPolicy"]["accountName"] == "the-account"


def test_an_identity_reaches_its_buckets_and_no_others() -> None:
    args: Any = {
        "stack": "a",
        "account": ACCOUNT,
        "region": "eastus",
        "resource_group": "skyrig-a",
        "scope": f"/subscriptions/{ACCOUNT}/resourceGroups/skyrig-a",
        "containers": ["container-1", "container-2"],
        "tags": {},
    }
    outputs = {"azure-native:managedidentity:UserAssignedIdentity": {"principalId": "p"}}
    made, _ = record(lambda: AzureIdentity("i", args).id, outputs=outputs)
    given = [one.inputs for one in made if one.type.endswith(":RoleAssignment")]
    assert sorted(one["scope"] for one in given) == [args["scope"], "container-1", "container-2"]
    assert {one["roleDefinitionId"].rpartition("/")[2] for one in given} == {"i-role-id", BLOBS}
    assert len({one["roleAssignmentName"] for one in given}) == 3


@pytest.mark.parametrize("module", ["components", "components.cluster", "components.azure"])
def test_the_sdk_is_imported_where_azure_is_used(module: str) -> None:
    code = f"import sys, {module}; print(json.dumps(sorted(m for m in sys.modules if 'azure_native' in m)))"
    done = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_cluster_does_without_the_sdks_aliases_and_keeps_all_others() -> None:
    def asked(*given: Any) -> Any:
        opts = pulumi.ResourceOptions(aliases=list(given))
        args = pulumi.ResourceTransformationArgs(
            resource=None,  # type: ignore[arg-type]
            name="n",
            type_="azure-native:network:NetworkInterface",
            props={},
            opts=opts,
        )
        changed = dropped(args)
        assert changed is not None and opts.aliases == list(given)
        return changed.opts.aliases

    version = pulumi.Alias(type_="azure-native:network/v20230201:NetworkInterface")
    ours = [
        pulumi.Alias(type_="azure-native:network/v20230201:NetworkInterface", name="old"),
        pulumi.Alias(name="old"),
        pulumi.Alias(type_="azure:network/networkInterface:NetworkInterface"),
        "urn:pulumi:dev::skyrig::azure-native:network:NetworkInterface::old",
    ]
    assert asked(version, *ours) == ours
