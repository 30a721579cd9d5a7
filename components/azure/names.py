"""Names of what is made on Azure: functions of the stack, so that a create that was cut off finds what it made."""

import hashlib
import re
import uuid

_SPACE = uuid.UUID("0b5b0a0e-9d0f-5c55-8c3a-5a0d6f0f5a11")


def resource_group(stack: str) -> str:
    """Resource group of a cluster; all that is made for it is in there. 90 characters at most, no dot at the end."""
    return f"skyrig-{stack}".rstrip(".")


def machine(node_id: str, version: int) -> str:
    """Name of the virtual machine of a node in its cluster's resource group."""
    return f"{node_id}-v{version}"


def host(stack: str, node_id: str) -> str:
    """Host name of a node: a name of its own in the network's DNS, letters, digits and '-', 63 at most."""
    return re.sub(r"[^a-z0-9]+", "-", f"{stack}-{node_id}".lower())[-63:].strip("-")


def storage_account(stack: str, subscription: str, bucket: str) -> str:
    """Name of the storage account of a bucket. Names of accounts are one space for all of Azure: 24 lower-case letters
    and digits, the last 12 of them a checksum of whose it is."""
    said = re.sub(r"[^a-z0-9]", "", f"{stack}{bucket}".lower())[:9]
    return f"sky{said}{hashlib.sha256(f'{subscription}/{stack}/{bucket}'.encode()).hexdigest()[:12]}"


def guid(*parts: str) -> str:
    """The GUID that names a role definition or an assignment: the same one for the same parts."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def subscription_of(resource_id: str) -> str:
    """Subscription in the id of a resource; "" where it is no id."""
    match = re.match(r"/subscriptions/([^/]+)/", resource_id, re.IGNORECASE)
    return match[1].lower() if match else ""
