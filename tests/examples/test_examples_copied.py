"""`examples`: the list, and copies that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from clone import ROOT
from forked import forker

from skyrig import examples, places
from skyrig.errors import BadInput, SkyrigError


def asked(folder: Path, *words: str, door: str = "skyrig") -> tuple[int, str, str]:
    done = forker().run(door, ["examples", *words], folder, {**os.environ, "SKYRIG_HOME": str(folder / "home")})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An example `one` of this test's own, with byte code and a file that its .gitignore names."""
    folder = tmp_path / "shipped" / "examples" / "one"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "deep").mkdir()
    for name, text in {
        "README.md": "---\nabout: does one thing\nneeds: nothing\n---\n# one\n",
        "a.yaml": "run: echo a\n",
        "deep/b.py": "print()\n",
        "run.sh": "#!/bin/sh\n",
        ".gitignore": "# own\n.env\n",
        ".env": "KEY=secret\n",
        "__pycache__/b.pyc": "",
    }.items():
        (folder / name).write_text(text)
    (folder / "run.sh").chmod(0o555)
    (folder / "a.yaml").chmod(0o444)
    (folder.parent / "none").mkdir()
    monkeypatch.setattr(places, "shipped", lambda: tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


WHOLE = [".gitignore", "README.md", "a.yaml", "deep/b.py", "run.sh"]


def test_the_list_is_what_the_folders_say(tmp_path: Path) -> None:
    _, table, _ = asked(tmp_path)
    code, text, _ = asked(tmp_path, "--json")
    rows = json.loads(text)["examples"]
    assert code == 0 and [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    lines = table.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    assert all(row["about"] in line for row, line in zip(rows, lines, strict=True))
    assert asked(ROOT, door="invoke")[1] == table


def test_a_copy_goes_to_a_new_folder_or_to_an_empty_one(tmp_path: Path) -> None:
    code, said, _ = asked(tmp_path, "embeddings")
    assert code == 0 and said == f"embeddings is in {tmp_path / 'embeddings'}: README.md tells how it runs\n"
    (tmp_path / "empty").mkdir()
    code, text, _ = asked(tmp_path / "empty", "embeddings", ".", "--json")
    assert code == 0 and json.loads(text)["folder"] == str(tmp_path / "empty")
    assert contents(tmp_path / "empty") == contents(tmp_path / "embeddings") != []
    code, said, told = asked(tmp_path, "embeddings")
    assert (code, said) == (2, "")
    assert told == f"{tmp_path / 'embeddings'} is not empty (give a new or an empty folder)\n"


def test_what_is_no_example_is_refused_in_one_line(tmp_path: Path) -> None:
    for name in ("mingpd", "../examples", "."):
        code, said, told = asked(tmp_path, name)
        assert (code, said) == (2, "") and told.startswith(f"no example is called '{name}' (there are ")
        assert told.count("\n") == 1
    assert not contents(tmp_path)


def test_neither_byte_code_nor_what_git_ignores_is_copied(own: Path, tmp_path: Path) -> None:
    assert [each.name for each in examples.listed()] == ["one"]
    _, target = examples.copy("one")
    assert target == tmp_path / "one" and contents(target) == WHOLE
    assert [oct((target / name).stat().st_mode & 0o700) for name in ("a.yaml", "run.sh")] == ["0o600", "0o700"]
    (tmp_path / "here").mkdir()
    before = (tmp_path / "here").stat().st_ino
    examples.copy("one", tmp_path / "here")
    assert contents(tmp_path / "here") == WHOLE and (tmp_path / "here").stat().st_ino == before
    with pytest.raises(BadInput, match=r"a\.yaml is no folder"):
        examples.copy("one", tmp_path / "here" / "a.yaml")
    with pytest.raises(BadInput, match=r"~nobody-at-all/x is no folder"):
        examples.copy("one", Path("~nobody-at-all/x"))
    assert contents(examples.copy("one", tmp_path / ("é" * 125))[1]) == WHOLE, "as long as a name can be"


@pytest.mark.parametrize("there", [True, False])
def test_a_copy_that_fails_leaves_nothing(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    target = tmp_path / "target"
    if there:
        target.mkdir()
    real = examples.shutil.copyfile

    def full(source: Path, copy: Path) -> None:
        if source.name == "run.sh":
            raise OSError(28, "No space left on device")
        real(source, copy)

    monkeypatch.setattr(examples.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        examples.copy("one", target)
    assert [each for each in tmp_path.iterdir() if each.name != "shipped"] == ([target] if there else [])
    assert not there or not list(target.iterdir())


def test_a_copy_that_was_killed_is_made_anew_and_never_over_other_files(own: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / examples.UNFINISHED / "deep").mkdir(parents=True)
    (target / "a.yaml").write_text("run: ec")
    examples.copy("one", target)
    assert contents(target) == WHOLE and (target / "a.yaml").read_text() == "run: echo a\n"
    (target / examples.UNFINISHED).mkdir()
    (target / "mine.py").write_text("")
    with pytest.raises(BadInput, match="is not empty"):
        examples.copy("one", target)
    assert (target / "mine.py").exists()


@pytest.mark.parametrize(("front", "said"), [("needs: x", "has no `about`"), ("about: a: b", "is no YAML")])
def test_a_readme_that_says_nothing_is_named(own: Path, front: str, said: str) -> None:
    (own / "README.md").write_text(f"---\n{front}\n---\n")
    with pytest.raises(SkyrigError, match=said) as caught:
        examples.listed()
    assert "one/README.md" in str(caught.value) and "\n" not in str(caught.value)
