"""What a steward tells in Prometheus's form: its own, the balancer's and the engines' metrics, and tokens a second."""

from __future__ import annotations

import sys
import urllib.request

from keeper_cluster import until
from prometheus_client.parser import text_string_to_metric_families as parsed
from served import Served, free, spec

ENGINE = """
exec {python} - <<'EOF'
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
began = time.monotonic()
class Engine(BaseHTTPRequestHandler):
    def do_GET(self):
        count = 100 * (time.monotonic() - began)
        text = "# TYPE skyrig_generated_tokens_total counter\\nskyrig_generated_tokens_total %f\\n" % count
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode() if self.path == "/metrics" else b"yes")
    def log_message(self, *words):
        pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SKYRIG_SERVE_PORT"])), Engine).serve_forever()
EOF
"""


def test_balancer_engines_and_steward_tell_in_one_text(service: Served) -> None:
    port = free()
    service.apply(spec(2, port, metrics_path="/metrics"), ENGINE.format(python=sys.executable))
    ready = {str(each.id) for each in service.until_ready(2)}
    for _ in range(4):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
    load = until(lambda: (load := service.snapshot().load).tokens_per_s and load, "tokens a second", 90)
    assert 50 < load.tokens_per_s < 400, "two engines with 100 each, of which one at least has been asked twice"
    families = {family.name: family for family in parsed(service.ask(op="metrics")["text"])}
    told = families["skyrig_generated_tokens"].samples
    assert {each.labels["replica"] for each in told} == ready and {each.labels["service"] for each in told} == {"svc"}
    latency = {each.labels["quantile"]: each.value for each in families["skyrig_serve_latency_seconds"].samples}
    assert 0 < latency["0.5"] <= latency["0.99"]
    by_status = {each.labels["status"]: each.value for each in families["skyrig_serve_replicas"].samples}
    assert by_status["READY"] == 2
    balanced = families["haproxy_server_http_responses"].samples
    assert sum(each.value for each in balanced if each.labels["code"] == "2xx") == 4
