"""Creates that a killed engine has left half-way: looked up by what they are tagged with, then taken over or undone.

The engine only knows that it had begun; whether the thing exists is asked of a resolver for its type. `RESOLVERS` is
the table of what is not on a cloud; what is there is found by its tags (skyrig.clouds). Nothing is forgotten
unlooked: a create of a type without resolver stops the run and is named.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from skyrig import places
from skyrig.clouds import cloud as clouds
from skyrig.cluster.clouds import of_dynamic, of_package
from skyrig.cluster.shape import Shape
from skyrig.errors import SkyrigError
from skyrig.stack import backend, config, engine

CREATING = "creating"

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


@frozen
class Create:
    """A create that was begun: the resource's name, type token, what it was to be made from, and its urn."""

    urn: str
    type: str
    inputs: Mapping[str, Any] = field(factory=dict)

    @property
    def name(self) -> str:
        """The resource's name in its stack."""
        return self.urn.rpartition("::")[2]

    @property
    def stack(self) -> str:
        """The stack that it belongs to."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0]


@frozen
class Finding:
    """What a resolver says of a create: one clause in `says`, about what was found and what becomes of it. `import_id`
    is the provider's id of a thing that the engine shall import; without it the create is dropped from the state,
    for nothing is there, or making it again takes over what is there."""

    says: str
    import_id: str = ""


Resolver = Callable[[Create, Shape | None], Finding]
"""Looks a create up. Given the wanted shape (None: everything is to go), it leaves nothing behind that would be
nobody's once the create is dropped: what no later create takes over, it imports or deletes."""


def creates(stack: str) -> list[Create]:
    """Creates that an earlier run has left half-way. An engine call where the backend is not a file."""
    return [_create(each) for each in _operations(stack) if each.get("type") == CREATING]


def resolve(stack: str, wanted: Callable[[], Shape | None], notify: Callable[[str], None]) -> list[str] | None:
    """Look up all creates that were left half-way, with one line on each, and take those that are there into the state.
    Gives the flags with which `pulumi refresh` then corrects the rest; None where no operation was left. `wanted` tells
    what the stack shall have (None: nothing), and is asked where a create was left. SkyrigError for a type that nobody
    can look up."""
    operations = _operations(stack)
    if not operations:
        return None
    left = [_create(each) for each in operations if each.get("type") == CREATING]
    for create in left:
        if resolver_of(create) is None:
            raise _unresolved(stack, create)
    there: dict[str, str] = {}
    shape = wanted() if left else None
    for create in left:
        resolver = resolver_of(create)
        assert resolver is not None
        found = resolver(create, shape)
        notify(f"  {create.name} was being made when an earlier run was cut off: {found.says}")
        if found.import_id:
            there[create.urn] = found.import_id
    if there:
        _take_in(stack, there)
    return ["--clear-pending-creates"]


def taken_in(deployment: dict[str, Any], there: Mapping[str, str]) -> dict[str, Any]:
    """A deployment in which creates that were left half-way are done: those in `there`, by urn, under the provider's id
    of what is there. What a provider says of each the next refresh adds."""
    pending = list(deployment.get("pending_operations") or [])
    done = [each for each in pending if each["type"] == CREATING and each["resource"]["urn"] in there]
    resources = list(deployment.get("resources") or [])
    for each in done:
        resource = each["resource"]
        known = {key: value for key, value in (resource.get("inputs") or {}).items() if not _is_secret(value)}
        made = {"id": there[resource["urn"]], "inputs": known, "outputs": {**known, "id": there[resource["urn"]]}}
        resources.append({**resource, **made})
    left = [each for each in pending if each not in done]
    return {**deployment, "resources": resources, "pending_operations": left}


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(_SIGNATURE) == _SECRET


