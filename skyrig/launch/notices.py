"""Run on a node (stdlib only, Python 3.8): says when its machine is about to be taken away. `given` is its JSON input:
`service` is what is asked every `pause_s` seconds, until stdin ends; what runs on a cloud that has none asks nobody.

Each notice is told once, as one JSON line: `id` (the same however often it is asked for), `kind` (preemption,
maintenance, or risk: a preemption is likely), `source`, and `left_s`, seconds that are left (null: not told). `{}` is a
sign of life. `{"problem": ...}` says that the service does not answer. What is announced long before is told NEAR_S
before: until then a job may go on, and saves what it saves anyway.

    ec2     http://169.254.169.254, with a token of IMDSv2 (PUT latest/api/token). spot/instance-action has action and
            time, two minutes before, else 404; events/recommendations/rebalance has noticeTime, when the risk is high;
            events/maintenance/scheduled is a list with NotBefore, also of machines on demand. (EC2 user guide: "Spot
            Instance interruption notices", which says to look every 5 s, "EC2 instance rebalance recommendations")
    compute-engine
            http://169.254.169.254 with the header Metadata-Flavor. instance/preempted turns TRUE at a preemption,
            about 30 s before the end; instance/maintenance-event says TERMINATE_ON_HOST_MAINTENANCE 60 s before, with
            GPUs an hour before, and that only to who has asked before. MIGRATE_ON_HOST_MAINTENANCE ends nothing.
            (Compute Engine: "Query the metadata server for maintenance event notices", "Spot VMs")
    scheduled-events
            http://169.254.169.254/metadata/scheduledevents with the header Metadata. Of the events of this machine's
            availability set, those that name it: Preempt 30 s before NotBefore, Terminate, Reboot, Redeploy minutes
            before. Freeze is a pause. They are not acknowledged (StartRequests): that would only have them start
            sooner. (Azure: "Scheduled Events for Linux VMs")
    file    a file that `local.preempt --notice` writes into the node's home

SKYRIG_METADATA (HOST:PORT) stands for a cloud's service in tests.
"""

from __future__ import annotations

import calendar
import http.client
import json
import os
import select
import sys
import time
from email.utils import mktime_tz, parsedate_tz

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Notice = dict[str, Any]

NEAR_S = 120.0
"""A notice with more time than this is told later."""
SIGN_OF_LIFE_S = 5.0
ANSWER_S = 5.0
"""How long the service may take to answer."""
FAILURES = 5
"""After so many looks without an answer that is told."""
LINK_LOCAL = "169.254.169.254"
PREEMPTED_S = 30.0
"""What Google Cloud gives a machine that it preempts."""

given = globals()["given"]


class Silent(Exception):
    """The metadata service does not answer."""


