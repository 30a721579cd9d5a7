"""A bucket of the local cloud as a dynamic resource: a folder, served by the stack's server."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.buckets import PlaceArgs, WantedBucketArgs
from components.local.program import run_storage
from components.local.store import LocalStore, LocalStoreKey
from skyrig import places


class LocalBucketArgs(TypedDict):
    """What a local bucket is made from."""

    stack: str
    """Name of the stack, whose server serves it."""
    bucket: str
    """Name of the bucket, by the rules of S3."""
    persistent: bool
    """Whether it outlives its stack: it is protected then, and kept where it is taken out of the stack."""
    access_key_id: pulumi.Input[str]
    """Whose it is."""
    secret_access_key: pulumi.Input[str]
    """The key to the server."""


class LocalBucketProvider(ResourceProvider):
    """Makes, looks at and removes buckets through `python -m skyrig.storage.local`."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another name is another bucket. Other keys change nothing about one that is there."""
        changed = [key for key in ("stack", "bucket") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the bucket; one of the stack's that was kept is taken over with what is in it."""
        keys = {key: props[key] for key in ("access_key_id", "secret_access_key")}
        made = run_storage("make", {**_where(props), **keys})
        return CreateResult(f"{props['stack']}-{props['bucket']}", {**props, **made})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The bucket as it is; nothing where its folder is gone."""
        found = run_storage("look", _where(props))
        return ReadResult(id_, {**props, **found}) if found else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the bucket with everything in it. The engine does not ask for that where it is persistent."""
        run_storage("remove", {**_where(_props), "contents": True})


class LocalBucket(Resource, module="skyrig", name="LocalBucket"):
    """One bucket on this machine. What is in it is plain files below `folder`."""

    url: pulumi.Output[str]
    """s3://NAME."""

    folder: pulumi.Output[str]
    """Where its objects are, as files."""

    def __init__(self, name: str, args: LocalBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        kept = args["persistent"]
        own = pulumi.ResourceOptions(
            protect=kept, retain_on_delete=kept, additional_secret_outputs=["secret_access_key"]
        )
        inputs = {key: value for key, value in args.items() if key != "persistent"}
        super().__init__(
            LocalBucketProvider(),
            name,
            {**inputs, "url": None, "folder": None},
            pulumi.ResourceOptions.merge(opts, own),
        )


def _where(props: dict[str, Any]) -> dict[str, Any]:
    return {"folder": str(places.storage(props["stack"])), "bucket": props["bucket"]}


class LocalBuckets:
    """All buckets of a stack on this machine, and the server for them."""

    keys: pulumi.Output[dict[str, str]] | None
    """Keys to the server."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._stack = name, args["stack"]
        self._key = LocalStoreKey(f"{name}-key", self._stack, opts)
        self._store = LocalStore(f"{name}-store", self._stack, self._key, opts)
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[self._store]))
        both = {"access_key_id": self._key.access_key_id, "secret_access_key": self._key.secret_access_key}
        self.keys = pulumi.Output.secret(pulumi.Output.all(**both))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        made = LocalBucket(
            f"{self._name}-{wanted['name']}",
            {
                "stack": self._stack,
                "bucket": wanted["name"],
                "persistent": wanted["persistent"],
                "access_key_id": self._key.access_key_id,
                "secret_access_key": self._key.secret_access_key,
            },
            self._opts,
        )
        return {"url": made.url, "endpoint": self._store.endpoint, "folder": made.folder}
