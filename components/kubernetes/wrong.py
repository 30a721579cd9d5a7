"""What cannot be had on Kubernetes, told before anything is made."""

from components.wanted import CloudArgs
from skyrig.catalog import balancers, sized
from skyrig.clouds.kubernetes import podspec


def wrong(args: CloudArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    machine = args["machine"]
    found = {
        "power": "a pod keeps no disk: it is ended, not stopped" if args["power"] == "stopped" else "",
        "machine.region": "" if machine["region"] else "which cluster? kubernetes/CONTEXT, a context of the kubeconfig",
        "machine.zone": f"a context has no zones, {machine['zone']} neither" if machine["zone"] else "",
        "machine.account": "" if "." in machine["account"] else "NAMESPACE.CLUSTER is wanted, as `up` finds it",
        "machine.capacity": "pods are on demand" if machine["capacity"] != "on-demand" else "",
        "machine.instance_type": _size(machine["instance_type"]),
        "machine.image": _image(machine["image"]),
        "machine.reaches": "pods open no buckets by what they are: with keys alone" if machine["reaches"] else "",
        "balancer": balancers.wrong(podspec.CLOUD, 1) if args.get("balancer") else "",
    }
    config = podspec.asked_of(machine.get("pods") or "").config
    if (config.get("dws") or {}).get("enabled"):
        found["machine.pods"] = "kubernetes.dws: pods that Dynamic Workload Scheduler admits are not made here"
    return {path: said for path, said in found.items() if said}


def _size(name: str) -> str:
    return "" if sized.parse(name) else f"{name or 'no type'}: a size is wanted, for instance 4CPU--16GB--H100:1"


def _image(image: str) -> str:
    return "" if not image or image.startswith("docker:") else f"{image}: pods run containers: docker:IMAGE is wanted"
