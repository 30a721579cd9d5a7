"""The control plane of a lab: etcd, API server, controller manager, scheduler, on ports found free, in one folder.

They start side by side, are known by their pids, and are stopped by them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lab_programs as programs
import yaml
from lab_certificates import Authority, signing_key

GATEWAY = "10.42.0.1"
"""Where pods reach the API server, and their name server."""

PODS = "10.42.0.0/16"
_SERVICES = "10.43.0.0/16"
_START_S = 90.0

_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""A test session that is killed leaves none of it: each program gets a signal when its parent is gone."""

CONTROLLERS = (
    "namespace-controller,serviceaccount-controller,serviceaccount-token-controller,garbage-collector-controller,"
    "job-controller,pod-garbage-collector-controller,endpoints-controller,endpointslice-controller,"
    "endpointslice-mirroring-controller,root-ca-certificate-publisher-controller,node-lifecycle-controller,"
    "taint-eviction-controller,replicaset-controller,deployment-controller,daemonset-controller,"
    "statefulset-controller,ttl-after-finished-controller,disruption-controller,resourcequota-controller,"
    "persistentvolume-binder-controller,persistentvolumeclaim-protection-controller,cronjob-controller"
)


def free_ports(count: int) -> list[int]:
    """So many ports that nobody has, found together so that they differ."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class Control:
    """Everything of a Kubernetes but its nodes; `url` is its API server's. `flags` are more of the API server's."""

    def __init__(self, folder: Path, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self.authority = Authority(folder / "certificates")
        self._store, self._peer, self._port, manager, scheduler = free_ports(5)
        self.url = f"https://127.0.0.1:{self._port}"
        self.admin = self.authority.issue("admin", ["system:masters"])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "log").mkdir(exist_ok=True)
        self._start("etcd", self._etcd())
        self._start("kube-apiserver", [*self._apiserver(), *flags])
        self._start("kube-controller-manager", self._manager(manager))
        self._start("kube-scheduler", self._scheduler(scheduler))

    def ready(self) -> None:
        """Wait until the API server says that it is; AssertionError with its log where it does not come."""
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        trust.load_cert_chain(*self.admin)
        deadline = time.monotonic() + _START_S
        while not self._says_ready(trust):
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)[-2000:]}"
            assert time.monotonic() < deadline, f"not ready: {self.log('kube-apiserver')[-2000:]}"
            time.sleep(0.05)

    def log(self, name: str) -> str:
        """What a program has said."""
        return (self.folder / "log" / name).read_text(errors="replace")

    def memory_mib(self) -> dict[str, int]:
        """Memory of each process, resident."""
        found = {}
        for name, process in self._processes.items():
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            found[name] = pages * os.sysconf("SC_PAGE_SIZE") >> 20
        return found

    def run(self, name: str, command: Sequence[str]) -> None:
        """Start one more program, that ends with this."""
        self._start(name, command)

    def kubeconfig(
        self, file: Path, pair: tuple[Path, Path], contexts: Mapping[str, str], *, url: str = "", user: str = "admin"
    ) -> Path:
        """Write one for the user whose certificate and key `pair` is: contexts by name, each with its namespace."""
        cluster = {"server": url or self.url, "certificate-authority-data": _data(self.authority.certificate)}
        who = {"client-certificate-data": _data(pair[0]), "client-key-data": _data(pair[1])}
        said: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": next(iter(contexts)),
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": user, "user": who}],
            "contexts": [
                {"name": name, "context": {"cluster": "lab", "user": user, "namespace": space}}
                for name, space in contexts.items()
            ],
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(said, sort_keys=False))
        return file

    def close(self) -> None:
        """Stop all, last one first; kill what has not ended after some seconds."""
        for name in reversed(self._processes):
            self._processes[name].send_signal(signal.SIGKILL if name in ("etcd", "kube-scheduler") else signal.SIGTERM)
            if name == "kube-apiserver":
                self._processes[name].kill()  # it would wait for watches to end
        for process in reversed(self._processes.values()):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _says_ready(self, trust: ssl.SSLContext) -> bool:
        link = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=trust)
        try:
            link.request("GET", "/readyz")
            return link.getresponse().status == 200
        except OSError:
            return False
        finally:
            link.close()

    def _start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / "log" / name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*_ENDS_WITH_US, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _etcd(self) -> list[str]:
        store, peer = f"http://127.0.0.1:{self._store}", f"http://127.0.0.1:{self._peer}"
        words = {
            "data-dir": str(self.folder / "etcd"),
            "listen-client-urls": store,
            "advertise-client-urls": store,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log-level": "error",
        }
        return [programs.etcd() or "etcd", *_flags(words)]

    def _apiserver(self) -> list[str]:
        tokens = signing_key(self.folder / "certificates" / "tokens.key")
        hosts = ["127.0.0.1", "localhost", GATEWAY, "kubernetes.default.svc", "kubernetes.default", "10.43.0.1"]
        server, key = self.authority.issue("kube-apiserver", hosts=hosts)
        client, client_key = self.authority.issue("kube-apiserver-kubelet-client", ["system:masters"])
        words = {
            "etcd-servers": f"http://127.0.0.1:{self._store}",
            "bind-address": "127.0.0.1",
            "advertise-address": GATEWAY,
            "secure-port": str(self._port),
            "tls-cert-file": str(server),
            "tls-private-key-file": str(key),
            "client-ca-file": str(self.authority.certificate),
            "kubelet-client-certificate": str(client),
            "kubelet-client-key": str(client_key),
            "kubelet-certificate-authority": str(self.authority.certificate),
            "kubelet-preferred-address-types": "InternalIP",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-signing-key-file": str(tokens),
            "service-account-key-file": str(tokens),
            "service-cluster-ip-range": _SERVICES,
            "allow-privileged": "true",
            "endpoint-reconciler-type": "none",
            "profiling": "false",
        }
        return [str(programs.servers_folder() / "kube-apiserver"), *_flags(words)]

    def _manager(self, port: int) -> list[str]:
        certificates = self.folder / "certificates"
        words = {
            "kubeconfig": str(self._own("kube-controller-manager")),
            "controllers": CONTROLLERS,
            "service-account-private-key-file": str(certificates / "tokens.key"),
            "root-ca-file": str(self.authority.certificate),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": str(port),
            "node-monitor-period": "1s",
            "use-service-account-credentials": "false",
        }
        return [str(programs.servers_folder() / "kube-controller-manager"), *_flags(words)]

    def _scheduler(self, port: int) -> list[str]:
        words = {
            "kubeconfig": str(self._own("kube-scheduler")),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": str(port),
        }
        return [str(programs.servers_folder() / "kube-scheduler"), *_flags(words)]

    def _own(self, name: str) -> Path:
        pair = self.authority.issue(f"system:{name}", ["system:masters"])
        file = self.folder / "certificates" / f"{name}.kubeconfig"
        return self.kubeconfig(file, pair, {"lab": "default"})


def _flags(words: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in words.items()]


def _data(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
