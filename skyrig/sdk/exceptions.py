"""Errors: Skyrig's own, and the names under which programs written for SkyPilot catch them. All are SkyrigError."""

from skyrig.errors import (
    BadInput,
    ClusterNotUp,
    EngineError,
    HostKeyMismatch,
    JobFailed,
    NoCapacity,
    NodeLost,
    NoSuchCluster,
    NotYet,
    ProtocolMismatch,
    RequestCancelled,
    ResourcesMismatch,
    SkyrigError,
    StackBusy,
    Unreachable,
)

ClusterNotUpError = ClusterNotUp
ClusterDoesNotExist = NoSuchCluster
ResourcesUnavailableError = NoCapacity
ResourcesMismatchError = ResourcesMismatch
InvalidSkyPilotConfigError = BadInput
InvalidTaskYAMLError = BadInput
InvalidClusterNameError = BadInput
NotSupportedError = NotYet
CommandError = JobFailed
ProvisionerError = EngineError
FetchClusterInfoError = NodeLost
ManagedJobReachedMaxRetriesError = NoCapacity
ManagedJobStatusError = SkyrigError

__all__ = [
    "BadInput",
    "ClusterDoesNotExist",
    "ClusterNotUp",
    "ClusterNotUpError",
    "CommandError",
    "EngineError",
    "FetchClusterInfoError",
    "HostKeyMismatch",
    "InvalidClusterNameError",
    "InvalidSkyPilotConfigError",
    "InvalidTaskYAMLError",
    "JobFailed",
    "ManagedJobReachedMaxRetriesError",
    "ManagedJobStatusError",
    "NoCapacity",
    "NoSuchCluster",
    "NodeLost",
    "NotSupportedError",
    "NotYet",
    "ProtocolMismatch",
    "ProvisionerError",
    "RequestCancelled",
    "ResourcesMismatch",
    "ResourcesMismatchError",
    "ResourcesUnavailableError",
    "SkyrigError",
    "StackBusy",
    "Unreachable",
]
