"""What all tests share: the soak tier, and children that must not inherit that pytest's caller ignores a signal.

A caller ignores signals under nohup or a shell's `&`. No test's cluster comes into the developer's own ~/.ssh/config.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from user import User, cluster_of

KUBERNETES = Path(__file__).parent / "clouds" / "kubernetes"

CLUSTERS = {
    "tests/e2e/test_jobs.py": "two nodes",
    "tests/e2e/test_latency.py": "two nodes",
    "tests/e2e/test_job_pictures.py": "two nodes",
    "tests/mounts/test_launches.py": "two nodes",
    "tests/faults/test_flood.py": "faults",
    "tests/faults/test_keeper_killed.py": "faults",
    "tests/faults/test_kit.py": "faults",
    "tests/faults/test_partition.py": "faults",
    **{f"tests/steward/test_{name}.py": "steward" for name in ("line", "losses", "replicas", "updates")},
    **{f"tests/clouds/kubernetes/{file.name}": "lab" for file in KUBERNETES.glob("test_lab_*.py")},
}
"""Files whose tests leave a cluster whole, by the name of the one that they share: one worker has all of them."""

EACH_CLOUD = "tests/conformance/test_conformance.py"
"""The file whose tests are the life of one cluster on each cloud: each cloud's are for one worker."""

settings.register_profile("skyrig", deadline=None)  # tests run side by side: no time says anything
settings.load_profile("skyrig")

os.environ["SKYRIG_SSH_CONFIG"] = ""
os.environ["SKYRIG_CATALOG"] = os.environ["SKYRIG_PRICES"] = os.devnull  # the shipped prices, and no others
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of hundreds of commands would compile all that it imports

for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _the_developers_ssh_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Is not touched, also not by what a test runs in an environment that it made without the variable above."""
    yield
    file = Path.home() / ".ssh" / "config"
    assert not file.exists() or str(tmp_path_factory.getbasetemp()).encode() not in file.read_bytes()


@pytest.fixture(scope="session")
def two_nodes_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a cluster of two CPU nodes that is up, for all tests that leave it whole (see CLUSTERS)."""
    with cluster_of(tmp_path_factory.mktemp("user"), 2) as person:
        yield person


@pytest.fixture(scope="session")
def haproxy() -> Path:
    """HAProxy as the balancer finds it."""
    from skyrig.serve.balancer.haproxy import find

    found = find()
    if found is None:
        pytest.skip("not on this machine: haproxy 2.4 or newer")
    return found.path


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the soak tier and of the fault kit."""
    group = parser.getgroup("skyrig")
    group.addoption("--soak", action="store_true", help="run the tests of full length too (marker soak)")
    group.addoption("--faults-seed", type=int, help="seed of the random faults; a failed run prints the one it had")
    group.addoption("--faults-plan", metavar="FILE", help="run exactly these faults: the JSON that a failed run wrote")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile` gives a worker whole files; files that share a cluster go to one worker, too."""
    from xdist.scheduler import LoadFileScheduling

    class ByCluster(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            if file == EACH_CLOUD:
                return nodeid.rpartition("[")[2]
            return CLUSTERS.get(file, file)

    return ByCluster(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the long ones, so that none is left alone in the end. Leave out the soak tier without --soak."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    if config.getoption("--soak"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
