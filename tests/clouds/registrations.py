"""What a program registers, as plain data: real SDK classes under Pulumi's mock engine, which only records.

Tests compare the records. Nothing is asserted inside an `apply`, where a failing test passes unseen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pulumi
from pulumi.runtime import mocks, set_mocks
from pulumi.runtime.stack import wait_for_rpcs

SECRET = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi marks a secret in plain data."""


Answer = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a call is answered, also by what it asks."""


@attrs.frozen
class Registration:
    """One resource as the engine is asked for it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str = ""


@attrs.define
class Recorder(mocks.Mocks):
    """Answers registrations with what was asked for and `outputs` by type token, and calls by `answers`; a call that
    is not among them fails the test. Computed outputs get made up as NAME-PROPERTY."""

    outputs: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    answers: Mapping[str, Answer] = attrs.field(factory=dict)
    made: list[Registration] = attrs.field(factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.made.append(Registration(args.typ, args.name, plain(args.inputs)))
        said = {key: _named(value, args.name) for key, value in self.outputs.get(args.typ, {}).items()}
        return f"{args.name}-id", {**args.inputs, **said}

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:
        if args.token not in self.answers:
            raise AssertionError(f"nobody answers {args.token}({args.args})")
        said = self.answers[args.token]
        return dict(said(args.args) if callable(said) else said)


def record(
    program: Callable[[], Any],
    *,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
    answers: Mapping[str, Answer] | None = None,
    preview: bool = False,
) -> tuple[list[Registration], Any]:
    """Run `program` under the mock engine; what it registered, by name, and what it returned (an Output resolved).
    `outputs` are computed properties by type token, in which {name} stands for the resource's name."""
    recorder = Recorder(outputs=outputs or {}, answers=answers or {})
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        set_mocks(recorder, project="skyrig", stack="dev", preview=preview)

        async def run() -> Any:
            try:
                returned = program()
                return await pulumi.Output.from_input(returned).future() if returned is not None else None
            finally:  # also of a program that failed: what it has begun would wait in the next one's loop
                await wait_for_rpcs()

        value = loop.run_until_complete(run())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return sorted(recorder.made, key=lambda each: (each.type, each.name)), value


def golden(made: list[Registration]) -> str:
    """Registrations as the text of a golden file: one resource after the other, keys sorted, secrets as "SECRET"."""
    document = [{"type": each.type, "name": each.name, "inputs": hidden(each.inputs)} for each in made]
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def plain(value: Any) -> Any:
    """Inputs as plain data; whole floats, as the wire makes them of numbers, are whole numbers again."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def hidden(value: Any) -> Any:
    """The same with secrets left out."""
    if isinstance(value, Mapping):
        if SECRET in value:
            return "SECRET"
        return {key: hidden(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    return value


def _named(value: Any, name: str) -> Any:
    return value.replace("{name}", name) if isinstance(value, str) else value
