"""A bucket that a stack of ours has made, and the way to it."""

from __future__ import annotations

import os

from attrs import field, frozen

from skyrig.storage import endpoint, remote
from skyrig.storage import url as urls
from skyrig.storage.remote import Remote


@frozen
class OwnedBucket:
    """A bucket `name` of the `stack` that keeps it. `store` is local, s3, gcs or azure; `endpoint`, `folder` and `keys`
    (options of rclone, secret) are those of the local cloud's, `account` is Azure's."""

    name: str
    store: str
    url: str
    stack: str
    region: str = ""
    account: str = ""
    endpoint: str = ""
    folder: str = ""
    persistent: bool = True
    keys: dict[str, str] = field(factory=dict, repr=False)

    def to_json(self) -> dict[str, object]:
        """Plain data without what is secret: the row of `storage.ls --json`."""
        return {
            "name": self.name,
            "store": self.store,
            "url": self.url,
            "stack": self.stack,
            "region": self.region,
            "endpoint": self.endpoint,
            "persistent": self.persistent,
        }

    @property
    def path(self) -> str:
        """Where it lies in its remote."""
        return urls.read(self.url).path

    def from_here(self) -> Remote:
        """The way to it from this machine: on clouds with whatever its user is logged in with."""
        if self.store == "local":
            return self.local("")
        return remote.of_here(urls.read(self.url), os.environ, region=self.region)

    def local(self, isolation: str) -> Remote:
        """The way to one on the local cloud, for nodes of an isolation, or for this machine ("")."""
        place = {"endpoint": endpoint.for_nodes(self.endpoint, isolation), "region": self.region or "us-east-1"}
        return Remote({"type": "s3", "provider": "Other", **place}, dict(self.keys))
