"""The bridge to the Terraform provider, with a refresh as the real plugin has it: whatever properties the state has are
what is read on from. The bridge itself takes a resource whose state it has not written for one that is imported.
What moto forgets of a balancer, the address that it was given, is told for it."""

import json
import os
import sys
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import aws_provider as bridge  # type: ignore[import-not-found]

read, create = bridge.Provider.Read, bridge.Provider.Create
BALANCER, ADDRESSES = "aws:lb/loadBalancer:LoadBalancer::", "subnetMappings"


def look(self: Any, request: Any, context: Any) -> Any:
    """A refresh of a resource with properties; an import has none."""
    known = request.properties.fields
    if known and bridge.META not in known:
        known[bridge.META].string_value = "{}"
    return with_addresses(read(self, request, context), request)


def make(self: Any, request: Any, context: Any) -> Any:
    """A create."""
    return with_addresses(create(self, request, context), request)


def with_addresses(answer: Any, request: Any) -> Any:
    """An answer about a balancer with the addresses that it was asked with: as its properties, as the inputs that were
    found, and in the Terraform state that goes with them."""
    asked, told = request.properties.fields, answer.properties.fields
    if BALANCER not in request.urn or ADDRESSES not in asked or bridge.META not in told:
        return answer
    told[ADDRESSES].CopyFrom(asked[ADDRESSES])
    if hasattr(answer, "inputs") and ADDRESSES in answer.inputs.fields:
        answer.inputs.fields[ADDRESSES].CopyFrom(request.inputs.fields[ADDRESSES])
    kept = json.loads(told[bridge.META].string_value)
    [given] = [each.struct_value.fields["allocationId"].string_value for each in asked[ADDRESSES].list_value.values]
    for each in kept["state"]["subnet_mapping"]:
        each["allocation_id"] = given
    told[bridge.META].string_value = json.dumps(kept)
    return answer


bridge.Provider.Read, bridge.Provider.Create = look, make
bridge.main()
