"""The head's runtime: made once, sent once, whole or not at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_nodes import ROOT, Lab

from skyrig.errors import SkyrigError
from skyrig.launch.link import NoRuntime, keeper
from skyrig.launch.runtime import code, layers, sources
from skyrig.launch.runtime.layers import Member
from skyrig.launch.runtime.sending import Runtime

MakeLab = Callable[..., Lab]


def prepared(lab: Lab, *, prepare: bool = True) -> list[str]:
    """Have the keeper of the lab's cluster at work; what was said to the user."""
    said: list[str] = []

    async def once() -> None:
        async with keeper(lab.description("runtime"), prepare=prepare, notify=said.append):
            pass

    asyncio.run(once())
    return said


def sendings(said: list[str]) -> list[str]:
    """The lines that begin a sending, without those on its progress, which a slow machine adds."""
    return [line for line in said if line.startswith("sending") and " MB of " not in line]


def test_a_runtime_is_sent_once_and_looks_bring_none(lab_of: MakeLab) -> None:
    lab = lab_of()
    with pytest.raises(NoRuntime):
        prepared(lab, prepare=False)
    assert not lab.head.path(".skyrig").exists()
    assert len(sendings(prepared(lab))) == 1
    assert prepared(lab) == prepared(lab, prepare=False) == []
    assert lab.head.packets_without_route() == 0


def test_what_was_sent_before_a_break_is_not_sent_again_and_damage_is_seen(lab_of: MakeLab, runtime: Runtime) -> None:
    lab = lab_of()
    python = runtime.get(runtime.python, print)
    content = python.path.read_bytes()
    lab.head.run('mkdir -p "$HOME/.skyrig/incoming"')
    half = lab.head.path(f".skyrig/incoming/layer-{python.sha256}")
    half.write_bytes(b"x" + content[1 : len(content) // 2])
    with pytest.raises(SkyrigError, match="arrived damaged"):
        prepared(lab)
    assert not half.exists() and not lab.head.path(".skyrig/runtime").exists()
    half.write_bytes(content[: len(content) - 1000])
    (line,) = sendings(prepared(lab))
    assert "the rest of it" in line
    assert _megabytes(line) < (runtime.get(runtime.packages, print).packed + 1_000_000) / 1e6


def test_two_clients_at_once_make_one_keeper(lab_of: MakeLab) -> None:
    lab = lab_of(seed=True)
    said: list[str] = []

    async def client() -> None:
        async with keeper(lab.description("runtime"), prepare=True, notify=said.append):
            pass

    async def both() -> None:
        await asyncio.gather(client(), client())

    asyncio.run(both())
    assert len(sendings(said)) == 1 and len([line for line in said if "another client" in line]) == 1
    assert len(lab.head.pids("launch.keeper serve")) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing_half_made(lab_of: MakeLab) -> None:
    lab = lab_of(home_mb=60)
    with pytest.raises(SkyrigError) as caught:
        prepared(lab)
    assert re.search(
        r"n0 cannot take Skyrig's runtime: too little disk in ~/.skyrig: \d+ MB are needed", str(caught.value)
    )
    assert not list(lab.head.path(".skyrig/layers").iterdir())
    assert not list(lab.head.path(".skyrig/runtimes").iterdir())
    assert not lab.head.path(".skyrig/runtime").exists()


def test_a_node_without_python_says_what_is_wanted(lab_of: MakeLab) -> None:
    lab = lab_of()
    lab.head.run("rm -f /usr/local/bin/python3; [ ! -e /usr/bin/python3 ] || mount --bind /dev/null /usr/bin/python3")
    with pytest.raises(SkyrigError, match=r"python3.*Python 3\.8 or newer"):
        prepared(lab)


def test_layers_are_equal_bytes_made_once_and_remade_when_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    made: list[int] = []

    def make(scratch: Path) -> list[Member]:
        made.append(len(list(scratch.iterdir())))
        (scratch / "left over").touch()
        return [Member("b", b"two"), Member("a", b"one", executable=True), Member("c", link="a")]

    first = layers.layer("one", make)
    assert layers.layer("one", make) == first and layers.layer("two", make).sha256 == first.sha256
    layers.folder().joinpath("three.new").mkdir()
    layers.folder().joinpath("three.new", "of a killed one").touch()
    assert layers.layer("three", make).sha256 == first.sha256
    assert made == [0, 0, 0]
    assert not list(layers.folder().glob("*.new"))
    first.path.write_bytes(b"damaged")
    assert layers.layer("one", make) == first and len(made) == 4
    assert first.path.stat().st_size == first.packed


def test_a_layer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))

    def fail(scratch: Path) -> list[Member]:
        (scratch / "half").touch()
        raise SkyrigError("no network")

    with pytest.raises(SkyrigError):
        layers.layer("one", fail)
    assert [path.name for path in layers.folder().iterdir()] == ["one.lock"]


def test_without_release_and_go_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_reachable", lambda url: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SkyrigError, match="no way to the CPython") as caught:
        sources.python(sources.PLATFORMS["x86_64"], tmp_path, print)
    assert "\n" not in str(caught.value)


def test_a_release_is_taken_up_where_it_broke_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    import http.server
    import threading

    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    layers.folder().mkdir(parents=True)
    content = bytes(range(256)) * 1000
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range", ""))
            begin = int(asked[-1].removeprefix("bytes=").removesuffix("-") or 0)
            self.send_response(206 if begin else 200)
            self.end_headers()
            self.wfile.write(content[begin:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, digest = f"http://127.0.0.1:{server.server_port}/python", hashlib.sha256(content).hexdigest()
    (layers.folder() / f"{digest}.part").write_bytes(content[:1000])
    try:
        assert sources._downloaded(url, digest, print).read_bytes() == content
        assert asked == ["bytes=1000-"]
        with pytest.raises(SkyrigError, match="its hash differs"):
            sources._downloaded(url, "0" * 64, print)
    finally:
        server.shutdown()
        server.server_close()


def test_pins_are_those_of_base_and_name_no_registry() -> None:
    pattern = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
    text = (code.PINS / "keeper.txt").read_text()
    keeper_pins, base = (
        dict(pattern.findall(each)) for each in (text, (ROOT / "requirements" / "base.txt").read_text())
    )
    assert keeper_pins.items() <= base.items()
    assert "://" not in text and len(keeper_pins) < 12
    assert code.PYTHON.replace("+", "-") in (code.PINS / "go.mod").read_text()


def test_what_a_client_alone_imports_is_no_part_of_a_build() -> None:
    names = [name for name, _ in code.files()]
    assert "skyrig/launch/keeper/keeper.py" in names and "skyrig/launch/supervisor.py" in names
    assert "skyrig/serve/balancer/config.py" in names and "skyrig/shipped/templates/serve/haproxy.cfg.j2" in names
    assert not [name for name in names if "local/" in name or name.endswith(("client.py", ".pyc"))]
    assert sum(path.stat().st_size for _, path in code.files()) < 1_200_000


def _megabytes(line: str) -> float:
    found = re.search(r"([\d.]+) (MB|kB)", line)
    assert found, line
    return float(found[1]) / (1 if found[2] == "MB" else 1000)
