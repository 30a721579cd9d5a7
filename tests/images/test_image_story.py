"""The whole way on the local cloud, as a user goes it: an image is built out of a task, launched from, planned with,
killed in between, and gone; and what it saves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import User, end_nodes

from bench import image as bench
from bench import record

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

TASK = """\
name: imaged
workdir: {work}
resources: {{infra: local}}
envs: {{SIZE: small}}
secrets: {{TOKEN: hunter2}}
setup: |
  python -m venv --without-pip ~/venv
  printf '#!/bin/sh\\necho hello from %s\\n' "$HOME" > ~/venv/bin/hello; chmod +x ~/venv/bin/hello
  cat numbers.txt > ~/numbers
  sleep {sleep}
run: |
  ~/venv/bin/hello; ~/venv/bin/python -c 'import sys; print(sys.prefix)'; cat ~/numbers
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    """A user with a task file and its workdir, and no cluster."""
    made = User(tmp_path, f"i{os.getpid()}-{time.monotonic_ns() % 100000}")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "numbers.txt").write_text("1 2 3\n")
    (tmp_path / "task.yaml").write_text(TASK.format(work=tmp_path / "work", sleep=1))
    yield made
    end_nodes(made.home)


def planned(person: User, file: Path, *more: str) -> dict[str, object]:
    """The object `image` of a plan."""
    found: dict[str, object] = json.loads(b"".join([person.run("plan", str(file), *more, "--json").out]))["image"]
    return found


def test_from_a_setup_to_a_cluster_that_has_it(person: User, tmp_path: Path) -> None:
    file, image = tmp_path / "task.yaml", ("--image-id", "skyrig:mine")
    built = person.run("image.build", "mine", str(file), "-y", timeout=300)
    assert b"image mine is on this machine: image_id: skyrig:mine" in built.err
    (row,) = person.json("image.ls")["images"]
    assert (row["name"], row["cloud"], row["used_by"]) == ("mine", "local", []) and row["setup_s"] >= 1
    assert person.json("status")["clusters"] == [], "its builder is gone"
    assert not list((person.home / "local").glob("mine-builder"))
    assert b"hunter2" not in b"".join(
        each.read_bytes() for each in (person.home / "images").rglob("*") if each.is_file()
    )

    assert planned(person, file, *image)["setup"] == "in the image"
    launched = person.run("launch", str(file), "-c", person.stack, *image, "-y", timeout=300)
    home = person.home / "local" / person.stack / "n0" / "home"
    assert b"setup skipped on n0: nothing changed" in launched.out
    assert [line for line in launched.lines if not line.startswith("(skyrig)")] == [
        f"hello from {home}", str(home / "venv"), "1 2 3"
    ]  # fmt: skip
    assert person.json("image.ls")["images"][0]["used_by"] == [person.stack]
    refused = person.run("image.delete", "mine", "-y", check=2)
    assert f"is used by {person.stack}".encode() in refused.err

    (tmp_path / "work" / "numbers.txt").write_text("4\n")
    differs = planned(person, file, *image, "-c", "another")
    assert (differs["setup"], differs["why"], differs["saves_s"]) == ("differs", "numbers.txt changed", 0.0)
    again = person.run("launch", str(file), "-c", person.stack, "-y", timeout=300)
    assert b"setup runs again on n0: numbers.txt changed" in again.out and again.lines[-1] == "4"

    person.run("down", "-c", person.stack, "-y")
    person.run("image.delete", "mine", "-y")
    assert person.json("image.ls")["images"] == [] and not (person.home / "images" / "mine").exists()


@pytest.mark.parametrize("when", ["setup runs on n0", "switching its builder off", "mine is on this machine"])
def test_a_build_that_was_killed_goes_on(person: User, tmp_path: Path, when: str) -> None:
    """kill -9 of the client, wherever it is; then the same call again."""
    file = tmp_path / "task.yaml"
    building = person.start("image.build", "mine", str(file), "-y")
    assert building.stdout is not None
    for line in building.stdout:
        if when.encode() in line:
            break
    building.send_signal(signal.SIGKILL)
    building.wait()
    building.stdout.close()
    done = person.run("image.build", "mine", str(file), "-y", timeout=300)
    assert b"mine is" in done.err
    (row,) = person.json("image.ls")["images"]
    assert not row["unfinished"] and row["ids"] and person.json("status")["clusters"] == []
    assert len(list((person.home / "images" / "mine").iterdir())) == 1


def test_what_was_given_up_leaves_nothing(person: User, tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(TASK.format(work=tmp_path / "work", sleep=1).replace("cat numbers.txt", "exit 3; cat"))
    failed = person.run("image.build", "mine", str(file), "-y", check=3, timeout=300)
    assert b"setup has failed on its builder, which is gone" in failed.err
    assert person.json("status")["clusters"] == [] and person.json("image.ls")["images"] == []


def test_it_is_under_a_third(person: User, tmp_path: Path) -> None:
    """The second launch of a task, from its image, has its first process in under a third of the first one's time."""
    (tmp_path / "bench").mkdir()
    file = bench.task(tmp_path / "bench")
    figures = bench.measure(bench.runner(person.env, person.clone), file, 2)
    record.write("image", figures.outcome(), counts={"modules": bench.PACKAGES * bench.MODULES, "rounds": 2})
    assert max(figures.ratios("from its image")) < 1 / 3, figures.outcome()
