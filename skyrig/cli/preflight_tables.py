"""A preflight's report for the reader: a row a node, what all reach together, bars."""

from __future__ import annotations

from skyrig.cli import tables
from skyrig.preflight import picture
from skyrig.preflight.report import Report, said


def report(found: Report) -> None:
    """Print it."""
    rows = [
        [
            node.id,
            node.status,
            node.devices or "-",
            said(node.rate) if node.rate is not None else "-",
            _why(node.reasons),
        ]
        for node in found.nodes
    ]
    tables.table(["NODE", "", "DEVICES", "BEST PAIR", "WHY"], rows, "no nodes")
    measured = found.measured
    if measured.meter:
        reached = f"all-reduce over {len(found.nodes)} nodes: {said(measured.rate)} by {measured.meter}"
        expected = f", at least {said(found.expected)} expected ({found.source})" if found.expected else ""
        print(f"{reached}{expected}")
    for line in picture.bars(found):
        print(line)
    for remark in found.remarks:
        print(remark)
    if found.cordoned:
        print(f"cordoned: {', '.join(found.cordoned)}; `up -c {found.cluster}` replaces")


def _why(reasons: tuple[str, ...]) -> str:
    return "; ".join(reasons) or "-"
