"""Buckets on a machine without rclone, a FUSE helper and a way to the internet: what it needs comes with the job."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from foreign_jobs import Followed, request
from foreign_nodes import Lab, wait_for

from skyrig.launch import client
from skyrig.launch.submission import Submission
from skyrig.storage import programs
from skyrig.storage.mount import BucketMount
from skyrig.storage.remote import Remote

pytestmark = [
    pytest.mark.soak,  # 46 MB of rclone go there
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse"),
]
KEYS = {"access_key_id": "skyrig-test", "secret_access_key": "a-secret-that-nobody-may-see"}
ADDRESS = "10.8.0.1:9000"


@pytest.fixture
def lab(lab_of: Callable[..., Lab]) -> Lab:
    """A machine of root's."""
    return lab_of(seed=True)


@pytest.fixture
def bucket(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """The folder of a bucket `results`, which an S3 server in the machine's network serves."""
    folder = tmp_path / "data" / "results"
    folder.mkdir(parents=True)
    env = {**os.environ, "ROOT_ACCESS_KEY": KEYS["access_key_id"], "ROOT_SECRET_KEY": KEYS["secret_access_key"]}
    inside = ["nsenter", f"--target={lab.head.pid}", "--net", str(programs.versitygw())]
    words = [*inside, "--port", ADDRESS, "--quiet", "posix", str(folder.parent)]
    with (tmp_path / "s3.log").open("wb") as log:
        server = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    wait_for(lambda: f":{9000:04X} " in Path(f"/proc/{lab.head.pid}/net/tcp").read_text(), "the S3 server")
    yield folder
    server.kill()
    server.wait()


def run(lab: Lab, text: str) -> Followed:
    """A job with the bucket at ~/out, sent as `launch` sends it to machines that share no files with this one."""
    remote = Remote({"type": "s3", "provider": "Other", "endpoint": f"http://{ADDRESS}", "region": "us-east-1"})
    mount = BucketMount("~/out", "MOUNT_CACHED", "s3://results", "results", dict(remote.options), "own")
    job = evolve(request(text, 1), buckets=(mount,), bucket_secrets={"own": KEYS})
    what = Submission(job, None, {"~/.skyrig/bin/rclone": programs.rclone_for(os.uname().machine)})
    seen, desc = Followed(), lab.description("foreign")
    told = {"detach": False, "out": seen.out, "notify": seen.said.append}
    seen.code = asyncio.run(client.submit_and_follow(desc, what, lambda: None, **told))
    return seen


def test_what_a_job_writes_is_in_the_bucket_when_it_ends(lab: Lab, bucket: Path) -> None:
    (bucket / "given").write_text("from the bucket")
    seen = run(lab, "cat ~/out/given; head -c 30000000 /dev/zero >~/out/large; echo small >~/out/small; echo; echo end")
    assert seen.code == 0, (seen.said, seen.lines)
    assert seen.lines[0] == "from the bucket" and "end" in seen.lines
    assert (bucket / "large").stat().st_size == 30_000_000 and (bucket / "small").read_text() == "small\n"
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in lab.head.pids("rclone mount")]
    assert commands and not [each for each in commands if KEYS["secret_access_key"] in each]
    assert lab.head.packets_without_route() == 0, "nothing asked for the internet"
