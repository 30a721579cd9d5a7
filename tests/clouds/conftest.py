"""AWS on loopback, and users who have an account there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import KEYS, bridge, moto


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of an AWS that is empty at first; tests take a stack name or a region of their own."""
    with moto(tmp_path_factory.mktemp("moto") / "log") as url:
        yield url


@pytest.fixture
def aws_here(aws_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """This process has that AWS, and no other."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": aws_url, "AWS_CONFIG_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    return aws_url


@pytest.fixture
def placement_groups() -> None:
    """This AWS has placement groups, which moto by itself has not."""
    if bridge() is None:
        pytest.skip("moto alone has no placement groups; the bridge beside the clone adds them")
