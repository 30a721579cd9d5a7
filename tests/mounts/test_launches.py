"""file_mounts as a user meets them, on a cluster of two local nodes: absolute places, buckets, stop and start."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from user import Result, User

from skyrig import local
from skyrig.cluster.shape import Shape

pytestmark = pytest.mark.e2e

HERE = f"/skyrig-mounts-{uuid.uuid4().hex[:8]}"
"""A place that this machine does not have, and must not get."""


@pytest.fixture(scope="module")
def user(request: pytest.FixtureRequest) -> User:
    """A user with a cluster of two nodes that have a file system of their own."""
    if local.isolation(Shape()) != "namespaces":
        pytest.skip("this machine gives local nodes no file system of their own")
    person: User = request.getfixturevalue("two_nodes_up")
    return person


def launch(user: User, text: str, *words: str, verb: str = "launch", check: int | None = 0) -> Result:
    """Launch a task with that text; sources are relative to the folder that the user is in."""
    (user.clone / "task.yaml").write_text(text)
    more = ("--infra", "local", "-y") if verb == "launch" else ()
    return user.run(verb, "task.yaml", "-c", user.stack, *more, *words, check=check)


def said_by_ranks(done: Result) -> list[str]:
    """What each of the two ranks printed, which must be the same; without the prefix."""
    lines = [[line.partition(") ")[2] for line in done.lines if line.startswith(f"(rank {rank}")] for rank in (0, 1)]
    assert lines[0] == lines[1], done.told()
    return lines[0]


TASK = f"""
num_nodes: 2
file_mounts:
  {HERE}/data: ./data
  {HERE}/data/inner: ./one.txt
  {HERE}/copied: {{source: ./data}}
  ~/deep/one: one.txt
  {HERE}/bucket: s3://some-bucket/path
  ~/models: hf://some/model
setup: |
  cat {HERE}/data/a >>~/setups-of-mounts
run: |
  cd {HERE}; cat data/a data/inner copied/a ~/deep/one; stat -c '%a %F %n' bucket data/link; wc -l <~/setups-of-mounts
"""


@pytest.mark.soak
def test_absolute_places_are_the_nodes_own_and_outlive_a_stop(user: User) -> None:
    (user.clone / "data").mkdir()
    (user.clone / "data" / "a").write_text("a\n")
    (user.clone / "data" / "link").symlink_to("a")
    (user.clone / "one.txt").write_text("one\n")
    there = ["a", "one", "a", "one", "755 directory bucket", "777 symbolic link data/link"]

    first = launch(user, TASK)
    assert said_by_ranks(first) == [*there, "1"]
    assert not Path(HERE).exists()
    warned = [line for line in first.err.decode().splitlines() if "ordinary folder" in line]
    assert [line.partition(": ")[0] for line in warned] == ["file_mounts.~/models", f"file_mounts.{HERE}/bucket"]
    assert "hf://some/model is no bucket" in warned[0]
    assert "s3://some-bucket/path: there are no keys to open it with" in warned[1]

    again = launch(user, TASK)
    assert said_by_ranks(again) == [*there, "1"]
    assert any("setup skipped on n0, n1: nothing changed" in line for line in again.lines)
    assert f"files of {HERE}/data: nothing changed" in again.err.decode()

    (user.clone / "data" / "a").write_text("b\n")
    changed = launch(user, TASK)
    assert said_by_ranks(changed)[0] == "b"
    assert said_by_ranks(changed)[-1] == "2"
    why = f"setup runs again on n0, n1: {HERE}/data changed, {HERE}/copied changed"
    assert any(why in line for line in changed.lines), changed.told()
    assert f"files of {HERE}/data: 1 of 1 changed, 2 B" in changed.err.decode()

    user.run("stop", "-c", user.stack, "-y")
    user.run("start", "-c", user.stack)
    (user.clone / "data" / "a").write_text("c\n")
    stays = launch(user, TASK, verb="exec")
    assert said_by_ranks(stays)[:4] == ["b", "one", "b", "one"], "exec brings none, and the disk was kept"
    assert "exec brings no file_mounts" in stays.err.decode()


def test_a_place_that_cannot_be_written_is_one_line(user: User) -> None:
    (user.clone / "one.txt").write_text("one\n")
    failed = launch(user, "file_mounts: {/etc/hostname/x: one.txt}\nsetup: echo never\nrun: echo never\n", check=5)
    assert b"never" not in failed.out
    assert user.jobs()[-1]["status"] == "FAILED_SETUP"
    assert "could not take the files: /etc/hostname/x cannot be written" in failed.err.decode()


def test_mounts_alone_are_brought_too(user: User) -> None:
    (user.clone / "one.txt").write_text("alone\n")
    launch(user, f"file_mounts: {{{HERE}/alone: one.txt}}\n")
    there = launch(user, f"num_nodes: 2\nrun: cat {HERE}/alone /run/skyrig-host-folders\n", verb="exec")
    assert said_by_ranks(there) == ["alone"], "and no folder of the node is this machine's own"


def test_render_lists_them(user: User, tmp_path: Path) -> None:
    (user.clone / "task.yaml").write_text(TASK)
    user.run("render", "task.yaml", "-c", user.stack, "--infra", "local", "--out", str(tmp_path))
    listed = (tmp_path / "rank-1" / "mounts").read_text().splitlines()
    assert f"{HERE}/data <- data" in listed
    assert "~/deep/one <- one.txt" in listed
    assert f"{HERE}/bucket <- s3://some-bucket/path (COPY)" in listed


def test_what_cannot_be_is_refused_before_anything_is_made(user: User) -> None:
    for mounts, why in (("{/dev/x: task.yaml}", "the kernel's"), ("{/x: nothing.txt}", "nothing.txt is not there")):
        (user.clone / "bad.yaml").write_text(f"file_mounts: {mounts}\nrun: echo\n")
        refused = user.run("launch", "bad.yaml", "-c", "never-made", "--infra", "local", "-y", check=2)
        assert why in refused.err.decode(), refused.told()
    assert not (user.home / "stacks" / "never-made").exists()
    assert not (user.clone / "stacks" / "Pulumi.never-made.yaml").exists()


def test_on_plain_nodes_only_the_home_can_be_had(user: User) -> None:
    (user.clone / "one.txt").write_text("one\n")
    (user.clone / "plain.yaml").write_text(f"file_mounts: {{~/fine: one.txt, {HERE}/x: one.txt}}\nrun: echo\n")
    (user.clone / "stacks" / "Pulumi.plain-one.yaml").write_text("config:\n  skyrig:isolation: plain\n")
    for words in (("launch", "-y"), ("render",)):
        refused = user.run(words[0], "plain.yaml", "-c", "plain-one", "--infra", "local", *words[1:], check=2)
        assert f"file_mounts.{HERE}/x: local nodes of isolation `plain` share" in refused.err.decode()
    assert not (user.home / "local" / "plain-one").exists()
    assert not Path(HERE).exists()
