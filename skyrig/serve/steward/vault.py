"""What replicas are made of and the endpoint's certificate, by version: kept where a job's request is kept, on tmpfs,
where secrets are among it. Then they are gone once the head was started anew, and have to be applied again."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from skyrig.launch.job import CONVERTER, JobRequest
from skyrig.serve import spec as specs
from skyrig.serve.spec import Secrets, ServiceSpec
from skyrig.serve.steward.memory import write

_TMPFS = Path("/dev/shm")
_PASSING = ("first_id", "key", "on", "user")
"""Fields of a request that say nothing of what a replica is."""


class Vault:
    """Files of the form version-N.json, in `folder` or on tmpfs. Where there is no tmpfs of the node's own (macOS,
    `plain` local nodes) all of them lie in `folder`, readable by the owner alone."""

    def __init__(self, folder: Path, *, own_tmpfs: bool) -> None:
        name = f"skyrig-serve-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
        self._disk = folder
        self._secret = _TMPFS / name if own_tmpfs and _TMPFS.is_dir() else folder

    def digests(self, spec: ServiceSpec, request: JobRequest, secret: Secrets) -> tuple[str, str]:
        """What tells a version from all others, and the part of it that a replica is made of. Nobody who reads them
        can try out secrets: the key lies beside them, and is nobody else's."""
        made = {name: value for name, value in CONVERTER.unstructure(request).items() if name not in _PASSING}
        body = self._digest([made, spec.port, spec.nodes_each])
        return self._digest([body, specs.CONVERTER.unstructure(spec), secret.pem]), body

    def put(self, number: int, request: JobRequest, secret: Secrets) -> None:
        """Keep what a version is made of (OSError: there is no room, or the folder is not ours alone)."""
        self._secret.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._secret.stat().st_uid != os.getuid() or self._secret.stat().st_mode & 0o077:
            raise PermissionError(f"{self._secret} is not ours alone")
        self.drop(number)
        is_secret = bool(request.secrets or request.bucket_secrets or secret.pem)
        document = {"request": CONVERTER.unstructure(request), "pem": secret.pem}
        write(self._file(self._secret if is_secret else self._disk, number), json.dumps(document))

    def get(self, number: int) -> tuple[JobRequest, Secrets] | None:
        """What a version is made of; None where it is gone with the head's memory."""
        for folder in (self._secret, self._disk):
            try:
                document = json.loads(self._file(folder, number).read_text())
            except FileNotFoundError:
                continue
            return CONVERTER.structure(document["request"], JobRequest), Secrets(document["pem"])
        return None

    def has(self, number: int) -> bool:
        """Whether `get` has something to give."""
        return any(self._file(folder, number).exists() for folder in (self._secret, self._disk))

    def drop(self, number: int) -> None:
        """Forget a version."""
        for folder in (self._secret, self._disk):
            self._file(folder, number).unlink(missing_ok=True)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget all but these versions."""
        for folder in {self._secret, self._disk}:
            for path in folder.glob("version-*.json"):
                if path.stem.removeprefix("version-") not in map(str, numbers):
                    path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Forget everything."""
        self.keep(())
        if self._secret != self._disk:
            with suppress(FileNotFoundError):
                self._secret.rmdir()

    def _file(self, folder: Path, number: int) -> Path:
        return folder / f"version-{number}.json"

    def _digest(self, data: object) -> str:
        path = self._disk / "hmac"
        if not path.exists():
            write(path, secrets.token_hex(32))
        text = json.dumps(data, sort_keys=True)
        return hmac.new(path.read_bytes(), text.encode(), hashlib.sha256).hexdigest()[:32]
