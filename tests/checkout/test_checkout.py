"""A git repository as workdir, with real git and a repository in a folder."""

import base64
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skyrig import checkout
from skyrig.errors import BadInput
from skyrig.task.model import GitSource


def git(folder: Path, *words: str) -> str:
    """One git command in `folder`; what it prints."""
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *names, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, the first one tagged, and a branch."""
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-qm", text)
    git(folder, "tag", "v1", "HEAD~1")
    git(folder, "branch", "side", "HEAD~1")
    return folder


def test_every_kind_of_ref(repository: Path) -> None:
    url, first = repository.as_uri(), git(repository, "rev-parse", "HEAD~1")
    for ref, text in (
        (None, "two"),
        ("main", "two"),
        ("v1", "one"),
        ("side", "one"),
        (first, "one"),
        (first[:9], "one"),
    ):
        assert (checkout.folder(GitSource(url, ref)) / "file").read_text() == text, ref


def test_what_changed_is_fetched_again_and_what_did_not_is_there(repository: Path) -> None:
    source = GitSource(repository.as_uri(), "main")
    before = checkout.folder(source)
    assert checkout.folder(source) == before
    (repository / "file").write_text("three")
    git(repository, "commit", "-qam", "three")
    assert (checkout.folder(source) / "file").read_text() == "three"
    assert (before / "file").read_text() == "two"


def test_two_at_once_agree(repository: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: checkout.folder(GitSource(repository.as_uri())), range(4)))) == 1


@pytest.mark.parametrize(
    "source", [GitSource("file:///none/there"), GitSource("--upload-pack=x"), GitSource("REPOSITORY", "no-such-ref")]
)
def test_what_is_not_there_is_refused_in_one_line(repository: Path, source: GitSource) -> None:
    url = source.url.replace("REPOSITORY", repository.as_uri())
    with pytest.raises(BadInput, match=r"^workdir: [^\n]+$"):
        checkout.folder(GitSource(url, source.ref))


def test_a_token_stands_in_no_argv(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nenv >> {tmp_path}/env\n[ "$1" != init ] || mkdir -p "$4"\n\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GIT_TOKEN", "tok-en")
    checkout.folder(GitSource("https://example.com/x"))
    basic = base64.b64encode(b"x-access-token:tok-en").decode()
    assert basic in (tmp_path / "env").read_text()
    assert not any(word in (tmp_path / "argv").read_text() for word in ("tok-en", basic))