def ask(path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
    """Status and text of an answer of the metadata service; no proxy is ever asked."""
    connection = http.client.HTTPConnection(os.environ.get("SKYRIG_METADATA") or LINK_LOCAL, timeout=ANSWER_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as problem:
        raise Silent(str(problem) or repr(problem)) from problem
    finally:
        connection.close()


def parsed(text: str) -> Any:
    """JSON, or None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def moment(text: str) -> float | None:
    """Unix time of an ISO or RFC 2822 date in UTC; None where it is neither."""
    try:
        return calendar.timegm(time.strptime(text.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        found = parsedate_tz(text)
        return mktime_tz(found) if found else None


def notice(kind: str, source: str, key: str, at: float | None = None) -> Notice:
    """A notice; `at` is when the machine goes (unix time)."""
    left = None if at is None else max(0.0, at - time.time())
    return {"id": f"{source} {key}", "kind": kind, "source": source, "left_s": left}


class Aws:
    """EC2's instance metadata service, version 2."""

    def __init__(self) -> None:
        self.token = ""

    def get(self, path: str) -> Any:
        """What is there in JSON; None where nothing is. A token that is not taken any more is had anew, once."""
        for _ in range(2):
            if not self.token:
                status, text = ask("/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}, "PUT")
                if status != 200:
                    raise Silent(f"no token of IMDSv2: HTTP {status}")
                self.token = text
            status, text = ask("/latest/meta-data/" + path, {"X-aws-ec2-metadata-token": self.token})
            if status != 401:
                break
            self.token = ""
        return parsed(text) if status == 200 else None

    def look(self) -> Iterator[Notice]:
        """All notices that there are now."""
        action = self.get("spot/instance-action")
        if isinstance(action, dict):
            at = str(action.get("time", ""))
            yield notice("preemption", "aws spot/instance-action", at, moment(at))
        risk = self.get("events/recommendations/rebalance")
        if isinstance(risk, dict):
            yield notice("risk", "aws rebalance recommendation", str(risk.get("noticeTime", "")))
        events = self.get("events/maintenance/scheduled")
        for each in events if isinstance(events, list) else ():
            if each.get("State", "active") == "active":
                source = f"aws {each.get('Code', 'maintenance')}"
                yield notice(
                    "maintenance", source, str(each.get("EventId", "")), moment(str(each.get("NotBefore", "")))
                )


class Gcp:
    """Google Cloud's metadata server."""

    def __init__(self) -> None:
        self.until: float | None = None

    def get(self, name: str) -> str:
        """The value of a key of the instance."""
        status, text = ask("/computeMetadata/v1/instance/" + name, {"Metadata-Flavor": "Google"})
        return text.strip() if status == 200 else ""

    def look(self) -> Iterator[Notice]:
        """All notices that there are now."""
        if self.get("preempted") == "TRUE":
            self.until = self.until or time.time() + PREEMPTED_S
            yield notice("preemption", "gcp instance/preempted", "", self.until)
        if self.get("maintenance-event") == "TERMINATE_ON_HOST_MAINTENANCE":
            yield notice("maintenance", "gcp instance/maintenance-event", "")


EVENTS = {"Preempt": "preemption", "Terminate": "preemption", "Reboot": "maintenance", "Redeploy": "maintenance"}
"""Kinds of Azure's events that end what runs on a machine."""


class Azure:
    """Azure's scheduled events."""

    def __init__(self) -> None:
        self.name = ""

    def get(self, path: str) -> str:
        """The text of an answer; "" where there is none."""
        status, text = ask("/metadata/" + path, {"Metadata": "true"})
        return text.strip() if status == 200 else ""

    def look(self) -> Iterator[Notice]:
        """All notices that there are now."""
        self.name = self.name or self.get("instance/compute/name?api-version=2021-02-01&format=text")
        said = parsed(self.get("scheduledevents?api-version=2020-07-01") or "{}")
        for each in said.get("Events", ()) if isinstance(said, dict) else ():
            kind = each.get("EventType", "")
            names = [str(name).lower() for name in each.get("Resources", ())]
            if kind in EVENTS and (not self.name or self.name.lower() in names):
                at = moment(str(each.get("NotBefore", ""))) or time.time()  # no time any more: it has started
                yield notice(EVENTS[kind], f"azure {kind}", str(each.get("EventId", "")), at)


class Local:
    """A node of the local cloud: whoever is about to kill it says so in a file."""

    def look(self) -> Iterator[Notice]:
        """The notice, until its time is over: then a node that is still there was started anew."""
        try:
            with open(os.path.expanduser("~/.skyrig/preemption.json"), encoding="utf-8") as file:
                said = parsed(file.read())
        except OSError:
            return
        if isinstance(said, dict) and said["at"] > time.time():
            yield notice("preemption", "local.preempt", said["id"], said["at"])


def tell(frame: Notice) -> None:
    """One line to whoever has started this."""
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


def watch(name: str, pause_s: float) -> None:
    """Look until stdin ends."""
    services: dict[str, Callable[[], Aws | Azure | Gcp | Local]]
    services = {"ec2": Aws, "scheduled-events": Azure, "compute-engine": Gcp, "file": Local}
    service = services[name]()
    told: set[str] = set()
    failures, sign_at = 0, 0.0
    while True:
        try:
            for each in list(service.look()):
                if each["id"] not in told and (each["left_s"] is None or each["left_s"] <= NEAR_S):
                    told.add(each["id"])
                    tell(each)
            failures = 0
        except Silent as problem:
            failures += 1
            if failures == FAILURES:
                tell({"problem": str(problem)})
        if time.monotonic() >= sign_at:
            sign_at = time.monotonic() + SIGN_OF_LIFE_S
            tell({})
        if select.select([0], [], [], pause_s)[0] and not os.read(0, 4096):
            return


watch(given["service"], given["pause_s"])
