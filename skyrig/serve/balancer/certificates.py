"""The endpoint's certificate by ACME: got, kept, and renewed in time, with certbot as the client.

The authority looks for its challenge on port 80 of the domain (http-01). HAProxy brings it from there to certbot, which
answers on a loopback port for as long as it runs; nothing of ours speaks ACME. certbot is what distributions carry and
keep safe, it runs as any user on folders of ours, and ends with its work: no timer of its own renews anything here.

All lies in one folder for each pair of authority and domain, for this user alone: certbot's own files, the certificate
with its key as HAProxy wants it, and what was tried. Each is written whole or not at all, so a steward that was killed
anywhere goes on from there, and never asks an authority more often than it should.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path

from attrs import asdict, frozen

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import installing
from skyrig.serve.spec import Entrance

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""The authority where the service names none."""

RENEW_S = 30 * 86400.0
"""How long before its end a certificate is renewed; where it is short-lived, when a third of its time is left."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 6 * 3600.0
"""Pauses after attempts that failed, each three times the one before. Five fall into the first hour, which is what the
usual authority bears."""

_ATTEMPT_S = 180.0
_LOOK_S = 3600.0
"""How often the clock is looked at while nothing is due: a machine that slept has lost time."""

_PORTS = range(20000, 30000)
"""Below those that systems take outgoing ports from."""

_CURVE = ("--key-type", "ecdsa")


@frozen
class Term:
    """For how long a certificate holds, in seconds since the epoch."""

    begin: float
    end: float


@frozen
class Attempts:
    """Attempts that failed since the last one that did not: how many, when the last one ended, and why it failed."""

    failures: int = 0
    last_at: float = 0.0
    reason: str = ""


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 3.0 ** min(failures - 1, 20)) if failures else 0.0


def due(term: Term | None, attempts: Attempts) -> float:
    """The moment, in seconds since the epoch, from which a certificate is to be got: 0.0 where there is none yet and
    nothing has failed."""
    wanted = term.end - min(RENEW_S, (term.end - term.begin) / 3) if term is not None else 0.0
    return max(wanted, attempts.last_at + pause(attempts.failures)) if attempts.failures else wanted


def trouble(domain: str, term: Term | None, attempts: Attempts) -> str:
    """One line for the service's status: why there is no certificate, or why it could not be renewed; "" where all is
    well."""
    if not attempts.failures:
        return "" if term is not None else f"no certificate for {domain} yet: it is being got"
    what = f"the certificate of {domain} cannot be renewed" if term else f"no certificate for {domain}"
    again = time.strftime("%H:%M:%S UTC", time.gmtime(due(term, attempts)))
    return f"{what}: {attempts.reason} (attempt {attempts.failures}; tried again at {again})"


def command(certbot: Path, entrance: Entrance, folder: Path, port: int) -> list[str]:
    """certbot's words: one certificate for the domain, its files below `folder`, answering on loopback `port`."""
    contact = ["--email", entrance.email] if entrance.email else ["--register-unsafely-without-email"]
    places = [word for part in ("config", "work", "logs") for word in (f"--{part}-dir", str(folder / part))]
    return [
        *(str(certbot), "certonly", "--non-interactive", "--agree-tos", *contact, *_CURVE),
        *("--standalone", "--preferred-challenges", "http-01"),
        *("--http-01-address", "127.0.0.1", "--http-01-port", str(port)),
        *("--server", entrance.acme_directory or LETS_ENCRYPT, "--force-renewal", "--max-log-backups", "3"),
        *("--cert-name", "endpoint", "--domain", entrance.domain, *places),
    ]


