"""What a job is, as values: the request a client makes, and the record the keeper keeps of it."""

from __future__ import annotations

from enum import Enum

import cattrs
from attrs import field, frozen

from skyrig.preflight.asked import Asked
from skyrig.storage.mount import BucketMount


class JobStatus(str, Enum):
    """Life of a job: PENDING -> SETTING_UP -> RUNNING -> one of the four ends. Its text is its name."""

    __str__ = str.__str__

    PENDING = "PENDING"
    SETTING_UP = "SETTING_UP"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    FAILED_SETUP = "FAILED_SETUP"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the job will change no more."""
        return self not in (JobStatus.PENDING, JobStatus.SETTING_UP, JobStatus.RUNNING)

    def is_terminal(self) -> bool:
        """The same, as programs written for SkyPilot ask it."""
        return self.ended


class Cause(str, Enum):
    """Why a job ended otherwise than well, as far as it matters to who would run it again: by its own doing (SCRIPT),
    because a node was lost (NODE) or taken back by its cloud (PREEMPTION), because it stood still (HANG), or because
    of something else that is not its doing: a mount, a disk, a rank that could not be started (SURROUNDINGS). Its text
    is its name in small letters; NONE, an empty text, is that of jobs that go on, ended well or were cancelled."""

    __str__ = str.__str__

    NONE = ""
    SCRIPT = "script"
    NODE = "node"
    PREEMPTION = "preemption"
    HANG = "hang"
    SURROUNDINGS = "surroundings"


LOST_NODE = 4
"""Exit code of a job that lost a node."""

CANCELLED = 128 + 15
"""Exit code of a job that was cancelled: as of a process that TERM ended."""

STRATEGIES = ("torchrun", "deepspeed", "accelerate", "ray", "tensorflow", "plain")
"""How a training script is started on every node (templates/launch/NAME.sh.j2)."""


@frozen
class Scripts:
    """Rendered files by name, as they will lie in the rank's folder. `entry` is the one that bash runs.

    The same files go to every rank: what differs (rank, addresses, ports) is in the environment.
    """

    files: dict[str, str]
    entry: str = "run.sh"


@frozen
class Mount:
    """Files that go to `target` on every node of the cluster ("~/" is the node's home): those of the manifest with this
    digest, below a folder, or with `is_file` the only one in it."""

    target: str
    manifest: str
    is_file: bool = False


@frozen
class JobRequest:
    """What a client submits. Texts may hold surrogate escapes (any bytes but NUL survive).

    `env` and `secrets` become the job's environment (secrets are never written to disk in plain, shown or logged);
    `manifest` is the digest of the synced workdir, "" for none; `mounts` come after it, in their order; `cpus` and
    `accelerators` are what one node of the job takes from the queue's point of view; `first_id` is the lowest job id
    that may be given (ids never repeat on a stack, also after its head was replaced); `buckets` are attached once the
    files are there, with the options of `bucket_secrets` (which are kept where `secrets` are, and nowhere else), by the
    rclone at `rclone` on the nodes where they have none of their own; `flush_s` is how many seconds an autostop gives
    files to reach them (None: what the job before said). `on` are the ids of the nodes that it shall run on, in rank
    order: it waits for these and holds back nobody (empty: any). Of two jobs with one `key` only the first is taken:
    who asks again, not knowing whether the first request arrived, gets that one ("": every request is another job).
    `given` are variables of whoever runs it for the user (a managed job's ids), which nothing replaces and no
    comparison of setups heeds. With `min_nodes` it goes on while so many of its nodes are left, and those that come
    back join it again (0: it needs all). With `hang_s` it has failed when for so long no rank has written or given a
    sign of life (0: it never has). `samples` has the use of its nodes be written beside its log. `preflight` is
    what its nodes must pass before it begins (None: nothing); where that is `alone`, it is all of the job, which has
    the nodes it names in `on` to itself, cordoned ones too.
    """

    name: str
    num_nodes: int
    run: Scripts
    setup: Scripts | None = None
    env: dict[str, str] = field(factory=dict)
    secrets: dict[str, str] = field(factory=dict, repr=False)
    accelerators: int = 0
    cpus: float = 0.5
    manifest: str = ""
    force_setup: bool = False
    user: str = ""
    first_id: int = 1
    mounts: tuple[Mount, ...] = ()
    buckets: tuple[BucketMount, ...] = ()
    bucket_secrets: dict[str, dict[str, str]] = field(factory=dict, repr=False)
    rclone: str = ""
    flush_s: float | None = None
    on: tuple[str, ...] = ()
    key: str = ""
    given: dict[str, str] = field(factory=dict)
    min_nodes: int = 0
    hang_s: float = 0.0
    samples: bool = True
    preflight: Asked | None = None

    @property
    def manifests(self) -> frozenset[str]:
        """Digests of all files that the job needs."""
        return frozenset({self.manifest, *(mount.manifest for mount in self.mounts)} - {""})


@frozen
class JobRecord:
    """What is known of a job; the rows of `queue`. Times are seconds since the epoch, 0.0 where not yet.

    `exit_codes` is one number a rank (-1: none known); `reason` says in one line why it failed, `culprit` is the rank
    that failed first by its own doing (-1: none), `exit_code` what `train` and `logs` end with. `uid` carries the
    keeper's incarnation and names the job's folders on the nodes. `nodes` are the ids of the job's nodes in rank order,
    `cluster` those of all nodes the cluster had then; `key` is the request's.
    `cause` is why it failed; `lost` are the ids of the nodes whose loss ended it, or that it goes on without.
    `restarts` is how often the cluster's own scheduler has begun it anew.
    """

    id: int
    uid: str
    name: str
    status: JobStatus
    num_nodes: int
    submitted_at: float
    started_at: float = 0.0
    ended_at: float = 0.0
    nodes: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = ()
    exit_code: int | None = None
    culprit: int = -1
    reason: str = ""
    user: str = ""
    key: str = ""
    cause: Cause = Cause.NONE
    lost: tuple[str, ...] = ()
    restarts: int = 0


CONVERTER = cattrs.Converter()
"""Turns the values of this module into plain data and back."""
