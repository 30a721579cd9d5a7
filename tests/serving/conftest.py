"""A user with services: a clone and a data folder of their own; nothing of theirs is left in the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from clone import Clone, new_clone

from skyrig import standing

SERVER = '''\
"""Tells which version it is, and where."""
import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"version {os.environ['VERSION']} of replica {os.environ['SKYPILOT_SERVE_REPLICA_ID']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass

key = "with" if "SKYRIG_API_KEY" in os.environ else "without"
print(f"version {os.environ['VERSION']} serves, {key} the key", flush=True)
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Answer).serve_forever()
'''


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The clone; its folder has the server."""
    folder = tmp_path_factory.mktemp("serving")
    with new_clone(folder) as made:
        (made.path / "work").mkdir()
        (made.path / "work" / "server.py").write_text(SERVER)
        try:
            yield made
        finally:
            end_controller(made.home)


def end_controller(home: Path) -> None:
    """End the controller of a data folder and its watch, where they run."""
    for name in ("controller.watch", "controller.lock"):
        pid = standing.holder(home / "control" / name)
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
