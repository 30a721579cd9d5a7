"""The echo plugin as azure-native is: what it makes is in Resource Manager (SKYRIG_AZURE_LOOPBACK) under azure-native's
ids, what is there already it refuses to make, and a refresh tells what is gone. SKYRIG_ECHO is the folder of the echo's
own program; a machine that was made is told only after SKYRIG_LINGER_S seconds."""

import os
import sys
import time
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import echo_provider as echo  # type: ignore[import-not-found]
import echo_refuses
from pulumi.runtime.proto import provider_pb2  # type: ignore[attr-defined]

from skyrig.clouds.azure.arm import Arm, ArmError

LOOPBACK = os.environ.get("SKYRIG_AZURE_LOOPBACK", "")
SUBSCRIPTION = os.environ.get("ECHO_SUBSCRIPTION", "")
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}"
PATHS = {
    "authorization:RoleAssignment": "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    "authorization:RoleDefinition": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    "/{roleDefinitionId}",
    "compute:AvailabilitySet": "Compute/availabilitySets/{availabilitySetName}",
    "compute:Gallery": "Compute/galleries/{galleryName}",
    "compute:GalleryImage": "Compute/galleries/{galleryName}/images/{galleryImageName}",
    "compute:GalleryImageVersion": "Compute/galleries/{galleryName}/images/{galleryImageName}/versions/"
    "{galleryImageVersionName}",
    "compute:VirtualMachine": "Compute/virtualMachines/{vmName}",
    "compute:VirtualMachineExtension": "Compute/virtualMachines/{vmName}/extensions/{vmExtensionName}",
    "managedidentity:UserAssignedIdentity": "ManagedIdentity/userAssignedIdentities/{resourceName}",
    "network:ApplicationSecurityGroup": "Network/applicationSecurityGroups/{applicationSecurityGroupName}",
    "network:LoadBalancer": "Network/loadBalancers/{loadBalancerName}",
    "network:NatGateway": "Network/natGateways/{natGatewayName}",
    "network:NetworkInterface": "Network/networkInterfaces/{networkInterfaceName}",
    "network:NetworkSecurityGroup": "Network/networkSecurityGroups/{networkSecurityGroupName}",
    "network:PublicIPAddress": "Network/publicIPAddresses/{publicIpAddressName}",
    "network:Subnet": "Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}",
    "network:VirtualNetwork": "Network/virtualNetworks/{virtualNetworkName}",
    "resources:ResourceGroup": GROUP,
}
plain, outputs, read, delete = echo.Echo.wrap, echo.Echo.outputs, echo.Echo.Read, echo.Echo.Delete
update = echo.Echo.Update
WHERE = Arm(LOOPBACK, lambda: "", pause_s=0.05) if LOOPBACK else None


def path_of(token: str, inputs: dict[str, Any]) -> str:
    """The id of a thing as Azure has it; "" of a type that clusters do not have."""
    found = PATHS.get(token.removeprefix("azure-native:"), "")
    whole = found if found.startswith(("/", "{")) or not found else f"{GROUP}/providers/Microsoft.{found}"
    return whole.format_map(inputs)


def wrap(said: dict[str, Any], secret: bool) -> Any:
    """An answer as the engine gets it. Azure gives the identities of a machine back as a map where a list was given,
    and the SDK stops on a list."""
    identity = said.get("identity")
    if isinstance(identity, dict) and isinstance(identity.get("userAssignedIdentities"), list):
        ids = {each: {"clientId": "c"} for each in identity["userAssignedIdentities"] if isinstance(each, str)}
        said = {**said, "identity": {**identity, "userAssignedIdentities": ids}}
    return plain(said, secret)


def make(self: Any, token: str, name: str, inputs: dict[str, Any], id_: str, old: Any = None) -> tuple[Any, str]:
    """Outputs and id of a thing, which is made in Resource Manager where it is new."""
    if old is None and token.endswith(":VirtualMachine") and inputs:
        echo_refuses.check(name, str(inputs.get("location", "")), "azure")
    out, other = outputs(self, token, name, inputs, id_, old)
    path = path_of(token, inputs) if inputs else ""
    if not path or old is not None or WHERE is None:
        return out, path or other
    body = {"tags": inputs.get("tags", {}), "location": inputs.get("location", ""), "properties": nested(out)}
    answer = WHERE._session.put(f"{LOOPBACK}{path}", json=body, timeout=60)
    if answer.status_code == 409:
        raise RuntimeError(f"cannot create already existing resource '{path}'")
    answer.raise_for_status()
    if token.endswith(":VirtualMachine"):
        time.sleep(float(os.environ.get("SKYRIG_LINGER_S", "0")))
    return out, path


def change(self: Any, request: Any, context: Any) -> Any:
    """Change a thing in Resource Manager too: what it no longer names may go then."""
    done = update(self, request, context)
    inputs, _ = echo.from_struct(request.news)
    if WHERE is not None and not request.preview and path_of(echo.urn_type(request.urn), inputs):
        out, _ = echo.from_struct(done.properties)
        body = {"tags": out.get("tags", {}), "properties": nested(out)}
        WHERE._session.patch(f"{LOOPBACK}{request.id}", json=body, timeout=60).raise_for_status()
    return done


def nested(out: dict[str, Any]) -> dict[str, Any]:
    """Outputs as Azure nests them; what is secret stays here."""
    kept = {key: value for key, value in out.items() if key not in ("osProfile", "tags")}
    if "ipConfigurations" in kept:
        kept["ipConfigurations"] = [{"name": each["name"], "properties": each} for each in kept["ipConfigurations"]]
    return kept


def look(self: Any, request: Any, context: Any) -> Any:
    """What a refresh is told: nothing of what is gone; of what an import names, all that is known."""
    found = WHERE.get(request.id, "echo") if WHERE is not None and request.id.startswith("/") else {}
    if found is None:
        return provider_pb2.ReadResponse(id="")
    known, secret = echo.from_struct(request.properties)
    if found and "provisioningState" not in known:
        said = {**found["properties"], "tags": found["tags"], **known}
        if "ipConfigurations" in said:
            said["ipConfigurations"] = [each["properties"] for each in found["properties"]["ipConfigurations"]]
        return provider_pb2.ReadResponse(id=request.id, properties=self.wrap(said, secret), inputs=request.inputs)
    return read(self, request, context)


def drop(self: Any, request: Any, context: Any) -> Any:
    """Delete a thing in Resource Manager too."""
    done = delete(self, request, context)
    if WHERE is not None and request.id.startswith("/"):
        try:
            WHERE.delete(request.id, "echo")
        except ArmError as error:
            context.abort(echo.grpc.StatusCode.UNKNOWN, str(error))
    return done


echo.Echo.wrap, echo.Echo.outputs = staticmethod(wrap), make
echo.Echo.Read, echo.Echo.Update, echo.Echo.Delete = look, change, drop
echo.main()
