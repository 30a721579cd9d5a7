"""The echo plugin, and a Google Cloud on loopback (ECHO_CLOUD) that is told what it makes and deletes: both agree on
what is there, also where somebody took it away there, or the engine never heard of it.

SKYRIG_ECHO is the folder of the echo's own program. ECHO_LATE_S are seconds for which machines are there already and
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

CHIPS_A_HOST = 4
"""Of TPU slices of several hosts."""


def ids(name: str, inputs: dict[str, Any], said: dict[str, Any]) -> None:
    """Ids as the provider has them, of types of which the echo does not know it."""
    project, region = echo.project(inputs), inputs.get("region")
    said["project"] = project
    if "roleId" in inputs:
        said["id"] = said["name"] = f"projects/{project}/roles/{inputs['roleId']}"
    elif "router" in inputs:
        said["id"] = f"{project}/{region}/{inputs['router']}/{inputs['name']}"
    elif "acceleratorType" in inputs:
        said["id"] = f"projects/{project}/locations/{inputs['zone']}/nodes/{inputs['name']}"
        hosts = int(inputs["acceleratorType"].rpartition("-")[2]) // CHIPS_A_HOST
        said["networkEndpoints"] = [
            {"ipAddress": echo.ip(), "accessConfigs": [{"externalIp": echo.ip(private=False)}]} for _ in range(hosts)
        ]
    elif "sourceDisk" in inputs:
        said["id"] = f"projects/{project}/global/images/{inputs['name']}"
    elif "member" in inputs:
        said["id"] = f"{project}/{inputs['role']}/{inputs['member']}"


echo.TABLE.insert(0, ("gcp:compute/image:*", ids))
echo.TABLE.insert(0, ("gcp:compute/router:*", echo.gcp_link("routers", "region")))
echo.TABLE.insert(0, ("gcp:compute/resourcePolicy:*", echo.gcp_link("resourcePolicies", "region")))
for kind in ("gcp:projects/*", "gcp:compute/routerNat:*", "gcp:tpu/*"):
    echo.TABLE.insert(0, (kind, ids))


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
            zone = str(inputs.get("zone", ""))
            echo_refuses.check(name, zone, zone.rpartition("-")[0], "gcp")
        return super().outputs(token, name, inputs, id_, old)

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
