"""A machine of Google Cloud ends itself: the node's own program against a metadata service and an API on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

END = Path(__file__).parents[3] / "templates" / "cloud-init" / "gcp" / "end.py"
TOKEN = "token-of-the-machine"
METADATA = {
    "project/project-id": "lab-project",
    "instance/zone": "projects/123/zones/us-central1-a",
    "instance/name": "dev-ef260e-n0-v1",
    "instance/service-accounts/default/token": json.dumps({"access_token": TOKEN, "expires_in": 3000}),
}


class Google(ThreadingHTTPServer):
    """Metadata below /computeMetadata, the API below /compute, where DELETE answers with `status`."""

    def __init__(self) -> None:
        self.status, self.deleted = 200, [""]
        self.deleted.clear()
        self.argv: set[bytes] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Google

    def do_GET(self) -> None:
        path = self.path.removeprefix("/computeMetadata/v1/")
        known = path in METADATA and self.headers["Metadata-Flavor"] == "Google"
        self._say(200 if known else 403, METADATA.get(path, "") if known else "")

    def do_DELETE(self) -> None:
        self.server.argv |= {line for line in map(_argv, Path("/proc").glob("[0-9]*/cmdline")) if line}
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        if allowed and self.server.status == 200:
            self.server.deleted.append(self.path)
        self._say(self.server.status if allowed else 401, '{"error": {"message": "it may not"}}')

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def _argv(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.fixture
def google() -> Iterator[Google]:
    with Google() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def end(folder: Path, metadata: str, compute: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """What the program did, and with which words it called `shutdown`."""
    off = folder / "off"
    (folder / "shutdown").write_text(f'#!/bin/sh\necho "$@" >{off}\n')
    (folder / "shutdown").chmod(0o755)
    said = {
        "SKYRIG_METADATA": metadata,
        "SKYRIG_COMPUTE": compute,
        "SKYRIG_PATIENCE_S": "0",
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    done = subprocess.run([sys.executable, "-I", str(END)], env=said, capture_output=True, text=True, timeout=60)
    return done, off.read_text().strip() if off.exists() else ""


def test_the_machine_deletes_itself_and_no_other(google: Google, tmp_path: Path) -> None:
    done, off = end(tmp_path, google.address, f"{google.address}/compute/v1")
    assert (done.returncode, off, done.stderr) == (0, "", "")
    assert google.deleted == ["/compute/v1/projects/lab-project/zones/us-central1-a/instances/dev-ef260e-n0-v1"]
    assert google.argv and not any(TOKEN.encode() in line for line in google.argv)


def test_who_may_not_end_itself_powers_off_and_says_why(google: Google, tmp_path: Path) -> None:
    google.status = 403
    done, off = end(tmp_path, google.address, f"{google.address}/compute/v1")
    assert (done.returncode, off) == (1, "-P now")
    assert "HTTP 403" in done.stderr and "it may not" in done.stderr and TOKEN not in done.stderr
    assert google.deleted == []


def test_where_nobody_answers_it_powers_off(tmp_path: Path) -> None:
    done, off = end(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9")
    assert (done.returncode, off) == (1, "-P now")
