"""The blocks of docs/python.md are one program, which runs."""

import re
from pathlib import Path
from typing import Any

import pytest

import skyrig as sky

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.e2e


def test_the_page_runs(place: Any) -> None:
    assert len(BLOCKS) == 4
    done = place.run("\n".join(BLOCKS))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "cluster demo: 1 node (L4:4) on the local cloud, $0.00/h" in said
    assert said[said.index("(setup, n0) setting up") + 1] == "4 accelerators"
    (error,) = re.findall(r"print\(error\)  # (.*)", PAGE)
    assert error in said
    assert "1 SUCCEEDED 0" in said
    assert re.search(r"^\{2: <JobStatus\.(SETTING_UP|RUNNING|PENDING): .*\}$", done.stdout, re.MULTILINE)
    assert re.search(r"^\['demo'\] [\d.]+$", done.stdout, re.MULTILINE)
    assert "job records and logs are kept" in said[-1]


def test_what_is_not_there_yet_is_what_the_page_says() -> None:
    named = re.findall(r"`(\w+)`", PAGE.partition("## Not yet")[2])
    for name in set(named) & set(sky.__all__):
        with pytest.raises(sky.exceptions.NotSupportedError):
            getattr(sky, name)()
