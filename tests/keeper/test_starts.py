"""Starting a keeper beside others who start and kill one."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

from keeper_cluster import KeeperCluster, environment, until


def test_a_start_goes_on_where_the_watch_it_relied_on_dies(own_cluster: KeeperCluster) -> None:
    home = own_cluster.keeper_home
    for of in ("watch", "lock"):
        os.kill(own_cluster.pid(of), signal.SIGKILL)
    with (home / "keeper.watch").open() as another:
        until(lambda: _taken(another.fileno()), "the lock of the watch")
        (home / "keeper.log").unlink()
        command = [sys.executable, "-I", "-m", "skyrig.launch.keeper", "ensure"]
        start = subprocess.Popen(command, env=environment(own_cluster.nodes[0].home), stdout=subprocess.PIPE)
        until((home / "keeper.log").exists, "its watch, which finds that there is one")
    assert start.wait(25) == 0, own_cluster.keeper_log()


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