def _take_in(stack: str, there: Mapping[str, str]) -> None:
    """The engine has a flag for this, `refresh --import-pending-creates`, and forgets what it is told (3.258.0)."""
    document = json.loads(engine.query(["stack", "export"], stack=stack))
    document["deployment"] = taken_in(document["deployment"], there)
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="skyrig-") as file:
        json.dump(document, file)
        file.flush()
        engine.query(["stack", "import", "--file", file.name], stack=stack)


def resolver_of(create: Create) -> Resolver | None:
    """Who can look this create up. Providers and the like live in the state alone."""
    if create.type.startswith("pulumi:"):
        return _in_the_state_alone
    if of_package(create.type.partition(":")[0]):
        return _on_a_cloud
    if create.type not in RESOLVERS and _cloud_of_dynamic(create.type) in clouds.known():
        return _dynamic_on_a_cloud
    return RESOLVERS.get(create.type)


def _operations(stack: str) -> list[dict[str, Any]]:
    if backend.folder() is not None:
        snapshot = backend.state(stack) or {}
    else:
        snapshot = json.loads(engine.query(["stack", "export"], stack=stack)).get("deployment") or {}
    return list(snapshot.get("pending_operations") or [])


def _create(operation: Mapping[str, Any]) -> Create:
    resource = operation["resource"]
    return Create(str(resource["urn"]), str(resource["type"]), resource.get("inputs") or {})


def _unresolved(stack: str, create: Create) -> SkyrigError:
    return SkyrigError(
        f"a run on stack {stack} was cut off while it made {create.name} ({create.type}), and it is not known whether "
        "that exists",
        hint=f"look for it at its cloud, then tell the engine: `pulumi refresh --stack {stack}` asks for its id",
    )


def _in_the_state_alone(create: Create, wanted: Shape | None) -> Finding:
    return Finding("nothing of it exists outside the state")


def _local_node(create: Create, wanted: Shape | None) -> Finding:
    """A node is known by its folder, by stack and node id. One that lives is taken over by the next create, which is
    made from the same request, or replaced there where it is not; one that is not wanted any more is ended here."""
    from skyrig.fleet.local import node
    from skyrig.fleet.local.layout import NodeFolder

    stack, node_id = str(create.inputs["stack"]), str(create.inputs["node_id"])
    folder = places.local_nodes(stack) / node_id
    if not folder.exists():
        return Finding("no such node is there")
    state = NodeFolder(folder).read_state()
    what = f"node {node_id} is there" if state is not None else f"node {node_id} is there by half"
    if wanted is not None and any(each.id == node_id for each in wanted.nodes):
        return Finding(f"{what}, and is taken over" if state is not None else f"{what}, and is made anew")
    node.stop(folder)
    return Finding(f"{what} and not wanted any more: ended")


def _local_network(create: Create, wanted: Shape | None) -> Finding:
    """A network is known by its stack. The next create takes a living one over; without nodes it goes here."""
    from skyrig.fleet.local import node, switch

    folder = places.local_nodes(str(create.inputs["stack"]))
    if not switch.check(folder):
        return Finding("no such network is there")
    if wanted is not None:
        return Finding("the network is there, and is taken over")
    node.stop_all(folder)
    return Finding("the network is there and not wanted any more: ended")


def _local_ports(create: Create, wanted: Shape | None) -> Finding:
    """Ports are open in the process of the stack's network. The next create has exactly its own open."""
    from skyrig.fleet.local import ports

    folder = places.local_nodes(str(create.inputs["stack"]))
    if not ports.endpoints(folder):
        return Finding("none of them is open")
    if wanted is not None and wanted.ports:
        return Finding("ports are open, and are taken over")
    ports.close_ports(folder)
    return Finding("ports are open and not wanted any more: closed")


