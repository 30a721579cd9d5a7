"""What the Pulumi program registers, without an engine: `python -m components.offline STACK PROGRAM`.

The config of the stack comes as JSON on standard input, as the engine would hand it over. Printed is a JSON list of
the resources that the engine would be asked for: type, name, and whether it is more than a grouping. The program runs
under the mock engine of Pulumi, in preview: nothing is known that a cloud would answer.
"""

import asyncio
import json
import os
import runpy
import sys
from typing import Any

from pulumi.runtime import mocks, set_mocks
from pulumi.runtime.stack import wait_for_rpcs

PROJECT = "skyrig"


class Recorder(mocks.Mocks):
    """Keeps the URNs of what is registered. Calls are answered with what they ask, and an image that has no name."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, str, bool]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """One resource: its type, its name, and whether it is more than a grouping. Of what it was given it answers
        with that which is no object: clouds answer some objects in another form, and SDKs insist on it."""
        self.made.append((args.typ, args.name, bool(args.custom)))
        return None, {name: value for name, value in args.inputs.items() if not _holds_an_object(value)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """The answer of a cloud that was not asked, and no failures."""
        return {**args.args, "value": "unknown"}, []


def _holds_an_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_an_object, value)))


def registered(stack: str, program: str) -> list[tuple[str, str, bool]]:
    """All that `program` registers for `stack`; its exit (SystemExit) where it refuses its config."""
    recorder = Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    set_mocks(recorder, project=PROJECT, stack=stack, preview=True)

    async def run() -> None:
        try:
            runpy.run_path(program, run_name="__main__")
        finally:
            await wait_for_rpcs()

    loop.run_until_complete(run())
    return recorder.made


def main() -> None:
    """See the module's text."""
    stack, program = sys.argv[1:3]
    os.environ["PULUMI_CONFIG"] = sys.stdin.read()
    made = registered(stack, program)
    json.dump([{"type": kind, "name": name, "custom": custom} for kind, name, custom in made], sys.stdout)


if __name__ == "__main__":
    main()
