"""Each example as a reader meets it: copied into an empty folder, its README's block run there as it stands, without a
network; and what would go to the nodes at full size, compared with files that a person has read.

SKYRIG_UPDATE_GOLDEN=1 writes those anew.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from example_cases import CASES, EXAMPLES, GOLDEN, Case
from forked import forker
from user import User, end_nodes

from skyrig import examples

UPDATE = os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
SHOWN = ("user.sh", "mounts", "environment", "setup/user.sh")
"""What is of the task; tests/render has the rest, which is the same for every text."""
THIS_MACHINES = ("SKYPILOT_USER", "OMP_NUM_THREADS")
"""Variables that depend on who renders, and where the machine is not known yet."""
NO_WAY_OUT = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "PIP_NO_INDEX", "UV_OFFLINE"), "1"),
    "no_proxy": "127.0.0.1,localhost",
}
RUN = [
    pytest.param(case, marks=[pytest.mark.e2e, *([pytest.mark.soak] if case.tier == "soak" else [])], id=case.name)
    for case in CASES
    if case.tier != "elsewhere"
]
RENDERS = [pytest.param(case, render, id=f"{case.name}-{render}") for case in CASES for render in case.renders]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody who has Skyrig."""
    return User(tmp_path_factory.mktemp("reader"), "unused")


def copied(case: Case, person: User) -> Path:
    """The example in an empty folder, by the verb."""
    folder = person.clone / "work" / case.name
    if not folder.exists():
        done = forker().run("skyrig", ["examples", case.name, str(folder)], person.clone, person.env)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_example_has_its_case_and_none_is_without_its_folder() -> None:
    folders = {each.name for each in EXAMPLES.iterdir() if each.is_dir() and each.name != "__pycache__"}
    assert {case.name for case in CASES} == {each.name for each in examples.listed()} == folders


def test_no_golden_folder_is_without_its_case() -> None:
    wanted = {case.name: {f"{render}.txt" for render in case.renders} for case in CASES if case.renders}
    assert {each.name: {file.name for file in each.iterdir()} for each in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_its_readme_is_one_screen_and_tells_all(case: Case) -> None:
    assert len(case.readme.splitlines()) <= 60
    for command in (*case.renders.values(), *(each["run"] for each in case.also.values())):
        assert command in " ".join(case.readme.replace("\\\n", " ").split()), f"README does not have: {command}"
    for hourly in case.hourly.values():
        assert f"${hourly:,.2f}/h" in case.readme
    if case.tier == "elsewhere":
        assert case.why
        return
    commands = [line for line in case.block.replace("\\\n", "").splitlines() if line.strip()]
    assert len(commands) == 2, commands
    assert case.promised


@pytest.mark.parametrize("case", RUN)
def test_the_readmes_block_keeps_its_promise(case: Case, reader: User) -> None:
    kept(case.block, case.promised, case, reader)


@pytest.mark.soak
@pytest.mark.e2e
@pytest.mark.parametrize(
    ("case", "name"), [pytest.param(case, each, id=f"{case.name}-{each}") for case in CASES for each in case.also]
)
def test_the_other_ways_do_too(case: Case, name: str, reader: User) -> None:
    kept(case.also[name]["run"], case.also[name]["promised"], case, reader)


def kept(block: str, promised: Sequence[str], case: Case, reader: User) -> None:
    """Run commands of an example, and find in the output what is promised."""
    for module in case.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed here")
    for program in case.programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"no {program} on this machine")
    folder = copied(case, reader)
    try:
        said = run_apart(block, folder, reader, case.seconds)
    finally:
        end_nodes(reader.home)
    for promise in promised:
        assert re.search(promise, said, re.MULTILINE), f"not in it: {promise}\n{said}"


def run_apart(block: str, folder: Path, person: User, seconds: float) -> str:
    """What a block says, run in `folder` without a way out: in a network of its own where that can be made."""
    command = ["bash", "-e", "-o", "pipefail", "-c", block]
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**person.env, **NO_WAY_OUT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{block}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize(("case", "render"), RENDERS)
def test_full_size_is_what_a_person_has_read(case: Case, render: str, reader: User, tmp_path: Path) -> None:
    folder, out = copied(case, reader), tmp_path / "out"
    for name, text in case.files.items():
        (folder / name).write_text(text)
    words = ["render", *case.words(render), "--out", str(out)]
    done = forker().run("skyrig", words, folder, {**reader.env, **case.env, "PULUMI_STACK": case.name})
    assert done.returncode == 0, done.stdout + done.stderr
    text = shown(out).replace(str(folder), "<here>").replace(str(reader.home), "<home>")
    golden = GOLDEN / case.name / f"{render}.txt"
    if UPDATE:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.read_text() == text
    users = [str(file) for file in (out / "rank-0").rglob("user.sh")]
    checked = subprocess.run([SHELLCHECK, "--shell=bash", *users], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def shown(out: Path) -> str:
    """What was rendered, as one text: all of the first rank, and how the last one differs."""
    ranks = sorted(out.iterdir(), key=lambda each: int(each.name.removeprefix("rank-")))
    parts = [f"{len(ranks)} nodes\n"]
    for rank in ranks[:1] + ranks[1:][-1:]:
        for file in sorted(each for each in rank.rglob("*") if each.is_file()):
            name = str(file.relative_to(rank))
            if name not in SHOWN:
                continue
            text = file.read_text() if name != "environment" else variables(rank)
            if rank is not ranks[0]:
                before = (variables(ranks[0]) if name == "environment" else (ranks[0] / name).read_text()).splitlines()
                text = "".join(f"{line}\n" for line in text.splitlines() if line not in before)
            if text:
                parts.append(f"==> {rank.name}/{name} <==\n{text.rstrip()}\n")
    return "\n".join(parts)


def variables(rank: Path) -> str:
    """The variables of a rank under SkyPilot's names, the task's own and those of the fabric."""
    own, text = [], (rank / "environment").read_text()
    uses = (rank / "user.sh").read_text()
    for variable in re.findall(r"^\w+=(?:'[^']*'|.*)(?:'[^']*'|.*)*$", text, re.MULTILINE):
        name = variable.partition("=")[0]
        if name not in THIS_MACHINES and (not name.startswith("SKYRIG_") or name in uses):
            own.append(variable)
    return "".join(f"{variable}\n" for variable in own)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("case", "render"), [pytest.param(case, each, id=f"{case.name}-{each}") for case in CASES for each in case.hourly]
)
def test_the_price_in_the_readme_is_the_plans_and_the_fabric_is_set(case: Case, render: str, reader: User) -> None:
    words = ["plan", *case.words(render), "--json"]
    done = forker().run("skyrig", words, copied(case, reader), {**reader.env, **case.env, "PULUMI_STACK": case.name})
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads(done.stdout)
    assert round(plan["cost"]["hourly"], 2) == case.hourly[render]
    assert set(case.fabric.get(render, ())) <= set((plan["fabric"] or {}).get("env", {}))


def test_the_table_of_all_is_the_folders_own() -> None:
    table, text = EXAMPLES / "README.md", (EXAMPLES / "README.md").read_text()
    rows = [
        f"| [{each.name}]({each.name}/README.md) | {each.about} | {each.needs or '-'} | {each.full or '-'} |"
        for each in examples.listed()
    ]
    first = text.index("|---|")
    before, after = text[: text.index("\n", first) + 1], text[text.index("\n\n", first) :]
    wanted = before + "\n".join(rows) + after
    if UPDATE:
        table.write_text(wanted)
    assert table.read_text() == wanted
