"""The scratch disk, made for real: of loop devices, in a mount namespace of its own; arrays where the kernel has them,
else in a user-mode Linux (Debian's package user-mode-linux) if there is one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boot_cases import HERE, programs

SIZE = 64 << 20
TOOLS = os.environ["PATH"] + ":/usr/sbin:/sbin"

Disk = Callable[[], str]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program as it lies on a node whose user is root."""
    folder = tmp_path / "opt"
    folder.mkdir()
    (folder / "scratch").write_text(programs(HERE / "cases" / "aws-cpu.json")["scratch"])
    (folder / "scratch").chmod(0o755)
    (folder / "node.json").write_text(json.dumps({"user": "root"}))
    return folder / "scratch"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes blank disks."""
    made: list[str] = []

    def new() -> str:
        image = tmp_path / f"disk-{len(made)}"
        with image.open("wb") as file:
            file.truncate(SIZE)
        done = tool("losetup", "--find", "--show", str(image))
        if done.returncode or os.geteuid():
            pytest.skip(f"no loop devices for this user: {done.stderr.strip()}")
        made.append(done.stdout.strip())
        return made[-1]

    yield new
    for device in made:
        tool("losetup", "--detach", device)


def tool(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the system."""
    try:
        return subprocess.run(argv, env={**os.environ, "PATH": TOOLS}, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip(f"there is no {argv[0]} on this machine")


class Boots:
    """Boots of one machine: each has mounts of its own, which are gone at the next."""

    def __init__(self, program: Path, *disks: str) -> None:
        self.program = program
        self.mount = program.parent / "mounted"
        self.disks = disks

    def boot(self, after: str = "", before: str = "") -> list[str]:
        """What the program said at a boot, and what `after` said of it then; in both $S is the scratch disk."""
        env = {
            **os.environ,
            "PATH": TOOLS,
            "SKYRIG_SCRATCH": str(self.mount),
            "SKYRIG_SCRATCH_DISKS": " ".join(self.disks),
            "S": str(self.mount),
        }
        text = f"set -e\n{before}\n{self.program}\n{after}\n"
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", text]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
        if "unshare failed" in done.stderr or os.geteuid():
            pytest.skip(f"no mount namespaces for this user: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(str(self.mount), "S").splitlines()


def content(device: str) -> str:
    return hashlib.sha256(Path(device).read_bytes()).hexdigest()


def test_one_disk_is_kept_over_a_reboot_and_made_anew_where_it_is_blank(program: Path, disk: Disk) -> None:
    mine = disk()
    boots = Boots(program, mine)
    look = 'findmnt -n -o FSTYPE,SOURCE "$S" | tr -s " "; echo one >"$S/kept"; "$0" 2>/dev/null; stat -c %U "$S"'
    assert boots.boot(look.replace('"$0"', str(program))) == [
        "S: 1 local disk",
        f"ext4 {mine}",
        "S: mounted already",
        "root",
    ]
    assert boots.boot('cat "$S/kept"') == ["S: 1 local disk", "one"]
    Path(mine).write_bytes(bytes(SIZE))  # what a stop does to it
    assert boots.boot('ls "$S"') == ["S: 1 local disk", "lost+found"]


def test_without_disks_it_is_a_folder(program: Path) -> None:
    assert Boots(program).boot('echo x >"$S/x"; ls "$S"') == ["S: no local disks, a folder of the boot disk", "x"]


def test_disks_that_the_image_has_mounted_are_used_where_they_are(program: Path) -> None:
    dlami = "mount -t tmpfs none /opt; mkdir -p /opt/dlami/nvme; mount -t tmpfs nvme /opt/dlami/nvme"
    said = Boots(program).boot('echo x >"$S/x"; ls /opt/dlami/nvme', dlami)
    assert said == ["S: the same as /opt/dlami/nvme", "x"]


PARTITION = (
    bytes(446) + bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (65536).to_bytes(4, "little")
)
FOREIGN = {
    "ext4": ["mkfs.ext4", "-q", "-L", "mine"],
    "ext4 without a label": ["mkfs.ext4", "-q"],
    "swap": ["mkswap"],
}


@pytest.mark.parametrize("kind", [*FOREIGN, "partitions"])
def test_a_disk_that_holds_anything_is_not_touched(program: Path, disk: Disk, kind: str) -> None:
    theirs = disk()
    if kind == "partitions":
        Path(theirs).write_bytes(PARTITION + bytes(48) + b"\x55\xaa")
    else:
        assert tool(*FOREIGN[kind], theirs).returncode == 0
    before = content(theirs)
    assert Boots(program, theirs).boot() == ["S: no local disks, a folder of the boot disk"]
    assert content(theirs) == before


def test_a_disk_in_use_is_not_touched(program: Path, disk: Disk) -> None:
    """Mounted elsewhere, though it was made here; and blank, but held by somebody, as an array or LVM does it."""
    mine, held = disk(), disk()
    Boots(program, mine).boot()
    elsewhere = f"mkdir -p $S.else; mount {mine} $S.else; touch $S.else/theirs"
    said = Boots(program, mine).boot("ls $S; ls $S.else", elsewhere)
    assert said == ["S: no local disks, a folder of the boot disk", "lost+found", "theirs"]
    descriptor = os.open(held, os.O_RDWR | os.O_EXCL)
    try:
        assert Boots(program, held).boot() == ["S: no local disks, a folder of the boot disk"]
    finally:
        os.close(descriptor)
    assert content(held) == hashlib.sha256(bytes(SIZE)).hexdigest()


def test_only_models_of_local_disks_are_taken(program: Path) -> None:
    spec = importlib.util.spec_from_loader("scratch", importlib.machinery.SourceFileLoader("scratch", str(program)))
    assert spec and spec.loader
    scratch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scratch)
    local = ["Amazon EC2 NVMe Instance Storage", "nvme_card", "nvme_card0", "nvme_card15", "EphemeralDisk"]
    local += ["Microsoft NVMe Direct Disk", "Microsoft NVMe Direct Disk v2"]
    network = ["Amazon Elastic Block Store", "nvme_card-pd", "PersistentDisk", "MSFT NVMe Accelerator v1.0"]
    network += ["Virtual Disk", "Virtual_Disk", "QEMU HARDDISK", "Samsung SSD 990 PRO 2TB", ""]
    assert [model for model in local + network if re.fullmatch(scratch.LOCAL, model)] == local


STRIPED = """\
boot: /run/scratch: 4 local disks as one (0)
level: raid0 of 4
type: ext4 /dev/ARRAY
boot: /run/scratch: mounted already (0)
boot: /run/scratch: 4 local disks as one (0)
kept after a reboot: one
boot: /run/scratch: 4 local disks as one (0)
kept where the kernel has assembled it: one
boot: /run/scratch: no local disks, a folder of the boot disk (0)
mounted elsewhere, and still: one
boot: /run/scratch: 4 local disks as one (0)
anew where a disk was changed: lost+found
boot: /run/scratch: 3 local disks as one (0)
one is somebody's: 3 striped, mine kept
"""


def test_four_disks_are_one(program: Path, disk: Disk, tmp_path: Path) -> None:
    if not shutil.which("mdadm", path=TOOLS):
        pytest.skip("there is no mdadm on this machine")
    script = HERE / "striped_disks.sh"
    if "raid0" in (Path("/proc/mdstat").read_text() if Path("/proc/mdstat").exists() else ""):
        disks = [disk() for _ in range(4)]
        done = tool("unshare", "--mount", "--propagation", "private", "bash", "-c",
                    f'mount -t tmpfs run /run; exec bash {script} {program} {" ".join(disks)}')  # fmt: skip
        assert done.stdout == STRIPED, done.stderr
        return
    kernel = shutil.which("linux.uml")
    if not kernel:
        pytest.skip("this kernel has no raid0, and there is no user-mode Linux")
    assert user_mode(kernel, f"{script} {program} /dev/ubda /dev/ubdb /dev/ubdc /dev/ubdd", tmp_path) == STRIPED


def user_mode(kernel: str, command: str, folder: Path) -> str:
    """What a command says on a user-mode Linux with four blank disks."""
    disks = []
    for number in range(4):
        image = folder / f"ubd-{number}"
        with image.open("wb") as file:
            file.truncate(4 * SIZE)
        disks.append(f"ubd{number}={image}")
    modules = Path(kernel).parents[1] / "lib" / "uml" / "modules"
    said = [f"UML_PATH={TOOLS}", f"UML_MODULES={modules}", f'UML_COMMAND="{command}"']
    boot = ["mem=256M", "root=/dev/root", "rootfstype=hostfs", "ro", "quiet", "con=null", "con0=fd:0,fd:1"]
    argv = [kernel, *boot, *disks, *said, f"init={HERE / 'uml_init.sh'}"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    found = re.search(r"^begin\n(.*)^end$", done.stdout.replace("\r", ""), re.DOTALL | re.MULTILINE)
    assert found, done.stdout[-2000:]
    return found[1]
