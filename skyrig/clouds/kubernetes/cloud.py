"""Kubernetes as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted
from skyrig.clouds.kubernetes import check, finding, kubeconfig, leftovers, stock
from skyrig.clouds.kubernetes.door import Door


@frozen
class Kubernetes:
    """The clusters that the kubeconfig leads to. `owner` is a stack's account, NAMESPACE.CLUSTER; "" is the context's
    own."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using them; "" where nothing is."""
        return check.missing()

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """All that would stop a cluster of pods, found without making anything; with no context named, on the first of
        those that tasks may go to."""
        return check.findings(region, wanted)

    def account(self, region: str) -> str:
        """Namespace and cluster that a context leads to."""
        return kubeconfig.find(region).account

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """A context has no zones."""
        return ("",)

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The pods of a stack that are there."""
        with Door(region) as door:
            return leftovers.machines(door, self._namespace(door), stack)

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there of a stack."""
        with Door(region) as door:
            return leftovers.of_stack(door, self._namespace(door), stack)

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the namespaces of one context, or of all that tasks may go to."""
        return leftovers.tagged(region, stock.allowed())

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes."""
        with Door(region) as door:
            leftovers.remove(door, left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing that was to be made from `inputs`."""
        with Door(region) as door:
            return finding.find(door, kind, inputs)

    def _namespace(self, door: Door) -> str:
        return self.owner.partition(".")[0] or door.context.namespace
