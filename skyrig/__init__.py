"""Skyrig: infrastructure as code for AI training and serving.

`import skyrig as sky` is the Python API; skyrig/sdk/ holds it. Importing this package is cheap on purpose: a name of
the API is imported when it is first used, and neither pulumi, torch, asyncssh nor a cloud SDK with it.
"""

import sys

TYPE_CHECKING = False  # as typing's, which takes longer to import than all the rest here
if TYPE_CHECKING:
    from skyrig.sdk import (
        AWS,
        DO,
        GCP,
        IBM,
        OCI,
        SCP,
        SSH,
        Azure,
        ClusterRecord,
        ClusterStatus,
        Cudo,
        Dag,
        Fluidstack,
        Hyperbolic,
        InstanceTypeInfo,
        JobRecord,
        JobStatus,
        Kubernetes,
        Lambda,
        Local,
        Mithril,
        Nebius,
        OptimizeTarget,
        Paperspace,
        PrimeIntellect,
        RequestId,
        RequestRecord,
        RequestStatus,
        ResourceHandle,
        Resources,
        RunPod,
        Seeweb,
        Shadeform,
        SkyrigError,
        Slurm,
        StatusRefreshMode,
        Storage,
        StorageMode,
        StoreType,
        Task,
        Vast,
        Verda,
        Vsphere,
        Yotta,
        api_cancel,
        api_status,
        autostop,
        cancel,
        check,
        clouds,
        cost_report,
        down,
        download_logs,
        enabled_clouds,
        endpoints,
        exceptions,
        exec,
        get,
        get_async,
        image_build,
        image_delete,
        image_ls,
        job_series,
        job_status,
        jobs,
        launch,
        list_accelerators,
        optimize,
        queue,
        serve,
        start,
        status,
        stop,
        storage_delete,
        storage_ls,
        stream_and_get,
        tail_logs,
        volumes,
    )

__version__ = "0.1.0"

__all__ = [
    "AWS",
    "DO",
    "GCP",
    "IBM",
    "OCI",
    "SCP",
    "SSH",
    "Azure",
    "ClusterRecord",
    "ClusterStatus",
    "Cudo",
    "Dag",
    "Fluidstack",
    "Hyperbolic",
    "InstanceTypeInfo",
    "JobRecord",
    "JobStatus",
    "Kubernetes",
    "Lambda",
    "Local",
    "Mithril",
    "Nebius",
    "OptimizeTarget",
    "Paperspace",
    "PrimeIntellect",
    "RequestId",
    "RequestRecord",
    "RequestStatus",
    "ResourceHandle",
    "Resources",
    "RunPod",
    "Seeweb",
    "Shadeform",
    "SkyrigError",
    "Slurm",
    "StatusRefreshMode",
    "Storage",
    "StorageMode",
    "StoreType",
    "Task",
    "Vast",
    "Verda",
    "Vsphere",
    "Yotta",
    "api_cancel",
    "api_status",
    "autostop",
    "cancel",
    "check",
    "clouds",
    "cost_report",
    "down",
    "download_logs",
    "enabled_clouds",
    "endpoints",
    "exceptions",
    "exec",
    "get",
    "get_async",
    "image_build",
    "image_delete",
    "image_ls",
    "job_series",
    "job_status",
    "jobs",
    "launch",
    "list_accelerators",
    "optimize",
    "preflight_nodes",
    "queue",
    "serve",
    "start",
    "status",
    "stop",
    "storage_delete",
    "storage_ls",
    "stream_and_get",
    "tail_logs",
    "volumes",
]


if not TYPE_CHECKING:  # a type checker knows the names from above, and that there are no others

    def __getattr__(name: str) -> object:
        """A name of the API, looked up anew each time: it stands in skyrig.sdk. Checkpoints are a room of their own."""
        from importlib import import_module

        if name in ("sdk", "checkpoint"):
            return import_module(f"skyrig.{name}")
        if name in __all__:
            return getattr(import_module("skyrig.sdk"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(type(sys)):  # type: ignore[misc]
    """This package. Importing a room makes it an attribute of its package, unless the API has something of that name:
    `sky.launch` is the verb, also after `from skyrig.launch import client`."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, type(sys)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
