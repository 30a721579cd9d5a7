"""Power of one machine, as a dynamic resource: azure-native's VirtualMachine has no property for it."""

import secrets
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.azure import arm
from components.azure.names import subscription_of


class AzurePowerArgs(TypedDict):
    """The machine, and the power that is wanted."""

    vm: pulumi.Input[str]
    """Resource id of the machine."""
    machine: pulumi.Input[str]
    """Azure's own id of it: another one is another machine under the same name."""
    account: str
    """Subscription that the machine must be in."""
    power: str
    """Wanted power: up or stopped, which is deallocated."""
    starts: int
    """How often a start was asked for; another number starts a machine that stopped itself."""


class AzurePowerProvider(ResourceProvider):
    """Deallocates and starts machines, and looks at their state.

    It holds no fields: the state then refers to this class by name instead of holding its code.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """A machine that stopped itself is as it should be; one that is not deallocated and shall be is not."""
        replaces = [key for key in ("vm", "machine") if _olds.get(key) != _news.get(key)]
        lingers = _news["power"] == "stopped" and _olds.get("state") != "deallocated"
        return DiffResult(changes=bool(replaces) or _asked(_olds, _news) or lingers, replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new machine is up: nothing is to be done but where it shall not be."""
        where = _guarded(props)
        if props["power"] == "stopped":
            where.act(props["vm"], "deallocate")
        return CreateResult(f"power-{props['machine']}", {**props, **_seen(where, props["vm"]), "boot": ""})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Deallocate it, or start it where that was asked for."""
        where, boot = _guarded(_news), str(_olds.get("boot", ""))
        if _news["power"] == "stopped":
            where.act(_news["vm"], "deallocate")
        elif _asked(_olds, _news):
            was = where.power(_news["vm"])
            where.act(_news["vm"], "start")
            boot = boot if was == "running" else secrets.token_hex(4)
        return UpdateResult({**_news, **_seen(where, _news["vm"]), "boot": boot})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machine as it is; nothing where it is gone."""
        where = _guarded(props)
        seen = _seen(where, props["vm"])
        return ReadResult(id_, {**props, **seen}) if seen["state"] else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing: the machine itself is another resource."""


class AzurePower(Resource, module="skyrig", name="AzurePower"):
    """Whether a machine is up, and how that is changed."""

    seen: pulumi.Output[str]
    """up or stopped, as it was when the stack was last changed or refreshed."""

    boot: pulumi.Output[str]
    """Another text after each start that was asked for; "" until the first."""

    state: pulumi.Output[str]
    """The same in Azure's words: running, deallocated, stopped (shut down from inside, and still paid for)."""

    def __init__(self, name: str, args: AzurePowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(AzurePowerProvider(), name, {**args, "seen": None, "boot": None, "state": None}, opts)


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds.get("power") != news["power"] or int(olds.get("starts", 0)) != int(news["starts"]))


def _seen(where: arm.Arm, machine: str) -> dict[str, str]:
    state = where.power(machine)
    up = state in ("running", "starting", "unknown")
    return {"state": state or "", "seen": "up" if up else "stopped"}


def _guarded(props: dict[str, Any]) -> arm.Arm:
    """Resource Manager, where the machine is in the stack's subscription."""
    if subscription_of(props["vm"]) != str(props["account"]).lower():
        raise arm.ArmError(f"{props['vm']} is not in subscription {props['account']}: left alone")
    return arm.of_environment()
