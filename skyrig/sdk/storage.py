"""Buckets that a task mounts: `sky.Storage`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from skyrig.errors import BadInput
from skyrig.sdk.plain import Plain, given
from skyrig.task import storage


class StorageMode(str, Enum):
    """How a bucket comes to the nodes."""

    __str__ = str.__str__

    MOUNT = "MOUNT"
    COPY = "COPY"
    MOUNT_CACHED = "MOUNT_CACHED"


class StoreType(str, Enum):
    """Kinds of object stores."""

    __str__ = str.__str__

    S3 = "S3"
    GCS = "GCS"
    AZURE = "AZURE"
    R2 = "R2"
    IBM = "IBM"
    OCI = "OCI"
    NEBIUS = "NEBIUS"
    COREWEAVE = "COREWEAVE"
    VASTDATA = "VASTDATA"
    HF = "HF"
    VOLUME = "VOLUME"


class Storage:
    """A bucket at a mount point, with the fields of a task file's `file_mounts`: found by `name`, or by `source` where
    that is its url. BadInput for what a task file could not say."""

    def __init__(
        self,
        name: str | None = None,
        source: str | PurePath | Sequence[str] | None = None,
        stores: StoreType | str | Sequence[StoreType | str] | None = None,
        persistent: bool = True,
        mode: StorageMode | str = StorageMode.MOUNT,
        *,
        type: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        kinds = [stores] if isinstance(stores, str) else list(stores or ())
        if len(kinds) > 1:
            raise BadInput("Storage(...): stores: a bucket lies in one store", hint="make a Storage for each")
        self._fields = given(
            name=name, source=source, store=kinds[0] if kinds else None, persistent=persistent, mode=mode, type=type,
            config=config,
        )  # fmt: skip
        storage.of_plain(self._fields, "Storage(...)")

    @classmethod
    def from_yaml_config(cls, config: Mapping[str, Any]) -> Storage:
        """The bucket from a task file's fields."""
        fields = dict(config)
        storage.of_plain(fields, "Storage(...)")
        made = cls.__new__(cls)
        made._fields = fields
        return made

    @property
    def name(self) -> str | None:
        """The bucket's name, where it was given."""
        return self._fields.get("name")

    @property
    def source(self) -> str | list[str] | None:
        """A url, a local folder, or local files."""
        return self._fields.get("source")

    @property
    def mode(self) -> StorageMode:
        """How it comes to the nodes."""
        return StorageMode(str(self._fields.get("mode", "MOUNT")).upper())

    @property
    def persistent(self) -> bool:
        """Whether the bucket outlives the cluster."""
        return bool(self._fields.get("persistent", True))

    def to_yaml_config(self) -> Plain:
        """Its fields in a task file."""
        return dict(self._fields)

    def __repr__(self) -> str:
        return f"Storage({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"
