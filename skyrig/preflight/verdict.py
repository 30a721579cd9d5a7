"""What a preflight means: a verdict on each node out of what was found and measured. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from skyrig.preflight import clocks, devices
from skyrig.preflight.asked import Asked
from skyrig.preflight.clocks import Offset
from skyrig.preflight.devices import Reason
from skyrig.preflight.findings import Findings
from skyrig.preflight.report import BAD, OK, WARN, Measured, NodeReport, PairRate, Report, said


@frozen
class Seen:
    """All that was seen, by node id: `findings` of the nodes that answered and `silent`, why others did not; `offsets`
    of clocks; `measured` over all nodes, `pairs` as they were measured, and `slow` for each node whose link was found
    to be slow alone too, what it reached and what others did; `ailing` is what diagnostics said; `transports` are how
    ranks reach others, `fallen` those of them that are not the fabric's own."""

    findings: Mapping[str, Findings] = field(factory=dict)
    silent: Mapping[str, str] = field(factory=dict)
    offsets: Mapping[str, Offset] = field(factory=dict)
    measured: Measured = field(factory=Measured)
    pairs: tuple[PairRate, ...] = ()
    slow: Mapping[str, tuple[float, float]] = field(factory=dict)
    ailing: Mapping[str, str] = field(factory=dict)
    transports: Mapping[str, str] = field(factory=dict)
    fallen: Mapping[str, str] = field(factory=dict)


def judged(cluster: str, nodes: Sequence[str], seen: Seen, asked: Asked) -> Report:
    """The report on `nodes`; when it was made and how long it took is not in it."""
    skews = clocks.skews(seen.offsets)
    best: dict[str, float] = {}
    for pair in seen.pairs:
        for node in (pair.one, pair.other):
            best[node] = max(pair.rate, best.get(node, 0.0))
    made = []
    for node in nodes:
        reasons = list(_reasons(node, seen, skews, asked))
        statuses = [status for status, _ in reasons]
        found = seen.findings.get(node)
        made.append(
            NodeReport(
                node,
                BAD if BAD in statuses else WARN if statuses else OK,
                tuple(why for _, why in reasons),
                best.get(node),
                skews.get(node, 0.0),
                devices.named(found) if found is not None else "",
                seen.transports.get(node, ""),
            )
        )
    expected = asked.expected if seen.measured.is_nccls else None
    return Report(
        cluster,
        tuple(made),
        seen.measured,
        seen.pairs,
        expected.least if expected is not None else 0.0,
        expected.source if expected is not None else "",
        tuple(_remarks(seen, asked)),
    )


def _reasons(node: str, seen: Seen, skews: Mapping[str, float], asked: Asked) -> Iterator[Reason]:
    if node in seen.silent:
        yield BAD, seen.silent[node]
    if (found := seen.findings.get(node)) is not None:
        others = [each for other, each in seen.findings.items() if other != node]
        yield from devices.reasons(found, others, asked)
    yield from _clock(skews.get(node, 0.0), asked)
    if node in seen.slow:
        reached, right = seen.slow[node]
        yield BAD, f"its link carries {said(reached)}, those of others {said(right)}"
    if node in seen.ailing:
        yield BAD, seen.ailing[node]
    if node in seen.fallen:
        yield BAD, seen.fallen[node]


def _gbps(seen: Seen) -> float:
    """What the interfaces of all nodes carry at least, as they say; 0.0 where one does not say it."""
    each = [max((nic.speed_gbps for nic in found.nics if nic.up), default=0.0) for found in seen.findings.values()]
    return min(each, default=0.0)


def _apart(seen: Seen) -> list[tuple[str, ...]]:
    """Pairs of nodes between which nothing came, also measured alone, while each of the two reached others."""
    names = [frozenset((each.one, each.other)) for each in seen.pairs]
    carry = {pair for pair, each in zip(names, seen.pairs, strict=True) if each.rate}
    reach = frozenset().union(*carry)
    alone = {pair for pair, each in zip(names, seen.pairs, strict=True) if each.alone}
    return sorted(tuple(sorted(pair)) for pair in alone - carry if pair <= reach - seen.slow.keys())


def _clock(skew_s: float, asked: Asked) -> Iterator[Reason]:
    limits = asked.limits
    if abs(skew_s) > limits.skew_warn_s:
        where = "ahead of" if skew_s > 0 else "behind"
        status = BAD if abs(skew_s) > limits.skew_bad_s else WARN
        yield status, f"its clock is {abs(skew_s):.1f} s {where} the others'"


def _remarks(seen: Seen, asked: Asked) -> Iterator[str]:
    measured, expected = seen.measured, asked.expected
    for one, other in _apart(seen):
        yield f"nothing comes through between {one} and {other}, each of which reaches others"
    best = max((each.rate for each in seen.pairs), default=0.0)
    if not measured.problem and seen.pairs and best < asked.limits.least_rate and _gbps(seen) >= asked.limits.of_gbps:
        yield (
            f"no two nodes reach more than {said(best)} with each other, and their interfaces are of "
            f"{_gbps(seen):g} Gb/s: which of them it is cannot be told"
        )
    if measured.problem and not seen.slow and not seen.silent:
        yield f"the all-reduce over all nodes failed: {measured.problem}"
    elif measured.is_nccls and expected is not None and measured.rate < expected.least and not seen.slow:
        yield (
            f"an all-reduce reaches {said(measured.rate)}, {said(expected.rate)} "
            f"(less {expected.tolerance:.0%}) are expected: {expected.source}"
        )
