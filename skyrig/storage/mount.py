"""A bucket at a place on nodes, as the client hands it to the keeper, and the keeper to each node."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class BucketMount:
    """A bucket at `target` (a normal path on the nodes: "~/x" or "/x") in `mode` MOUNT, MOUNT_CACHED or COPY.

    `bucket` is what messages call it ("s3://name"), `path` where it lies in the remote ("name" or "name/prefix").
    `remote` are rclone's options of the backend but for secret ones, for instance {"type": "s3", "endpoint": URL};
    `secret` is the name under which the request holds those, "" for none. `options` are flags of `rclone mount` without
    their dashes, "" for a flag that takes no value. `folder` is the bucket itself where that is a folder which the node
    sees, as on the local cloud.
    """

    target: str
    mode: str
    bucket: str
    path: str
    remote: dict[str, str] = field(factory=dict)
    secret: str = ""
    options: dict[str, str] = field(factory=dict)
    folder: str = ""
