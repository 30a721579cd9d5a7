"""A client key that a cloud lets in for a moment, put where it stays: on every node of the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.connection import Credentials
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import from_description
from skyrig.launch import nodeside

PATIENCE_S = 45.0
"""How long nodes are tried, in seconds: clouds let a key in for a minute."""


async def keep(desc: ClusterDescription, node_ids: Sequence[str]) -> dict[str, str]:
    """Let the client's key into nodes for good, with that very key; by node id why that was not done, if it was not."""
    command, stdin = nodeside.program("prepare", {"authorize": [desc.ssh.public_key]})
    targets = [from_description(desc, node) for node in node_ids]
    async with Pool(Credentials(desc.ssh.private_key), deadline_s=PATIENCE_S) as pool:
        done = await fanout.run_each(pool, targets, command, stdin=stdin, timeout_s=PATIENCE_S)
    return {node: reason for node, result in done.items() if (reason := _reason(result))}


def _reason(result: fanout.Result | SkyrigError) -> str:
    if isinstance(result, SkyrigError):
        return result.message
    said = result.stderr.decode(errors="replace").strip()
    return "" if result.code == 0 else said[-200:] or f"exit code {result.code}"
