"""Buckets come to their places on a node, stay, and go: the program against a real S3 server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mounting_store import SECRET, Home, Store, until

from skyrig.launch.mounting.mount import mounted

sys.path.insert(0, str(Path(__file__).parents[1] / "foreign"))
from foreign_nodes import pythons


def test_what_is_closed_is_in_the_bucket(store: Store, home: Home) -> None:
    bucket = store.bucket("closed")
    place = home.attached(store, store.mount("~/data", "closed", options={"dir-cache-time": "1s"}))
    (place / "sub").mkdir()
    with (place / "sub" / "stream").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 18))
    assert (bucket / "sub" / "stream").stat().st_size == 64 << 18
    (place / "t.tmp").write_text("one")
    (place / "t.tmp").replace(place / "t")
    (place / "t.tmp").write_text("two")
    (place / "t.tmp").replace(place / "t")
    assert (bucket / "t").read_text() == "two"
    assert sorted(path.name for path in place.iterdir()) == ["sub", "t"]
    (bucket / "theirs").write_bytes(bytes(range(256)) * 100)
    until(lambda: (place / "theirs").exists(), "what another one put there")
    with (place / "theirs").open("rb") as file:
        file.seek(25000)
        assert file.read(3) == bytes([168, 169, 170])


def test_tools_write_as_to_a_folder(store: Store, home: Home) -> None:
    bucket = store.bucket("tools")
    place = home.attached(store, store.mount("~/data", "tools"))
    script = """set -e; cp /etc/passwd p; cp -a /etc/passwd q; cmp p q; mv q r; mkdir -p a/b; echo 1 >a/b/c; mv a d
    cat d/b/c; echo x >log; echo y >>log; tar cf t.tar p 2>/dev/null; mkdir out; tar xf t.tar -C out; rm -r out
    python3 -c 'f=open("both","w+b"); f.write(b"0"*9999); f.seek(5); f.write(b"abc"); f.seek(0); f.read(9999)[9998]'
    """
    subprocess.run(["bash", "-c", script], cwd=place, check=True)
    assert home.ask("flush", deadline_s=20)["left"] == []
    assert (bucket / "log").read_text() == "x\ny\n"
    assert (bucket / "both").read_bytes()[5:8] == b"abc"
    assert (bucket / "d" / "b" / "c").exists() and not (bucket / "out").exists()


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_any_python_of_a_node_will_do(store: Store, home: Home, version: str) -> None:
    found = pythons(version)
    if not found:
        pytest.skip(f"no Python {version} on PATH or of pyenv's")
    program = home.folder / ".skyrig" / "runtime" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(found[version].program)
    bucket = store.bucket(f"python-{version}")
    place = home.attached(store, store.mount("~/data", bucket.name, "MOUNT_CACHED"))
    (place / "f").write_text("f")
    assert home.ask("detach", targets=None, deadline_s=20)["left"] == []
    assert (bucket / "f").read_text() == "f"


def test_it_is_there_already(store: Store, home: Home) -> None:
    store.bucket("twice")
    plans = [store.mount("~/a", "twice"), store.mount("~/b", "twice", "MOUNT_CACHED")]
    home.attached(store, *plans)
    before = home.look()
    began = time.monotonic()
    home.attached(store, *plans)
    took = time.monotonic() - began
    assert home.look() == before and took < 1.0


def test_another_one_takes_its_place(store: Store, home: Home) -> None:
    first, second = store.bucket("first"), store.bucket("second")
    (second / "s").write_text("s")
    place = home.attached(store, store.mount("~/data", "first", "MOUNT_CACHED"))
    (place / "f").write_text("f")
    home.attached(store, store.mount("~/data", "second"))
    assert (first / "f").read_text() == "f"
    assert [path.name for path in place.iterdir()] == ["s"]
    assert len(home.look()) == 1


def test_a_dead_one_comes_back_with_its_files(store: Store, home: Home) -> None:
    bucket, plan = store.bucket("dead"), store.mount("~/data", "dead", "MOUNT_CACHED")
    place = home.attached(store, plan)
    (place / "seen").write_text("so that the folder is known")
    with store.gone():
        (place / "kept").write_bytes(b"k" * 5000)
        home.kill(plan)
        said = home.look()["~/data"]
        assert said["trouble"] == "its rclone was killed by signal 9"
        assert said["dirty"]["kept"] == 5000
        with pytest.raises(OSError):
            (place / "more").write_text("nowhere to go")
    home.attached(store, plan)
    assert home.ask("flush", deadline_s=20)["left"] == []
    assert (bucket / "kept").stat().st_size == 5000


@pytest.mark.parametrize(
    ("bucket", "secret", "endpoint", "reason"),
    [
        ("nowhere", "", "", "there is no such bucket"),
        ("closed-off", "wrong", "", "SignatureDoesNotMatch"),
        ("closed-off", "", "http://127.0.0.1:9", "connection refused"),
    ],
)
def test_one_line_says_why_not(store: Store, home: Home, bucket: str, secret: str, endpoint: str, reason: str) -> None:
    store.bucket("closed-off")
    plan = store.mount("~/data", bucket)
    plan["remote"]["endpoint"] = endpoint or plan["remote"]["endpoint"]
    own = store.secrets["own"] | ({"secret_access_key": secret} if secret else {})
    said = home.ask("attach", mounts=[plan], secrets={"own": own}, rclone=_rclone())["problems"]["~/data"]
    assert reason in said and "~/data" in said and f"s3://{bucket}" in said
    assert "\n" not in said and own["secret_access_key"] not in said
    assert home.look() == {} and str(home.place(plan)) not in mounted()


def test_a_folder_that_is_not_empty(store: Store, home: Home) -> None:
    bucket = store.bucket("full")
    (bucket / "theirs").write_text("theirs")
    place = home.folder / "data"
    place.mkdir()
    (place / "mine").write_text("mine")
    assert "not an empty folder" in home.attach(store, store.mount("~/data", "full"))["~/data"]
    assert (place / "mine").read_text() == "mine"
    assert home.attach(store, store.mount("~/data", "full", "COPY")) == {}
    assert sorted(path.name for path in place.iterdir()) == ["mine", "theirs"]


def test_copy_brings_what_differs(store: Store, home: Home) -> None:
    bucket, plan = store.bucket("copied"), store.mount("~/x/data", "copied", "COPY")
    (bucket / "sub").mkdir()
    (bucket / "sub" / "a").write_text("a")
    (bucket / "b").write_text("b")
    place = home.attached(store, plan)
    assert (place / "sub" / "a").read_text() == "a"
    inode = (place / "b").stat().st_ino
    (bucket / "sub" / "a").write_text("changed")
    home.attached(store, plan)
    assert (place / "sub" / "a").read_text() == "changed"
    assert (place / "b").stat().st_ino == inode
    one = home.attached(store, store.mount("~/one.txt", "copied", "COPY", path="copied/b"))
    assert one.read_text() == "b"
    assert home.look() == {}


def test_only_reading(store: Store, home: Home) -> None:
    bucket = store.bucket("read")
    (bucket / "a").write_text("a")
    place = home.attached(store, store.mount("~/data", "read", "MOUNT_CACHED", options={"read-only": ""}))
    assert (place / "a").read_text() == "a"
    with pytest.raises(OSError, match="Read-only"):
        (place / "b").write_text("b")


def test_credentials_are_in_no_argv_and_no_file(store: Store, home: Home) -> None:
    store.bucket("secret")
    home.attached(store, store.mount("~/data", "secret", "MOUNT_CACHED"))
    (home.folder / "data" / "f").write_text("f")
    said = home.look()["~/data"]
    assert SECRET.encode() in Path(f"/proc/{said['pid']}/environ").read_bytes()
    assert SECRET not in json.dumps(home.shown)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert SECRET.encode() not in path.read_bytes()
        except OSError:
            continue
    for path in (home.folder / ".skyrig").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
        assert path.is_symlink() or not path.stat().st_mode & 0o077 or path.parent.name == "data", path


def test_without_fuse_a_folder_is_linked_or_it_is_refused(store: Store, home: Home) -> None:
    bucket, plan = store.bucket("linked"), store.mount("~/data", "linked")
    within = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh")
    said = home.attach(store, plan, within=within)["~/data"]
    assert "no /dev/fuse" in said and "COPY" in said
    linked = {**plan, "folder": str(bucket)}
    assert home.attach(store, linked, within=within) == {}
    place = home.place(plan)
    (place / "f").write_text("f")
    assert place.is_symlink() and (bucket / "f").read_text() == "f"
    assert home.look()["~/data"] | {"pid": 0} == home.look()["~/data"]
    assert home.ask("detach", targets=["~/data"], deadline_s=5)["problems"] == {}
    assert not place.is_symlink() and (bucket / "f").exists()


def test_detach_leaves_the_bucket_alone(store: Store, home: Home) -> None:
    bucket, plan = store.bucket("detached"), store.mount("~/data", "detached", "MOUNT_CACHED")
    place = home.attached(store, plan)
    (place / "f").write_text("f")
    done = home.ask("detach", targets=None, deadline_s=20)
    assert (done["left"], done["problems"]) == ([], {})
    assert (bucket / "f").read_text() == "f"
    assert not place.exists() and home.look() == {}


def test_detach_names_what_is_not_up(store: Store, home: Home) -> None:
    store.bucket("cut")
    plan = store.mount("~/data", "cut", "MOUNT_CACHED", path="cut/runs/1")
    place = home.attached(store, plan)
    assert list(place.iterdir()) == []
    with store.gone():
        (place / "f").write_bytes(b"f" * 1234)
        began = time.monotonic()
        left = home.ask("detach", targets=None, deadline_s=1)["left"]
        assert time.monotonic() - began < 3
        assert [each["named"] for each in left] == ["s3://cut/runs/1/f (1.2 kB)"]
        assert home.look()["~/data"]["trouble"] == ""
        forced = home.ask("detach", targets=None, force=True)
        assert forced["problems"] == {} and str(place) not in mounted()
    home.attached(store, plan)
    assert home.ask("flush", deadline_s=20)["left"] == []
    assert (store.folder / "cut" / "runs" / "1" / "f").stat().st_size == 1234


def _rclone() -> str:
    from skyrig.storage import programs

    return str(programs.rclone())
