"""What no cluster of ours may be, on any cloud: rules over registrations as golden files hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Resource = Mapping[str, Any]
"""One registration: its type, name and inputs."""

EVERYONE = ("0.0.0.0/0", "::/0", "*", "Internet", "Any")
OURS = ("skyrig-stack", "skyrig-owner", "skyrig-task")
TAGS = {"aws": "tags", "gcp": "labels", "azure": "tags", "oci": "freeformTags"}
UNTAGGED = (
    "aws:ec2/eipAssociation", "aws:ec2/routeTableAssociation", "aws:ec2transitgateway", "aws:iam/rolePolicy",
    "aws:lb/targetGroupAttachment",
    "gcp:projects/", "gcp:compute/router", "gcp:storage/bucketIAM", "azure-native:authorization",
    "azure-native:network:Subnet", "oci:Core/networkSecurityGroupSecurityRule", "pulumi:", "pulumi-python:", "skyrig:",
)  # fmt: skip
"""Types that carry no tags at their cloud, or are no thing of it."""
USER_DATA = ("userData", "userDataBase64", "metadata", "osProfile", "customData")


def read(file: Path) -> list[Resource]:
    """The registrations of a golden file; a description of the cluster may stand after them."""
    document, _ = json.JSONDecoder().raw_decode(file.read_text())
    return list(document)


def wrong(resources: Sequence[Resource]) -> list[str]:
    """What is against a rule, one line each."""
    return [f"{each['type']} {each['name']}: {said}" for each in resources for rule in RULES for said in rule(each)]


def nobody_but_the_named_may_log_in(each: Resource) -> Iterator[str]:
    for sources, ports in _let_in(each):
        if set(sources) & set(EVERYONE) and any(first <= 22 <= last for first, last in ports):
            yield f"port 22 is open to {', '.join(sources)}"


def disks_are_encrypted(each: Resource) -> Iterator[str]:
    inputs = each["inputs"]
    if each["type"] == "aws:ec2/instance:Instance" and inputs["rootBlockDevice"].get("encrypted") is not True:
        yield "its boot disk is not encrypted"
    machine = each["type"] == "azure-native:compute:VirtualMachine"
    if machine and inputs["securityProfile"].get("encryptionAtHost") is not True:
        yield "its disks and caches are not encrypted"


def metadata_needs_a_token(each: Resource) -> Iterator[str]:
    template = each["type"] == "aws:ec2/launchTemplate:LaunchTemplate"
    if template and each["inputs"].get("metadataOptions", {}).get("httpTokens") != "required":
        yield "IMDSv1 is on"


def user_data_is_secret(each: Resource) -> Iterator[str]:
    for key in USER_DATA:
        if each["inputs"].get(key, "SECRET") != "SECRET":
            yield f"{key} stands in the state in plain"


def it_is_known_whose_it_is(each: Resource) -> Iterator[str]:
    cloud = each["type"].partition(":")[0].partition("-")[0]
    if cloud not in TAGS or each["type"].startswith(UNTAGGED):
        return
    said = str(each["inputs"].get(TAGS[cloud]) or each["inputs"].get("description", ""))
    missing = [tag for tag in OURS if tag not in said]
    if missing:
        yield f"it lacks {', '.join(missing)}"


def rights_are_narrow(each: Resource) -> Iterator[str]:
    inputs = each["inputs"]
    for statement in json.loads(inputs["policy"])["Statement"] if "policy" in inputs else ():
        if "*" in _listed(statement["Action"]) or any(one.endswith(":*") for one in _listed(statement["Action"])):
            yield f"it may do {statement['Action']}"
        if "*" in _listed(statement["Resource"]):
            yield f"it may do {statement['Action']} to anything"
    for given in inputs.get("permissions", ()):
        actions = given["actions"] if isinstance(given, Mapping) else [given]
        yield from (f"it may do {action}" for action in actions if "*" in action)
    for said in inputs.get("statements", ()) if each["type"].startswith("oci:") else ():
        if " where " not in said or "any-user" in said or "all-resources" in said:
            yield f"it may do too much: {said}"


def buckets_are_private(each: Resource) -> Iterator[str]:
    inputs = each["inputs"]
    if each["type"].endswith("BucketPublicAccessBlock") and not all(
        inputs.get(key) for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ):
        yield "it lets the public in"
    if each["type"] == "gcp:storage/bucket:Bucket" and inputs.get("publicAccessPrevention") != "enforced":
        yield "it lets the public in"
    if each["type"] == "azure-native:storage:StorageAccount" and inputs.get("allowBlobPublicAccess") is not False:
        yield "it lets the public in"


RULES: tuple[Callable[[Resource], Iterator[str]], ...] = (
    nobody_but_the_named_may_log_in,
    disks_are_encrypted,
    metadata_needs_a_token,
    user_data_is_secret,
    it_is_known_whose_it_is,
    rights_are_narrow,
    buckets_are_private,
)


def _let_in(each: Resource) -> Iterator[tuple[list[str], list[tuple[int, int]]]]:
    """Who is let in at which ports, by the rules of a firewall of any cloud."""
    inputs = each["inputs"]
    for rule in inputs.get("ingress", ()):
        whole = rule["protocol"] == "-1"
        yield rule.get("cidrBlocks", []), [(0, 65535) if whole else (int(rule["fromPort"]), int(rule["toPort"]))]
    for rule in inputs.get("allows", ()) if inputs.get("direction") == "INGRESS" else ():
        yield inputs.get("sourceRanges", []), [_range(port) for port in rule.get("ports", ["0-65535"])]
    if each["type"].endswith("NetworkSecurityGroupSecurityRule") and inputs["direction"] == "INGRESS":
        ports = inputs.get("tcpOptions", {}).get("destinationPortRange", {"min": 0, "max": 65535})
        if inputs["protocol"] in ("6", "all"):
            yield [inputs["source"]], [(ports["min"], ports["max"])]
    for rule in inputs.get("securityRules", ()):
        if (rule["access"], rule["direction"]) == ("Allow", "Inbound"):
            sources = rule.get("sourceAddressPrefixes") or _listed(rule.get("sourceAddressPrefix", []))
            ports = rule.get("destinationPortRanges") or [rule["destinationPortRange"]]
            yield sources, [_range(port) for port in ports]


def _range(port: str) -> tuple[int, int]:
    first, _, last = port.partition("-")
    return (0, 65535) if port == "*" else (int(first), int(last or first))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
