"""A bucket by its url: which store it is in, and what of it is meant."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from attrs import frozen

from skyrig.errors import BadInput

SCHEMES = {
    "s3": "s3",
    "gs": "gcs",
    "r2": "r2",
    "cos": "ibm",
    "oci": "oci",
    "nebius": "nebius",
    "cw": "coreweave",
    "vastdata": "vastdata",
}
"""Store by scheme; Azure's urls are https ones."""

_AZURE = re.compile(r"(?P<account>[a-z0-9]{3,24})\.blob\.core\.windows\.net", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


@frozen
class BucketUrl:
    """`key` ("" for all of it) in the bucket `name` of a `store` (a name of data/stores.json). `account` is the storage
    account on Azure, `region` the one that IBM's urls name."""

    store: str
    name: str
    key: str = ""
    account: str = ""
    region: str = ""

    @property
    def path(self) -> str:
        """Where it lies in its store: "name" or "name/key"."""
        return f"{self.name}/{self.key}" if self.key else self.name

    def __str__(self) -> str:
        if self.store == "azure":
            return f"https://{self.account}.blob.core.windows.net/{self.path}"
        scheme = next(scheme for scheme, store in SCHEMES.items() if store == self.store)
        return f"{scheme}://{self.region}/{self.path}" if self.region else f"{scheme}://{self.path}"


def read(text: str) -> BucketUrl:
    """The url as a value; BadInput where it names no bucket."""
    parts = urlsplit(text.strip())
    scheme, path = parts.scheme.lower(), unquote(parts.path).strip("/")
    if scheme == "https":
        found = _AZURE.fullmatch(parts.netloc)
        name, _, key = path.partition("/")
        if found is None or parts.query:
            raise _wrong(text, "https://ACCOUNT.blob.core.windows.net/CONTAINER is wanted")
        return _checked(text, BucketUrl("azure", name, key, account=found["account"].lower()))
    store = SCHEMES.get(scheme)
    if store is None:
        raise _wrong(text, f"it begins with one of {', '.join(f'{known}://' for known in SCHEMES)}, or is an Azure url")
    if store == "ibm":
        name, _, key = path.partition("/")
        return _checked(text, BucketUrl(store, name, key, region=parts.netloc))
    return _checked(text, BucketUrl(store, parts.netloc, path))


def _checked(text: str, url: BucketUrl) -> BucketUrl:
    if not _BUCKET.fullmatch(url.name):
        form = "cos://REGION/BUCKET" if url.store == "ibm" else "SCHEME://BUCKET"
        raise _wrong(text, f"{form} is wanted")
    return url


def _wrong(text: str, hint: str) -> BadInput:
    return BadInput(f"{text} names no bucket", hint=hint)
