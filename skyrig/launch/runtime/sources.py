"""Where the layers come from: CPython as a release or out of a Go module, packages from the user's own registry.

Everything is pinned by hash, and checked here before it goes into a layer. Which way to CPython is open is found by
asking, best first, before anything is got.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from tarfile import TarFile
from tarfile import open as open_tar

from attrs import frozen

from skyrig.errors import SkyrigError
from skyrig.launch.runtime import code
from skyrig.launch.runtime.layers import Member, folder, members_of, sha256_of

Notify = Callable[[str], None]
"""Takes one line for the user."""

PROBE_S = 4.0
"""Seconds that a look at the release's server may take."""

PROGRESS_S = 10.0
"""Seconds between two lines about one step that takes long."""

_MODULE = "github.com/kluctl/go-embed-python"
"""Carries python-build-standalone, one folder a platform; pinned in pins/go.mod and pins/go.sum."""

_TRIPLE = "{machine}-unknown-linux-gnu"
_RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"
_NOT_NEEDED = {
    *("ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests", "tkinter", "turtledemo"),
    *("config-3.11-x86_64-linux-gnu", "config-3.11-aarch64-linux-gnu", "__pycache__", "distutils"),
}
"""Folders of the standard library that the keeper does without."""


@frozen
class Platform:
    """What a head is, as `uname -m` says, and the names that others have for it. Linux with glibc 2.17 or newer."""

    machine: str
    go: str
    release_sha256: str

    @property
    def name(self) -> str:
        """Part of the names of its layers."""
        return f"linux-{self.machine}"

    @property
    def release(self) -> str:
        """Url of its CPython; the hashes are those of uv's crates/uv-python/download-metadata.json (uv 7cfa1fd204)."""
        version, tag = code.PYTHON.split("+")
        triple = _TRIPLE.format(machine=self.machine)
        return f"{_RELEASES}/{tag}/cpython-{version}%2B{tag}-{triple}-install_only_stripped.tar.gz"


PLATFORMS = {
    "x86_64": Platform("x86_64", "linux-amd64", "a5448390ef50caaeac60c42806060d0d00488df0b61e7ab4df3b020cceb2bb73"),
    "aarch64": Platform("aarch64", "linux-arm64", "23fa4e8eeb3a9c7fff540b0fdd4047ae5d2e6f0caf5095e7d767ed96ccc7efe7"),
}


def python(platform: Platform, scratch: Path, notify: Notify) -> Iterable[Member]:
    """The members of a CPython layer: bin/python3, the library and what of the standard library is needed."""
    version = code.PYTHON.split("+")[0]
    if _reachable(platform.release):
        notify(f"getting CPython {version} for {platform.name} heads, about 25 MB, once for all clusters")
        return _released(platform, notify)
    if shutil.which("go") is None:
        raise SkyrigError(
            "no way to the CPython that a head needs: its release cannot be reached, and there is no Go to get it with",
            hint=f"mend the way to {platform.release.split('/')[2]}, or install Go",
        )
    notify(f"getting CPython {version} for {platform.name} heads as a Go module, about 75 MB, once for all clusters")
    return _from_module(platform, scratch, notify)


def packages(platform: Platform, scratch: Path, notify: Notify) -> Iterable[Member]:
    """The members of the packages layer: what pins/keeper.txt lists, as wheels for the head's platform."""
    notify(f"getting the keeper's packages for {platform.name} heads, about 6 MB")
    target = scratch / "packages"
    common = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11"]
    common += [f"--requirement={code.PINS / 'keeper.txt'}", f"--target={target}"]
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
        command += ["--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
        command += [f"--platform={name}_{platform.machine}" for name in ("manylinux2014", "manylinux_2_17")]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", f"--python-platform={platform.machine}-manylinux_2_17"]
    else:
        raise SkyrigError("neither pip nor uv is here to get the keeper's packages with", hint="install uv or pip")
    _run([*command, *common], scratch, "the keeper's packages", notify)
    return members_of(target, _of_package)


def skyrig() -> Iterable[Member]:
    """The members of the layer of our own code."""
    return (Member(name, path.read_bytes()) for name, path in code.files())


def _of_package(name: str) -> bool:
    parts = PurePosixPath(name).parts
    notes = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    return (
        parts[0] != "bin"
        and "__pycache__" not in parts
        and not (parts[0].endswith(".dist-info") and parts[-1] in notes)
    )


def _needed(name: str) -> bool:
    """Whether a file of CPython's installation (name from its root) belongs into the layer."""
    parts = PurePosixPath(name).parts
    if parts[0] == "bin":
        return parts[1:] == ("python3.11",)
    if parts[0] != "lib" or len(parts) < 2:
        return False
    library = parts[1].startswith("libpython3") and ".so" in parts[1]
    return library or (parts[1] == "python3.11" and not _NOT_NEEDED & set(parts[2:]))


# -- the official release


def _reachable(url: str) -> bool:
    """Whether the server of `url` has it, asked for PROBE_S at most: a dead name service may not hold us up longer."""
    answers: list[int] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_S) as answer:
                answers.append(answer.status)
        except (OSError, ValueError, urllib.error.URLError):
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_S)
    return answers == [200]


