"""Somebody with accounts on Google Cloud and Azure, both on loopback, of which the test says where there is no
capacity."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from azure_stack import ACCOUNT, home
from google_cloud import PROJECT, GoogleCloud
from manager import Manager, serve
from servers import plugins
from user import BIN, User

FULL = "The zone 'projects/lab-project/zones/{}' does not have enough resources available to fulfill the request."
NO_QUOTA = "Error 403: Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region {}., quotaExceeded"
NO_SKU = 'Code="SkuNotAvailable" Message="The requested VM size is currently not available in location {}"'

GOOGLE = {"infra": "gcp/us-central1", "instance_type": "g2-standard-4"}
GOOGLE_EAST = {"infra": "gcp/us-east4", "instance_type": "g2-standard-4"}
AZURE = {"infra": "azure/eastus", "instance_type": "Standard_NC4as_T4_v3"}
UP_S = 240.0


class Traveller(User):
    """A user of both clouds."""

    def __init__(self, folder: Path, google: GoogleCloud, manager: Manager) -> None:
        super().__init__(folder, "trip")
        self.google, self.manager = google, manager
        self.log, self.refusing = folder / "echo.jsonl", folder / "refuses.json"
        for zone in ("us-central1-a", "us-central1-b", "us-east4-a", "us-east4-b"):
            google.put(f"zones/{zone}/machineTypes/g2-standard-4")
        self.refuses({})
        self.env |= google.env | {
            "AWS_CONFIG_FILE": str(folder / "no-aws"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws"),
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "ARM_SUBSCRIPTION_ID": ACCOUNT,
            "AZURE_CONFIG_DIR": str(folder / "no-az"),
            "ECHO_SUBSCRIPTION": ACCOUNT,
            "ECHO_PROJECT": PROJECT,
            "ECHO_LOG": str(self.log),
            "SKYRIG_AZURE_LOOPBACK": manager.address,
            "SKYRIG_ECHO_REFUSES": str(self.refusing),
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
        }
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
            self.env.pop(name, None)

    def refuses(self, said: Mapping[str, str]) -> None:
        """From now on, places say this."""
        new = self.refusing.with_suffix(".new")
        new.write_text(json.dumps(said))
        new.replace(self.refusing)

    def up(self, *candidates: Mapping[str, Any]) -> list[str]:
        """An up of two nodes on one of several candidates, that was agreed to."""
        file = self.clone.parent / "task.yaml"
        file.write_text(yaml.safe_dump({"num_nodes": 2, "resources": {"ordered": [dict(each) for each in candidates]}}))
        return ["up", "-c", self.stack, "--task", str(file), "-y"]

    def pulumi(self, *words: str) -> None:
        """A plain engine command in the clone, which succeeds."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        done = subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, timeout=UP_S, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def asked(self) -> list[dict[str, Any]]:
        """What the clouds' providers were asked to make or delete, with what came of it."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [call for call in calls if call["op"] in ("create", "delete") and not call.get("preview")]

    def left(self) -> Counter[str]:
        """Names of what was made and not deleted, on any cloud."""
        done = [call for call in self.asked() if not call.get("error")]
        made = Counter(call["urn"] for call in done if call["op"] == "create")
        return made - Counter(call["urn"] for call in done if call["op"] == "delete")

    def tried(self) -> list[str]:
        """Zones and regions where machines of n0 were wanted, in order."""
        wanted = [call["inputs"] for call in self.asked() if call["op"] == "create" and _is_first(call)]
        return [str(inputs.get("zone") or inputs.get("location")) for inputs in wanted]

    def on_azure(self) -> list[str]:
        """Things of the stack that Azure has."""
        return [path for path in self.manager.things if path.startswith(home(self.stack).lower())]


def _is_first(call: dict[str, Any]) -> bool:
    return call["type"].endswith((":Instance", ":VirtualMachine")) and "-n0" in call["name"]


@contextmanager
def travelling(folder: Path) -> Iterator[Traveller]:
    """Somebody there, while the block runs."""
    manager = Manager(subscriptions={ACCOUNT}, polls=0)
    server = serve(manager)
    try:
        with GoogleCloud() as google:
            yield Traveller(folder, google, manager)
    finally:
        server.shutdown()
        server.server_close()
