"""The S3 server of local buckets: real versitygw, in processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bucket_user import KEYS, Rclone

from skyrig import places
from skyrig.fleet.local import processes
from skyrig.fleet.local.files import locked, wait_for
from skyrig.storage.local import buckets, server
from skyrig.storage.local.server import BucketServerError, Keys

pytestmark = pytest.mark.e2e


def kill(started: dict[str, Any]) -> None:
    """Kill the server and wait until it is gone."""
    os.kill(started["pid"], signal.SIGKILL)
    assert wait_for(lambda: None if locked(Path(started["folder"]) / "alive.lock") else True)


def test_objects_are_files_and_files_are_objects(home: Path, rclone: Rclone) -> None:
    started = server.ensure("one", KEYS)
    made = buckets.make(places.storage("one"), "my-bucket", KEYS)
    folder = Path(made["folder"])
    rclone(started["endpoint"], KEYS, "rcat", "remote:my-bucket/a/by-s3.txt", input="by s3")
    assert (folder / "a" / "by-s3.txt").read_text() == "by s3"
    (folder / "b").mkdir()
    (folder / "b" / "by-hand.txt").write_text("by hand")
    assert rclone(started["endpoint"], KEYS, "cat", "remote:my-bucket/b/by-hand.txt") == "by hand"
    listed = rclone(started["endpoint"], KEYS, "lsf", "-R", "--files-only", "remote:my-bucket")
    assert sorted(listed.split()) == ["a/by-s3.txt", "b/by-hand.txt"]


def test_a_killed_one_comes_back_on_its_data_and_port(home: Path, rclone: Rclone) -> None:
    started = server.ensure("one", KEYS)
    assert server.ensure("one", KEYS) == started
    buckets.make(places.storage("one"), "kept", KEYS)
    rclone(started["endpoint"], KEYS, "rcat", "remote:kept/x", input="x")
    kill(started)
    assert server.check(places.storage("one")) == {}
    again = server.ensure("one", KEYS)
    assert again["endpoint"] == started["endpoint"] and again["incarnation"] != started["incarnation"]
    assert rclone(again["endpoint"], KEYS, "cat", "remote:kept/x") == "x"


def test_a_taken_port_is_given_up_for_another(home: Path) -> None:
    started = server.ensure("one", KEYS)
    kill(started)
    squatter = subprocess.Popen(
        [sys.executable, "-c", f"import socket,sys; s=socket.create_server(('127.0.0.1',{started['port']}));"
         "print('up',flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert squatter.stdout and squatter.stdout.readline() == b"up\n"
    try:
        assert server.ensure("one", KEYS)["port"] != started["port"]
    finally:
        squatter.communicate()


def test_servers_of_two_stacks_know_nothing_of_each_other(home: Path, rclone: Rclone) -> None:
    other_keys = Keys("skyrig-two", "another-secret-of-forty-characters-01234")
    one, two = server.ensure("one", KEYS), server.ensure("two", other_keys)
    assert one["port"] != two["port"]
    buckets.make(places.storage("one"), "shared-name", KEYS)
    buckets.make(places.storage("two"), "shared-name", other_keys)
    rclone(one["endpoint"], KEYS, "rcat", "remote:shared-name/x", input="of one")
    assert rclone(two["endpoint"], other_keys, "lsf", "remote:shared-name") == ""
    for wrong in (KEYS, Keys("skyrig-two", KEYS.secret_access_key)):
        said = rclone(two["endpoint"], wrong, "rcat", "remote:shared-name/y", input="y", check=False)
        assert "XAdminUserNotFound" in said or "SignatureDoesNotMatch" in said, said


def test_many_at_once_start_one(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: server.ensure("one", KEYS), range(4)))
    assert len({each["incarnation"] for each in found}) == 1
    assert processes.holding(places.storage("one") / "alive.lock") == [found[0]["pid"]]


def test_keys_are_in_no_command_line_and_no_file(home: Path) -> None:
    started = server.ensure("one", KEYS)
    buckets.make(places.storage("one"), "abc", KEYS)
    secret = KEYS.secret_access_key.encode()
    assert secret not in Path(f"/proc/{started['pid']}/cmdline").read_bytes()
    assert [file for file in home.rglob("*") if file.is_file() and secret in file.read_bytes()] == []
    assert b":" + f"{started['port']:04X}".encode() not in b"".join(_listeners()), "it listens on loopback alone"


def _listeners() -> list[bytes]:
    """Sockets that listen on any address, v4 and v6."""
    rows = Path("/proc/net/tcp").read_bytes().splitlines() + Path("/proc/net/tcp6").read_bytes().splitlines()
    return [
        row.split()[1] for row in rows[1:] if row.split()[3] == b"0A" and row.split()[1].startswith(b"0" * 8 + b":")
    ]


def test_without_extended_attributes_a_folder_beside_the_data_is_used(
    home: Path, rclone: Rclone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "setxattr", refused)
    started = server.ensure("one", KEYS)
    made = buckets.make(places.storage("one"), "plain", KEYS)
    rclone(started["endpoint"], KEYS, "rcat", "remote:plain/x", input="x")
    monkeypatch.undo()
    assert os.listxattr(Path(made["folder"]) / "x") == []
    assert "--sidecar" in server._command(places.storage("one"), Path("versitygw"), 1), "once used, used for good"
    buckets.remove(places.storage("one"), "plain", contents=True)
    assert not list((places.storage("one") / "about").iterdir())


def test_a_bucket_goes_when_it_is_empty_or_its_contents_are_meant(home: Path, rclone: Rclone) -> None:
    folder = places.storage("one")
    started = server.ensure("one", KEYS)
    for name in ("full", "empty"):
        buckets.make(folder, name, KEYS)
        rclone(started["endpoint"], KEYS, "rcat", f"remote:{name}/x", input="x")
    rclone(started["endpoint"], KEYS, "deletefile", "remote:empty/x")
    with pytest.raises(BucketServerError, match="full is not empty"):
        buckets.remove(folder, "full")
    buckets.remove(folder, "empty")
    buckets.forget(folder)
    assert server.check(folder) == {} and (folder / "data" / "full" / "x").exists(), "what is left stays"
    buckets.remove(folder, "full", contents=True)
    buckets.forget(folder)
    assert not folder.exists()


def test_the_program_says_what_is_wrong_in_json(home: Path) -> None:
    request = {
        "folder": str(places.storage("one")),
        "bucket": "No_Such",
        "access_key_id": "a",
        "secret_access_key": "b",
    }
    command = [sys.executable, "-I", "-m", "skyrig.storage.local", "make"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no name of a bucket" in json.loads(done.stdout)["error"]
    assert not places.storage("one").exists(), "nothing was made"


def test_its_log_is_bounded(home: Path) -> None:
    started = server.ensure("one", KEYS)
    log = places.storage("one") / "log"
    with log.open("ab") as out:
        out.truncate(server.LOG_BYTES + 1)
    assert server.check(places.storage("one")) == started
    assert log.stat().st_size == 0


def test_uploads_that_were_never_finished_go(home: Path) -> None:
    boto3 = pytest.importorskip("boto3")
    started = server.ensure("one", KEYS)
    folder = Path(buckets.make(places.storage("one"), "leftovers", KEYS)["folder"])
    names = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEYS.options.values(), strict=True))
    s3 = boto3.client("s3", endpoint_url=started["endpoint"], region_name="us-east-1", **names)
    for key in ("given/up", "goes/on"):
        upload = s3.create_multipart_upload(Bucket="leftovers", Key=key)["UploadId"]
        s3.upload_part(Bucket="leftovers", Key=key, UploadId=upload, PartNumber=1, Body=b"part")
        if key == "given/up":
            long_ago = time.time() - 8 * 86400
            os.utime(next(folder.glob(f".sgwtmp/multipart/*/{upload}")), (long_ago, long_ago))

    def left() -> set[str]:
        return {each["Key"] for each in s3.list_multipart_uploads(Bucket="leftovers").get("Uploads", ())}

    server.ensure("one", KEYS)
    assert left() == {"given/up", "goes/on"}, "it was done today"
    yesterday = time.time() - 86401
    os.utime(places.storage("one") / "cleared", (yesterday, yesterday))
    server.ensure("one", KEYS)
    assert left() == {"goes/on"}
