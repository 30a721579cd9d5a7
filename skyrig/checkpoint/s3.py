"""S3, and whatever speaks its protocol, as a store. Needs boto3 (`pip install 'skyrig[aws]'`)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from skyrig.checkpoint.store import Block
from skyrig.errors import BadInput

_AT_ONCE = 1000
"""S3 deletes so many objects in one request."""


class S3Store:
    """`s3://BUCKET/PREFIX`. Credentials, region and endpoint are boto3's own business (AWS_ENDPOINT_URL for another
    service than AWS), or those of `client`. Large contents go up in parts, several at once."""

    def __init__(self, url: str, client: Any = None) -> None:
        scheme, _, rest = url.partition("://")
        self.bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not self.bucket:
            raise BadInput(f"{url} names no bucket", hint="s3://BUCKET/PREFIX is wanted")
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._client = client or _client()

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def put(self, name: str, blocks: Iterable[Block]) -> None:
        """See Store."""
        self._client.upload_fileobj(_Stream(iter(blocks)), self.bucket, self.prefix + name)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See Store."""
        if length == 0:
            return b""
        span = (
            {}
            if not start and length is None
            else {"Range": f"bytes={start}-{'' if length is None else start + length - 1}"}
        )
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + name, **span)
            return bytes(answer["Body"].read())
        except self._client.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(f"{self}{name}") from None
            if code == "InvalidRange":  # it ends before `start`
                return b""
            raise

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """See Store."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        return {
            entry["Key"][len(self.prefix) :]: int(entry["Size"]) for page in pages for entry in page.get("Contents", ())
        }

    def delete(self, names: Iterable[str]) -> None:
        """See Store."""
        keys = [{"Key": self.prefix + name} for name in names]
        for first in range(0, len(keys), _AT_ONCE):
            wanted = {"Objects": keys[first : first + _AT_ONCE], "Quiet": True}
            failed = self._client.delete_objects(Bucket=self.bucket, Delete=wanted).get("Errors")
            if failed:
                raise OSError(f"{self}: {failed[0].get('Key')} cannot be deleted: {failed[0].get('Message')}")


class _Stream(io.RawIOBase):
    """Blocks as a file to read from."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block).cast("B")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end: a part of an upload must have its full size."""
        if size < 0:
            return self.readall()
        found = bytearray()
        while len(found) < size:
            piece = bytearray(min(size - len(found), 1 << 20))
            count = self.readinto(piece)
            if not count:
                break
            found += piece[:count]
        return bytes(found)


def _client() -> Any:
    try:
        import boto3
    except ModuleNotFoundError:
        raise BadInput("checkpoints on S3 need boto3", hint="pip install 'skyrig[aws]'") from None
    return boto3.client("s3")
