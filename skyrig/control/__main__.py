"""The controller's process: `python -I -m skyrig.control ensure` starts it where it does not run, `serve` is it.

It stands by itself (skyrig.standing) with the environment of whoever started it, of which it uses the places alone: its
children have the surroundings of their wards. It leaves when no ward is left, on TERM, or when its folder is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from skyrig import standing
from skyrig.control import client, folder, table
from skyrig.fleet.title import shown_as

_AGAIN = 1
"""Exit code with which the watch starts it again."""

_PATIENCE_S = 2.0
"""How long the controller waits for a database that is away before it goes on without, and asks again later."""


def serve() -> None:
    """Be the controller, until there is nothing to do."""
    if not table.is_there() or not folder.root().exists():
        os._exit(standing.NOT_NEEDED)
    process = folder.standing()
    lock = standing.hold(process.lock, wait=True)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from skyrig.control.controller import Controller
    from skyrig.control.database import postgres

    postgres.be_patient(_PATIENCE_S)

    async def main() -> None:
        leaving = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
        path, controller = process.socket(), Controller()
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(controller.answer, path)
        path.chmod(0o600)
        caring, told = asyncio.create_task(controller.run()), asyncio.create_task(leaving.wait())
        await asyncio.wait({caring, told}, return_when=asyncio.FIRST_COMPLETED)
        server.close()
        if not caring.done():
            os._exit(0)  # children go on, and the next controller waits for them
        caring.result()
        if not controller.is_in_place():
            os._exit(standing.NOT_NEEDED)  # its folder went: another one has taken over, or will
        path.unlink(missing_ok=True)  # from here on a command finds none, and starts one
        wanted = bool(table.wards())
        os._exit(_AGAIN if wanted else standing.NOT_NEEDED)

    asyncio.run(main())
    del lock


def main(words: list[str]) -> None:
    """Run one command."""
    shown_as(["skyrig.control", *words])
    if words == ["serve"]:
        serve()
    elif words == ["ensure"]:
        client.ensure()
    else:
        sys.exit("usage: python -I -m skyrig.control ensure")


if __name__ == "__main__":
    main(sys.argv[1:])
