"""The one error family of Skyrig.

Every error that a user can meet is a `SkyrigError`: one line that says what is wrong and, in `hint`, what to do
next. Its `exit_code` is the one that scripts rely on:

====  ============================================================
 2    bad input; nothing was made
 3    no capacity, or no offer fits
 4    a node was lost
 5    anything else that Skyrig could not do
====  ============================================================
"""

from __future__ import annotations


class SkyrigError(Exception):
    """Root of the family: something that Skyrig could not do (exit code 5).

    `message` is one line without a trailing full stop; `hint`, where given, is the next step for the reader.
    """

    exit_code = 5

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class BadInput(SkyrigError, ValueError):
    """What the user asked for is wrong; nothing was made (exit code 2)."""

    exit_code = 2


class NotYet(BadInput):
    """This version of Skyrig cannot do that yet (exit code 2)."""


class NoSuchCluster(BadInput):
    """No cluster has that name (exit code 2)."""


class ClusterNotUp(BadInput):
    """Only a cluster that is up can do that (exit code 2)."""


class ResourcesMismatch(BadInput):
    """A task asks for what the nodes of a live cluster do not have (exit code 2)."""


class RequestCancelled(SkyrigError):
    """A request of the Python API was cancelled before it was done."""


class NoCapacity(SkyrigError):
    """No offer fits, or no cloud has the machines now (exit code 3)."""

    exit_code = 3


class NodeLost(SkyrigError):
    """A node is gone or answers no more (exit code 4). `node_id` names it."""

    exit_code = 4

    def __init__(self, message: str, *, node_id: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.node_id = node_id


class Unreachable(NodeLost):
    """A node did not answer, or broke the connection; `message` holds the reason."""


class HostKeyMismatch(SkyrigError):
    """A node answered with another host key than the one pinned in the cluster description."""


class EngineError(SkyrigError):
    """The Pulumi engine is missing, too old, or ended with an error. `said` are all errors that it told, as it did."""

    def __init__(self, message: str, *, hint: str | None = None, said: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.said = said


class StackBusy(SkyrigError):
    """Another process holds the stack's lock; `message` says which."""


class ProtocolMismatch(SkyrigError):
    """Client and keeper speak protocol versions that do not fit together."""


class JobFailed(SkyrigError):
    """A job ended without success; carries the job's own exit code (`code`)."""

    def __init__(self, message: str, *, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code
