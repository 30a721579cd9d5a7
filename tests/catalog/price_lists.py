"""The clouds' price APIs on loopback, over recorded answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDED = Path(__file__).with_name("recorded")

KEY = "a-key-that-nobody-shall-see"

PATHS = {
    "/prices.azure.com/api/retail/prices": ["azure/prices-1.json", "azure/prices-2.json"],
    "/subscriptions/sub-1/providers/Microsoft.Compute/skus": ["azure/skus.json"],
    "/compute/projects/lab-project/aggregated/machineTypes": ["gcp/machineTypes-1.json", "gcp/machineTypes-2.json"],
    "/billing/services/6F81-5844-456A/skus": ["gcp/skus-1.json", "gcp/skus-2.json"],
    "/cloud.lambda.ai/api/v1/instance-types": ["lambda/instance-types.json"],
    "/apexapps.oracle.com/pls/apex/cetools/api/v1/products/": ["oci/products.json"],
    "/api.runpod.io/graphql": ["runpod/gpuTypes.json"],
}
"""Recorded pages of each path."""


def recorded(name: str) -> Any:
    """One recorded answer."""
    return json.loads((RECORDED / name).read_text())


class PriceLists:
    """A server with the recorded pages. `pages` may be changed; `broken` are statuses that are answered first, by path;
    `asked` has method, path, query and Authorization of every question."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, list[Any]] = {path: [recorded(each) for each in names] for path, names in PATHS.items()}
        self.broken: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.asked: list[tuple[str, str, dict[str, list[str]], str]] = []

    def env(self, folder: Path) -> dict[str, str]:
        """Variables of somebody who has these APIs, keys for all of them, and no others; `folder` is theirs."""
        return {
            "SKYRIG_PRICES_LOOPBACK": self.url,
            "SKYRIG_AZURE_LOOPBACK": self.url,
            "ARM_SUBSCRIPTION_ID": "sub-1",
            "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{self.url}/compute/",
            "GOOGLE_CLOUD_BILLING_CUSTOM_ENDPOINT": f"{self.url}/billing/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": KEY,
            "GOOGLE_CLOUD_PROJECT": "lab-project",
            "LAMBDA_API_KEY": KEY,
            "RUNPOD_API_KEY": KEY,
            "SKYRIG_HOME": str(folder / "home"),
            "SKYRIG_CATALOG": str(folder / "catalog"),
            "HOME": str(folder),
        }

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers for one question."""
        if self.broken.get(path):
            status, headers = self.broken[path].pop(0)
            return status, {"error": "now"}, headers
        pages = self.pages.get(path)
        if pages is None:
            return 404, {"error": path}, {}
        token = query.get("pageToken", query.get("$skip", [""]))[0]
        return 200, pages[1 if token else 0], {}


@contextmanager
def serve() -> Iterator[PriceLists]:
    """The APIs, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _say(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            lists.asked.append((self.command, parts.path, query, self.headers.get("Authorization", "")))
            status, said, headers = lists.answer(parts.path, query)
            text = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _say

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    lists = PriceLists(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield lists
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
