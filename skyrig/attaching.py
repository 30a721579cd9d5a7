"""From the buckets that a task wants to what its job's request holds: each found or made, filled with local files, and
the way to it from the nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen

from skyrig.bringing import Asked, Confirm, Manner, Notify, up
from skyrig.catalog import instances
from skyrig.cluster import clouds, stores
from skyrig.cluster.buckets import Bucket
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput
from skyrig.launch.job import JobRequest
from skyrig.stack import config, datastacks
from skyrig.storage import endpoint, programs, remote, uploads
from skyrig.storage import url as urls
from skyrig.storage.mount import BucketMount
from skyrig.storage.owned import OwnedBucket
from skyrig.storage.remote import NoCredentials, Remote
from skyrig.storage.wanted import WantedBucket, opened_by

_KEYS = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
_ENDPOINT = "AWS_ENDPOINT_URL_S3"

_RCLONE = "~/.skyrig/bin/rclone"
"""Where nodes of clouds look for rclone first: it comes with the task's files, so they need no internet for it."""


@frozen
class Attached:
    """What a request gets: `mounts`, the secret options of their remotes by name, and variables (`env`, and secret
    `keys`) by which a job's own programs reach the local cloud's buckets, as on a cloud they do by what their node
    is. `sources` are file mounts that come with them, as those of a Submission; `rclone` is where nodes that share
    this machine's files find that program."""

    mounts: tuple[BucketMount, ...] = ()
    secrets: dict[str, dict[str, str]] = field(factory=dict, repr=False)
    env: dict[str, str] = field(factory=dict)
    keys: dict[str, str] = field(factory=dict, repr=False)
    sources: dict[str, Path | None] = field(factory=dict)
    rclone: str = ""

    def given_to(self, request: JobRequest) -> JobRequest:
        """`request` with all of it; keys of the user's own stand, and then ours are left out."""
        request = evolve(request, buckets=self.mounts, bucket_secrets=self.secrets, rclone=self.rclone)
        if {*request.env, *request.secrets} & {*_KEYS.values()}:
            return request
        return evolve(request, env={**self.env, **request.env}, secrets={**self.keys, **request.secrets})


def attach(
    cluster: ClusterDescription,
    wanted: Sequence[WantedBucket],
    variables: Mapping[str, str],
    notify: Notify,
    confirm: Confirm,
    data_stack: str = "",
) -> Attached:
    """All of `wanted` for jobs on `cluster`: buckets that are not there are made, in `data_stack` or else in the stack
    that keeps the cluster's; local files go into theirs; nodes may open those of their own cloud. `variables` are the
    task's env and secrets, among which keys are looked for. BadInput, NoCredentials and StorageError say what a bucket
    lacks."""
    owned = _owned(cluster, wanted, data_stack or datastacks.of(cluster.name), notify)
    _let_in(cluster, wanted, owned.values(), notify, confirm)
    mounts, secrets = [], {}
    sources: dict[str, Path | None] = {}
    for each in wanted:
        way = _way(cluster, each, owned.get(each.name), variables, notify)
        if way is None:
            sources[each.target] = None
            continue
        mount, secret = way
        mounts.append(mount)
        if secret:
            secrets[mount.secret] = secret
    for each in wanted:
        if each.sources:
            uploads.bring(each, owned[each.name].path, owned[each.name].from_here(), notify)
    ours = next((owned[each.name] for each in wanted if each.name and owned[each.name].store == "local"), None)
    env, keys = _variables(ours, cluster.isolation) if ours is not None else ({}, {})
    own = str(programs.rclone()) if mounts and cluster.isolation != "machine" else ""
    if mounts and not own:
        sources[_RCLONE] = programs.rclone_for(_kind_of_nodes(cluster))
    return Attached(tuple(mounts), secrets, env, keys, sources, own)


def _owned(
    cluster: ClusterDescription, wanted: Sequence[WantedBucket], data_stack: str, notify: Notify
) -> Mapping[str, OwnedBucket]:
    """Our buckets that are wanted, by name and ready to be used. Those that are not there are made, all in one run of
    the engine; those that shall go with the cluster in another one, in its own stack."""
    names = {each.name: each for each in wanted if each.name}
    known = {bucket.name: bucket for bucket in datastacks.all_known() if bucket.name in names}
    missing = [each for each in names.values() if each.name not in known]
    lasting = [_asked(cluster, each, notify) for each in missing if each.persistent]
    others = [_asked(cluster, each, notify) for each in missing if not each.persistent]
    if lasting:
        datastacks.make(data_stack, lasting, notify)
    if others:
        datastacks.add(cluster.name, others, notify)
    if missing:
        known = {bucket.name: bucket for bucket in datastacks.all_known() if bucket.name in names}
    return {name: datastacks.ready(bucket) for name, bucket in known.items()}


