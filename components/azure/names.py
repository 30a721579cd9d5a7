"""Names of what is made on Azure: functions of the stack, so that a create that was cut off finds what it made.

Those that others look for too are in skyrig.clouds.azure.names.
"""

import hashlib
import re
from collections.abc import Mapping


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


def gallery(stack: str) -> str:
    """Name of the gallery of an image's stack: letters, digits, '.' and '_', one of its kind in the subscription."""
    return f"skyrig_{re.sub(r'[^A-Za-z0-9.]', '_', stack)}"[:80]


def definition(mark: str, facts: Mapping[str, str]) -> str:
    """Name of an image's definition. A machine that boots the image has to be as secure as its builder was, and knows
    that from the image's id alone: so it ends like one of SECURED where that was under trusted launch."""
    if facts.get("security") != "TrustedLaunch":
        return f"image-{mark}"
    return f"image-{mark}-{'secured' if facts.get('secure_boot') == 'true' else 'measured'}"


SECURED = {"secured": True, "measured": False}
"""How names of definitions of trusted launch end, and whether their machines boot signed code alone."""
