"""The endpoint's certificate where it comes by ACME: kept beside the steward's rounds, each of which takes it along."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import low_ports
from skyrig.serve.balancer.certificates import Certificates
from skyrig.serve.balancer.frontage import Frontage
from skyrig.serve.spec import Entrance, Tls


class Certified:
    """One per steward, with its files in `folder`. `changed` is called where the balancer is to be told anew."""

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._changed = changed
        self._certificates = Certificates(folder)
        self._entrance: Entrance | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._challenge = ""
        self._routed: tuple[str, asyncio.Event] = ("", asyncio.Event())
        self._refusal = ""

    @property
    def trouble(self) -> str:
        """What is not well with the certificate, in one line; "" where nothing is."""
        return self._refusal or (self._certificates.trouble(self._entrance) if self._entrance is not None else "")

    def over(self, frontage: Frontage) -> Frontage:
        """`frontage` with the certificate that there is and the way for challenges; as it is where its certificate
        comes from elsewhere."""
        entrance = frontage.entrance
        self._mind(entrance if entrance.tls is Tls.ACME else None, frontage.http_port)
        if self._entrance is None:
            return frontage
        return evolve(frontage, pem=self._certificates.pem(entrance), challenge=self._challenge)

    def routed(self) -> None:
        """The balancer is what `over` said last."""
        challenge, done = self._routed
        if challenge == self._challenge:
            done.set()

    def stop(self) -> None:
        """No certificate is wanted any more; those that there are go too."""
        self._mind(None, 0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _mind(self, entrance: Entrance | None, http_port: int) -> None:
        if self._certificate_of(entrance) == self._certificate_of(self._entrance):
            return
        if self._keeping is not None:
            self._keeping.cancel()
        self._entrance, self._challenge, self._refusal = entrance, "", ""
        self._keeping = asyncio.create_task(self._keep(entrance, http_port)) if entrance is not None else None

    async def _keep(self, entrance: Entrance, http_port: int) -> None:
        try:
            await low_ports.allow(http_port)
            await self._certificates.keep(entrance, self._route, self._changed)
        except SkyrigError as error:
            self._refusal = str(error)
            self._changed()

    async def _route(self, challenge: str) -> None:
        self._challenge = challenge
        self._routed = (challenge, asyncio.Event())
        self._changed()
        await self._routed[1].wait()

    @staticmethod
    def _certificate_of(entrance: Entrance | None) -> tuple[str, ...] | None:
        """What of an entrance makes it want another certificate."""
        return (entrance.acme_directory, entrance.domain, entrance.email) if entrance is not None else None