def _asked(cluster: ClusterDescription, wanted: WantedBucket, notify: Notify) -> Bucket:
    """What is made: on the local cloud, in the cluster's own account and region, or where a task says."""
    store = _store(cluster, wanted, notify)
    if store == "local":
        return Bucket(wanted.name, persistent=wanted.persistent)
    account = config.read_shape(cluster.name).machine.account if store == stores.of_cloud(cluster.cloud) else ""
    return Bucket(wanted.name, store, cluster.region, wanted.persistent, account)


def _let_in(
    cluster: ClusterDescription,
    wanted: Sequence[WantedBucket],
    owned: Iterable[OwnedBucket],
    notify: Notify,
    confirm: Confirm,
) -> None:
    """Have the nodes of a cloud open its buckets by what they are: another run of the engine, where that is news. Where
    they go by ids, those that are ours: the ids of others cannot be told from their urls."""
    reached = opened_by(cluster.cloud, wanted)
    if clouds.has("skyrig.clouds", cluster.cloud, "reached"):
        name = clouds.module("skyrig.clouds", cluster.cloud, "reached").name
        ours = [each for each in owned if stores.is_own(each.store, cluster.cloud)]
        reached |= {name(each.account, each.stack, each.url) for each in ours}
    news = reached and reached - {*config.read_shape(cluster.name).machine.reaches}
    if news:
        notify(f"cluster {cluster.name} may use {', '.join(sorted(news))}")
        up(cluster.name, notify, Asked(reaches=tuple(news), at_least=True), Manner(confirm, starting=False))


def _store(cluster: ClusterDescription, wanted: WantedBucket, notify: Notify) -> str:
    """Where a bucket is made."""
    own = stores.of_cloud(cluster.cloud)
    if own == "local" and wanted.store:
        notify(f"bucket {wanted.name}: store {wanted.store} is rehearsed on the local cloud")
    if not own and not wanted.store:
        raise BadInput(
            f"bucket {wanted.name}: {cluster.cloud} has no buckets of ours",
            hint="name the `store` that it shall be made in, or give the url of one that is there as `source`",
        )
    return own if own == "local" else wanted.store or own


def _way(
    cluster: ClusterDescription,
    wanted: WantedBucket,
    owned: OwnedBucket | None,
    variables: Mapping[str, str],
    notify: Notify,
) -> tuple[BucketMount, dict[str, str]] | None:
    """The mount, and the secret options of its remote. None where the local cloud can only rehearse it."""
    if owned is not None and owned.store == "local":
        found, url, folder = _local_way(cluster, owned), urls.read(owned.url), owned.folder
    else:
        url, folder = urls.read(owned.url) if owned is not None else wanted.url or urls.read(""), ""
        try:
            region = owned.region if owned is not None else cluster.region
            found = remote.of(url, variables, os.environ, cloud=cluster.cloud, region=region)
        except NoCredentials as error:
            if cluster.cloud != "local":
                raise
            notify(f"file_mounts.{wanted.target}: {error.message}; here it is an ordinary folder on each node")
            return None
        if found.named and not variables.keys() & set(found.named):
            notify(f"file_mounts.{wanted.target}: {url} is opened with {', '.join(found.named)} of your environment")
    options = dict(found.options)
    if "endpoint" in options:
        options["endpoint"] = endpoint.for_nodes(options["endpoint"], cluster.isolation)
    secret = wanted.target if found.secrets else ""
    mount = BucketMount(wanted.target, wanted.mode, str(url), url.path, options, secret, dict(wanted.options), folder)
    return mount, dict(found.secrets)


def _kind_of_nodes(cluster: ClusterDescription) -> str:
    """What the nodes of a cloud are, as `uname -m` says."""
    kind = instances.find(cluster.cloud, config.read_shape(cluster.name).machine.instance_type)
    return "aarch64" if kind.arch == "arm64" else kind.arch


def _local_way(cluster: ClusterDescription, owned: OwnedBucket) -> Remote:
    if cluster.cloud == "local":
        return owned.local(cluster.isolation)
    raise BadInput(
        f"bucket {owned.name} is on this machine, where nodes of {cluster.cloud} do not reach it",
        hint="take another name for one on the cloud; `storage.cp` copies what is in it",
    )


def _variables(owned: OwnedBucket, isolation: str) -> tuple[dict[str, str], dict[str, str]]:
    """Plain and secret variables of a job for the server that has this bucket."""
    way = owned.local(isolation)
    keys = {variable: way.secrets[option] for option, variable in _KEYS.items()}
    return {_ENDPOINT: way.options["endpoint"], "AWS_REGION": way.options["region"]}, keys
