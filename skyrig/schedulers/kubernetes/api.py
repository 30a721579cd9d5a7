"""The API of one Kubernetes cluster, as a kubeconfig context leads to it: plain objects by their paths.

The client library reads the kubeconfig, runs the programs that hold credentials (`exec`), and asks them again when
these have expired. It is imported where it is used: it is slow to import.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from skyrig.errors import BadInput, SkyrigError, Unreachable

JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2"
JOBS = "/apis/batch/v1"
CORE = "/api/v1"

_LIMIT_S = 60.0
"""How long one answer may take, in seconds."""


@frozen
class Where:
    """A namespace of the cluster that a context names; `namespace` "" is the context's own."""

    context: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.context}/{self.namespace}" if self.namespace else self.context


class Refused(SkyrigError):
    """The API server has said no; `code` is the status of its answer."""

    def __init__(self, message: str, *, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Api:
    """What is asked of a cluster: `namespace` is the one that paths are in."""

    def __init__(self, client: Any, where: Where) -> None:
        self._client = client
        self.context: str = client.auth.active_context or where.context
        self.namespace: str = where.namespace or client.auth.namespace
        self.server: str = client.auth.server

    def path(self, group: str, plural: str, name: str = "") -> str:
        """The path of objects of one kind in the namespace, or of the one called `name`."""
        whole = f"{group}/namespaces/{self.namespace}/{plural}"
        return f"{whole}/{name}" if name else whole

    async def get(self, path: str, **params: str) -> dict[str, Any] | None:
        """An object, or a list of them; None where it is not there."""
        try:
            found: dict[str, Any] = (await self._asked("GET", path, params=params)).json()
        except Refused as error:
            if error.code == 404:
                return None
            raise
        return found

    async def items(self, path: str, **params: str) -> list[dict[str, Any]]:
        """The objects of a list; none where there is no such kind."""
        found = await self.get(path, **params)
        return list(found["items"]) if found is not None else []

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object as it was made; None where one of its name is there already."""
        try:
            made: dict[str, Any] = (await self._asked("POST", path, json=body)).json()
        except Refused as error:
            if error.code == 409:
                return None
            raise
        return made

    async def replace(self, path: str, body: Mapping[str, Any]) -> bool:
        """Put an object in the place of the version that it was made from; false where that is not the newest."""
        try:
            await self._asked("PUT", path, json=body)
        except Refused as error:
            if error.code in (404, 409):
                return False
            raise
        return True

    async def patch(self, path: str, change: Mapping[str, Any]) -> None:
        """Merge a change into an object; nothing where it is not there."""
        try:
            await self._asked("PATCH", path, json=change, headers={"Content-Type": "application/merge-patch+json"})
        except Refused as error:
            if error.code != 404:
                raise

    async def delete(self, path: str) -> bool:
        """Delete an object, and what it owns; whether it was there."""
        try:
            await self._asked("DELETE", path, json={"propagationPolicy": "Background"})
        except Refused as error:
            if error.code == 404:
                return False
            raise
        return True

    async def log(self, pod: str, container: str, since: str = "") -> bytes:
        """What a container has written, each line with its moment, from the second `since` on; nothing where it has not
        begun or is gone."""
        params = {"container": container, "timestamps": "true", **({"sinceTime": since} if since else {})}
        try:
            return bytes((await self._asked("GET", self.path(CORE, "pods", pod) + "/log", params=params)).content)
        except Refused as error:
            if error.code in (400, 404):
                return b""
            raise

    async def _asked(self, method: str, path: str, **more: Any) -> Any:
        import httpx
        import kr8s

        base, version, url = _parted(path)
        try:
            async with self._client.call_api(
                method=method, base=base, version=version, url=url, timeout=_LIMIT_S, **more
            ) as answer:
                return answer
        except kr8s.ServerError as error:
            code = error.response.status_code if error.response is not None else 0
            hint = "`kubectl auth can-i --list` tells what you may do there" if code in (401, 403) else None
            raise Refused(f"Kubernetes ({self.context}): {_line(error)}", code=code, hint=hint) from None
        except (httpx.HTTPError, kr8s.APITimeoutError, OSError) as error:
            raise unreachable(self.context, error) from None


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[Api]:
    """The API of the cluster that a context names, for the time of the block. BadInput where there is no such context,
    Unreachable where nothing answers."""
    import kr8s
    import kr8s.asyncio

    # That a server is newer than the library was tested with says nothing of the few words that are used here.
    warnings.filterwarnings("ignore", message="Kubernetes version .* is not supported")
    try:
        client = await kr8s.asyncio.api(context=where.context or None, namespace=where.namespace or None)
    except (ValueError, KeyError, IndexError, OSError) as error:  # how the library says that a kubeconfig is no good
        raise BadInput(
            f"no context {where.context or '(the current one)'} that can be used in the kubeconfig: {_line(error)}",
            hint="`kubectl config get-contexts` lists them; KUBECONFIG names the file",
        ) from None
    try:
        yield Api(client, where)
    finally:
        if client._session is not None:  # the library has no word for it, and reports one that stays open
            await client._session.aclose()


def unreachable(context: str, error: BaseException) -> Unreachable:
    """The error for an API server that does not answer."""
    return Unreachable(f"the API server of {context} does not answer: {_line(error)}", node_id="api")


def _parted(path: str) -> tuple[str, str, str]:
    """(base, version, rest) of a path, as the library wants it."""
    parts = path.strip("/").split("/")
    length = 3 if parts[0] == "apis" else 2
    return f"/{parts[0]}", "/".join(parts[1:length]), "/".join(parts[length:])


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