def _released(platform: Platform, notify: Notify) -> Iterator[Member]:
    file = _downloaded(platform.release, platform.release_sha256, notify)
    with open_tar(file) as tar:
        yield from _unpacked(tar)
    file.unlink()


def _unpacked(tar: TarFile) -> Iterator[Member]:
    """The needed members of a release, whose names all begin with `python/`."""
    for info in tar:
        name = info.name.partition("/")[2]
        if name and _needed(name) and info.issym():
            yield Member(name, link=info.linkname)
        elif name and _needed(name) and (content := tar.extractfile(info)) is not None:
            yield Member(name, content.read(), executable=bool(info.mode & 0o100))


def _downloaded(url: str, sha256: str, notify: Notify) -> Path:
    """The file at `url`; what an earlier, broken attempt got is gone on with. SkyrigError unless its hash is right."""
    part = folder() / f"{sha256}.part"
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer, part.open("ab") as out:
            if answer.status != 206:
                out.truncate(0)
            _copy(answer.read, out.write, notify)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: it is there whole already
            raise SkyrigError(f"CPython cannot be got: {error}", hint="run the same command again") from error
    except (OSError, urllib.error.URLError) as error:
        raise SkyrigError(f"CPython cannot be got: {error}", hint="run the same command again; it goes on") from error
    if sha256_of(part) == sha256:
        return part
    part.unlink()
    raise SkyrigError("the CPython that was got is not the pinned one (its hash differs)", hint="run it again")


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], object], notify: Notify) -> None:
    done, due = 0, time.monotonic() + PROGRESS_S
    while block := read(1 << 18):
        write(block)
        done += len(block)
        if time.monotonic() > due:
            notify(f"getting CPython: {done / 1e6:.0f} MB")
            due += PROGRESS_S


# -- the Go module


def _from_module(platform: Platform, scratch: Path, notify: Notify) -> Iterator[Member]:
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(code.PINS / name, scratch / name)
    said = _run(["go", "mod", "download", "-json", _MODULE], scratch, "CPython as a Go module", notify)
    archive = Path(json.loads(said)["Zip"])
    with zipfile.ZipFile(archive) as module:
        if _module_hash(module) != _pinned_hash():
            raise SkyrigError(f"{archive} is not the pinned module", hint="run `go clean -modcache`, then this again")
        yield from _embedded(module, platform)


def _embedded(module: zipfile.ZipFile, platform: Platform) -> Iterator[Member]:
    """The needed members of the module's folder for `platform`; files.json lists them, some are stored compressed."""
    root = next(name for name in module.namelist() if name.endswith(f"/data/{platform.go}/files.json"))
    root = root.removesuffix("files.json")
    for entry in json.loads(module.read(f"{root}files.json"))["files"]:
        name, mode = entry["name"], entry["perm"]
        if not _needed(name) or mode & 1 << 31:  # the highest bit of Go's file modes: a folder
            continue
        if entry.get("symlink"):
            yield Member(name, link=entry["symlink"])
        elif entry.get("compressed"):
            yield Member(name, gzip.decompress(module.read(f"{root}{name}.gz")), executable=bool(mode & 0o100))
        else:
            yield Member(name, module.read(f"{root}{name}"), executable=bool(mode & 0o100))


def _module_hash(module: zipfile.ZipFile) -> str:
    """Go's h1 hash of a module's zip file: that of the list of its files with their hashes."""
    lines = (f"{hashlib.sha256(module.read(name)).hexdigest()}  {name}\n" for name in sorted(module.namelist()))
    digest = hashlib.sha256("".join(lines).encode()).digest()
    return f"h1:{base64.b64encode(digest).decode()}"


def _pinned_hash() -> str:
    rows = (row.split() for row in (code.PINS / "go.sum").read_text().splitlines())
    return next(row[2] for row in rows if not row[1].endswith("/go.mod"))


def _run(command: list[str], scratch: Path, what: str, notify: Notify) -> str:
    """Run a program that gets something; its output. SkyrigError with its last words where it fails."""
    started, due = time.monotonic(), time.monotonic() + PROGRESS_S
    out, err = scratch / "out", scratch / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        try:
            while child.poll() is None:
                time.sleep(0.05)
                if time.monotonic() > due:
                    notify(f"getting {what}, {time.monotonic() - started:.0f} s")
                    due += PROGRESS_S
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        words = [line for line in f"{out.read_text()}\n{err.read_text()}".splitlines() if line.strip()]
        raise SkyrigError(f"{what} cannot be got: {words[-1][:300] if words else 'no reason given'}", hint=_ADVICE)
    return out.read_text()


_ADVICE = "check network and proxy settings, then run the same command again"
