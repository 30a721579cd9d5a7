"""Security rules of a cluster's machines. Pure functions."""

from collections.abc import Sequence
from typing import Any

import pulumi


def rules(
    nodes: pulumi.Input[str],
    head: pulumi.Input[str],
    ssh_from: Sequence[str],
    ports: Sequence[str],
    probed: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The rules of a network security group: inside the cluster everything, to its head SSH from `ssh_from` and TCP
    `ports` from everywhere, and nothing else. `nodes` and `head` are ids of application security groups. At `probed`
    ports Azure's own balancer looks whether the head is well: its address counts as one of the virtual network.

    The last rule takes back what Azure allows by default: everything from the whole virtual network, which may be the
    user's own and has others in it.
    """
    found = [
        _rule("inside", 100, "Allow", "*", source=nodes, target=nodes, ports=["*"]),
        _rule("ssh", 110, "Allow", "Tcp", prefixes=ssh_from, target=head, ports=["22"]),
    ]
    if ports:
        found.append(_rule("ports", 120, "Allow", "Tcp", prefixes=["Internet"], target=head, ports=ports))
    if probed:
        found.append(_rule("probes", 130, "Allow", "Tcp", prefixes=["AzureLoadBalancer"], target=head, ports=probed))
    found.append(_rule("nobody-else", 4096, "Deny", "*", prefixes=["VirtualNetwork"], target=nodes, ports=["*"]))
    return found


def _rule(
    name: str,
    priority: int,
    access: str,
    protocol: str,
    *,
    target: pulumi.Input[str],
    ports: Sequence[str],
    source: pulumi.Input[str] | None = None,
    prefixes: Sequence[str] = (),
) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "name": name,
        "priority": priority,
        "access": access,
        "direction": "Inbound",
        "protocol": protocol,
        "source_port_range": "*",
        "destination_application_security_groups": [{"id": target}],
    }
    if source is not None:
        rule["source_application_security_groups"] = [{"id": source}]
    elif len(prefixes) == 1:
        rule["source_address_prefix"] = prefixes[0]
    else:
        rule["source_address_prefixes"] = list(prefixes)
    if len(ports) == 1:
        rule["destination_port_range"] = ports[0]
    else:
        rule["destination_port_ranges"] = list(ports)
    return rule
