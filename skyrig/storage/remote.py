"""How a bucket is reached: rclone's options for it, the secret ones apart.

Keys come from variables that the task gives (env, --env-file, --secret), else from those of whoever runs Skyrig; never
from files in their home. Nodes of a bucket's own cloud need none: their identity opens it.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from skyrig.cluster import stores
from skyrig.errors import BadInput
from skyrig.storage.stores import Store, first, store, value
from skyrig.storage.url import BucketUrl

_NEVER_MADE = {
    "s3": {"no_check_bucket": "true"},
    "google cloud storage": {"no_check_bucket": "true"},
    "azureblob": {"no_check_container": "true"},
}
"""By type: rclone is to make no bucket before it writes, which may not be allowed."""


def _as_it_is(options: Mapping[str, str]) -> dict[str, str]:
    return {**_NEVER_MADE.get(options.get("type", ""), {}), **options}


class NoCredentials(BadInput):
    """Nothing says with which keys a bucket is to be opened."""


@frozen
class Remote:
    """rclone's options by name, by which it makes no bucket unless they say otherwise. `secrets` are never logged, and
    reach rclone by its environment alone; `named` are the variables that they came from."""

    options: Mapping[str, str] = field(converter=_as_it_is)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    named: tuple[str, ...] = ()

    def environment(self, name: str = "skyrig") -> dict[str, str]:
        """Variables by which rclone knows this as its remote `name`."""
        prefix = f"RCLONE_CONFIG_{name.upper()}_"
        return {f"{prefix}{option.upper()}": value for option, value in {**self.options, **self.secrets}.items()}


def of(
    url: BucketUrl, given: Mapping[str, str], around: Mapping[str, str], *, cloud: str = "", region: str = ""
) -> Remote:
    """The way to a bucket from nodes of `cloud` in `region` ("" for this machine). `given` are the task's variables,
    which come first and as a whole: keys of one account never mix with an endpoint of another; `around` those of this
    process, which never go to nodes that open the bucket by what they are. The region of nodes is taken for that of a
    bucket on their own cloud's store. NoCredentials where keys are needed and
    there are none, BadInput where no endpoint can be told."""
    kind, by_identity = store(url.store), stores.is_own(url.store, cloud)
    near = region if url.store == "s3" or not cloud or stores.of_cloud(cloud) == url.store else ""
    for variables in (given, {} if by_identity else around):
        found = _keys(kind, variables)
        if found is not None:
            secrets, named = found
            return Remote({**kind.remote, **_place(url, kind, variables, near)}, secrets, named)
    if by_identity:
        return Remote({**kind.remote, **_place(url, kind, {}, near), **stores.all_known()[url.store].identity})
    names = " and ".join(options[0] for options in kind.keys.values())
    raise NoCredentials(
        f"{url}: there are no keys to open it with", hint=f"give {names}, for instance by --env-file, or --secret"
    )


def of_here(url: BucketUrl, around: Mapping[str, str], *, region: str = "") -> Remote:
    """The way to a bucket from this machine: with the keys among the variables `around`, else with whatever its user is
    logged in with (a profile, the cloud's command line tool). BadInput where no endpoint can be told."""
    try:
        return of(url, {}, around, region=region)
    except NoCredentials:
        ours = stores.all_known().get(url.store)
        if ours is None or not ours.here:
            raise
        kind = store(url.store)
        return Remote({**kind.remote, **_place(url, kind, around, region), **ours.here})


def _keys(kind: Store, variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]] | None:
    """The secret options among `variables`, and the names that they have there; None where they are not complete."""
    for wanted in (kind.keys, kind.instead):
        named = {option: first(names, variables) for option, names in wanted.items()}
        if named and all(named.values()):
            more = {option: first(names, variables) for option, names in kind.more.items()}
            chosen = {option: name for option, name in {**named, **more}.items() if name}
            return {option: variables[name] for option, name in chosen.items()}, tuple(chosen.values())
    return None


def _place(url: BucketUrl, kind: Store, variables: Mapping[str, str], near: str) -> dict[str, str]:
    """Account, region and endpoint, as far as the store has them. `near` is the region where nothing names another."""
    if url.store == "azure":
        return {"account": url.account}
    if kind.remote["type"] != "s3":
        return {}
    region = url.region or value(kind.region.variables, variables) or near or kind.region.default
    endpoint = kind.endpoint.of(variables, region)
    if not endpoint and url.store != "s3":
        raise BadInput(f"{url}: its endpoint is not known", hint=f"give {kind.endpoint.wanted}")
    place = {"region": region} if region and "region" not in kind.remote else {}
    if endpoint:
        place["endpoint"] = endpoint
        if url.store == "s3":
            place["provider"] = "Other"
    return place
