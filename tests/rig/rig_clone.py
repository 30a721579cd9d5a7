"""A copy of what rig needs of the tree, with packages of its own making, so that real pip installs in a second."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "sh",
    "cat",
    "cksum",
    "uname",
    "grep",
    "mkdir",
    "od",
    "tr",
    "ln",
    "rm",
    "find",
    "sed",
    "mv",
    "sleep",
    "touch",
    "chmod",
)
PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
PYTHON = Path(os.path.realpath(ROOT / ".venv" / "bin" / "python3"))


def script(path: Path, text: str) -> Path:
    """An executable file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def engine_programs(folder: Path, version: str = "3.258.0", names: tuple[str, ...] = PROGRAMS) -> Path:
    """A folder with stand-ins of the engine's programs; `pulumi` knows its version and prints its environment else."""
    for name in names:
        script(folder / name, f'#!/bin/sh\n[ "${{1-}}" = version ] && echo v{version} || env\n')
    return folder


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], *, command: str = "") -> str:
    """Build a wheel in `folder`; gives its requirement line, with hash. `command` is the console script's target."""
    info = f"{name}-{version}.dist-info"
    content = dict(files)
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if command:
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {command}\n"
    record = ""
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        # The list of files comes first here, so that an installation cut off early already looks whole to pip.
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        for path in sorted(content, key=lambda path: not path.startswith(info)):
            archive.writestr(path, content[path])
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(target.read_bytes()).hexdigest()}\n"


class Clone:
    """One copy, with its own home, cache and PATH (basic tools and a Python, no uv, no Go, no Pulumi)."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone of skyrig"
        self.bin = folder / "bin"
        self.cache = folder / "cache"
        self.wheels = folder / "wheels"
        for path in (self.root, self.bin, self.cache, self.wheels):
            path.mkdir(parents=True)
        for path in ("tools", "requirements"):
            shutil.copytree(ROOT / path, self.root / path, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("rig", "Pulumi.yaml"):
            shutil.copy(ROOT / file, self.root / file)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            self.bin.joinpath(tool).symlink_to(found)
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(folder / "home"),
            "SKYRIG_CACHE": str(self.cache),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "https_proxy": "http://127.0.0.1:9",  # nothing outside can be reached, which is quickly seen
            "LC_ALL": "C.UTF-8",
        }
        Path(self.environment["HOME"]).mkdir()

    @property
    def kept(self) -> Path:
        """rig's notes."""
        return self.root / ".venv" / ".rig"

    @property
    def engine(self) -> Path:
        """Where rig looks for the engine that it got itself."""
        return self.cache / "engine" / "3.258.0" / "bin"

    def python(self, name: str = "python3", *, text: str = "") -> None:
        """Put a Python on PATH: the real one, or a script."""
        self.bin.joinpath(name).unlink(missing_ok=True)
        script(self.bin / name, text or f'#!/bin/sh\nexec "{PYTHON}" "$@"\n')

    def small_packages(self, *, bulk: int = 1) -> None:
        """Let the requirement sets hold small packages of our own; `bulk` files in the one named bulk."""
        greet = "import sys\n\ndef main():\n    print('invoked', *sys.argv[1:])\n"
        lines = wheel(self.wheels, "invoke", "3.0", {"invoke/__init__.py": greet}, command="invoke:main")
        lines += wheel(self.wheels, "pulumi", "3.258.0", {"pulumi/__init__.py": ""})
        many = {f"bulk/part{number:05}.py": f"NUMBER = {number}\n" * 50 for number in range(bulk)}
        lines += wheel(self.wheels, "bulk", "1.0", {"bulk/__init__.py": "", **many})
        self.root.joinpath("requirements", "base.txt").write_text(lines)
        for name in ("dev", "torch", "accelerate", "deepspeed", "ray"):
            leader = {"dev": "pytest"}.get(name, name)
            line = wheel(self.wheels, leader, "1.0", {f"{leader}_small.py": ""})
            self.root.joinpath("requirements", f"{name}.txt").write_text(line)

    def empty_venv(self, template: Path) -> None:
        """Give the clone a virtual environment with nothing but pip in it, copied, for making one takes seconds."""
        shutil.copytree(template, self.root / ".venv", symlinks=True)

    def ready(self, *sets: str) -> None:
        """Make the clone look set up, with an `invoke` that prints its arguments."""
        files = "rig requirements/*.txt tools/rig/*.py tools/rig/*.sh tools/engine/*/go.* tools/storage/*/*"
        key = subprocess.check_output(
            ["sh", "-c", f"cat {files} | cksum"],
            cwd=self.root,
            text=True,
        ).strip()
        self.kept.mkdir(parents=True, exist_ok=True)
        for name in sets:
            self.kept.joinpath(f"ok-{name}").write_text(f"{key} {self.root}\n")
        self.kept.joinpath("engine").write_text(f"{engine_programs(self.engine)}\n")
        for name in ("invoke", "pulumi", "python"):
            script(self.root / ".venv" / "bin" / name, f'#!/bin/sh\necho "{name}d in $VIRTUAL_ENV:" "$@"\n')

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start ./rig in the clone; variables in `extra` are added to its environment."""
        return subprocess.Popen(
            ["./rig", *arguments],
            cwd=self.root,
            env=self.environment | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rig(self, *arguments: str, **extra: str) -> tuple[int, str, str]:
        """Run ./rig to its end: exit code, stdout, stderr."""
        running = self.start(*arguments, **extra)
        out, err = running.communicate(timeout=60)
        return running.returncode, out, err

    def inside(self, code: str, **extra: str) -> str:
        """What Python code prints that runs where rig's own modules can be imported."""
        command = [str(PYTHON), "-B", "-c", code]
        return subprocess.check_output(
            command, cwd=self.root / "tools" / "rig", env=self.environment | extra, text=True
        )


def error_line(err: str) -> str:
    """The one line of stderr that is rig's error; there must be no other and no traceback."""
    lines = [line for line in err.splitlines() if "error" in line or "Traceback" in line]
    assert len(lines) == 1, err
    return re.sub(r"^rig: error: ", "", lines[0])
