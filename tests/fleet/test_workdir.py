"""Which files are sent: git is asked on random trees; the rest is by example."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fleet_trees import ODD_NAMES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.fleet.content import raw
from skyrig.fleet.workdir import Selection, select

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")


def files(selection: Selection) -> list[str]:
    return [picked.path for picked in selection.picked if picked.kind != "dir"]


def fill(root: Path, **contents: str) -> Path:
    """Files by path ("/" written as "__"), with their content."""
    for name, content in contents.items():
        write(root, name.replace("__", "/"), content)
    return root


def write(root: Path, path: str, content: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


def git(root: Path, *arguments: str) -> bytes:
    command = ["git", "-c", "core.excludesFile=", "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, check=True).stdout


NAMES = ("a", "b", "ab", "a.py", "b.txt", "foo", "!x", "#h", "s p", "a]b", "-", "é", "a\\b", "[x]", "A", "1", "a ", "*")
ATOMS = (
    *("a", "b", "*", "**", "***", "?", "[ab]", "[!a]", "[^b]", "*.py", "foo", "a*", "**/", "/**", "/", "\\*", "\\a"),
    *(
        "!",
        "#h",
        "\\#h",
        "s p",
        " ",
        "\\ ",
        "[[:alpha:]]",
        "[[:x]",
        "[[:foo:]]",
        "[a-",
        "[a",
        "]",
        "-",
        "[]a]",
        "[a-z]",
    ),
    *("[]-a]", "[\\]]", "[a\\-z]", "[!/]", "[.-0]", "é", "\t", "\\", "?[-a]"),
)
segment = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3).map("".join)
pattern = st.tuples(
    st.sampled_from(["", "", "!", "/", "!/"]),
    st.lists(segment, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/", " ", "\r", "/**"]),
).map("".join)
ignore_file = st.lists(pattern, max_size=4).map("\n".join)
tree = st.recursive(
    st.none(),
    lambda below: st.tuples(
        st.dictionaries(st.sampled_from(NAMES), below, min_size=1, max_size=5), st.none() | ignore_file
    ),
    max_leaves=20,
)


def plant(folder: Path, below: tuple[dict[str, object], str | None]) -> None:
    entries, ignores = below
    for name, value in entries.items():
        if value is None:
            (folder / name).touch()
        else:
            (folder / name).mkdir()
            plant(folder / name, value)  # type: ignore[arg-type]
    if ignores is not None:
        (folder / ".gitignore").write_bytes(ignores.encode())


@needs_git
@example({"a": None, "ab": None, "acb": ({"b": None}, None)}, "a\na**/**\n")
@settings(max_examples=40, deadline=None)
@given(entries=st.dictionaries(st.sampled_from(NAMES), tree, min_size=2, max_size=5), ignores=ignore_file)
def test_the_same_files_as_git(entries: dict[str, object], ignores: str) -> None:
    """Also for a folder below the top of a repository, whose rules from above count."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        git(root, "init", "-q")
        plant(root, (entries, ignores))
        for folder in (root, *(root / sub for sub, value in entries.items() if value is not None)):
            relative = str(folder.relative_to(root))
            asked = ["git", "check-ignore", "-q", "--", relative]
            if folder != root and subprocess.run(asked, cwd=root, check=False).returncode == 0:
                continue
            listed = git(folder, "ls-files", "-zco", "--exclude-standard")
            assert {raw(path) for path in files(select(folder))} == set(filter(None, listed.split(b"\0")))


def test_without_any_ignore_file_all_is_sent_but_git(tmp_path: Path) -> None:
    fill(tmp_path, a="", b__c="", **{".git__config": "", "b__.git__x": "", ".hidden": ""})
    (tmp_path / "empty").mkdir()
    selection = select(tmp_path)
    assert [(picked.path, picked.kind) for picked in selection.picked] == [
        (".hidden", "file"),
        ("a", "file"),
        ("b", "dir"),
        ("b/c", "file"),
        ("empty", "dir"),
    ]
    assert selection.notes == ()


def test_skyignore_stands_instead_of_gitignore(tmp_path: Path) -> None:
    fill(tmp_path, a="", big__x="", log="", **{".gitignore": "a\n", ".skyignore": "big/\n", "big__.gitignore": ""})
    assert files(select(tmp_path)) == [".gitignore", ".skyignore", "a", "log"]


@pytest.mark.parametrize(
    ("line", "sent"), [("!.git", True), ("!/.git/", True), ("!*", False), ("!.gitignore", False), ("# !.git", False)]
)
def test_git_goes_along_only_where_skyignore_says_so(tmp_path: Path, line: str, sent: bool) -> None:
    fill(tmp_path, **{".git__HEAD": "", ".skyignore": f"x\n{line}\n"})
    assert (".git/HEAD" in files(select(tmp_path))) is sent


