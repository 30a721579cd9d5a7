"""Power of one machine, as a dynamic resource: azure-native's VirtualMachine has no property for it."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from skyrig.clouds.azure import arm
from skyrig.clouds.azure.names import subscription_of
from skyrig.clouds.azure.started import boot_of, look


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
        """A machine that was just made is up: Azure is asked only where it shall not be."""
        _refuse_other(props)
        outs = {**props, "state": "running", "seen": "up", "boot": "", "since": ""}
        if props["power"] == "stopped":
            where = arm.of_environment()
            where.act(props["vm"], "deallocate")
            outs |= look(where, props["vm"]).outs()
        return CreateResult(f"power-{props['machine']}", outs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Deallocate it, or start it where that was asked for."""
        _refuse_other(_news)
        where = arm.of_environment()
        now = look(where, _news["vm"])
        boot = boot_of(_olds, now)
        if _news["power"] == "stopped":
            where.act(_news["vm"], "deallocate")
        elif _asked(_olds, _news):
            where.act(_news["vm"], "start")
        after = look(where, _news["vm"])
        boot = boot_of({**now.outs(), "boot": boot}, after)
        return UpdateResult({**_news, **after.outs(), "boot": boot})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machine as it is; nothing where it is gone."""
        _refuse_other(props)
        now = look(arm.of_environment(), props["vm"])
        if not now.state:
            return ReadResult(None, {})
        return ReadResult(id_, {**props, **now.outs(), "boot": boot_of(props, now)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing: the machine itself is another resource."""


class AzurePower(Resource, module="skyrig", name="AzurePower"):
    """Whether a machine is up, and how that is changed."""

    seen: pulumi.Output[str]
    """up or stopped, as it was when the stack was last changed or refreshed."""

    boot: pulumi.Output[str]
    """Another text after each start, whoever made it; "" until the first."""

    state: pulumi.Output[str]
    """The same in Azure's words: running, deallocated, stopped (shut down from inside, and still paid for)."""

    since: pulumi.Output[str]
    """When its boot disk was last attached, or it was started or deallocated; "" until Azure was asked."""

    def __init__(self, name: str, args: AzurePowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            AzurePowerProvider(), name, {**args, "seen": None, "boot": None, "state": None, "since": None}, opts
        )


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds.get("power") != news["power"] or int(olds.get("starts", 0)) != int(news["starts"]))


def _refuse_other(props: dict[str, Any]) -> None:
    """ArmError where the machine is not in the stack's subscription."""
    if subscription_of(props["vm"]) != str(props["account"]).lower():
        raise arm.ArmError(f"{props['vm']} is not in subscription {props['account']}: left alone")
