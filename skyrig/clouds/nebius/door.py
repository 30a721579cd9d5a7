"""The API of Nebius for one project: lists, deletes, starts and stops, each tried again where the API is busy."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import frozen
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.nebius import session
from skyrig.errors import SkyrigError

ANSWER_S = 20.0
"""Seconds that one answer may take."""
OPERATION_S = 900.0
"""Seconds that what was begun may take: a start waits for capacity, a stop for the guest."""

_TRIES = 5
_BUSY = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_PAGE = 500
T = TypeVar("T")


@frozen
class Kind:
    """One kind of thing: the package of the API that has it, its noun there, and the package's version."""

    package: str
    noun: str
    version: str = "v1"


INSTANCE = Kind("compute", "Instance")
DISK = Kind("compute", "Disk")
GPU_CLUSTER = Kind("compute", "GpuCluster")
ALLOCATION = Kind("vpc", "Allocation")
SECURITY_GROUP = Kind("vpc", "SecurityGroup")
SECURITY_RULE = Kind("vpc", "SecurityRule")
SUBNET = Kind("vpc", "Subnet")
NETWORK = Kind("vpc", "Network")
BUCKET = Kind("storage", "Bucket")


class Door:
    """A way to the API for one project, as long as it is `opened`."""

    def __init__(self, sdk: Any, project: str) -> None:
        self._sdk, self.project = sdk, project

    def listed(self, kind: Kind, parent: str = "") -> list[Any]:
        """All things of a kind in the project, or in `parent`, as the API describes them."""
        found: list[Any] = []
        token = ""
        while True:
            page = self._asked(kind, "list", f"List{kind.noun}sRequest", {
                "parent_id": parent or self.project, "page_size": _PAGE, "page_token": token,
            })  # fmt: skip
            found += page.items
            token = page.next_page_token
            if not token:
                return found

    def delete(self, kind: Kind, id_: str) -> None:
        """Delete a thing, and wait until it is gone. What is gone already is gone."""
        self._done(kind, "delete", f"Delete{kind.noun}Request", id_)

    def start(self, id_: str) -> None:
        """Start a machine, and wait until it runs."""
        self._done(INSTANCE, "start", "StartInstanceRequest", id_)

    def stop(self, id_: str) -> None:
        """Stop a machine, and wait until it is off."""
        self._done(INSTANCE, "stop", "StopInstanceRequest", id_)

    def region(self) -> str:
        """The region that the project is in; "" where it says none. NotUsable where it may not be seen."""
        project = self._asked(Kind("iam", "Project", "v2"), "get", "GetProjectRequest", {"id": self.project})
        return str(project.spec.region or "")

    def quotas(self) -> list[Any]:
        """The project's quota allowances."""
        return self.listed(Kind("quotas", "QuotaAllowance"))

    def _asked(self, kind: Kind, verb: str, request: str, given: dict[str, Any]) -> Any:
        module = importlib.import_module(f"nebius.api.nebius.{kind.package}.{kind.version}")
        call = getattr(getattr(module, f"{kind.noun}ServiceClient")(self._sdk), verb)
        return _tried(lambda: call(getattr(module, request)(**given), timeout=ANSWER_S, retries=1).wait())

    def _done(self, kind: Kind, verb: str, request: str, id_: str) -> None:
        try:
            operation = self._asked(kind, verb, request, {"id": id_})
        except NotThere:
            if verb == "delete":
                return
            raise
        _tried(lambda: operation.sync_wait(timeout=OPERATION_S, interval=0.5))


class NotThere(SkyrigError):
    """The API knows no such thing."""


@contextmanager
def opened(project: str) -> Iterator[Door]:
    """The way to the API for a project; NotUsable where nobody is logged in."""
    if reason := session.missing():
        raise NotUsable(f"nebius: {reason}")
    sdk = _client()
    try:
        yield Door(sdk, project)
    finally:
        sdk.sync_close()


def _client() -> Any:
    """The SDK's client. NotUsable where it cannot make sense of the credentials."""
    from nebius.base.error import SDKError
    from yaml import YAMLError

    try:
        return session.sdk()
    except (SDKError, YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise NotUsable(f"nebius: the credentials cannot be read: {text}", hint=session.LOGIN) from error


def _tried(call: Callable[[], T]) -> T:
    """What a call gives, tried again while the API is busy; else its error in one line."""
    from nebius.base.error import SDKError

    tries = Retrying(
        stop=stop_after_attempt(_TRIES),
        wait=wait_exponential(multiplier=0.2, max=10),
        retry=retry_if_exception(lambda error: _code(error) in _BUSY and not _lasting(error)),
        reraise=True,
    )
    try:
        return tries(call)
    except SDKError as error:
        raise _told(error) from error


def _code(error: BaseException) -> str:
    """The gRPC code of an error of the SDK; "" where it has none."""
    code = getattr(getattr(error, "status", None), "code", None)
    return str(getattr(code, "name", ""))


def _lasting(error: BaseException) -> bool:
    """Whether an exhausted resource is one that waiting for seconds does not bring back: capacity, or a quota."""
    text = str(error).lower()
    return "not enough" in text or "notenoughresources" in text or "quota" in text


def _told(error: Exception) -> SkyrigError:
    text = " ".join(str(getattr(getattr(error, "status", None), "message", "") or error).split())[:400]
    match _code(error):
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return NotUsable(f"nebius: {text}", hint=f"log in again: {session.LOGIN}")
        case "NOT_FOUND":
            return NotThere(f"nebius: {text}")
        case _:
            return SkyrigError(f"nebius: {text}", hint="run the same command again: what is done stays done")
