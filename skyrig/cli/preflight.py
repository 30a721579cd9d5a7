"""Preflight: whether the nodes of a cluster are fit for a job."""

from __future__ import annotations

import json
from pathlib import Path

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, verb
from skyrig.errors import BadInput

FOUND_BAD = 4
"""Exit code where a node is bad: that of a lost node, for it is as good as one."""

FELL_SHORT = 5
"""Exit code where no node is bad, and what they have together is not what was expected."""


@verb(
    "preflight",
    [
        flags.CLUSTER,
        flag("node", "only this node; may be repeated", kind=list),
        flag("quick", "measure less", kind=bool),
        flag("meter", "what measures the network: auto (the default), tcp, torch"),
        flag("no-cordon", "only look: jobs still come to nodes that are found bad", kind=bool),
        flag("replace", "have another machine behind each bad node at once", kind=bool),
        flag("uncordon", "let jobs in on this node again, and look at nothing; may be repeated", kind=list),
        flag("plot", "draw what was measured into this file: .png, .pdf, .svg"),
        *flags.JSON,
        flags.YES,
    ],
)
def preflight(values: Values) -> int:
    """Look at the nodes of a cluster and measure their network; bad ones get no jobs until they are made anew."""
    from skyrig import preflighting
    from skyrig.cli import preflight_tables
    from skyrig.plots import png
    from skyrig.preflight import picture

    as_json, stack, plot = flags.wants_json(values), flags.cluster(values), _file(values)
    if cleared := values.many("uncordon"):
        preflighting.uncordon(stack, cleared)
        print(json.dumps({"uncordoned": cleared}) if as_json else f"jobs may come to {', '.join(cleared)} again")
        return 0
    cordon, meter = not values.switch("no-cordon"), values.text("meter") or "auto"
    if values.switch("replace") and not cordon:
        raise BadInput("--replace and --no-cordon say different things", hint="give one of them")
    if plot is not None:
        png.require(plot)
    wishes = preflighting.Wishes(tuple(values.many("node")), values.switch("quick"), meter, cordon)
    report = preflighting.run(stack, wishes, notify)
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        preflight_tables.report(report)
    if plot is not None:
        with png.written(plot) as place:
            picture.draw(report, place)
        notify(f"drawn: {plot}")
    if report.cordoned and values.switch("replace"):
        preflighting.replace(stack, notify, agreed(values.switch("yes")))
    return FOUND_BAD if report.bad else FELL_SHORT if report.remarks else 0


def _file(values: Values) -> Path | None:
    name = values.text("plot")
    return Path(name).expanduser() if name is not None else None
