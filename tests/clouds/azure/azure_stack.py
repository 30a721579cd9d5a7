"""A cluster as Azure has it: what a stack of two nodes consists of, put into a Resource Manager on loopback."""

from __future__ import annotations

from typing import Any

from manager import Manager

from skyrig.clouds.azure import names

ACCOUNT = "11111111-2222-3333-4444-555555555555"
KIND = "Standard_ND96isr_H100_v5"


def home(stack: str) -> str:
    """The path of the stack's resource group."""
    return f"/subscriptions/{ACCOUNT}/resourceGroups/{names.resource_group(stack)}"


def machine(stack: str, node: str) -> str:
    """The path of the machine of a node."""
    return f"{home(stack)}/providers/Microsoft.Compute/virtualMachines/{node}-v1"


def network(stack: str, what: str) -> str:
    """The path of a thing of the network, for instance natGateways/gateway."""
    return f"{home(stack)}/providers/Microsoft.Network/{what}"


def role(stack: str) -> str:
    """The path of the role of the stack's nodes."""
    guid = names.role(ACCOUNT, stack)
    return f"/subscriptions/{ACCOUNT}/providers/Microsoft.Authorization/roleDefinitions/{guid}"


def fill(manager: Manager, stack: str, *nodes: str, priority: str = "Regular") -> None:
    """Put a cluster there: its group, network, gateway, identity and role, and its nodes; the first is the head."""
    tags = {"skyrig-stack": stack, "skyrig-owner": "ada"}

    def put(path: str, **properties: Any) -> None:
        manager.put(path, tags=tags, properties=properties)

    put(home(stack))
    put(f"{home(stack)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes")
    put(role(stack), roleName=f"skyrig {stack}")
    given = f"{home(stack)}/providers/Microsoft.Authorization/roleAssignments/{names.assignment(ACCOUNT, stack)}"
    put(given, roleDefinitionId=role(stack))
    put(network(stack, "virtualNetworks/network"))
    put(network(stack, "publicIPAddresses/gateway"), ipAddress="203.0.113.99")
    put(network(stack, "natGateways/gateway"), addresses=[{"id": network(stack, "publicIPAddresses/gateway")}])
    subnet = network(stack, "virtualNetworks/network/subnets/nodes")
    put(subnet, natGateway={"id": network(stack, "natGateways/gateway")})
    put(network(stack, "applicationSecurityGroups/nodes"))
    asg = {"id": network(stack, "applicationSecurityGroups/nodes")}
    put(network(stack, "networkSecurityGroups/rules"), securityRules=[asg])
    for number, node in enumerate(nodes):
        interface = network(stack, f"networkInterfaces/{node}-v1")
        address = network(stack, f"publicIPAddresses/{node}-v1")
        config: dict[str, Any] = {"privateIPAddress": f"10.77.0.{4 + number}", "subnet": {"id": subnet}, "group": asg}
        if not number:
            put(address, ipAddress="203.0.113.4")
            config["publicIPAddress"] = {"id": address.upper()}
        put(interface, ipConfigurations=[{"properties": config}])
        manager.put(
            machine(stack, node),
            tags={**tags, "skyrig-node": node},
            properties={
                "vmId": f"vmid-{stack}-{node}",
                "hardwareProfile": {"vmSize": KIND},
                "priority": priority,
                "networkProfile": {"networkInterfaces": [{"id": interface}]},
            },
        )