def _local_store(create: Create, wanted: Shape | None) -> Finding:
    """A bucket server is known by its stack. The next create takes a living one over; else it ends here, and what it
    served stays."""
    from skyrig.storage.local import buckets, server

    folder = places.storage(str(create.inputs["stack"]))
    if not server.check(folder):
        return Finding("no such server is there")
    if wanted is not None and any(each.store == "local" for each in wanted.buckets):
        return Finding("the server is there, and is taken over")
    buckets.forget(folder)
    return Finding("the server is there and not wanted any more: ended")


def _local_bucket(create: Create, wanted: Shape | None) -> Finding:
    """A bucket is known by its stack and name. One that is not wanted any more goes if it is empty, as a new one is."""
    from skyrig.storage.local import buckets

    folder, name = places.storage(str(create.inputs["stack"])), str(create.inputs["bucket"])
    if not buckets.look(folder, name):
        return Finding("no such bucket is there")
    if wanted is not None and any((each.store, each.name) == ("local", name) for each in wanted.buckets):
        return Finding("the bucket is there, and is taken over")
    try:
        buckets.remove(folder, name)
    except SkyrigError:
        return Finding(f"the bucket is there and not wanted any more, but not empty: it stays in {folder}")
    return Finding("the bucket is there, empty and not wanted any more: removed")


def _local_image(create: Create, wanted: Shape | None) -> Finding:
    """A version of an image is known by name and mark. The next create takes over one that is whole; what is half made
    it clears away."""
    from skyrig.fleet.local import images
    from skyrig.images import here

    mark = str(create.inputs["mark"])
    version = here.folder(here.name_of(str(create.inputs["image"]), mark))
    is_there = bool(images.check(version))
    if wanted is not None and wanted.imaged is not None and wanted.imaged.mark == mark:
        return Finding("the version is there, and is taken over" if is_there else "no such version is there")
    images.remove(version)
    return Finding("the version is there and not wanted any more: removed" if is_there else "no such version is there")


def _on_a_cloud(create: Create, wanted: Shape | None) -> Finding:
    """A thing on a cloud is known by its tags, and imported where it is there: then the engine keeps it, or destroys
    it, as the program wants."""
    name = of_package(create.type.partition(":")[0])
    machine = config.read_shape(create.stack).machine
    found = clouds.of(name, machine.account).find(create.type, create.inputs, machine.region)
    if found is None:
        return Finding("no such thing is there, or making it again takes it over")
    return Finding(f"{found} is there, and is taken over", import_id=found)


def _cloud_of_dynamic(kind: str) -> str:
    return of_dynamic(kind.removeprefix(_DYNAMIC)) if kind.startswith(_DYNAMIC) else ""


def _dynamic_on_a_cloud(create: Create, wanted: Shape | None) -> Finding:
    """A dynamic resource of a cloud is made by a name or a tag that is found again: the next create takes over what is
    there, and the sweep after a destroy removes it."""
    machine = config.read_shape(create.stack).machine
    found = clouds.of(_cloud_of_dynamic(create.type), machine.account).find(create.type, create.inputs, machine.region)
    return Finding(
        "no such thing is there" if found is None else f"{found} is there, and making it again takes it over"
    )


_DYNAMIC = "pulumi-python:dynamic/skyrig:"

RESOLVERS: Mapping[str, Resolver] = {
    "pulumi-python:dynamic/skyrig:AzurePower": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:ClientKey": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:GcpPower": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:HostKey": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:LocalBucket": _local_bucket,
    "pulumi-python:dynamic/skyrig:LocalImage": _local_image,
    "pulumi-python:dynamic/skyrig:LocalNetwork": _local_network,
    "pulumi-python:dynamic/skyrig:LocalNode": _local_node,
    "pulumi-python:dynamic/skyrig:LocalPorts": _local_ports,
    "pulumi-python:dynamic/skyrig:LocalStore": _local_store,
    "pulumi-python:dynamic/skyrig:LocalStoreKey": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:KubernetesQueue": _in_the_state_alone,
    "pulumi-python:dynamic/skyrig:SlurmSite": _in_the_state_alone,
}
"""Resolvers by type token."""
