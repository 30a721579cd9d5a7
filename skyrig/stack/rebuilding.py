"""A new state around what a cluster has on its cloud already, for a stack whose state is lost.

The program is asked what it would make. Each of these resources is looked for on the cloud, and written into the new
stack's state under the id of what was found, with what the program says of it; a refresh then adds what the cloud says.
What is not found is left to the next up. Keys, which no cloud knows as such, are given.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, define, field, frozen

from skyrig.errors import SkyrigError
from skyrig.stack import backend, engine
from skyrig.stack.risks import NODES

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How a preview writes what is not known yet."""

PAID = ("aws:ec2/eip:Eip", "aws:ec2/natGateway:NatGateway", "aws:lb/loadBalancer:LoadBalancer")
"""Types beside nodes that cost money as soon as they are there."""

_HIDDEN = "[secret]"
_SIGNATURE = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
RESTARTING = ("userData", "instanceType", "launchTemplate")
"""What the names of properties begin with for whose change a provider stops and starts a node."""

_NODE = "skyrig-node"
_PROVIDER = "pulumi:providers:"
_HOST_KEY, _CLIENT_KEY = (f"pulumi-python:dynamic/skyrig:{name}" for name in ("HostKey", "ClientKey"))
_KEPT = (
    "urn",
    "custom",
    "type",
    "parent",
    "additionalSecretOutputs",
    "customTimeouts",
    "ignoreChanges",
)
"""What of a registration stands in the state as it is."""

Registration = Mapping[str, Any]


@frozen
class Pair:
    """A key pair in OpenSSH's text forms."""

    public: str
    private: str = field(repr=False)


