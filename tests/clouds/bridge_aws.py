"""The bridge to the Terraform provider, with a refresh as the real plugin has it: whatever properties the state has are
what is read on from. The bridge itself takes a resource whose state it has not written for one that is imported.
What moto forgets of a balancer, the address that it was given, is told for it."""

import os
import sys
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import aws_provider as bridge  # type: ignore[import-not-found]

read, create = bridge.Provider.Read, bridge.Provider.Create
BALANCER, ADDRESSES = "::aws:lb/loadBalancer:LoadBalancer::", "subnetMappings"


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
    """An answer about a balancer with the addresses that it was asked with."""
    fields = request.properties.fields
    if BALANCER in request.urn and ADDRESSES in fields and answer.id:
        answer.properties.fields[ADDRESSES].CopyFrom(fields[ADDRESSES])
    return answer


bridge.Provider.Read, bridge.Provider.Create = look, make
bridge.main()
