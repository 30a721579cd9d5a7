"""A real Slurm cluster on this machine: munged, slurmctld and a few slurmd, on ports found free, all in one folder.

They are known by their pids, and stopped by them. No database: what is known of jobs is what slurmctld remembers.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from fleet_servers import descendants

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"


def missing() -> list[str]:
    """Programs of Slurm that are not on this machine."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


def _free_ports(count: int) -> list[int]:
    """So many ports that nobody has, found together so that they differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class SlurmCluster:
    """`nodes` compute nodes of two cores each in the partition `main`, and all of them in `all`."""

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        self.folder = folder
        self.names = [f"c{number}" for number in range(nodes)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool", "log"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._ports = _free_ports(nodes + 2)
        self.conf = folder / "slurm.conf"
        self._munge = folder / "m"  # short: a unix socket's path has 107 bytes
        try:
            self._start_munge()
            self.conf.write_text(self._text())
            (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
            self.start_controller()
            for name in self.names:
                self.start_node(name)
            self._until_idle()
        except BaseException:
            self.close()
            raise

    @property
    def env(self) -> dict[str, str]:
        """Environment in which Slurm's commands find this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": _PATH}

    def run(self, *words: str) -> str:
        """What one of Slurm's commands says."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def start_controller(self) -> None:
        """Start slurmctld, which goes on from the state that it left."""
        self._start("slurmctld", ["slurmctld", "-D"])

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._start(name, ["slurmd", "-D", "-N", name])

    def kill_node(self, name: str) -> None:
        """Kill a node's slurmd and all that it started there, as where the machine goes."""
        daemon = self._processes.pop(name)
        below = [*descendants(daemon.pid), *_steps(self.folder / "spool" / name)]
        below += [pid for each in below for pid in descendants(each)]
        daemon.kill()
        daemon.wait()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def hurry(self, number: int) -> None:
        """Have a job that waits for its time begin now: after a requeue Slurm waits two minutes."""
        words = ["scontrol", "update", f"JobId={number}", "StartTime=now"]
        subprocess.run(words, env=self.env, capture_output=True, timeout=30, check=False)

    def close(self) -> None:
        """End jobs and daemons."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired, FileNotFoundError):
            if "slurmctld" in self._processes:
                self.run("scancel", f"--user={getpass.getuser()}")
                deadline = time.monotonic() + 8
                while self.run("squeue", "-h") and time.monotonic() < deadline:
                    time.sleep(0.1)
        for name in [each for each in self._processes if each in self.names]:
            self.kill_node(name)
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()

    def log(self) -> str:
        """What the daemons had to say last."""
        files = sorted((self.folder / "log").iterdir())
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def _start_munge(self) -> None:
        for each in (self._munge,):
            each.mkdir(mode=0o700, exist_ok=True)
            each.chmod(0o755)
        key = self._munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self._start("munged", [
            "munged", "-F", "--force", f"--socket={self._munge / 's'}", f"--key-file={key}",
            f"--pid-file={self._munge / 'pid'}", f"--log-file={self.folder / 'log' / 'munge'}",
            f"--seed-file={self._munge / 'seed'}",
        ])  # fmt: skip
        self._wait(lambda: (self._munge / "s").exists(), "munged")

    def _start(self, name: str, words: list[str]) -> None:
        program = shutil.which(words[0], path=_PATH)
        assert program is not None
        if with_us := shutil.which("setpriv", path=_PATH):  # should the tests be killed, the daemons go too
            words, program = ["", "--pdeathsig", "KILL", program, *words[1:]], with_us
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [program, *words[1:]], env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def _until_idle(self) -> None:
        def idle() -> bool:
            done = subprocess.run(["sinfo", "-hN", "-o", "%N %T"], env=self.env, capture_output=True, text=True)
            states = dict(line.split() for line in done.stdout.splitlines())
            return dict.fromkeys(self.names, "idle") == states

        self._wait(idle, "idle nodes")

    def _wait(self, condition: object, what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        assert callable(condition)
        while not condition():
            assert time.monotonic() < deadline, f"no {what} within {seconds} s\n{self.log()}"
            time.sleep(0.05)

    def _text(self) -> str:
        user, here = getpass.getuser(), self.folder
        nodes = "".join(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port}"
            " CPUs=2 RealMemory=2000 State=UNKNOWN\n"
            for name, port in zip(self.names, self._ports[1:], strict=False)
        )
        return f"""\
ClusterName=t{self._ports[0]}
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmctldPort={self._ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={self._munge / "s"}
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=3
InactiveLimit=0
KillWait=3
MinJobAge=5
RebootProgram=/bin/false
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0,requeue_delay=0
SchedulerType=sched/builtin
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool/%n
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.%n.pid
SlurmctldLogFile={here}/log/slurmctld
SlurmdLogFile={here}/log/%n
SlurmdParameters=config_overrides
DefMemPerCPU=100
{nodes}PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes={self.names[0]} MaxTime=5 State=UP
"""


def _steps(spool: Path) -> list[int]:
    """Pids of the slurmstepd of a node: they are no children of its slurmd, and listen in its spool folder."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    ours = {f"socket:[{row[6]}]" for row in rows if row[-1].startswith(f"{spool}/")}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if any(str(link.readlink()) in ours for link in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
    return found
