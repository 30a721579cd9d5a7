"""A Pulumi program for the tests of skyrig/stack: nodes that are nothing but names, and a cluster description."""

import os

import pulumi
from pulumi import dynamic


class Nothing(dynamic.ResourceProvider):
    """Makes nothing; node `slow` takes its time, so that a run can be cut off."""

    def create(self, props):
        if props["name"] == "slow":
            import time

            time.sleep(2)
        return dynamic.CreateResult(f"id-{props['name']}", props)

    def diff(self, _id, before, after):
        changed = before["kind"] != after["kind"]
        return dynamic.DiffResult(changes=changed, replaces=["kind"] if changed else [])


class Node(dynamic.Resource):
    """One node."""

    def __init__(self, name):
        super().__init__(Nothing(), name, {"name": name, "kind": os.environ.get("TEST_KIND", "")})


if os.environ.get("TEST_BROKEN"):
    raise RuntimeError("the program is broken\non purpose")
names = pulumi.Config("skyrig").get_object("nodes") or ["n0", "n1"]
nodes = [Node(name) for name in names]
pulumi.export(
    "cluster",
    {
        "version": 1,
        "name": pulumi.get_stack(),
        "cloud": "local",
        "records": "file:///nowhere",
        "ssh": {"public_key": "ssh-ed25519 AAAA", "private_key": ""},
        "nodes": [
            {
                "id": name,
                "rank": rank,
                "host": "127.0.0.1",
                "port": 9,
                "address": "127.0.0.1",
                "user": "me",
                "host_key": "ssh-ed25519 BBBB",
                "incarnation": "1",
            }
            for rank, name in enumerate(names)
        ],
    },
)
pulumi.export("client_key", pulumi.Output.secret("-----KEY-----"))