@frozen
class Keys:
    """The keys of a cluster: the client's, and those of its nodes by node id. One that is missing is made anew, and
    opens nothing or proves nothing. `secrets` are further properties of the nodes' resources, by node id."""

    client: Pair | None = None
    hosts: Mapping[str, Pair] = field(factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(factory=dict, repr=False)


Identify = Callable[[str, Mapping[str, Any]], str | None]
"""The engine's id of what is there and was made from inputs of a type; None where there is none."""


@define
class State:
    """The state as far as it is written: `resources`, and their ids by urn."""

    resources: list[dict[str, Any]] = Factory(list)
    ids: dict[str, str] = Factory(dict)


def is_empty(stack: str) -> bool:
    """Whether the state of a stack holds nothing. An engine call where the backend is not a file."""
    if backend.folder() is not None:
        return not backend.has_anything(stack)
    return not json.loads(engine.query(["stack", "export"], stack=stack))["deployment"].get("resources")


def rebuild(stack: str, identify: Identify, keys: Keys, at_work: int) -> None:
    """Write the state of a stack that has none. SkyrigError where a node that is wanted cannot be found."""
    said = json.loads(engine.query(["preview", "--json"], stack=stack, at_work=at_work))
    registered = [step["newState"] for step in said.get("steps", ()) if step["op"] == "create"]
    document = json.loads(engine.query(["stack", "export"], stack=stack))
    state = written(registered, identify, keys)
    document["deployment"]["resources"] = state.resources
    engine.query(["stack", "import"], stack=stack, given=json.dumps(document))


def written(registered: list[Registration], identify: Identify, keys: Keys) -> State:
    """What stands in the state for registrations of a program, in their order."""
    state = State()
    for each in registered:
        _provided(state, each)
        id_ = _id(state, each, identify, keys) if each.get("custom") else ""
        if id_ is None:
            if each["type"] in NODES:
                name = str(each["urn"]).rpartition("::")[2]
                raise SkyrigError(f"{name} was there a moment ago, and is not found now", hint="run it again")
            continue
        state.resources.append(_resource(state, each, id_, keys))
        state.ids[str(each["urn"])] = id_
    return state


def refuse_nodes(preview: Mapping[str, Any]) -> list[str]:
    """Names of what an up would make that costs money by itself. SkyrigError where it would make, take away or restart
    a node: all of them stay as they are."""
    made, wrong = [], []
    for step in preview.get("steps") or ():
        kind, name = _type(str(step["urn"])), str(step["urn"]).rpartition("::")[2]
        reasons = [*(step.get("replaceReasons") or ()), *(step.get("diffReasons") or ())]
        restarts = step["op"] == "update" and any(
            str(each).startswith(RESTARTING) for each in reasons if each != "userDataReplaceOnChange"
        )
        if kind in NODES and (step["op"] not in ("same", "update") or restarts):
            because = ", ".join(dict.fromkeys(map(str, reasons)))
            wrong.append(f"{step['op']} {name}{f' ({because})' if because else ''}")
        if kind in PAID and step["op"] in ("create", "replace", "create-replacement"):
            made.append(name)
    if wrong:
        told = f"the rebuilt stack does not fit what is there: it would {'; '.join(dict.fromkeys(wrong))}"
        raise SkyrigError(told, hint="nothing was changed there; compare the stack's config with the cloud")
    return made


def _type(urn: str) -> str:
    return urn.rpartition("::")[0].rpartition("::")[2].rpartition("$")[2]


def _provided(state: State, registered: Registration) -> None:
    """A provider that the engine makes by itself is registered nowhere."""
    urn = str(registered.get("provider", "")).rpartition("::")[0]
    if urn and urn not in state.ids and registered.get("custom"):
        state.ids[urn] = str(uuid.uuid4())
        made = {"urn": urn, "custom": True, "id": state.ids[urn], "type": _type(urn), "inputs": {}, "outputs": {}}
        state.resources.append(made)


def _id(state: State, registered: Registration, identify: Identify, keys: Keys) -> str | None:
    kind, inputs = str(registered["type"]), registered.get("inputs") or {}
    if kind.startswith(_PROVIDER):
        return str(uuid.uuid4())
    if kind == _CLIENT_KEY:
        return str(inputs["stack"]) if keys.client is not None else None
    if kind == _HOST_KEY:
        return str(inputs["node"]) if _node(inputs) in keys.hosts else None
    if kind.startswith("pulumi-python:"):
        return None
    return identify(kind, _filled(state, registered))


def _filled(state: State, registered: Registration) -> dict[str, Any]:
    """Inputs in which what is not known at a preview is the id of what it comes from, where that is one thing."""
    inputs = dict(registered.get("inputs") or {})
    for name, value in inputs.items():
        sources = [state.ids.get(urn) for urn in (registered.get("propertyDependencies") or {}).get(name, ())]
        if value == UNKNOWN and len(sources) == 1 and sources[0]:
            inputs[name] = sources[0]
    return inputs


def _resource(state: State, registered: Registration, id_: str, keys: Keys) -> dict[str, Any]:
    resource = {name: registered[name] for name in _KEPT if name in registered}
    if not registered.get("custom"):
        return resource
    inputs = {name: value for name, value in (registered.get("inputs") or {}).items() if not _is_open(value)}
    if "name" in inputs and "name" in inputs.get("__defaults", ()):
        inputs["name"] = id_.rpartition(":")[2]  # the engine had made one up
    if registered["type"] in NODES:
        secrets = keys.secrets.get(str((inputs.get("tags") or {}).get(_NODE, "")), {})
        inputs |= {name: _hidden(text) for name, text in secrets.items()}
    outputs = {**inputs, **_secret(registered, inputs, keys)}
    if not str(registered["type"]).startswith("pulumi"):
        outputs["id"] = id_
    depends = registered.get("propertyDependencies") or {}
    return {
        **resource,
        "id": id_,
        "inputs": inputs,
        "outputs": outputs,
        "dependencies": [urn for urn in registered.get("dependencies") or () if urn in state.ids],
        "propertyDependencies": {
            name: [urn for urn in urns if urn in state.ids] for name, urns in depends.items() if name in inputs
        },
        **_by(state, registered),
    }


def _by(state: State, registered: Registration) -> dict[str, str]:
    """By which provider, under the id that this has now."""
    urn = str(registered.get("provider", "")).rpartition("::")[0]
    return {"provider": f"{urn}::{state.ids[urn]}"} if urn else {}


def _secret(registered: Registration, inputs: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """Outputs of a key."""
    if registered["type"] not in (_HOST_KEY, _CLIENT_KEY):
        return {}
    pair = keys.client if registered["type"] == _CLIENT_KEY else keys.hosts[_node(inputs)]
    assert pair is not None
    return {"public_key": pair.public, "private_key": _hidden(pair.private)}


def _hidden(text: str) -> dict[str, str]:
    """A secret: the engine encrypts it on its way into the state."""
    return {**_SIGNATURE, "plaintext": json.dumps(text)}


def _node(inputs: Mapping[str, Any]) -> str:
    """Node id of a host key: it is named STACK/NODE/VERSION."""
    return str(inputs["node"]).rsplit("/", 2)[1]


def _is_open(value: Any) -> bool:
    """Whether something of a value is not known, or is not shown."""
    if isinstance(value, Mapping):
        return any(map(_is_open, value.values()))
    if isinstance(value, list):
        return any(map(_is_open, value))
    return isinstance(value, str) and value in (UNKNOWN, _HIDDEN)
