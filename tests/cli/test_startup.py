"""The command line answers at once: nothing heavy is imported before a verb needs it."""

import resource
import subprocess
import sys
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


def test_looking_at_clusters_and_running_the_engine_need_no_ssh() -> None:
    code = "import sys; from skyrig import verbs; from skyrig.stack import stacks; print('asyncssh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_list_costs_little(clone: Any) -> None:
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = clone.run("invoke", "--list")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert "train" in done.stdout
    assert min(took) < 0.6  # seconds of processor time; 0.25 where nothing else runs