@needs_git
def test_tracked_though_ignored_and_the_private_exclude_file(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    fill(tmp_path, keep__a="", keep__b="", own="", **{".gitignore": "keep/\n", ".git__info__exclude": "own\n"})
    git(tmp_path, "add", "-f", "keep/a")
    assert files(select(tmp_path)) == [".gitignore", "keep/a"]
    assert files(select(tmp_path / "keep")) == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "script"),
    [
        (".env", "set -a; source .env; set +a"),
        (".env", ". ./.env"),
        (".env", "cat ~/sky_workdir/.env"),
        (".env", 'cat "$HOME/sky_workdir/.env" | wc -l'),
        ("secrets/x.yaml", "python train.py --config secrets/x.yaml"),
        ("secrets/x.yaml", "python train.py --config=secrets/x.yaml"),
        ("my file.env", "docker run --env-file 'my file.env' image"),
        ("a.env", "export A=$(cat a.env)&&true"),
        ("k.json", "GOOGLE_APPLICATION_CREDENTIALS=k.json python a.py"),
        ("d.csv", "curl -F data=@d.csv host; true"),
        ("in.txt", "wc -l <in.txt"),
    ],
)
def test_a_file_that_the_task_names_goes_along(tmp_path: Path, path: str, script: str) -> None:
    write(tmp_path, path)
    fill(tmp_path, other="", **{".gitignore": "*\n!.gitignore\n"})
    selection = select(tmp_path, named_in=["echo setup", script])
    assert [(p.path, p.private) for p in selection.picked if p.kind == "file"] == sorted(
        [(".gitignore", False), (path, True)]
    )
    assert selection.notes == (f"{path!r} is ignored, but setup or run names it: sent, with mode 0600",)


@pytest.mark.parametrize(
    "script",
    [
        "source .venv/bin/activate",
        "python train.py > out.log",
        "python train.py 2>&1 | tee out.log",
        "python train.py >> out.log",
        "cat ../outside.txt /etc/passwd",
        "cat link/passwd",
        "ls data",
        "cat data/../out.log",
        "true",
    ],
)
def test_what_is_named_but_does_not_go_along(tmp_path: Path, script: str) -> None:
    """Files of a local environment, files that the script writes, folders, and all that lies outside."""
    root = tmp_path / "root"
    fill(tmp_path, **{"outside.txt": ""})
    fill(root, data__x="", **{".gitignore": "*\n", "out.log": "", ".venv__pyvenv.cfg": "", ".venv__bin__activate": ""})
    (root / "link").symlink_to("/etc")
    assert select(root, named_in=[script]) == Selection(())


def test_a_named_file_that_is_not_ignored_keeps_its_mode(tmp_path: Path) -> None:
    write(tmp_path, ".env")
    selection = select(tmp_path, named_in=["source .env"])
    assert (selection.picked[0].private, selection.notes) == (False, ())


def test_a_huge_named_file_is_left_with_a_note(tmp_path: Path) -> None:
    fill(tmp_path, **{".gitignore": "*.bin\n"})
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(65 << 20)
    selection = select(tmp_path, named_in=["cat w.bin"])
    assert files(selection) == [".gitignore"]
    assert selection.notes == ("'w.bin' is ignored and over 64 MiB: not sent, though setup or run names it",)


def test_odd_names_links_and_what_is_no_file(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        (tmp_path / name).touch()
    (tmp_path / "inner").symlink_to("plain.txt")
    (tmp_path / "outer").symlink_to("/nowhere")
    (tmp_path / "up").symlink_to("../up")
    os.mkfifo(tmp_path / "pipe")
    place = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)  # a socket's path must be short
        server.bind("sock")
        os.chdir(place)
        selection = select(tmp_path)
    assert {picked.path for picked in selection.picked} == {*ODD_NAMES, "inner", "outer", "up"}
    assert {picked.path: picked.kind for picked in selection.picked}["inner"] == "link"
    assert sorted(selection.notes) == [
        "'outer' is a link out of the workdir: the nodes will look for '/nowhere'",
        "'pipe' is a socket, pipe or device: not sent",
        "'sock' is a socket, pipe or device: not sent",
        "'up' is a link out of the workdir: the nodes will look for '../up'",
    ]


def test_a_link_to_the_workdir_is_followed_and_a_missing_one_refused(tmp_path: Path) -> None:
    fill(tmp_path, real__a="")
    (tmp_path / "link").symlink_to("real")
    assert files(select(tmp_path / "link")) == ["a"]
    with pytest.raises(BadInput, match="is no folder"):
        select(tmp_path / "none")


@pytest.mark.parametrize("path", ["a", "sub", ".skyignore"])
def test_what_cannot_be_read_is_bad_input(tmp_path: Path, path: str) -> None:
    """In a process without root's rights, where this one has them."""
    fill(tmp_path, a="", sub__b="", **{".skyignore": "x\n"})
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if "pytest-" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o055)
    (tmp_path / path).chmod(0)
    script = (
        "import os, sys; from pathlib import Path; from skyrig.errors import BadInput\n"
        "from skyrig.fleet.workdir import select\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: select(Path(sys.argv[1]))\n"
        "except BadInput as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    (tmp_path / path).chmod(0o700)
    assert said.stdout == f"workdir: {path!r}: permission denied (mend it, or name it in .skyignore)\n"


def test_unreadable_files_that_are_ignored_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path, **{".gitignore": "a\n", "a": ""})
    (tmp_path / "a").chmod(0)
    assert files(select(tmp_path)) == [".gitignore"]
