"""Certificates by ACME: when what is due, and the whole way with a real authority, certbot and HAProxy."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from authority import Authority, authority, free_ports
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import certificates, low_ports
from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.certificates import RENEW_S, Attempts, Certificates, Term, due, pause, said, trouble
from skyrig.serve.balancer.frontage import Frontage, Server
from skyrig.serve.spec import Entrance, Tls
from skyrig.serve.steward.certified import Certified

DAY = 86400.0
OUTPUT = """Saving debug log to /x/logs/letsencrypt.log
Requesting a certificate for api.example.com

Certbot failed to authenticate some domains (authenticator: standalone). The Certificate Authority reported these:
  Domain: api.example.com
  Type:   connection
  Detail: 203.0.113.7: Fetching http://api.example.com/.well-known/acme-challenge/x: Timeout

Hint: The Certificate Authority failed to download the challenge files from the temporary standalone webserver.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details.
"""


def test_what_is_due_when() -> None:
    assert due(None, Attempts()) == 0.0, "there is none: at once"
    assert due(Term(0.0, 90 * DAY), Attempts()) == 60 * DAY
    assert due(Term(0.0, 365 * DAY), Attempts()) == 335 * DAY, "30 days before its end"
    assert due(Term(0.0, 6 * DAY), Attempts()) == 4 * DAY, "short-lived: when a third is left"
    assert due(None, Attempts(1, 1000.0, "x")) == 1060.0
    assert due(Term(0.0, 90 * DAY), Attempts(2, 60 * DAY, "x")) == 60 * DAY + 180
    assert [pause(failures) for failures in range(7)] == [0, 60, 180, 540, 1620, 4860, 14580]
    assert pause(8) == pause(10**6) == 6 * 3600


@given(st.floats(0, 1e10), st.floats(1, 1e9), st.integers(0, 50), st.floats(0, 1e10))
def test_no_authority_is_asked_in_a_hurry(begin: float, length: float, failures: int, last: float) -> None:
    moment = due(Term(begin, begin + length), Attempts(failures, last, "x"))
    assert moment >= last + pause(failures) or not failures
    assert moment >= begin + length - RENEW_S


def test_why_it_failed_is_one_line() -> None:
    reason = said(OUTPUT)
    assert reason == "203.0.113.7: Fetching http://api.example.com/.well-known/acme-challenge/x: Timeout"
    assert (
        said("Saving debug log to /x\nAn unexpected error occurred:\nService is busy\nAsk for help\n")
        == "Service is busy"
    )
    assert said("") == "certbot said nothing"
    assert trouble("a.b", None, Attempts()) == "no certificate for a.b yet: it is being got"
    assert trouble("a.b", Term(0.0, DAY), Attempts()) == ""
    told = trouble("a.b", Term(0.0, 0.0), Attempts(2, 100.0, "Timeout"))
    assert told == "the certificate of a.b cannot be renewed: Timeout (attempt 2; tried again at 00:04:40 UTC)"


class Backend(BaseHTTPRequestHandler):
    """A replica that says where the request came in."""

    def do_GET(self) -> None:
        body = self.headers.get("X-Forwarded-Proto", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority that certbot trusts."""
    if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("haproxy is not here: apt-get install haproxy")
    folder = tmp_path / "authority"
    folder.mkdir()
    with authority(folder) as found:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(found.trust))
        yield found


@pytest.fixture
def backend() -> Iterator[str]:
    """Address of a replica."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Steward:
    """What a steward's rounds do about the endpoint, each time something has changed."""

    def __init__(self, folder: Path, entrance: Entrance, backend: str, http_port: int) -> None:
        self.frontage = Frontage(entrance, (Server("r1", backend),), http_port=http_port)
        self.woken = asyncio.Event()
        self.balancer = Balancer(folder / "b")
        self.certified = Certified(folder / "certificates", self.woken.set)
        self.told: list[str] = []

    async def rounds(self, until: Callable[[], bool]) -> None:
        """Go on until something is so after a round; what is said of the certificate is kept."""
        while True:
            self.woken.clear()
            self.frontage = self.certified.over(self.frontage)
            await self.balancer.be(self.frontage)
            self.certified.routed()
            self.told.append(self.certified.trouble)
            if until():
                return
            await asyncio.wait_for(self.woken.wait(), 120)


def plain(port: int, path: str = "/") -> tuple[int, str, bytes]:
    """Status, Location and body of a plain request."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("GET", path, headers={"Host": "api.test"})
    answer = line.getresponse()
    return answer.status, answer.headers.get("Location", ""), answer.read()


def secure(acme: Authority, port: int) -> tuple[bytes, int]:
    """Body and the certificate's serial number as a client has them who trusts the authority."""
    context = ssl.create_default_context(cafile=str(acme.root))
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    with context.wrap_socket(raw, server_hostname="api.test") as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
        serial = int(line.getpeercert()["serialNumber"], 16)  # type: ignore[index,arg-type]
        whole = b"".join(iter(lambda: line.recv(4096), b""))
    return whole.partition(b"\r\n\r\n")[2], serial


