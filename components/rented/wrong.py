"""What cannot be made of a cluster on clouds that rent single machines, by property path. Pure functions."""

from components.wanted import ClusterArgs
from skyrig.catalog import egress, facts, instances, power
from skyrig.cluster.machine import capacity, paid_in
from skyrig.errors import BadInput


def wrong(args: ClusterArgs, *, ports: str = "", zones: bool = False) -> dict[str, str]:
    """What is wrong; empty where all can be made. `ports` is why none can be opened ("": they can), `zones`: one must
    be named. How many nodes a cluster has at most, if that is bounded, is in data/CLOUD/place.json."""
    cloud, machine = args["cloud"], args["machine"]
    told: dict[str, str] = {}
    for name in ("account", "region", *(("zone",) if zones else ())):
        if not machine[name]:  # type: ignore[literal-required]
            told[f"machine.{name}"] = f"is empty: {'an account' if name == 'account' else f'a {name}'} is wanted"
    if not args["nodes"]:
        told["nodes"] = "are none"
    place = facts.of(cloud, "place")
    if len(args["nodes"]) > place.get("most_nodes", len(args["nodes"])):
        told["nodes"] = f"{cloud} {place['why_no_more']}"
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
    return told
