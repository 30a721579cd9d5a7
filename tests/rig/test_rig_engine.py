"""The three ways to the engine: which one is taken, and that what is got lies there whole or not at all."""

import subprocess
from pathlib import Path

import pytest
from rig_clone import PROGRAMS, ROOT, Clone, engine_programs, error_line, script

CHOOSE = """
import os, engine, speech
try:
    source = engine.choose(os.environ["PATH"], lambda: {reachable})
    print(source.kind, source.folder)
except speech.Failure as failure:
    print("failure", failure)
"""
GO = """#!/bin/sh
case $1 in
    env) echo go1.99.0; exit ;;
    list) echo {sdk}; exit ;;
esac
echo "$CGO_ENABLED $*" >>{sdk}/calls
for word; do
    case $word in
        -o=*) printf '#!/bin/sh\\necho {says}\\n' >"${{word#-o=}}"; chmod +x "${{word#-o=}}" ;;
    esac
done
echo some/package
"""
INSTALLER = """#!/bin/sh
# stands in for the environment's Python: `-I -c CODE FOLDER VERSION` of the official installer, pip's work else
case "$*" in
    *PulumiCommand*)
        {result}
        mkdir -p "$4/bin"
        for name in {names}; do
            printf '#!/bin/sh\\necho v%s\\n' "$5" >"$4/bin/$name"
            chmod +x "$4/bin/$name"
        done
        ;;
esac
"""

# what lies on PATH: version of pulumi and which of its programs
FOUND = {
    "just new enough": ("3.258.0", PROGRAMS, True),
    "newer": ("3.301.2", PROGRAMS, True),
    "too old": ("3.257.9", PROGRAMS, False),
    "next major": ("4.0.0", PROGRAMS, False),
    "no version": ("", PROGRAMS, False),
    "without the Python side": ("3.258.0", PROGRAMS[:1], False),
    "without dynamic providers": ("3.258.0", PROGRAMS[:3], False),
}


def choice(clone: Clone, *path: Path, reachable: bool = False) -> str:
    """What rig chooses with these folders first on PATH."""
    folders = ":".join([*map(str, path), str(clone.bin)])
    return clone.inside(CHOOSE.format(reachable=reachable), PATH=folders).strip()


@pytest.mark.parametrize("name", FOUND)
def test_a_pulumi_on_path_is_taken_if_it_will_do(clone: Clone, tmp_path: Path, name: str) -> None:
    version, programs, good = FOUND[name]
    theirs = engine_programs(tmp_path / "their bin", version, programs)
    said = choice(clone, theirs, reachable=True)
    assert said == (f"found {theirs}" if good else f"official {clone.engine}")


def test_a_link_to_pulumi_leads_to_its_folder(clone: Clone, tmp_path: Path) -> None:
    theirs = engine_programs(tmp_path / "opt")
    links = tmp_path / "links"
    links.mkdir()
    links.joinpath("pulumi").symlink_to(theirs / "pulumi")
    assert choice(clone, links) == f"found {theirs}"


def test_our_own_wrapper_is_no_pulumi(clone: Clone, tmp_path: Path) -> None:
    other = engine_programs(tmp_path / "other clone" / ".venv" / "bin")
    script(other / "pulumi", ROOT.joinpath("tools", "rig", "pulumi.sh").read_text())
    kept = other.parent / ".rig"
    kept.mkdir()
    kept.joinpath("engine").write_text(f"{engine_programs(tmp_path / 'its engine')}\n")
    theirs = engine_programs(tmp_path / "theirs")
    assert choice(clone, other, theirs) == f"found {theirs}"
    assert choice(clone, other, reachable=True) == f"official {clone.engine}"


def test_what_was_got_before_is_used_and_half_of_it_is_not(clone: Clone) -> None:
    engine_programs(clone.engine)
    assert choice(clone) == f"found {clone.engine}"
    clone.engine.joinpath("pulumi-language-python").unlink()
    assert choice(clone, reachable=True) == f"official {clone.engine}"
    assert choice(clone).startswith("failure no way to Pulumi's engine")


def go(clone: Clone, says: str = "v3.258.0") -> Path:
    """A Go whose builds are small scripts that say `says`; gives the file with its calls."""
    sdk = clone.root.parent / "sdk"
    for path in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        script(sdk / path, "#!/bin/sh\n")
    script(clone.bin / "go", GO.format(sdk=sdk, says=says))
    return sdk / "calls"


def test_the_engine_is_built_where_nothing_else_is_open(clone: Clone, empty_venv: Path) -> None:
    clone.python()
    clone.small_packages()
    clone.empty_venv(empty_venv)
    calls = go(clone)
    assert choice(clone) == f"build {clone.engine}"
    code, out, err = clone.rig("queue")
    assert (code, out) == (0, "invoked queue\n"), err
    assert "built from pinned Go modules" in err
    assert sorted(path.name for path in clone.engine.iterdir()) == sorted(PROGRAMS)
    assert sorted(path.name for path in clone.cache.joinpath("engine").iterdir()) == ["3.258.0", "3.258.0.lock"]
    pulumi, language = calls.read_text().splitlines()
    assert pulumi.startswith("0 build -mod=readonly -trimpath")
    assert "version.Version=v3.258.0" in pulumi and "version.Version" not in language
    assert clone.kept.joinpath("engine").read_text() == f"{clone.engine}\n"


def test_a_build_that_is_no_engine_is_not_installed(clone: Clone, empty_venv: Path) -> None:
    clone.python()
    clone.small_packages()
    clone.empty_venv(empty_venv)
    go(clone, says="v3.1.0")
    code, _, err = clone.rig("queue")
    assert code == 5
    assert "no Pulumi 3.258.0 that runs here" in error_line(err)
    assert [path.name for path in clone.cache.joinpath("engine").iterdir()] == ["3.258.0.lock"]


@pytest.mark.parametrize("works", [True, False], ids=["works", "fails"])
def test_the_official_release_comes_first_and_a_build_helps_out(clone: Clone, works: bool) -> None:
    calls = go(clone)
    result = ":" if works else "echo no such release; exit 1"
    script(clone.root / ".venv/bin/python", INSTALLER.format(result=result, names=" ".join(PROGRAMS)))
    clone.inside(
        "import threading, engine, errand\n"
        "source = engine.choose('', lambda: True)\n"
        "assert source.kind == 'official', source\n"
        "ready = threading.Event()\n"
        "ready.set()\n"
        "engine.Getter(source, errand.Errands()).get(ready)\n"
    )
    assert sorted(path.name for path in clone.engine.iterdir()) == sorted(PROGRAMS)
    assert calls.exists() is not works


def test_the_modules_are_pinned(tmp_path: Path) -> None:
    for module, package in {
        "pulumi": "github.com/pulumi/pulumi/pkg/v3 v3.258.0",
        "language": "github.com/pulumi/pulumi/sdk/v3 v3.79.0",
    }.items():
        folder = ROOT / "tools" / "engine" / module
        assert f"require {package}" in folder.joinpath("go.mod").read_text()
        sums = folder.joinpath("go.sum").read_text()
        assert f"{package} h1:" in sums


def test_rig_and_the_python_sdk_agree_on_the_version() -> None:
    code = "import limits; print(limits.ENGINE)"
    version = subprocess.check_output(
        [ROOT / ".venv" / "bin" / "python", "-B", "-c", code], cwd=ROOT / "tools" / "rig", text=True
    ).strip()
    assert f"\npulumi=={version} " in ROOT.joinpath("requirements", "base.txt").read_text()
