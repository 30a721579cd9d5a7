"""The echo plugin, and an Oracle Cloud on loopback (ECHO_CLOUD) that is told what it makes and deletes: both agree on
what is there, also where somebody took it away there, or the engine never heard of it.

SKYRIG_ECHO is the folder of the echo's own program. ECHO_LATE_S are seconds for which instances are there already and
the engine does not know it yet.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import echo_provider as echo  # type: ignore[import-not-found]
import echo_refuses
from common import from_struct, jsonable, to_struct, urn_type  # type: ignore[import-not-found]

CLOUD = os.environ.get("ECHO_CLOUD", "")
LATE_S = float(os.environ.get("ECHO_LATE_S", "0"))


def ocid(kind: str, inputs: dict[str, Any]) -> str:
    """An id as Oracle Cloud makes them."""
    return f"ocid1.{kind.rpartition(':')[2].lower()}.oc1..{echo.hexid(24)}"


def instance(name: str, inputs: dict[str, Any], said: dict[str, Any]) -> None:
    """What an instance gets."""
    nic = inputs.get("createVnicDetails") or {}
    said["privateIp"] = echo.ip()
    said["publicIp"] = echo.ip(private=False) if nic.get("assignPublicIp") == "true" else ""


echo.TABLE.insert(0, ("oci:Core/instance:*", instance))
echo.INVOKES |= {
    "oci:Core/getImages:getImages": lambda _: {
        "images": [{"displayName": "Canonical-Ubuntu-24.04-2026.10.31-0", "id": "ocid1.image.oc1.iad.newest"}]
    },
    "oci:Core/getServices:getServices": lambda _: {
        "services": [{"id": "ocid1.service.oc1.iad.all", "cidrBlock": "all-iad-services-in-oracle-services-network"}]
    },
    "oci:Identity/getRegionSubscriptions:getRegionSubscriptions": lambda _: {
        "regionSubscriptions": [{"regionName": "us-ashburn-1", "isHomeRegion": True}]
    },
    "oci:ObjectStorage/getNamespace:getNamespace": lambda _: {"namespace": "labspace"},
}


def tell(method: str, **body: Any) -> Any:
    """Tell the cloud; None where it knows no such thing."""
    data = json.dumps(body).encode()
    asked = urllib.request.Request(f"{CLOUD}/echo", data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError:
        return None


class Cloud(echo.Echo):  # type: ignore[misc]
    """An echo that tells a cloud what it does."""

    def outputs(self, token: str, name: str, inputs: dict[str, Any], id_: str, old: Any = None) -> Any:
        """What a thing is once it is made."""
        if old is None and token.endswith(":Instance") and inputs:
            echo_refuses.check(name, str(inputs.get("availabilityDomain", "")), "us-ashburn-1", "oci")
        said, known = super().outputs(token, name, inputs, id_, old)
        if "name" not in inputs:
            said.pop("name", None)
        return said, ocid(token, inputs) if old is None and inputs else known

    def Create(self, request: Any, context: Any) -> Any:
        """Make it, here and there."""
        made = super().Create(request, context)
        if CLOUD and not request.preview:
            said, secret = from_struct(made.properties)
            kind = urn_type(request.urn)
            tell("POST", id=made.id, type=kind, outputs=jsonable(said, secret))
            if kind.endswith(":Instance"):
                time.sleep(LATE_S)
        return made

    def Update(self, request: Any, context: Any) -> Any:
        """Change it, here and there."""
        done = super().Update(request, context)
        if CLOUD and not request.preview:
            said, secret = from_struct(done.properties)
            tell("PUT", id=request.id, type=urn_type(request.urn), outputs=jsonable(said, secret))
        return done

    def Delete(self, request: Any, context: Any) -> Any:
        """Delete it, here and there."""
        done = super().Delete(request, context)
        if CLOUD:
            tell("DELETE", id=request.id)
        return done

    def Read(self, request: Any, context: Any) -> Any:
        """Look for it there: what an import does not know yet, the cloud does."""
        found = super().Read(request, context)
        there = tell("GET", id=request.id) if CLOUD else {}
        if there is None:
            found.id = ""
            return found
        known, _ = from_struct(found.properties)
        found.properties.MergeFrom(to_struct({key: value for key, value in there.items() if key not in known}))
        return found


echo.Echo = Cloud
echo.main()
