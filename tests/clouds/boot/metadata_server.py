"""An instance's metadata service on loopback, as EC2 has it (IMDSv2): what is not asked with a token is refused."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

TOKEN = "token-of-the-metadata-service"


@contextmanager
def serving(instance: str, region: str, credentials: Mapping[str, str], asked: Callable[[str], None]) -> Iterator[str]:
    """Serve an instance's metadata; yields the address. `asked(path)` is called before each answer."""
    answers = {
        "/latest/meta-data/instance-id": instance,
        "/latest/meta-data/placement/region": region,
        "/latest/meta-data/services/domain": "amazonaws.com",
        "/latest/meta-data/iam/security-credentials/": "node-role",
        "/latest/meta-data/iam/security-credentials/node-role": json.dumps(credentials),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            lasting = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            right = self.path == "/latest/api/token" and lasting.isdigit()
            self.answer(200 if right else 400, TOKEN if right else "")

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                return self.answer(401, "")
            found = answers.get(self.path)
            return self.answer(404 if found is None else 200, found or "")

        def answer(self, status: int, text: str) -> None:
            asked(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