def test_a_certificate_is_got_and_renewed(acme: Authority, backend: str, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    entrance = Entrance(port=port, tls=Tls.ACME, domain="api.test", acme_directory=acme.directory)

    async def main() -> None:
        steward = Steward(tmp_path, entrance, backend, acme.http_port)
        try:
            await steward.rounds(until=lambda: steward.frontage.challenge != "")
            assert (await asyncio.to_thread(plain, acme.http_port))[0] == 503, "no certificate yet"
            await steward.rounds(until=lambda: steward.told[-1] == "")
            assert steward.told[0] == "no certificate for api.test yet: it is being got"
            body, serial = await asyncio.to_thread(secure, acme, port)
            assert body == b"https"
            status, location, _ = await asyncio.to_thread(plain, acme.http_port, "/v1/models?x=1")
            assert (status, location) == (308, f"https://api.test:{port}/v1/models?x=1")

            over, seen = threading.Event(), []

            def ask_on() -> None:
                while not over.is_set():
                    seen.append(secure(acme, port))

            asking = asyncio.create_task(asyncio.to_thread(ask_on))
            routes: list[str] = []

            async def route(challenge: str) -> None:
                routes.append(challenge)

            await Certificates(tmp_path / "certificates").renew(entrance, route)
            assert routes == [steward.frontage.challenge], "the way is the one that was"
            await steward.rounds(until=lambda: True)
            while not asking.done() and (not seen or seen[-1][1] == serial):
                seen.append(await asyncio.to_thread(secure, acme, port))
            over.set()
            await asking
            assert {body for body, _ in seen} == {b"https"} and len({number for _, number in seen}) == 2
        finally:
            await steward.balancer.stop()

    asyncio.run(main())
    files = [path for path in (tmp_path / "certificates").rglob("*") if path.is_file()]
    secret = [path for path in files if "PRIVATE KEY" in path.read_text(errors="replace")]
    assert secret and all(path.stat().st_mode & 0o077 == 0 for path in secret)
    kept = [path for path in files if path.name == "endpoint.pem"]
    live = next(path for path in files if path.name == "fullchain.pem").read_text()
    assert len(kept) == 1 and kept[0].read_text().startswith(live)
    kept[0].unlink()  # as where a steward was killed between certbot's end and its own note
    os.environ["PATH"], before = "/nowhere", os.environ["PATH"]
    try:
        asyncio.run(Certificates(tmp_path / "certificates").renew(entrance, never))
    finally:
        os.environ["PATH"] = before
    assert kept[0].read_text().startswith(live), "taken over without asking the authority"


async def never(challenge: str) -> None:
    """For a renewal that needs no challenge."""
    raise AssertionError(challenge)


def test_why_there_is_no_certificate_is_told(acme: Authority, backend: str, tmp_path: Path) -> None:
    acme.lose("bad.test")
    port = free_ports(1)[0]
    entrance = Entrance(port=port, tls=Tls.ACME, domain="bad.test", acme_directory=acme.directory, email="a@b.test")

    async def main() -> None:
        steward = Steward(tmp_path, entrance, backend, acme.http_port)
        try:
            begun = time.time()
            await steward.rounds(until=lambda: "attempt" in steward.told[-1])
            told = steward.told[-1]
            assert told.startswith("no certificate for bad.test: ") and "(attempt 1; tried again at " in told
            assert "could not resolve" in told, "what the authority found"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=20)
            note = next((tmp_path / "certificates").rglob("attempts.json"))
            kept = json.loads(note.read_text())
            assert kept["failures"] == 1 and kept["last_at"] >= begun
            another = Certified(tmp_path / "certificates", steward.woken.set)
            another.over(Frontage(entrance, (), http_port=acme.http_port))
            assert another.trouble == told, "a steward that comes after it says the same, and waits as long"
            await asyncio.sleep(0.5)
            assert json.loads(note.read_text()) == kept
            another.stop()
            assert not (tmp_path / "certificates").exists()
        finally:
            await steward.balancer.stop()

    asyncio.run(main())


def test_port_80_of_a_user_who_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo is asked once, and believed only where the machine then says so."""
    setting, asked = tmp_path / "first_free", tmp_path / "asked"
    setting.write_text("1024\n")
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$*" >>{asked}\necho "${{5#*=}}" >{setting}\n')
    sudo.chmod(0o755)
    monkeypatch.setattr(low_ports, "_FIRST_FREE", setting)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}x")
    with pytest.raises(SkyrigError, match="port 80 is for root alone"):
        asyncio.run(low_ports.allow(80))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for _ in range(2):
        asyncio.run(low_ports.allow(80))
    assert asked.read_text() == "-n sysctl -q -w net.ipv4.ip_unprivileged_port_start=80\n"


def test_certbot_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "certbot"
    hanging.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nsleep 600\n")
    hanging.chmod(0o755)

    async def found() -> Path:
        return hanging

    async def route(_: str) -> None:
        pass

    monkeypatch.setattr(certificates.installing, "certbot", found)
    monkeypatch.setattr(certificates, "_ATTEMPT_S", 1.0)
    entrance = Entrance(tls=Tls.ACME, domain="api.test")
    kept = Certificates(tmp_path / "certificates")
    asyncio.run(kept.renew(entrance, route))
    assert "certbot did not end within 1 s" in kept.trouble(entrance)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
