"""The command line answers at once: nothing heavy is imported before a verb needs it."""

import subprocess
import sys
import time
from typing import Any

HEAVY = ("pulumi", "torch", "asyncssh", "rich", "jinja2", "ruamel", "cattrs", "asyncio", "cryptography", "numpy")


def test_the_collection_imports_nothing_heavy() -> None:
    code = f"import sys, skyrig.cli.program; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = subprocess.run(
        [sys.executable, "-c", code.replace("skyrig.cli.program", "invoke.program")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == light.stdout.split()


def test_the_list_is_there_at_once(clone: Any) -> None:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        done = clone.run("invoke", "--list")
        took.append(time.perf_counter() - started)
        assert "train" in done.stdout
    assert min(took) < 0.7  # 0.25 s where nothing else runs
