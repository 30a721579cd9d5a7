"""Two `train` at once on a cold stack: one waits for the other, says for whom, and both run."""

import re

import pytest
from cloned import Site

pytestmark = pytest.mark.e2e

SCRIPT = 'import os; print("rank", os.environ["SKYRIG_NODE_RANK"], "of", os.environ["SKYRIG_NUM_NODES"], flush=True)\n'


def test_two_trains_at_once_on_a_cold_stack(site: Site) -> None:
    one, two = site.clone("one"), site.clone("two")
    work = site.folder / "work"
    work.mkdir()
    (work / "s.py").write_text(SCRIPT)
    train = ["train", "-c", "cold", "--script", "s.py", "--workdir", str(work), "--strategy", "plain", "--nodes"]
    first, second = one.start("invoke", *train, "2"), two.start("invoke", *train, "1")
    told = {run.pid: run.communicate(timeout=180)[0] for run in (first, second)}
    assert [first.returncode, second.returncode] == [0, 0], told
    (waited,) = [
        (pid, found)
        for pid, said in told.items()
        for found in re.findall(r"waiting for (\S+)'s `invoke train` \(process (\d+), since \d\d:\d\d:\d\d\)", said)
    ]
    assert int(waited[1][1]) in told and int(waited[1][1]) != waited[0], "it names the other one"
    assert "(rank 1, n1) rank 1 of 2" in told[first.pid]
    assert "rank 0 of 1" in told[second.pid]
    assert set(site.nodes("cold")) == {"n0", "n1"} and site.servers("cold") == 2
