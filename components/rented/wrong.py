"""What cannot be made of a cluster on clouds that rent single machines, by property path. Pure functions."""

from components.wanted import ClusterArgs
from skyrig.catalog import egress, instances, power
from skyrig.cluster.machine import capacity, paid_in
from skyrig.errors import BadInput


def wrong(args: ClusterArgs, *, most: int = 0, ports: str = "", zones: bool = False) -> dict[str, str]:
    """What is wrong; empty where all can be made. `most` is how many nodes a cluster has at most (0: any number),
    `ports` why none can be opened ("": they can), `zones`: one must be named."""
    cloud, machine = args["cloud"], args["machine"]
    told: dict[str, str] = {}
    for name in ("account", "region", *(("zone",) if zones else ())):
        if not machine[name]:  # type: ignore[literal-required]
            told[f"machine.{name}"] = f"is empty: {'an account' if name == 'account' else f'a {name}'} is wanted"
    if not args["nodes"]:
        told["nodes"] = "are none"
    if most and len(args["nodes"]) > most:
        told["nodes"] = f"are {len(args['nodes'])}, and {cloud} joins no more than {most}"
    if args.get("balancer"):
        told["balancer"] = f"{cloud} has none: leave `balancer` out"
    if args["ports"] and ports:
        told["ports"] = ports
    only = egress.default(len(args["nodes"]), cloud)
    for name, value in (("network", ""), ("egress", only), ("network_tier", "standard"), ("disk_tier", "medium")):
        if machine[name] not in ("", value):  # type: ignore[literal-required]
            told[f"machine.{name}"] = f"{cloud} leaves no choice: {value or 'leave it out'}"
    if machine["reaches"]:
        told["machine.reaches"] = f"machines of {cloud} open no bucket by what they are"
    return {**told, **_paid(args)}


def _paid(args: ClusterArgs) -> dict[str, str]:
    """What does not go with the type, and how it is paid for."""
    machine, told = args["machine"], {}
    try:
        kind = instances.find(args["cloud"], machine["instance_type"])
        paid = capacity(machine["capacity"])
    except BadInput as error:
        return {"machine.instance_type": str(error)}
    except ValueError as error:
        return {"machine.capacity": str(error)}
    paid_for = [paid_in(paid, node["group"]) for node in args["nodes"]] or [paid]
    if other := next((each for each in paid_for if each.kind != "on-demand"), None):
        told["machine.capacity"] = f"{args['cloud']} rents on demand alone, not {other}"
    refused = power.of_all(kind, paid_for).refused
    if args["power"] == "stopped" and refused:
        told["power"] = refused
    if "unsupported" in kind.facts:
        told["machine.instance_type"] = f"{kind.name}: {kind.facts['unsupported']}"
    return told
