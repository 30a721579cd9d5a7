"""Plain Pulumi for an installed Skyrig, whose environment has no `pulumi` as a clone's has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping

from skyrig.cli.verb import Values, flag, verb


@verb(
    "pulumi",
    [flag("env", 'print what a shell needs for plain pulumi: eval "$(skyrig pulumi --env)"', kind=bool)],
    takes_rest=True,
)
def pulumi(values: Values) -> None:
    """Run Pulumi itself on Skyrig's project: `skyrig pulumi up`, `skyrig pulumi stack ls`, ..."""
    from skyrig.stack import engine, plain, project

    program = str(engine.binary())
    env = engine.environment()
    env.pop(engine.DIRECT)
    folder = project.made()
    if values.switch("env"):
        print("\n".join(_lines(env)))
        print(f"cd {shlex.quote(str(folder))}")
        return
    os.environ.update(env)
    os.chdir(folder)
    plain.main(program, values.rest)


def _lines(env: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(env):
        if name != "PWD" and os.environ.get(name) != env[name]:
            yield f"export {name}={shlex.quote(env[name])}"
    for name in sorted(set(os.environ) - set(env)):
        yield f"unset {name}"