def said(output: str) -> str:
    """Why certbot failed, in one line of its own: what the authority found, or else the last thing that it said."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    details = [line.partition(":")[2].strip() for line in lines if line.startswith("Detail:")]
    usual = ("Ask for help", "Some challenges have failed", "Saving debug log", "Hint:", "See the logfile")
    rest = [line for line in lines if line and not line.startswith(usual)]
    return (details or rest[-1:] or ["certbot said nothing"])[0]


class Certificates:
    """The certificates in `folder` (the steward's). `keep` is at work as long as the service wants one by ACME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pem(self, entrance: Entrance) -> str:
        """Certificate chain and key as one text; "" where there is none that holds now."""
        text, term = _read(self._place(entrance) / "endpoint.pem")
        return text if term is not None and term.begin <= time.time() < term.end else ""

    def trouble(self, entrance: Entrance) -> str:
        """One line about what is not well; "" where nothing is."""
        place = self._place(entrance)
        return trouble(entrance.domain, _read(place / "endpoint.pem")[1], _attempts(place))

    async def keep(
        self, entrance: Entrance, route: Callable[[str], Awaitable[None]], changed: Callable[[], None]
    ) -> None:
        """Have a certificate, for ever. `route` has the balancer bring challenges to HOST:PORT, and returns once it
        does. `changed` is told of each attempt: the certificate is another one, or what is not well."""
        place = self._place(entrance)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        await route(f"127.0.0.1:{self._port(place)}")
        while True:
            moment = due(_read(place / "endpoint.pem")[1], _attempts(place))
            if moment > time.time():
                await asyncio.sleep(min(_LOOK_S, max(0.0, moment - time.time())))
                continue
            await self.renew(entrance, route)
            changed()

    async def renew(self, entrance: Entrance, route: Callable[[str], Awaitable[None]]) -> None:
        """Get a certificate now, or note why there is none."""
        place = self._place(entrance)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if not self._adopted(place):
                port = self._port(place)
                await route(f"127.0.0.1:{port}")
                await _run(command(await installing.certbot(), entrance, place / "certbot", port))
                if not self._adopted(place):
                    raise SkyrigError("certbot brought no certificate that holds now")
            (place / "attempts.json").unlink(missing_ok=True)
        except (SkyrigError, OSError) as error:
            before = _attempts(place)
            failed = Attempts(before.failures + 1, time.time(), str(error))
            _write(place / "attempts.json", json.dumps(asdict(failed)))

    def _adopted(self, place: Path) -> bool:
        """Take over what certbot has, where that holds longer than what is served; whether it does."""
        live = place / "certbot" / "config" / "live" / "endpoint"
        try:
            text = (live / "fullchain.pem").read_text() + (live / "privkey.pem").read_text()
        except FileNotFoundError:
            return False
        fresh, known = _term(text), _read(place / "endpoint.pem")[1]
        if fresh is None or fresh.end <= time.time() or (known is not None and fresh.end <= known.end):
            return False
        _write(place / "endpoint.pem", text)
        return True

    def _place(self, entrance: Entrance) -> Path:
        asked = f"{entrance.acme_directory or LETS_ENCRYPT} {entrance.domain}"
        return self._folder / hashlib.sha256(asked.encode()).hexdigest()[:16]

    def _port(self, place: Path) -> int:
        """A loopback port for certbot: the one that it had, where that is free."""
        note = place / "port"
        known = [int(note.read_text())] if note.exists() else []
        for port in [*known, *random.sample(_PORTS, 200)]:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if [port] != known:
                _write(note, str(port))
            return port
        raise SkyrigError("no loopback port is free for certbot")


async def _run(words: list[str]) -> None:
    """Run certbot to its end. SkyrigError with its reason where it fails, or takes too long."""
    child = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), _ATTEMPT_S)
    except asyncio.TimeoutError:
        raise SkyrigError(f"certbot did not end within {_ATTEMPT_S:.0f} s") from None
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode:
        raise SkyrigError(said(output.decode(errors="replace")))


def _read(path: Path) -> tuple[str, Term | None]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return "", None
    return text, _term(text)


@lru_cache(maxsize=4)
def _term(pem: str) -> Term | None:
    """For how long the first certificate of the text holds; None where its key is not in there."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        first = x509.load_pem_x509_certificate(pem.encode())
        fits = load_pem_private_key(pem[pem.rindex("-----BEGIN") :].encode(), None).public_key() == first.public_key()
    except ValueError:
        return None
    return Term(first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()) if fits else None


def _attempts(place: Path) -> Attempts:
    try:
        return Attempts(**json.loads((place / "attempts.json").read_text()))
    except FileNotFoundError:
        return Attempts()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, for us alone."""
    fresh = path.with_name(f"{path.name}.part")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
