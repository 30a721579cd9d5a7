"""What is asked of a preflight: how thorough it shall be, what nodes shall have, and what follows where they do not."""

from __future__ import annotations

from attrs import evolve, field, frozen

from skyrig.preflight.links import SLOW_SHARE

MODES = ("off", "warn", "refuse")
"""What follows for a job: no preflight, a line in its log, or its end before it has begun."""

METERS = ("auto", "tcp", "torch")
"""What measures the network: what fits the nodes, our own program, or torch.distributed in the job's Python."""


@frozen
class Expected:
    """The bus bandwidth that an all-reduce over these nodes should reach, in bytes a second: `rate`, of which a share
    of `tolerance` may be missing; `source` says who says so."""

    rate: float
    tolerance: float
    source: str

    @property
    def least(self) -> float:
        """What is still as expected."""
        return self.rate * (1 - self.tolerance)


@frozen
class Devices:
    """What a node shall have: accelerators by the catalog's name ("": not said) and number, `declared` where they are
    rehearsed; network devices of each kind at least (0: not said)."""

    accelerator: str = ""
    count: int = 0
    declared: bool = False
    nics: int = 0
    ib: int = 0
    efa: int = 0
    nvlinks: int = 0


@frozen
class Limits:
    """Where a finding is a remark, and where it is bad. `skew_*` in seconds. Of a disk it is said where less than the
    share `disk_free` is free, and less than `disk_gb` (1e9 bytes). `slow_share` is how little of the others' rate a
    link may carry of which nobody knows what is expected. `least_rate`, bytes a second, is what nodes reach with each
    other in any case whose interfaces say that they carry `of_gbps` or more."""

    skew_warn_s: float = 1.0
    skew_bad_s: float = 5.0
    disk_free: float = 0.05
    disk_gb: float = 5.0
    slow_share: float = SLOW_SHARE
    least_rate: float = 12.5e6
    of_gbps: float = 10.0


@frozen
class Sizes:
    """How much is measured: `ring` are the bytes that each member of the ring over all nodes reduces, `pair` those of a
    pair, `rounds` how many rounds of pairs there are at most. `ring_s` and `pair_s` end one that takes longer."""

    ring: int = 4 << 20
    pair: int = 1 << 20
    rounds: int = 15
    ring_s: float = 4.0
    pair_s: float = 2.0


SMALL = Sizes(ring=2 << 20, pair=1 << 19, rounds=7, ring_s=2.0, pair_s=1.0)
"""For `--quick`."""

LARGE = Sizes(ring=256 << 20, pair=64 << 20, rounds=15, ring_s=30.0, pair_s=10.0)
"""For machines of their own, whose links are quick."""


@frozen
class Asked:
    """A preflight. `mode` is of MODES; `alone` is one that no job follows. `devices` says what every node shall have,
    `expected` what the network between them shall carry, None where nobody knows: then nodes are compared with each
    other. With `diagnose` DCGM looks too, where it is. `answer_s` is how long a node has to answer a question."""

    mode: str = "warn"
    alone: bool = False
    meter: str = "auto"
    devices: Devices = field(factory=Devices)
    expected: Expected | None = None
    limits: Limits = field(factory=Limits)
    sizes: Sizes = field(factory=Sizes)
    diagnose: bool = False
    answer_s: float = 30.0

    @property
    def by_tcp(self) -> Asked:
        """The same where our own program measures: it reaches less than NCCL, so links are compared with each
        other."""
        sizes = evolve(self.sizes, ring=min(self.sizes.ring, LARGE.ring))
        return evolve(self, expected=None, sizes=sizes)
