"""Names of what is made on Azure that both the components and those who look for it afterwards know. Pure functions."""

from __future__ import annotations

import re
import uuid

_SPACE = uuid.UUID("0b5b0a0e-9d0f-5c55-8c3a-5a0d6f0f5a11")


def resource_group(stack: str) -> str:
    """Resource group of a cluster; all that is made for it is in there. 90 characters at most, no dot at the end."""
    return f"skyrig-{stack}".rstrip(".")


def guid(*parts: str) -> str:
    """The GUID that names a role definition or an assignment: the same one for the same parts."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def role(subscription: str, stack: str) -> str:
    """The GUID of the role of a cluster's nodes."""
    return guid(subscription.lower(), stack, "role")


def assignment(subscription: str, stack: str) -> str:
    """The GUID of the assignment that gives the nodes that role."""
    return guid(subscription.lower(), stack, "power")


def container(subscription: str, stack: str, url: str) -> str:
    """The id of a container that the stack `stack` has made, by its url."""
    host, _, name = url.removeprefix("https://").partition("/")
    group = resource_group(f"{stack}-{name}")
    storage = f"Microsoft.Storage/storageAccounts/{host.partition('.')[0]}/blobServices/default"
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{storage}/containers/{name}"


def container_url(container_id: str) -> str:
    """The url of a container, by its id."""
    parts = container_id.split("/")
    return f"https://{parts[parts.index('storageAccounts') + 1]}.blob.core.windows.net/{parts[-1]}"


def subscription_of(resource_id: str) -> str:
    """Subscription in the id of a resource, in lower case; "" where it is no id."""
    match = re.match(r"/subscriptions/([^/]+)/", resource_id, re.IGNORECASE)
    return match[1].lower() if match else ""
