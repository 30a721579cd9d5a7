"""The ranks of a job's run and of its setup, each with what starts it on its node."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.target import inside
from skyrig.launch import environment, nodeside, skylogs
from skyrig.launch.job import JobRecord, JobRequest, Scripts
from skyrig.launch.keeper import marks
from skyrig.launch.keeper.house import House
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.rank import LEASE_S, RANK_LOG_LIMIT, Rank
from skyrig.launch.lines import SETUP

Start = tuple[Rank, Mapping[str, Any]]
"""A rank on its node, and the supervisor's spec that starts it there."""


@frozen
class Seating:
    """Of one job. `life` is what is added to the name of a rank's folder where the rank was not the first to begin on
    its node's id."""

    house: House
    record: JobRecord
    request: JobRequest
    logbook: Logbook

    def rank(
        self, number: int, nodes: tuple[Node, ...], cluster: ClusterDescription, plan: Plan, life: str = ""
    ) -> Start:
        """Rank `number` of the run on `nodes`."""
        node, name = nodes[number], f"rank-{number}{life}"
        env = environment.rank_environment(
            nodes=nodes,
            rank=number,
            request=self.request,
            record_id=self.record.id,
            task_id=self._task_id(cluster),
            cluster=cluster,
            port=plan.port,
            gpus=plan.shares[node.id].gpus,
        )
        link = skylogs.of_rank(self.record, number, node, len(cluster.nodes))
        hostfile = environment.hostfile(nodes, max(1, self.request.accelerators))
        return self._rank(node, name, number, plan), self._spec(name, self.request.run, env, link, hostfile)

    def setup(
        self,
        setup: Scripts,
        node: Node,
        group: Sequence[Node],
        cluster: ClusterDescription,
        plan: Plan,
        life: str = "",
    ) -> Start:
        """The setup of one of the nodes `group`."""
        name = f"setup-{node.rank}{life}"
        env = environment.setup_environment(
            nodes=tuple(group),
            rank=list(group).index(node),
            request=self.request,
            task_id=self._task_id(cluster),
            cluster=cluster,
        )
        spec = self._spec(name, setup, env, skylogs.of_setup(self.record))
        return self._rank(node, name, SETUP + node.rank, plan), {**spec, "forget": [marks.FILE]}

    def _rank(self, node: Node, name: str, log_rank: int, plan: Plan) -> Rank:
        return Rank(
            self.house.pool,
            inside(node),
            self._directory(name),
            log_rank,
            self.logbook,
            functools.partial(self.house.ready, node.id),
            self.house.bell.ring,
            plan.bases.get(name, 0),
        )

    def _directory(self, name: str) -> str:
        return f"~/.skyrig/jobs/{self.record.uid}/{name}"

    def _spec(
        self, name: str, scripts: Scripts, env: Mapping[str, str], log_link: str, hostfile: str | None = None
    ) -> Mapping[str, Any]:
        files = dict(scripts.files) if hostfile is None else {**scripts.files, "hostfile": hostfile}
        return {
            "version": 1,
            "dir": self._directory(name),
            "files": files,
            "entry": scripts.entry,
            "env": dict(env),
            "cwd": "~/sky_workdir",
            "lease_s": LEASE_S,
            "log_limit": RANK_LOG_LIMIT,
            "log_link": log_link,
            "watch": nodeside.watch_file(),
            "mounts": [mount.target for mount in self.request.buckets if mount.mode != "COPY"],
        }

    def _task_id(self, cluster: ClusterDescription) -> str:
        if given := self.request.given.get("SKYPILOT_TASK_ID"):
            return given
        moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(self.record.submitted_at))
        micros = int(self.record.submitted_at % 1 * 1e6)
        return f"sky-{moment}-{micros:06d}_{cluster.name}_{self.record.id}"
